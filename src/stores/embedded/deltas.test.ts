import { describe, expect, it } from 'vitest';
import { folderOfOwn, frame, openStore, request, write } from './kit.ts';
import {
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
