import { Fault, type Signal } from '../../base/index.ts';
import type { ServiceSummary, TimeRange } from '../contract.ts';
import type { Filter } from '../filter.ts';
import { Params, type Queries, type Row, type Session } from './database.ts';
import { nanosPerMinute } from './kinds.ts';
import { queryTimeMaxMs } from './limits.ts';
import type { Part } from './parts.ts';
import { bucketsPerOctave } from './rollup.ts';
import type { Shelf } from './shelf.ts';
import { patternsOf } from './sql.ts';

// What the readers of all signals share.

export interface ReadOptions {
  readonly shelf: Shelf;
  readonly queries: Queries;
  /** Milliseconds for one query. */
  readonly timeMs?: number | undefined;
}

/** Pins what there is, takes a connection, and lets go of both. */
export function reading<T>(
  options: ReadOptions,
  cancel: AbortSignal,
  read: (session: Session, parts: readonly Part[]) => Promise<T>,
): Promise<T> {
  return options.queries.run(cancel, options.timeMs ?? queryTimeMaxMs, async (session) => {
    using snapshot = options.shelf.pin();
    return await read(session, snapshot.parts);
  });
}

/** The parts that can have records of this range. */
export function within(parts: readonly Part[], range: TimeRange): Part[] {
  return parts.filter(
    (part) => part.maxTimeUnixNano >= range.startUnixNano && part.minTimeUnixNano < range.endUnixNano,
  );
}

export function timeCondition(range: TimeRange, params: Params): string {
  const from = `time_unix_nano >= ${params.u64(range.startUnixNano)}`;
  // Half-open; the last nanosecond there is cannot be left out of a range that ends after it.
  if (range.endUnixNano > 0xffffffffffffffffn) return from;
  return `${from} AND time_unix_nano < ${params.u64(range.endUnixNano)}`;
}

/**
 * Tries the filter's regular expressions, so that a wrong one is the caller's mistake and not a damaged file's.
 * @throws Fault `malformed`, parameter `query`.
 */
export async function checkPatterns(session: Session, filter: Filter): Promise<void> {
  for (const pattern of patternsOf(filter)) {
    const params = new Params();
    try {
      await session.rows(`SELECT regexp_matches('', ${params.text(pattern)})`, params);
    } catch (error) {
      if (error instanceof Fault || !(error instanceof Error) || !error.message.startsWith('Invalid Input Error'))
        throw error;
      const [reason = ''] = error.message.slice('Invalid Input Error: '.length).split('\n');
      throw new Fault('malformed', `not a regular expression (RE2): ${reason}`, { parameter: 'query' });
    }
  }
}

/**
 * Asks one part after another while `more` says that it is needed. When the time is over, or where a file is damaged, what
 * was found so far is the answer, with a warning.
 */
export async function overParts(
  options: ReadOptions,
  parts: readonly Part[],
  visit: (part: Part) => Promise<void>,
  more: (next: Part) => boolean = () => true,
): Promise<{ incomplete: boolean; warnings: string[] }> {
  const warnings: string[] = [];
  for (const part of parts) {
    if (!more(part)) break;
    try {
      const { damaged } = await options.shelf.readPart(part, visit);
      if (damaged && !warnings.includes(leftOut)) warnings.push(leftOut);
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'tooSlow') throw error;
      warnings.push('the time for one query was used up; narrow the time range or the conditions');
      break;
    }
  }
  return { incomplete: warnings.length > 0, warnings };
}

/** What an answer says that was made without a damaged file. */
export const leftOut = 'a damaged file was left out';

/** Files that one statement reads where all of them are needed anyway. */
export const filesAtOnce = 256;

/** One statement over the roll-ups of all parts; damaged files are left out. */
export async function overRollups(
  options: ReadOptions,
  session: Session,
  parts: readonly Part[],
  statement: (rollup: string, params: Params) => string,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const part of options.shelf.grouped(parts, filesAtOnce)) {
    await options.shelf.readPart(part, async (each) => {
      const params = new Params();
      const sql = statement(each.rollup, params);
      for (const row of await session.rows(sql, params)) rows.push(row);
    });
  }
  return rows;
}

/** Whole minutes that a range touches: what roll-ups can tell. */
export function minuteCondition(range: TimeRange, params: Params): string {
  const last = (range.endUnixNano + nanosPerMinute - 1n) / nanosPerMinute;
  return `minute >= ${params.u64(range.startUnixNano / nanosPerMinute)} AND minute < ${params.u64(last)}`;
}

/** Counts of durations by bucket, and the quantiles that they tell. */
export class Durations {
  readonly #counts = new Map<number, number>();
  #total = 0;

  add(bucket: number, count: number): void {
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count);
    this.#total += count;
  }

  /** Interpolated within the bucket that holds the rank. */
  quantile(q: number): bigint {
    if (this.#total === 0) return 0n;
    let rank = q * this.#total;
    const buckets = [...this.#counts].sort(([a], [b]) => a - b);
    for (const [bucket, count] of buckets) {
      if (rank > count) {
        rank -= count;
        continue;
      }
      if (bucket < 0) return 0n;
      return BigInt(Math.round(2 ** ((bucket + rank / count) / bucketsPerOctave)));
    }
    return 0n;
  }

  summary(): { p50: bigint; p95: bigint; p99: bigint } {
    return { p50: this.quantile(0.5), p95: this.quantile(0.95), p99: this.quantile(0.99) };
  }
}

/** `/services` from roll-ups: never scans records that are in files. */
export async function readServices(
  options: ReadOptions,
  signal: Signal,
  range: TimeRange,
  cancel: AbortSignal,
): Promise<readonly ServiceSummary[]> {
  return reading(options, cancel, async (session, parts) => {
    const spans = signal === 'traces';
    const rows = await overRollups(options, session, within(parts, range), (rollup, params) => {
      const where = minuteCondition(range, params);
      return spans
        ? `SELECT service, namespace, environment, sum(records), max(last_seen), bucket, sum(errors) FROM ${rollup}
           WHERE ${where} GROUP BY service, namespace, environment, bucket`
        : `SELECT service, namespace, environment, sum(records), max(last_seen) FROM ${rollup}
           WHERE ${where} GROUP BY service, namespace, environment`;
    });
    const services = new Map<
      string,
      {
        name: string;
        namespace: string;
        environment: string;
        records: number;
        errors: number;
        seen: bigint;
        durations: Durations;
      }
    >();
    for (const [name, namespace, environment, records, seen, bucket, errors] of rows) {
      const key = JSON.stringify([name, namespace, environment]);
      let service = services.get(key);
      if (service === undefined) {
        service = {
          name: String(name ?? ''),
          namespace: String(namespace ?? ''),
          environment: String(environment ?? ''),
          records: 0,
          errors: 0,
          seen: 0n,
          durations: new Durations(),
        };
        services.set(key, service);
      }
      service.records += Number(records);
      if ((seen as bigint) > service.seen) service.seen = seen as bigint;
      if (!spans) continue;
      service.errors += Number(errors);
      service.durations.add(Number(bucket), Number(records));
    }
    return [...services.values()]
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.namespace < b.namespace ? -1 : 1))
      .map(({ seen, durations, ...service }) => ({
        ...service,
        signal,
        durationNanos: spans ? durations.summary() : undefined,
        lastSeenUnixNano: seen,
      }));
  });
}

/** A list for IN, of ids that came out of our own tables. */
export function idList(ids: Iterable<bigint>): string {
  return [...ids].map((id) => `${id}::UBIGINT`).join(', ');
}
