import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeWrite1, decodeWrite2, type WrittenSeries } from '../../../test/kit/remote-write.ts';
import { runs } from '../../../test/kit/runs.ts';
import { Encoder } from './encode.ts';
import { Samples } from './samples.ts';
import { SeriesTable } from './series.ts';

const label = fc.tuple(fc.constantFrom('a', 'b', 'zone', 'ünï', 'le'), fc.string({ maxLength: 200 }));
const sample = fc.record({
  series: fc.nat(5),
  timeMs: fc.integer({ min: 1, max: 2 ** 45 }),
  startMs: fc.constantFrom(0, 1, 1_700_000_000_000),
  value: fc.double(),
  exemplars: fc.array(
    fc.record({
      labels: fc.array(fc.tuple(fc.constantFrom('trace_id', 'x'), fc.string({ minLength: 1 })), { maxLength: 2 }),
      value: fc.double({ noNaN: true }),
      timeMs: fc.nat(),
    }),
    { maxLength: 2 },
  ),
});

/** What was put in, by series and in order of time; the first of two at the same time. */
function model(
  labels: readonly (readonly (readonly [string, string])[])[],
  samples: readonly (typeof sample extends fc.Arbitrary<infer T> ? T : never)[],
) {
  return Map.groupBy(samples, ({ series }) => JSON.stringify(labels[series]));
}

describe('encoder', () => {
  const encoder = new Encoder();
  it('what protobufjs reads is what was put in, in both versions', () =>
    fc.assert(
      fc.property(
        fc.array(fc.uniqueArray(label, { selector: ([name]) => name }), { minLength: 6, maxLength: 6 }),
        fc.array(sample, { maxLength: 40 }),
        (labelSets, given) => {
          const table = new SeriesTable();
          const family = table.family({ name: 'm', type: 'counter', help: 'Help', unit: 'seconds', otlpUnit: 's' });
          const sets = labelSets.map((set) =>
            [['__name__', 'm'] as const, ...set.filter(([, value]) => value !== '')].sort(([a], [b]) =>
              a < b ? -1 : 1,
            ),
          );
          const series = sets.map((set) => table.find(family, new Map(set)));
          const samples = new Samples();
          samples.begin();
          const scratch = new DataView(new ArrayBuffer(8));
          const taken: typeof given = [];
          for (const each of given) {
            scratch.setFloat64(0, each.value);
            const owner = series[each.series]!;
            const [high, low] = [scratch.getUint32(0), scratch.getUint32(4)];
            if (samples.addDouble(owner, each.timeMs, each.startMs, low, high, 0, 0) !== 'added') continue;
            samples.addExemplars(each.exemplars);
            taken.push(each);
          }
          const order: number[] = [];
          for (const owner of samples.touched) {
            for (let at = owner.first; at >= 0; at = samples.next[at]!) order.push(at);
          }
          const right = model(sets, taken);
          const check = (written: readonly WrittenSeries[], starts: boolean) => {
            expect(written).toHaveLength(right.size);
            for (const each of written) {
              const want = right.get(JSON.stringify(each.labels))!.toSorted((a, b) => a.timeMs - b.timeMs);
              expect(each.samples).toEqual(
                want.map(({ value, timeMs, startMs }) => ({
                  value,
                  timestamp: timeMs,
                  ...(starts ? { startTimestamp: startMs } : {}),
                })),
              );
              expect(each.exemplars).toEqual(
                want.flatMap(({ exemplars }) =>
                  exemplars.map(({ timeMs, ...exemplar }) => ({ ...exemplar, timestamp: timeMs })),
                ),
              );
            }
          };
          const two = encoder.encode('2.0', samples, order, table, []);
          expect(two.doubles).toBe(taken.length);
          const decoded = decodeWrite2(two.body);
          expect(decoded.symbols[0]).toBe('');
          check(decoded.series, true);
          for (const each of decoded.series) expect(each.metadata).toEqual({ type: 1, help: 'Help', unit: 'seconds' });
          const one = decodeWrite1(encoder.encode('1.0', samples, order, table, [family]).body);
          check(one.series, false);
          expect(one.metadata).toEqual([{ type: 1, metricFamilyName: 'm', help: 'Help', unit: 'seconds' }]);
        },
      ),
      { numRuns: runs(300) },
    ));

  it('a staleness marker keeps its bits', () => {
    const table = new SeriesTable();
    const family = table.family({ name: 'm', type: 'gauge', help: '', unit: '', otlpUnit: '' });
    const owner = table.find(family, new Map([['__name__', 'm']]));
    const samples = new Samples();
    samples.begin();
    samples.addDouble(owner, 5, 0, 0x00000002, 0x7ff00000, 0, 0);
    const { body } = encoder.encode('2.0', samples, [0], table, []);
    expect(Buffer.from(body).includes(Buffer.from([0x02, 0, 0, 0, 0, 0, 0xf0, 0x7f]))).toBe(true);
  });

  it('samples at one time: the same twice is one, another value is a conflict', () => {
    const table = new SeriesTable();
    const family = table.family({ name: 'm', type: 'gauge', help: '', unit: '', otlpUnit: '' });
    const owner = table.find(family, new Map([['__name__', 'm']]));
    const samples = new Samples();
    samples.begin();
    const add = (timeMs: number, low: number) => samples.addDouble(owner, timeMs, 0, low, 0, 0, 0);
    expect([add(5, 1), add(5, 1), add(5, 2), add(3, 1), add(3, 2), add(4, 1), add(9, 1), add(4, 1)]).toEqual([
      'added',
      'same',
      'conflict',
      'added',
      'conflict',
      'added',
      'added',
      'same',
    ]);
    const times: number[] = [];
    for (let at = owner.first; at >= 0; at = samples.next[at]!) times.push(samples.timesMs[at]!);
    expect(times).toEqual([3, 4, 5, 9]);
  });
});
