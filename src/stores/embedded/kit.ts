import { hash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Batch, Clock, Frame, Signal } from '../../base/index.ts';
import { Writer } from '../../otlp/index.ts';
import type { Json } from '../contract.ts';
import { type EmbeddedOptions, type EmbeddedStore, openEmbeddedStore } from './index.ts';

// What the tests of this room share: requests from plain descriptions, and a store in a folder of its own.

/** An attribute's value; a bigint is an int, a number a double, `undefined` the empty AnyValue. */
type Value =
  | string
  | boolean
  | bigint
  | number
  | Uint8Array
  | undefined
  | readonly Value[]
  | { readonly [key: string]: Value };
export type Attributes = Readonly<Record<string, Value>>;

export interface SpanGiven {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name?: string;
  readonly kind?: number;
  readonly start: bigint;
  readonly end?: bigint;
  readonly status?: number;
  readonly message?: string;
  readonly attributes?: Attributes;
  readonly events?: readonly { readonly name: string; readonly attributes?: Attributes }[];
}

export interface LogGiven {
  readonly time?: bigint;
  readonly observed?: bigint;
  readonly severity?: number;
  readonly severityText?: string;
  readonly body?: Value;
  readonly attributes?: Attributes;
  readonly traceId?: string;
  readonly spanId?: string;
  readonly eventName?: string;
}

export const minuteNanos = 60_000_000_000n;
/** 2026-11-23T12:00:00Z */
export const noon = 1_795_435_200_000_000_000n;
export const day: { readonly startUnixNano: bigint; readonly endUnixNano: bigint } = {
  startUnixNano: noon - 24n * 60n * minuteNanos,
  endUnixNano: noon + 24n * 60n * minuteNanos,
};
export const logId = 'ab'.repeat(16);
export const never: AbortSignal = new AbortController().signal;
export const everything = { kind: 'all' } as const;

function anyValue(writer: Writer, field: number, value: Value): void {
  const at = writer.begin(field);
  if (typeof value === 'string') writer.string(1, value);
  else if (typeof value === 'boolean') writer.bool(2, value);
  else if (typeof value === 'bigint') writer.int64(3, value);
  else if (typeof value === 'number') writer.double(4, value);
  else if (value instanceof Uint8Array) writer.bytes(7, value);
  else if (Array.isArray(value)) {
    const list = writer.begin(5);
    for (const item of value as readonly Value[]) anyValue(writer, 1, item);
    writer.end(list);
  } else if (value !== undefined) {
    const list = writer.begin(6);
    for (const [key, item] of Object.entries(value)) keyValue(writer, 1, key, item);
    writer.end(list);
  }
  writer.end(at);
}

function keyValue(writer: Writer, field: number, key: string, value: Value): void {
  const at = writer.begin(field);
  writer.string(1, key);
  anyValue(writer, 2, value);
  writer.end(at);
}

export function keyValues(writer: Writer, field: number, attributes: Attributes = {}): void {
  for (const [key, value] of Object.entries(attributes)) keyValue(writer, field, key, value);
}

export function spanBytes(span: SpanGiven): Uint8Array {
  const writer = new Writer();
  writer.bytes(1, Buffer.from(span.traceId, 'hex'));
  writer.bytes(2, Buffer.from(span.spanId, 'hex'));
  if (span.parentSpanId !== undefined) writer.bytes(4, Buffer.from(span.parentSpanId, 'hex'));
  writer.string(5, span.name ?? 'GET /');
  writer.int32(6, span.kind ?? 2);
  writer.fixed64(7, span.start);
  writer.fixed64(8, span.end ?? span.start + 1_000_000n);
  keyValues(writer, 9, span.attributes);
  for (const event of span.events ?? []) {
    const at = writer.begin(11);
    writer.fixed64(1, span.start);
    writer.string(2, event.name);
    keyValues(writer, 3, event.attributes);
    writer.end(at);
  }
  const link = writer.begin(13);
  writer.bytes(1, Buffer.from(span.traceId, 'hex'));
  writer.end(link);
  writer.uint32(12, 7);
  if (span.status !== undefined || span.message !== undefined) {
    const at = writer.begin(15);
    if (span.message !== undefined) writer.string(2, span.message);
    writer.int32(3, span.status ?? 0);
    writer.end(at);
  }
  return writer.finish();
}

export function logBytes(log: LogGiven): Uint8Array {
  const writer = new Writer();
  if (log.time !== undefined) writer.fixed64(1, log.time);
  if (log.severity !== undefined) writer.int32(2, log.severity);
  if (log.severityText !== undefined) writer.string(3, log.severityText);
  if ('body' in log) anyValue(writer, 5, log.body);
  keyValues(writer, 6, log.attributes);
  if (log.traceId !== undefined) writer.bytes(9, Buffer.from(log.traceId, 'hex'));
  if (log.spanId !== undefined) writer.bytes(10, Buffer.from(log.spanId, 'hex'));
  if (log.observed !== undefined) writer.fixed64(11, log.observed);
  if (log.eventName !== undefined) writer.string(12, log.eventName);
  return writer.finish();
}

/** An export request of any signal: one resource, one scope. */
export function request(resource: Attributes, records: readonly Uint8Array[], scopeName = 'kit'): Uint8Array {
  const writer = new Writer();
  const outer = writer.begin(1);
  const at = writer.begin(1);
  keyValues(writer, 1, resource);
  writer.end(at);
  const scopes = writer.begin(2);
  const scope = writer.begin(1);
  writer.string(1, scopeName);
  writer.string(2, '1.2.3');
  writer.end(scope);
  for (const record of records) writer.bytes(2, record);
  writer.string(3, 'https://opentelemetry.io/schemas/1.30.0');
  writer.end(scopes);
  writer.string(3, 'https://opentelemetry.io/schemas/1.29.0');
  writer.end(outer);
  return writer.finish();
}

export function frame(seq: number, body: Uint8Array, records = 1, received = noon): Frame {
  const digest = hash('sha256', body, 'buffer').subarray(0, 16);
  return { seq, tenant: '', digest, receivedUnixNano: received, records, body };
}

export function batch(signal: Signal, frames: readonly Frame[], log = logId): Batch {
  return {
    signal,
    logId: log,
    frames,
    records: frames.reduce((sum, { records }) => sum + records, 0),
    sizeBytes: frames.reduce((sum, { body }) => sum + body.length, 0),
  };
}

/** Noon, unless a test turns it. */
export class FixedClock implements Clock {
  ms = Number(noon / 1_000_000n);
  elapsed = 0;
  nowMs(): number {
    return this.ms;
  }
  nowUnixNano(): bigint {
    return BigInt(this.ms) * 1_000_000n;
  }
  monotonicMs(): number {
    return this.elapsed;
  }
}

const weekMs = 7 * 24 * 3_600_000;

export function openStore(folder: string, options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedStore> {
  return openEmbeddedStore({
    folder,
    signals: new Set<Signal>(['traces', 'metrics', 'logs']),
    retentionMs: { traces: weekMs, metrics: weekMs, logs: weekMs },
    clock: new FixedClock(),
    ...options,
  });
}

/** A folder that is gone when the scope is left. */
export async function folderOfOwn(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'embedded-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export async function write(
  store: EmbeddedStore,
  signal: Signal,
  frames: readonly Frame[],
  log = logId,
): Promise<void> {
  const result = await store.write(batch(signal, frames, log), never);
  if (result.kind !== 'settled' || result.refused.length > 0) throw new Error(`not stored: ${JSON.stringify(result)}`);
}

/** All log records of a day, oldest first, page by page. */
export async function allLogs(store: EmbeddedStore, limit = 1000): Promise<{ id: string; body: Json }[]> {
  const rows: { id: string; body: Json }[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.readers.logs!.search(
      { range: day, filter: everything, order: 'asc', limit, cursor },
      never,
    );
    rows.push(...page.items.map(({ id, body }) => ({ id, body })));
    cursor = page.next;
  } while (cursor !== undefined);
  return rows;
}
