import { describe, expect, it } from 'vitest';
import { Writer } from '../../otlp/index.ts';
import type { LabelMatcher, Series } from '../contract.ts';
import type { EmbeddedStore } from './index.ts';
import { type Attributes, day, folderOfOwn, frame, keyValues, never, noon, openStore, request, write } from './kit.ts';
import { exponentialPoint, histogramPoint, labelNumber } from './points.ts';

const resource = {
  'service.name': 'cart',
  'service.namespace': 'shop',
  'service.instance.id': 'i-1',
  'k8s.pod.name': 'cart-1',
  'host.name': 'not promoted',
};
const noonMs = Number(noon / 1_000_000n);

type Fill = (writer: Writer) => void;

/** A Metric message. `field` of the oneof: 5 gauge, 7 sum, 9 histogram, 10 exponential histogram, 11 summary. */
function metric(
  name: string,
  unit: string,
  field: number,
  points: readonly Fill[],
  extra: Fill = () => undefined,
): Uint8Array {
  const writer = new Writer();
  writer.string(1, name);
  writer.string(2, `${name} described`);
  writer.string(3, unit);
  const data = writer.begin(field);
  for (const fill of points) {
    const at = writer.begin(1);
    fill(writer);
    writer.end(at);
  }
  extra(writer);
  writer.end(data);
  return writer.finish();
}

const cumulative: Fill = (writer) => writer.int32(2, 2);
const monotonic: Fill = (writer) => {
  writer.int32(2, 2);
  writer.bool(3, true);
};

function numberPoint(value: number | bigint, attributes: Attributes = {}, seconds = 0, flags = 0): Fill {
  return (writer) => {
    keyValues(writer, 7, attributes);
    writer.fixed64(3, noon + BigInt(seconds) * 1_000_000_000n);
    if (typeof value === 'bigint') writer.fixed64(6, BigInt.asUintN(64, value));
    else writer.double(4, value);
    if (flags !== 0) writer.uint32(8, flags);
  };
}

function packed(values: readonly number[], double: boolean): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) {
    if (double) view.setFloat64(index * 8, value, true);
    else view.setBigUint64(index * 8, BigInt(value), true);
  }
  return bytes;
}

function histogram(
  counts: readonly number[],
  bounds: readonly number[],
  sum: number | undefined,
  flags = 0,
  seconds = 0,
): Fill {
  return (writer) => {
    keyValues(writer, 9, { route: '/' });
    writer.fixed64(3, noon + BigInt(seconds) * 1_000_000_000n);
    writer.fixed64(4, BigInt(counts.reduce((total, each) => total + each, 0)));
    if (sum !== undefined) writer.double(5, sum);
    writer.bytes(6, packed(counts, false));
    writer.bytes(7, packed(bounds, true));
    if (flags !== 0) writer.uint32(10, flags);
  };
}

function exponential(scale: number, offset: number, counts: readonly number[], zero: number, seconds = 0): Fill {
  return (writer) => {
    writer.fixed64(3, noon + BigInt(seconds) * 1_000_000_000n);
    writer.fixed64(4, BigInt(counts.reduce((total, each) => total + each, zero)));
    writer.double(5, 12.5);
    writer.sint32(6, scale);
    writer.fixed64(7, BigInt(zero));
    const buckets = writer.begin(8);
    writer.sint32(1, offset);
    writer.bytes(2, Uint8Array.from(counts));
    writer.end(buckets);
  };
}

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

const base = {
  service_name: 'cart',
  service_namespace: 'shop',
  service_instance_id: 'i-1',
  k8s_pod_name: 'cart-1',
  job: 'shop/cart',
  instance: 'i-1',
};

async function select(
  store: EmbeddedStore,
  matchers: readonly LabelMatcher[],
  samplesMax = 1000,
  options: { fromSeconds?: number; toSeconds?: number; deltasFrom?: 'stored' | 'range' } = {},
): Promise<readonly Series[]> {
  const { fromSeconds = -60, toSeconds = 60, deltasFrom = 'stored' } = options;
  const [startMs, endMs] = [noonMs + fromSeconds * 1000, noonMs + toSeconds * 1000];
  return store.readers.metrics!.select({ matchers, startMs, endMs, samplesMax, deltasFrom }, never);
}

/** Series as one line each, without the labels that all of them have. */
function drawn(series: readonly Series[]): string[] {
  return series
    .map(({ labels, timestampsMs, values }) => {
      const { __name__, ...rest } = labels;
      const own = Object.entries(rest).filter(([name, value]) => (base as Record<string, string>)[name] !== value);
      const text = own.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name}="${value}"`);
      const samples = [...values].map(
        (value, index) => `${Object.is(value, -0) ? '-0' : value}@${(timestampsMs[index]! - noonMs) / 1000}`,
      );
      return `${__name__}{${text.join(',')}} ${samples.join(' ')}`;
    })
    .sort();
}

const named = (op: LabelMatcher['op'], value: string): LabelMatcher => ({ name: '__name__', op, value });

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

describe('deltas are given as running totals', () => {
  const delta: Fill = (writer) => writer.int32(2, 1);
  const monotonicDelta: Fill = (writer) => {
    writer.int32(2, 1);
    writer.bool(3, true);
  };
  const seconds = (values: readonly number[], point: (value: number, seconds: number) => Fill): Fill[] =>
    values.map((value, index) => point(value, index * 10));
  const deltas = [
    // Late ones, and the marker of an end in between.
    metric(
      'hits',
      '',
      7,
      [
        numberPoint(4, {}, 30),
        ...seconds([1, 2], (value, at) => numberPoint(value, {}, at)),
        numberPoint(9, {}, 20, 1),
      ],
      monotonicDelta,
    ),
    // May fall: a gauge to Prometheus, and left alone.
    metric(
      'open',
      '',
      7,
      seconds([3, -1], (value, at) => numberPoint(value, {}, at)),
      delta,
    ),
    metric('took', 's', 9, [histogram([1, 2], [5], 3), histogram([0, 4], [5], 2, 0, 10)], delta),
    // Bounds 1, 2; then 4, 8; then 1: each is as high as those below it.
    metric(
      'size',
      '',
      10,
      [exponential(0, -1, [1, 2], 1), exponential(0, 1, [3, 4], 2, 10), exponential(0, -1, [5], 0, 20)],
      delta,
    ),
  ];

  it.each(['hot', 'rolled', 'in two files, the later one first'])('%s', async (state) => {
    await using folder = await folderOfOwn();
    await using store = await openStore(folder.path);
    await write(store, 'metrics', [frame(1, request(resource, deltas), 11)]);
    if (state !== 'hot') await store.rollAll();
    const [lines, hits] = [
      [
        'hits_total{} 1@0 3@10 NaN@20 7@30',
        'open{} 3@0 -1@10',
        'size_bucket{le="+Inf"} 4@0 13@10 18@20',
        'size_bucket{le="1"} 2@0 4@10 9@20',
        'size_bucket{le="2"} 4@0 6@10 11@20',
        'size_bucket{le="4"} 4@0 9@10 14@20',
        'size_bucket{le="8"} 4@0 13@10 18@20',
        'size_count{} 4@0 13@10 18@20',
        'size_sum{} 12.5@0 25@10 37.5@20',
        'took_seconds_bucket{le="+Inf",route="/"} 3@0 7@10',
        'took_seconds_bucket{le="5",route="/"} 1@0 1@10',
        'took_seconds_count{route="/"} 3@0 7@10',
        'took_seconds_sum{route="/"} 3@0 5@10',
      ],
      [named('=', 'hits_total')],
    ];
    if (state === 'in two files, the later one first') {
      const earlier = metric('hits', '', 7, [numberPoint(10, {}, -10)], monotonicDelta);
      await write(store, 'metrics', [frame(2, request(resource, [earlier]), 1)]);
      await store.rollAll();
      expect(drawn(await select(store, hits))).toEqual(['hits_total{} 10@-10 11@0 13@10 NaN@20 17@30']);
    } else expect(drawn(await select(store, [named('=~', '.+')]))).toEqual(lines);
  });

  it.each([
    { state: 'hot', fromSeconds: 5 },
    { state: 'rolled', fromSeconds: 5 },
    { state: 'the earlier ones in files', fromSeconds: 5 },
    { state: 'rolled', fromSeconds: 15 },
    { state: 'the earlier ones in files', fromSeconds: 25 },
  ])('that are the same in any range: $state, from $fromSeconds s', async ({ state, fromSeconds }) => {
    await using folder = await folderOfOwn();
    await using store = await openStore(folder.path);
    // An end among the earlier points counts nothing, and a pod of its own that has ended is no part of the others.
    const ended = [metric('hits', '', 7, [numberPoint(50, { pod: 'gone' }, -50)], monotonicDelta)];
    const changed = [
      metric('hits', '', 7, [numberPoint(6, {}, 40)], monotonicDelta),
      metric('took', 's', 9, [histogram([1, 1], [5], 4, 0, 40), histogram([0, 0], [5], 0, 1, 30)], delta),
      metric('size', '', 10, [exponential(0, 3, [1], 1, 40)], delta),
    ];
    await write(store, 'metrics', [frame(1, request(resource, [...deltas, ...ended]), 11)]);
    if (state === 'the earlier ones in files') await store.rollAll();
    await write(store, 'metrics', [frame(2, request(resource, changed), 4)]);
    if (state === 'rolled') await store.rollAll();

    const whole = drawn(await select(store, [named('=~', '.+')]));
    const later = await select(store, [named('=~', '.+')], 1000, { fromSeconds });
    const cut = (line: string) => {
      const [series, ...samples] = line.split(' ');
      const kept = samples.filter((sample) => Number(sample.split('@')[1]) >= fromSeconds);
      return kept.length === 0 ? [] : [[series, ...kept].join(' ')];
    };
    expect(drawn(later)).toEqual(whole.flatMap(cut));
    expect(later.some(({ relative }) => relative)).toBe(false);
    expect(whole).toContain('hits_total{} 1@0 3@10 NaN@20 7@30 13@40');

    // For what needs no more than differences nothing before is read.
    const relative = await select(store, [named('=', 'hits_total')], 1000, { fromSeconds: 25, deltasFrom: 'range' });
    expect(drawn(relative)).toEqual(['hits_total{} 4@30 10@40']);
    expect(relative[0]!.relative).toBe(true);
  });

  it('also where a sender changes over to totals', async () => {
    await using folder = await folderOfOwn();
    await using store = await openStore(folder.path);
    const body = request(resource, [
      metric('hits', '', 7, [numberPoint(1), numberPoint(2, {}, 10)], monotonicDelta),
      metric('hits', '', 7, [numberPoint(100, {}, 20)], monotonic),
    ]);
    await write(store, 'metrics', [frame(1, body, 3)]);
    expect(drawn(await select(store, [named('=', 'hits_total')]))).toEqual(['hits_total{} 1@0 3@10 100@20']);
  });
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
