import { expect, it } from 'vitest';
import { dir, isRequest, openTestLog, readAll, request } from '../../test/kit/log-kit.ts';
import { LossyFiles } from '../../test/kit/lossy-files.ts';
import type { Entry, OwnedLog } from './index.ts';
import { openLogReader } from './index.ts';
import { segmentHeadBytes } from './segment.ts';

// Segments that were delivered become the next ones: what is left in them of their earlier life counts for nothing.

/** Appends `count` requests of 1,000 bytes, and lets all of them but the last few be delivered. */
async function fill(log: OwnedLog, from: number, count: number): Promise<Entry[]> {
  const entries = Array.from({ length: count }, (_, n) => request(from + n, 1_000));
  for (const entry of entries) {
    await log.append(entry);
    log.cursor('store').settle(Math.max(0, log.durableSeq - 2));
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  }
  return entries;
}

const segmentsOf = (files: LossyFiles) =>
  [...files.contents().keys()].filter((path) => path.endsWith('.segment')).sort();
const newest = (files: LossyFiles) => segmentsOf(files).at(-1) as string;
/** Header byte 11. */
const isRecycled = (files: LossyFiles, path: string) => files.contents().get(path)?.[11] === 1;

/** A log whose newest segment was another one before, as a crash leaves it. */
async function recycled() {
  const files = new LossyFiles();
  const log = await openTestLog(files, { segmentBytes: 40 * 1024 });
  const entries = await fill(log, 1, 120);
  expect(isRecycled(files, newest(files))).toBe(true);
  return { files: new LossyFiles(files.contents()), entries, durableSeq: log.durableSeq, live: files, log };
}

it('a log that runs for long writes no zeros after its first segments', async () => {
  const { live, log } = await recycled();
  const created = () =>
    live.journal.filter((each) => each.kind === 'create' && each.path.endsWith('/spare.new')).length;
  const before = created();
  await fill(log, 1_000, 160);
  expect(created()).toBe(before);
  expect(segmentsOf(live).length).toBeLessThanOrEqual(2);
});

it('what is left of its earlier life is neither a frame nor damage after a crash', async () => {
  const { files, entries, durableSeq } = await recycled();
  const log = await openTestLog(files, { segmentBytes: 40 * 1024 });
  expect(log.durableSeq).toBe(durableSeq);
  expect(log.stats()).toMatchObject({ corruptFrames: 0, quarantinedBytes: 0 });
  const { frames, damage } = await readAll(files, log.durableSeq, durableSeq - 2);
  expect(damage).toEqual([]);
  expect(frames.map((frame, n) => isRequest(frame, entries.at(n - 2) as Entry))).toEqual([true, true]);
});

it.each(['its mark', 'its length', 'its body'])(
  'the last frame is damaged in %s: counted, set aside, its number not used again',
  async (what) => {
    const { files, durableSeq } = await recycled();
    const path = newest(files);
    const content = files.contents().get(path) as Buffer;
    const mark = content.subarray(28, 36);
    let last = content.indexOf(mark, segmentHeadBytes);
    for (let at = last; at !== -1; at = content.indexOf(mark, at + 1)) last = at;
    const at = last + { 'its mark': 0, 'its length': 8, 'its body': 200 }[what]!;
    files.damage(path, (bytes) => {
      bytes[at]! ^= 0x55;
      return bytes;
    });
    const log = await openTestLog(files, { segmentBytes: 40 * 1024 });
    expect(log.stats().corruptFrames).toBe(1);
    expect(log.stats().quarantinedBytes).toBeGreaterThan(1_000);
    expect(log.durableSeq).toBeGreaterThanOrEqual(durableSeq);
  },
);

it('a reader that held a segment under its earlier name gets none of what is in it now', async () => {
  const files = new LossyFiles();
  const log = await openTestLog(files, { segmentBytes: 40 * 1024 });
  await fill(log, 1, 5);
  await using reader = await openLogReader({ dir, files });
  const limits = { bytesMax: 1_500, recordsMax: 1_000 };
  expect((await reader.read(0, log.durableSeq, limits)).frames.length).toBe(1);
  const entries = await fill(log, 100, 120);
  let after = log.durableSeq - 2;
  const read = await reader.read(after, log.durableSeq, { ...limits, bytesMax: 10_000 });
  expect(read.damage).toEqual([]);
  expect(read.frames.map((frame, n) => isRequest(frame, entries.at(n - 2) as Entry))).toEqual([true, true]);
  // From the beginning: what is gone is passed over without a word, as it was delivered.
  after = 1;
  const again = await reader.read(after, log.durableSeq, limits);
  for (const frame of again.frames) expect(frame.seq).toBeGreaterThan(after);
});
