import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { runs } from '../../test/kit/runs.ts';
import { repeatMessageBytesMax } from './limits.ts';
import { RepeatTable } from './repeats.ts';

const none = { answer: { rejected: 0, message: '' }, outstanding: '' };

/** Digests that collide in their first word now and then, as the table hashes by it. */
function digest(n: number): Uint8Array {
  const bytes = createHash('sha256').update(String(n)).digest().subarray(0, 16);
  bytes[0] = n % 3;
  bytes[1] = bytes[2] = bytes[3] = n % 2 === 0 ? 0 : 255;
  return bytes;
}

it('is a map of the last requests in the window', () => {
  const names = fc.oneof({ weight: 3, arbitrary: fc.constant('') }, fc.constantFrom('a', 'b', 'c'));
  const step = fc.record({ n: fc.nat(40), waitMs: fc.nat(4_000), rejected: fc.nat(2), outstanding: names });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 24 }), fc.array(step, { maxLength: 200 }), (requestsMax, steps) => {
      const table = new RepeatTable({ windowMs: 20_000, requestsMax, monotonicMs: 0 });
      let model: { n: number; atMs: number; rejected: number; owed: string }[] = [];
      let nowMs = 0;
      for (const { n, waitMs, rejected, outstanding } of steps) {
        nowMs += 1000 * Math.round(waitMs / 1000);
        model = model.filter(({ atMs }) => nowMs - atMs <= 20_000);
        for (let other = 0; other <= 40; other++) {
          const known = model.findLast((entry) => entry.n === other);
          const message = known && known.rejected > 0 ? `message ${other}` : '';
          const answer = known && { rejected: known.rejected, message };
          expect(table.find(digest(other), nowMs)).toEqual(known && { answer, outstanding: known.owed });
        }
        const answer = { rejected, message: rejected > 0 ? `message ${n}` : '' };
        table.add(digest(n), { answer, outstanding }, nowMs);
        const before = model.findLast((entry) => entry.n === n);
        if (before === undefined) model.push({ n, atMs: nowMs, rejected, owed: outstanding });
        else if (before.owed !== '' && !before.owed.includes(outstanding || 'all')) {
          const owed = outstanding === '' ? '' : `${before.owed}\n${outstanding}`;
          model.push({ ...before, atMs: nowMs, owed });
        }
        model = model.slice(-requestsMax);
        expect(table.size).toBe(model.length);
      }
    }),
    { numRuns: runs(60) },
  );
});

it('holds a million requests in 32 MB, and grows only with them', () => {
  const table = new RepeatTable({ windowMs: 600_000, requestsMax: 1_000_000, monotonicMs: 0 });
  expect(table.sizeBytes).toBeLessThan(64 * 1024);
  const words = new Uint32Array(4);
  const bytes = new Uint8Array(words.buffer);
  const set = (n: number) => words.set([Math.imul(n, 2_654_435_761), n, n ^ 0x5555, 7]);
  for (let n = 0; n < 1_100_000; n++) {
    set(n);
    table.add(bytes, none, 0);
  }
  expect(table.size).toBe(1_000_000);
  expect(table.sizeBytes).toBeLessThanOrEqual(32e6);
  for (const [n, known] of [
    [0, false],
    [99_999, false],
    [100_000, true],
    [1_099_999, true],
  ] as const) {
    set(n);
    expect([n, table.find(bytes, 0) !== undefined]).toEqual([n, known]);
  }
});

it('keeps a bounded amount of messages; the counts stay exact', () => {
  const table = new RepeatTable({ windowMs: 600_000, requestsMax: 10_000, monotonicMs: 0 });
  const message = 'x'.repeat(4_000);
  const count = Math.ceil(repeatMessageBytesMax / 8_000) + 10;
  for (let n = 0; n < count; n++) {
    table.add(Buffer.from(String(n).padStart(16, '0')), { answer: { rejected: n, message }, outstanding: '' }, 0);
  }
  expect(table.find(Buffer.from('0'.repeat(16)), 0)?.answer).toEqual({ rejected: 0, message });
  const last = table.find(Buffer.from(String(count - 1).padStart(16, '0')), 0)?.answer;
  expect(last?.rejected).toBe(count - 1);
  expect(last?.message).not.toBe(message);
});

it('what is for one list of destinations more than are known is not remembered', () => {
  const table = new RepeatTable({ windowMs: 600_000, requestsMax: 10_000, monotonicMs: 0 });
  for (let n = 0; n < 300; n++) {
    table.add(Buffer.from(String(n).padStart(16, '0')), { ...none, outstanding: `destination ${n}` }, 0);
  }
  expect(table.find(Buffer.from('0'.repeat(16)), 0)).toEqual({ ...none, outstanding: 'destination 0' });
  expect(table.find(Buffer.from('299'.padStart(16, '0')), 0)).toBeUndefined();
});
