import { describe, expect, it } from 'vitest';
import { encodeOtlp } from '../../../test/kit/otlp.ts';
import { decodeWrite2 } from '../../../test/kit/remote-write.ts';
import { attributes, frame, resource, type Values } from '../../../test/stores/contract/given.ts';
import type { Batch } from '../../base/index.ts';
import { type CollectOptions, Collector } from './collect.ts';
import { Totals } from './delta.ts';
import { Encoder } from './encode.ts';
import { defaultNaming } from './labels.ts';
import { SeriesLimit } from './series.ts';

// What only shows without a Prometheus: what is refused and by which index, bounds, deltas. How names, labels and values
// come out is held to Prometheus itself in test/backends/prometheus-translation.test.ts.

const ms = 1_000_000n;
const receivedMs = 1_700_000_000_000;

function collector(options: Partial<CollectOptions> = {}): Collector {
  return new Collector({
    naming: defaultNaming,
    customBuckets: false,
    totals: undefined,
    replica: undefined,
    limit: new SeriesLimit(0, 1_000),
    seriesCachedMax: 1_000,
    ...options,
  });
}

function batch(...frames: { metrics: object[]; of?: Values }[]): Batch {
  const made = frames.map(({ metrics, of = { 'service.name': 's' } }, index) => {
    const body = encodeOtlp('metrics', { resourceMetrics: [{ resource: resource(of), scopeMetrics: [{ metrics }] }] });
    return frame(index + 1, body, 1, BigInt(receivedMs) * ms);
  });
  return { signal: 'metrics', logId: 'a'.repeat(32), frames: made, records: made.length, sizeBytes: 0 };
}

const point = (value: number, atMs: number, values: Values = {}) => ({
  asDouble: value,
  timeUnixNano: String(BigInt(atMs) * ms),
  attributes: attributes(values),
});
const gauge = (name: string, ...dataPoints: object[]) => ({ name, gauge: { dataPoints } });
const delta = (name: string, ...dataPoints: object[]) => ({
  name,
  sum: { isMonotonic: true, aggregationTemporality: 1, dataPoints },
});

/** `name{more}` → samples as `value@ms`. */
function collected(from: Collector, of: Batch) {
  const { samples, refused } = from.collect(of);
  const order: number[] = [];
  for (const owner of samples.touched) {
    for (let at = owner.first; at >= 0; at = samples.next[at]!) order.push(at);
  }
  const { series } = decodeWrite2(new Encoder().encode('2.0', samples, order, from.table, []).body);
  return {
    series: Object.fromEntries(
      series.map(({ labels, samples: values }) => [
        labels
          .filter(([name]) => name !== 'job' && name !== 'service_name')
          .map(([name, value]) => (name === '__name__' ? value : `${name}=${value}`))
          .join(' '),
        values.map(({ value, timestamp }) => `${value}@${timestamp}`).join(' '),
      ]),
    ),
    refused: refused.map(({ frame: at, record, reason }) => `${at}.${record} ${reason}`),
  };
}

describe('collecting', () => {
  it('a start that was told in seconds as a double is the millisecond that was meant', () => {
    const created = 1_764_080_000.123;
    const nanos = BigInt(Math.trunc(created)) * 1_000_000_000n + BigInt(Math.trunc((created % 1) * 1e9));
    expect(nanos % ms).toBeGreaterThan(999_000n); // it has lost a little
    const startOf = (startTimeUnixNano: bigint, timeUnixNano: bigint) => {
      const dataPoints = [
        { asDouble: 1, startTimeUnixNano: String(startTimeUnixNano), timeUnixNano: String(timeUnixNano) },
      ];
      const { samples } = collector().collect(
        batch({ metrics: [{ name: 'c', sum: { isMonotonic: true, aggregationTemporality: 2, dataPoints } }], of: {} }),
      );
      return [samples.startsMs[0], samples.timesMs[0]];
    };
    const later = nanos + 5_000_000_000n;
    expect(startOf(nanos, later)).toEqual([1_764_080_000_123, Number(later / ms)]);
    // Cut off, not rounded; and never after the sample itself.
    expect(startOf(1_764_080_000_123_999_000n, later)[0]).toBe(1_764_080_000_123);
    expect(startOf(nanos, nanos)).toEqual([1_764_080_000_122, 1_764_080_000_122]);
  });

  it('counts records over all metrics of a frame, and refuses each once', () => {
    const exponential = { timeUnixNano: '1000000', scale: -5, count: '0' };
    const { refused, series } = collected(
      collector(),
      batch(
        { metrics: [gauge('a', point(1, 5), point(2, 6)), gauge('!!', point(1, 5)), delta('d', point(1, 5))] },
        {
          metrics: [
            gauge('a', point(3, 7), point(9, 7, { '': 'x' })),
            { name: 'e', exponentialHistogram: { aggregationTemporality: 2, dataPoints: [exponential] } },
          ],
        },
      ),
    );
    expect(series).toEqual({ a: '1@5 2@6 3@7' });
    expect(refused).toEqual([
      '0.2 a metric whose name has no character that Prometheus allows',
      expect.stringMatching(/^0\.3 a delta/),
      '1.1 an attribute whose key has no character that Prometheus allows',
      "1.2 an exponential histogram of scale -5; Prometheus' least is -4",
    ]);
  });

  it('the same twice is one; another value at the same millisecond is refused', () => {
    const { refused, series } = collected(
      collector(),
      batch({ metrics: [gauge('a', point(1, 5), point(1, 5), point(2, 5), point(3, 4))] }),
    );
    expect(series).toEqual({ a: '3@4 1@5' });
    expect(refused).toEqual(['0.2 another value of the series has the same time, in milliseconds']);
  });

  it('resources whose labels are the same make the same series', () => {
    const { series, refused } = collected(
      collector(),
      batch(
        { metrics: [gauge('a', point(1, 5))], of: { 'service.name': 's', 'process.pid': 1n } },
        { metrics: [gauge('a', point(2, 6))], of: { 'service.name': 's', 'process.pid': 2n } },
      ),
    );
    expect(series['a']).toBe('1@5 2@6');
    expect(series['target_info process_pid=1']).toBe('1@5');
    expect(refused).toEqual([]);
  });

  it('a point without a time has the time when it was received', () => {
    const { series } = collected(collector(), batch({ metrics: [gauge('a', { asInt: '7' })] }));
    expect(series).toEqual({ a: `7@${receivedMs}` });
  });

  it('points of all times: target_info does not become millions of samples', () => {
    const of = collector();
    const { samples } = of.collect(
      batch({ metrics: [gauge('a', point(1, 1), point(2, receivedMs))], of: { 'service.name': 's', zone: 'a' } }),
    );
    expect(samples.count).toBeLessThan(2_000);
  });

  it('a batch of more samples than a part may have is given part by part, each record once', () => {
    const counts = Array.from({ length: 5_000 }, () => '1');
    const bounds = Array.from({ length: 4_999 }, (_, at) => at);
    const dataPoints = Array.from({ length: 60 }, (_, at) => ({
      ...point(0, receivedMs + at),
      asDouble: undefined,
      count: '5000',
      bucketCounts: counts,
      explicitBounds: bounds,
    }));
    const wide = { name: 'h', histogram: { aggregationTemporality: 2, dataPoints } };
    const of = collector({ seriesCachedMax: 100_000 });
    const all = batch({ metrics: [wide, gauge('!!', point(1, 5))] }, { metrics: [wide, gauge('b', point(1, 5))] });
    const records = new Map<string, number>();
    const refused: string[] = [];
    let parts = 0;
    for (let next: { frame: number; record: number } | undefined = { frame: 0, record: 0 }; next !== undefined; ) {
      const part = of.collect(all, next);
      parts++;
      expect(part.samples.count).toBeLessThan(210_000);
      for (let at = 0; at < part.samples.count; at++) {
        const key = `${part.samples.frames[at]}.${part.samples.records[at]}`;
        records.set(key, (records.get(key) ?? 0) + 1);
      }
      refused.push(...part.refused.map(({ frame: at, record }) => `${at}.${record}`));
      next = part.next;
    }
    expect(parts).toBe(4);
    expect(refused).toEqual(['0.60']);
    // The second frame is the first again, which within a part is the same sample: each record is there whole, or left out.
    for (const count of records.values()) expect([1, 5_001]).toContain(count);
    expect([...records.keys()].filter((key) => key.startsWith('0.'))).toHaveLength(60);
    expect(records.get('1.60')).toBe(1);
  });

  it('series past the limit are refused, those that are known go on, and make room when nothing comes', () => {
    const limit = new SeriesLimit(2, 1_000);
    limit.turn(0);
    const of = collector({ limit });
    const send = (...keys: string[]) =>
      collected(of, batch({ metrics: [gauge('a', ...keys.map((key) => point(1, 5, { key })))] })).refused;
    expect(send('x', 'y')).toEqual([]);
    expect(send('z', 'x')).toEqual(['0.0 the limit of series is reached']);
    limit.turn(1_000);
    expect(send('x')).toEqual([]);
    limit.turn(2_000);
    expect(send('z', 'x')).toEqual([]);
    expect(send('y')).toEqual(['0.0 the limit of series is reached']);
  });

  it('forgets all that it knows when it is too much, and goes on', () => {
    const of = collector({ seriesCachedMax: 10 });
    for (let round = 0; round < 5; round++) {
      const points = Array.from({ length: 9 }, (_, at) => point(round, round + 1, { key: `${round}-${at}` }));
      expect(Object.keys(collected(of, batch({ metrics: [gauge('a', ...points)] })).series)).toHaveLength(9);
      expect(of.table.count).toBeLessThanOrEqual(18);
    }
  });

  it('deltas are summed up over batches, with a label of who sums', () => {
    const totals = new Totals(new Map(), { seriesMax: 10, forgetMs: 1_000 });
    const of = collector({ totals, replica: 'r1' });
    const send = (value: number, atMs: number) => collected(of, batch({ metrics: [delta('d', point(value, atMs))] }));
    expect(send(1, 5).series).toEqual({ 'd_total watchingcat_replica=r1': '1@5' });
    totals.commit();
    expect(send(2, 6).series).toEqual({ 'd_total watchingcat_replica=r1': '3@6' });
    totals.rollback();
    expect(send(2, 6).series).toEqual({ 'd_total watchingcat_replica=r1': '3@6' });
    expect(send(2, 4)).toEqual({ series: {}, refused: [] });
    expect(send(1, 7).series).toEqual({ 'd_total watchingcat_replica=r1': '6@7' });
  });
});
