import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isRequest, request } from '../../test/kit/log-kit.ts';
import { systemClock } from '../base/index.ts';
import { systemFiles } from './files.ts';
import { openLog, openLogReader } from './index.ts';
import { reserveIn } from './reserve.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'files-'));
});
afterEach(() => rm(dir, { recursive: true }));

describe('the system’s files', () => {
  it('write pieces at a position and read them back', async () => {
    const path = join(dir, 'file');
    const file = await systemFiles.open(path, 'createDurable');
    const pieces = Array.from({ length: 2_500 }, (_, i) => Buffer.from([i % 256, 1]));
    await file.writev(pieces, 3);
    expect(await file.sizeBytes()).toBe(5_003);
    const into = Buffer.alloc(6_000, 9);
    expect(await file.read(into, 0)).toBe(5_003);
    expect(into.subarray(3, 5_003).equals(Buffer.concat(pieces))).toBe(true);
    await file.truncate(10);
    await file.sync();
    await file.close();
    expect((await readFile(path)).byteLength).toBe(10);
    const again = await systemFiles.open(path, 'create');
    expect(await again.sizeBytes()).toBe(0);
    await again.close();
    await expect(systemFiles.open(join(dir, 'none'), 'read')).rejects.toMatchObject({ code: 'ENOENT' });
    const { usedBytes, availableBytes } = await systemFiles.statfs(dir);
    expect(Math.min(usedBytes, availableBytes)).toBeGreaterThan(0);
  });

  it('the reserve really takes space, and gives it back', async () => {
    const reserve = reserveIn(dir, systemFiles, 3 << 20);
    await reserve.restore();
    const { size, blocks } = await stat(join(dir, 'reserve'));
    expect(size).toBe(3 << 20);
    expect(512 * blocks).toBeGreaterThanOrEqual(size);
    await reserve.giveUp();
    await reserve.giveUp();
    await expect(stat(join(dir, 'reserve'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('a log in the system’s files', () => {
  const options = () => ({
    dir,
    signal: 'logs' as const,
    maxBytes: 2 ** 30,
    clock: systemClock,
    segmentBytes: 1 << 18,
  });

  it('is written, rolled, delivered, deleted and opened again', async () => {
    const now = { receivedUnixNano: systemClock.nowUnixNano() };
    let log = await openLog(options());
    const reader = await openLogReader({ dir });
    const cursor = log.cursor('store');
    let n = 0;
    let seen = 0;
    for (let round = 0; round < 30; round++) {
      await Promise.all(Array.from({ length: 8 }, () => log.append(request(++n, 5_000, now))));
      while (seen < log.durableSeq) {
        const { frames, skippedThrough, damage } = await reader.read(seen, log.durableSeq, {
          bytesMax: 20_000,
          recordsMax: 1e6,
        });
        expect(frames.length).toBeGreaterThan(0);
        expect(damage).toEqual([]);
        seen = skippedThrough;
        // All eight of a round wait together, so their order is that of the calls.
        for (const frame of frames) expect(isRequest(frame, request(frame.seq, 5_000, now))).toBe(true);
      }
      cursor.settle(seen - 3);
    }
    expect(seen).toBe(240);
    await cursor.flush();
    const { logId } = log;
    await log[Symbol.asyncDispose]();
    log = await openLog(options());
    expect(log.logId).toBe(logId);
    expect(log.durableSeq).toBe(240);
    expect(log.cursor('store').settledSeq).toBe(237);
    expect(log.stats().firstSeq).toBeGreaterThan(100);
    expect((await log.append(request(240, 5_000, now))).repeat).toBe(true);
    await log[Symbol.asyncDispose]();
    await reader[Symbol.asyncDispose]();
  });

  it('is read by another process while it is written', async () => {
    await using log = await openLog(options());
    const script = `const { openLogReader } = await import(${JSON.stringify(new URL('./index.ts', import.meta.url).href)});
      const reader = await openLogReader({ dir: ${JSON.stringify(dir)} });
      let seen = 0;
      process.on('message', async (through) => {
        while (seen < through) {
          const { frames, skippedThrough, damage } = await reader.read(seen, through, { bytesMax: 1e6, recordsMax: 1e6 });
          if (damage.length > 0 || frames.some(({ seq }, i) => seq !== seen + 1 + i)) process.exit(3);
          seen = skippedThrough;
        }
        process.send(seen);
        if (through >= 200) process.disconnect();
      });
      process.send(0);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await once(child, 'message');
    for (let n = 1; n <= 200; n += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, i) => log.append(request(n + i, 4_000))));
      child.send(log.durableSeq);
      const [seen] = await once(child, 'message');
      expect(seen).toBe(log.durableSeq);
    }
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('opens beside files that are none of its own', async () => {
    await writeFile(join(dir, 'README'), 'hello');
    await writeFile(join(dir, 'x.cursor.bak'), 'hello');
    await using log = await openLog(options());
    await log.append(request(1));
    expect((await readFile(join(dir, 'README'))).toString()).toBe('hello');
  });
});
