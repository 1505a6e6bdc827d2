import { plainAttributes, plainValue, Reader } from '../../otlp/index.ts';
import type {
  FieldSummary,
  FieldValue,
  Json,
  LogHistogram,
  LogReader,
  LogRow,
  LogSearch,
  Page,
  TimeRange,
} from '../contract.ts';
import { type Filter, fieldName, fieldNamed, type Intrinsic } from '../filter.ts';
import { decodeCursor, encodeCursor, indexShape, timeShape, uuidShape } from './cursor.ts';
import { Params, type Session } from './database.ts';
import { pageRowsMax } from './limits.ts';
import { type Part, span } from './parts.ts';
import {
  checkPatterns,
  filesAtOnce,
  idList,
  leftOut,
  overParts,
  type ReadOptions,
  reading,
  readServices,
  timeCondition,
  within,
} from './reading.ts';
import { compileFilter, keysOf, severities, severityName, valueAsJson } from './sql.ts';

/** A record that was found. Where it is in a file, its bytes are read only when it is on the page. */
interface Found {
  readonly time: bigint;
  readonly digest: string;
  readonly index: number;
  readonly part: Part;
  /** '' in a hot part. */
  readonly file: string;
  readonly row: bigint;
}

/** What a page shows of it. */
interface Read {
  readonly found: Found;
  readonly observed: bigint;
  readonly record: Uint8Array;
  /** Text of the body; what its bytes hold counts. */
  readonly body: string | null;
  readonly traceId: string;
  readonly spanId: string;
  readonly resource: { [key: string]: Json };
  readonly scopeName: string;
}

export function logReader(options: ReadOptions): LogReader {
  return {
    services: (range, cancel) => readServices(options, 'logs', range, cancel),

    search: (search, cancel) =>
      reading(options, cancel, async (session, parts): Promise<Page<LogRow>> => {
        await checkPatterns(session, search.filter);
        const limit = Math.min(Math.max(1, search.limit), pageRowsMax);
        const after =
          search.cursor === undefined ? undefined : decodeCursor(search.cursor, [timeShape, uuidShape, indexShape]);
        const descending = search.order === 'desc';
        const range = after === undefined ? search.range : narrowed(search.range, BigInt(after[0]!), descending);
        const ordered = within(parts, range);
        if (!descending) ordered.sort((a, b) => compare(a.minTimeUnixNano, b.minTimeUnixNano));
        const found: Found[] = [];
        const { incomplete, warnings } = await overParts(
          options,
          options.shelf.grouped(ordered, 1, keysOf(search.filter)),
          async (part) => {
            found.push(...(await searchPart(session, part, { ...search, range }, after, limit + 1)));
            found.sort((a, b) => (descending ? byPlace(b, a) : byPlace(a, b)));
            found.length = Math.min(found.length, limit + 1);
          },
          (next) => {
            const last = found[limit];
            if (last === undefined) return true;
            return descending ? next.maxTimeUnixNano >= last.time : next.minTimeUnixNano <= last.time;
          },
        );
        const page = found.slice(0, limit);
        const last = page.at(-1);
        return {
          items: (await readRecords(options, session, page, warnings)).map(logRow),
          next:
            found.length > limit && last !== undefined
              ? encodeCursor([String(last.time), last.digest, last.index])
              : undefined,
          incomplete: incomplete || warnings.length > 0,
          warnings,
        };
      }),

    histogram: (search, cancel) =>
      reading(options, cancel, async (session, parts): Promise<LogHistogram> => {
        await checkPatterns(session, search.filter);
        const { intervalNanos, range } = search;
        const counts = new Map<bigint, { [level: string]: number }>();
        const { incomplete, warnings } = await overParts(
          options,
          options.shelf.grouped(within(parts, range), filesAtOnce, keysOf(search.filter)),
          async (part) => {
            const params = new Params();
            const where = `${timeCondition(range, params)} AND ${compileFilter(search.filter, 'logs', part, params)}`;
            const rows = await session.rows(
              `SELECT time_unix_nano // ${params.u64(intervalNanos)} AS bucket, ${severityName('severity')} AS level, count(*)
             FROM ${part.facts} WHERE ${where} GROUP BY bucket, level`,
              params,
            );
            for (const [bucket, level, count] of rows) {
              const bySeverity = counts.get(bucket as bigint) ?? noCounts();
              bySeverity[String(level)] = (bySeverity[String(level)] ?? 0) + Number(count);
              counts.set(bucket as bigint, bySeverity);
            }
          },
        );
        const buckets: { startUnixNano: bigint; bySeverity: { [level: string]: number } }[] = [];
        if (range.endUnixNano > range.startUnixNano) {
          const last = (range.endUnixNano - 1n) / intervalNanos;
          for (let bucket = range.startUnixNano / intervalNanos; bucket <= last; bucket++) {
            if (buckets.length >= pageRowsMax) {
              warnings.push(`more than ${pageRowsMax} buckets; widen the interval`);
              break;
            }
            buckets.push({ startUnixNano: bucket * intervalNanos, bySeverity: counts.get(bucket) ?? noCounts() });
          }
        }
        return { intervalNanos, buckets, incomplete: incomplete || warnings.length > 0, warnings };
      }),

    fields: (search, cancel) => readFields(options, search, cancel),
    fieldValues: (search, cancel) => readFieldValues(options, search, cancel),
  };
}

function noCounts(): { [level: string]: number } {
  const counts: { [level: string]: number } = {};
  for (const [name] of severities) counts[name] = 0;
  counts['unset'] = 0;
  return counts;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function byPlace(a: Found, b: Found): number {
  return compare(a.time, b.time) || (a.digest < b.digest ? -1 : a.digest > b.digest ? 1 : a.index - b.index);
}

function narrowed(range: TimeRange, time: bigint, descending: boolean): TimeRange {
  if (descending) return { ...range, endUnixNano: time + 1n < range.endUnixNano ? time + 1n : range.endUnixNano };
  return { ...range, startUnixNano: time > range.startUnixNano ? time : range.startUnixNano };
}

/** The first `limit` rows of one part, with their resources. */
async function searchPart(
  session: Session,
  part: Part,
  search: Pick<LogSearch, 'range' | 'filter' | 'order'>,
  after: readonly string[] | undefined,
  limit: number,
): Promise<Found[]> {
  const params = new Params();
  const conditions = [timeCondition(search.range, params), compileFilter(search.filter, 'logs', part, params)];
  if (after !== undefined) {
    const time = params.u64(BigInt(after[0]!));
    const digest = `CAST(${params.text(after[1]!)} AS UUID)`;
    const index = params.int(Number(after[2]));
    const op = search.order === 'desc' ? '<' : '>';
    conditions.push(
      `(time_unix_nano ${op} ${time} OR (time_unix_nano = ${time} AND (digest ${op} ${digest} OR (digest = ${digest} AND digest_index ${op} ${index}))))`,
    );
  }
  const direction = search.order === 'desc' ? 'DESC' : 'ASC';
  const place = part.files.length === 0 ? "'', rowid" : 'filename, file_row_number';
  const rows = await session.rows(
    `SELECT time_unix_nano, CAST(digest AS VARCHAR), digest_index, ${place}
     FROM ${part.facts} WHERE ${conditions.join(' AND ')}
     ORDER BY time_unix_nano ${direction}, digest ${direction}, digest_index ${direction} LIMIT ${Math.trunc(limit)}`,
    params,
  );
  return rows.map(
    ([time, digest, index, file, row]): Found => ({
      time: time as bigint,
      digest: String(digest),
      index: Number(index),
      part,
      file: String(file),
      row: row as bigint,
    }),
  );
}

/**
 * The bytes of the records on a page. They are most of a file, so a search leaves them out: of a file of 100,000 records it
 * takes 5 ms without and 20 ms with them.
 */
async function readRecords(
  options: ReadOptions,
  session: Session,
  page: readonly Found[],
  warnings: string[],
): Promise<Read[]> {
  const read = new Map<Found, Read>();
  for (const [whole, found] of Map.groupBy(page, ({ part }) => part)) {
    const { damaged } = await options.shelf.readPart(whole, async (part) => {
      const byFile = Map.groupBy(found, ({ file }) => file);
      const params = new Params();
      const places = [...byFile].map(([file, rows]) => {
        const list = rows.map(({ row }) => `${row}`).join(', ');
        return file === ''
          ? `rowid IN (${list})`
          : `(filename = ${params.text(file)} AND file_row_number IN (${list}))`;
      });
      const hot = part.files.length === 0;
      const times = span(found.map(({ time }) => time));
      const least = params.u64(times.least);
      const most = params.u64(times.most);
      const rows = await session.rows(
        `SELECT ${hot ? "'', rowid" : 'filename, file_row_number'}, observed_time_unix_nano, record, origin, body, trace_id, span_id FROM ${part.facts}
         WHERE time_unix_nano BETWEEN ${least} AND ${most} AND (${places.join(' OR ')})`,
        params,
      );
      const origins = new Map<bigint, Pick<Read, 'resource' | 'scopeName'>>();
      const ids = idList(new Set(rows.map((row) => row[4] as bigint)));
      for (const [id, resource, scopeName] of await session.rows(
        `SELECT id, resource, scope_name FROM ${part.dictionary} WHERE id IN (${ids || 'NULL'})`,
        new Params(),
      )) {
        const { bytes } = resource as { bytes: Uint8Array };
        origins.set(id as bigint, {
          resource: plainAttributes(bytes, 0, bytes.length, 1),
          scopeName: String(scopeName),
        });
      }
      const byPlace = new Map(found.map((each) => [`${each.row} ${each.file}`, each]));
      for (const [file, row, observed, record, origin, body, traceId, spanId] of rows) {
        const each = byPlace.get(`${row} ${file}`);
        if (each === undefined) continue;
        const known = origins.get(origin as bigint) ?? { resource: {}, scopeName: '' };
        read.set(each, {
          found: each,
          observed: observed as bigint,
          record: (record as { bytes: Uint8Array }).bytes,
          body: body as string | null,
          traceId: traceId === null ? '' : String(traceId).replaceAll('-', ''),
          spanId: spanId === null ? '' : (spanId as bigint).toString(16).padStart(16, '0'),
          ...known,
        });
      }
    });
    if (damaged && !warnings.includes(leftOut)) warnings.push(leftOut);
  }
  return page.flatMap((each) => read.get(each) ?? []);
}

/** The record, of its bytes and of the columns that hold what was cut out of them: see `record` in FORMAT.md. */
function logRow({ found, observed, record, resource, scopeName, traceId, spanId, ...read }: Read): LogRow {
  let severityNumber = 0;
  let severityText = '';
  let eventName = '';
  let body: Json = read.body;
  const reader = new Reader(record);
  while (reader.next()) {
    switch (reader.field) {
      case 2:
        severityNumber = reader.int32();
        break;
      case 3:
        severityText = reader.string();
        break;
      case 5:
        body = plainValue(record, reader.valueStart, reader.valueEnd);
        break;
      case 12:
        eventName = reader.string();
        break;
      default:
    }
  }
  return {
    id: `${found.digest.replaceAll('-', '')}-${found.index}`,
    timeUnixNano: found.time,
    observedTimeUnixNano: observed,
    severityNumber,
    severityText,
    eventName,
    body,
    attributes: plainAttributes(record, 0, record.length, 6),
    resource,
    scopeName,
    traceId,
    spanId,
  };
}

// ---------------------------------------------------------------------------------------------- fields

const logIntrinsics: readonly { name: Intrinsic; type: FieldSummary['type']; has: string }[] = [
  { name: 'service', type: 'string', has: "service <> ''" },
  { name: 'severity', type: 'string', has: 'severity <> 0' },
  { name: 'body', type: 'string', has: 'body IS NOT NULL' },
  { name: 'name', type: 'string', has: 'event_name IS NOT NULL' },
  { name: 'trace_id', type: 'string', has: 'trace_id IS NOT NULL' },
  { name: 'span_id', type: 'string', has: 'span_id IS NOT NULL' },
];

const jsonTypes: { readonly [type: string]: FieldSummary['type'] } = {
  VARCHAR: 'string',
  UBIGINT: 'number',
  BIGINT: 'number',
  DOUBLE: 'number',
  BOOLEAN: 'boolean',
};

async function readFields(
  options: ReadOptions,
  search: { range: TimeRange; filter: Filter; limit: number },
  cancel: AbortSignal,
): Promise<Page<FieldSummary>> {
  return reading(options, cancel, async (session, parts) => {
    await checkPatterns(session, search.filter);
    const fields = new Map<string, { type: FieldSummary['type'] | undefined; count: number }>();
    const add = (name: string, type: FieldSummary['type'], count: number) => {
      if (count === 0) return;
      const field = fields.get(name);
      if (field === undefined) fields.set(name, { type, count });
      else {
        field.count += count;
        if (field.type !== type) field.type = 'mixed';
      }
    };
    const { incomplete, warnings } = await overParts(
      options,
      options.shelf.grouped(within(parts, search.range), filesAtOnce, keysOf(search.filter)),
      async (part) => {
        const selected = (params: Params) =>
          `FROM ${part.facts} WHERE ${timeCondition(search.range, params)} AND ${compileFilter(search.filter, 'logs', part, params)}`;
        const params = new Params();
        const counts = [
          ...logIntrinsics.map(({ has }) => `count(*) FILTER (${has})`),
          ...part.promoted.map(({ key }) => `count("attr.${key.replaceAll('"', '""')}")`),
        ];
        const [row] = await session.rows(`SELECT ${counts.join(', ')} ${selected(params)}`, params);
        for (const [index, { name, type }] of logIntrinsics.entries()) add(name, type, Number(row![index]));
        for (const [index, { key, kind }] of part.promoted.entries()) {
          const type = kind === 'text' ? 'string' : kind === 'bool' ? 'boolean' : 'number';
          add(fieldName({ scope: 'any', key }), type, Number(row![logIntrinsics.length + index]));
        }
        const overflow = new Params();
        for (const [key, type, count] of await session.rows(
          `SELECT member.key, member.type, count(*) FROM (SELECT attributes ${selected(overflow)} AND attributes IS NOT NULL) f,
         json_each(f.attributes) member GROUP BY ALL`,
          overflow,
        )) {
          add(fieldName({ scope: 'any', key: String(key) }), jsonTypes[String(type)] ?? 'mixed', Number(count));
        }
        const ofResources = new Params();
        for (const [key, type, count] of await session.rows(
          `SELECT member.key, member.type, sum(n) FROM
         (SELECT resource_attributes, n FROM (SELECT origin, count(*) AS n ${selected(ofResources)} GROUP BY origin)
          JOIN ${part.dictionary} ON origin = id) o,
         json_each(o.resource_attributes) member GROUP BY ALL`,
          ofResources,
        )) {
          add(fieldName({ scope: 'resource', key: String(key) }), jsonTypes[String(type)] ?? 'mixed', Number(count));
        }
      },
    );
    const items = [...fields]
      .map(([name, { type, count }]) => ({ name, type: type ?? ('mixed' as const), count }))
      .sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1))
      .slice(0, search.limit);
    return { items, next: undefined, incomplete, warnings };
  });
}

async function readFieldValues(
  options: ReadOptions,
  search: { field: string; range: TimeRange; filter: Filter; limit: number },
  cancel: AbortSignal,
): Promise<Page<FieldValue>> {
  return reading(options, cancel, async (session, parts) => {
    await checkPatterns(session, search.filter);
    const counts = new Map<string, number>();
    const field = fieldNamed(search.field);
    const { incomplete, warnings } = await overParts(
      options,
      options.shelf.grouped(within(parts, search.range), filesAtOnce, keysOf(search.filter)),
      async (part) => {
        const params = new Params();
        const value = valueAsJson(field, 'logs', part, params);
        if (value === undefined) return;
        const where = `${timeCondition(search.range, params)} AND ${compileFilter(search.filter, 'logs', part, params)}`;
        const rows = await session.rows(
          `SELECT value, count(*) AS n FROM (SELECT ${value} AS value FROM ${part.facts} f WHERE ${where})
         WHERE value IS NOT NULL GROUP BY value ORDER BY n DESC, value LIMIT ${pageRowsMax}`,
          params,
        );
        for (const [text, count] of rows) counts.set(String(text), (counts.get(String(text)) ?? 0) + Number(count));
      },
    );
    const items = [...counts]
      .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
      .slice(0, search.limit)
      .map(([text, count]) => ({ value: parsed(text), count }));
    return { items, next: undefined, incomplete, warnings };
  });
}

/** JSON text from DuckDB; an integer that a number cannot hold stays text, as REST has it. */
function parsed(text: string): Json {
  if (/^-?\d{16,}$/.test(text) && !Number.isSafeInteger(Number(text))) return text;
  return JSON.parse(text) as Json;
}
