import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runProgram } from '../../test/kit/program.ts';
import { entryPath } from './entry.ts';
import { Fault } from './fault.ts';
import type { Errand } from './thread-pool.fixture.ts';
import { ownBuffer, ThreadPool, type ThreadPoolOptions } from './thread-pool.ts';

const pools: ThreadPool<Errand, Uint8Array>[] = [];
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});

function open(options: Partial<ThreadPoolOptions> = {}): ThreadPool<Errand, Uint8Array> {
  const entry = entryPath(import.meta.url, './thread-pool.fixture.ts');
  const pool = new ThreadPool<Errand, Uint8Array>({ name: 'test', entry, heapMegabytesMax: 64, ...options });
  pools.push(pool);
  return pool;
}
const doubled = (pool: ThreadPool<Errand, Uint8Array>, ...bytes: number[]) =>
  pool.run({ do: 'double', bytes: new Uint8Array(bytes) }).then((result) => [...result]);

describe('ThreadPool', () => {
  it('starts with the first task, answers each its own, and has no more threads than it may', async () => {
    const pool = open({ threadsMax: 2 });
    expect(pool.threads).toBe(0);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => doubled(pool, index, 1)));
    expect(answers).toEqual(Array.from({ length: 20 }, (_, index) => [index * 2, 2]));
    expect(pool.threads).toBe(2);
  });

  it('takes over what is handed to it', async () => {
    const bytes = new Uint8Array([1, 2]);
    await open().run({ do: 'double', bytes }, [bytes.buffer]);
    expect(bytes.length).toBe(0);
  });

  it('passes a Fault on as it is, and what is no Fault as an internal one without its text', async () => {
    const pool = open();
    await expect(pool.run({ do: 'refuse' })).rejects.toMatchObject({
      code: 'malformed',
      message: 'no good',
      retryAfterMs: 7,
    });
    await expect(pool.run({ do: 'break' })).rejects.toMatchObject({ code: 'internal', message: 'internal error' });
    expect(await doubled(pool, 4)).toEqual([8]);
  });

  it.each<{ name: Errand['do']; code: string; outOfMemory?: () => Fault }>([
    { name: 'die', code: 'unavailable' },
    { name: 'eat memory', code: 'tooLarge', outOfMemory: () => new Fault('tooLarge', 'too much') },
  ])('a thread that is told to $name costs its own task: $code', async ({ name, code, outOfMemory }) => {
    const deaths: unknown[] = [];
    const pool = open({ threadsMax: 1, onDeath: (error) => deaths.push(error) });
    const lost = pool.run({ do: name } as Errand, [], outOfMemory).catch((thrown: Fault) => thrown.code);
    const kept = doubled(pool, 3);
    expect(await lost).toBe(code);
    expect(await kept).toEqual([6]);
    expect(deaths).toHaveLength(1);
  });

  it('A30 threads that eat memory do not take the process along where the young generation may grow', async () => {
    const fixture = fileURLToPath(new URL('./thread-memory.fixture.ts', import.meta.url));
    expect((await runProgram(process.execPath, [fixture])).stdout).toBe('unavailable\n'.repeat(3));
  });

  it('a thread that had nothing to do ends, and what comes at that moment goes to another', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const pool = open({ threadsMax: 1 });
      expect(await doubled(pool, 1)).toEqual([2]);
      vi.advanceTimersByTime(30_000);
      expect(await doubled(pool, 2)).toEqual([4]);
      expect(pool.threads).toBe(1);
    } finally {
      vi.useRealTimers();
    }
  });

  it('fails what waits when it is closed, and takes nothing any more', async () => {
    const pool = open({ threadsMax: 1 });
    const waiting = [1, 2, 3].map((byte) => doubled(pool, byte).catch((thrown: Fault) => thrown.code));
    await pool.close();
    await pool.close();
    expect(await Promise.all(waiting)).toEqual(['unavailable', 'unavailable', 'unavailable']);
    await expect(doubled(pool, 1)).rejects.toMatchObject({ code: 'unavailable', retryAfterMs: 1000 });
  });
});

it('ownBuffer copies a part of a buffer, and nothing else', () => {
  const whole = new Uint8Array([1, 2, 3]);
  expect(ownBuffer(whole)).toBe(whole);
  const part = ownBuffer(whole.subarray(1));
  expect([...part]).toEqual([2, 3]);
  expect(part.buffer.byteLength).toBe(2);
});
