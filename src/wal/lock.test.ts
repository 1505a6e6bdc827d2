import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockFolder } from './lock.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'lock-'));
});
afterEach(() => rm(dir, { recursive: true }));

const inUse = {
  name: 'Fault',
  code: 'unavailable',
  message: expect.stringMatching(
    /^the data folder .* is in use by another process.*: stop that one first, or set WATCHINGCAT_DATA_DIR/,
  ),
};

/** Another process that holds the lock until it is killed. */
async function holder(): Promise<ChildProcess> {
  const script = `const { lockFolder } = await import(${JSON.stringify(new URL('./lock.ts', import.meta.url).href)});
    await lockFolder(${JSON.stringify(dir)}); console.log('locked'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout!, 'data');
  return child;
}

/** The lock as somebody else would have left it. */
async function left(
  change: (owner: Record<string, unknown>) => Record<string, unknown>,
  ageMs = 60_000,
): Promise<void> {
  const own = await lockFolder(dir);
  const owner = JSON.parse(await readFile(join(dir, 'lock'), 'utf8')) as Record<string, unknown>;
  await own[Symbol.asyncDispose]();
  await writeFile(join(dir, 'lock'), JSON.stringify(change(owner)));
  const then = new Date(Date.now() - ageMs);
  await utimes(join(dir, 'lock'), then, then);
}

describe('the lock of a data folder', () => {
  it('one process at a time, and free again when it lets go', async () => {
    const lock = await lockFolder(dir);
    await expect(lockFolder(dir)).rejects.toMatchObject(inUse);
    await lock[Symbol.asyncDispose]();
    await (await lockFolder(dir))[Symbol.asyncDispose]();
    expect(await readdir(dir)).toEqual([]);
  });

  it('another process, until it is killed', async () => {
    const child = await holder();
    await expect(lockFolder(dir)).rejects.toMatchObject({
      ...inUse,
      message: expect.stringContaining(`(pid ${child.pid})`),
    });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await lockFolder(dir))[Symbol.asyncDispose]();
  });

  it.each([
    { name: 'its number was given to another process', change: { startTime: '1' } },
    { name: 'no process has its number', change: { pid: 2 ** 22 + 1 } },
    { name: 'the machine was started anew', change: { bootId: 'before' } },
    { name: 'it ran in a container that is gone', change: { pidNamespace: 'pid:[1]', pid: 1 } },
  ])('is taken over: $name', async ({ change }) => {
    await left((owner) => ({ ...owner, ...change }));
    const lock = await lockFolder(dir);
    await expect(lockFolder(dir)).rejects.toMatchObject(inUse);
    await lock[Symbol.asyncDispose]();
  });

  it('is taken over where it was cut off by a loss of power', async () => {
    await left((owner) => owner);
    await writeFile(join(dir, 'lock'), '{"pid":1');
    const then = new Date(Date.now() - 60_000);
    await utimes(join(dir, 'lock'), then, then);
    await (await lockFolder(dir))[Symbol.asyncDispose]();
  });

  it('a holder that cannot be looked up is known by its beat', async () => {
    await left((owner) => ({ ...owner, pidNamespace: 'pid:[1]' }), 1_000);
    const beat = setInterval(() => utimes(join(dir, 'lock'), new Date(), new Date()), 100);
    await expect(lockFolder(dir)).rejects.toMatchObject(inUse);
    clearInterval(beat);
  });

  it('of many who find a dead one, one gets it', async () => {
    await left((owner) => ({ ...owner, startTime: '1' }));
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(dir)));
    const got = results.filter((result) => result.status === 'fulfilled');
    expect(got.length).toBe(1);
    await got[0]!.value[Symbol.asyncDispose]();
    expect(await readdir(dir)).toEqual([]);
  });

  it('a folder that cannot be written to: one sentence that says what to do', async () => {
    await writeFile(join(dir, 'file'), '');
    await expect(lockFolder(join(dir, 'file', 'data'))).rejects.toMatchObject({
      message: expect.stringMatching(
        /^cannot write to the data folder .*: make it writable for this user, or set WATCHINGCAT_DATA_DIR/,
      ),
    });
  });
});
