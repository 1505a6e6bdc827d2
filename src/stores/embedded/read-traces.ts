import { encodeTrace, type OriginBytes } from '../../otlp/index.ts';
import type { OperationSummary, Page, TraceReader, TraceSearch, TraceSummary } from '../contract.ts';
import { bloomHas } from './bloom.ts';
import { decodeCursor, encodeCursor, timeShape, uuidShape } from './cursor.ts';
import { Params, type Session } from './database.ts';
import { pageRowsMax, traceSpansMax } from './limits.ts';
import type { Part } from './parts.ts';
import {
  checkPatterns,
  Durations,
  filesAtOnce,
  idList,
  minuteCondition,
  overParts,
  overRollups,
  type ReadOptions,
  reading,
  readServices,
  timeCondition,
  within,
} from './reading.ts';
import { compileFilter, keysOf } from './sql.ts';

export function traceReader(options: ReadOptions): TraceReader {
  return {
    services: (range, cancel) => readServices(options, 'traces', range, cancel),

    operations: (service, range, cancel) =>
      reading(options, cancel, async (session, parts): Promise<readonly OperationSummary[]> => {
        const rows = await overRollups(
          options,
          session,
          within(parts, range),
          (rollup, params) =>
            `SELECT name, kind, bucket, sum(records), sum(errors) FROM ${rollup}
             WHERE ${minuteCondition(range, params)} AND service = ${params.text(service)} GROUP BY name, kind, bucket`,
        );
        const operations = new Map<
          string,
          { name: string; kind: number; spanCount: number; errorCount: number; durations: Durations }
        >();
        for (const [name, kind, bucket, records, errors] of rows) {
          const key = `${kind} ${name}`;
          let operation = operations.get(key);
          if (operation === undefined) {
            operation = {
              name: String(name),
              kind: Number(kind),
              spanCount: 0,
              errorCount: 0,
              durations: new Durations(),
            };
            operations.set(key, operation);
          }
          operation.spanCount += Number(records);
          operation.errorCount += Number(errors);
          operation.durations.add(Number(bucket), Number(records));
        }
        return [...operations.values()]
          .sort((a, b) => b.spanCount - a.spanCount || (a.name < b.name ? -1 : 1))
          .map(({ durations, ...operation }) => ({ ...operation, durationNanos: durations.summary() }));
      }),

    search: (search, cancel) =>
      reading(options, cancel, (session, parts) => searchTraces(options, session, parts, search)),

    trace: (traceId, cancel) =>
      reading(options, cancel, async (session, parts) => {
        const hex = traceId.toLowerCase();
        if (!/^[0-9a-f]{32}$/.test(hex)) return undefined;
        const origins = new Map<bigint, { parts: OriginBytes; spans: Map<string, Uint8Array> }>();
        const seen = new Set<string>();
        for (const part of options.shelf.grouped(mayHave(options, parts, [hex]), filesAtOnce)) {
          await options.shelf.readPart(part, async (each) => {
            const params = new Params();
            const rows = await session.rows(
              `SELECT record, origin FROM ${each.facts} WHERE trace_id = CAST(${params.text(hex)} AS UUID)
               ORDER BY time_unix_nano LIMIT ${traceSpansMax}`,
              params,
            );
            if (rows.length === 0) return;
            const ids = idList(new Set(rows.map(([, origin]) => origin as bigint)));
            for (const [id, resource, scope, resourceUrl, scopeUrl] of await session.rows(
              `SELECT id, resource, scope, resource_schema_url, scope_schema_url FROM ${each.dictionary} WHERE id IN (${ids})`,
              new Params(),
            )) {
              if (origins.has(id as bigint)) continue;
              origins.set(id as bigint, {
                parts: {
                  resource: (resource as { bytes: Uint8Array }).bytes,
                  scope: (scope as { bytes: Uint8Array }).bytes,
                  resourceSchemaUrl: String(resourceUrl),
                  scopeSchemaUrl: String(scopeUrl),
                },
                spans: new Map(),
              });
            }
            for (const [record, origin] of rows) {
              const { bytes } = record as { bytes: Uint8Array };
              // The same bytes are the same span, sent twice: trace and span id are among them.
              const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
              if (seen.has(text)) continue;
              seen.add(text);
              origins.get(origin as bigint)?.spans.set(text, bytes);
            }
          });
        }
        return seen.size === 0 ? undefined : encodeTrace([...origins.values()].filter(({ spans }) => spans.size > 0));
      }),
  };
}

/** The parts that can have one of these traces, by their filters. */
function mayHave(options: ReadOptions, parts: readonly Part[], traceIds: readonly string[]): Part[] {
  // Low 64 bits as two numbers, the lower first: as DuckDB's own form of a UUID has them.
  const halves = traceIds.map(
    (hex) => [Number.parseInt(hex.slice(24), 16), Number.parseInt(hex.slice(16, 24), 16)] as const,
  );
  return parts.filter(({ files }) => {
    const [file] = files; // before they are grouped
    if (file === undefined || file.bloomBytes === 0) return true;
    const path = options.shelf.bloomPath(file);
    return halves.some(([low, high]) => bloomHas(path, file.bloomBytes, low, high));
  });
}

// ---------------------------------------------------------------------------------------------- search

interface Candidate {
  /** As a UUID is written. */
  readonly id: string;
  /** Start of its newest span that matches. */
  readonly time: bigint;
}

/**
 * Traces by their newest matching span. A trace that a former page had does not come again: its newest matching span is at
 * or before the cursor. So that this holds while data arrive, later pages leave out spans that are newer than the first
 * page's newest.
 */
async function searchTraces(
  options: ReadOptions,
  session: Session,
  parts: readonly Part[],
  search: TraceSearch,
): Promise<Page<TraceSummary>> {
  await checkPatterns(session, search.filter);
  const limit = Math.min(Math.max(1, search.limit), pageRowsMax);
  const cursor =
    search.cursor === undefined ? undefined : decodeCursor(search.cursor, [timeShape, timeShape, uuidShape]);
  const newest = cursor === undefined ? undefined : BigInt(cursor[0]!);
  const after = cursor === undefined ? undefined : { time: BigInt(cursor[1]!), id: cursor[2]! };
  const range =
    newest === undefined || newest + 1n >= search.range.endUnixNano
      ? search.range
      : { ...search.range, endUnixNano: newest + 1n };
  const ordered = within(parts, range);
  const best = new Map<string, bigint>();
  const shown = new Set<string>();
  const page = (): Candidate[] => {
    const candidates = [...best].map(([id, time]) => ({ id, time }));
    candidates.sort((a, b) => (a.time === b.time ? (a.id < b.id ? 1 : -1) : a.time < b.time ? 1 : -1));
    return candidates;
  };
  const warnings: string[] = [];
  let incomplete = false;
  // What an earlier page may have shown is found among the candidates and left out, and then more are needed.
  let wanted = limit + 1;
  let candidates: Candidate[] = [];
  for (;;) {
    let least: bigint | undefined;
    const scan = await overParts(
      options,
      options.shelf.grouped(ordered, 1, keysOf(search.filter)),
      async (part) => {
        const params = new Params();
        const conditions = [matching(search, part, range, params)];
        if (after !== undefined) conditions.push(`time_unix_nano <= ${params.u64(after.time)}`);
        const rows = await session.rows(
          `SELECT CAST(trace_id AS VARCHAR), max(time_unix_nano) AS newest FROM ${part.facts}
           WHERE ${conditions.join(' AND ')} GROUP BY trace_id ORDER BY newest DESC, trace_id DESC LIMIT ${wanted + shown.size}`,
          params,
        );
        for (const [id, time] of rows) {
          if (shown.has(String(id))) continue;
          const known = best.get(String(id));
          if (known === undefined || known < (time as bigint)) best.set(String(id), time as bigint);
        }
        least = page()[wanted - 1]?.time;
      },
      (next) => least === undefined || next.maxTimeUnixNano >= least,
    );
    incomplete ||= scan.incomplete;
    for (const warning of scan.warnings) if (!warnings.includes(warning)) warnings.push(warning);
    candidates = page().filter(({ id, time }) => after === undefined || time < after.time || id < after.id);
    const enough = best.size < wanted;
    if (after === undefined || scan.incomplete) break;
    const gone = await newerThan(options, session, ordered, search, range, after, candidates);
    for (const id of gone) {
      shown.add(id);
      best.delete(id);
    }
    candidates = candidates.filter(({ id }) => !shown.has(id));
    if (candidates.length > limit || enough) break;
    wanted += limit + 1;
  }
  const items = candidates.slice(0, limit);
  const last = items.at(-1);
  const first = newest ?? items[0]?.time;
  return {
    items: await summaries(options, session, parts, items),
    next:
      candidates.length > limit && last !== undefined
        ? encodeCursor([String(first), String(last.time), last.id])
        : undefined,
    incomplete,
    warnings,
  };
}

function matching(search: TraceSearch, part: Part, range: TraceSearch['range'], params: Params): string {
  const conditions = [timeCondition(range, params), compileFilter(search.filter, 'traces', part, params)];
  if (search.service !== undefined) conditions.push(`service = ${params.text(search.service)}`);
  if (search.operation !== undefined) conditions.push(`name = ${params.text(search.operation)}`);
  if (search.minDurationNanos !== undefined)
    conditions.push(`duration_nanos >= ${params.i64(search.minDurationNanos)}`);
  if (search.maxDurationNanos !== undefined)
    conditions.push(`duration_nanos <= ${params.i64(search.maxDurationNanos)}`);
  return conditions.join(' AND ');
}

/** Those of the candidates that have a matching span at or after the cursor's place: a former page showed them. */
async function newerThan(
  options: ReadOptions,
  session: Session,
  parts: readonly Part[],
  search: TraceSearch,
  range: TraceSearch['range'],
  after: { time: bigint; id: string },
  candidates: readonly Candidate[],
): Promise<Set<string>> {
  const gone = new Set<string>();
  if (candidates.length === 0) return gone;
  const hexes = candidates.map(({ id }) => id.replaceAll('-', ''));
  const newer = parts.filter(({ maxTimeUnixNano }) => maxTimeUnixNano >= after.time);
  for (const part of options.shelf.grouped(mayHave(options, newer, hexes), filesAtOnce)) {
    await options.shelf.readPart(part, async (each) => {
      const params = new Params();
      const where = matching(search, each, range, params);
      const time = params.u64(after.time);
      const ids = candidates.map(({ id }) => `CAST(${params.text(id)} AS UUID)`).join(', ');
      const id = `CAST(${params.text(after.id)} AS UUID)`;
      for (const [found] of await session.rows(
        `SELECT DISTINCT CAST(trace_id AS VARCHAR) FROM ${each.facts} WHERE ${where}
         AND (time_unix_nano > ${time} OR (time_unix_nano = ${time} AND trace_id >= ${id})) AND trace_id IN (${ids})`,
        params,
      )) {
        gone.add(String(found));
      }
    });
  }
  return gone;
}

/** What the list shows of each trace: of all its spans, not only of those that matched. */
async function summaries(
  options: ReadOptions,
  session: Session,
  parts: readonly Part[],
  candidates: readonly Candidate[],
): Promise<TraceSummary[]> {
  if (candidates.length === 0) return [];
  interface Sum {
    start: bigint;
    end: bigint;
    spans: Set<string>;
    errors: number;
    services: Set<string>;
    root: { service: string; name: string; start: bigint } | undefined;
  }
  const sums = new Map<string, Sum>();
  const hexes = candidates.map(({ id }) => id.replaceAll('-', ''));
  for (const part of options.shelf.grouped(mayHave(options, parts, hexes), filesAtOnce)) {
    await options.shelf.readPart(part, async (each) => {
      const params = new Params();
      const ids = candidates.map(({ id }) => `CAST(${params.text(id)} AS UUID)`).join(', ');
      const rows = await session.rows(
        `SELECT CAST(trace_id AS VARCHAR), span_id, time_unix_nano, duration_nanos, status, service,
           CASE WHEN parent_span_id IS NULL THEN name END, name
         FROM ${each.facts} WHERE trace_id IN (${ids}) LIMIT ${traceSpansMax}`,
        params,
      );
      for (const [id, spanId, start, duration, status, service, rootName, name] of rows) {
        let sum = sums.get(String(id));
        if (sum === undefined) {
          sum = { start: start as bigint, end: 0n, spans: new Set(), errors: 0, services: new Set(), root: undefined };
          sums.set(String(id), sum);
        }
        // What was sent twice is counted once. The record's bytes would tell for sure, and cost ten times as much to read.
        const span = `${spanId} ${start} ${duration} ${status} ${name}`;
        if (sum.spans.has(span)) continue;
        sum.spans.add(span);
        const from = start as bigint;
        const end = from + (duration as bigint);
        if (from < sum.start) sum.start = from;
        if (end > sum.end) sum.end = end;
        if (status === 2) sum.errors++;
        sum.services.add(String(service));
        if (rootName !== null && (sum.root === undefined || from < sum.root.start)) {
          sum.root = { service: String(service), name: String(rootName), start: from };
        }
      }
    });
  }
  return candidates.flatMap(({ id }): TraceSummary[] => {
    const sum = sums.get(id);
    if (sum === undefined) return [];
    return [
      {
        traceId: id.replaceAll('-', ''),
        rootService: sum.root?.service ?? '',
        rootName: sum.root?.name ?? '',
        startTimeUnixNano: sum.start,
        durationNanos: sum.end > sum.start ? sum.end - sum.start : 0n,
        spanCount: sum.spans.size,
        errorCount: sum.errors,
        services: [...sum.services].sort(),
      },
    ];
  });
}
