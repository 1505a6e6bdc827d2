import { messageDepthMax } from './limits.ts';
import { malformed, Reader, wireBytes, wireFixed64, wireVarint } from './wire.ts';

// Values and attributes as the REST API shows them: plain JSON.

/** As REST gives it: integers beyond 2^53, NaN and ±Infinity are strings, bytes are base64. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** An AnyValue; an empty one is null. `start` and `end` bound the message's content. */
export function plainValue(bytes: Uint8Array, start: number, end: number): Json {
  return value(new Reader(bytes, start, end), 0);
}

/**
 * The attributes of any message that has them.
 * @param start, end Bounds of the content of the message that has the field: a Resource, Span, data point, …
 * @param field      Number of its repeated KeyValue field. Where a key occurs twice the last one counts.
 */
export function plainAttributes(bytes: Uint8Array, start: number, end: number, field: number): { [key: string]: Json } {
  const attributes: { [key: string]: Json } = {};
  const owner = new Reader(bytes, start, end);
  while (owner.next())
    if (owner.field === field && owner.wireType === wireBytes) addKeyValue(attributes, owner.message(), 0);
  return attributes;
}

/** int64 as a number where that is exact. */
function plainInteger(integer: bigint): number | string {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer.toString();
}

/** A double as JSON can hold it. */
function plainDouble(double: number): number | string {
  return Number.isFinite(double) ? double : String(double);
}

function value(any: Reader, depth: number): Json {
  if (depth > messageDepthMax) throw malformed('values nested too deep', any.valueStart);
  let result: Json = null;
  while (any.next()) {
    const { field, wireType } = any;
    if (field === 1 && wireType === wireBytes) result = any.string();
    else if (field === 2 && wireType === wireVarint) result = any.bool();
    else if (field === 3 && wireType === wireVarint) result = plainInteger(any.int64());
    else if (field === 4 && wireType === wireFixed64) result = plainDouble(any.double());
    else if (field === 5 && wireType === wireBytes) result = arrayValue(any.message(), depth);
    else if (field === 6 && wireType === wireBytes) result = keyValueList(any.message(), depth);
    else if (field === 7 && wireType === wireBytes) result = base64(any.bytes());
    // 8, an index into the string table of profiles, has no meaning here: as if it were absent (common.proto).
    else if (field === 8) result = null;
  }
  return result;
}

function arrayValue(array: Reader, depth: number): Json[] {
  const values: Json[] = [];
  while (array.next())
    if (array.field === 1 && array.wireType === wireBytes) values.push(value(array.message(), depth + 1));
  return values;
}

function keyValueList(list: Reader, depth: number): { [key: string]: Json } {
  const object: { [key: string]: Json } = {};
  while (list.next()) if (list.field === 1 && list.wireType === wireBytes) addKeyValue(object, list.message(), depth);
  return object;
}

function addKeyValue(object: { [key: string]: Json }, keyValue: Reader, depth: number): void {
  let key = '';
  let result: Json = null;
  while (keyValue.next()) {
    if (keyValue.wireType !== wireBytes) continue;
    if (keyValue.field === 1) key = keyValue.string();
    else if (keyValue.field === 2) result = value(keyValue.message(), depth + 1);
  }
  // An assignment to `__proto__` would change the object's prototype instead of adding a member.
  if (key === '__proto__')
    Object.defineProperty(object, key, { value: result, enumerable: true, configurable: true, writable: true });
  else object[key] = result;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}
