import type { LabelMatcher, Series } from '../../../src/stores/contract.ts';
import { encodeOtlp } from '../../kit/otlp.ts';
import { attributes, minute, resource, second, type Values, type World } from './given.ts';
import { type Cases, never, type Question } from './suite.ts';

const cart = { 'service.name': 'cart', 'service.namespace': 'shop', 'service.instance.id': 'i-1' };
/** The labels that the Prometheus OTLP translation makes of it, with the attributes that are promoted. */
const cartLabels = {
  job: 'shop/cart',
  instance: 'i-1',
  service_name: 'cart',
  service_namespace: 'shop',
  service_instance_id: 'i-1',
};

/** Points a minute apart. */
const scrapes = 5;
/** Of a series that ended: so many, and then one that says so. */
const scrapesBeforeEnd = 3;
const goneText = { unit: '{item}', description: 'Items that waited' };

function requestsOf({ start }: World) {
  return Array.from({ length: scrapes }, (_, index) => {
    const at = { timeUnixNano: String(start + BigInt(index) * minute), startTimeUnixNano: String(start - minute) };
    const number = (value: number, values: Values = {}) => ({ ...at, asDouble: value, attributes: attributes(values) });
    const gone = index < scrapesBeforeEnd ? number(index + 1) : { ...at, flags: 1 };
    const metrics = [
      ...(index <= scrapesBeforeEnd ? [{ name: 'queue.gone', ...goneText, gauge: { dataPoints: [gone] } }] : []),
      {
        name: 'queue.size',
        unit: '{item}',
        description: 'Items that wait',
        gauge: { dataPoints: [number(index * 2)] },
      },
      {
        name: 'http.requests',
        unit: '1',
        description: 'Requests',
        sum: {
          aggregationTemporality: 2,
          isMonotonic: true,
          dataPoints: [number(index * 10, { route: '/pay' }), number(index * 5, { route: '/cart' })],
        },
      },
      {
        name: 'http.duration',
        unit: 's',
        description: 'Durations',
        histogram: {
          aggregationTemporality: 2,
          dataPoints: [
            {
              ...at,
              count: String(3 * (index + 1)),
              sum: 1.5 * (index + 1),
              bucketCounts: [index + 1, index + 1, index + 1].map(String),
              explicitBounds: [0.1, 1],
              attributes: attributes({ route: '/pay' }),
            },
          ],
        },
      },
    ];
    return {
      body: encodeOtlp('metrics', {
        resourceMetrics: [
          { resource: resource(cart), scopeMetrics: [{ scope: { name: 'lib', version: '1' }, metrics }] },
        ],
      }),
      records: index <= scrapesBeforeEnd ? 5 : 4,
    };
  });
}

function expected(
  { start }: World,
  name: string,
  more: Record<string, string>,
  value: (index: number) => number,
): Series {
  const each = Array.from({ length: scrapes }, (_, index) => index);
  return {
    labels: { __name__: name, ...cartLabels, ...more },
    timestampsMs: Float64Array.from(each.map((index) => Number((start + BigInt(index) * minute) / 1_000_000n))),
    values: Float64Array.from(each.map(value)),
  };
}

/** Every sample of what matches, as `name{labels}`. Labels that a store adds for the scope (`otel_scope_…`) are its own matter. */
function select(name: string, matchers: readonly LabelMatcher[], from = -minute, to = 20n * minute): Question {
  return {
    name,
    ask: async (readers, { start }) => {
      const ms = (at: bigint) => Number((start + at) / 1_000_000n);
      const found = await readers.metrics!.select(
        { matchers, startMs: ms(from), endMs: ms(to), samplesMax: 10_000, deltasFrom: 'stored' },
        never,
      );
      const rows = found.map(({ labels, timestampsMs, values }) => ({
        series: Object.entries(labels)
          .filter(([label]) => !label.startsWith('otel_scope_'))
          .map(([label, value]) => `${label}=${value}`)
          .sort()
          .join(),
        samples: [...timestampsMs].map((time, index) => [time, values[index]]),
      }));
      return { rows: rows.sort((a, b) => (a.series < b.series ? -1 : 1)), incomplete: false };
    },
  };
}

/** The last sample of each series up to a time. */
function latest(name: string, matchers: readonly LabelMatcher[], to: bigint, nonZero: boolean): Question {
  return {
    name,
    ask: async (readers, { start }) => {
      const ms = (at: bigint) => Number((start + at) / 1_000_000n);
      const range = { startMs: ms(-minute), endMs: ms(to) };
      const found = await readers.metrics!.latest({ matchers, ...range, seriesMax: 2, nonZero }, never);
      const rows = found.map(({ labels, timeMs, value }) => ({
        series: `${labels['__name__']} ${labels['route'] ?? ''}`,
        timeMs,
        value,
      }));
      return { rows: rows.sort((a, b) => (a.series < b.series ? -1 : 1)), incomplete: false };
    },
  };
}

const named = (value: string): LabelMatcher => ({ name: '__name__', op: '=', value });

export const metricCases: Cases = {
  requests: requestsOf,
  fill(memory, world) {
    memory.addSeries({ name: 'queue_size', type: 'gauge', unit: '{item}', description: 'Items that wait' }, [
      expected(world, 'queue_size', {}, (index) => index * 2),
    ]);
    const gone = expected(world, 'queue_gone', {}, (index) => (index < scrapesBeforeEnd ? index + 1 : Number.NaN));
    memory.addSeries({ name: 'queue_gone', type: 'gauge', ...goneText }, [
      {
        ...gone,
        timestampsMs: gone.timestampsMs.slice(0, scrapesBeforeEnd + 1),
        values: gone.values.slice(0, scrapesBeforeEnd + 1),
      },
    ]);
    memory.addSeries({ name: 'http_requests_total', type: 'counter', unit: '1', description: 'Requests' }, [
      expected(world, 'http_requests_total', { route: '/pay' }, (index) => index * 10),
      expected(world, 'http_requests_total', { route: '/cart' }, (index) => index * 5),
    ]);
    const duration = 'http_duration_seconds';
    const bucket = (le: string, times: number) =>
      expected(world, `${duration}_bucket`, { route: '/pay', le }, (index) => times * (index + 1));
    memory.addSeries({ name: duration, type: 'histogram', unit: 's', description: 'Durations' }, [
      bucket('0.1', 1),
      bucket('1', 2),
      bucket('+Inf', 3),
      expected(world, `${duration}_count`, { route: '/pay' }, (index) => 3 * (index + 1)),
      expected(world, `${duration}_sum`, { route: '/pay' }, (index) => 1.5 * (index + 1)),
    ]);
  },
  questions: [
    select('a gauge', [named('queue_size')]),
    select('a counter, both series', [named('http_requests_total')]),
    select('a counter by label', [named('http_requests_total'), { name: 'route', op: '=', value: '/pay' }]),
    select('by an expression', [named('http_requests_total'), { name: 'route', op: '=~', value: '/(pay|x)' }]),
    select('by what it is not', [named('http_requests_total'), { name: 'route', op: '!=', value: '/pay' }]),
    latest('the last samples of a time', [named('http_requests_total')], 2n * minute, false),
    latest(
      'the last samples of a time that are not 0',
      [{ name: '__name__', op: '=~', value: 'http_requests_total|queue_size' }],
      0n,
      true,
    ),
    latest('the last sample of all time', [named('queue_size')], 20n * minute, true),
    latest('the last sample of a series before it ended', [named('queue_gone')], 2n * minute, false),
    latest(
      'the last samples of a time in which a series ended',
      [{ name: '__name__', op: '=~', value: 'queue_(gone|size)' }],
      20n * minute,
      false,
    ),
    select('by an absent label', [named('queue_size'), { name: 'route', op: '=', value: '' }]),
    select('the buckets of a histogram', [named('http_duration_seconds_bucket')]),
    select('its sum', [named('http_duration_seconds_sum')]),
    select('its count', [named('http_duration_seconds_count')]),
    select('by an expression on the name', [{ name: '__name__', op: '=~', value: 'http_duration.*' }]),
    select('a part of the time, both ends included', [named('queue_size')], minute, 3n * minute),
    select('between two points', [named('queue_size')], second, minute - second),
    select('what is not there', [named('nothing')]),
    {
      name: 'metrics with type, unit and description',
      ask: async (readers, { range }) => {
        const { items, incomplete } = await readers.metrics!.metrics({ range, limit: 100 }, never);
        const rows = items.filter(({ name }) => name !== 'target_info').map(({ seriesCount: _, ...row }) => row);
        return { rows: rows.sort((a, b) => (a.name < b.name ? -1 : 1)), incomplete };
      },
    },
  ],
};
