import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { compressSync } from 'snappy';
import { afterEach, describe, expect, it } from 'vitest';
import { snappyFramed } from '../../test/kit/receivers.ts';
import { Fault } from '../base/index.ts';
import { UnpackPool } from './pool.ts';
import { isQuick, type Packed } from './unpack.ts';

const bytesMax = 64 * 1024 * 1024;
const packed = (more: Partial<Packed>): Packed => ({
  signal: 'traces',
  encoding: 'gzip',
  format: 'protobuf',
  body: new Uint8Array(0),
  bytesMax,
  ...more,
});
let pool: UnpackPool | undefined;
afterEach(() => pool?.close());

async function codeOf(promise: Uint8Array | Promise<Uint8Array>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (thrown) {
    return thrown instanceof Fault ? thrown.code : String(thrown);
  }
}

describe('what is quick', () => {
  const large = Buffer.alloc(1_000_000, 'resource ');
  it.each([
    ['protobuf as it is', packed({ encoding: 'identity', body: large }), true],
    ['40 kB in gzip', packed({ body: gzipSync(large.subarray(0, 40_000)) }), true],
    ['1 MB in gzip', packed({ body: gzipSync(large) }), false],
    ['1 MB in zstd', packed({ encoding: 'zstd', body: zstdCompressSync(large) }), false],
    ['gzip that tells less than came', packed({ body: Buffer.concat([gzipSync(large), gzipSync('')]) }), false],
    ['20 kB of JSON', packed({ encoding: 'identity', format: 'json', body: large.subarray(0, 20_000) }), true],
    ['40 kB of JSON', packed({ encoding: 'identity', format: 'json', body: large.subarray(0, 40_000) }), false],
    ['40 kB of JSON in gzip', packed({ format: 'json', body: gzipSync(large.subarray(0, 40_000)) }), false],
  ])('%s: $2', (_, body, quick) => expect(isQuick(body)).toBe(quick));
});

it('unpacks small bodies at once, without a thread', () => {
  pool = new UnpackPool();
  const plain = Buffer.alloc(1_000, 7);
  expect(Buffer.compare(pool.unpack(packed({ body: gzipSync(plain) })) as Uint8Array, plain)).toBe(0);
  expect(pool.threads).toBe(0);
});

it('leaves the buffers of others alone when it hands a body to a thread', async () => {
  pool = new UnpackPool();
  const compressed = gzipSync(Buffer.alloc(2_000_000, 'span'));
  const shared = Buffer.concat([Buffer.from('before'), compressed, Buffer.from('after')]);
  const plain = await pool.unpack(packed({ body: shared.subarray(6, 6 + compressed.length) }));
  expect(plain.length).toBe(2_000_000);
  expect(shared.subarray(0, 6).toString()).toBe('before');
});

it.each([
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['zstd', zstdCompressSync],
  ['snappy', compressSync],
  ['snappy', snappyFramed],
] as const)('unpacks %s on a thread', async (encoding, compress) => {
  pool = new UnpackPool();
  const plain = Buffer.alloc(1_000_000, 'resource spans ');
  const body = Buffer.from(compress(plain));
  expect(Buffer.compare(await pool.unpack(packed({ encoding, body })), plain)).toBe(0);
  expect(pool.threads).toBe(1);
});

it('B9 decompresses 65 KB to 64 MiB, and bombs beyond, while this thread does other things', async () => {
  pool = new UnpackPool();
  const legal = gzipSync(Buffer.alloc(bytesMax), { level: 9 });
  expect(legal.length).toBeLessThan(70_000);
  const done: string[] = [];
  const brackets = Buffer.from('[['.repeat(200_000));
  const large = [
    codeOf(pool.unpack(packed({ body: legal }))),
    codeOf(pool.unpack(packed({ body: gzipSync(Buffer.alloc(bytesMax + 1)) }))),
    codeOf(pool.unpack(packed({ body: brackets, encoding: 'identity', format: 'json' }))),
  ].map((code) => code.then((told) => done.push(told)));
  let small = 0;
  for (; done.length < large.length; small++) {
    await pool.unpack(packed({ body: gzipSync('small') }));
    await new Promise(setImmediate);
  }
  await Promise.all(large);
  expect(done.sort()).toEqual(['malformed', 'none', 'tooLarge']);
  // Had one of them held this thread, there would have been one turn or two.
  expect(small).toBeGreaterThan(10);
});

describe('a thread that dies', () => {
  const withEntry = async (source: string, run: (pool: UnpackPool) => Promise<void>) => {
    const folder = await mkdtemp(join(tmpdir(), 'pool-'));
    try {
      const entry = join(folder, 'entry.mjs');
      await writeFile(entry, `import { parentPort } from 'node:worker_threads';\nparentPort.on('message', ${source});`);
      const made = new UnpackPool({ entry, threadsMax: 1, heapMegabytesMax: 32 });
      pool = made;
      await run(made);
    } finally {
      await rm(folder, { recursive: true });
    }
  };
  const large = () => packed({ body: gzipSync(Buffer.alloc(1_000_000)) });
  const die = `({ signal }) => { if (signal === 'traces') throw new Error('bug'); parentPort.postMessage({ result: new Uint8Array(3) }); }`;

  it('costs its own request, which may come again; the next has a new thread', () =>
    withEntry(die, async (pool) => {
      const [first, second] = [pool.unpack(large()), pool.unpack({ ...large(), signal: 'logs' })];
      expect(await codeOf(first)).toBe('unavailable');
      expect(await second).toHaveLength(3);
    }));

  it(
    'of its heap says that the request was too large',
    () =>
      withEntry(
        `() => { const kept = []; for (;;) kept.push(new Array(1e4).fill(0).map(() => ({}))); }`,
        async (pool) => {
          expect(await codeOf(pool.unpack(large()))).toBe('tooLarge');
        },
      ),
    60_000,
  );

  it('at the stop fails what it had, retryably', () =>
    withEntry('() => {}', async (pool) => {
      const waiting = [pool.unpack(large()), pool.unpack(large())].map(codeOf);
      await pool.close();
      expect(await Promise.all(waiting)).toEqual(['unavailable', 'unavailable']);
      expect(pool.threads).toBe(0);
    }));
});
