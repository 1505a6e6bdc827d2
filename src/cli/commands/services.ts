import type { Command } from 'commander';
import type { Outcome } from '../program.ts';
import { addReaderOptions, reading, sayWarnings } from '../reader-options.ts';
import { showAge, showDuration } from '../show.ts';
import { type Column, printRows } from '../table.ts';

interface Service {
  readonly name: string;
  readonly namespace: string;
  readonly environment: string;
  readonly signals: readonly string[];
  /** null where their store does not count them; `warnings` says so. */
  readonly spanCount: number | null;
  readonly errorCount: number | null;
  readonly durationNanos?: { readonly p50: string; readonly p95: string; readonly p99: string } | null;
  readonly lastSeen: string | null;
}

export function register(command: Command, outcome: Outcome): void {
  addReaderOptions(command, ['range', 'service', 'namespace', 'limit'], 1000);
  command.addHelpText(
    'after',
    `
Examples:
  watchingcat services --since 15m
  watchingcat services --namespace shop -o csv`,
  );
  command.action(async () => {
    const { rest, terminal, format, options, range } = reading(command, outcome);
    const answer = await rest.get<{ services: Service[]; warnings?: string[] }>('/api/v1/services', range);
    const rows = answer.services
      .filter(({ name }) => options.service === undefined || name === options.service)
      .filter(({ namespace }) => options.namespace === undefined || namespace === options.namespace)
      .slice(0, options.limit ?? 1000);
    printRows(terminal, format, columns, rows, { ...answer, services: rows });
    sayWarnings(terminal, answer);
    if (rows.length === 0) terminal.say('No service has sent anything in this time.');
  });
}

const columns: readonly Column<Service>[] = [
  { title: 'SERVICE', show: ({ name }) => (name === '' ? '(unnamed)' : name), exact: ({ name }) => name },
  { title: 'NAMESPACE', show: ({ namespace }) => namespace },
  { title: 'SIGNALS', show: ({ signals }) => signals.join(' ') },
  { title: 'SPANS', align: 'right', show: ({ spanCount }) => counted(spanCount) },
  {
    title: 'ERRORS',
    align: 'right',
    show: ({ errorCount }) => counted(errorCount),
    style: ({ errorCount }) => ((errorCount ?? 0) > 0 ? 'red' : undefined),
  },
  ...(['p50', 'p95', 'p99'] as const).map(
    (quantile): Column<Service> => ({
      title: quantile.toUpperCase(),
      align: 'right',
      show: ({ durationNanos }) => showDuration(durationNanos?.[quantile]),
      exact: ({ durationNanos }) => durationNanos?.[quantile] ?? '',
    }),
  ),
  {
    title: 'LAST SEEN',
    show: ({ lastSeen }) => (lastSeen === null ? '' : showAge(lastSeen, Date.now())),
    exact: ({ lastSeen }) => lastSeen ?? '',
  },
];

function counted(count: number | null): string {
  return count === null ? '' : String(count);
}
