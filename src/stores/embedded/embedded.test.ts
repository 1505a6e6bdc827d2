import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { describe, expect, it } from 'vitest';
import { plainAttributes, plainValue, Reader } from '../../otlp/index.ts';
import type { EmbeddedStore } from './index.ts';
import {
  allLogs,
  batch,
  day,
  everything,
  FixedClock,
  folderOfOwn,
  frame,
  type LogGiven,
  logBytes,
  logId,
  minuteNanos,
  never,
  noon,
  openStore,
  request,
  type SpanGiven,
  spanBytes,
  write,
} from './kit.ts';

const resource = { 'service.name': 'cart', 'service.namespace': 'shop', 'k8s.pod.name': 'cart-1', 'a.b': [1n, 'x'] };
const ids = (n: number) => ({
  traceId: `c${n.toString(16).padStart(31, '0')}`,
  spanId: `d${n.toString(16).padStart(15, '0')}`,
});

/** Every shape of value, and every odd key. */
const odd = {
  text: 'plain',
  empty: '',
  quotes: 'a "b" \\ \n \u0001 é 🎉',
  yes: true,
  int: 42n,
  big: 9_007_199_254_740_993n,
  negative: -5n,
  double: 0.25,
  nan: Number.NaN,
  infinite: Number.NEGATIVE_INFINITY,
  bytes: Uint8Array.of(0, 255, 7),
  list: ['a', 1n, true, undefined, ['nested']],
  object: { k: 'v', deeper: { n: 1n } },
  nothing: undefined,
  '': 'no key',
  __proto__x: 'p',
  'with "quotes"/and~tilde': 'q',
  Ключ: 'значение',
};

/** The states in which everything must read the same. */
const states: readonly [
  name: string,
  reach: (store: EmbeddedStore, reopen: () => Promise<EmbeddedStore>) => Promise<EmbeddedStore>,
][] = [
  ['hot', async (store) => store],
  ['rolled', async (store) => store.rollAll().then(() => store)],
  ['reopened', async (store, reopen) => store.rollAll().then(reopen)],
];

describe.each(states)('%s', (_, reach) => {
  it('gives back every span once, byte for byte, with its resource, scope and schemas', async () => {
    await using folder = await folderOfOwn();
    let store = await openStore(folder.path);
    const { traceId } = ids(1);
    const spans: SpanGiven[] = [
      { traceId, spanId: 'a000000000000001', start: noon, name: 'root', attributes: odd, status: 2, message: 'no' },
      {
        traceId,
        spanId: 'a000000000000002',
        parentSpanId: 'a000000000000001',
        start: noon + 5n,
        events: [{ name: 'e', attributes: odd }],
      },
      { ...ids(2), start: noon, name: '' },
    ];
    const body = request(resource, spans.map(spanBytes));
    await write(store, 'traces', [frame(1, body, 3), frame(2, request(resource, [spanBytes(spans[1]!)]))]);
    store = await reach(store, async () => {
      await store[Symbol.asyncDispose]();
      return openStore(folder.path);
    });
    await using opened = store;
    const bytes = await opened.readers.traces!.trace(traceId.toUpperCase(), never);
    // The second span was sent twice; it is there once.
    expect(drawn(bytes!)).toEqual([drawnResource(body, [0, 1])]);
    expect(await opened.readers.traces!.trace(ids(3).traceId, never)).toBeUndefined();
  });

  it('gives back log records as they were sent', async () => {
    await using folder = await folderOfOwn();
    let store = await openStore(folder.path);
    const logs: LogGiven[] = [
      {
        time: noon,
        severity: 17,
        severityText: 'Error',
        body: 'payment declined',
        attributes: odd,
        ...ids(7),
        eventName: 'e',
      },
      { observed: noon + 1n, body: { structured: ['x', 1n], deep: odd } },
      { body: 5n, attributes: {} },
      { time: noon + 3n },
    ];
    const body = request(resource, logs.map(logBytes));
    await write(store, 'logs', [frame(1, body, 4, noon + 2n)]);
    store = await reach(store, async () => {
      await store[Symbol.asyncDispose]();
      return openStore(folder.path);
    });
    await using opened = store;
    const page = await opened.readers.logs!.search(
      { range: day, filter: everything, order: 'asc', limit: 10, cursor: undefined },
      never,
    );
    const digest = frame(1, body).digest;
    expect(page).toEqual({
      items: logs.map((given, index) => ({
        id: `${Buffer.from(digest).toString('hex')}-${index}`,
        timeUnixNano: given.time ?? given.observed ?? noon + 2n,
        observedTimeUnixNano: given.observed ?? 0n,
        severityNumber: given.severity ?? 0,
        severityText: given.severityText ?? '',
        eventName: given.eventName ?? '',
        ...plainLog(logBytes(given)),
        resource: { 'service.name': 'cart', 'service.namespace': 'shop', 'k8s.pod.name': 'cart-1', 'a.b': [1, 'x'] },
        scopeName: 'kit',
        traceId: given.traceId ?? '',
        spanId: given.spanId ?? '',
      })),
      next: undefined,
      incomplete: false,
      warnings: [],
    });
  });

  it('tells services and operations from roll-ups', async () => {
    await using folder = await folderOfOwn();
    let store = await openStore(folder.path);
    const spans = Array.from({ length: 100 }, (_, n) =>
      spanBytes({
        ...ids(n + 1),
        start: noon + BigInt(n),
        end: noon + BigInt(n) + BigInt(n + 1) * 1_000_000n,
        status: n % 10 === 0 ? 2 : 0,
        name: n < 30 ? 'a' : 'b',
      }),
    );
    await write(store, 'traces', [frame(1, request(resource, spans), 100)]);
    await write(store, 'logs', [frame(1, request(resource, [logBytes({ time: noon, body: 'x' })]))]);
    store = await reach(store, async () => {
      await store[Symbol.asyncDispose]();
      return openStore(folder.path);
    });
    await using opened = store;
    const [service, ...others] = await opened.readers.traces!.services(day, never);
    expect(others).toEqual([]);
    expect(service).toMatchObject({
      name: 'cart',
      namespace: 'shop',
      environment: '',
      signal: 'traces',
      records: 100,
      errors: 10,
      lastSeenUnixNano: noon + 99n,
    });
    const near = (value: bigint, expected: number) =>
      expect(Math.abs(Number(value) / 1e6 / expected - 1)).toBeLessThan(0.1);
    near(service!.durationNanos!.p50, 50);
    near(service!.durationNanos!.p95, 95);
    near(service!.durationNanos!.p99, 99);
    const operations = await opened.readers.traces!.operations('cart', day, never);
    expect(operations.map(({ name, kind, spanCount, errorCount }) => [name, kind, spanCount, errorCount])).toEqual([
      ['b', 2, 70, 7],
      ['a', 2, 30, 3],
    ]);
    expect(await opened.readers.traces!.operations('other', day, never)).toEqual([]);
    expect(await opened.readers.logs!.services(day, never)).toMatchObject([
      { name: 'cart', records: 1, errors: 0, durationNanos: undefined },
    ]);
    expect(
      await opened.readers.traces!.services({ startUnixNano: noon + minuteNanos, endUnixNano: day.endUnixNano }, never),
    ).toEqual([]);
  });
});

it('sums up a trace of several requests, and finds it by what one of its spans is', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  const { traceId } = ids(5);
  const root = spanBytes({ traceId, spanId: '00000000000000a1', start: noon, end: noon + 500n, name: 'root' });
  const child = spanBytes({
    traceId,
    spanId: '00000000000000a2',
    parentSpanId: '00000000000000a1',
    start: noon + 100n,
    end: noon + 900n,
    name: 'child',
    status: 2,
    message: 'Card DECLINED',
  });
  await write(store, 'traces', [frame(1, request(resource, [root]))]);
  await store.rollAll();
  await write(store, 'traces', [frame(2, request({ 'service.name': 'pay' }, [child]))]);
  const search = (filter: Parameters<NonNullable<typeof store.readers.traces>['search']>[0]['filter']) =>
    store.readers.traces!.search(
      {
        range: day,
        service: undefined,
        operation: undefined,
        filter,
        minDurationNanos: undefined,
        maxDurationNanos: undefined,
        limit: 10,
        cursor: undefined,
      },
      never,
    );
  const summary = {
    traceId,
    rootService: 'cart',
    rootName: 'root',
    startTimeUnixNano: noon,
    durationNanos: 900n,
    spanCount: 2,
    errorCount: 1,
    services: ['cart', 'pay'],
  };
  expect((await search({ kind: 'text', text: 'card declined' })).items).toEqual([summary]);
  expect((await search(everything)).items).toEqual([summary]);
  expect((await search({ kind: 'text', text: 'nowhere' })).items).toEqual([]);
});

it('does not take again what it has: after retry, after a restart, and from another log', async () => {
  await using folder = await folderOfOwn();
  const one = request(resource, [logBytes({ time: noon, body: 'one' })]);
  const two = request(resource, [logBytes({ time: noon, body: 'two' })]);
  {
    await using store = await openStore(folder.path);
    const kept: unknown[] = [];
    store.keeper.onKept((...told) => kept.push(told));
    await write(store, 'logs', [frame(1, one), frame(2, two)]);
    await write(store, 'logs', [frame(1, one), frame(2, two)]);
    await write(store, 'logs', [frame(1, one)], 'cd'.repeat(16)); // handed over by another replica
    expect(store.keeper.keptThrough('logs', logId)).toBe(0);
    await store.rollAll();
    expect(kept).toEqual([
      ['logs', logId, 2],
      ['logs', 'cd'.repeat(16), 1],
    ]);
    // Two equal requests in one log are both meant: the log recognises repeats.
    await write(store, 'logs', [frame(3, two)]);
    expect((await allLogs(store)).map(({ body }) => body).sort()).toEqual(['one', 'two', 'two']);
  }
  await using store = await openStore(folder.path);
  expect(store.keeper.keptThrough('logs', logId)).toBe(2);
  await write(store, 'logs', [frame(1, one), frame(2, two), frame(3, two)]);
  expect((await allLogs(store)).map(({ body }) => body).sort()).toEqual(['one', 'two', 'two']);
});

it('pages stay in place while data arrive', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  let seq = 0;
  const add = async (from: number, count: number) => {
    const logs = Array.from({ length: count }, (_, n) =>
      logBytes({ time: noon + BigInt((from + n) % 7), body: `${from + n}` }),
    );
    await write(store, 'logs', [frame(++seq, request(resource, logs), count)]);
    const spans = Array.from({ length: count }, (_, n) =>
      spanBytes({ ...ids(from + n + 1), start: noon + BigInt(from + n) }),
    );
    await write(store, 'traces', [frame(seq, request(resource, spans), count)]);
  };
  await add(0, 20);
  await store.rollAll();
  await add(20, 20);
  const before = (await allLogs(store, 100)).map(({ id }) => id);
  for (const order of ['asc', 'desc'] as const) {
    const seen: string[] = [];
    const traces: string[] = [];
    let cursor: string | undefined;
    let traceCursor: string | undefined;
    do {
      const page = await store.readers.logs!.search({ range: day, filter: everything, order, limit: 7, cursor }, never);
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.next;
      const found =
        traces.length > 0 && traceCursor === undefined
          ? undefined
          : await store.readers.traces!.search(
              {
                range: day,
                service: undefined,
                operation: undefined,
                filter: everything,
                minDurationNanos: undefined,
                maxDurationNanos: undefined,
                limit: 7,
                cursor: traceCursor,
              },
              never,
            );
      traces.push(...(found?.items ?? []).map(({ traceId }) => traceId));
      traceCursor = found?.next;
      if (seen.length === 14) await store.rollAll();
      if (seen.length === 21 && order === 'desc') await add(1000, 3);
    } while (cursor !== undefined);
    expect(new Set(seen).size).toBe(seen.length);
    for (const id of before) expect(seen).toContain(id);
    expect(new Set(traces).size).toBe(traces.length);
    expect(traces.length).toBeGreaterThanOrEqual(40);
  }
});

it.each([
  'nonsense',
  Buffer.from('{}').toString('base64url'),
  Buffer.from('["1","x","0"]').toString('base64url'),
  Buffer.from(JSON.stringify(["1'; DROP TABLE x; --", '00000000-0000-0000-0000-000000000000', 0])).toString(
    'base64url',
  ),
])('refuses the cursor %s', async (cursor) => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  const refused = { code: 'malformed', parameter: 'cursor' };
  await expect(
    store.readers.logs!.search({ range: day, filter: everything, order: 'asc', limit: 7, cursor }, never),
  ).rejects.toMatchObject(refused);
  await expect(
    store.readers.traces!.search(
      {
        range: day,
        service: undefined,
        operation: undefined,
        filter: everything,
        minDurationNanos: undefined,
        maxDurationNanos: undefined,
        limit: 7,
        cursor,
      },
      never,
    ),
  ).rejects.toMatchObject(refused);
});

it('files absurd times under their receipt, and keeps the times', async () => {
  await using folder = await folderOfOwn();
  const clock = new FixedClock();
  await using store = await openStore(folder.path, { clock });
  const times = [1n, noon - 30n * 24n * 60n * minuteNanos, noon + 11n * minuteNanos, 0xffffffffffffffffn];
  await write(store, 'logs', [
    frame(
      1,
      request(
        resource,
        times.map((time) => logBytes({ time, body: 'x' })),
      ),
      4,
    ),
  ]);
  await write(store, 'traces', [
    frame(
      1,
      request(
        resource,
        times.map((start, n) => spanBytes({ ...ids(n + 1), start, end: 5n })),
      ),
      4,
    ),
  ]);
  await store.rollAll();
  const page = await store.readers.logs!.search(
    {
      range: { startUnixNano: 0n, endUnixNano: 1n << 64n },
      filter: everything,
      order: 'asc',
      limit: 9,
      cursor: undefined,
    },
    never,
  );
  expect(page.items.map(({ timeUnixNano }) => timeUnixNano)).toEqual(times);
  const names = (await readdir(join(folder.path, 'logs'))).filter((name) => /^\d.*[0-9a-f]\.parquet$/.test(name));
  expect(names.map((name) => name.slice(0, 13))).toEqual(['2026-11-23T12']);
  // And a retention later they are gone with their file.
  clock.ms += 8 * 24 * 3_600_000;
  clock.elapsed += 8 * 24 * 3_600_000;
  await store.tick();
  expect(store.stats().logs).toMatchObject({ files: 0 });
  expect((await readdir(join(folder.path, 'logs'))).filter((name) => name.endsWith('.parquet'))).toEqual([]);
});

it('a clock that jumps ahead deletes nothing', async () => {
  await using folder = await folderOfOwn();
  const clock = new FixedClock();
  await using store = await openStore(folder.path, { clock });
  await write(store, 'logs', [frame(1, request(resource, [logBytes({ time: noon, body: 'x' })]))]);
  await store.rollAll();
  clock.ms += 30 * 24 * 3_600_000;
  await store.tick();
  expect(store.stats().logs).toMatchObject({ files: 1 });
});

it('keeps to the total size by deleting the oldest hours', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path, { sizeBytesMax: 1 });
  for (const [n, hours] of [3n, 1n, 2n].entries()) {
    await write(store, 'logs', [
      frame(n + 1, request(resource, [logBytes({ time: noon - hours * 60n * minuteNanos, body: `${hours}` })])),
    ]);
    await store.rollAll();
  }
  expect(store.stats().logs).toMatchObject({ files: 3 });
  await store.tick();
  expect(store.stats().logs).toMatchObject({ files: 0 });
});

it('merges small files, and answers the same', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  for (let seq = 1; seq <= 9; seq++) {
    const attributes = { [`own.${seq}`]: `v${seq}`, common: BigInt(seq) };
    const span = spanBytes({
      ...ids(seq % 4),
      spanId: seq.toString(16).padStart(16, '0'),
      start: noon + BigInt(seq),
      attributes,
    });
    await write(store, 'traces', [frame(seq, request(resource, [span]))]);
    await write(store, 'logs', [
      frame(seq, request(resource, [logBytes({ time: noon + BigInt(seq), body: `${seq}`, attributes })])),
    ]);
    await store.rollAll();
  }
  const read = async () => ({
    logs: await allLogs(store),
    services: await store.readers.traces!.services(day, never),
    traces: await Promise.all(
      [0, 1, 2, 3].map(async (n) => (await store.readers.traces!.trace(ids(n).traceId, never))?.length),
    ),
    own: (
      await store.readers.logs!.search(
        {
          range: day,
          filter: {
            kind: 'compare',
            field: { scope: 'any', key: 'own.5' },
            op: '=',
            value: { text: 'v5', number: undefined, durationNanos: undefined },
          },
          order: 'asc',
          limit: 9,
          cursor: undefined,
        },
        never,
      )
    ).items.length,
    fields: await store.readers.logs!.fields({ range: day, filter: everything, limit: 50 }, never),
  });
  const before = await read();
  await store.mergeAll();
  expect(store.stats().logs!.merges).toBeGreaterThan(0);
  expect(store.stats().logs!.files).toBeLessThan(4);
  expect(await read()).toEqual(before);
  expect(before.own).toBe(1);
});

it('writes Parquet that another reader opens', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  await write(store, 'logs', [
    frame(1, request(resource, [logBytes({ time: noon, body: 'hello', attributes: { k: 'v' } })])),
  ]);
  await store.rollAll();
  const files = (await readdir(join(folder.path, 'logs'))).filter((name) => name.endsWith('.parquet')).sort();
  const rows = await Promise.all(
    files.map(async (name) =>
      parquetReadObjects({ file: await asyncBufferFromFile(join(folder.path, 'logs', name)), compressors }),
    ),
  );
  expect(rows[1]![0]).toMatchObject({ time_unix_nano: noon, service: 'cart', body: 'hello', attributes: '{"k":"v"}' });
  expect(Object.keys(rows[1]![0]!)).not.toContain('rowid');
  expect(rows[0]![0]).toMatchObject({ service: 'cart', namespace: 'shop', scope_name: 'kit' });
});

it('cancels a query, and one that takes too long is told so', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path, { queryTimeMs: 0 });
  await write(store, 'logs', [frame(1, request(resource, [logBytes({ time: noon, body: 'x' })]))]);
  const page = store.readers.logs!.search(
    { range: day, filter: everything, order: 'asc', limit: 9, cursor: undefined },
    never,
  );
  await expect(page).resolves.toMatchObject({
    items: [],
    incomplete: true,
    warnings: [expect.stringContaining('time')],
  });
  await expect(store.readers.traces!.trace(ids(1).traceId, AbortSignal.abort(new Error('gone')))).rejects.toThrow(
    'gone',
  );
  await write(store, 'traces', [frame(1, request(resource, [spanBytes({ ...ids(1), start: noon })]))]);
  await expect(store.readers.traces!.trace(ids(1).traceId, never)).rejects.toMatchObject({ code: 'tooSlow' });
});

it('a request that is no protobuf is refused with its reason, the others are stored', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  const good = request(resource, [logBytes({ time: noon, body: 'good' })]);
  const result = await store.write(batch('logs', [frame(1, Uint8Array.of(0x0a, 0x7f), 3), frame(2, good)]), never);
  expect(result).toMatchObject({
    kind: 'settled',
    refused: [{ frame: 0, count: 3, reason: expect.stringContaining('byte') }],
  });
  expect((await allLogs(store)).map(({ body }) => body)).toEqual(['good']);
});

// ---------------------------------------------------------------------------------------------- drawing

/** TracesData or a request as nested hex: what must be equal byte for byte. */
function drawn(bytes: Uint8Array): unknown[] {
  const resources: unknown[] = [];
  const data = new Reader(bytes);
  while (data.next()) {
    const spans: string[] = [];
    const rest: string[] = [];
    const one = data.message();
    while (one.next()) {
      if (one.field !== 2) {
        rest.push(`${one.field}:${Buffer.from(one.bytes()).toString('hex')}`);
        continue;
      }
      const scope = one.message();
      while (scope.next()) {
        const hex = Buffer.from(scope.bytes()).toString('hex');
        if (scope.field === 2) spans.push(hex);
        else rest.push(`scope ${scope.field}:${hex}`);
      }
    }
    resources.push({ spans: spans.sort(), rest: rest.sort() });
  }
  return resources;
}

function drawnResource(body: Uint8Array, chosen: readonly number[]): unknown {
  const [whole] = drawn(body) as [{ spans: string[]; rest: string[] }];
  const inOrder: string[] = [];
  const data = new Reader(body);
  while (data.next()) {
    const one = data.message();
    while (one.next()) {
      if (one.field !== 2) continue;
      const scope = one.message();
      while (scope.next()) if (scope.field === 2) inOrder.push(Buffer.from(scope.bytes()).toString('hex'));
    }
  }
  return { spans: chosen.map((index) => inOrder[index]!).sort(), rest: whole.rest };
}

function plainLog(bytes: Uint8Array): { body: unknown; attributes: unknown } {
  let body: unknown = null;
  const reader = new Reader(bytes);
  while (reader.next()) if (reader.field === 5) body = plainValue(bytes, reader.valueStart, reader.valueEnd);
  return { body, attributes: plainAttributes(bytes, 0, bytes.length, 6) };
}
