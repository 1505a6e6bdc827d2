import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Batch } from '../../src/base/index.ts';
import { promotedResourceAttributes, type translationStrategies } from '../../src/otlp/index.ts';
import type { Store } from '../../src/stores/contract.ts';
import { openPrometheusStore } from '../../src/stores/prometheus/index.ts';
import { type Prometheus, startPrometheus } from '../kit/backends.ts';
import { encodeOtlp } from '../kit/otlp.ts';
import { temporaryFolder } from '../kit/process.ts';
import { exemplarsIn, samplesIn } from '../kit/prometheus-query.ts';
import { attributes, frame, resource, type Values } from '../stores/contract/given.ts';

// The same OTLP to a Prometheus by its own OTLP endpoint and to another through this store: both must hold the same series,
// labels, values, native histograms and exemplars. Known differences, none of which a case here touches:
// - Prometheus ignores `zero_threshold` of exponential histograms; the store passes it on.
// - Prometheus drops a whole request for one point that it cannot translate; the store refuses that point.
// - A point without a time is one of 1970 to Prometheus; here it has the time when it was received.

const ms = 1_000_000n;
/** A whole minute, half an hour ago. */
const start = (BigInt(Date.now()) / 60_000n - 30n) * 60_000n * ms;

/** Points a second apart at most. */
const at = (seconds: number) => ({
  timeUnixNano: String(start + BigInt(Math.round(seconds * 1000)) * ms + 123_456n),
  startTimeUnixNano: String(start - 60_000n * ms),
});

interface Setting {
  readonly strategy: (typeof translationStrategies)[number];
  readonly scope: boolean;
  readonly keep: boolean;
  readonly nhcb: boolean;
  readonly protocol: '1.0' | '2.0';
}

const settings: Setting[] = [
  { strategy: 'UnderscoreEscapingWithSuffixes', scope: false, keep: false, nhcb: false, protocol: '2.0' },
  { strategy: 'UnderscoreEscapingWithoutSuffixes', scope: true, keep: true, nhcb: false, protocol: '1.0' },
  { strategy: 'NoUTF8EscapingWithSuffixes', scope: true, keep: false, nhcb: true, protocol: '2.0' },
  { strategy: 'NoTranslation', scope: false, keep: true, nhcb: true, protocol: '1.0' },
];

const number = (value: number | bigint, values: Values = {}, seconds = 0, more: object = {}) => ({
  ...at(seconds),
  ...(typeof value === 'bigint' ? { asInt: String(value) } : { asDouble: value }),
  attributes: attributes(values),
  ...more,
});
const exemplar = (value: number, seconds: number, values: Values = {}, traced = true) => ({
  timeUnixNano: at(seconds).timeUnixNano,
  asDouble: value,
  filteredAttributes: attributes(values),
  ...(traced ? { traceId: Buffer.alloc(16, 0xab), spanId: Buffer.alloc(8, 0xcd) } : {}),
});
const gauge = (name: string, unit: string, ...dataPoints: object[]) => ({ name, unit, gauge: { dataPoints } });
const sum = (name: string, unit: string, isMonotonic: boolean, ...dataPoints: object[]) => ({
  name,
  unit,
  sum: { isMonotonic, aggregationTemporality: 2, dataPoints },
});
const histogram = (name: string, unit: string, ...dataPoints: object[]) => ({
  name,
  unit,
  histogram: { aggregationTemporality: 2, dataPoints },
});
const exponential = (name: string, ...dataPoints: object[]) => ({
  name,
  unit: 's',
  exponentialHistogram: { aggregationTemporality: 2, dataPoints },
});
const buckets = (bucketCounts: number[], explicitBounds: number[], more: object = {}, values: Values = {}) => ({
  ...at(0),
  count: String(bucketCounts.reduce((all, each) => all + each, 0)),
  sum: 12.5,
  bucketCounts: bucketCounts.map(String),
  explicitBounds,
  attributes: attributes(values),
  ...more,
});
const stale = { flags: 1 };

const cases: {
  name: string;
  of?: Values;
  scope?: object;
  only?: (setting: Setting) => boolean;
  metrics: object[];
}[] = [
  {
    name: 'numbers and their names',
    metrics: [
      gauge('cpu.usage', '1', number(0.5, { core: 1n }), number(-0, { core: 2n }), number(Number.NaN, { core: 3n })),
      gauge('temp', 'Cel', number(Number.POSITIVE_INFINITY), number(2n ** 62n + 1n, { big: true })),
      sum('requests', '', true, number(10n), number(11n, {}, 1), number(12n, {}, 2)),
      sum('requests.total', 'By/s', true, number(1)),
      sum('active', '{request}', false, number(-3n)),
      sum('io', 'KiBy', true, number(5)),
      gauge('9lives', 'm/min', number(1)),
      gauge('weird name!! ünï', 'unit/with/slashes', number(1)),
      gauge('a:b', '%', number(1)),
    ],
  },
  {
    name: 'labels',
    of: { 'service.name': 'labels', 'service.namespace': 'shop', 'service.instance.id': 'l-1', region: 'eu' },
    metrics: [
      gauge(
        'labelled',
        '',
        number(1, { 'http.method': 'GET', http_method: 'POST', 'http-method': 'PUT' }),
        number(2, { _private: 'x', '9th': 'y', __reserved: 'z', 'ключ.a': 'w' }),
        number(3, { job: 'mine', instance: 'mine', 'service.name': 'mine', le: '1' }),
        number(4, {
          empty: '',
          t: true,
          i: -5n,
          f: 1.5,
          f2: 1e21,
          f3: 1e-7,
          list: [1n, 'a', true],
          map: { b: 1n, a: { c: 'x<&>' } },
        }),
        number(5, { bytes: Buffer.from([1, 2, 255]), none: undefined }),
        number(6, { __name__: 'other', quantile: '0.5' }),
      ),
    ],
  },
  {
    name: 'all promoted attributes',
    of: {
      ...Object.fromEntries(promotedResourceAttributes.map((key) => [key, `of ${key}`])),
      'k8s.pod.uid': 'u',
      'host.name': 'h',
    },
    metrics: [gauge('promoted', '', number(1), number(2, { 'k8s.pod.name': 'own' }))],
  },
  { name: 'nobody', of: { 'host.name': 'h' }, metrics: [gauge('of.nobody', '', number(1))] },
  { name: 'identity alone', of: { 'service.name': 'alone' }, metrics: [gauge('of.alone', '', number(1))] },
  {
    name: 'a scope with attributes',
    scope: { name: 'lib', version: '1.2', attributes: attributes({ 'lib.kind': 'test', 'http-x': 1n }) },
    metrics: [gauge('scoped', '', number(1, { otel_scope_name: 'mine' }))],
  },
  {
    name: 'target_info over time',
    of: { 'service.name': 'long', zone: 'a' },
    metrics: [gauge('long', '', number(1, {}, 0), number(2, {}, 400), number(3, {}, 151))],
  },
  {
    name: 'explicit histograms',
    metrics: [
      histogram('duration', 'ms', buckets([1, 2, 0, 4], [0.1, 1, 1e21])),
      histogram('duration.small', 's', buckets([0, 2, 3], [1e-7, 2.5]), buckets([1, 1, 1], [5, 10], {}, { a: 'b' })),
      histogram('without.sum', 's', buckets([1, 2], [1], { sum: undefined })),
      histogram('negative', 's', buckets([1, 2, 3], [-1, 0], { sum: -4 })),
      histogram('stale.histogram', 's', buckets([1, 2], [1]), buckets([1, 2], [1], { ...at(5), ...stale })),
    ],
  },
  {
    name: 'a histogram without buckets',
    // Prometheus refuses to make a native one of it.
    only: ({ nhcb }) => !nhcb,
    metrics: [histogram('without.buckets', 's', { ...at(0), count: '7', sum: 3, attributes: [] })],
  },
  {
    name: 'exemplars',
    metrics: [
      sum(
        'with.exemplars',
        '',
        true,
        number(5, {}, 0, { exemplars: [exemplar(1, 0.1), exemplar(2, 0.2, { user: 'u' })] }),
      ),
      histogram(
        'duration.exemplars',
        's',
        buckets([1, 1, 1], [1, 10], {
          exemplars: [exemplar(0.5, 0.1), exemplar(5, 0.2, { 'a.b': 1n }), exemplar(50, 0.3, {}, false)],
        }),
      ),
      sum('long.exemplar', '', true, number(5, {}, 0, { exemplars: [exemplar(1, 0.1, { text: 'x'.repeat(100) })] })),
      sum('own.trace', '', true, number(5, {}, 0, { exemplars: [exemplar(1, 0.1, { trace_id: 'mine', z: 'z' })] })),
    ],
  },
  {
    name: 'exponential histograms',
    metrics: [
      exponential('exp', {
        ...at(0),
        count: '10',
        sum: 20,
        scale: 3,
        zeroCount: '1',
        positive: { offset: -2, bucketCounts: ['1', '0', '0', '0', '0', '3', '2'] },
        negative: { offset: 4, bucketCounts: ['3'] },
        attributes: attributes({ a: 'b' }),
      }),
      exponential('exp.fine', {
        ...at(0),
        count: '7',
        sum: 7,
        scale: 12,
        zeroCount: '0',
        positive: {
          offset: -37,
          bucketCounts: Array.from({ length: 70 }, (_, index) => (index % 10 === 0 ? '1' : '0')),
        },
      }),
      exponential('exp.coarse', {
        ...at(0),
        count: '2',
        sum: 7,
        scale: -4,
        positive: { offset: 0, bucketCounts: ['2'] },
      }),
      exponential('exp.empty', { ...at(0), count: '0', sum: 0, scale: 0 }),
      exponential('exp.zero', { ...at(0), count: '4', sum: 0, scale: 5, zeroCount: '4' }),
      exponential('exp.no.sum', { ...at(0), count: '1', scale: 5, positive: { offset: 1000, bucketCounts: ['1'] } }),
    ],
  },
  {
    name: 'summaries',
    metrics: [
      {
        name: 'latency',
        unit: 's',
        summary: {
          dataPoints: [
            {
              ...at(0),
              count: '5',
              sum: 2.5,
              quantileValues: [
                { quantile: 0, value: 0.1 },
                { quantile: 0.5, value: 0.2 },
                { quantile: 0.999, value: 1 },
                { quantile: 1, value: 2 },
              ],
              attributes: attributes({ q: 'x' }),
            },
          ],
        },
      },
    ],
  },
  { name: 'the end of a series', metrics: [gauge('ends', '', number(1), number(0, {}, 5, stale))] },
];

describe.each(settings)(
  '$strategy, remote write $protocol, scope $scope, keep $keep, custom buckets $nhcb',
  (setting) => {
    let theirs: Prometheus;
    let ours: Prometheus;
    let store: Store;
    let folder: Awaited<ReturnType<typeof temporaryFolder>>;
    let seq = 0;

    beforeAll(async () => {
      folder = await temporaryFolder();
      const config = join(folder.path, 'prometheus.yml');
      await writeFile(config, configuration(setting));
      [theirs, ours] = [await startPrometheus({ config }), await startPrometheus({ config })];
      store = openPrometheusStore({
        remoteWriteUrl: ours.remoteWriteUrl,
        folder: join(folder.path, 'store'),
        access: { headers: {}, tls: undefined },
        version: '0',
        translationStrategy: setting.strategy,
        promoteScopeMetadata: setting.scope,
        keepIdentifyingResourceAttributes: setting.keep,
        convertHistogramsToNhcb: setting.nhcb,
        protocol: setting.protocol,
      });
    });
    afterAll(async () => {
      await store?.[Symbol.asyncDispose]();
      await theirs?.[Symbol.asyncDispose]();
      await ours?.[Symbol.asyncDispose]();
      await folder?.[Symbol.asyncDispose]();
    });

    async function send(body: Uint8Array, records: number): Promise<void> {
      const answer = await fetch(`${theirs.url}/api/v1/otlp/v1/metrics`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-protobuf' },
        body,
      });
      expect([answer.status, await answer.text()]).toEqual([200, '']);
      const frames = [frame(++seq, body, records, BigInt(Date.now()) * ms)];
      const batch: Batch = { signal: 'metrics', logId: 'd1'.repeat(16), frames, records, sizeBytes: body.length };
      expect(await store.destination!.write(batch, new AbortController().signal)).toEqual({
        kind: 'settled',
        refused: [],
      });
    }

    it.each(cases.filter(({ only }) => only?.(setting) !== false))(
      '$name',
      async ({ of = { 'service.name': 'case' }, scope = { name: 'lib' }, metrics }) => {
        const body = encodeOtlp('metrics', {
          resourceMetrics: [{ resource: resource(of), scopeMetrics: [{ scope, metrics }] }],
        });
        await send(body, metrics.length);
        const selector = '{__name__=~".+"}';
        expect(await samplesIn(ours.url, selector)).toEqual(await samplesIn(theirs.url, selector));
        expect(await exemplarsIn(ours.url, selector)).toEqual(await exemplarsIn(theirs.url, selector));
      },
    );

    it('whatever exponential histogram', async () => {
      let turn = 0;
      const counts = fc.array(fc.oneof(fc.constant(0), fc.nat(5)), { maxLength: 40 });
      await fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.record({
              scale: fc.integer({ min: -4, max: 20 }),
              zero: fc.nat(3),
              positive: counts,
              negative: counts,
              positiveOffset: fc.integer({ min: -500, max: 500 }),
              negativeOffset: fc.integer({ min: -500, max: 500 }),
            }),
            { minLength: 1, maxLength: 20 },
          ),
          async (points) => {
            turn++;
            const dataPoints = points.map((point, index) => ({
              ...at(0),
              scale: point.scale,
              zeroCount: String(point.zero),
              count: String([point.zero, ...point.positive, ...point.negative].reduce((all, each) => all + each, 0)),
              sum: 1,
              positive: { offset: point.positiveOffset, bucketCounts: point.positive.map(String) },
              negative: { offset: point.negativeOffset, bucketCounts: point.negative.map(String) },
              attributes: attributes({ turn: BigInt(turn), index: BigInt(index) }),
            }));
            const metrics = [exponential('any', ...dataPoints)];
            await send(
              encodeOtlp('metrics', {
                resourceMetrics: [{ resource: resource({ 'service.name': 'any' }), scopeMetrics: [{ metrics }] }],
              }),
              points.length,
            );
            const selector = `{turn="${turn}"}`;
            const right = await samplesIn(theirs.url, selector);
            expect(right.size).toBe(points.length);
            expect(await samplesIn(ours.url, selector)).toEqual(right);
          },
        ),
        { numRuns: 30 },
      );
    });
  },
);

function configuration({ strategy, scope, keep, nhcb }: Setting): string {
  return `
storage:
  tsdb: { out_of_order_time_window: 7d }
  exemplars: { max_exemplars: 100000 }
otlp:
  translation_strategy: ${strategy}
  promote_scope_metadata: ${scope}
  keep_identifying_resource_attributes: ${keep}
  convert_histograms_to_nhcb: ${nhcb}
  promote_resource_attributes: [${promotedResourceAttributes.join(', ')}]
`;
}
