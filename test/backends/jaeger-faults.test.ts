import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Batch } from '../../src/base/index.ts';
import type { Store, TraceReader, WriteResult } from '../../src/stores/contract.ts';
import { openJaegerStore } from '../../src/stores/jaeger/index.ts';
import { startAuthProxy } from '../kit/auth-proxy.ts';
import { type Jaeger, startJaeger } from '../kit/backends.ts';
import { selfSigned } from '../kit/certificate.ts';
import { startGrpcProxy, startHttpProxy, startTcpProxy } from '../kit/fault-proxy.ts';
import { decodeOtlp, encodeOtlp } from '../kit/otlp.ts';
import { eventually } from '../kit/process.ts';

// The store alone, with faults between it and a real Jaeger.

const never = new AbortController().signal;
const open = { headers: {}, tls: undefined };
let jaeger: Jaeger;
beforeAll(async () => {
  jaeger = await startJaeger();
});
afterAll(() => jaeger?.[Symbol.asyncDispose]());

/** A trace of one resource; its spans are `bytes` large. */
function traceOf(spans: number, bytes = 10): { traceId: string; body: Uint8Array; spans: number } {
  const traceId = randomBytes(16);
  const now = BigInt(Date.now()) * 1_000_000n;
  const body = encodeOtlp('traces', {
    resourceSpans: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'faults' } }] },
        scopeSpans: [
          {
            scope: { name: 'lib' },
            spans: Array.from({ length: spans }, (_, index) => ({
              traceId,
              spanId: Buffer.from((index + 1).toString(16).padStart(16, '0'), 'hex'),
              name: 'op',
              kind: 2,
              startTimeUnixNano: String(now),
              endTimeUnixNano: String(now + 1_000_000n),
              attributes: [{ key: 'padding', value: { stringValue: 'x'.repeat(bytes) } }],
            })),
          },
        ],
      },
    ],
  });
  return { traceId: traceId.toString('hex'), body, spans };
}

function batchOf(...traces: readonly { body: Uint8Array; spans: number }[]): Batch {
  const frames = traces.map(({ body, spans }, index) => ({
    seq: index + 1,
    tenant: '',
    digest: createHash('sha256').update(body).digest().subarray(0, 16),
    receivedUnixNano: 0n,
    records: spans,
    body,
  }));
  return {
    signal: 'traces',
    logId: randomBytes(16).toString('hex'),
    frames,
    records: traces.reduce((sum, { spans }) => sum + spans, 0),
    sizeBytes: frames.reduce((sum, { body }) => sum + body.byteLength, 0),
  };
}

/** As the delivery does, but soon. */
async function settled(store: Store, batch: Batch): Promise<{ results: WriteResult[] }> {
  const results: WriteResult[] = [];
  for (let attempts = 0; attempts < 20; attempts++) {
    const result = await store.destination!.write(batch, never);
    results.push(result);
    if (result.kind === 'settled') return { results };
    if (result.kind === 'split') throw new Error(result.reason);
    await new Promise((resolve) => setTimeout(resolve, Math.min(result.afterMs ?? 50, 500)));
  }
  throw new Error('never settled');
}

/** Spans of a trace by our reader; 0 while it is not there. */
async function spansOf(reader: TraceReader, traceId: string): Promise<number> {
  const found = await reader.trace(traceId, never);
  if (found === undefined) return 0;
  const { resourceSpans } = decodeOtlp('traces', found) as {
    resourceSpans: { scopeSpans: { spans: unknown[] }[] }[];
  };
  return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)).length;
}

/** As Jaeger shows it to its users. */
async function spansInJaeger(traceId: string): Promise<number> {
  const answer = await fetch(`${jaeger.queryUrl}/api/v3/traces/${traceId}`);
  if (answer.status === 404) return 0;
  const { result } = (await answer.json()) as {
    result: { resourceSpans: { scopeSpans: { spans: unknown[] }[] }[] };
  };
  return result.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)).length;
}

function storeTo(otlpEndpoint: string, queryEndpoint = jaeger.queryUrl): Store {
  return openJaegerStore({ otlpEndpoint, queryEndpoint, access: open, version: '0' });
}

describe('writing', () => {
  it.each([
    { name: 'A12: UNAVAILABLE', fault: { kind: 'status', code: 14, message: 'later' } as const, afterMs: undefined },
    {
      name: 'A12: overload with RetryInfo',
      fault: { kind: 'status', code: 8, retryAfterMs: 300 } as const,
      afterMs: 300,
    },
    {
      name: 'A13: the answer is lost after the spans were taken',
      fault: { kind: 'loseAnswer' } as const,
      afterMs: undefined,
    },
  ])('$name: sent again, and there once', async ({ fault, afterMs }) => {
    await using proxy = await startGrpcProxy(jaeger.otlpEndpoint);
    await using store = storeTo(proxy.endpoint);
    const trace = traceOf(3);
    proxy.spoil(2, fault);
    const { results } = await settled(store, batchOf(trace));
    expect(results.map(({ kind }) => kind)).toEqual(['retry', 'retry', 'settled']);
    expect(results[0]).toMatchObject({ pending: 'all', afterMs });
    await eventually(
      () => spansOf(store.readers.traces!, trace.traceId),
      (spans) => spans === 3,
    );
    // What came twice Jaeger's memory keeps twice, and its own pages do not always hide it: only what came once is once there.
    if (fault.kind !== 'loseAnswer') expect(await spansInJaeger(trace.traceId)).toBe(3);
  });

  it('A13: connections that break in the middle of a request', async () => {
    await using proxy = await startTcpProxy(Number(new URL(jaeger.otlpEndpoint).port));
    await using store = storeTo(`http://127.0.0.1:${proxy.port}`);
    const trace = traceOf(200, 1_000);
    proxy.set({ kind: 'reset', direction: 'forth', afterBytes: 50_000 });
    expect((await store.destination!.write(batchOf(trace), never)).kind).toBe('retry');
    proxy.set({ kind: 'none' });
    await settled(store, batchOf(trace));
    await eventually(
      () => spansOf(store.readers.traces!, trace.traceId),
      (spans) => spans === 200,
    );
    expect(await spansInJaeger(trace.traceId)).toBe(200);
  });

  it('A18: a request that is larger than Jaeger takes is sent in parts', async () => {
    await using store = storeTo(jaeger.otlpEndpoint);
    const trace = traceOf(1_200, 10_000); // 12 MiB; Jaeger takes 4
    const result = await store.destination!.write(batchOf(trace), never);
    expect(result).toEqual({ kind: 'settled', refused: [] });
    await eventually(
      () => spansOf(store.readers.traces!, trace.traceId),
      (spans) => spans === 1_200,
      30_000,
    );
    // Larger than what is taken apart where it is read: the thread has it.
    const page = await store.readers.traces!.search(
      {
        range: {
          startUnixNano: BigInt(Date.now() - 600_000) * 1_000_000n,
          endUnixNano: BigInt(Date.now() + 60_000) * 1_000_000n,
        },
        service: 'faults',
        operation: undefined,
        filter: { kind: 'all' },
        minDurationNanos: undefined,
        maxDurationNanos: undefined,
        limit: 100,
        cursor: undefined,
      },
      never,
    );
    expect(page.items.find(({ traceId }) => traceId === trace.traceId)).toMatchObject({ spanCount: 1_200 });
  });

  it('A17: one span that is larger than Jaeger takes is refused alone, with a reason', async () => {
    await using store = storeTo(jaeger.otlpEndpoint);
    const [good, bad] = [traceOf(20), traceOf(1, 5 << 20)];
    const mixed = { body: Buffer.concat([good.body, bad.body]), spans: 21 };
    const result = await store.destination!.write(batchOf(mixed), never);
    expect(result).toMatchObject({ kind: 'settled', refused: [{ frame: 0, record: 20, count: 1 }] });
    expect(result.kind === 'settled' && result.refused[0]!.reason).toMatch(/RESOURCE_EXHAUSTED/);
    await eventually(
      () => spansOf(store.readers.traces!, good.traceId),
      (spans) => spans === 20,
    );
  });

  it('A19: wrong credentials hold the spans, right ones let them through; over TLS with certificates of our own', async () => {
    const { cert, key } = selfSigned();
    const demands = () => ({ authorization: 'Bearer right' });
    await using grpc = await startAuthProxy({ target: jaeger.otlpEndpoint, cert, key, clientCa: cert, demands });
    await using query = await startAuthProxy({ target: jaeger.queryUrl, cert, key, clientCa: cert, demands });
    const storeWith = (token: string, tls: object) =>
      openJaegerStore({
        otlpEndpoint: grpc.url,
        queryEndpoint: query.url,
        access: { headers: { authorization: `Bearer ${token}` }, tls },
        version: '0',
      });
    const trace = traceOf(2);
    {
      await using store = storeWith('wrong', { ca: cert, cert, key });
      const result = await store.destination!.write(batchOf(trace), never);
      expect(result).toMatchObject({ kind: 'retry', pending: 'all', refused: [] });
      expect(JSON.stringify(result)).not.toContain('wrong');
      const asked = store.readers.traces!.trace(trace.traceId, never);
      await expect(asked).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('credentials'),
      });
    }
    {
      // The far side is not who it says it is.
      await using store = storeWith('right', { cert, key });
      expect((await store.destination!.write(batchOf(trace), never)).kind).toBe('retry');
      await expect(store.readers.traces!.trace(trace.traceId, never)).rejects.toMatchObject({ code: 'unavailable' });
    }
    await using store = storeWith('right', { ca: cert, cert, key });
    await settled(store, batchOf(trace));
    await eventually(
      () => spansOf(store.readers.traces!, trace.traceId),
      (spans) => spans === 2,
    );
  });
});

describe('reading', () => {
  const range = () => ({
    startUnixNano: BigInt(Date.now() - 600_000) * 1_000_000n,
    endUnixNano: BigInt(Date.now() + 60_000) * 1_000_000n,
  });
  const search = (reader: TraceReader, cancel = never) =>
    reader.search(
      {
        range: range(),
        service: undefined,
        operation: undefined,
        filter: { kind: 'all' },
        minDurationNanos: undefined,
        maxDurationNanos: undefined,
        limit: 10,
        cursor: undefined,
      },
      cancel,
    );

  it.each([
    { name: 'no answer at all', fault: { kind: 'reset' } as const, message: /does not answer/ },
    { name: 'half an answer', fault: { kind: 'cutAnswer', afterBytes: 200 } as const, message: /does not answer/ },
    { name: '401', fault: { kind: 'answer', status: 401 } as const, message: /credentials/ },
    {
      name: '500',
      fault: { kind: 'answer', status: 500, body: '{"error":{"message":"disk"}}' } as const,
      message: /500: disk/,
    },
    {
      name: 'a page of a proxy',
      fault: { kind: 'answer', status: 200, body: '<html>' } as const,
      message: /could not be read/,
    },
    {
      name: 'no JSON',
      fault: { kind: 'answer', status: 200, body: '{"result":{"resourceSpans":[' } as const,
      message: /could not be read/,
    },
  ])('$name: unavailable, and fine afterwards', async ({ fault, message }) => {
    await using proxy = await startHttpProxy(jaeger.queryUrl);
    await using store = storeTo(jaeger.otlpEndpoint, proxy.url);
    const trace = traceOf(2);
    await settled(store, batchOf(trace));
    await eventually(
      () => spansOf(store.readers.traces!, trace.traceId),
      (spans) => spans === 2,
    );
    for (const ask of [
      () => search(store.readers.traces!),
      () => store.readers.traces!.trace(trace.traceId, never),
      () => store.readers.traces!.services(range(), never),
      () => store.readers.traces!.operations('faults', range(), never),
    ]) {
      proxy.spoil(Number.POSITIVE_INFINITY, fault);
      await expect(ask()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringMatching(message) });
      proxy.heal();
      await ask();
    }
  });

  it('an answer without an end is not held: asked again for less, and then said', async () => {
    await using proxy = await startHttpProxy(jaeger.queryUrl);
    await using store = storeTo(jaeger.otlpEndpoint, proxy.url);
    const trace = traceOf(2);
    await settled(store, batchOf(trace));
    await eventually(
      () => spansOf(store.readers.traces!, trace.traceId),
      (spans) => spans === 2,
    );
    proxy.spoil(1, { kind: 'pad', bytes: 100 << 20 });
    const page = await search(store.readers.traces!);
    expect(page.items.some(({ traceId }) => traceId === trace.traceId)).toBe(true);
    proxy.spoil(1, { kind: 'pad', bytes: 100 << 20 });
    await expect(store.readers.traces!.trace(trace.traceId, never)).rejects.toMatchObject({ code: 'unprocessable' });
  });

  it('a question that nobody waits for is given up, there as well', async () => {
    await using proxy = await startHttpProxy(jaeger.queryUrl);
    await using store = storeTo(jaeger.otlpEndpoint, proxy.url);
    proxy.spoil(Number.POSITIVE_INFINITY, { kind: 'hang' });
    const cancel = new AbortController();
    const asked = search(store.readers.traces!, cancel.signal);
    await eventually(
      async () => proxy.requests.length,
      (requests) => requests > 0,
    );
    cancel.abort(new Error('the client has left'));
    await expect(asked).rejects.toThrow('the client has left');
    await expect(search(store.readers.traces!, cancel.signal)).rejects.toThrow('the client has left');
  });

  it('where Jaeger only searches within a service, each is asked', async () => {
    // As Badger and Cassandra answer; the memory of the one behind would not.
    await using proxy = await startHttpProxy(jaeger.queryUrl);
    await using store = storeTo(jaeger.otlpEndpoint, proxy.url);
    const trace = traceOf(2);
    await settled(store, batchOf(trace));
    await eventually(
      () => spansOf(store.readers.traces!, trace.traceId),
      (spans) => spans === 2,
    );
    proxy.decide(({ path }) =>
      path.startsWith('/api/v3/traces?') && !path.includes('service_name')
        ? { kind: 'answer', status: 500, body: '{"error":{"httpCode":500,"message":"service name must be set"}}' }
        : undefined,
    );
    const page = await search(store.readers.traces!);
    expect(page.items.map(({ traceId }) => traceId)).toContain(trace.traceId);
    expect(page.incomplete).toBe(false);
  });

  it('asks /api/v3 only, and for what a search can be narrowed to', async () => {
    await using proxy = await startHttpProxy(jaeger.queryUrl);
    await using store = storeTo(jaeger.otlpEndpoint, proxy.url);
    await store.readers.traces!.search(
      {
        range: range(),
        service: 'faults',
        operation: 'op',
        filter: { kind: 'all' },
        minDurationNanos: 1_000_000n,
        maxDurationNanos: undefined,
        limit: 10,
        cursor: undefined,
      },
      never,
    );
    await store.readers.traces!.services(range(), never);
    await store.readers.traces!.operations('faults', range(), never);
    await store.readers.traces!.trace('ab'.repeat(16), never);
    expect(proxy.requests.every(({ path }) => path.startsWith('/api/v3/'))).toBe(true);
    const asked = new URL(proxy.requests[0]!.path, proxy.url).searchParams;
    expect(asked.get('query.service_name')).toBe('faults');
    expect(asked.get('query.operationName')).toBe('op');
    expect(asked.get('query.durationMin')).toBe('1000000ns');
  });
});
