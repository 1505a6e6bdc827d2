import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { escapeForTerminal, escapeJson } from '../escape.ts';
import { CommandFailure, exitCodes } from '../failure.ts';
import { pageRecordsMax, pollMs, tailIdsMax, tailOverlapMs } from '../limits.ts';
import { type LogRecord, logColumns, searchLogs, severityOf, severityStyle } from '../log-rows.ts';
import type { Outcome } from '../program.ts';
import { addReaderOptions, fullQuery, reading } from '../reader-options.ts';
import { showTime, showValue } from '../show.ts';
import { csvLines, type OutputFormat } from '../table.ts';
import type { Paint, Terminal } from '../terminal.ts';

export function register(command: Command, outcome: Outcome): void {
  command.argument('[query]', 'as for logs');
  addReaderOptions(command, ['range', 'service', 'namespace', 'limit', 'query'], 1_000_000);
  command.addHelpText(
    'after',
    `
Shows what is already there with --since, then what arrives, until Ctrl-C or --limit records. -o json is ndjson here.

Examples:
  watchingcat tail --service checkout
  watchingcat tail 'severity>=warn' --since 10m -o ndjson | jq .body`,
  );
  command.action(async (written: string | undefined) => {
    const { rest, terminal, format, options, range } = reading(command, outcome);
    if (options.end !== undefined) command.error('error: tail has no end; "logs" takes --end');
    const query = fullQuery({
      query: written ?? options.query,
      service: options.service,
      namespace: options.namespace,
    });
    const stop = new AbortController();
    terminal.say(terminal.paint('dim', `following ${rest.endpoint}; Ctrl-C ends`));
    process.once('SIGINT', () => stop.abort());
    if (format === 'csv') terminal.print(csvLines(logColumns, [])[0] ?? '');
    const seen = new SeenIds(tailIdsMax);
    let start = String(range['start'] ?? 'now');
    if (start === 'now') start = `${BigInt(Date.now()) * 1_000_000n}`;
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    let wasAway = false;
    while (left > 0 && !stop.signal.aborted) {
      try {
        // Each poll looks back a little: records arrive later than their time says, and are shown once.
        const found = await searchLogs(rest, { query, start, order: 'asc', limit: pageRecordsMax }, stop.signal);
        if (wasAway) terminal.say(`${rest.endpoint} answers again.`);
        wasAway = false;
        const fresh = found.items.filter(({ id }) => seen.add(id)).slice(0, left);
        for (const record of fresh) printRecord(terminal, format, record);
        left -= fresh.length;
        start = nextStart(start, found.items, found.more);
        if (found.more) continue;
      } catch (error) {
        if (stop.signal.aborted) break;
        // A restart of the other side must not end what somebody is watching; a first call that fails shall.
        if (!(error instanceof CommandFailure) || error.exitCode !== exitCodes.unreachable || seen.size === 0)
          throw error;
        if (!wasAway) terminal.say(`${error.message} Waiting for it.`);
        wasAway = true;
      }
      await sleep(pollMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  });
}

/** Where the next poll starts: at the last record where there was more, else a little before it. */
export function nextStart(start: string, records: readonly LogRecord[], more: boolean): string {
  const last = records.at(-1);
  if (last === undefined) return start;
  const time = BigInt(last.timeUnixNano);
  if (more) return String(time);
  const back = time - BigInt(tailOverlapMs) * 1_000_000n;
  return /^\d+$/.test(start) && BigInt(start) > back ? start : String(back);
}

/** Remembers the latest ids; forgets the oldest. */
export class SeenIds {
  readonly #ids = new Set<string>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#ids.size;
  }

  /** False where it was there already. */
  add(id: string): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > this.#max) {
      const [oldest] = this.#ids;
      if (oldest !== undefined) this.#ids.delete(oldest);
    }
    return true;
  }
}

function printRecord(terminal: Terminal, format: OutputFormat, record: LogRecord): void {
  if (format === 'table') terminal.print(logLine(record, terminal.paint));
  else if (format === 'csv') terminal.print(csvLines(logColumns, [record])[1] ?? '');
  else terminal.print(escapeJson(JSON.stringify(record)));
}

function logLine(record: LogRecord, paint: Paint): string {
  const style = severityStyle(record.severityNumber);
  const severity = escapeForTerminal(severityOf(record)).padEnd(5);
  const service = escapeForTerminal(showValue(record.resource['service.name']));
  return [
    paint('dim', showTime(record.timeUnixNano)),
    style === undefined ? severity : paint(style, severity),
    paint('cyan', service),
    escapeForTerminal(showValue(record.body)),
  ].join(' ');
}
