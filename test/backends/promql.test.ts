import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { promotedResourceAttributes } from '../../src/otlp/index.ts';
import { type Prometheus, startPrometheus } from '../kit/backends.ts';
import { encodeOtlp } from '../kit/otlp.ts';
import { eventually, type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { randomFrom } from '../kit/random.ts';

// The same export requests to a real Prometheus and to the embedded store, the same questions to both, the same answers.
// Both turn OTLP into series by themselves, so that names and labels are compared as well.

const stepSeconds = 15;
const steps = 240;
const end = Math.floor(Date.now() / 1000) - 60;
const start = end - steps * stepSeconds;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let prometheus: Prometheus;
let running: Running;

beforeAll(async () => {
  folder = await temporaryFolder();
  const config = join(folder.path, 'prometheus.yml');
  await writeFile(
    config,
    JSON.stringify({
      storage: { tsdb: { out_of_order_time_window: '7d' } },
      otlp: {
        keep_identifying_resource_attributes: true,
        promote_resource_attributes: promotedResourceAttributes,
      },
    }),
  );
  prometheus = await startPrometheus({ config, args: ['--enable-feature=otlp-deltatocumulative'] });
  running = await startProcess({ dataDir: join(folder.path, 'data') });
  for (const body of requests()) {
    await post(`${prometheus.url}/api/v1/otlp/v1/metrics`, body);
    await post(`${running.otlpHttp}/v1/metrics`, body);
  }
  // The last of it is queryable when everything is.
  await eventually(
    () => ask(`${running.http}/api/v1/metrics`, 'query', { query: 'last_total', time: `${end + 10}` }),
    ({ result }) => result.length > 0,
  );
});
afterAll(async () => {
  await running?.stop();
  await prometheus?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

/** Requests in order of time: counters that start again, late starts, gaps, ends, every kind of number. */
function* requests(): Generator<Uint8Array<ArrayBuffer>> {
  const random = randomFrom(20);
  const instances = ['a', 'b', 'c'].flatMap((service) =>
    [1, 2].map((instance) => ({
      service,
      instance: `${service}-${instance}`,
      totals: new Map<string, number>(),
      counts: [0, 0, 0, 0],
      sum: 0,
    })),
  );
  for (let step = 0; step <= steps; step++) {
    const resourceMetrics = instances.flatMap((from, number) => {
      // One instance comes late, one is away for longer than a selector looks back, one for less.
      if (number === 1 && step < 60) return [];
      if (number === 2 && step >= 100 && step < 130) return [];
      if (number === 3 && step >= 100 && step < 110) return [];
      // One starts again, with everything at nothing.
      if (number === 4 && step === 150) {
        from.totals.clear();
        from.counts = [0, 0, 0, 0];
        from.sum = 0;
      }
      const jitterMs = Math.floor(random() * 4000);
      const timeUnixNano = `${(start + step * stepSeconds) * 1000 + jitterMs}000000`;
      const startTimeUnixNano = `${(start - 100) * 1000}000000`;
      const point = (attributes: Record<string, string>, value: object) => ({
        attributes: Object.entries(attributes).map(([key, text]) => ({ key, value: { stringValue: text } })),
        timeUnixNano,
        startTimeUnixNano,
        ...value,
      });
      const total = (key: string, by: number): number => {
        const value = (from.totals.get(key) ?? 0) + by;
        from.totals.set(key, value);
        return value;
      };
      const requests = ['GET', 'POST'].flatMap((method) =>
        ['200', '500'].map((code) =>
          point({ 'http.method': method, code }, { asInt: `${total(`${method} ${code}`, Math.floor(random() * 20))}` }),
        ),
      );
      const observed = Array.from({ length: 5 }, () => random() * 3);
      for (const value of observed) {
        const bucket = value <= 0.5 ? 0 : value <= 1 ? 1 : value <= 2 ? 2 : 3;
        from.counts[bucket] = from.counts[bucket]! + 1;
        from.sum += value;
      }
      const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 1e-300, -1e300];
      const metrics = [
        { name: 'requests', sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: requests } },
        {
          name: 'worked',
          unit: 's',
          sum: {
            aggregationTemporality: 2,
            isMonotonic: true,
            dataPoints: [point({}, { asDouble: total('worked', random()) })],
          },
        },
        {
          name: 'temperature',
          unit: 'Cel',
          gauge: { dataPoints: ['x', 'y'].map((room) => point({ room }, { asDouble: random() * 40 - 10 })) },
        },
        { name: 'odd', gauge: { dataPoints: [point({}, { asDouble: odd[(step + number) % odd.length] })] } },
        {
          name: 'took',
          unit: 'ms',
          histogram: {
            aggregationTemporality: 2,
            dataPoints: [
              point(
                { route: '/' },
                {
                  count: `${from.counts.reduce((sum, each) => sum + each, 0)}`,
                  sum: from.sum,
                  bucketCounts: from.counts.map(String),
                  explicitBounds: [0.5, 1, 2],
                },
              ),
            ],
          },
        },
        {
          name: 'hits',
          sum: {
            aggregationTemporality: 1,
            isMonotonic: true,
            dataPoints: [point({}, { asInt: `${Math.floor(random() * 9)}` })],
          },
        },
        // Half of the instances say that the series has ended.
        {
          name: 'ending',
          gauge: { dataPoints: [point({}, step >= 200 && number % 2 === 0 ? { flags: 1 } : { asDouble: step })] },
        },
        ...(step === steps
          ? [
              {
                name: 'last',
                sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: [point({}, { asInt: '1' })] },
              },
            ]
          : []),
      ];
      const resource = {
        'service.name': from.service,
        'service.namespace': 'shop',
        'service.instance.id': from.instance,
        'k8s.pod.name': `pod-${from.instance}`,
        'host.name': 'not promoted',
      };
      return [
        {
          resource: {
            attributes: Object.entries(resource).map(([key, text]) => ({ key, value: { stringValue: text } })),
          },
          scopeMetrics: [{ scope: { name: 'test' }, metrics }],
        },
      ];
    });
    yield Uint8Array.from(encodeOtlp('metrics', { resourceMetrics }));
  }
}

async function post(url: string, body: Uint8Array<ArrayBuffer>): Promise<void> {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/x-protobuf' }, body });
  const text = await answer.text();
  expect([answer.status, text.includes('rejected')], `${url}: ${text}`).toEqual([200, false]);
}

interface Result {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}

async function ask(base: string, route: 'query' | 'query_range', parameters: Record<string, string>) {
  const answer = await fetch(`${base}/${route}?${new URLSearchParams(parameters)}`);
  const body = (await answer.json()) as {
    status: string;
    errorType?: string;
    data?: { resultType: string; result: Result[] };
  };
  return {
    status: answer.status,
    errorType: body.errorType,
    type: body.data?.resultType,
    result: body.data?.result ?? [],
  };
}

/** Series by their labels, with points as [time, value]. */
function comparable(result: readonly Result[]): [string, (readonly [number, string])[]][] {
  return result
    .map(({ metric, value, values }): [string, (readonly [number, string])[]] => [
      JSON.stringify(Object.entries(metric).sort(([a], [b]) => (a < b ? -1 : 1))),
      [...(values ?? (value === undefined ? [] : [value]))],
    ])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The same but for the order in which numbers were added up. */
function same(a: string, b: string): boolean {
  const [x, y] = [Number(a.replace('Inf', 'Infinity')), Number(b.replace('Inf', 'Infinity'))];
  return Object.is(x, y) || Math.abs(x - y) <= 1e-12 * Math.max(Math.abs(x), Math.abs(y));
}

/** Fails unless both answer the same; says how many points that were. */
async function compare(route: 'query' | 'query_range', parameters: Record<string, string>): Promise<number> {
  const [theirs, ours] = await Promise.all([
    ask(`${prometheus.url}/api/v1`, route, parameters),
    ask(`${running.http}/api/v1/metrics`, route, parameters),
  ]);
  expect({ status: ours.status, type: ours.type }).toEqual({ status: theirs.status, type: theirs.type });
  const [expected, found] = [comparable(theirs.result), comparable(ours.result)];
  expect(found.map(([labels]) => labels)).toEqual(expected.map(([labels]) => labels));
  let points = 0;
  for (const [index, [labels, values]] of expected.entries()) {
    const own = found[index]![1];
    expect([labels, own.map(([time]) => time)]).toEqual([labels, values.map(([time]) => time)]);
    const wrong = values.flatMap(([time, value], at) => (same(value, own[at]![1]) ? [] : [[time, value, own[at]![1]]]));
    expect([labels, wrong]).toEqual([labels, []]);
    points += values.length;
  }
  return points;
}

const selectors = [
  'requests_total',
  'requests_total{code="500",http_method!="GET"}',
  'requests_total{service_name=~"a|b",code!~"2.*"}',
  '{__name__=~"requests_total|worked_seconds_total"}',
  'requests_total{job="shop/c",absent=""}',
  'worked_seconds_total{k8s_pod_name=~"pod-.-1"}',
  'took_milliseconds_bucket{le="1"}',
  'took_milliseconds_sum',
  'took_milliseconds_count{route="/",host_name=""}',
];
const gauges = ['temperature_celsius', 'odd', 'ending', 'temperature_celsius{room=~".*"}', 'nothing_of_that_name'];
const ranges = ['10s', '30s', '1m', '4m', '20m'];
const aggregations = [
  'sum',
  'avg',
  'max',
  'sum by (service_name)',
  'avg by (job, code)',
  'max without (instance, k8s_pod_name)',
];

describe('answers are those of a Prometheus with the same samples', () => {
  it.each([...selectors, ...gauges])('%s', async (selector) => {
    let points = 0;
    for (const step of ['15', '7', '61', '300']) {
      points += await compare('query_range', { query: selector, start: `${start - 400}`, end: `${end + 400}`, step });
    }
    for (const time of [start - 1, start + 1000, end - 0.5])
      points += await compare('query', { query: selector, time: `${time}` });
    expect(points > 0).toBe(selector !== 'nothing_of_that_name');
  });

  it.each(selectors)('rate of %s', async (selector) => {
    let points = 0;
    for (const range of ranges) {
      // Two names in one rate become one series twice, which is refused.
      const query = `rate(${selector}[${range}])`;
      points += await compare('query_range', { query, start: `${start - 100}`, end: `${end + 100}`, step: '23' });
    }
    expect(points).toBeGreaterThan(100);
  });

  it.each(aggregations)('%s', async (aggregation) => {
    let points = 0;
    for (const inner of [
      'requests_total',
      'rate(requests_total[2m])',
      'rate(took_milliseconds_bucket[5m])',
      'temperature_celsius',
      'odd',
      'ending',
    ]) {
      const query = `${aggregation}(${inner})`;
      points += await compare('query_range', { query, start: `${start}`, end: `${end}`, step: '37' });
    }
    expect(points).toBeGreaterThan(100);
  });

  it('samples of a range', async () => {
    for (const query of ['requests_total[1m]', 'odd[5m]', 'ending[3m]']) {
      expect(await compare('query', { query, time: `${start + 3100}` })).toBeGreaterThan(10);
    }
  });

  // The window has to begin where the running total does, for which Prometheus' began with the first sample.
  it.each(ranges)('rate of deltas over %s', async (range) => {
    const query = `rate(hits_total[${range}])`;
    const points = await compare('query_range', { query, start: `${start}`, end: `${end}`, step: '15' });
    if (range !== '10s') expect(points).toBeGreaterThan(100);
  });

  it.each([
    'sum(',
    '{}',
    '{job=~".*"}',
    'rate(requests_total)',
    'requests_total[5m',
    'requests_total{code=500}',
    'sum by (1) (odd)',
  ])('what is not PromQL is refused: %s', async (query) => {
    const [theirs, ours] = await Promise.all([
      ask(`${prometheus.url}/api/v1`, 'query', { query }),
      ask(`${running.http}/api/v1/metrics`, 'query', { query }),
    ]);
    expect(ours).toEqual(theirs);
    expect(ours.status).toBe(400);
  });
});
