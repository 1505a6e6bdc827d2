import { describe, expect, it } from 'vitest';
import { Writer } from '../../otlp/index.ts';
import type { LabelMatcher, Series } from '../contract.ts';
import type { EmbeddedStore } from './index.ts';
import { day, folderOfOwn, frame, keyValues, never, noon, openStore, request, write } from './kit.ts';
import {
  base,
  cumulative,
  drawn,
  exponential,
  type Fill,
  histogram,
  metric,
  monotonic,
  named,
  numberPoint,
  resource,
  select,
} from './metrics-kit.ts';
import { exponentialPoint, histogramPoint, labelNumber } from './points.ts';

const all: Uint8Array[] = [
  metric('temperature', 'Cel', 5, [
    numberPoint(21.5, { room: 'a' }),
    numberPoint(-3n, { room: 'b' }),
    numberPoint(22.5, { room: 'a' }, 10),
  ]),
  metric('http.requests', '1', 7, [numberPoint(7n, { 'http.method': 'GET', empty: '' })], monotonic),
  metric('queue.length', '', 7, [numberPoint(4n)], cumulative),
  metric('http.duration', 's', 9, [histogram([1, 2, 3], [0.005, 10], 3.25)], cumulative),
  metric('rpc.size', 'By', 10, [exponential(1, -1, [1, 2, 3, 4], 5)], cumulative),
  metric('gc', 'ms', 11, [
    (writer) => {
      writer.fixed64(3, noon);
      writer.fixed64(4, 9n);
      writer.double(5, 1.5);
      for (const [quantile, value] of [
        [0.5, 1],
        [0.99, Number.NaN],
      ] as const) {
        const at = writer.begin(6);
        writer.double(1, quantile);
        writer.double(2, value);
        writer.end(at);
      }
    },
  ]),
  metric('odd', '', 5, [
    numberPoint(Number.NaN, { k: 'nan' }),
    numberPoint(Number.POSITIVE_INFINITY, { k: '+inf' }),
    numberPoint(Number.NEGATIVE_INFINITY, { k: '-inf' }),
    numberPoint(-0, { k: '-0' }),
    numberPoint(1, { k: 'ended' }, 0, 1),
    numberPoint(5, { 'a.b': 'x', a_b: 'y', __name__: 'no', '9': 'nine' }),
  ]),
];

describe.each(['hot', 'rolled'])('%s', (state) => {
  const withAll = async (run: (store: EmbeddedStore) => Promise<void>) => {
    await using folder = await folderOfOwn();
    await using store = await openStore(folder.path);
    await write(store, 'metrics', [frame(1, request(resource, all), 17)]);
    if (state === 'rolled') await store.rollAll();
    await run(store);
  };

  it('gives every type as Prometheus names it', () =>
    withAll(async (store) => {
      const rows: [LabelMatcher[], string[]][] = [
        [
          [named('=', 'temperature_celsius')],
          ['temperature_celsius{room="a"} 21.5@0 22.5@10', 'temperature_celsius{room="b"} -3@0'],
        ],
        [[named('=', 'http_requests_total')], ['http_requests_total{http_method="GET"} 7@0']],
        [[named('=', 'queue_length')], ['queue_length{} 4@0']],
        [
          [named('=~', 'http_duration_seconds_.*')],
          [
            'http_duration_seconds_bucket{le="+Inf",route="/"} 6@0',
            'http_duration_seconds_bucket{le="0.005",route="/"} 1@0',
            'http_duration_seconds_bucket{le="10",route="/"} 3@0',
            'http_duration_seconds_count{route="/"} 6@0',
            'http_duration_seconds_sum{route="/"} 3.25@0',
          ],
        ],
        [
          [named('=', 'http_duration_seconds_bucket'), { name: 'le', op: '=', value: '10' }],
          ['http_duration_seconds_bucket{le="10",route="/"} 3@0'],
        ],
        [
          [named('=', 'http_duration_seconds_bucket'), { name: 'le', op: '!~', value: '1.|\\+Inf' }],
          ['http_duration_seconds_bucket{le="0.005",route="/"} 1@0'],
        ],
        [[named('=', 'http_duration_seconds')], []],
        [
          [named('=~', 'rpc_size_bytes(_bucket|_count)')],
          [
            'rpc_size_bytes_bucket{le="+Inf"} 15@0',
            'rpc_size_bytes_bucket{le="1"} 6@0',
            'rpc_size_bytes_bucket{le="2"} 11@0',
            'rpc_size_bytes_bucket{le="4"} 15@0',
            'rpc_size_bytes_count{} 15@0',
          ],
        ],
        [
          [named('=~', 'gc_milliseconds.*')],
          [
            'gc_milliseconds_count{} 9@0',
            'gc_milliseconds_sum{} 1.5@0',
            'gc_milliseconds{quantile="0.5"} 1@0',
            'gc_milliseconds{quantile="0.99"} NaN@0',
          ],
        ],
        [
          [named('=', 'gc_milliseconds'), { name: 'quantile', op: '=', value: '0.5' }],
          ['gc_milliseconds{quantile="0.5"} 1@0'],
        ],
        [
          [
            { name: 'room', op: '!=', value: '' },
            { name: 'room', op: '!=', value: 'b' },
          ],
          ['temperature_celsius{room="a"} 21.5@0 22.5@10'],
        ],
        [
          [
            { name: 'k8s_pod_name', op: '=', value: 'cart-1' },
            named('=', 'queue_length'),
            { name: 'room', op: '=', value: '' },
          ],
          ['queue_length{} 4@0'],
        ],
        [[{ name: 'job', op: '=~', value: 'shop' }, named('=', 'queue_length')], []],
        [[named('=', "x' OR '1'='1")], []],
        [[{ name: "'; DROP TABLE x; --", op: '=', value: '' }, named('=', 'queue_length')], ['queue_length{} 4@0']],
      ];
      for (const [matchers, lines] of rows)
        expect([matchers, drawn(await select(store, matchers))]).toEqual([matchers, lines]);
    }));

  it('keeps every number as it is, bit by bit', () =>
    withAll(async (store) => {
      const series = await select(store, [named('=', 'odd')]);
      const bits = new Map(
        series.map(({ labels, values }) => [
          labels['k'] ?? labels['a_b'],
          new DataView(values.buffer, values.byteOffset).getBigUint64(0, true),
        ]),
      );
      expect(bits.get('-0')).toBe(0x8000000000000000n);
      expect(bits.get('+inf')).toBe(0x7ff0000000000000n);
      expect(bits.get('-inf')).toBe(0xfff0000000000000n);
      expect(bits.get('ended')).toBe(0x7ff0000000000002n);
      expect(bits.get('nan')).toBe(0x7ff8000000000000n);
      // Attributes that become the same label are joined, and none takes the name's place.
      expect(series.find(({ labels }) => labels['a_b'] === 'x;y' || labels['a_b'] === 'y;x')?.labels).toMatchObject({
        __name__: 'odd',
        key_9: 'nine',
      });
    }));

  it('lists metrics, and refuses too many samples', () =>
    withAll(async (store) => {
      const page = await store.readers.metrics!.metrics({ range: day, limit: 3 }, never);
      expect(page).toMatchObject({
        items: [
          { name: 'gc_milliseconds', type: 'summary', unit: 'ms', description: 'gc described', seriesCount: 1 },
          { name: 'http_duration_seconds', type: 'histogram' },
          { name: 'http_requests_total', type: 'counter' },
        ],
        incomplete: true,
      });
      const { items } = await store.readers.metrics!.metrics({ range: day, limit: 100 }, never);
      expect(items.map(({ name, type, seriesCount }) => [name, type, seriesCount]).slice(3)).toEqual([
        ['odd', 'gauge', 6],
        ['queue_length', 'gauge', 1],
        ['rpc_size_bytes', 'histogram', 1],
        ['temperature_celsius', 'gauge', 2],
      ]);
      await expect(select(store, [named('=~', '.+')], 5)).rejects.toMatchObject({ code: 'unprocessable' });
      await expect(select(store, [named('=~', '(')])).rejects.toMatchObject({ code: 'malformed', parameter: 'query' });
      expect(await store.readers.metrics!.services(day, never)).toMatchObject([
        { name: 'cart', namespace: 'shop', records: 14, signal: 'metrics' },
      ]);
    }));
});

it.each(['hot', 'rolled'])('%s: what is measured of a pod by others makes no service', async (state) => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  const gauge = (name: string) => metric(name, '', 5, [numberPoint(1, {})]);
  const watched = ['k8s.pod.phase', 'container.cpu.usage'].map(gauge);
  await write(store, 'metrics', [
    frame(1, request({ 'service.name': 'idle', 'k8s.pod.name': 'idle-1' }, watched), 2),
    frame(2, request({ 'service.name': 'cart', 'k8s.pod.name': 'cart-1' }, [...watched, gauge('k8smetrics.sent')]), 3),
  ]);
  if (state === 'rolled') await store.rollAll();
  const services = await store.readers.metrics!.services(day, never);
  expect(services.map(({ name, records }) => [name, records])).toEqual([
    ['', 4],
    ['cart', 1],
  ]);
});

it('a point has its own labels, where it has none those of its resource, and never a job or an instance of its own', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  const own = { job: 'own', instance: 'own', 'k8s.pod.name': 'own', service_name: '' };
  const bodies = [
    request(resource, [metric('up', '', 5, [numberPoint(1, own)])]),
    request({ 'k8s.pod.name': 'p' }, [metric('up', '', 5, [numberPoint(2, { job: 'own' }), numberPoint(3)])]),
  ];
  await write(store, 'metrics', [frame(1, bodies[0]!), frame(2, bodies[1]!, 2)]);
  const labels = (found: readonly Series[]) => found.map((series) => series.labels).sort(byJob);
  const byJob = (a: Series['labels'], b: Series['labels']) => ((a['job'] ?? '') < (b['job'] ?? '') ? -1 : 1);
  expect(labels(await select(store, [named('=', 'up')]))).toEqual([
    { __name__: 'up', k8s_pod_name: 'p' },
    { __name__: 'up', job: 'own', k8s_pod_name: 'p' },
    { __name__: 'up', ...base, k8s_pod_name: 'own' },
  ]);
  const where = async (name: string, value: string) =>
    (await select(store, [{ name, op: '=', value }])).map(({ values }) => values[0]).sort();
  expect(await where('job', 'own')).toEqual([2]);
  expect(await where('job', 'shop/cart')).toEqual([1]);
  expect(await where('instance', 'own')).toEqual([]);
  expect(await where('k8s_pod_name', 'own')).toEqual([1]);
  expect(await where('k8s_pod_name', 'p')).toEqual([2, 3]);
  expect(await where('service_name', 'cart')).toEqual([1]);
});

it.each(['hot', 'in files', 'merged'])('series that come in every generation are one each: %s', async (state) => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  // Attributes on both sides of the value, a description that changes, and two resources that differ in the end only.
  const apart = (value: number, seconds: number): Fill => {
    return (writer) => {
      keyValues(writer, 7, { a: '1' });
      writer.fixed64(3, noon + BigInt(seconds) * 1_000_000_000n);
      writer.double(4, value);
      keyValues(writer, 7, { b: '2' });
    };
  };
  for (let turn = 0; turn < 9; turn++) {
    const gauges = metric(`g`, '', 5, [
      numberPoint(turn, { room: 'a' }, turn),
      numberPoint(-turn, { room: 'b' }, turn),
    ]);
    const sums = metric('s', '', 7, [apart(turn, turn)], monotonic);
    const other = Buffer.from(gauges);
    other.set(Buffer.from(`${turn}`), other.indexOf('described'));
    await write(store, 'metrics', [
      frame(turn * 2 + 1, request(resource, [gauges, other, sums]), 5),
      frame(turn * 2 + 2, request({ ...resource, 'k8s.pod.name': 'cart-2' }, [gauges]), 2),
    ]);
    if (state !== 'hot') await store.rollAll();
  }
  if (state === 'merged') {
    await store.mergeAll();
    expect(store.stats().metrics?.files).toBeLessThan(9);
  }
  const turns = (sign: string) => Array.from({ length: 9 }, (_, at) => `${sign}${at}@${at}`);
  expect(drawn(await select(store, [named('=~', 'g|s_total')]))).toEqual([
    `g{k8s_pod_name="cart-2",room="a"} ${turns('').join(' ')}`,
    `g{k8s_pod_name="cart-2",room="b"} ${turns('-').join(' ')}`,
    `g{room="a"} ${turns('').join(' ')}`,
    `g{room="b"} ${turns('-').join(' ')}`,
    `s_total{a="1",b="2"} ${turns('').join(' ')}`,
  ]);
  const { items } = await store.readers.metrics!.metrics({ range: day, limit: 10 }, never);
  expect(items.map(({ name, seriesCount }) => [name, seriesCount])).toEqual([
    ['g', 4],
    ['s_total', 1],
  ]);
  expect(await store.readers.metrics!.services(day, never)).toMatchObject([{ name: 'cart', records: 63 }]);
});

it('a metric without a name that Prometheus allows is refused, the others are stored', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  const body = request(resource, [
    metric('…', '', 5, [numberPoint(1), numberPoint(2)]),
    metric('ok', '', 5, [numberPoint(3)]),
  ]);
  const result = await store.write(
    { signal: 'metrics', logId: 'x', frames: [frame(1, body, 3)], records: 3, sizeBytes: body.length },
    never,
  );
  expect(result).toMatchObject({
    kind: 'settled',
    refused: [
      { frame: 0, record: 0 },
      { frame: 0, record: 1 },
    ],
  });
  expect(drawn(await select(store, [named('=~', '.+')]))).toEqual(['ok{} 3@0']);
});

describe('points', () => {
  const bytes = (fill: Fill) => {
    const writer = new Writer();
    fill(writer);
    return writer.finish();
  };
  it.each([
    [
      [1, 2, 3],
      [0.1, 1],
      {
        count: 6,
        cumulative: [
          [0.1, 1],
          [1, 3],
        ],
      },
    ],
    [[5], [], { count: 5, cumulative: [] }],
    [[], [1], { count: 0, cumulative: [[1, 0]] }],
  ])('histogram %j %j', (counts, bounds, expected) => {
    expect(histogramPoint(bytes(histogram(counts, bounds, 1)))).toMatchObject(expected);
  });
  it.each([
    {
      scale: 0,
      offset: 0,
      counts: [1, 1],
      zero: 0,
      cumulative: [
        [2, 1],
        [4, 2],
      ],
    },
    {
      scale: 2,
      offset: -4,
      counts: [1, 1, 1, 1, 1],
      zero: 2,
      cumulative: [
        [1, 6],
        [2, 7],
      ],
    },
    {
      scale: -1,
      offset: 0,
      counts: [1, 1],
      zero: 0,
      cumulative: [
        [4, 1],
        [16, 2],
      ],
    },
    { scale: 0, offset: 2000, counts: [1], zero: 0, cumulative: [] },
  ])('exponential histogram of scale $scale', ({ scale, offset, counts, zero, cumulative: expected }) => {
    expect(exponentialPoint(bytes(exponential(scale, offset, counts, zero))).cumulative).toEqual(expected);
  });
  it.each([
    [0.005, '0.005'],
    [10, '10'],
    [1e21, '1e+21'],
    [1e-7, '1e-07'],
    [0.0001, '0.0001'],
    [0.00001, '1e-05'],
    [Number.POSITIVE_INFINITY, '+Inf'],
    [-2.5, '-2.5'],
    [0, '0'],
  ])('%f as a label is %s', (value, label) => {
    expect(labelNumber(value)).toBe(label);
  });
});
