import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dir, hex, isRequest, openTestLog, request } from '../../test/kit/log-kit.ts';
import { LossyFiles } from '../../test/kit/lossy-files.ts';
import { runs } from '../../test/kit/runs.ts';
import type { FileSystem } from './files.ts';
import type { Entry, LoggedFrame, LogRead } from './index.ts';
import { openLogReader } from './index.ts';
import { tailBlockBytes, tailBlocksMax, tailFrameBytesMax } from './limits.ts';

// A reader beside the log's owner has the newest frames from memory, and cannot be told from one that reads the files.

const ample = { bytesMax: 2 ** 30, recordsMax: 2 ** 30 };
const large = (n: number, sizeBytes: number) => request(n, 10, { pieces: [Buffer.alloc(sizeBytes, n)] });
const seqs = (read: LogRead) => read.frames.map(({ seq }) => seq);

async function opened(segmentBytes = 1 << 20) {
  const files = new LossyFiles();
  let opens = 0;
  const counted = new Proxy<FileSystem>(files, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name === 'open') opens++;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const log = await openTestLog(files, { segmentBytes });
  await log.append(request(0));
  const tail = log.tail();
  const reader = await openLogReader({ dir, files: counted, tail });
  opens = 0;
  return { files, log, reader, opens: () => opens };
}

describe('a reader with the tail', () => {
  it('has what was written since without the files, and the rest from them', async () => {
    const { log, reader, opens } = await opened();
    const entries = [request(1), request(2), request(3)];
    for (const entry of entries) await log.append(entry);
    const read = await reader.read(1, 4, ample);
    expect(opens()).toBe(0);
    expect(read.frames.map((frame, n) => isRequest(frame, entries[n]!))).toEqual([true, true, true]);
    expect(read.frames.map(({ seq, answer }) => [seq, answer])).toEqual(
      entries.map(({ answer }, n) => [n + 2, answer]),
    );
    // What has been read is gone, and what came before never was there.
    expect(seqs(await reader.read(0, 4, ample))).toEqual([1, 2, 3, 4]);
    expect(opens()).toBeGreaterThan(0);
  });

  it('has no more than it asks for, and at least one', async () => {
    const { log, reader, opens } = await opened();
    for (const n of [1, 2, 3, 4]) await log.append(request(n, 100));
    expect(seqs(await reader.read(1, 5, { bytesMax: 250, recordsMax: 1_000 }))).toEqual([2, 3]);
    expect(seqs(await reader.read(3, 4, { bytesMax: 1, recordsMax: 1_000 }))).toEqual([4]);
    expect(seqs(await reader.read(4, 5, { bytesMax: 1_000, recordsMax: 1 }))).toEqual([5]);
    expect(opens()).toBe(0);
  });

  it('goes on in the files where it was when it stays behind, and comes back to the newest', async () => {
    const { log, reader, opens } = await opened();
    const frames = Math.ceil((2 * tailBlocksMax * tailBlockBytes) / 100_000);
    for (let n = 1; n <= frames; n++) await log.append(large(n, 100_000));
    let after = 1;
    while (after <= frames) {
      const read = await reader.read(after, frames + 1, { bytesMax: 1 << 20, recordsMax: 2 ** 30 });
      expect(read.frames[0]?.seq).toBe(after + 1);
      for (const { seq, body } of read.frames) expect([body.byteLength, body[0]]).toEqual([100_000, (seq - 1) % 256]);
      after = read.skippedThrough;
      reader.recycle?.(read.buffers ?? []);
    }
    expect(after).toBe(frames + 1);
    const before = opens();
    await log.append(request(1));
    expect(seqs(await reader.read(after, after + 1, ample))).toEqual([after + 1]);
    expect(opens()).toBe(before);
  });

  it('has large frames from the files, in their place', async () => {
    const { log, reader } = await opened();
    for (const n of [1, 2]) await log.append(request(n));
    await log.append(large(3, tailFrameBytesMax + 1));
    await log.append(request(4));
    const got: number[] = [];
    for (let after = 1; after < 5; ) {
      const read = await reader.read(after, 5, { bytesMax: 5_000, recordsMax: 1_000 });
      got.push(...seqs(read));
      after = read.skippedThrough;
    }
    expect(got).toEqual([2, 3, 4, 5]);
  });

  it('goes over numbers that were never given out', async () => {
    const { log, reader } = await opened();
    await log.append(request(1));
    log.cursor('ahead').settle(10);
    await log.append(request(2));
    expect(log.durableSeq).toBe(11);
    const first = await reader.read(1, 11, ample);
    const rest = first.skippedThrough < 11 ? await reader.read(first.skippedThrough, 11, ample) : undefined;
    expect([...seqs(first), ...(rest ? seqs(rest) : [])]).toEqual([2, 11]);
  });

  it('keeps what it has, whatever is written and read meanwhile, until it gives it back', async () => {
    const { log, reader } = await opened();
    await log.append(large(7, 1_000));
    const held = await reader.read(1, 2, ample);
    const before = hex(held.frames[0]!.body);
    for (let n = 0; n < 60; n++) {
      await log.append(large(n, 100_000));
      const read = await reader.read(n + 2, n + 3, ample);
      reader.recycle?.(read.buffers ?? []);
    }
    expect(hex(held.frames[0]!.body)).toBe(before);
  });

  it('cannot be told from one that has none', async () => {
    const size = fc.oneof(
      fc.integer({ min: 1, max: 2_000 }),
      fc.constantFrom(90_000, tailFrameBytesMax, tailFrameBytesMax + 1),
    );
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('append' as const), sizes: fc.array(size, { maxLength: 20 }) }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant('read' as const),
          bytesMax: fc.integer({ min: 1, max: 400_000 }),
          through: fc.integer({ min: 0, max: 3 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('giveBack' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('again' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { log, reader } = await opened(300_000);
        const entries = new Map<number, Entry>();
        let n = 0;
        let after = 1;
        const held: LogRead<LoggedFrame>[] = [];
        const look = ({ frames }: LogRead<LoggedFrame>) => {
          for (const frame of frames) if (frame.seq > 1) expect(isRequest(frame, entries.get(frame.seq)!)).toBe(true);
        };
        const readOn = async (bytesMax: number, through: number) => {
          if (after >= through) return;
          const read = await reader.read(after, through, { bytesMax, recordsMax: 2 ** 30 });
          const expected = [...entries.keys()].filter((seq) => seq > after && seq <= read.skippedThrough);
          expect(seqs(read)).toEqual(expected);
          expect(read.skippedThrough).toBeGreaterThan(after);
          look(read);
          held.push(read);
          after = read.skippedThrough;
        };
        for (const each of steps) {
          switch (each.do) {
            case 'append':
              await Promise.all(
                each.sizes.map(async (sizeBytes) => {
                  const entry = large(++n, sizeBytes);
                  await log.append({ ...entry, recognise: false });
                  return entry;
                }),
              ).then((written) => {
                for (const [index, entry] of written.entries())
                  entries.set(log.durableSeq - written.length + 1 + index, entry);
              });
              break;
            case 'read':
              await readOn(each.bytesMax, log.durableSeq - each.through);
              break;
            case 'giveBack': {
              const read = held.shift();
              if (read === undefined) break;
              look(read);
              reader.recycle?.(read.buffers ?? []);
              break;
            }
            case 'again':
              after = Math.max(1, after - 5);
              break;
          }
        }
        while (after < log.durableSeq) await readOn(100_000, log.durableSeq);
        for (const read of held) look(read);
        await reader[Symbol.asyncDispose]();
        await log[Symbol.asyncDispose]();
      }),
      { numRuns: runs(60) },
    );
  });
});
