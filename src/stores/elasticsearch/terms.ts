import { createHash } from 'node:crypto';
import { termValueBytesMax } from './limits.ts';

// How attributes become terms, so that any number of keys fits into six fields of the index:
//
//   keys      `s:http.route`                    which keys a record has, and the type of each value
//   attrs     `s:http.route=/pay`               each value as text; elements of arrays too
//   numbers   `http.status_code=c07f40…`        numbers, and text that is one, in an order that is the order of the numbers
//
// and the same three for the resource. Types, first character of a term:
//
//   s text, bytes as base64, NaN and ±Infinity    n number    b boolean    z empty    o key-value list, as JSON    a array, as JSON
//   e, f: element of an array, a number if f
//
// in capitals where the value is longer than `termValueBytesMax`: then its hash stands in its place.

export type TermType = 's' | 'n' | 'b' | 'z' | 'o' | 'a' | 'e' | 'f';

/** A key within a term. `=` ends it, so that one that is part of it is escaped. */
export function termKey(key: string): string {
  return key.replaceAll(/[\\=]/g, '\\$&');
}

export function valueTerm(type: TermType, key: string, value: string): string {
  if (Buffer.byteLength(value) <= termValueBytesMax) return `${type}:${termKey(key)}=${value}`;
  return `${type.toUpperCase()}:${termKey(key)}=${valueHash(value)}`;
}

/** What stands for a long value. */
export function valueHash(value: string | Uint8Array): string {
  return createHash('sha256').update(value).digest('hex').slice(0, 40);
}

export function keyTerm(type: TermType, key: string): string {
  return `${type}:${key}`;
}

export function numberTerm(key: string, value: number): string {
  return `${termKey(key)}=${orderedHex(value)}`;
}

const view = new DataView(new ArrayBuffer(8));
const bits = { high: 0, low: 0 };

/** The bits of a number in an order that is the order of the numbers, ±Infinity included; NaN has none. -0 is 0. Overwritten by the next call. */
export function orderedBits(value: number): { readonly high: number; readonly low: number } {
  view.setFloat64(0, value === 0 ? 0 : value);
  const high = view.getUint32(0);
  const low = view.getUint32(4);
  const negative = high >= 0x80000000;
  bits.high = (negative ? ~high : high | 0x80000000) >>> 0;
  bits.low = (negative ? ~low : low) >>> 0;
  return bits;
}

/** The same as 16 hex digits. */
export function orderedHex(value: number): string {
  const { high, low } = orderedBits(value);
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}

const numeric = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** The number that a text is; undefined where it is none. */
export function numberIn(text: string): number | undefined {
  return numeric.test(text) ? Number(text) : undefined;
}

/** Type, key and value of a term of `attrs`; `long`: the value is a hash. */
export function parseTerm(term: string): { type: TermType; key: string; value: string; long: boolean } {
  let key = '';
  let at = 2;
  for (; at < term.length && term[at] !== '='; at++) {
    if (term[at] === '\\') at++;
    key += term[at];
  }
  const type = term[0]!;
  return {
    type: type.toLowerCase() as TermType,
    key,
    value: term.slice(at + 1),
    long: type !== type.toLowerCase(),
  };
}
