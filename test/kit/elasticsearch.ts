import { setTimeout as sleep } from 'node:timers/promises';
import type { Frame } from '../../src/base/index.ts';
import type { Destination, Refusal, WriteResult } from '../../src/stores/contract.ts';
import { type ElasticsearchStoreOptions, openElasticsearchStore } from '../../src/stores/elasticsearch/index.ts';
import { anyValue, attributes, frame, resource, type Value, type Values } from '../stores/contract/given.ts';
import { encodeOtlp } from './otlp.ts';

// What the tests of the Elasticsearch store share: the store over a URL, records from plain values, and what is in the index.

const weekMs = 7 * 24 * 3_600_000;
export const never: AbortSignal = new AbortController().signal;

export function openStore(url: string, options: Partial<ElasticsearchStoreOptions> = {}) {
  const access = { headers: {}, tls: undefined };
  return openElasticsearchStore({ url, access, version: 'test', retentionMs: weekMs, ...options });
}

export interface GivenLog {
  readonly at?: bigint;
  readonly severity?: number;
  readonly body?: Value;
  readonly values?: Values;
}

let seq = 0;

/** One request with these records. */
export function frameOf(
  logs: readonly GivenLog[],
  of: Values = { 'service.name': 'test' },
  receivedUnixNano = nowNano(),
): Frame {
  const logRecords = logs.map(({ at, severity, body, values }) => ({
    timeUnixNano: String(at ?? receivedUnixNano),
    severityNumber: severity ?? 9,
    ...(body !== undefined && { body: anyValue(body) }),
    attributes: attributes(values ?? {}),
  }));
  const request = encodeOtlp('logs', { resourceLogs: [{ resource: resource(of), scopeLogs: [{ logRecords }] }] });
  return frame(++seq, request, logs.length, receivedUnixNano);
}

export function nowNano(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

export function write(destination: Destination, frames: readonly Frame[]): Promise<WriteResult> {
  const records = frames.reduce((sum, each) => sum + each.records, 0);
  const sizeBytes = frames.reduce((sum, { body }) => sum + body.byteLength, 0);
  return destination.write({ signal: 'logs', logId: 'e1'.repeat(16), frames, records, sizeBytes }, never);
}

/** Writes as delivery does: what is pending again, until nothing is. @returns the refused, by the frames given. */
export async function writeAll(destination: Destination, frames: readonly Frame[]): Promise<Refusal[]> {
  let left = [...frames];
  const refused: Refusal[] = [];
  for (let attempt = 0; left.length > 0; attempt++) {
    if (attempt === 100) throw new Error('written 100 times, and still to be sent again');
    const result = await write(destination, left);
    if (result.kind === 'split') throw new Error(`refused: ${result.reason}`);
    for (const refusal of result.refused) refused.push({ ...refusal, frame: frames.indexOf(left[refusal.frame!]!) });
    if (result.kind === 'settled') break;
    const { pending } = result;
    if (pending !== 'all') left = left.filter((_, index) => pending.includes(index));
    await sleep(200);
  }
  return refused;
}

export interface Hit {
  readonly _index: string;
  readonly _id: string;
  readonly _source: { readonly [field: string]: unknown };
}

/** The cluster's own API. */
export function cluster(url: string) {
  async function ask(method: string, path: string, body?: object): Promise<{ status: number; body: never }> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as never };
  }
  return {
    ask,
    /** Documents that match, all of them. */
    async hits(query: object = { match_all: {} }): Promise<Hit[]> {
      await ask('POST', '/watchingcat-logs-*/_refresh');
      const { body } = await ask('POST', '/watchingcat-logs-*/_search', {
        query,
        size: 10_000,
        track_total_hits: true,
      });
      return (body as { hits: { hits: Hit[] } }).hits.hits;
    },
    async indices(): Promise<string[]> {
      const { body } = await ask('GET', '/_cat/indices?format=json&h=index');
      return (body as { index: string }[]).map(({ index }) => index).sort();
    },
    /** As a new one, but for its settings. */
    async clear(): Promise<void> {
      for (const index of await this.indices()) await ask('DELETE', `/${index}`);
      await ask('DELETE', '/_index_template/watchingcat-logs');
    },
  };
}
