import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeOtlp, encodeOtlp } from '../../test/kit/otlp.ts';
import { runs } from '../../test/kit/runs.ts';
import type { Batch } from '../base/index.ts';
import { openSpanMetrics, type SpanMetricsOptions } from './index.ts';
import { nameBytesMax, seriesMax } from './limits.ts';

const never = new AbortController().signal;
const logId = 'ab'.repeat(16);

interface SpanGiven {
  readonly service?: string;
  readonly name: string;
  readonly kind?: number;
  readonly status?: number;
  readonly seconds?: number;
}

function bodyOf(spans: readonly SpanGiven[]): Uint8Array {
  return encodeOtlp('traces', {
    resourceSpans: spans.map(({ service = 'cart', name, kind = 2, status = 0, seconds = 0.1 }) => ({
      resource: {
        attributes: [
          { key: 'service.name', value: { stringValue: service } },
          { key: 'k8s.namespace.name', value: { stringValue: 'shop' } },
          { key: 'environment', value: { stringValue: 'test' } },
        ],
      },
      scopeSpans: [
        {
          spans: [
            {
              name,
              kind,
              traceId: Buffer.alloc(16, 1),
              spanId: Buffer.alloc(8, 1),
              startTimeUnixNano: '1795577100000000000',
              endTimeUnixNano: String(1795577100000000000n + BigInt(Math.round(seconds * 1e9))),
              ...(status === 0 ? {} : { status: { code: status } }),
            },
          ],
        },
      ],
    })),
  });
}

function batchOf(seqs: readonly number[], bodies: readonly Uint8Array[], log = logId): Batch {
  const frames = seqs.map((seq) => ({
    seq,
    tenant: '',
    digest: Buffer.alloc(16),
    receivedUnixNano: 0n,
    records: 1,
    body: bodies[seq - 1]!,
  }));
  return { signal: 'traces', logId: log, frames, records: frames.length, sizeBytes: 0 };
}

interface Point {
  readonly labels: string;
  readonly start: bigint;
  readonly time: bigint;
  readonly count: number;
  readonly sum: number;
}

/** Points of an emitted request. */
function pointsOf(request: Uint8Array, metric: 'calls' | 'duration'): Point[] {
  interface Raw {
    attributes: { key: string; value: { stringValue?: string; boolValue?: boolean } }[];
    startTimeUnixNano: string;
    timeUnixNano: string;
    asInt?: string;
    count?: string;
    sum?: number;
  }
  const { resourceMetrics } = decodeOtlp('metrics', request) as {
    resourceMetrics: {
      scopeMetrics: {
        metrics: { name: string; sum?: { dataPoints: Raw[] }; histogram?: { dataPoints: Raw[] } }[];
      }[];
    }[];
  };
  return resourceMetrics
    .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
    .filter(({ name }) => name === `traces.spanmetrics.${metric}`)
    .flatMap(({ sum, histogram }) => (sum ?? histogram)!.dataPoints)
    .map((point) => ({
      labels: point.attributes
        .filter(({ key }) => key !== 'replica')
        .map(({ key, value }) => `${key}=${value.stringValue ?? value.boolValue}`)
        .join(' '),
      start: BigInt(point.startTimeUnixNano),
      time: BigInt(point.timeUnixNano),
      count: Number(point.asInt ?? point.count),
      sum: point.sum ?? 0,
    }));
}

async function withFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'spanmetrics-'));
  try {
    return await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

class TestClock {
  ms = 1_795_577_200_000;
  nowMs = () => this.ms;
  nowUnixNano = () => BigInt(this.ms) * 1_000_000n;
  monotonicMs = () => this.ms;
}

function options(folder: string, emitted: Uint8Array[], more: Partial<SpanMetricsOptions> = {}): SpanMetricsOptions {
  return {
    folder,
    emit: async (request) => emitted.push(request),
    warn: () => {},
    flushMs: 1e8,
    ...more,
  };
}

it('emits calls and durations under the names and labels of the span_metrics connector', () =>
  withFolder(async (folder) => {
    const emitted: Uint8Array[] = [];
    const clock = new TestClock();
    const metrics = await openSpanMetrics(options(folder, emitted, { clock }));
    clock.ms += 5_000;
    const spans = [
      { name: 'GET /', seconds: 0.003 },
      { name: 'GET /', seconds: 20 },
      { name: 'GET /', status: 2 },
      { name: 'x', kind: 3, service: 'pay', status: 1 },
    ];
    await metrics.write(batchOf([1], [bodyOf(spans)]), never);
    await metrics.flush();
    const cart = 'service.name=cart service.namespace=shop deployment.environment.name=test';
    const calls = pointsOf(emitted[0]!, 'calls');
    expect(calls.map(({ labels, count }) => [labels, count])).toEqual([
      // A new series begins at 0, so that its first spans are an increase.
      [`${cart} span.name=GET / span.kind=SPAN_KIND_SERVER status.code=STATUS_CODE_UNSET`, 0],
      [`${cart} span.name=GET / span.kind=SPAN_KIND_SERVER status.code=STATUS_CODE_UNSET`, 2],
      [`${cart} span.name=GET / span.kind=SPAN_KIND_SERVER status.code=STATUS_CODE_ERROR`, 0],
      [`${cart} span.name=GET / span.kind=SPAN_KIND_SERVER status.code=STATUS_CODE_ERROR`, 1],
      [`${cart.replace('cart', 'pay')} span.name=x span.kind=SPAN_KIND_CLIENT status.code=STATUS_CODE_OK`, 0],
      [`${cart.replace('cart', 'pay')} span.name=x span.kind=SPAN_KIND_CLIENT status.code=STATUS_CODE_OK`, 1],
    ]);
    expect(calls[0]!.time).toBe(calls[0]!.start);
    expect(calls[1]!.time).toBeGreaterThan(calls[1]!.start);
    const durations = pointsOf(emitted[0]!, 'duration');
    expect(durations.map(({ count }) => count)).toEqual([0, 2, 0, 1, 0, 1]);
    expect(durations[1]!.sum).toBeCloseTo(20.003, 9);
    await metrics.flush();
    expect(pointsOf(emitted[1]!, 'calls').map(({ count }) => count)).toEqual([2, 1, 1]);
    await metrics[Symbol.asyncDispose]();
  }));

// s: a frame is counted; f: flush; k: kill -9, and start again from what is on disk; e: emissions fail from here on until the next e.
const action = fc.constantFrom('s', 's', 's', 'f', 'k', 'e');

it('each span counts once, whatever is killed when, and no counter that was seen ever falls', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 40 }),
      fc.array(fc.record({ name: fc.constantFrom('a', 'b', 'c'), status: fc.constantFrom(0, 2) }), {
        minLength: 40,
        maxLength: 40,
      }),
      (actions, spans) =>
        withFolder(async (folder) => {
          const clock = new TestClock();
          const emitted: Uint8Array[] = [];
          const bodies = spans.map((span) => bodyOf([span]));
          let [failing, sent, cursor] = [false, 0, 0];
          const open = async () => {
            const metrics = await openSpanMetrics(
              options(folder, emitted, {
                clock,
                emit: async (request) => {
                  if (failing) throw new Error('full');
                  emitted.push(request);
                },
              }),
            );
            metrics.keeper.onKept((_signal, _log, seq) => {
              cursor = seq;
            });
            // As the delivery does: from what is kept; and the log still has what the cursor has not passed.
            const from = metrics.keeper.keptThrough('traces', logId);
            expect(from).toBeGreaterThanOrEqual(cursor);
            return { metrics, from };
          };
          let { metrics } = await open();
          for (const each of [...actions, 'k', 'f']) {
            clock.ms += 1_000;
            if (each === 'e') failing = !failing;
            else if (each === 'f') await metrics.flush();
            else if (each === 's') await metrics.write(batchOf([++sent], bodies), never);
            else {
              const again = await open(); // the one before is never heard of again
              metrics = again.metrics;
              for (let seq = again.from + 1; seq <= sent; seq++) await metrics.write(batchOf([seq], bodies), never);
            }
          }
          failing = false;
          await metrics.flush();
          const highest = new Map<string, number>();
          for (const request of emitted) {
            for (const { labels, count, time, start } of pointsOf(request, 'calls')) {
              if (time === start) continue;
              expect(count).toBeGreaterThanOrEqual(highest.get(labels) ?? 0);
              highest.set(labels, count);
            }
          }
          const total = [...highest.values()].reduce((sum, count) => sum + count, 0);
          expect(total).toBe(sent);
        }),
    ),
    { numRuns: runs(60) },
  );
});

it('what does not fit is counted under its service', () =>
  withFolder(async (folder) => {
    const emitted: Uint8Array[] = [];
    const metrics = await openSpanMetrics(options(folder, emitted));
    const body = (from: number, count: number) =>
      bodyOf(Array.from({ length: count }, (_, index) => ({ name: `GET /${from + index}` })));
    const bodies = [body(0, seriesMax), body(1e6, 30), body(0, 10)];
    await metrics.write(batchOf([1, 2, 3], bodies), never);
    await metrics.flush();
    const points = pointsOf(emitted[0]!, 'calls').filter(({ time, start }) => time !== start);
    expect(points.length).toBe(seriesMax + 1);
    expect(points.find(({ labels }) => labels.includes('otel.metric.overflow=true'))).toMatchObject({
      count: 30,
      labels: expect.stringContaining('service.name=cart'),
    });
    expect(points.reduce((sum, { count }) => sum + count, 0)).toBe(seriesMax + 40);
    // The same after a restart: what fitted still fits.
    await metrics[Symbol.asyncDispose]();
    const again = await openSpanMetrics(options(folder, emitted));
    await again.write(batchOf([4], [...bodies, body(0, 10)]), never);
    await again.flush();
    expect(pointsOf(emitted.at(-1)!, 'calls').length).toBe(seriesMax + 1);
    await again[Symbol.asyncDispose]();
  }));

it('long names are cut between two characters, and found again after a restart', () =>
  withFolder(async (folder) => {
    const emitted: Uint8Array[] = [];
    const bodies = [bodyOf([{ name: 'ü'.repeat(400) }]), bodyOf([{ name: `a${'ü'.repeat(400)}` }])];
    for (let restarts = 0; restarts < 2; restarts++) {
      const metrics = await openSpanMetrics(options(folder, emitted));
      await metrics.write(batchOf([1, 2], bodies, `${restarts}`.repeat(32)), never);
      await metrics[Symbol.asyncDispose]();
    }
    const points = pointsOf(emitted.at(-1)!, 'calls');
    expect(points.map(({ count }) => count)).toEqual([2, 2]);
    expect(Buffer.byteLength(/span\.name=(\S+)/.exec(points[1]!.labels)![1]!)).toBe(nameBytesMax - 1);
  }));

it('a new log is counted from its beginning, on top of what was counted', () =>
  withFolder(async (folder) => {
    const emitted: Uint8Array[] = [];
    const metrics = await openSpanMetrics(options(folder, emitted));
    await metrics.write(batchOf([1], [bodyOf([{ name: 'a' }])]), never);
    await metrics.flush();
    expect(metrics.keeper.keptThrough('traces', logId)).toBe(1);
    const other = 'cd'.repeat(16);
    expect(metrics.keeper.keptThrough('traces', other)).toBe(0);
    await metrics.write(batchOf([1], [bodyOf([{ name: 'a' }])], other), never);
    await metrics.flush();
    expect(pointsOf(emitted.at(-1)!, 'calls').map(({ count }) => count)).toEqual([2]);
    expect(metrics.keeper.keptThrough('traces', other)).toBe(1);
    await metrics[Symbol.asyncDispose]();
  }));

it('starts with a damaged state, says so, and counts from the beginning of the log', () =>
  withFolder(async (folder) => {
    const emitted: Uint8Array[] = [];
    const said: string[] = [];
    const metrics = await openSpanMetrics(options(folder, emitted));
    await metrics.write(batchOf([1], [bodyOf([{ name: 'a' }])]), never);
    await metrics[Symbol.asyncDispose]();
    const bytes = await readFile(join(folder, 'state'));
    for (const at of [3, 40, bytes.length - 2]) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 1;
      await writeFile(join(folder, 'state'), damaged);
      const again = await openSpanMetrics(options(folder, emitted, { warn: (message) => said.push(message) }));
      expect(again.keeper.keptThrough('traces', logId)).toBe(0);
      await again[Symbol.asyncDispose]();
      expect(said.join()).toContain('damaged');
    }
  }));

it('a clock that was set back makes no older samples', () =>
  withFolder(async (folder) => {
    const emitted: Uint8Array[] = [];
    const clock = new TestClock();
    const metrics = await openSpanMetrics(options(folder, emitted, { clock }));
    await metrics.write(batchOf([1], [bodyOf([{ name: 'a' }])]), never);
    await metrics.flush();
    clock.ms -= 3_600_000;
    await metrics.flush();
    const [before, after] = emitted.map((request) => pointsOf(request, 'calls').at(-1)!);
    expect(after!.time).toBeGreaterThan(before!.time);
    await metrics[Symbol.asyncDispose]();
  }));
