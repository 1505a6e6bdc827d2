import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { dir, hex, isRequest, openTestLog, readAll, request, TestClock } from '../../test/kit/log-kit.ts';
import { failure, LossyFiles } from '../../test/kit/lossy-files.ts';
import { joinOwed } from '../base/index.ts';
import type { Log } from './contract.ts';
import { openLogReader } from './reader.ts';
import { reserveIn } from './reserve.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const unavailable = { name: 'Fault', code: 'unavailable', retryAfterMs: expect.any(Number) };

async function turns(count = 60): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
}

/** Appends requests `from` to `to`, one after the other. */
async function fill(log: Log, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await log.append(request(n));
}

function segmentsIn(files: LossyFiles): string[] {
  return [...files.contents().keys()].filter((path) => path.startsWith(`${dir}/0`) && path.endsWith('.segment')).sort();
}

describe('append', () => {
  it('writes all that wait in one write, in order', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    await log.append(request(1));
    const writes = () => files.journal.filter(({ kind }) => kind === 'syncWrite').length;
    const before = writes();
    const heard: number[] = [];
    log.onDurable((seq) => heard.push(seq));
    await Promise.all([2, 3, 4, 5, 6].map((n) => log.append(request(n))));
    expect(writes() - before).toBe(1);
    expect(heard).toEqual([6]);
    const { frames } = await readAll(files, 6);
    expect(frames.map((frame, i) => isRequest(frame, request(i + 1)))).toEqual(Array(6).fill(true));
  });

  it('an idle log writes its state and no more', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(log.durableSeq).toBe(0);
    expect(files.usedBytes()).toBeLessThanOrEqual(8 * 1024);
  });

  it.each([
    { name: 'an empty body', bytes: 0 },
    { name: 'one byte', bytes: 1 },
    { name: 'a body that is larger than a segment', bytes: 50_000 },
    { name: 'a body that is larger than what is read at once', bytes: 2_500_000 },
  ])('$name', async ({ bytes }) => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    const body = Buffer.alloc(bytes, 'x');
    const entry = request(1, 10, { pieces: bytes === 0 ? [] : [body.subarray(0, 1), body.subarray(1)] });
    for (const n of [2, 3]) await log.append(request(n));
    await log.append(entry);
    await log.append(request(4));
    const { frames, damage } = await readAll(files, log.durableSeq);
    expect(damage).toEqual([]);
    expect(frames.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    expect(body.equals(frames[2]!.body)).toBe(true);
  });

  it('a body in more pieces than one write takes', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    const pieces = Array.from({ length: 3_000 }, (_, i) => Buffer.from([i % 256]));
    await Promise.all([log.append(request(1)), log.append(request(2, 10, { pieces })), log.append(request(3))]);
    const { frames } = await readAll(files, 3);
    expect(Buffer.concat(pieces).equals(frames[1]!.body)).toBe(true);
  });

  it('A8 a slow disk: no acknowledgement before the sync, and groups grow instead', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files, { segmentBytes: 1 << 20 });
    await log.append(request(1));
    await turns();
    let release: (() => void) | undefined;
    let syncs = 0;
    files.onAttempt = ({ kind, path }) => {
      if (kind !== 'sync' || !path.endsWith('.segment')) return;
      syncs++;
      return new Promise((resolve) => {
        release = resolve;
      });
    };
    const done: number[] = [];
    const appends = Array.from({ length: 100 }, async (_, i) => {
      if (i >= 10) await turns(5); // while the first write is under way
      await log.append(request(i + 2));
      done.push(i);
    });
    await turns();
    expect({ syncs, done: done.length, durable: log.durableSeq }).toEqual({ syncs: 1, done: 0, durable: 1 });
    release?.();
    await turns();
    expect({ syncs, done: done.length, durable: log.durableSeq }).toEqual({ syncs: 2, done: 10, durable: 11 });
    release?.();
    await Promise.all(appends);
    expect(syncs).toBe(2);
    files.onAttempt = undefined;
  });

  it('a listener that throws costs nobody an acknowledgement', async () => {
    await using log = await openTestLog(new LossyFiles());
    log.onDurable(() => {
      throw new Error('a bug');
    });
    await fill(log, 1, 3);
    expect(log.stats()).toMatchObject({ durableSeq: 3, refusing: undefined });
  });

  it('A24 opening reads the heads of a backlog and its last segment only', async () => {
    const files = new LossyFiles();
    const log = await openTestLog(files);
    await fill(log, 1, 150);
    await log[Symbol.asyncDispose]();
    const segments = segmentsIn(files);
    expect(segments.length).toBeGreaterThan(12);
    const readBytes = new Map<string, number>();
    files.onAttempt = ({ kind, path, bytes }) => {
      if (kind === 'read') readBytes.set(path, (readBytes.get(path) ?? 0) + bytes);
    };
    await using again = await openTestLog(files);
    for (const segment of segments.slice(0, -1)) expect(readBytes.get(segment)).toBe(4096);
    expect(readBytes.get(segments.at(-1)!)).toBeGreaterThan(4096);
    expect(again.durableSeq).toBe(150);
  });

  it('after closing it refuses, and closing twice is closing once', async () => {
    const log = await openTestLog(new LossyFiles());
    const last = log.append(request(1));
    const closed = log[Symbol.asyncDispose]();
    await expect(log.append(request(2))).rejects.toMatchObject(unavailable);
    await closed;
    expect((await last).repeat).toBe(false);
    await log[Symbol.asyncDispose]();
  });
});

describe('A7 a failed write acknowledges nothing and its file is not written again', () => {
  it.each(['write', 'sync'] as const)('%s fails once: the next group goes into a new segment', async (kind) => {
    const files = new LossyFiles();
    const onFailure = vi.fn();
    const log = await openTestLog(files, { onFailure });
    await fill(log, 1, 2);
    await turns();
    const bad = segmentsIn(files).at(-1)!;
    let failed = 0;
    let later = 0;
    files.onAttempt = (attempt) => {
      if (attempt.path !== bad || attempt.kind === 'truncate') return;
      if (attempt.kind === kind && failed++ === 0) throw failure('EIO', bad);
      if (failed > 0 && attempt.kind !== 'open' && attempt.kind !== 'read') later++;
    };
    const results = await Promise.allSettled([log.append(request(3)), log.append(request(4))]);
    expect(results).toEqual([
      { status: 'rejected', reason: expect.objectContaining(unavailable) },
      { status: 'rejected', reason: expect.objectContaining(unavailable) },
    ]);
    expect(log.durableSeq).toBe(2);
    // The same requests again are not repeats of what was not stored.
    expect((await log.append(request(3))).repeat).toBe(false);
    expect((await log.append(request(4))).repeat).toBe(false);
    expect(later).toBe(0);
    expect(segmentsIn(files).length).toBe(2);
    expect(onFailure).not.toHaveBeenCalled();
    await log[Symbol.asyncDispose]();
    await using again = await openTestLog(files);
    const { frames, damage } = await readAll(files, again.durableSeq);
    expect(frames.map((frame, i) => isRequest(frame, request(i + 1)))).toEqual([true, true, true, true]);
    expect(damage).toEqual([]);
  });

  it('what a failed write left behind is not read, even if it cannot be cut off', async () => {
    const files = new LossyFiles();
    const log = await openTestLog(files);
    await fill(log, 1, 2);
    await turns();
    const bad = segmentsIn(files).at(-1)!;
    files.onAttempt = ({ kind, path }) => {
      if (path === bad && (kind === 'sync' || kind === 'truncate')) throw failure('EIO', path);
    };
    await using reader = await openLogReader({ dir, files });
    const limits = { bytesMax: 1e6, recordsMax: 1e6 };
    expect((await reader.read(0, 2, limits)).frames.length).toBe(2);
    await expect(log.append(request(3))).rejects.toMatchObject(unavailable);
    files.onAttempt = undefined;
    await log.append(request(4));
    // A reader that was there before the new segment.
    const next = await reader.read(2, 3, limits);
    expect(next.frames.map((frame) => isRequest(frame, request(4)))).toEqual([true]);
    expect(
      files
        .contents()
        .get(bad)
        ?.includes(Buffer.concat(request(3).pieces)),
    ).toBe(true); // it is there
    for (const restart of [false, true]) {
      if (restart) await log[Symbol.asyncDispose]();
      await using again = restart ? await openTestLog(files) : undefined;
      const { frames, damage } = await readAll(files, again?.durableSeq ?? log.durableSeq);
      expect(frames.map(({ digest }) => hex(digest))).toEqual([1, 2, 4].map((n) => hex(request(n).digest)));
      expect(damage).toEqual([]);
    }
  });

  it('fails twice in a row: says so, and accepts nothing any more', async () => {
    const files = new LossyFiles();
    const onFailure = vi.fn();
    await using log = await openTestLog(files, { onFailure });
    await log.append(request(1));
    files.onAttempt = ({ kind, path }) => {
      if (kind === 'sync' && path.includes('.segment')) throw failure('EIO', path);
    };
    await expect(log.append(request(2))).rejects.toMatchObject(unavailable);
    expect(onFailure).not.toHaveBeenCalled();
    await expect(log.append(request(3))).rejects.toMatchObject(unavailable);
    expect(onFailure).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'EIO' }));
    files.onAttempt = undefined;
    await expect(log.append(request(4))).rejects.toMatchObject(unavailable);
    expect(log.stats()).toMatchObject({ durableSeq: 1, refusing: 'failed' });
  });

  it('a success in between forgives the first failure', async () => {
    const files = new LossyFiles();
    const onFailure = vi.fn();
    await using log = await openTestLog(files, { onFailure });
    let failing = false;
    files.onAttempt = ({ kind, path }) => {
      if (failing && kind === 'sync' && path.includes('.segment')) throw failure('EIO', path);
    };
    for (let n = 1; n < 9; n++) {
      failing = n % 2 === 0;
      const appended = log.append(request(n));
      if (failing) await expect(appended).rejects.toMatchObject(unavailable);
      else await appended;
    }
    expect(onFailure).not.toHaveBeenCalled();
  });
});

describe('A6 a full disk', () => {
  const capacity = 300_000;

  it('full on append: nothing is acknowledged, cursors still move, and it resumes by itself', async () => {
    const files = new LossyFiles();
    files.capacityBytes = capacity;
    const clock = new TestClock();
    await files.mkdir(dir);
    const reserve = reserveIn(dir, files, 20_000);
    const log = await openTestLog(files, { clock, reserve });
    await turns();
    expect(files.contents().has(`${dir}/reserve`)).toBe(true);
    log.cursor('store');
    await log.cursor('store').flush();
    const acknowledged: number[] = [];
    let refused = 0;
    for (let n = 1; refused < 3; n++) {
      await log.append(request(n, 3_000)).then(
        () => acknowledged.push(n),
        (fault) => {
          expect(fault).toMatchObject(unavailable);
          refused++;
        },
      );
      expect(n).toBeLessThan(200);
    }
    expect(log.stats().refusing).toBe('disk');
    expect(files.contents().has(`${dir}/reserve`)).toBe(false); // given up
    const { frames } = await readAll(files, log.durableSeq);
    expect(frames.map(({ seq }) => seq)).toEqual(acknowledged);

    // Delivered: the cursor moves on the full disk, and that frees it.
    log.cursor('store').settle(log.durableSeq);
    for (let second = 0; second < 10 && log.stats().refusing; second++) {
      clock.advance(1_000);
      await vi.advanceTimersByTimeAsync(1_000);
      await turns();
    }
    expect(log.stats().refusing).toBeUndefined();
    await log.append(request(900, 3_000));
    clock.advance(1_000);
    await vi.advanceTimersByTimeAsync(1_000);
    await turns();
    expect(files.contents().has(`${dir}/reserve`)).toBe(true); // there again
    await log[Symbol.asyncDispose]();
  });

  it('more than 90 % in use, by whomever: refuses, and accepts again when there is space', async () => {
    const files = new LossyFiles();
    const clock = new TestClock();
    let usedBytes = 89;
    files.statfs = async () => ({ usedBytes, availableBytes: 100 - usedBytes });
    await using log = await openTestLog(files, { clock });
    await log.append(request(1));
    usedBytes = 91;
    await vi.advanceTimersByTimeAsync(1_000);
    await turns();
    await expect(log.append(request(2))).rejects.toMatchObject(unavailable);
    // A repeat needs no space.
    expect((await log.append(request(1))).repeat).toBe(true);
    usedBytes = 50;
    await vi.advanceTimersByTimeAsync(1_000);
    await turns();
    expect((await log.append(request(2))).repeat).toBe(false);
  });

  it('full at boot: opens, reads, and accepts when there is space', async () => {
    const files = new LossyFiles();
    const first = await openTestLog(files);
    await fill(first, 1, 20);
    await first[Symbol.asyncDispose]();
    const clock = new TestClock();
    files.capacityBytes = files.usedBytes();
    const log = await openTestLog(files, { clock });
    await expect(log.append(request(21))).rejects.toMatchObject(unavailable);
    expect((await readAll(files, log.durableSeq)).frames.length).toBe(20);
    files.capacityBytes = 10 * files.usedBytes();
    clock.advance(1_000);
    await vi.advanceTimersByTimeAsync(1_000);
    await turns();
    await log.append(request(21));
    await log[Symbol.asyncDispose]();
  });
});

describe('A9 a log at its bound', () => {
  it('refuses, drops nothing, and goes on when all cursors have passed a segment', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files, { maxBytes: 60_000 });
    log.cursor('a');
    log.cursor('b');
    let n = 0;
    while (
      await log.append(request(n + 1, 1_500)).then(
        () => true,
        (fault) => {
          expect(fault).toMatchObject(unavailable);
          return false;
        },
      )
    ) {
      n++;
    }
    expect(n).toBeGreaterThan(20);
    expect(log.stats().sizeBytes).toBeLessThanOrEqual(60_000);
    log.cursor('a').settle(n);
    await turns();
    await expect(log.append(request(n + 1, 1_500))).rejects.toMatchObject(unavailable);
    expect((await readAll(files, n)).frames.length).toBe(n);
    log.cursor('b').settle(n - 10);
    await turns();
    await log.append(request(n + 1, 1_500));
    expect((await readAll(files, log.durableSeq, n - 10)).frames.map(({ seq }) => seq).at(0)).toBe(n - 9);
  });

  it('a request that can never fit is too large', async () => {
    await using log = await openTestLog(new LossyFiles(), { maxBytes: 60_000 });
    await expect(log.append(request(1, 60_001))).rejects.toMatchObject({ code: 'tooLarge', retryAfterMs: undefined });
  });

  it('without a cursor nothing is deleted', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    await fill(log, 1, 60);
    await vi.advanceTimersByTimeAsync(5_000);
    await turns();
    expect(segmentsIn(files).length).toBeGreaterThan(4);
    expect(log.stats().firstSeq).toBe(1);
    log.cursor('gone').settle(30);
    await turns();
    expect(log.stats().firstSeq).toBeGreaterThan(20);
    const kept = log.stats().firstSeq;
    await log.forgetCursor('gone');
    await fill(log, 61, 90);
    await turns();
    expect(log.stats().firstSeq).toBe(kept);
    expect(log.cursorNames()).toEqual([]);
  });
});

describe('cursors', () => {
  it('A5 a cursor is on disk before a segment that it frees is unlinked', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    await fill(log, 1, 30);
    log.cursor('a');
    log.cursor('b').settle(30);
    log.cursor('a').settle(25);
    await turns();
    const unlinked = files.journal.findIndex(
      (operation) => operation.kind === 'unlink' && operation.path.endsWith('.segment'),
    );
    expect(unlinked).toBeGreaterThan(0);
    for (const loss of ['lost', 'kept', 'reordered'] as const) {
      const disk = files.afterPowerLoss(unlinked, loss, Math.random);
      await using again = await openTestLog(disk);
      expect(again.cursor('a').settledSeq).toBeGreaterThanOrEqual(10);
    }
  });

  it('never moves back, and is there after a restart', async () => {
    const files = new LossyFiles();
    const log = await openTestLog(files);
    await fill(log, 1, 5);
    const cursor = log.cursor('otlp/a b');
    cursor.settle(4);
    cursor.settle(2);
    expect(cursor.settledSeq).toBe(4);
    expect(log.cursor('otlp/a b')).toBe(cursor);
    await log[Symbol.asyncDispose]();
    await using again = await openTestLog(files);
    expect(again.cursorNames()).toEqual(['otlp/a b']);
    expect(again.cursor('otlp/a b').settledSeq).toBe(4);
    expect(again.cursor('new').settledSeq).toBe(again.stats().firstSeq - 1);
  });

  it('one that is made while a segment is being sealed starts before it', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    await fill(log, 1, 8);
    let made: number | undefined;
    files.onAttempt = ({ kind }) => {
      if (kind === 'truncate') made ??= log.cursor('new').settledSeq;
    };
    await fill(log, 9, 20);
    expect(made).toBe(0);
  });

  it('is written soon after it moved', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    await fill(log, 1, 5);
    log.cursor('a').settle(4);
    await vi.advanceTimersByTimeAsync(200);
    await turns();
    await using again = await openTestLog(files.afterPowerLoss(files.journal.length, 'lost', Math.random));
    expect(again.cursor('a').settledSeq).toBe(4);
  });

  it('a cursor whose write fails is written again, and frees nothing until then', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    await fill(log, 1, 30);
    log.cursor('a');
    files.onAttempt = ({ kind, path }) => {
      if (kind === 'write' && path.endsWith('.cursor')) throw failure('EIO', path);
    };
    log.cursor('a').settle(30);
    await vi.advanceTimersByTimeAsync(1_000);
    await turns();
    expect(log.stats().firstSeq).toBe(1);
    files.onAttempt = undefined;
    await vi.advanceTimersByTimeAsync(1_000);
    await turns();
    expect(log.stats().firstSeq).toBeGreaterThan(20);
  });

  it('a destination that is ahead of a log which lost its end: its numbers are not used again', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    await fill(log, 1, 3);
    log.cursor('store').settle(100);
    await fill(log, 4, 5);
    expect(log.durableSeq).toBe(102);
    const { frames, damage } = await readAll(files, 102, 100);
    expect(frames.map(({ seq }) => seq)).toEqual([101, 102]);
    expect(damage).toEqual([]);
  });

  it('all delivered and deleted, then a restart: sequence numbers never repeat within a log id', async () => {
    const files = new LossyFiles();
    const log = await openTestLog(files);
    await fill(log, 1, 20);
    log.cursor('a').settle(20);
    await log[Symbol.asyncDispose]();
    const second = await openTestLog(files);
    await turns();
    expect(segmentsIn(files)).toEqual([]);
    await second.forgetCursor('a');
    await second[Symbol.asyncDispose]();
    await using third = await openTestLog(files);
    expect(third.logId).toBe(log.logId);
    expect(third.durableSeq).toBe(20);
    await third.append(request(21));
    expect(third.durableSeq).toBe(21);
    expect((await readAll(files, 21)).frames.map(({ seq }) => seq)).toEqual([21]);
  });
});

describe('repeats', () => {
  it('a repeat never overtakes the write that it repeats', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    await log.append(request(1));
    await turns();
    let release: (() => void) | undefined;
    files.onAttempt = ({ kind, path }) => {
      if (kind !== 'sync' || !path.endsWith('.segment')) return;
      return new Promise((resolve) => {
        release = resolve;
      });
    };
    let settled = 0;
    const first = log.append(request(5)).finally(() => settled++);
    const waiting = log.append(request(5)).finally(() => settled++);
    await turns();
    const writing = log
      .append(request(5, undefined, { answer: { rejected: 9, message: 'another' } }))
      .finally(() => settled++);
    await turns();
    expect(settled).toBe(0);
    release?.();
    const { answer } = request(5);
    expect(await Promise.all([first, waiting, writing])).toEqual([
      { answer, repeat: false },
      { answer, repeat: true },
      { answer, repeat: true },
    ]);
    expect(log.durableSeq).toBe(2);
    expect(log.stats().repeats).toBe(2);
    files.onAttempt = undefined;
  });

  it('a repeat of a write that fails fails with it', async () => {
    const files = new LossyFiles();
    await using log = await openTestLog(files);
    await log.append(request(1));
    files.onAttempt = ({ kind }) => {
      if (kind === 'sync') throw failure('EIO', 'any');
    };
    const both = await Promise.allSettled([log.append(request(2)), log.append(request(2))]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    files.onAttempt = undefined;
    expect((await log.append(request(2))).repeat).toBe(false);
  });

  it.each([
    { name: 'after a clean stop', kill: false, deliver: false },
    { name: 'after a kill', kill: true, deliver: false },
    { name: 'after its frame was delivered and deleted', kill: false, deliver: true },
  ])('gets the first answer, $name', async ({ kill, deliver }) => {
    const files = new LossyFiles();
    const log = await openTestLog(files);
    await fill(log, 1, 30);
    if (deliver) {
      log.cursor('a').settle(30);
      await turns();
      expect(log.stats().firstSeq).toBeGreaterThan(20);
    }
    if (!kill) await log[Symbol.asyncDispose]();
    await using again = await openTestLog(
      kill ? files.afterPowerLoss(files.journal.length, 'lost', Math.random) : files,
    );
    for (let n = 1; n <= 30; n++)
      expect(await again.append(request(n))).toEqual({ answer: request(n).answer, repeat: true });
    expect(again.stats().repeats).toBe(30);
    if (kill) await log[Symbol.asyncDispose]();
  });

  it('what was written for some destinations is a repeat for those alone', async () => {
    const files = new LossyFiles();
    const log = await openTestLog(files);
    const answer = { rejected: 2, message: 'two were rejected' };
    const given = (...names: string[]) => request(1, undefined, { answer, outstanding: joinOwed(names) });
    // One after the other, and at once.
    for (const first of [given('a'), given('a')]) await log.append(first);
    const both = await Promise.all([log.append(given('a', 'b')), log.append(given('b')), log.append(given('c'))]);
    expect(both.map(({ repeat }) => repeat)).toEqual([false, true, false]);
    await fill(log, 2, 30);
    const owed = async (of: Log, in_: LossyFiles) =>
      (await readAll(in_, of.durableSeq)).frames
        .filter((frame) => hex(frame.digest) === hex(request(1).digest))
        .map(({ outstanding }) => outstanding);
    expect(await owed(log, files)).toEqual(['a', 'b', 'c']);

    for (const kill of [true, false]) {
      const after = kill ? files.afterPowerLoss(files.journal.length, 'lost', Math.random) : files;
      if (!kill) await log[Symbol.asyncDispose]();
      await using again = await openTestLog(after);
      for (const name of ['a', 'b', 'c', 'd']) again.cursor(name);
      expect(await again.append(given('c', 'a', 'b'))).toEqual({ answer, repeat: true });
      // From a client: for all.
      expect(await again.append(request(1))).toMatchObject({ repeat: false });
      expect(await again.append(request(1))).toEqual({ answer, repeat: true });
      expect(await owed(again, after)).toEqual(['a', 'b', 'c', 'd']);
    }
  });

  it('is stored again after the window, and its digests are gone from the disk', async () => {
    const files = new LossyFiles();
    const clock = new TestClock();
    const log = await openTestLog(files, { clock, repeatWindow: { ms: 60_000, requests: 1_000 } });
    await fill(log, 1, 30);
    clock.advance(59_000);
    expect((await log.append(request(1))).repeat).toBe(true);
    log.cursor('a').settle(30);
    clock.advance(3_000);
    await vi.advanceTimersByTimeAsync(1_000);
    await turns();
    const late = request(1, undefined, { receivedUnixNano: clock.nowUnixNano() });
    expect((await log.append(late)).repeat).toBe(false);
    expect([...files.contents().keys()].filter((path) => path.endsWith('.digests')).length).toBeLessThanOrEqual(1);
    await log[Symbol.asyncDispose]();
    await using again = await openTestLog(files, { clock, repeatWindow: { ms: 60_000, requests: 1_000 } });
    expect((await again.append(request(2))).repeat).toBe(false);
    expect((await again.append(request(1))).repeat).toBe(true);
  });

  it.each([
    { name: 'window 0 ms', repeatWindow: { ms: 0, requests: 100 } },
    { name: 'window 0 requests', repeatWindow: { ms: 60_000, requests: 0 } },
  ])('$name switches it off', async ({ repeatWindow }) => {
    const files = new LossyFiles();
    await using log = await openTestLog(files, { repeatWindow });
    for (let i = 0; i < 30; i++) expect((await log.append(request(1, 900))).repeat).toBe(false);
    expect(log.durableSeq).toBe(30);
    expect([...files.contents().keys()].filter((path) => path.endsWith('.digests'))).toEqual([]);
  });

  it('what must not be recognised is stored each time, also after a restart', async () => {
    const files = new LossyFiles();
    const log = await openTestLog(files);
    const entry = request(1, 50, { recognise: false });
    expect(await Promise.all([log.append(entry), log.append(entry)])).toMatchObject([
      { repeat: false },
      { repeat: false },
    ]);
    await log[Symbol.asyncDispose]();
    await using again = await openTestLog(files);
    expect((await again.append(entry)).repeat).toBe(false);
    expect(again.durableSeq).toBe(3);
  });

  it.each([-86_400_000, -3_600_000, 3_600_000, 86_400_000])(
    'A25 the clock jumps by %i ms: nothing is forgotten, nothing stalls',
    async (jump) => {
      const files = new LossyFiles();
      const clock = new TestClock();
      await using log = await openTestLog(files, { clock });
      await fill(log, 1, 12);
      clock.wallMs += jump;
      expect((await log.append(request(1))).repeat).toBe(true);
      await fill(log, 13, 20);
      log.cursor('a').settle(20);
      await vi.advanceTimersByTimeAsync(1_000);
      await turns();
      expect(log.stats().firstSeq).toBeGreaterThan(1);
      expect((await log.append(request(1))).repeat).toBe(true);
      clock.advance(601_000);
      expect((await log.append(request(1))).repeat).toBe(false);
    },
  );
});
