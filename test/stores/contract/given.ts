import { createHash } from 'node:crypto';
import type { Frame } from '../../../src/base/index.ts';
import type { TimeRange } from '../../../src/stores/contract.ts';

// What the cases of the contract are written with: OTLP messages from plain values.

/** A bigint is an int, a number a double, `undefined` the empty AnyValue. */
export type Value =
  | string
  | boolean
  | bigint
  | number
  | Uint8Array
  | undefined
  | readonly Value[]
  | { readonly [key: string]: Value };
export type Values = Readonly<Record<string, Value>>;

export const second = 1_000_000_000n;
export const minute = 60n * second;

/** When the data of a run lie: lately, since stores refuse what is too old, and at a whole minute. */
export interface World {
  readonly start: bigint;
  /** All data of the cases. */
  readonly range: TimeRange;
}

export function worldOfNow(nowMs = Date.now()): World {
  const start = (BigInt(nowMs) / 60_000n - 30n) * minute;
  return { start, range: { startUnixNano: start - minute, endUnixNano: start + 20n * minute } };
}

export function resource(values: Values): object {
  return { attributes: attributes(values) };
}

/** KeyValues in protobufjs' form. */
export function attributes(values: Values): object[] {
  return Object.entries(values).map(([key, value]) => ({ key, value: anyValue(value) }));
}

export function anyValue(value: Value): object {
  if (value === undefined) return {};
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'bigint') return { intValue: String(value) };
  if (typeof value === 'number') return { doubleValue: value };
  if (value instanceof Uint8Array) return { bytesValue: value };
  if (Array.isArray(value)) return { arrayValue: { values: (value as readonly Value[]).map(anyValue) } };
  return { kvlistValue: { values: attributes(value as Values) } };
}

export function bytes(hex: string): Uint8Array {
  return Buffer.from(hex, 'hex');
}

/** A request as the log holds it. */
export function frame(seq: number, body: Uint8Array, records: number, receivedUnixNano: bigint): Frame {
  const digest = createHash('sha256').update(body).digest().subarray(0, 16);
  return { seq, tenant: '', digest, receivedUnixNano, records, body };
}
