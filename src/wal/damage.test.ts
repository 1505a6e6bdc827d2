import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { dir, hex, isRequest, openTestLog, readAll, request } from '../../test/kit/log-kit.ts';
import { failure, LossyFiles, seeded } from '../../test/kit/lossy-files.ts';
import type { Entry } from './contract.ts';

// What a bad disk, a person or a crash did to the files: the log opens, and only what was hit is lost.

interface Made {
  readonly contents: Map<string, Buffer>;
  readonly entries: Entry[];
  readonly segments: string[];
}

/** A log of three segments with a cursor at 3, closed, as files. */
async function made(count = 20): Promise<Made> {
  const files = new LossyFiles();
  const log = await openTestLog(files);
  const entries = Array.from({ length: count }, (_, n) => request(n + 1, n === count - 1 ? 90 : undefined));
  for (const entry of entries) await log.append(entry);
  log.cursor('store').settle(3);
  await log[Symbol.asyncDispose]();
  const contents = files.contents();
  const segments = [...contents.keys()].filter((path) => path.endsWith('.segment')).sort();
  expect(segments.length).toBe(3);
  return { contents, entries, segments };
}

/** Opens, reads all, appends, reads that: what is lost, by sequence number. */
async function survivors(files: LossyFiles, { entries }: Made) {
  const log = await openTestLog(files);
  const { frames, damage } = await readAll(files, log.durableSeq);
  await log.setAside(damage);
  const bySeq = new Map(frames.map((frame) => [frame.seq, frame]));
  expect(bySeq.size).toBe(frames.length);
  const lost: number[] = [];
  const changed: number[] = [];
  for (const [index, entry] of entries.entries()) {
    const frame = bySeq.get(index + 1);
    if (frame === undefined) lost.push(index + 1);
    else if (!isRequest(frame, entry)) changed.push(index + 1);
    bySeq.delete(index + 1);
  }
  expect(changed).toEqual([]);
  expect([...bySeq.keys()]).toEqual([]); // none is invented
  const before = log.durableSeq;
  expect(before).toBeGreaterThanOrEqual(entries.length - lost.length);
  const fresh = request(5_000, 200);
  await log.append(fresh);
  const after = await readAll(files, log.durableSeq, before);
  expect(after.frames.map((frame) => isRequest(frame, fresh))).toEqual([true]);
  const cursor = log.cursor('store').settledSeq;
  const stats = log.stats();
  await log[Symbol.asyncDispose]();
  return { lost, cursor, stats, damage };
}

describe('A4 damage costs only the frames that it hits, and the log opens', () => {
  it('a flipped bit', async () => {
    const whole = await made();
    const random = seeded(7);
    const places: { path: string; at: number }[] = [];
    for (const path of whole.segments) {
      const size = whole.contents.get(path)!.byteLength;
      // Both copies of the header, the first frame's head, and a sample of the rest.
      for (const start of [0, 2048, 4096]) for (let at = start; at < start + 80; at++) places.push({ path, at });
      for (let i = 0; i < 120; i++) places.push({ path, at: 4096 + Math.floor(random() * (size - 4096)) });
    }
    for (const path of whole.contents.keys()) {
      if (path.endsWith('.segment')) continue;
      const size = whole.contents.get(path)!.byteLength;
      for (let i = 0; i < 60; i++) places.push({ path, at: i < 30 ? i : Math.floor(random() * size) });
    }
    for (const { path, at } of places) {
      const files = new LossyFiles(whole.contents);
      files.damage(path, (content) => {
        content[at]! ^= 1 << Math.floor(random() * 8);
        return content;
      });
      const { lost, cursor, stats } = await survivors(files, whole).catch((error: unknown) => {
        throw new Error(`${path} at ${at}`, { cause: error });
      });
      const where = `${path} at ${at}: lost ${lost}`;
      expect(lost.length, where).toBeLessThanOrEqual(path.endsWith('.segment') && at >= 4096 ? 1 : 0);
      expect(stats.corruptFrames, where).toBeGreaterThanOrEqual(lost.length);
      if (lost.length > 0) expect(stats.quarantinedBytes, where).toBeGreaterThan(0);
      expect(cursor, where).toBeLessThanOrEqual(3);
    }
  }, 120_000);

  it('bytes overwritten across frames: those behind are found again', async () => {
    const whole = await made();
    const files = new LossyFiles(whole.contents);
    const path = whole.segments[1]!;
    files.damage(path, (content) => content.fill(0xab, 5_000, 8_000));
    const { lost, stats } = await survivors(files, whole);
    expect(lost.length).toBeGreaterThan(1);
    expect(lost.length).toBeLessThan(7);
    expect(stats.corruptFrames).toBe(lost.length);
    expect([...files.contents().keys()].filter((name) => name.startsWith(`${dir}/quarantine/`)).length).toBeGreaterThan(
      0,
    );
  });

  it('damage that a reader meets twice is counted once', async () => {
    const whole = await made();
    const files = new LossyFiles(whole.contents);
    files.damage(whole.segments[0]!, (content) => content.fill(1, 4_200, 4_210));
    const log = await openTestLog(files);
    for (let i = 0; i < 2; i++) await log.setAside((await readAll(files, log.durableSeq)).damage);
    expect(log.stats().corruptFrames).toBe(1);
    await log[Symbol.asyncDispose]();
  });

  it.each([
    { name: 'the first segment is deleted', segment: 0, change: 'delete' },
    { name: 'the middle segment is deleted', segment: 1, change: 'delete' },
    { name: 'the last segment is deleted', segment: 2, change: 'delete' },
    { name: 'the first segment is emptied', segment: 0, change: 'empty' },
    { name: 'the middle segment is emptied', segment: 1, change: 'empty' },
    { name: 'the last segment is emptied', segment: 2, change: 'empty' },
    { name: 'the last segment is all zeros', segment: 2, change: 'zeros' },
  ])('$name: sequence numbers never repeat within a log id', async ({ segment, change }) => {
    const whole = await made();
    const path = whole.segments[segment]!;
    const contents = new Map(whole.contents);
    if (change === 'delete') contents.delete(path);
    else contents.set(path, change === 'empty' ? Buffer.alloc(0) : Buffer.alloc(contents.get(path)!.byteLength));
    const files = new LossyFiles(contents);
    const firsts = whole.segments.map((name) => Number(/-(\d+)\.segment$/.exec(name)?.[1]));
    const { lost, cursor } = await survivors(files, whole);
    const end = firsts[segment + 1] ?? whole.entries.length + 1;
    expect(lost).toEqual(Array.from({ length: end - firsts[segment]! }, (_, i) => firsts[segment]! + i));
    expect(cursor).toBeLessThanOrEqual(firsts[segment] === 1 ? firsts[1]! - 1 : 3);
    const log = await openTestLog(files);
    expect(log.durableSeq).toBeGreaterThan(whole.entries.length);
    await log[Symbol.asyncDispose]();
  });

  it.each([
    { name: 'all segments are deleted', gone: /\.segment$/ },
    { name: 'all segments and the state are deleted', gone: /\.segment$|state$/ },
    { name: 'the state is deleted', gone: /state$/ },
    { name: 'the digests are deleted', gone: /\.digests$/ },
  ])('$name', async ({ gone }) => {
    const whole = await made();
    const files = new LossyFiles(new Map([...whole.contents].filter(([path]) => !gone.test(path))));
    const { lost } = await survivors(files, whole);
    expect(lost.length).toBe(gone.test('x.segment') ? whole.entries.length : 0);
  });

  it('a cursor that is lost or damaged starts again: redelivery, never a skip', async () => {
    const whole = await made();
    const path = `${dir}/store.cursor`;
    for (const change of ['delete', 'empty', 'damage', 'other log'] as const) {
      const contents = new Map(whole.contents);
      const content = Buffer.from(contents.get(path)!);
      for (const at of [0, 4096]) {
        content.fill(0xee, at + 20, at + 24);
        if (change === 'other log') content.writeUInt32LE(crc32(content.subarray(at, at + 60)), at + 60);
      }
      if (change === 'delete') contents.delete(path);
      else contents.set(path, change === 'empty' ? Buffer.alloc(0) : content);
      const { lost, cursor } = await survivors(new LossyFiles(contents), whole);
      expect({ change, lost, cursor }).toEqual({ change, lost: [], cursor: 0 });
    }
  });

  it('the end of the log and its state are lost: a cursor still knows which numbers were used', async () => {
    const files = new LossyFiles();
    const log = await openTestLog(files);
    for (let n = 1; n <= 20; n++) await log.append(request(n));
    log.cursor('store').settle(20);
    log.cursor('slow');
    await log[Symbol.asyncDispose]();
    const contents = files.contents();
    contents.delete(
      [...contents.keys()]
        .filter((path) => path.endsWith('.segment'))
        .sort()
        .at(-1)!,
    );
    contents.delete(`${dir}/state`);
    await using again = await openTestLog(new LossyFiles(contents));
    await again.append(request(21));
    expect(again.cursor('store').settledSeq).toBe(20);
    expect(again.durableSeq).toBe(21);
  });

  it('sectors that cannot be read any more are damage like any other', async () => {
    const whole = await made();
    const files = new LossyFiles(whole.contents);
    const bad = whole.segments[2]!;
    const open = files.open.bind(files);
    files.open = async (path, mode) => {
      const file = await open(path, mode);
      if (path !== bad || mode !== 'read') return file;
      const read = file.read.bind(file);
      file.read = async (into, position) => {
        if (position + into.byteLength > 8_192 && position < 12_288) throw failure('EIO', path);
        return read(into, position);
      };
      return file;
    };
    const { lost } = await survivors(files, whole);
    expect(lost.length).toBeGreaterThan(0);
    expect(lost.length).toBeLessThan(8);
  });
});

describe('A3 a torn or zero tail', () => {
  it('cut at every byte of the last frame, with nothing, zeros or garbage behind', async () => {
    const whole = await made();
    const path = whole.segments[2]!;
    const content = whole.contents.get(path)!;
    const last = whole.entries.length;
    const start = content.lastIndexOf(content.subarray(28, 36)); // the last frame's mark
    expect(start).toBeGreaterThan(4096);
    const random = seeded(3);
    const garbage = Buffer.from(Array.from({ length: 999 }, () => Math.floor(random() * 256)));
    for (const behind of [Buffer.alloc(0), Buffer.alloc(4096), garbage]) {
      const step = behind.byteLength === 0 ? 1 : 7;
      for (let cut = start; cut < content.byteLength - 7; cut += step) {
        const contents = new Map(whole.contents);
        contents.set(path, Buffer.concat([content.subarray(0, cut), behind]));
        const { lost } = await survivors(new LossyFiles(contents), whole);
        expect(lost).toEqual([last]);
      }
      const contents = new Map(whole.contents);
      contents.set(path, Buffer.concat([content, behind]));
      expect((await survivors(new LossyFiles(contents), whole)).lost).toEqual([]);
    }
  });

  it('frames of an earlier life of the same bytes count for nothing', async () => {
    const whole = await made();
    const contents = new Map(whole.contents);
    const [first, , third] = whole.segments;
    // As if the disk gave the third segment a block of the first one.
    contents.set(third!, Buffer.concat([contents.get(third!)!, contents.get(first!)!.subarray(4096)]));
    expect((await survivors(new LossyFiles(contents), whole)).lost).toEqual([]);
  });
});

describe('A28 files of a newer version', () => {
  it.each(['.segment', '.cursor', 'state', '.digests'])('%s: refuses, says so, touches nothing', async (suffix) => {
    const whole = await made();
    const contents = new Map(whole.contents);
    const path = [...contents.keys()].filter((name) => name.endsWith(suffix)).at(-1)!;
    const content = Buffer.from(contents.get(path)!);
    // The version and what covers it: the record's checksum, in all its copies.
    const copies = suffix === '.segment' ? [0, 2048] : suffix === '.digests' ? [0] : [0, 4096];
    for (const at of copies) {
      content.writeUInt16LE(2, at + 8);
      const end = suffix === '.digests' ? content.byteLength - 4 : at + 60;
      content.writeUInt32LE(crc32(content.subarray(at, end)), end);
    }
    contents.set(path, content);
    const files = new LossyFiles(contents);
    await expect(openTestLog(files)).rejects.toMatchObject({
      name: 'Fault',
      message: expect.stringMatching(/format version 2.*reads up to 1.*nothing was changed/),
    });
    expect(files.journal).toEqual([]);
    expect([...files.contents()].map(([name, bytes]) => `${name} ${hex(bytes)}`)).toEqual(
      [...contents].map(([name, bytes]) => `${name} ${hex(bytes)}`),
    );
  });

  it('a log of another signal is refused', async () => {
    const whole = await made();
    await expect(openTestLog(new LossyFiles(whole.contents), { signal: 'logs' })).rejects.toThrow(
      /holds a log of traces, not of logs/,
    );
  });
});
