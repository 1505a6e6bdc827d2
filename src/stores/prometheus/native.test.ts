import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketLayout } from './native.ts';

describe('buckets as spans and differences', () => {
  it.each([
    { name: 'none', offset: 3, counts: [], down: 0, spans: [], deltas: [] },
    { name: 'OTLP 0 is Prometheus 1', offset: 0, counts: [1, 3, 2], down: 0, spans: [[1, 3]], deltas: [1, 2, -1] },
    {
      name: 'a small gap is filled',
      offset: -5,
      counts: [2, 0, 0, 1],
      down: 0,
      spans: [[-4, 4]],
      deltas: [2, -2, 0, 1],
    },
    {
      name: 'a large one begins a span',
      offset: 0,
      counts: [2, 0, 0, 0, 1],
      down: 0,
      spans: [
        [1, 1],
        [3, 1],
      ],
      deltas: [2, -1],
    },
    { name: 'halved', offset: 0, counts: [1, 2, 3, 4], down: 1, spans: [[1, 2]], deltas: [3, 4] },
    { name: 'halved, odd and negative', offset: -3, counts: [1, 2, 3], down: 1, spans: [[-1, 2]], deltas: [1, 4] },
  ])('$name', ({ offset, counts, down, spans, deltas }) =>
    expect(bucketLayout({ offset, counts }, down, true)).toEqual({ spans, deltas }),
  );

  it('every observation is in the bucket that holds it', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: -1000, max: 1000 }),
        fc.array(fc.nat(4), { minLength: 1, maxLength: 60 }),
        fc.nat(6),
        (offset, counts, down) => {
          const { spans, deltas } = bucketLayout({ offset, counts }, down, true);
          const found = new Map<number, number>();
          let index = 0;
          let count = 0;
          let at = 0;
          for (const [gap, length] of spans) {
            index += gap;
            for (let each = 0; each < length; each++) {
              count += deltas[at++]!;
              if (count !== 0) found.set(index, count);
              index++;
            }
          }
          expect(at).toBe(deltas.length);
          const right = new Map<number, number>();
          for (const [each, value] of counts.entries()) {
            const bucket = ((offset + each) >> down) + 1;
            if (value !== 0) right.set(bucket, (right.get(bucket) ?? 0) + value);
          }
          expect(found).toEqual(right);
        },
      ),
    ));
});
