import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { completionScript, shells } from './completion.ts';
import { buildProgram, commands } from './program.ts';

const program = await buildProgram('all', {
  exitCode: 0,
  terminal: () => {
    throw new Error('not here');
  },
});

it.each(shells)('%s knows every command and its options', (shell) => {
  const script = completionScript(shell, program);
  for (const { name } of commands) expect(script).toContain(name);
  for (const word of ['--retention-traces', '--min-duration']) expect(script).toContain(word);
});

it.each([
  ['watchingcat tra', 'traces'],
  ['watchingcat traces --min', '--min-duration'],
  ['watchingcat config p', 'print'],
  ['watchingcat config print --http', '--http-port'],
  ['watchingcat completion f', 'fish'],
])('in bash, %s completes to %s', (line, completed) => {
  const words = line.split(' ');
  const ask = `COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _watchingcat; echo "\${COMPREPLY[@]}"`;
  expect(
    execFileSync('bash', ['-c', `${completionScript('bash', program)}\n${ask}`], { encoding: 'utf8' }).trim(),
  ).toBe(completed);
});
