import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatDurationMs, formatSizeBytes, readDurationMs, readSizeBytes } from './units.ts';

it.each([
  ['7d', 604_800_000],
  ['12h', 43_200_000],
  ['1d12h', 129_600_000],
  ['1h30m', 5_400_000],
  ['250ms', 250],
  ['1.5s', 1500],
  ['2w', 1_209_600_000],
  ['0s', 0],
  ['7', undefined],
  ['', undefined],
  ['d', undefined],
  ['7 d', undefined],
  ['-7d', undefined],
  ['7D', undefined],
  ['7dd', undefined],
  ['1e3s', undefined],
  ['99999999999999999999w', undefined],
])('reads the duration %j', (text, ms) => expect(readDurationMs(text)).toBe(ms));

it.each([
  ['4GiB', 4 * 2 ** 30],
  ['4gib', 4 * 2 ** 30],
  ['512Mi', 512 * 2 ** 20],
  ['1GB', 1e9],
  ['1.5 KiB', 1536],
  ['1024', 1024],
  ['0', 0],
  ['', undefined],
  ['GiB', undefined],
  ['4XB', undefined],
  ['-1', undefined],
  ['4GiB!', undefined],
  ['99999999999TiB', undefined],
])('reads the size %j', (text, bytes) => expect(readSizeBytes(text)).toBe(bytes));

it.each([
  [4 * 2 ** 30, '4 GiB'],
  [1536, '1.5 KiB'],
  [12, '12 B'],
  [0, '0 B'],
])('writes %d bytes as %s', (bytes, text) => expect(formatSizeBytes(bytes)).toBe(text));

it('reads back every duration that it writes', () =>
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 ** 12 }), (ms) => {
      expect(readDurationMs(formatDurationMs(ms))).toBe(ms);
    }),
  ));
