import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { escapeForTerminal, escapeJson } from '../escape.ts';
import { CommandFailure, exitCodes } from '../failure.ts';
import { pageRecordsMax, pollMs, tailEnd, tailIdsMax, tailOverlapMs } from '../limits.ts';
import { type LogRecord, logColumns, logPage, severityOf, severityStyle } from '../log-rows.ts';
import type { Outcome } from '../program.ts';
import { addReaderOptions, fullQuery, reading } from '../reader-options.ts';
import { showTime, showValue } from '../show.ts';
import { csvLines, type OutputFormat } from '../table.ts';
import type { Paint, Terminal } from '../terminal.ts';

export function register(command: Command, outcome: Outcome): void {
  command.argument('[query]', 'as for logs');
  addReaderOptions(command, ['since', 'service', 'namespace', 'limit', 'query'], undefined);
  command.addHelpText(
    'after',
    `
Shows what arrives, with --since or --start after what is already there, until Ctrl-C or --limit records.
-o json is ndjson here.

Examples:
  watchingcat tail --service checkout
  watchingcat tail 'severity>=warn' --since 10m -o ndjson | jq .body`,
  );
  command.action(async (written: string | undefined) => {
    const { rest, terminal, format, options, range } = reading(command, outcome);
    const query = fullQuery({
      query: written ?? options.query,
      service: options.service,
      namespace: options.namespace,
    });
    const stop = new AbortController();
    terminal.say(terminal.paint('dim', `following ${rest.endpoint}; Ctrl-C ends`));
    process.once('SIGINT', () => stop.abort());
    if (format === 'csv') terminal.print(csvLines(logColumns, [])[0] ?? '');
    const seen = new SeenRecords(tailIdsMax);
    const first = String(range['start'] ?? unixNano());
    let start = first;
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    let wasAway = false;
    while (left > 0 && !stop.signal.aborted) {
      try {
        // Each poll looks back a little: records arrive later than their time says, and are shown once. It looks ahead a
        // little, too: clocks differ.
        const asked = { query, start, end: tailEnd, order: 'asc', limit: pageRecordsMax };
        const now = unixNano();
        let cursor: string | undefined;
        do {
          const page = await logPage(rest, { ...asked, cursor }, stop.signal);
          if (wasAway) terminal.say(`${rest.endpoint} answers again.`);
          wasAway = false;
          const fresh = page.items.filter((record) => seen.add(record)).slice(0, left);
          for (const record of fresh) printRecord(terminal, format, record);
          left -= fresh.length;
          cursor = page.nextCursor;
        } while (cursor !== undefined && left > 0);
        start = nextStart(first, seen, now);
      } catch (error) {
        if (stop.signal.aborted) break;
        // A restart of the other side must not end what somebody is watching; a first call that fails shall.
        if (!(error instanceof CommandFailure) || error.exitCode !== exitCodes.unreachable || seen.newest === undefined)
          throw error;
        if (!wasAway) terminal.say(`${error.message} Waiting for it.`);
        wasAway = true;
      }
      await sleep(pollMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  });
}

/** Where the next poll starts: a little before the newest record, and before now where that one is from the future. */
export function nextStart(first: string, seen: SeenRecords, nowUnixNano: bigint): string {
  if (seen.newest === undefined) return first;
  const until = seen.newest < nowUnixNano ? seen.newest : nowUnixNano;
  const back = until - BigInt(tailOverlapMs) * 1_000_000n;
  const start = back > seen.forgotten ? back : seen.forgotten + 1n;
  return /^\d+$/.test(first) && BigInt(first) > start ? first : String(start);
}

function unixNano(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

/** Remembers the latest records; forgets the oldest. */
export class SeenRecords {
  readonly #times = new Map<string, bigint>();
  readonly #max: number;
  #newest: bigint | undefined;
  #forgotten = -1n;

  constructor(max: number) {
    this.#max = max;
  }

  /** Time of the newest record that was ever added. */
  get newest(): bigint | undefined {
    return this.#newest;
  }

  /** Time of the newest record that is no longer remembered: a poll from there would show it again. -1n: none yet. */
  get forgotten(): bigint {
    return this.#forgotten;
  }

  /** False where it was there already. */
  add({ id, timeUnixNano }: Pick<LogRecord, 'id' | 'timeUnixNano'>): boolean {
    if (this.#times.has(id)) return false;
    const time = BigInt(timeUnixNano);
    this.#times.set(id, time);
    if (this.#newest === undefined || time > this.#newest) this.#newest = time;
    if (this.#times.size > this.#max) {
      const [oldest] = this.#times;
      if (oldest !== undefined) {
        this.#times.delete(oldest[0]);
        if (oldest[1] > this.#forgotten) this.#forgotten = oldest[1];
      }
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
