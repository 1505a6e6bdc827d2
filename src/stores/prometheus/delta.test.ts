import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Total, Totals } from './delta.ts';
import { Point } from './point.ts';

const limits = { seriesMax: 100, forgetMs: 3_600_000 };

function number(value: number, timeMs: number, startMs = 1): Point {
  const point = new Point();
  point.value = value;
  point.timeMs = timeMs;
  point.startMs = startMs;
  return point;
}

function exponential(scale: number, offset: number, counts: number[], timeMs: number): Point {
  const point = new Point();
  point.timeMs = timeMs;
  point.scale = scale;
  point.count = counts.reduce((all, each) => all + each, 0);
  point.sum = point.count;
  point.positiveOffset = offset;
  point.positive.push(...counts);
  return point;
}

describe('sums of deltas', () => {
  it('numbers add up, from the start of the first', () => {
    const totals = new Totals(new Map(), limits);
    const seen = [5, 3, 0, 4].map((value, index) => {
      const point = number(value, 10 * (index + 1), 10 * index + 1);
      expect(totals.add('a', 'number', point, 1)).toBe('sum');
      return [point.value, point.startMs];
    });
    expect(seen).toEqual([
      [5, 1],
      [8, 1],
      [8, 1],
      [12, 1],
    ]);
  });

  it('one that comes late is told with the next', () => {
    const totals = new Totals(new Map(), limits);
    totals.add('a', 'number', number(5, 20), 1);
    expect(totals.add('a', 'number', number(3, 10), 1)).toBe('late');
    const next = number(1, 30);
    expect(totals.add('a', 'number', next, 1)).toBe('sum');
    expect(next.value).toBe(9);
  });

  it('what a batch added does not count when it is taken back', () => {
    const totals = new Totals(new Map(), limits);
    totals.add('a', 'number', number(5, 10), 1);
    expect(totals.commit()).toEqual(['a']);
    totals.add('a', 'number', number(7, 20), 1);
    totals.add('b', 'number', number(7, 20), 1);
    totals.rollback();
    expect(totals.size).toBe(1);
    const again = number(7, 20);
    totals.add('a', 'number', again, 1);
    expect(again.value).toBe(12);
  });

  it('a series of which nothing comes begins again; too many are refused', () => {
    const totals = new Totals(new Map(), { seriesMax: 1, forgetMs: 1_000 });
    totals.add('a', 'number', number(5, 10), 1);
    expect(totals.add('b', 'number', number(5, 10), 1)).toBe('full');
    const later = number(2, 5_000, 4_000);
    totals.add('a', 'number', later, 5_000);
    expect([later.value, later.startMs]).toEqual([2, 4_000]);
    totals.commit();
    // A place is free again when nothing has come for the one that has it.
    expect(totals.add('b', 'number', number(1, 6_001), 6_001)).toBe('sum');
    expect(totals.get('a')).toBeUndefined();
  });

  it('exponential histograms of any scales: no observation is lost, none is in a bucket that does not hold it', () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            scale: fc.integer({ min: -4, max: 20 }),
            offset: fc.integer({ min: -50, max: 50 }),
            counts: fc.array(fc.nat(3), { minLength: 1, maxLength: 20 }),
          }),
          { minLength: 1, maxLength: 6 },
        ),
        (points) => {
          const totals = new Totals(new Map<string, Total>(), limits);
          const last = points
            .map(({ scale, offset, counts }, index) => {
              const point = exponential(scale, offset, counts, index + 1);
              expect(totals.add('a', 'exponential', point, 1)).toBe('sum');
              return point;
            })
            .at(-1)!;
          const right = new Map<number, number>();
          for (const { scale, offset, counts } of points) {
            for (const [at, count] of counts.entries()) {
              const index = (offset + at) >> (scale - last.scale);
              right.set(index, (right.get(index) ?? 0) + count);
            }
          }
          const found = new Map(last.positive.map((count, at) => [last.positiveOffset + at, count]));
          for (const [index, count] of right) expect(found.get(index) ?? 0).toBe(count);
          expect(last.positive.reduce((all, each) => all + each, 0)).toBe(last.count);
        },
      ),
    ));
});
