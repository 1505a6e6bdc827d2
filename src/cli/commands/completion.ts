import { Argument, type Command } from 'commander';
import { completionScript, shells } from '../completion.ts';
import { buildProgram, type Outcome } from '../program.ts';

export function register(command: Command, outcome: Outcome): void {
  command.addArgument(new Argument('<shell>', 'whose script').choices(shells));
  command.addHelpText(
    'after',
    `
Examples:
  source <(watchingcat completion bash)
  watchingcat completion zsh > "\${fpath[1]}/_watchingcat"
  watchingcat completion fish > ~/.config/fish/completions/watchingcat.fish
  watchingcat completion pwsh >> $PROFILE`,
  );
  command.action(async (shell: (typeof shells)[number]) => {
    const program = await buildProgram('all', outcome);
    outcome.terminal(command).print(completionScript(shell, program));
  });
}
