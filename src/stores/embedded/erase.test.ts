import { copyFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Signal, signals } from '../../base/index.ts';
import { Writer } from '../../otlp/index.ts';
import type { EmbeddedStore } from './index.ts';
import {
  type Attributes,
  allLogs,
  day,
  everything,
  folderOfOwn,
  frame,
  keyValues,
  logBytes,
  logId,
  never,
  noon,
  openStore,
  request,
  spanBytes,
  write,
} from './kit.ts';

// The measure: after an erasure a store answers everything as one that never had the erased records.

const hourNanos = 3_600_000_000_000n;
const key = 'watchingcat.demo';
const erase = (store: EmbeddedStore, cancel = never) => store.eraseByResource(key, 'true', cancel);

/** What the n-th request of each signal has. Its trace is shared by neighbours, so that one has spans of both kinds. */
type Mark = 'demo' | 'mine';
const resources: Record<Mark, Attributes> = {
  demo: { 'service.name': 'checkout', 'service.namespace': 'shop', [key]: true },
  mine: { 'service.name': 'cart', 'service.namespace': 'mine', 'host.name': 'h-1' },
};
/** Every third record is another's word about the resource, and makes no service. */
const isWatched = (n: number) => n % 3 === 0;
const traceId = (n: number) => `c${(n >> 1).toString(16).padStart(31, '0')}`;

function body(signal: Signal, n: number, mark: Mark, time: bigint, resource = resources[mark]): Uint8Array {
  const attributes = { [`only.${mark}`]: 'x', n: BigInt(n) };
  const spanId = n.toString(16).padStart(16, '0');
  if (signal === 'traces') {
    return request(resource, [
      spanBytes({ traceId: traceId(n), spanId, start: time, name: `${mark} work`, attributes }),
    ]);
  }
  if (signal === 'logs')
    return request(isWatched(n) ? { ...resource, 'k8s.object.kind': 'Pod' } : resource, [
      logBytes({ time, body: `${mark} ${n}`, severity: 9, attributes, traceId: traceId(n) }),
    ]);
  const metric = new Writer();
  metric.string(1, `${isWatched(n) ? 'k8s.' : ''}${mark}.jobs`);
  const gauge = metric.begin(5);
  const point = metric.begin(1);
  keyValues(metric, 7, { which: mark });
  metric.fixed64(3, time);
  metric.double(4, n);
  metric.end(point);
  metric.end(gauge);
  return request(resource, [metric.finish()]);
}

/** 'd' and 'm' for the kinds: one request of each signal a letter, spread over two hours. */
function frames(letters: string, signal: Signal, firstSeq = 1) {
  return [...letters].flatMap((letter, index) => {
    const seq = firstSeq + index;
    const time = noon + (seq % 5 === 0 ? hourNanos : 0n) + BigInt(seq) * 1_000_000_000n;
    const mark = letter === 'd' ? 'demo' : letter === 'm' ? 'mine' : undefined;
    return mark === undefined ? [] : [frame(seq, body(signal, seq, mark, time), 1, noon + hourNanos)];
  });
}

async function put(store: EmbeddedStore, letters: string, firstSeq = 1): Promise<void> {
  for (const signal of signals) await write(store, signal, frames(letters, signal, firstSeq));
}

/** All that the readers tell. */
async function told(store: EmbeddedStore) {
  const { traces, logs, metrics } = store.readers;
  const range = day;
  const all = { range, filter: everything, limit: 1000, cursor: undefined };
  const sorted = <T>(items: readonly T[]) => items.toSorted((a, b) => (String(a) < String(b) ? -1 : 1));
  return {
    services: [
      await traces!.services(range, never),
      await logs!.services(range, never),
      await metrics!.services(range, never),
    ],
    operations: [await traces!.operations('checkout', range, never), await traces!.operations('cart', range, never)],
    traces: (await traces!.search({ ...all, ...anySpan }, never)).items,
    whole: await Promise.all(
      [0, 1, 2, 3, 4].map(async (n) => Buffer.from((await traces!.trace(traceId(n * 2), never)) ?? []).toString('hex')),
    ),
    logs: (await logs!.search({ ...all, order: 'asc' }, never)).items,
    histogram: (await logs!.histogram({ range, filter: everything, intervalNanos: hourNanos }, never)).buckets,
    fields: (await logs!.fields(all, never)).items,
    values: (await logs!.fieldValues({ ...all, field: `resource.${key}` }, never)).items,
    metrics: (await metrics!.metrics({ range, limit: 100 }, never)).items,
    series: sorted(
      (
        await metrics!.select(
          {
            matchers: [{ name: '__name__', op: '=~', value: '.+' }],
            startMs: Number(range.startUnixNano / 1_000_000n),
            endMs: Number(range.endUnixNano / 1_000_000n),
            samplesMax: 1000,
            deltasFrom: 'stored',
          },
          never,
        )
      ).map((each) => JSON.stringify([each.labels, [...each.timestampsMs], [...each.values]])),
    ),
  };
}
const anySpan = { service: undefined, operation: undefined, minDurationNanos: undefined, maxDurationNanos: undefined };

/** What a store tells that was only ever given the others' requests. */
async function toldWithoutDemo(letters: string) {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  await put(store, letters.replaceAll('d', ' '));
  return await told(store);
}

describe('after an erasure everything reads as if the records had never come', () => {
  const letters = 'dmmddmdmd';
  let expected: Awaited<ReturnType<typeof told>>;
  beforeAll(async () => {
    expected = await toldWithoutDemo(letters);
  });
  it.each<{ name: string; reach(store: EmbeddedStore): Promise<void> }>([
    { name: 'hot', reach: (store) => put(store, letters) },
    {
      name: 'in files of both',
      async reach(store) {
        await put(store, letters);
        await store.rollAll();
      },
    },
    {
      name: 'in files of their own',
      async reach(store) {
        for (const [index, letter] of [...letters].entries()) {
          await put(store, letter, index + 1);
          await store.rollAll();
        }
      },
    },
    {
      name: 'merged',
      async reach(store) {
        for (const [index, letter] of [...letters].entries()) {
          await put(store, letter, index + 1);
          await store.rollAll();
          await store.mergeAll();
        }
        expect(store.stats().logs!.merges).toBeGreaterThan(0);
      },
    },
    {
      name: 'in files and hot',
      async reach(store) {
        await put(store, letters.slice(0, 5));
        await store.rollAll();
        await put(store, letters.slice(5), 6);
      },
    },
    {
      name: 'with columns of their own for attributes',
      async reach(store) {
        await put(store, letters.slice(0, 5));
        await store.rollAll();
        await put(store, letters.slice(5), 6);
        await store.rollAll();
      },
    },
  ])('$name', async ({ reach }) => {
    await using folder = await folderOfOwn();
    {
      await using store = await openStore(folder.path);
      await reach(store);
      expect(await told(store)).not.toEqual(expected);
      expect(await erase(store)).toEqual({ traces: 5, metrics: 5, logs: 5 });
      expect(await told(store)).toEqual(expected);
      expect(await erase(store)).toEqual({ traces: 0, metrics: 0, logs: 0 });
    }
    await using again = await openStore(folder.path);
    // So the log, which still has the requests, does not give them again.
    for (const signal of signals) expect(again.keeper.keptThrough(signal, logId)).toBe(letters.length);
    await again.scrub();
    expect(await told(again)).toEqual(expected);
    await again.mergeAll();
    expect(await told(again)).toEqual(expected);
    for (const signal of signals) expect(again.stats()[signal]!.damaged).toBe(0);
  });
});

it.each<{ name: string; value: Attributes[string]; erased: number }>([
  { name: 'the boolean', value: true, erased: 1 },
  { name: 'the text', value: 'true', erased: 1 },
  { name: 'the other boolean', value: false, erased: 0 },
  { name: 'a list with it', value: [true], erased: 0 },
  { name: 'nothing', value: undefined, erased: 0 },
])('a resource whose attribute is $name: $erased', async ({ value, erased }) => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  for (const signal of signals) {
    const resource = { 'service.name': 'a', [key]: value };
    await write(store, signal, [frame(1, body(signal, 1, 'mine', noon, resource))]);
  }
  expect(await erase(store)).toEqual({ traces: erased, metrics: erased, logs: erased });
});

it('a record that has the attribute itself stays', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  await write(store, 'logs', [
    frame(1, request(resources.mine, [logBytes({ time: noon, body: 'x', attributes: { [key]: true } })])),
  ]);
  expect((await erase(store)).logs).toBe(0);
  expect(await allLogs(store)).toHaveLength(1);
});

it('files without the attribute are not touched', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  await put(store, 'mm');
  await store.rollAll();
  const before = await Promise.all(signals.map((signal) => readdir(join(folder.path, signal))));
  await put(store, 'd', 3);
  await erase(store);
  const files = (names: string[]) => names.filter((name) => !name.startsWith('manifest')).sort();
  const after = await Promise.all(signals.map((signal) => readdir(join(folder.path, signal))));
  expect(after.map(files)).toEqual(before.map(files));
});

it('a damaged file is set aside instead of being written again', async () => {
  await using folder = await folderOfOwn();
  const path = join(folder.path, 'logs');
  await using store = await openStore(folder.path, { signals: new Set(['logs']) });
  for (const seq of [1, 3, 6]) {
    await write(store, 'logs', frames('dm', 'logs', seq));
    await store.rollAll();
  }
  const [first, second] = (await readdir(path)).filter((name) => /[0-9a-f]{12}\.parquet$/.test(name));
  await writeFile(join(path, first!), 'no longer Parquet');
  await copyFile(join(path, second!), join(path, second!.replace('.parquet', '.origins.parquet')));
  expect(await erase(store)).toEqual({ traces: 0, metrics: 0, logs: 1 });
  expect(store.stats().logs).toMatchObject({ damaged: 2, files: 1, fileRows: 1 });
});

it('one that was cancelled changes nothing, and a store that is closed says so', async () => {
  await using folder = await folderOfOwn();
  const store = await openStore(folder.path);
  await put(store, 'dm');
  await expect(erase(store, AbortSignal.abort(new Error('left')))).rejects.toThrow('left');
  expect(await allLogs(store)).toHaveLength(2);
  await store.rollAll();
  await store[Symbol.asyncDispose]();
  await expect(erase(store)).rejects.toMatchObject({ code: 'unavailable' });
});

it('others write, roll, merge, read and erase at the same time, and nothing of theirs is lost or doubled', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path, { signals: new Set(['logs']) });
  const letters = 'dm'.repeat(20);
  let seq = 1;
  const mine: string[] = [];
  const putLogs = async (some: string) => {
    await write(store, 'logs', frames(some, 'logs', seq));
    for (const letter of some) {
      if (letter === 'm') mine.push(`mine ${seq}`);
      seq++;
    }
  };
  for (let at = 0; at < letters.length; at += 4) {
    await putLogs(letters.slice(at, at + 4));
    await store.rollAll();
  }
  const before = [...mine];
  const reading = Array.from({ length: 12 }, async () => {
    const page = await store.readers.logs!.search(
      { range: day, filter: everything, order: 'asc', limit: 500, cursor: undefined },
      never,
    );
    expect(page.warnings).toEqual([]);
    const found = new Set(page.items.map(({ body: text }) => text));
    expect(before.filter((text) => !found.has(text))).toEqual([]);
  });
  const erasing = [erase(store), erase(store)];
  for (let round = 0; round < 10; round++) {
    await putLogs('mm');
    await store.rollAll();
    void store.mergeAll();
  }
  const erased = await Promise.all(erasing);
  expect(erased.reduce((sum, { logs }) => sum + logs, 0)).toBe(20);
  await Promise.all(reading);
  await store.mergeAll();
  expect((await allLogs(store)).map(({ body: text }) => text).sort()).toEqual(mine.toSorted());
  expect(store.stats().logs).toMatchObject({ damaged: 0, lastError: '' });
});
