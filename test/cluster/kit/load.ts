import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { attributes, spanKinds } from '../../../src/cli/otlp/json.ts';
import { grpcSender } from '../../../src/cli/otlp/sender.ts';
import type { Rest } from './release.ts';

// Senders that behave as OpenTelemetry's SDKs do: they repeat what is refused for now, and count what they give up.

/** Connections: so many that chance alone does not lead them all to one pod. */
const senders = 16;
const recordsPerRequest = 5;
const requestsPerSecond = 2;

export interface Load {
  /** Ends it. */
  stop(): Promise<LoadResult>;
}
export interface LoadResult {
  /** Attribute `load.id` of all its records. */
  readonly id: string;
  /** `load.seq` of the records that were acknowledged, and the ids of the traces. */
  readonly logs: ReadonlySet<number>;
  readonly traces: ReadonlySet<string>;
  readonly requests: number;
  /** Requests that were given up: their records may be stored or not. */
  readonly failures: readonly string[];
}

/** Sends logs and spans to `address` by several connections until it is stopped. */
export function startLoad(address: string): Load {
  const id = randomBytes(8).toString('hex');
  const result = { id, logs: new Set<number>(), traces: new Set<string>(), requests: 0, failures: [] as string[] };
  let seq = 0;
  let isStopped = false;
  async function send(index: number): Promise<void> {
    using sender = await grpcSender(address);
    while (!isStopped) {
      const now = BigInt(Date.now()) * 1_000_000n;
      const resource = { attributes: attributes({ 'service.name': 'load', 'service.instance.id': `load-${index}` }) };
      const seqs = Array.from({ length: recordsPerRequest }, () => seq++);
      const traceId = randomBytes(16).toString('hex');
      const logRecords = seqs.map((each) => ({
        timeUnixNano: String(now),
        observedTimeUnixNano: String(now),
        severityNumber: 9,
        severityText: 'INFO',
        body: { stringValue: `record ${each}` },
        attributes: attributes({ 'load.id': id, 'load.seq': each }),
      }));
      const span = {
        traceId,
        spanId: traceId.slice(16),
        name: 'load',
        kind: spanKinds.server,
        startTimeUnixNano: String(now - 1_000_000n),
        endTimeUnixNano: String(now),
        attributes: attributes({ 'load.id': id }),
      };
      const scope = { name: 'load' };
      await counted(async () => {
        await sender.send('logs', { resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords }] }] });
        for (const each of seqs) result.logs.add(each);
      });
      await counted(async () => {
        await sender.send('traces', { resourceSpans: [{ resource, scopeSpans: [{ scope, spans: [span] }] }] });
        result.traces.add(traceId);
      });
      await sleep(1000 / requestsPerSecond);
    }
  }
  async function counted(request: () => Promise<void>): Promise<void> {
    result.requests++;
    try {
      await request();
    } catch (thrown) {
      result.failures.push(String(thrown));
    }
  }
  const running = Promise.all(Array.from({ length: senders }, (_, index) => send(index)));
  return {
    async stop() {
      isStopped = true;
      await running;
      return result;
    },
  };
}

/** What of a load REST shows: how often each log record, and which traces. */
async function storedOf(api: Rest, id: string): Promise<{ logs: Map<number, number>; traces: Set<string> }> {
  const logs = new Map<number, number>();
  const traces = new Set<string>();
  const query = `load.id="${id}"`;
  const range = { start: 'now-30m', end: 'now+1m', limit: '1000' };
  for (let cursor: string | undefined; ; ) {
    const page = await api.ask<{ logs: { attributes: { 'load.seq': number } }[]; nextCursor?: string | null }>(
      '/api/v1/logs',
      { query, ...range, ...(cursor && { cursor }) },
    );
    for (const { attributes } of page.logs) {
      logs.set(attributes['load.seq'], (logs.get(attributes['load.seq']) ?? 0) + 1);
    }
    cursor = page.nextCursor ?? undefined;
    if (cursor === undefined) break;
  }
  for (let cursor: string | undefined; ; ) {
    const page = await api.ask<{ traces: { traceId: string }[]; nextCursor?: string | null }>('/api/v1/traces', {
      query: `span.${query}`,
      ...range,
      ...(cursor && { cursor }),
    });
    for (const { traceId } of page.traces) traces.add(traceId);
    cursor = page.nextCursor ?? undefined;
    if (cursor === undefined) break;
  }
  return { logs, traces };
}

/** What was acknowledged and is not there, and what is there twice. */
export async function differences(api: Rest, sent: LoadResult): Promise<{ lost: unknown[]; twice: number[] }> {
  const stored = await storedOf(api, sent.id);
  const lost = [...sent.logs].filter((seq) => !stored.logs.has(seq));
  const lostTraces = [...sent.traces].filter((traceId) => !stored.traces.has(traceId));
  return {
    lost: [...lost, ...lostTraces],
    twice: [...stored.logs].filter(([, times]) => times > 1).map(([seq]) => seq),
  };
}
