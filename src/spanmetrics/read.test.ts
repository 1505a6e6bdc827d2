import { expect, it } from 'vitest';
import { memoryReaders } from '../../test/kit/memory-readers.ts';
import { Fault } from '../base/index.ts';
import type { MetricReader, Series, TraceReader } from '../stores/contract.ts';
import { withSpanMetrics } from './index.ts';

const never = new AbortController().signal;
const noonMs = 1_795_435_200_000;
const range = (fromMs: number, toMs: number) => ({
  startUnixNano: BigInt(noonMs + fromMs) * 1_000_000n,
  endUnixNano: BigInt(noonMs + toMs) * 1_000_000n,
});
const minute = 60_000;

/** `12s: 0 5 9 | 2` reads: samples 15 s apart from 12 s on, a gap of ten minutes at `|`. */
function series(name: string, labels: Record<string, string>, drawn: string): Series {
  const [from = '', values = ''] = drawn.split(': ');
  const times: number[] = [];
  const numbers: number[] = [];
  let at = noonMs + Number.parseFloat(from) * 1_000;
  for (const word of values.split(' ')) {
    if (word === '|') at += 10 * minute;
    else {
      times.push(at);
      numbers.push(Number(word));
      at += 15_000;
    }
  }
  return {
    labels: { __name__: name, replica: 'r1', ...labels },
    timestampsMs: Float64Array.from(times),
    values: Float64Array.from(numbers),
  };
}

const calls = 'traces_spanmetrics_calls_total';
const cart = { service_name: 'cart', service_namespace: 'shop', span_name: 'GET /', span_kind: 'SPAN_KIND_SERVER' };
const ok = { ...cart, status_code: 'STATUS_CODE_UNSET' };
const failed = { ...cart, status_code: 'STATUS_CODE_ERROR' };

const bare: TraceReader = {
  services: async () => [
    {
      name: 'named',
      namespace: '',
      environment: '',
      signal: 'traces',
      records: undefined,
      errors: undefined,
      durationNanos: undefined,
      lastSeenUnixNano: undefined,
    },
  ],
  operations: async () => [
    { name: 'named', kind: 2, spanCount: undefined, errorCount: undefined, durationNanos: undefined },
  ],
  search: async () => ({ items: [], next: undefined, incomplete: false, warnings: [] }),
  trace: async () => undefined,
};

function reader(...given: readonly Series[]): TraceReader {
  const memory = memoryReaders();
  memory.addSeries({ name: calls, type: 'counter', unit: '', description: '' }, given);
  return withSpanMetrics(bare, memory.metrics);
}

it.each([
  { name: 'a new counter', drawn: '30: 0 5 9', asked: range(0, minute), records: 9 },
  { name: 'from before the range', drawn: '-60: 3 5 7 9 12 12', asked: range(-5_000, minute), records: 3 },
  { name: 'up to the range', drawn: '-60: 3 5 7 9 12 12', asked: range(-minute, 0), records: 9 },
  { name: 'a counter that began again', drawn: '0: 0 5 9 2 4', asked: range(0, 2 * minute), records: 13 },
  { name: 'while the process was away', drawn: '0: 0 5 9 | 12 13', asked: range(0, 20 * minute), records: 13 },
  { name: 'away at the beginning', drawn: '-900: 0 5 | 12 13', asked: range(-300_000, 20 * minute), records: 1 },
  { name: 'a long range', drawn: '0: 0 5 9 | 12 13', asked: range(-86_400_000, 20 * minute), records: 13 },
])('$name', async ({ drawn, asked, records }) => {
  const [service, ...more] = await reader(series(calls, ok, drawn)).services(asked, never);
  expect(more).toEqual([]);
  expect(service).toMatchObject({ name: 'cart', namespace: 'shop', signal: 'traces', records, errors: 0 });
});

it('a day of samples, read at moments: exact, over a restart that counts anew', async () => {
  const drawn = Array.from({ length: 4 * 60 * 24 }, (_, index) => (index < 3_000 ? index : index - 3_000) * 2).join(
    ' ',
  );
  const [service] = await reader(series(calls, ok, `0: ${drawn}`)).services(
    range(6 * 60 * minute, 18 * 60 * minute),
    never,
  );
  // 6:00 to the restart at 12:30, and from there to 18:00. What was counted between the last moment before it and it is not seen.
  const right = 2 * (4 * 60 * 12 - 1);
  expect(service!.records).toBeLessThanOrEqual(right);
  expect(service!.records).toBeGreaterThan(right * 0.98);
  const [whole] = await reader(series(calls, ok, `0: ${drawn}`)).services(
    range(13 * 60 * minute, 20 * 60 * minute),
    never,
  );
  expect(whole!.records).toBe(2 * 4 * 60 * 7);
});

it('errors, and when a service was seen last', async () => {
  const traces = reader(series(calls, ok, '0: 0 5 9 9 9'), series(calls, failed, '0: 0 0 2 2 2'));
  const [service] = await traces.services(range(0, 2 * minute), never);
  expect(service).toMatchObject({ records: 11, errors: 2 });
  expect(service!.lastSeenUnixNano).toBe(BigInt(noonMs + 30_000) * 1_000_000n);
});

it('replicas of one service are one', async () => {
  const traces = reader(series(calls, ok, '0: 0 5'), series(calls, { ...ok, replica: 'r2' }, '0: 0 7'));
  const found = await traces.services(range(0, minute), never);
  expect(found.map(({ records }) => records)).toEqual([12]);
});

it('operations with quantiles from their buckets', async () => {
  const bucket = (le: string, drawn: string) =>
    series('traces_spanmetrics_duration_seconds_bucket', { ...ok, le }, drawn);
  const traces = reader(
    series(calls, ok, '0: 0 100'),
    series(calls, { ...ok, otel_metric_overflow: 'true', span_name: '' }, '0: 0 3'),
    bucket('0.01', '0: 0 0'),
    bucket('0.05', '0: 0 50'),
    bucket('0.1', '0: 0 90'),
    bucket('+Inf', '0: 0 100'),
  );
  const found = await traces.operations('cart', range(0, minute), never);
  expect(found).toEqual([
    {
      name: 'GET /',
      kind: 2,
      spanCount: 100,
      errorCount: 0,
      durationNanos: { p50: 50_000_000n, p95: 100_000_000n, p99: 100_000_000n },
    },
  ]);
});

it.each([
  ['none of the time', reader(series(calls, ok, '0: 0 5'))],
  ['none at all', reader()],
  [
    'a store that does not answer',
    withSpanMetrics(bare, {
      select: async () => {
        throw new Fault('unavailable', 'down');
      },
    } as unknown as MetricReader),
  ],
])('where there are no metrics, names: %s', async (_, traces) => {
  const asked = range(3_600_000, 3_700_000);
  expect((await traces.services(asked, never)).map(({ name, records }) => [name, records])).toEqual([
    ['named', undefined],
  ]);
  expect((await traces.operations('cart', asked, never)).map(({ name }) => name)).toEqual(['named']);
});
