import type { Field, Filter, Literal } from '../filter.ts';
import { quoted } from './columns.ts';
import type { Params } from './database.ts';
import { promotedColumn } from './keys.ts';
import type { Part } from './parts.ts';

// A filter as a condition in SQL. Every value that a user wrote is bound; names of columns come from our own schema.
// The condition may be NULL where it does not hold, which WHERE takes as false; under NOT it is made two-valued
// (`IS NOT TRUE`), so that comparisons stay plain and DuckDB can use them against Parquet's statistics.

/** The signals whose filters can be compiled, with the names that differ. */
export type FilterSignal = 'traces' | 'logs';

/** @param part where it is asked: which attributes have a column there, and which occur at all. */
export function compileFilter(filter: Filter, signal: FilterSignal, part: Part, params: Params): string {
  switch (filter.kind) {
    case 'all':
      return 'TRUE';
    case 'and':
      if (filter.of.length === 0) return 'TRUE';
      return `(${filter.of.map((each) => compileFilter(each, signal, part, params)).join(' AND ')})`;
    case 'or':
      if (filter.of.length === 0) return 'FALSE';
      return `(${filter.of.map((each) => compileFilter(each, signal, part, params)).join(' OR ')})`;
    case 'not':
      return `((${compileFilter(filter.of, signal, part, params)}) IS NOT TRUE)`;
    case 'text': {
      const text = params.text(filter.text);
      // Where case makes no difference the costly half of the work is left out.
      const caseless = filter.text.toLowerCase() === filter.text.toUpperCase();
      const pairs = caseless ? [] : rarestPair(filter.text).map((pair) => params.text(pair));
      const has = (column: string) => {
        if (caseless) return `contains(${column}, ${text})`;
        const exact = `contains(lower(${column}), lower(${text}))`;
        if (pairs.length === 0) return exact;
        return `((${pairs.map((pair) => `contains(${column}, ${pair})`).join(' OR ')}) AND ${exact})`;
      };
      return signal === 'logs' ? has('body') : `(${has('name')} OR ${has('search_text')})`;
    }
    case 'compare':
      if (filter.op === '!=') {
        return `((${compileFilter({ ...filter, op: '=' }, signal, part, params)}) IS NOT TRUE)`;
      }
      return onField(filter.field, signal, part, params, {
        value: (source) => compare(source, filter.op, filter.value, params),
      });
    case 'in':
      if (filter.values.length === 0) return 'FALSE';
      return onField(filter.field, signal, part, params, {
        value: (source) => `(${filter.values.map((value) => compare(source, '=', value, params)).join(' OR ')})`,
      });
    case 'regex': {
      const pattern = params.text(filter.pattern);
      return onField(filter.field, signal, part, params, {
        value: (source) => `regexp_matches(${textOf(source)}, ${pattern}${source.kind === 'id' ? ", 'i'" : ''})`,
      });
    }
    case 'exists':
      return onField(filter.field, signal, part, params, { value: exists });
  }
}

/** The less frequent in English text the earlier; digits count as the middle, all else as frequent. */
const letters = 'qzjxvwbyfpgc0mudhlnrosate';

/**
 * The two neighbours of a text that are probably the least frequent in records, in each way of writing them. Looking for those
 * costs half as much as lowering the case of every record, and leaves few to be looked at. Not `i` and `k`, which are also the
 * lower case of letters outside ASCII (U+0130, U+212A). @returns none where there are no such neighbours.
 */
function rarestPair(text: string): string[] {
  let pair = '';
  let least = Number.POSITIVE_INFINITY;
  for (let at = 0; at + 2 <= text.length; at++) {
    const two = text.slice(at, at + 2).toLowerCase();
    if (!/^[\x20-\x7e]{2}$/.test(two) || /[ik]/.test(two)) continue;
    const score = frequency(two[0]!) + frequency(two[1]!);
    if (score < least) [pair, least] = [two, score];
  }
  if (pair === '') return [];
  const ways = (character: string) => new Set([character, character.toUpperCase()]);
  return [...ways(pair[0]!)].flatMap((first) => [...ways(pair[1]!)].map((second) => first + second));
}

function frequency(character: string): number {
  const rank = letters.indexOf(/\d/.test(character) ? '0' : character);
  return rank < 0 ? letters.length : rank;
}

/** The regular expressions of a filter, to be tried before a search begins. */
export function patternsOf(filter: Filter): string[] {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return filter.of.flatMap(patternsOf);
    case 'not':
      return patternsOf(filter.of);
    case 'regex':
      return [filter.pattern];
    default:
      return [];
  }
}

/** The attributes that a filter asks for. */
export function keysOf(filter: Filter): string[] {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return filter.of.flatMap(keysOf);
    case 'not':
      return keysOf(filter.of);
    case 'compare':
    case 'in':
    case 'regex':
    case 'exists':
      return filter.field.scope === 'intrinsic' ? [] : [filter.field.key];
    default:
      return [];
  }
}

/** Where a field's value is, and of which type. `json`: any, as JSON. */
type Source =
  | { readonly kind: 'text' | 'int' | 'double' | 'bool' | 'json' | 'duration' | 'severity'; readonly sql: string }
  | { readonly kind: 'id'; readonly sql: string; readonly digits: 16 | 32 }
  | { readonly kind: 'enum'; readonly sql: string; readonly names: readonly string[] };

interface Test {
  value(source: Source): string;
}

function onField(field: Field, signal: FilterSignal, part: Part, params: Params, test: Test): string {
  if (field.scope === 'intrinsic') {
    const source = intrinsic(field.name, signal);
    return source === undefined ? 'FALSE' : test.value(source);
  }
  const own = field.scope === 'resource' ? [] : recordSources(field.key, part, params);
  const resource = field.scope === 'record' ? undefined : resourceTest(field.key, part, params, test);
  const branches = own.map((source) => ({ exists: exists(source), holds: test.value(source) }));
  if (branches.length === 0) return resource ?? 'FALSE';
  if (branches.length === 1 && resource === undefined) return branches[0]!.holds;
  const whens = branches.map(({ exists: when, holds }) => `WHEN ${when} THEN ${holds}`).join(' ');
  return `(CASE ${whens} ELSE ${resource ?? 'FALSE'} END)`;
}

const kinds = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'] as const;
const statuses = ['unset', 'ok', 'error'] as const;

function intrinsic(name: (Field & { scope: 'intrinsic' })['name'], signal: FilterSignal): Source | undefined {
  switch (name) {
    case 'service':
      return { kind: 'text', sql: "nullif(service, '')" };
    case 'trace_id':
      return { kind: 'id', sql: 'trace_id', digits: 32 };
    case 'span_id':
      return { kind: 'id', sql: 'span_id', digits: 16 };
    case 'name':
      return { kind: 'text', sql: signal === 'logs' ? 'event_name' : 'name' };
    case 'kind':
      return signal === 'logs' ? undefined : { kind: 'enum', sql: 'kind', names: kinds };
    case 'status':
      return signal === 'logs' ? undefined : { kind: 'enum', sql: 'status', names: statuses };
    case 'duration':
      return signal === 'logs' ? undefined : { kind: 'duration', sql: 'duration_nanos' };
    case 'severity':
      return signal === 'logs' ? { kind: 'severity', sql: 'severity' } : undefined;
    case 'body':
      return signal === 'logs' ? { kind: 'text', sql: 'body' } : undefined;
  }
}

/** The column of a promoted attribute, and the overflow where some records have it there. */
function recordSources(key: string, part: Part, params: Params): Source[] {
  const promoted = part.promoted.find((each) => each.key === key);
  const use = part.keys?.find((each) => each.key === key);
  if (part.keys !== undefined && use === undefined) return [];
  const sources: Source[] = [];
  if (promoted !== undefined) sources.push({ kind: promoted.kind, sql: quoted(promotedColumn(key)) });
  if (use === undefined || use.overflow) sources.push({ kind: 'json', sql: member('attributes', key, params) });
  return sources;
}

/** Resources are few: the condition is asked of them, and records are chosen by those for which it holds. */
function resourceTest(key: string, part: Part, params: Params, test: Test): string | undefined {
  if (part.resourceKeys !== undefined && !part.resourceKeys.includes(key)) return undefined;
  const holds = test.value({ kind: 'json', sql: member('resource_attributes', key, params) });
  return `(origin IN (SELECT id FROM ${part.dictionary} WHERE ${holds}))`;
}

/** A member of a JSON object, by JSON Pointer (RFC 6901), which can name any key. */
export function member(column: string, key: string, params: Params): string {
  const pointer = `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  return `json_extract(${column}, ${params.text(pointer)})`;
}

function exists(source: Source): string {
  return source.kind === 'severity' ? `(${source.sql} <> 0)` : `(${source.sql} IS NOT NULL)`;
}

/** What counts as a number in text: so that DuckDB's own leniency ('1_000', ' 5 ', 'inf') does not. */
const numeric = String.raw`'[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?'`;

/** The value as text; NULL where there is none. */
function textOf(source: Source): string {
  const { sql } = source;
  switch (source.kind) {
    case 'text':
      return sql;
    case 'json':
      return `json_extract_string(${sql}, '$')`;
    case 'double':
      return `(CASE WHEN ${sql} = trunc(${sql}) AND abs(${sql}) < 1e15 THEN CAST(CAST(${sql} AS BIGINT) AS VARCHAR) ELSE CAST(${sql} AS VARCHAR) END)`;
    case 'enum':
      return `(CASE ${sql} ${source.names.map((name, value) => `WHEN ${value} THEN '${name}'`).join(' ')} ELSE CAST(${sql} AS VARCHAR) END)`;
    case 'severity':
      return severityName(sql);
    case 'id':
      return source.digits === 32
        ? `replace(CAST(${sql} AS VARCHAR), '-', '')`
        : `lower(lpad(to_hex(${sql}), 16, '0'))`;
    default:
      return `CAST(${sql} AS VARCHAR)`;
  }
}

/** The value as a number; NULL where it is none. */
function numberOf(source: Source): string | undefined {
  const { sql } = source;
  switch (source.kind) {
    case 'int':
    case 'double':
      return sql;
    case 'text':
    case 'json': {
      const text = textOf(source);
      return `(CASE WHEN regexp_full_match(${text}, ${numeric}) THEN TRY_CAST(${text} AS DOUBLE) END)`;
    }
    default:
      return undefined;
  }
}

type Operator = '=' | '!=' | '>' | '>=' | '<' | '<=';

function compare(source: Source, op: Operator, value: Literal, params: Params): string {
  switch (source.kind) {
    case 'duration':
      if (value.durationNanos === undefined) return 'FALSE';
      return `(${source.sql} ${op} ${signed(value.durationNanos, params)})`;
    case 'severity':
      return compareSeverity(source.sql, op, value, params);
    case 'id':
      return op === '=' ? equalsId(source.sql, source.digits, value.text, params) : 'FALSE';
    case 'enum': {
      const index = source.names.indexOf(value.text.toLowerCase());
      return op === '=' && index >= 0 ? `(${source.sql} = ${index})` : 'FALSE';
    }
    default:
  }
  if (op === '=') return equals(source, value, params);
  const number = numberOf(source);
  if (number === undefined || value.number === undefined) return 'FALSE';
  return `(${number} ${op} ${params.number(value.number)})`;
}

function equals(source: Source, value: Literal, params: Params): string {
  const { sql } = source;
  switch (source.kind) {
    case 'text':
      return `(${sql} = ${params.text(value.text)})`;
    case 'bool':
      return value.text === 'true' ? `(${sql})` : value.text === 'false' ? `(NOT ${sql})` : 'FALSE';
    case 'int': {
      const integer = asInteger(value);
      return integer === undefined ? 'FALSE' : `(${sql} = ${signed(integer, params)})`;
    }
    case 'double': {
      const number = value.number ?? (String(Number(value.text)) === value.text ? Number(value.text) : undefined);
      return number === undefined ? 'FALSE' : `(${sql} = ${params.number(number)})`;
    }
    default: {
      const text = params.text(value.text);
      const number = value.number === undefined ? undefined : params.number(value.number);
      const scalar = (json: string) => {
        const asText = `json_extract_string(${json}, '$')`;
        const same = `${asText} = ${text}`;
        if (number === undefined) return same;
        return `(${same} OR (json_type(${json}) IN ('UBIGINT', 'BIGINT', 'DOUBLE') AND TRY_CAST(${asText} AS DOUBLE) = ${number}))`;
      };
      const element = `len(list_filter(json_extract(${sql}, '$[*]'), lambda element: ${scalar('element')})) > 0`;
      return `(CASE WHEN json_type(${sql}) = 'ARRAY' THEN ${element} ELSE ${scalar(sql)} END)`;
    }
  }
}

/** The integer that a literal equals, by its text or as a number. */
function asInteger(value: Literal): bigint | undefined {
  if (/^-?(0|[1-9]\d{0,18})$/.test(value.text) && value.text !== '-0') {
    const integer = BigInt(value.text);
    return BigInt.asIntN(64, integer) === integer ? integer : undefined;
  }
  const { number } = value;
  return number !== undefined && Number.isSafeInteger(number) ? BigInt(number) : undefined;
}

/** A signed 64-bit number; what lies outside is bounded. */
function signed(value: bigint, params: Params): string {
  const most = 0x7fffffffffffffffn;
  return params.i64(value > most ? most : value < -most ? -most : value);
}

function equalsId(sql: string, digits: 16 | 32, text: string, params: Params): string {
  const hex = text.toLowerCase();
  if (hex.length !== digits || !/^[0-9a-f]+$/.test(hex)) return 'FALSE';
  if (digits === 32) return `(${sql} = CAST(${params.text(hex)} AS UUID))`;
  return `(${sql} = ${params.u64(BigInt(`0x${hex}`))})`;
}

/** Names of severities and the first number of each; the last number is three more. Source: OTLP logs.proto, SeverityNumber. */
export const severities = [
  ['trace', 1],
  ['debug', 5],
  ['info', 9],
  ['warn', 13],
  ['error', 17],
  ['fatal', 21],
] as const;

/** The name of the range that a severity number lies in. */
export function severityName(sql: string): string {
  const whens = severities.map(([name, from]) => `WHEN ${sql} BETWEEN ${from} AND ${from + 3} THEN '${name}'`);
  return `(CASE ${whens.join(' ')} ELSE 'unset' END)`;
}

function compareSeverity(sql: string, op: Operator, value: Literal, params: Params): string {
  const name = value.text.toLowerCase();
  const range = severities.find(([each]) => each === name);
  if (range === undefined) {
    if (name === 'unset' && op === '=') return `(${sql} < 1 OR ${sql} > 24)`;
    return value.number === undefined ? 'FALSE' : `(${sql} ${op} ${params.number(value.number)})`;
  }
  const first = range[1];
  const last = first + 3;
  switch (op) {
    case '>=':
      return `(${sql} >= ${first})`;
    case '>':
      return `(${sql} > ${last})`;
    case '<':
      return `(${sql} < ${first})`;
    case '<=':
      return `(${sql} <= ${last})`;
    default:
      return `(${sql} BETWEEN ${first} AND ${last})`;
  }
}

/** The value of a field as JSON text, NULL where a record does not have it; undefined where none here can have it. */
export function valueAsJson(field: Field, signal: FilterSignal, part: Part, params: Params): string | undefined {
  if (field.scope === 'intrinsic') {
    const source = intrinsic(field.name, signal);
    return source === undefined ? undefined : jsonOf(source);
  }
  const values = field.scope === 'resource' ? [] : recordSources(field.key, part, params).map(jsonOf);
  if (field.scope !== 'record' && (part.resourceKeys === undefined || part.resourceKeys.includes(field.key))) {
    const value = member('resource_attributes', field.key, params);
    values.push(`(SELECT CAST(${value} AS VARCHAR) FROM ${part.dictionary} WHERE id = origin)`);
  }
  return values.length === 0 ? undefined : `coalesce(${values.join(', ')})`;
}

function jsonOf(source: Source): string {
  switch (source.kind) {
    case 'json':
    case 'int':
    case 'bool':
    case 'duration':
      return `CAST(${source.sql} AS VARCHAR)`;
    case 'severity':
      return `CASE WHEN ${source.sql} <> 0 THEN '"' || ${textOf(source)} || '"' END`;
    default:
      return `CAST(to_json(${source.kind === 'double' ? source.sql : textOf(source)}) AS VARCHAR)`;
  }
}
