import type { Command } from 'commander';
import { escapeJson } from '../escape.ts';
import { CommandFailure } from '../failure.ts';
import { pageRecordsMax } from '../limits.ts';
import type { Outcome } from '../program.ts';
import { addReaderOptions, fullQuery, pages, reading, sayWarnings } from '../reader-options.ts';
import { exactTime, showDuration, showTime } from '../show.ts';
import { type Column, printRows } from '../table.ts';
import { type OtlpTrace, spanColumns, traceRows, waterfallColumns } from '../waterfall.ts';

interface Trace {
  readonly traceId: string;
  readonly rootService: string;
  readonly rootName: string;
  readonly startTimeUnixNano: string;
  readonly durationNanos: string;
  readonly spanCount: number;
  readonly errorCount: number;
  readonly services: readonly string[];
}

export function register(command: Command, outcome: Outcome): void {
  command.argument('[id or query]', 'a trace id shows that trace; anything else searches');
  addReaderOptions(command, ['range', 'service', 'namespace', 'limit', 'query'], 20);
  command.option('--operation <name>', 'only traces with a span of this name');
  command.option('--min-duration <duration>', 'such as 250ms');
  command.option('--max-duration <duration>', 'such as 5s');
  command.addHelpText(
    'after',
    `
Examples:
  watchingcat traces 'status=error AND http.response.status_code>=500' --since 30m
  watchingcat traces --service checkout --min-duration 1s
  watchingcat traces 5b8efff798038103d269b633813fc60c
  watchingcat traces 5b8efff798038103d269b633813fc60c -o json > trace.otlp.json`,
  );
  command.action(async (written: string | undefined) => {
    const { rest, terminal, format, options, range } = reading(command, outcome);
    if (written !== undefined && /^[0-9a-f]{32}$/i.test(written)) {
      const trace = await rest.get<OtlpTrace>(`/api/v1/traces/${written.toLowerCase()}`);
      if (format === 'json') terminal.print(escapeJson(JSON.stringify(trace, null, 2)));
      else printRows(terminal, format, format === 'csv' ? spanColumns : waterfallColumns, traceRows(trace), trace);
      return;
    }
    const { operation, minDuration, maxDuration } = command.opts<{ [name: string]: string | undefined }>();
    if (written !== undefined && /^[0-9a-f]{16,31}$/i.test(written)) {
      throw new CommandFailure(
        'usage',
        'A trace id has 32 hex digits; to search for this text, put it in quotes: \'"…"\'.',
      );
    }
    const query = fullQuery({ query: written ?? options.query, namespace: options.namespace });
    const found = await pages(options.limit ?? 20, pageRecordsMax, async (limit, cursor) => {
      const answer = await rest.get<{ traces: Trace[]; nextCursor?: string | null; warnings?: string[] }>(
        '/api/v1/traces',
        {
          ...range,
          query,
          service: options.service,
          operation,
          minDuration,
          maxDuration,
          limit,
          cursor,
        },
      );
      return { items: answer.traces, nextCursor: answer.nextCursor ?? undefined, warnings: answer.warnings };
    });
    printRows(terminal, format, columns, found.items, { traces: found.items, warnings: found.warnings });
    sayWarnings(terminal, found);
    if (found.items.length === 0) terminal.say('No trace matches in this time; --since 24h looks further back.');
    else if (found.more) terminal.say(`There are more than ${found.items.length}: --limit asks for more.`);
  });
}

const columns: readonly Column<Trace>[] = [
  { title: 'TRACE', show: ({ traceId }) => traceId },
  {
    title: 'START',
    show: ({ startTimeUnixNano }) => showTime(startTimeUnixNano),
    exact: ({ startTimeUnixNano }) => exactTime(startTimeUnixNano),
  },
  {
    title: 'DURATION',
    align: 'right',
    show: ({ durationNanos }) => showDuration(durationNanos),
    exact: ({ durationNanos }) => durationNanos,
  },
  { title: 'SPANS', align: 'right', show: ({ spanCount }) => String(spanCount) },
  {
    title: 'ERRORS',
    align: 'right',
    show: ({ errorCount }) => String(errorCount),
    style: ({ errorCount }) => (errorCount > 0 ? 'red' : undefined),
  },
  {
    title: 'ROOT',
    show: ({ rootService, rootName }) =>
      rootName === '' ? '(the root span has not arrived)' : `${rootService}: ${rootName}`,
  },
];
