import type { Json } from '../../src/stores/contract.ts';
import type { Field, Filter, Literal } from '../../src/stores/filter.ts';

// What a Filter means, record by record, in the plainest form: src/stores/filter.ts says it in words. Stores are held to this.

type JsonObject = { readonly [key: string]: Json };

/** What intrinsics read. Those of the other signal are undefined, which is absent. */
interface Intrinsics {
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
}

export interface FilteredRecord {
  readonly intrinsics: Intrinsics;
  readonly attributes: JsonObject;
  readonly resource: JsonObject;
  /** Where words are looked for. */
  readonly texts: readonly string[];
}

/** Whether a record satisfies a filter. */
export function evaluateFilter(filter: Filter, record: FilteredRecord): boolean {
  switch (filter.kind) {
    case 'all':
      return true;
    case 'and':
      return filter.of.every((part) => evaluateFilter(part, record));
    case 'or':
      return filter.of.some((part) => evaluateFilter(part, record));
    case 'not':
      return !evaluateFilter(filter.of, record);
    case 'text':
      return record.texts.some((text) => text.toLowerCase().includes(filter.text.toLowerCase()));
    case 'exists':
      return exists(filter.field, record);
    case 'in':
      return filter.values.some((value) => equals(filter.field, value, record));
    case 'regex': {
      const value = fieldValue(filter.field, record);
      return value !== undefined && new RegExp(filter.pattern, 'u').test(textOf(value));
    }
    case 'compare':
      if (filter.op === '=') return equals(filter.field, filter.value, record);
      if (filter.op === '!=') return !equals(filter.field, filter.value, record);
      return ordered(filter.field, filter.op, filter.value, record);
  }
}

/** A value as text: a string itself, everything else as JSON. */
export function textOf(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

const severityRanges: Record<string, readonly [number, number]> = {
  trace: [1, 4],
  debug: [5, 8],
  info: [9, 12],
  warn: [13, 16],
  error: [17, 20],
  fatal: [21, 24],
};

function equals(field: Field, literal: Literal, record: FilteredRecord): boolean {
  if (field.scope === 'intrinsic') {
    const { severityNumber, durationNanos } = record.intrinsics;
    switch (field.name) {
      case 'severity': {
        if (severityNumber !== undefined && literal.text.toLowerCase() === 'unset') {
          return severityNumber < 1 || severityNumber > 24;
        }
        const [low, high] = severityRange(literal);
        return severityNumber !== undefined && severityNumber >= low && severityNumber <= high;
      }
      case 'duration':
        return durationNanos !== undefined && durationNanos === literal.durationNanos;
      case 'status':
      case 'kind':
      case 'trace_id':
      case 'span_id': {
        const value = fieldValue(field, record);
        return value !== undefined && textOf(value) === literal.text.toLowerCase();
      }
      default:
    }
  }
  const value = fieldValue(field, record);
  if (value === undefined) return false;
  return Array.isArray(value) ? value.some((element) => same(element, literal)) : same(value, literal);
}

function same(value: Json, literal: Literal): boolean {
  return textOf(value) === literal.text || (typeof value === 'number' && value === literal.number);
}

function ordered(field: Field, op: '>' | '>=' | '<' | '<=', literal: Literal, record: FilteredRecord): boolean {
  if (field.scope === 'intrinsic' && field.name === 'duration') {
    const { durationNanos } = record.intrinsics;
    return (
      durationNanos !== undefined &&
      literal.durationNanos !== undefined &&
      holds(durationNanos, op, literal.durationNanos)
    );
  }
  if (field.scope === 'intrinsic' && field.name === 'severity') {
    const { severityNumber } = record.intrinsics;
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
  if (typeof value !== 'string' || !/^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$/.test(value)) return undefined;
  return Number(value);
}

function exists(field: Field, record: FilteredRecord): boolean {
  if (field.scope === 'intrinsic') {
    const { durationNanos, severityNumber } = record.intrinsics;
    if (field.name === 'duration') return durationNanos !== undefined;
    if (field.name === 'severity') return severityNumber !== undefined && severityNumber !== 0;
    const value = fieldValue(field, record);
    return value !== undefined && value !== '';
  }
  return fieldValue(field, record) !== undefined;
}

function fieldValue(field: Field, { intrinsics, attributes, resource }: FilteredRecord): Json | undefined {
  switch (field.scope) {
    case 'any':
      return own(Object.hasOwn(attributes, field.key) ? attributes : resource, field.key);
    case 'record':
      return own(attributes, field.key);
    case 'resource':
      return own(resource, field.key);
    case 'intrinsic':
      switch (field.name) {
        case 'trace_id':
          return intrinsics.traceId;
        case 'span_id':
          return intrinsics.spanId;
        case 'duration':
          return intrinsics.durationNanos === undefined ? undefined : String(intrinsics.durationNanos);
        case 'severity':
          return intrinsics.severityNumber;
        default:
          return intrinsics[field.name];
      }
  }
}

function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
