import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bloomAdd, bloomHas, bloomSize } from './bloom.ts';
import { hourOf } from './decode.ts';
import { Key, KeyTable, type Promoted, planPromoted } from './keys.ts';
import { keysTrackedMax, promotedMax } from './limits.ts';
import { decodeManifest, encodeManifest, type FileEntry, type Manifest } from './manifest.ts';
import { planMerge } from './merge.ts';

const file = (given: Partial<FileEntry> & { base: string }): FileEntry => ({
  hour: 10,
  rows: 1,
  sizeBytes: 5e6,
  parquetBytes: 5e6,
  bloomBytes: 0,
  crcs: [1, 2, 3],
  minTimeUnixNano: BigInt(given.base.charCodeAt(0)),
  maxTimeUnixNano: 0xffffffffffffffffn,
  writtenMs: 0,
  level: 0,
  promoted: [{ key: 'k', kind: 'text' }],
  keys: [{ key: 'k', overflow: false }],
  resourceKeys: undefined,
  ...given,
});

// 'a0 b0 c1 | 10:30' reads: files a and b of level 0, c of level 1, all of hour 10, at half past ten.
describe('planMerge', () => {
  const atTen = (minutes: number) => 10 * 3_600_000 + minutes * 60_000;
  const files = (text: string, other: Partial<FileEntry> = {}) =>
    text.split(' ').map((name) => file({ base: name[0]!, level: Number(name[1]), ...other }));
  const plan = (list: FileEntry[], nowMs: number) =>
    planMerge(list, nowMs)
      ?.map(({ base }) => base)
      .join('');
  it.each([
    { name: 'too few', list: files('a0 b0 c0'), now: atTen(30), merged: undefined },
    { name: 'eight of a level', list: files('a0 b0 c0 d0 e0 f0 g0 h0 x1'), now: atTen(30), merged: 'abcdefgh' },
    { name: 'eight of two levels', list: files('a0 b0 c0 d0 e1 f1 g1 h1'), now: atTen(30), merged: undefined },
    { name: 'an hour at rest', list: files('a0 b1 c2'), now: atTen(75), merged: 'abc' },
    { name: 'an hour that has just ended', list: files('a0 b1 c2'), now: atTen(65), merged: undefined },
    {
      name: 'an hour that something came for',
      list: files('a0 b1', { writtenMs: atTen(70) }),
      now: atTen(75),
      merged: undefined,
    },
    { name: 'one alone', list: files('a0'), now: atTen(300), merged: undefined },
    { name: 'large ones', list: files('a0 b0', { parquetBytes: 60e6 }), now: atTen(300), merged: undefined },
    { name: 'up to the size', list: files('a0 b0 c0', { parquetBytes: 45e6 }), now: atTen(300), merged: 'ab' },
    {
      name: 'columns that clash',
      list: [...files('a0 b0'), file({ base: 'c', promoted: [{ key: 'k', kind: 'int' }] })],
      now: atTen(300),
      merged: 'ab',
    },
    {
      name: 'columns that differ by case',
      list: [...files('a0 b0'), file({ base: 'c', promoted: [{ key: 'K', kind: 'text' }] })],
      now: atTen(300),
      merged: 'ab',
    },
  ])('$name', ({ list, now, merged }) => expect(plan(list, now)).toBe(merged));
  it('ends', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            hour: fc.integer({ min: 1, max: 3 }),
            parquetBytes: fc.integer({ min: 1, max: 90e6 }),
            level: fc.nat(2),
          }),
          { maxLength: 60 },
        ),
        (list) => {
          let all = list.map((each, index) => file({ base: `${index}`, ...each }));
          for (let merges = 0; ; merges++) {
            const chosen = planMerge(all, 1e12);
            if (chosen === undefined) break;
            expect(chosen.length).toBeGreaterThan(1);
            expect(new Set(chosen.map(({ hour }) => hour)).size).toBe(1);
            expect(merges).toBeLessThan(60);
            const size = chosen.reduce((sum, { parquetBytes }) => sum + parquetBytes, 0);
            all = [
              ...all.filter((each) => !chosen.includes(each)),
              file({ base: `m${merges}`, hour: chosen[0]!.hour, parquetBytes: size, level: 3 }),
            ];
          }
        },
      ),
    );
  });
});

describe('the manifest', () => {
  const manifest: Manifest = {
    number: 7,
    files: [file({ base: 'a', resourceKeys: ['service.name'] }), file({ base: 'b', keys: undefined })],
    kept: new Map([['ab'.repeat(16), 12]]),
    promoted: [{ key: 'ключ "x"', kind: 'double' }],
  };
  it('comes back as it was written', () => expect(decodeManifest(encodeManifest(manifest))).toEqual(manifest));
  it('is refused when any byte is changed or cut off', () => {
    const whole = encodeManifest(manifest);
    for (let at = 0; at < whole.length; at++) {
      const bad = Buffer.from(whole);
      bad[at]! ^= 1;
      // A checksum in capitals would be the same number; nothing writes one.
      expect(decodeManifest(bad)).toBeUndefined();
      expect(decodeManifest(whole.subarray(0, at))).toBeUndefined();
    }
  });
});

it('the filter of a file never hides a trace, and seldom names a file in vain', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bloom-'));
  try {
    const path = join(folder, 'x.bloom');
    const random = (seed: number) => Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) >>> 0;
    const filter = new Uint8Array(bloomSize(5000));
    for (let n = 0; n < 5000; n++) bloomAdd(filter, random(n), random(n + 7919));
    writeFileSync(path, filter);
    let inVain = 0;
    for (let n = 0; n < 5000; n++) {
      expect(bloomHas(path, filter.length, random(n), random(n + 7919))).toBe(true);
      if (bloomHas(path, filter.length, random(n + 1e6), random(n + 2e6))) inVain++;
    }
    expect(inVain).toBeLessThan(5000 * 0.02);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe('hourOf', () => {
  const received = 1_000_000 * 3_600_000;
  const week = 7 * 24 * 3_600_000;
  it.each([
    { name: 'its own hour', timeMs: received - 5 * 3_600_000, hour: 999_995 },
    { name: 'a little ahead', timeMs: received + 9 * 60_000, hour: 1_000_000 },
    { name: 'too far ahead', timeMs: received + 3_600_000, hour: 1_000_000 },
    { name: 'the year 2554', timeMs: 18_446_744_073_709, hour: 1_000_000 },
    { name: 'older than is kept', timeMs: received - week - 1, hour: 1_000_000 },
    { name: 'as old as is kept', timeMs: received - week, hour: 1_000_000 - 168 },
  ])('$name', ({ timeMs, hour }) => {
    const nanos = BigInt(timeMs) * 1_000_000n;
    expect(hourOf(Number(nanos & 0xffffffffn), Number(nanos >> 32n), received, week)).toBe(hour);
  });
});

describe('keys', () => {
  const counted = (text: string, counts: Partial<Pick<Key, 'texts' | 'ints' | 'doubles' | 'bools' | 'others'>>) =>
    Object.assign(new Key(Buffer.from(text)), counts);
  const column = (key: string, kind: Promoted['kind'] = 'text'): Promoted => ({ key, kind });
  it('the most frequent get a column, of the type that most values have', () => {
    const keys = [
      counted('often', { texts: 90, ints: 10 }),
      counted('number', { ints: 60 }),
      counted('seldom', { texts: 1 }),
      counted('list', { others: 80 }),
    ];
    expect(planPromoted([], keys, 100)).toEqual([column('often'), column('number', 'int')]);
  });
  it('a column stays, unless another key is twice as frequent and there is no room', () => {
    const full = Array.from({ length: promotedMax }, (_, n) => column(`k${n}`));
    const keys = [...full.map(({ key }, n) => counted(key, { texts: 50 + n })), counted('new', { texts: 99 })];
    expect(planPromoted(full, keys, 100)).toEqual(full);
    keys[3] = counted('k3', { texts: 5 });
    const next = planPromoted(full, keys, 100);
    expect(next).toHaveLength(promotedMax);
    expect(next).toContainEqual(column('new'));
    expect(next).not.toContainEqual(column('k3'));
  });
  it('names that only differ by case do not share a column, and odd names have none', () => {
    const keys = [
      counted('Key', { texts: 50 }),
      counted('key', { texts: 60 }),
      counted('ключ', { texts: 70 }),
      counted('', { texts: 80 }),
    ];
    expect(planPromoted([], keys, 100)).toEqual([column('key')]);
  });
  it('are bounded in number, and those that collide in their hash too', () => {
    const table = new KeyTable();
    for (let n = 0; n <= keysTrackedMax; n++) {
      const bytes = Buffer.from(`key.${n}`);
      table.find(bytes, 0, bytes.length);
    }
    expect(table.untracked).toBe(true);
    expect(table.uses()).toBeUndefined();
    table.begin([]);
    expect(table.uses()).toEqual([]);
  });
});
