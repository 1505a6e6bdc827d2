import type { Command } from 'commander';
import type { Outcome } from '../program.ts';
import { addReaderOptions, reading, sayWarnings } from '../reader-options.ts';
import { type Column, printRows } from '../table.ts';

interface Metric {
  readonly name: string;
  readonly type: string;
  readonly unit: string;
  readonly description: string;
  readonly seriesCount: number;
}

export function register(command: Command, outcome: Outcome): void {
  command.argument('[text]', 'only names that contain this');
  addReaderOptions(command, ['range', 'limit'], 1000);
  command.addHelpText(
    'after',
    `
Examples:
  watchingcat metrics
  watchingcat metrics duration --since 15m -o json`,
  );
  command.action(async (text: string | undefined) => {
    const { rest, terminal, format, options, range } = reading(command, outcome);
    const answer = await rest.get<{ metrics: Metric[]; warnings?: string[] }>('/api/v1/metrics', {
      ...range,
      limit: 1000,
    });
    const rows = answer.metrics
      .filter(({ name }) => text === undefined || name.includes(text))
      .slice(0, options.limit ?? 1000);
    printRows(terminal, format, columns, rows, { ...answer, metrics: rows });
    sayWarnings(terminal, answer);
    if (rows.length === 0) terminal.say('No metric in this time.');
  });
}

const columns: readonly Column<Metric>[] = [
  { title: 'METRIC', show: ({ name }) => name },
  { title: 'TYPE', show: ({ type }) => type },
  { title: 'UNIT', show: ({ unit }) => unit },
  { title: 'SERIES', align: 'right', show: ({ seriesCount }) => String(seriesCount) },
  { title: 'DESCRIPTION', show: ({ description }) => description },
];
