import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { Point } from './point.ts';
import { AttemptNote, KnownFile, TotalsFile } from './state.ts';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'watchingcat-prometheus-'));
  folders.push(folder);
  return folder;
}
const limits = { seriesMax: 100_000, forgetMs: 3_600_000 };
const [logA, logB] = ['a'.repeat(32), 'b'.repeat(32)];

/** Adds to a sum, as a batch does. */
function add(file: TotalsFile, identity: string, value: number): string[] {
  const point = new Point();
  point.value = value;
  point.timeMs = (file.totals.get(identity)?.lastMs ?? 0) + 1;
  file.totals.add(identity, 'number', point, 1);
  return file.totals.commit();
}
const sumOf = (file: TotalsFile, identity: string) => file.totals.get(identity)?.sum;

it('sums and place are of the same moment, whatever was cut off', async () => {
  const folder = await newFolder();
  const file = new TotalsFile(folder, limits);
  const ends: number[] = [0];
  for (let seq = 1; seq <= 5; seq++) {
    await file.save(logA, seq, add(file, 'x', seq));
    ends.push((await stat(join(folder, 'totals'))).size);
  }
  const whole = await readFile(join(folder, 'totals'));
  for (let size = whole.length; size >= 0; size--) {
    await writeFile(join(folder, 'totals'), whole.subarray(0, size));
    const again = new TotalsFile(folder, limits);
    const lines = ends.filter((end) => end <= size).length - 1;
    expect([size, again.seq, sumOf(again, 'x') ?? 0]).toEqual([size, lines, (lines * (lines + 1)) / 2]);
  }
});

it('what lies behind a torn line does not come to life again', async () => {
  const folder = await newFolder();
  const file = new TotalsFile(folder, limits);
  await file.save(logA, 1, add(file, 'x', 1));
  await file.save(logA, 2, add(file, 'x', 1));
  const path = join(folder, 'totals');
  await truncate(path, (await stat(path)).size - 5);
  const torn = new TotalsFile(folder, limits);
  expect([torn.seq, sumOf(torn, 'x')]).toEqual([1, 1]);
  await torn.save(logA, 3, add(torn, 'x', 10));
  const again = new TotalsFile(folder, limits);
  expect([again.seq, sumOf(again, 'x')]).toEqual([3, 11]);
});

it('a changed byte costs what comes after it', async () => {
  const folder = await newFolder();
  const file = new TotalsFile(folder, limits);
  await file.save(logA, 1, add(file, 'x', 1));
  await file.save(logA, 2, add(file, 'x', 1));
  const bytes = await readFile(join(folder, 'totals'));
  bytes[bytes.length - 20]! ^= 1;
  await writeFile(join(folder, 'totals'), bytes);
  expect(new TotalsFile(folder, limits).seq).toBe(1);
});

it('is written anew when it has grown, and holds the same', async () => {
  const folder = await newFolder();
  const file = new TotalsFile(folder, limits);
  let seq = 0;
  let largest = 0;
  for (let round = 0; round < 30; round++) {
    const changed = Array.from({ length: 500 }, (_, at) => add(file, `${at}`, 1)).flat();
    await file.save(logB, ++seq, changed);
    largest = Math.max(largest, (await stat(join(folder, 'totals'))).size);
  }
  expect(largest).toBeLessThan(30 * 500 * 150);
  const again = new TotalsFile(folder, limits);
  expect([again.logId, again.seq, again.totals.size]).toEqual([logB, 30, 500]);
  expect(sumOf(again, '499')).toBe(30);
});

it('sums that are no numbers come back', async () => {
  const folder = await newFolder();
  const file = new TotalsFile(folder, limits);
  await file.save(logA, 1, [...add(file, 'inf', Number.POSITIVE_INFINITY), ...add(file, 'nan', Number.NaN)]);
  const again = new TotalsFile(folder, limits);
  expect([sumOf(again, 'inf'), sumOf(again, 'nan')]).toEqual([Number.POSITIVE_INFINITY, Number.NaN]);
});

it('notes what was tried; a note that is none is as if there were none', async () => {
  const folder = await newFolder();
  const note = new AttemptNote(folder);
  expect([note.logId, note.seq]).toEqual(['', 0]);
  note.write(logA, 123_456);
  note.write(logA, 7);
  note.close();
  const again = new AttemptNote(folder);
  expect([again.logId, again.seq]).toEqual([logA, 7]);
  again.close();
  await writeFile(join(folder, 'attempted'), 'what');
  const broken = new AttemptNote(folder);
  expect([broken.logId, broken.seq]).toEqual(['', 0]);
  broken.close();
});

it('remembers metrics over a restart', async () => {
  const folder = await newFolder();
  const known = new KnownFile(folder);
  known.learn([{ name: 'm', type: 'gauge', help: 'Help', unit: 'seconds', otlpUnit: 's', helpId: 1, unitId: 2 }]);
  known.save();
  expect(new KnownFile(folder).families.get('m')).toEqual({ type: 'gauge', help: 'Help', unit: 's' });
  await appendFile(join(folder, 'metadata.json'), 'x');
  expect(new KnownFile(folder).families.size).toBe(0);
});
