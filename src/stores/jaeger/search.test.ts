import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { TraceSearch, TraceSummary } from '../contract.ts';
import { searchTraces } from './search.ts';
import type { FoundTrace } from './spans.ts';

// Against a model of Jaeger: traces of spans with a start each, given in an order of its own, at most so many.

interface ModelTrace {
  readonly traceId: string;
  /** Starts of its spans; those that match. */
  readonly starts: readonly bigint[];
  readonly matching: readonly bigint[];
}

const never = new AbortController().signal;

function summary(traceId: string): TraceSummary {
  return {
    traceId,
    rootService: '',
    rootName: '',
    startTimeUnixNano: 0n,
    durationNanos: 0n,
    spanCount: 1,
    errorCount: 0,
    services: [],
  };
}

function byTime(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function model(traces: readonly ModelTrace[], options: { depthMax?: number; largeOver?: number } = {}) {
  let asked = 0;
  return {
    get asked() {
      return asked;
    },
    monotonicMs: () => 0,
    async ask(
      window: { startUnixNano: bigint; endUnixNano: bigint; depth: number },
      search: { range: TraceSearch['range'] },
    ) {
      asked++;
      const depth = Math.min(window.depth, options.depthMax ?? 1_000);
      const inside = (time: bigint) => time >= window.startUnixNano && time < window.endUnixNano;
      const found = traces.filter(({ starts }) => starts.some(inside)).slice(0, depth);
      if (found.length > (options.largeOver ?? 1_000)) return { kind: 'tooLarge' } as const;
      return {
        kind: 'traces',
        full: found.length >= depth,
        sizeBytes: found.length,
        found: found.map(({ traceId, starts, matching }): FoundTrace => {
          const newest = matching
            .filter((time) => time >= search.range.startUnixNano && time < search.range.endUnixNano)
            .reduce<bigint | undefined>((a, b) => (a === undefined || b > a ? b : a), undefined);
          return {
            summary: { ...summary(traceId), startTimeUnixNano: starts.toSorted(byTime)[0]! },
            newestMatch: newest,
          };
        }),
      } as const;
    },
  };
}

const range = { startUnixNano: 1_000n, endUnixNano: 1_000_000n };

function searching(limit: number, cursor?: string): TraceSearch {
  return {
    range,
    limit,
    cursor,
    service: undefined,
    operation: undefined,
    filter: { kind: 'all' },
    minDurationNanos: undefined,
    maxDurationNanos: undefined,
  };
}

async function all(parts: Parameters<typeof searchTraces>[0], limit: number) {
  const ids: string[] = [];
  let [cursor, incomplete, pages]: [string | undefined, boolean, number] = [undefined, false, 0];
  do {
    const page = await searchTraces(parts, searching(limit, cursor), never);
    ids.push(...page.items.map(({ traceId }) => traceId));
    incomplete ||= page.incomplete;
    cursor = page.next;
    expect(++pages).toBeLessThan(1_000);
  } while (cursor !== undefined);
  return { ids, incomplete };
}

function expected(traces: readonly ModelTrace[]): string[] {
  const inside = (time: bigint) => time >= range.startUnixNano && time < range.endUnixNano;
  return traces
    .flatMap(({ traceId, matching }) => {
      const times = matching.filter(inside);
      return times.length === 0 ? [] : [{ traceId, time: times.toSorted((a, b) => Number(b - a))[0]! }];
    })
    .sort((a, b) => (a.time === b.time ? (a.traceId < b.traceId ? 1 : -1) : a.time < b.time ? 1 : -1))
    .map(({ traceId }) => traceId);
}

// Times a few microseconds apart, so that windows get as narrow as they can.
const times = fc.uniqueArray(
  fc.bigInt({ min: 0n, max: 1_100n }).map((time) => time * 1_000n),
  { minLength: 1, maxLength: 3 },
);
const traces = fc
  .array(fc.record({ starts: times, hits: fc.integer({ min: 0, max: 7 }) }), { maxLength: 60 })
  .map((given) =>
    given.map(
      ({ starts, hits }, index): ModelTrace => ({
        traceId: ((index * 7919) % 65_536).toString(16).padStart(32, '0'),
        starts,
        matching: starts.filter((_, bit) => (hits & (1 << bit)) !== 0),
      }),
    ),
  );

it('finds every trace with a span that matches, once, newest first, whatever the page and whatever Jaeger gives at once', async () => {
  await fc.assert(
    fc.asyncProperty(traces, fc.integer({ min: 1, max: 9 }), async (given, limit) => {
      // At most 60 traces, and each window of a microsecond has at most as many as it gives at once.
      const answer = await all(model(given), limit);
      expect(answer).toEqual({ ids: expected(given), incomplete: false });
    }),
    { numRuns: 300 },
  );
});

it('says so where more begin at once than Jaeger gives, and still gives each once', async () => {
  const crowd = Array.from({ length: 200 }, (_, index): ModelTrace => {
    const traceId = index.toString(16).padStart(32, '0');
    return { traceId, starts: [5_000n], matching: [5_000n] };
  });
  const { ids, incomplete } = await all(model(crowd), 10);
  expect(incomplete).toBe(true);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThan(0);
});

it('asks for less where an answer is too large', async () => {
  const given = Array.from({ length: 40 }, (_, index): ModelTrace => {
    const start = 2_000n + BigInt(index) * 3_000n;
    return { traceId: index.toString(16).padStart(32, '0'), starts: [start], matching: [start] };
  });
  expect(await all(model(given, { largeOver: 5 }), 20)).toEqual({ ids: expected(given), incomplete: false });
});

it('a rare match is looked for up to a bound, and the next page goes on from there', async () => {
  const given = Array.from({ length: 30_000 }, (_, index): ModelTrace => {
    const start = 1_000n + BigInt(index) * 33n;
    return { traceId: index.toString(16).padStart(32, '0'), starts: [start], matching: index === 3 ? [start] : [] };
  });
  const first = await searchTraces(model(given), searching(10), never);
  expect(first).toMatchObject({ items: [], incomplete: true });
  expect(first.warnings.join()).toMatch(/looked through; the next page goes on/);
  const { ids } = await all(model(given), 10);
  expect(ids).toEqual([given[3]!.traceId]);
});

it('pages do not repeat what came before them while data arrive', async () => {
  const given: ModelTrace[] = [9_000n, 8_000n, 7_000n].map((start, index) => ({
    traceId: `${index}`.padStart(32, '0'),
    starts: [start],
    matching: [start],
  }));
  const first = await searchTraces(model(given), searching(2), never);
  given.push({ traceId: 'f'.repeat(32), starts: [9_500n], matching: [9_500n] });
  given[0] = { ...given[0]!, starts: [9_000n, 6_000n], matching: [9_000n, 6_000n] };
  const second = await searchTraces(model(given), searching(2, first.next), never);
  expect([...first.items, ...second.items].map(({ traceId }) => traceId[31])).toEqual(['0', '1', '2']);
  expect(second.next).toBeUndefined();
});

it.each(['', 'x', Buffer.from('["1","2"]').toString('base64url'), Buffer.from('["1","2","zz"]').toString('base64url')])(
  'refuses the cursor %j',
  async (cursor) => {
    await expect(searchTraces(model([]), searching(1, cursor), never)).rejects.toMatchObject({
      code: 'malformed',
      parameter: 'cursor',
    });
  },
);
