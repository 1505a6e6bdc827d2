import { createHash } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import type { Signal } from '../../src/base/index.ts';
import { encodeOtlp } from '../kit/otlp.ts';

/** Records in one request of the driver. */
export const recordsPerRequest = 8;

/** One request that the driver has sent, perhaps several times. */
export interface Entry {
  readonly number: number;
  readonly signal: Signal;
  /** The round between two kills in which it was first sent, and when. */
  readonly round: number;
  readonly sentMs: number;
  readonly body: Uint8Array;
  /** Hex, for spans. */
  readonly traceId: string;
  acknowledged: boolean;
}

/**
 * What was sent and what was acknowledged. A number is on disk before its request leaves, so that whatever a reader finds
 * later can be told from what was never sent, even if the driver itself is killed.
 */
export class Ledger {
  readonly entries: Entry[] = [];
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  open(signal: Signal, round: number): Entry {
    const number = this.entries.length;
    const traceId = createHash('sha256').update(`ledger ${number}`).digest('hex').slice(0, 32);
    const sentMs = Date.now();
    const entry = {
      number,
      signal,
      round,
      sentMs,
      traceId,
      body: bodyOf(signal, number, round, traceId, sentMs),
      acknowledged: false,
    };
    this.#write(`sent ${signal} ${number}`);
    this.entries.push(entry);
    return entry;
  }

  acknowledge(entry: Entry): void {
    entry.acknowledged = true;
    this.#write(`acknowledged ${entry.number}`);
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(line: string): void {
    writeSync(this.#file, `${line}\n`);
    fdatasyncSync(this.#file);
  }
}

function bodyOf(signal: Signal, number: number, round: number, traceId: string, nowMs: number): Uint8Array {
  const at = `${BigInt(nowMs) * 1_000_000n}`;
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: `ledger-${signal}` } }] };
  const items = Array.from({ length: recordsPerRequest }, (_, item) => item);
  if (signal === 'traces') {
    const spans = items.map((item) => ({
      traceId: Buffer.from(traceId, 'hex'),
      spanId: Buffer.from((number * 16 + item + 1).toString(16).padStart(16, '0'), 'hex'),
      name: `span ${item}`,
      startTimeUnixNano: at,
      endTimeUnixNano: at,
    }));
    return encodeOtlp(signal, { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
  }
  if (signal === 'logs') {
    const logRecords = items.map((item) => ({
      timeUnixNano: at,
      severityNumber: 9,
      body: { stringValue: `${number}.${item}` },
    }));
    return encodeOtlp(signal, { resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] });
  }
  const dataPoints = items.map((item) => ({
    timeUnixNano: at,
    asInt: `${number}`,
    attributes: [
      { key: 'round', value: { stringValue: `${round}` } },
      { key: 'point', value: { stringValue: `${number}.${item}` } },
    ],
  }));
  return encodeOtlp(signal, {
    resourceMetrics: [{ resource, scopeMetrics: [{ metrics: [{ name: 'ledger', gauge: { dataPoints } }] }] }],
  });
}
