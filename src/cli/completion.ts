import type { Command } from 'commander';

export const shells = ['bash', 'zsh', 'fish', 'pwsh'] as const;
export type Shell = (typeof shells)[number];

/** Words that may follow: `path` is '' for the command itself, else `traces` or `config print`. */
interface Words {
  readonly path: string;
  readonly words: readonly string[];
}

/** A script that completes commands, subcommands, options and fixed arguments; it holds all words and asks nobody. */
export function completionScript(shell: Shell, program: Command): string {
  const table = wordsOf(program, '');
  if (shell === 'bash') return bash(table);
  if (shell === 'zsh') return `#compdef watchingcat\nautoload -U +X bashcompinit && bashcompinit\n${bash(table)}`;
  return shell === 'fish' ? fish(table) : pwsh(table);
}

function wordsOf(command: Command, path: string): Words[] {
  const options = command.options
    .filter(({ hidden }) => !hidden)
    .flatMap(({ long }) => (long === undefined ? [] : [long]));
  const choices = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
  const words = [...command.commands.map((child) => child.name()), ...choices, ...options, '--help'];
  const below = command.commands.flatMap((child) =>
    wordsOf(child, path === '' ? child.name() : `${path} ${child.name()}`),
  );
  return [{ path, words }, ...below];
}

function bash(table: readonly Words[]): string {
  const cases = table.map(({ path, words }) => `    '${path}') words='${words.join(' ')}' ;;`).join('\n');
  const paths = table.map(({ path }) => `'${path}'`).join(' | ');
  return `_watchingcat() {
  local path='' word next words=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="\${path:+$path }$word"
    case "$next" in ${paths}) path="$next" ;; esac
  done
  case "$path" in
${cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _watchingcat watchingcat`;
}

function fish(table: readonly Words[]): string {
  const lines = table.map(({ path, words }) => {
    const depth = path === '' ? 0 : path.split(' ').length;
    const condition =
      depth === 0
        ? '__fish_use_subcommand'
        : path
            .split(' ')
            .map((word) => `__fish_seen_subcommand_from ${word}`)
            .join('; and ');
    return `complete -c watchingcat -n '${condition}' -a '${words.join(' ')}'`;
  });
  return ['complete -c watchingcat -f', ...lines].join('\n');
}

function pwsh(table: readonly Words[]): string {
  const rows = table
    .map(({ path, words }) => `    '${path}' = @(${words.map((word) => `'${word}'`).join(', ')})`)
    .join('\n');
  return `Register-ArgumentCompleter -Native -CommandName watchingcat -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $table = @{
${rows}
  }
  $path = ''
  foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
    $next = "$path $element".Trim()
    if ($table.ContainsKey($next)) { $path = $next }
  }
  $table[$path] | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }
}`;
}
