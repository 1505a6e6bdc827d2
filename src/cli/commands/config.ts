import type { Command } from 'commander';
import {
  configJsonSchema,
  type Effective,
  effectiveSettings,
  type Inspection,
  inspectConfig,
} from '../../config/index.ts';
import { exitCodes } from '../failure.ts';
import type { Outcome } from '../program.ts';
import { addSettings, writtenFlags } from '../settings-options.ts';
import { type Column, printRows } from '../table.ts';
import type { Terminal } from '../terminal.ts';

export function register(command: Command, outcome: Outcome): void {
  command.addHelpText(
    'after',
    `
Examples:
  watchingcat config print
  watchingcat config check --config watchingcat.yaml
  watchingcat config schema > watchingcat.schema.json`,
  );
  const print = command
    .command('print')
    .description('every setting, its value and where it came from; secrets are hidden');
  addSettings(print);
  print.option('--json', 'print JSON').action(() => {
    const terminal = outcome.terminal(print);
    const inspection = inspect(print);
    const rows = effectiveSettings(inspection);
    const settings = rows.map(({ setting, value, origin }) => ({ path: setting.path, value: value ?? null, origin }));
    printRows(terminal, print.opts<{ json?: boolean }>().json ? 'json' : 'table', columns, rows, {
      settings,
      problems: inspection.problems,
    });
    tellProblems(inspection, terminal, outcome);
  });
  const check = command
    .command('check')
    .description('whether the configuration is usable; exit code 1 where it is not');
  addSettings(check);
  check.action(() => {
    const terminal = outcome.terminal(check);
    const inspection = inspect(check);
    tellProblems(inspection, terminal, outcome);
    for (const warning of inspection.config?.warnings ?? []) terminal.say(`warning: ${warning}`);
    if (inspection.problems.length === 0) terminal.say('The configuration is usable.');
  });
  const schema = command.command('schema').description('JSON Schema of the YAML file');
  schema.action(() => outcome.terminal(schema).print(JSON.stringify(configJsonSchema(), null, 2)));
}

function inspect(command: Command): Inspection {
  return inspectConfig({ flags: writtenFlags(command), env: process.env, cwd: process.cwd() });
}

function tellProblems({ problems }: Inspection, terminal: Terminal, outcome: Outcome): void {
  for (const problem of problems) terminal.complain(problem);
  if (problems.length > 0) outcome.exitCode = exitCodes.problem;
}

const columns: readonly Column<Effective>[] = [
  { title: 'SETTING', show: ({ setting }) => setting.path },
  { title: 'VALUE', show: ({ value }) => value ?? '' },
  { title: 'FROM', show: ({ origin }) => origin, style: ({ origin }) => (origin === 'default' ? 'dim' : undefined) },
];
