import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeOtlp } from '../../test/kit/otlp.ts';
import { Fault } from '../base/index.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import { createGate } from './gate.ts';
import { histogramInterval } from './histogram.ts';
import { pace } from './pace.ts';
import { mergeServices } from './services.ts';
import { traceWindow } from './trace.ts';

const never = new AbortController().signal;

describe('gate', () => {
  const limits = { atOnceMax: 2, waitingMax: 1, budgetMs: 10_000 };

  it('lets so many through at once, the others in the order in which they came', async () => {
    const gate = createGate({ ...limits, waitingMax: 10 });
    const order: string[] = [];
    const doors = new Map<string, () => void>();
    const enter = (name: string) =>
      gate.run(never, async () => {
        order.push(name);
        await new Promise<void>((resolve) => doors.set(name, resolve));
        return name;
      });
    const all = ['a', 'b', 'c', 'd'].map(enter);
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual(['a', 'b']);
    doors.get('b')!();
    await all[1];
    expect(order).toEqual(['a', 'b', 'c']);
    doors.get('a')!();
    await all[0];
    expect(order).toEqual(['a', 'b', 'c', 'd']);
    doors.get('c')!();
    doors.get('d')!();
    expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('tells the next to come again when too many wait', async () => {
    const gate = createGate(limits);
    const stop = new AbortController();
    const held = [1, 2, 3].map(() => gate.run(stop.signal, (cancel) => until(cancel)).catch(() => 'stopped'));
    await expect(gate.run(never, async () => 1)).rejects.toMatchObject({ code: 'unavailable', retryAfterMs: 1_000 });
    stop.abort();
    expect(await Promise.all(held)).toEqual(['stopped', 'stopped', 'stopped']);
    await expect(gate.run(never, async () => 1)).resolves.toBe(1);
  });

  it('gives the place of one that waited in vain to the next', async () => {
    const gate = createGate({ ...limits, atOnceMax: 1 });
    const first = Promise.withResolvers<void>();
    const running = gate.run(never, () => first.promise);
    const leaves = new AbortController();
    const waiting = gate.run(leaves.signal, async () => 'never').catch(() => 'gone');
    leaves.abort();
    expect(await waiting).toBe('gone');
    const next = gate.run(never, async () => 'next');
    first.resolve();
    await running;
    expect(await next).toBe('next');
  });

  it('answers when the time is used up, even where the work does not stop, and keeps its place taken', async () => {
    const gate = createGate({ atOnceMax: 1, waitingMax: 0, budgetMs: 20 });
    const work = Promise.withResolvers<void>();
    const failure = await gate.run(never, () => work.promise).catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ code: 'tooSlow' });
    await expect(gate.run(never, async () => 1)).rejects.toMatchObject({ code: 'unavailable' });
    work.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    await expect(gate.run(never, async () => 1)).resolves.toBe(1);
  });

  it("answers tooSlow and not in the store's words once it was stopped", async () => {
    const gate = createGate({ ...limits, budgetMs: 10 });
    const work = (cancel: AbortSignal) => until(cancel).catch(() => Promise.reject(new Error('INTERRUPT')));
    await expect(gate.run(never, work)).rejects.toMatchObject({ code: 'tooSlow' });
  });

  it('never grants more than its budget', async () => {
    const gate = createGate({ ...limits, budgetMs: 10 });
    await expect(gate.run(never, until, 60_000)).rejects.toMatchObject({ code: 'tooSlow' });
  });

  it('passes failures on and frees the place', async () => {
    const gate = createGate({ ...limits, atOnceMax: 1 });
    const fails = () => Promise.reject(new Fault('notFound', 'x'));
    await expect(gate.run(never, fails)).rejects.toMatchObject({ code: 'notFound' });
    await expect(gate.run(never, async () => 1)).resolves.toBe(1);
    const throws = () => {
      throw new Fault('malformed', 'x');
    };
    await expect(gate.run(never, throws)).rejects.toMatchObject({ code: 'malformed' });
    await expect(gate.run(never, async () => 1)).resolves.toBe(1);
  });

  function until(cancel: AbortSignal): Promise<never> {
    return new Promise((_, reject) => cancel.addEventListener('abort', () => reject(cancel.reason)));
  }
});

describe('pace', () => {
  it('lets others have the thread, and stops when cancelled', async () => {
    const stop = new AbortController();
    const breathe = pace(stop.signal);
    let others = 0;
    const timer = setInterval(() => others++, 1);
    while (others === 0) {
      const pause = breathe();
      if (pause !== undefined) await pause;
    }
    clearInterval(timer);
    stop.abort(new Fault('tooSlow', 'x'));
    expect(() => {
      for (let call = 0; call < 1_000; call++) breathe();
    }).toThrow(expect.objectContaining({ code: 'tooSlow' }));
  });
});

describe('cursor', () => {
  it('brings back what was put in', () => {
    const nanos = fc.bigInt({ min: 0n, max: (1n << 62n) - 1n });
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 100 }), nanos, nanos, (next, start, more) => {
        const range = { startUnixNano: start, endUnixNano: start + more + 1n };
        expect(decodeCursor(encodeCursor(next.toWellFormed(), range)!)).toEqual({ next: next.toWellFormed(), range });
      }),
    );
  });

  it('is refused when forged', () => {
    const form = fc.oneof(
      fc.string(),
      fc.json().map((json) => Buffer.from(json).toString('base64url')),
      fc
        .constantFrom('["5","1","x"]', '["1","99999999999999999999","x"]', '["1","2",3]')
        .map((json) => Buffer.from(json).toString('base64url')),
    );
    fc.assert(
      fc.property(form, (cursor) => {
        expect(() => decodeCursor(cursor)).toThrow(expect.objectContaining({ code: 'malformed', parameter: 'cursor' }));
      }),
    );
  });

  it('is null at the end', () => {
    expect(encodeCursor(undefined, { startUnixNano: 0n, endUnixNano: 1n })).toBeNull();
  });
});

describe('histogram', () => {
  const second = 1_000_000_000n;
  it.each([
    { seconds: 1n, interval: second / 20n },
    { seconds: 60n, interval: second },
    { seconds: 3_600n, interval: 60n * second },
    { seconds: 3_601n, interval: 120n * second },
    { seconds: 86_400n, interval: 1_800n * second },
    { seconds: 10_000n * 86_400n, interval: 167n * 86_400n * second },
  ])('of $seconds s has at most 60 round buckets', ({ seconds, interval }) => {
    expect(histogramInterval({ startUnixNano: 0n, endUnixNano: seconds * second }, undefined)).toBe(interval);
  });

  it.each([{ interval: 0n }, { interval: 1n }, { interval: second / 1_000n }])(
    'refuses $interval ns',
    ({ interval }) => {
      const range = { startUnixNano: 0n, endUnixNano: 3_600n * second };
      expect(() => histogramInterval(range, interval)).toThrow(expect.objectContaining({ parameter: 'interval' }));
    },
  );
});

it('merges services by name, namespace and environment, in a fixed order', () => {
  const row = { namespace: '', environment: '', records: 5, errors: 1, durationNanos: undefined };
  const durationNanos = { p50: 1n, p95: 2n, p99: 3n };
  const merged = mergeServices([
    { ...row, name: 'b', signal: 'logs', lastSeenUnixNano: 9n },
    { ...row, name: 'b', signal: 'traces', lastSeenUnixNano: 7n, durationNanos },
    { ...row, name: 'b', namespace: 'x', signal: 'metrics', lastSeenUnixNano: 1n },
    { ...row, name: 'B', signal: 'metrics', lastSeenUnixNano: 1n },
    { ...row, name: '', signal: 'metrics', lastSeenUnixNano: 1n },
  ]);
  expect(merged.map(({ name, namespace, signals }) => `${name}/${namespace} ${signals.join()}`)).toEqual([
    'B/ metrics',
    'b/ traces,logs',
    'b/x metrics',
  ]);
  expect(merged[1]).toMatchObject({ spanCount: 5, errorCount: 1, durationNanos, lastSeenUnixNano: 9n });
  expect(merged[0]).toMatchObject({ spanCount: 0, errorCount: 0, durationNanos: undefined });
});

it('finds the time of a trace', () => {
  const span = (start: number, end: number) => ({
    name: 'x',
    startTimeUnixNano: String(start),
    endTimeUnixNano: String(end),
  });
  const trace = encodeOtlp('traces', {
    resourceSpans: [
      { scopeSpans: [{ spans: [span(50, 60)] }] },
      { scopeSpans: [{ spans: [span(0, 0)] }, { spans: [span(40, 45), span(55, 90)] }] },
    ],
  });
  expect(traceWindow(trace)).toEqual({ startUnixNano: 40n, endUnixNano: 91n });
  expect(traceWindow(new Uint8Array())).toBeUndefined();
});
