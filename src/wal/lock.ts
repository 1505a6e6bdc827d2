import { createHash, randomBytes } from 'node:crypto';
import { link, mkdir, readFile, readlink, rename, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Fault } from '../base/index.ts';
import { hasCode } from './files.ts';
import { lockBeatMs, lockStaleMs } from './limits.ts';

// Node has no flock. The lock is a file that names its owner so exactly that a number which the system has given to
// another process since is not mistaken for it: process, its start time, the boot, the process namespace.
// Owners in another namespace (a container on the same volume) cannot be looked up; they are known by a beating
// modification time.

interface Owner {
  readonly pid: number;
  /** Clock ticks after boot (field 22 of /proc/<pid>/stat); '' where there is no /proc. */
  readonly startTime: string;
  readonly bootId: string;
  readonly pidNamespace: string;
}

/**
 * Takes a folder for this process until it is disposed or the process ends, by whatever signal.
 * @throws Fault `unavailable` with what to do, where another process has it or the folder cannot be written to.
 */
export async function lockFolder(dir: string): Promise<AsyncDisposable> {
  const path = join(dir, 'lock');
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  const mine = JSON.stringify(await self());
  try {
    await makeFolder(dir);
    await writeFile(aside, mine, { mode: 0o640 });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new Fault(
      'unavailable',
      `cannot write to the data folder ${dir} (${'code' in error ? error.code : error.message}): ` +
        'make it writable for this user, or set WATCHINGCAT_DATA_DIR to another folder',
      { cause: error },
    );
  }
  try {
    await take(path, aside, dir);
  } finally {
    await unlink(aside).catch(() => undefined); // where it became the lock, it is gone
  }
  const beat = setInterval(() => {
    const now = new Date();
    // A beat that fails is one beat less; the next follows.
    utimes(path, now, now).catch(() => undefined);
  }, lockBeatMs);
  beat.unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(beat);
      if ((await contents(path)) === mine) await unlink(path);
    },
  };
}

/** As `mkdir` with `recursive`, which never ends where a file system answers ENOENT for a folder whose parent is there (/proc). */
async function makeFolder(dir: string): Promise<void> {
  try {
    await mkdir(dir, { mode: 0o750 });
  } catch (error) {
    if (hasCode(error, 'EEXIST') && (await stat(dir)).isDirectory()) return;
    const parent = dirname(dir);
    if (!hasCode(error, 'ENOENT') || parent === dir || (await exists(parent))) throw error;
    await makeFolder(parent);
    await makeFolder(dir);
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * A link is made by one process only, whoever else tries. The lock of a dead owner is replaced by the one that links a
 * marker which is named after that very lock: nobody else replaces it, so it is still the dead one's when that happens.
 */
async function take(path: string, aside: string, dir: string): Promise<void> {
  while (!(await linked(aside, path))) {
    const text = await contents(path);
    if (text === undefined) continue;
    const owner = parse(text);
    if (owner ? await isAlive(owner, path, aside) : await isBeating(path, aside)) {
      throw new Fault(
        'unavailable',
        `the data folder ${dir} is in use by another process${owner ? ` (pid ${owner.pid})` : ''}: ` +
          'stop that one first, or set WATCHINGCAT_DATA_DIR to another folder',
      );
    }
    const marker = `${path}.${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
    if (await linked(aside, marker)) {
      try {
        if ((await contents(path)) === text) {
          await rename(aside, path);
          return;
        }
      } finally {
        await unlink(marker);
      }
    } else {
      await waitForOther(marker, aside);
    }
  }
}

/** Somebody else is replacing the dead lock. One that died doing so is cleared away. */
async function waitForOther(marker: string, aside: string): Promise<void> {
  await wait(10);
  const other = parse((await contents(marker)) ?? '');
  if (other && !(await isAlive(other, marker, aside))) await unlink(marker).catch(() => undefined);
}

async function linked(aside: string, path: string): Promise<boolean> {
  try {
    await link(aside, path);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

async function isAlive(owner: Owner, path: string, aside: string): Promise<boolean> {
  const here = await self();
  if (owner.bootId !== here.bootId || owner.pidNamespace !== here.pidNamespace) return isBeating(path, aside);
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (hasCode(error, 'ESRCH')) return false;
  }
  const { state, startTime } = await statusOf(owner.pid);
  // A zombie has closed all its files; where nobody waits for it, as in many containers, it stays for ever.
  if (state === 'Z' || state === 'X') return false;
  return startTime === '' || startTime === owner.startTime;
}

/** By the file system's own clock: the file beside it was just written. */
async function isBeating(path: string, aside: string): Promise<boolean> {
  try {
    const first = (await stat(path)).mtimeMs;
    if ((await stat(aside)).mtimeMs - first > lockStaleMs) return false;
    for (let waitedMs = 0; waitedMs < 2 * lockBeatMs; waitedMs += 200) {
      await wait(200);
      if ((await stat(path)).mtimeMs !== first) return true;
    }
    return false;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

async function self(): Promise<Owner> {
  const bootId = (await contents('/proc/sys/kernel/random/boot_id'))?.trim() ?? '';
  const pidNamespace = await readlink('/proc/self/ns/pid').catch(() => '');
  return { pid: process.pid, startTime: (await statusOf(process.pid)).startTime, bootId, pidNamespace };
}

/** State letter and start time of a process, '' where the system does not tell. @see proc_pid_stat(5) */
async function statusOf(pid: number): Promise<{ state: string; startTime: string }> {
  const line = await contents(`/proc/${pid}/stat`);
  // The second field is the command in parentheses and may hold anything; field 3 follows its last one.
  const fields = line?.slice(line.lastIndexOf(')') + 2).split(' ') ?? [];
  return { state: fields[0] ?? '', startTime: fields[19] ?? '' };
}

async function contents(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH')) return undefined;
    throw error;
  }
}

function parse(text: string): Owner | undefined {
  try {
    const owner: unknown = JSON.parse(text);
    if (typeof owner !== 'object' || owner === null) return undefined;
    const { pid, startTime, bootId, pidNamespace } = owner as Record<string, unknown>;
    if (typeof pid !== 'number' || typeof startTime !== 'string') return undefined;
    if (typeof bootId !== 'string' || typeof pidNamespace !== 'string') return undefined;
    return { pid, startTime, bootId, pidNamespace };
  } catch {
    return undefined; // cut off when the machine lost power
  }
}
