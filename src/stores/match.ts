import type { Json } from './contract.ts';
import type { Field, Filter, Literal } from './filter.ts';
import { compileRegex } from './regex.ts';

// Filters answered here, record by record: for stores whose far side cannot answer all of the query language.
// What each kind of filter means is in filter.ts, in words.

type JsonObject = { readonly [key: string]: Json };
export type Matches = (record: MatchedRecord) => boolean;

/** What a filter can ask of a record. Costly ones may be getters: each is read only where a filter asks for it. */
export interface MatchedRecord {
  /** Intrinsics. Those of the other signal are undefined, which is absent. */
  readonly service: string | undefined;
  readonly name: string | undefined;
  readonly kind: string | undefined;
  readonly status: string | undefined;
  readonly durationNanos: bigint | undefined;
  readonly severityNumber: number | undefined;
  readonly body: Json | undefined;
  /** Lower-case hex; undefined or '' where absent. */
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly attributes: JsonObject;
  readonly resource: JsonObject;
  /** Where words are looked for. */
  readonly texts: readonly string[];
}

/** @throws Fault `malformed`, parameter `query`, for a regular expression that is none. */
export function compileFilter(filter: Filter): Matches {
  switch (filter.kind) {
    case 'all':
      return () => true;
    case 'and': {
      const parts = filter.of.map(compileFilter);
      return (record) => parts.every((part) => part(record));
    }
    case 'or': {
      const parts = filter.of.map(compileFilter);
      return (record) => parts.some((part) => part(record));
    }
    case 'not': {
      const part = compileFilter(filter.of);
      return (record) => !part(record);
    }
    case 'text': {
      const text = filter.text.toLowerCase();
      return (record) => record.texts.some((each) => each.toLowerCase().includes(text));
    }
    case 'exists': {
      const { field } = filter;
      return (record) => exists(field, record);
    }
    case 'in': {
      const parts = filter.values.map((value) => equals(filter.field, value));
      return (record) => parts.some((part) => part(record));
    }
    case 'regex': {
      const matches = compileRegex(filter.pattern);
      const { field } = filter;
      return (record) => {
        const value = fieldValue(field, record);
        return value !== undefined && matches(textOf(value));
      };
    }
    case 'compare': {
      const { field, op, value } = filter;
      if (op === '=') return equals(field, value);
      if (op === '!=') {
        const same = equals(field, value);
        return (record) => !same(record);
      }
      return (record) => ordered(field, op, value, record);
    }
  }
}

/** A value as text: a string itself, everything else as JSON. */
export function textOf(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Severity numbers of each name, both inclusive. Source: OpenTelemetry logs data model, "Field: SeverityNumber". */
const severityRanges: Readonly<Record<string, readonly [number, number]>> = {
  trace: [1, 4],
  debug: [5, 8],
  info: [9, 12],
  warn: [13, 16],
  error: [17, 20],
  fatal: [21, 24],
};

function equals(field: Field, literal: Literal): Matches {
  const lower = literal.text.toLowerCase();
  if (field.scope === 'intrinsic') {
    switch (field.name) {
      case 'severity': {
        if (lower === 'unset') {
          return ({ severityNumber }) => severityNumber !== undefined && (severityNumber < 1 || severityNumber > 24);
        }
        const [low, high] = severityRange(literal);
        return ({ severityNumber }) => severityNumber !== undefined && severityNumber >= low && severityNumber <= high;
      }
      case 'duration':
        return ({ durationNanos }) => durationNanos !== undefined && durationNanos === literal.durationNanos;
      case 'status':
      case 'kind':
      case 'trace_id':
      case 'span_id':
        return (record) => fieldValue(field, record) === lower;
      default:
    }
  }
  return (record) => {
    const value = fieldValue(field, record);
    if (value === undefined) return false;
    return Array.isArray(value) ? value.some((element) => same(element, literal)) : same(value, literal);
  };
}

function same(value: Json, literal: Literal): boolean {
  return textOf(value) === literal.text || (typeof value === 'number' && value === literal.number);
}

function ordered(field: Field, op: '>' | '>=' | '<' | '<=', literal: Literal, record: MatchedRecord): boolean {
  if (field.scope === 'intrinsic' && field.name === 'duration') {
    const { durationNanos } = record;
    if (durationNanos === undefined || literal.durationNanos === undefined) return false;
    return holds(durationNanos, op, literal.durationNanos);
  }
  if (field.scope === 'intrinsic' && field.name === 'severity') {
    const { severityNumber } = record;
    const [low, high] = severityRange(literal);
    // `>` is above the whole range of a name, `>=` from its beginning.
    return severityNumber !== undefined && holds(severityNumber, op, op === '>' || op === '<=' ? high : low);
  }
  const number = numberOf(fieldValue(field, record));
  return number !== undefined && literal.number !== undefined && holds(number, op, literal.number);
}

function holds<T extends number | bigint>(left: T, op: '>' | '>=' | '<' | '<=', right: T): boolean {
  switch (op) {
    case '>':
      return left > right;
    case '>=':
      return left >= right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
  }
}

function severityRange(literal: Literal): readonly [number, number] {
  if (literal.number !== undefined) return [literal.number, literal.number];
  return severityRanges[literal.text.toLowerCase()] ?? [Number.NaN, Number.NaN];
}

/** A number, or a string that is one in decimal form. */
function numberOf(value: Json | undefined): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || !/^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(value)) return undefined;
  return Number(value);
}

function exists(field: Field, record: MatchedRecord): boolean {
  if (field.scope !== 'intrinsic') return fieldValue(field, record) !== undefined;
  if (field.name === 'severity') return record.severityNumber !== undefined && record.severityNumber !== 0;
  const value = fieldValue(field, record);
  return value !== undefined && value !== '';
}

function fieldValue(field: Field, record: MatchedRecord): Json | undefined {
  switch (field.scope) {
    case 'any':
      return own(Object.hasOwn(record.attributes, field.key) ? record.attributes : record.resource, field.key);
    case 'record':
      return own(record.attributes, field.key);
    case 'resource':
      return own(record.resource, field.key);
    case 'intrinsic':
      switch (field.name) {
        case 'trace_id':
          return record.traceId;
        case 'span_id':
          return record.spanId;
        case 'duration':
          return record.durationNanos === undefined ? undefined : String(record.durationNanos);
        case 'severity':
          return record.severityNumber;
        default:
          return record[field.name];
      }
  }
}

function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
