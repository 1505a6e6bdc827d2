import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Frame } from '../base/index.ts';
import { bisect, planBackoff, planBatches } from './plan.ts';

/** '3 3/80 5': frames of 3, 3 and 5 records; bytes after the slash, else 10 a record. */
function frames(drawing: string): Frame[] {
  return drawing
    .split(' ')
    .filter((word) => word !== '')
    .map((word, index) => {
      const [records = 0, bytes = records * 10] = word.split('/').map(Number);
      return frame(index + 1, records, bytes);
    });
}
function frame(seq: number, records: number, bytes: number): Frame {
  const digest = new Uint8Array(16);
  return { seq, tenant: '', digest, receivedUnixNano: 0n, records, body: new Uint8Array(bytes) };
}
const drawn = (batches: readonly Frame[][]) =>
  batches.map((batch) => batch.map((each) => each.records).join(' ')).join(' | ');

describe('planBatches', () => {
  // '3 3 | 5' reads: a batch of two frames with 3 records each, then one with a frame of 5.
  it.each([
    { name: 'nothing', log: '', recordsMax: 6, batches: '' },
    { name: 'exactly full', log: '3 3 5', recordsMax: 6, batches: '3 3 | 5' },
    { name: 'one short of full', log: '3 2 2', recordsMax: 6, batches: '3 2 | 2' },
    { name: 'one too large, alone', log: '2 9 2 2', recordsMax: 6, batches: '2 | 9 | 2 2' },
    { name: 'too large at both ends', log: '7 1 7', recordsMax: 6, batches: '7 | 1 | 7' },
    { name: 'frames without records', log: '0 0 6 0', recordsMax: 6, batches: '0 0 6 0' },
    { name: 'bytes decide', log: '1/600 1/400 1/1', recordsMax: 6, batches: '1 1 | 1' },
    { name: 'one frame over the bytes, alone', log: '1/1 1/1001 1/1', recordsMax: 6, batches: '1 | 1 | 1' },
  ])('$name', ({ log, recordsMax, batches }) => {
    expect(drawn(planBatches(frames(log), { recordsMax, bytesMax: 1000 }))).toBe(batches);
  });

  const anyLog = fc
    .array(fc.record({ records: fc.nat(20), bytes: fc.nat(200) }), { maxLength: 60 })
    .map((list) => list.map(({ records, bytes }, index) => frame(index + 1, records, bytes)));
  const anyLimits = fc.record({
    recordsMax: fc.integer({ min: 1, max: 40 }),
    bytesMax: fc.integer({ min: 1, max: 400 }),
  });

  it('loses no frame and keeps the order', () => {
    fc.assert(
      fc.property(anyLog, anyLimits, (log, limits) => {
        expect(planBatches(log, limits).flat()).toEqual(log);
      }),
    );
  });
  it('passes no limit with more than one frame, and leaves no batch that the next frame would have fitted into', () => {
    fc.assert(
      fc.property(anyLog, anyLimits, (log, { recordsMax, bytesMax }) => {
        const batches = planBatches(log, { recordsMax, bytesMax });
        const over = (batch: readonly Frame[]) =>
          batch.reduce((sum, each) => sum + each.records, 0) > recordsMax ||
          batch.reduce((sum, each) => sum + each.body.byteLength, 0) > bytesMax;
        for (const [index, batch] of batches.entries()) {
          expect(batch.length === 1 || !over(batch)).toBe(true);
          const next = batches[index + 1]?.[0];
          if (next !== undefined) expect(over([...batch, next])).toBe(true);
        }
      }),
    );
  });
});

describe('bisect', () => {
  it.each([
    { log: '1 2', halves: '1 | 2' },
    { log: '1 2 3', halves: '1 | 2 3' },
    { log: '1 2 3 4', halves: '1 2 | 3 4' },
  ])('$log', ({ log, halves }) => expect(drawn(bisect(frames(log)))).toBe(halves));

  it('finds one bad frame among n in at most 2·log₂n + 1 requests', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), fc.nat(), (count, pick) => {
        const log = Array.from({ length: count }, (_, index) => frame(index + 1, 1, 1));
        const bad = pick % count;
        let requests = 0;
        const parts: Frame[][] = [log];
        let found: Frame | undefined;
        for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
          requests++;
          if (!part.includes(log[bad]!)) continue;
          if (part.length === 1) found = part[0];
          else parts.unshift(...bisect(part));
        }
        expect(found).toBe(log[bad]);
        expect(requests).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(count)) + 1);
      }),
      { numRuns: 50 },
    );
  });
});

describe('planBackoff', () => {
  it.each([
    { name: 'the first failure, longest', failures: 1, afterMs: undefined, random: 1, ms: 200 },
    { name: 'doubles', failures: 4, afterMs: undefined, random: 1, ms: 1_600 },
    { name: 'full jitter reaches down to 0', failures: 4, afterMs: undefined, random: 0, ms: 0 },
    { name: 'never over 30 s', failures: 9, afterMs: undefined, random: 1, ms: 30_000 },
    { name: 'nor after a week of failures', failures: 20_000, afterMs: undefined, random: 1, ms: 30_000 },
    { name: 'Retry-After is the least', failures: 1, afterMs: 7_000, random: 1, ms: 7_000 },
    { name: 'an absurd Retry-After is capped', failures: 1, afterMs: 1e15, random: 0, ms: 300_000 },
    { name: 'an infinite one, too', failures: 1, afterMs: Number.POSITIVE_INFINITY, random: 0, ms: 300_000 },
    { name: 'a negative one means nothing', failures: 1, afterMs: -5, random: 0, ms: 0 },
    { name: 'nor does one that is not a number', failures: 1, afterMs: Number.NaN, random: 0.5, ms: 100 },
    { name: 'Retry-After: 0 still backs off', failures: 3, afterMs: 0, random: 1, ms: 800 },
  ])('$name', ({ failures, afterMs, random, ms }) => expect(planBackoff(failures, afterMs, random)).toBe(ms));
});
