import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cordonOf, embeddedStore, recordedEndUnixNano, recordedMetrics, said } from '../../test/kit/kubernetes.ts';
import type { MetricReader } from '../stores/contract.ts';
import { createQueries, type Queries } from './index.ts';
import { shippedRules } from './recording-rules.ts';

// The names of the recording rules over what the receivers of a real cluster sent.

const never = new AbortController().signal;
// Rules are evaluated each 30 s, as by Prometheus.
const timeMs = Number(recordedEndUnixNano / 1_000_000n) + 60_000;
const at = { cluster: 'east' };
const node = { ...at, node: 'node1' };
const shop = { ...at, namespace: 'shop' };

let store: Awaited<ReturnType<typeof embeddedStore>>;
let queries: Queries;
beforeAll(async () => {
  store = await embeddedStore();
  await store.metrics(recordedMetrics('east'));
  queries = await createQueries(store.readers);
});
afterAll(() => store?.[Symbol.asyncDispose]());

async function ask(query: string, time = timeMs) {
  const answer = await queries.metricsInstant({ query, timeMs: time, budgetMs: undefined }, never);
  if (!('series' in answer)) throw new Error('answered by a store');
  return answer.series.map(({ labels, values }) => ({ labels, value: values[0] }));
}

/** The last that a receiver sent. */
function last(name: string, attributes: Readonly<Record<string, string>> = {}): number {
  return said(name, attributes).at(-1) ?? Number.NaN;
}

const web = 'web-6854bdcccb-glsnv';
const podOf = (name: string, key = 'k8s.pod.name') => ({ [key]: name });

describe('each name answers with the usual labels', () => {
  it.each([
    { query: 'node_memory_usage_bytes', labels: node, value: last('system.memory.usage', { state: 'used' }) },
    { query: 'node_load_1m', labels: node, value: last('system.cpu.load_average.1m') },
    { query: 'node_load_5m', labels: node, value: last('system.cpu.load_average.5m') },
    { query: 'node_load_15m', labels: node, value: last('system.cpu.load_average.15m') },
    {
      query: 'node_disk_io_bytes{direction="write"}',
      labels: { ...node, device: 'vda', direction: 'write' },
      value: last('system.disk.io', { direction: 'write' }),
    },
    {
      query: 'node_network_io_bytes{interface="eth0",direction="receive"}',
      labels: { ...node, interface: 'eth0', direction: 'receive' },
      value: last('system.network.io', { device: 'eth0', direction: 'receive' }),
    },
    // The filesystem scraper was off: the kubelet's word.
    { query: 'node_filesystem_usage_bytes', labels: node, value: last('k8s.node.filesystem.usage') },
    {
      query: 'pod_memory_usage_bytes{pod=~"web-.+"}',
      labels: { ...shop, pod: web },
      value: last('k8s.pod.memory.working_set', podOf(web)),
    },
    {
      query: 'pod_network_io_bytes{pod="collector",direction="receive"}',
      labels: { ...at, namespace: 'kube-system', pod: 'collector', interface: 'eth0', direction: 'receive' },
      value: last('k8s.pod.network.io', { ...podOf('collector'), direction: 'receive' }),
    },
    {
      query: 'pod_cpu_utilization_ratio{namespace="shop"}',
      labels: { ...shop, pod: web },
      value: last('k8s.pod.cpu.usage', podOf(web)) / 0.2,
    },
    {
      query: 'container_cpu_usage_seconds_total{container="web"}',
      labels: { ...shop, pod: web, container: 'web' },
      value: last('container.cpu.time', podOf(web)),
    },
    {
      query: 'container_memory_working_set_bytes{container="web"}',
      labels: { ...shop, pod: web, container: 'web' },
      value: last('container.memory.working_set', podOf(web)),
    },
    {
      query: 'kube_deployment_status_replicas{namespace="shop"}',
      labels: { ...shop, deployment: 'web' },
      value: 1,
    },
    {
      query: 'kube_deployment_status_replicas_available{deployment="web"}',
      labels: { ...shop, deployment: 'web' },
      value: 1,
    },
    {
      query: 'kube_pod_status_phase{pod="noimage",phase="Pending"}',
      labels: { ...shop, pod: 'noimage', phase: 'Pending' },
      value: 1,
    },
    {
      query: 'kube_pod_status_phase{pod="noimage",phase="Running"}',
      labels: { ...shop, pod: 'noimage', phase: 'Running' },
      value: 0,
    },
    {
      query: 'kube_pod_container_status_restarts_total{pod="crasher"}',
      labels: { ...shop, pod: 'crasher', container: 'app' },
      value: last('k8s.container.restarts', podOf('crasher')),
    },
    {
      query: 'kube_node_status_condition{condition="Ready",status="true"}',
      labels: { ...node, condition: 'Ready', status: 'true' },
      value: 1,
    },
    {
      query: 'kube_node_status_condition{condition="DiskPressure",status="true"}',
      labels: { ...node, condition: 'DiskPressure', status: 'true' },
      value: 0,
    },
  ])('$query', async ({ query, labels, value }) => {
    const name = query.replace(/\{.*/, '');
    expect(await ask(query)).toEqual([{ labels: { __name__: name, ...labels }, value }]);
  });

  it('node_cpu_utilization', async () => {
    const grown = (state: Record<string, string>) => {
      const [first = [], second = []] = [0, 1].map((half) => {
        const all = said('system.cpu.time', state);
        return all.slice((half * all.length) / 2, ((half + 1) * all.length) / 2);
      });
      const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
      return sum(second) - sum(first);
    };
    const idle = grown({ state: 'idle' }) + grown({ state: 'wait' });
    const [found, ...more] = await ask('node_cpu_utilization');
    expect(more).toEqual([]);
    expect(found).toEqual({
      labels: { __name__: 'node_cpu_utilization', ...node },
      value: expect.closeTo(1 - idle / grown({}), 9),
    });
  });
});

it('a phase is one of five', async () => {
  expect(await ask('sum by (pod) (kube_pod_status_phase{namespace="shop"})')).toEqual(
    ['crasher', 'hungry', 'minutely-29926652-xkp8s', 'noimage', 'once-mpwp9', 'toobig', web]
      .sort()
      .map((pod) => ({ labels: { pod }, value: 1 })),
  );
});

it('they can be calculated with, as any other', async () => {
  const query = 'rate(container_cpu_usage_seconds_total{container="web"}[5m]) > 0';
  expect((await ask(query)).map(({ labels }) => labels)).toEqual([{ ...shop, pod: web, container: 'web' }]);
  const total = 'sum(node_memory_usage_bytes) / 2';
  expect(await ask(total)).toEqual([{ labels: {}, value: last('system.memory.usage', { state: 'used' }) / 2 }]);
});

it('a range has the values that each of its instants has', async () => {
  const steps = { startMs: timeMs - 120_000, endMs: timeMs, stepMs: 15_000 };
  const answer = await queries.metricsRange({ query: 'node_load_1m', steps, budgetMs: undefined }, never);
  if (!('length' in answer)) throw new Error('answered by a store');
  const [series] = answer;
  expect(series?.values.length).toBeGreaterThan(3);
  for (const [index, at] of series!.timestampsMs.entries()) {
    expect((await ask('node_load_1m', at)).map(({ value }) => value)).toEqual([series!.values[index]]);
  }
});

it('are listed, with how many series they have, and said to be recorded', async () => {
  const range = { startUnixNano: recordedEndUnixNano - 3_600_000_000_000n, endUnixNano: BigInt(timeMs) * 1_000_000n };
  const { items } = await queries.metrics({ range, limit: 1000 }, never);
  const recorded = items.filter((metric) => metric.recorded);
  const promised = new Set(shippedRules().map(({ name }) => name));
  // Only where a backend tells of it. The other is a receiver's own name, too.
  promised.delete('kube_node_spec_unschedulable');
  promised.delete('container_memory_working_set_bytes');
  expect(recorded.map(({ name }) => name)).toEqual([...promised].sort());
  expect(recorded.find(({ name }) => name === 'kube_pod_status_phase')).toEqual({
    name: 'kube_pod_status_phase',
    type: 'gauge',
    unit: '',
    description: 'Recorded from k8s_pod_phase',
    seriesCount: 9 * 5,
    recorded: true,
  });
});

it('whether a node takes no new pods is told by each backend that may ask the API server', async () => {
  await using other = await embeddedStore();
  const attribute = (key: string, stringValue: string) => ({ key, value: { stringValue } });
  // As scraped of two replicas, on another node.
  const told = (replica: string, value: number) => ({
    resource: { attributes: [attribute('k8s.cluster.name', 'east'), attribute('service.instance.id', replica)] },
    scopeMetrics: [
      {
        metrics: [
          {
            name: 'watchingcat_kubernetes_node_unschedulable',
            gauge: {
              dataPoints: [
                {
                  timeUnixNano: String(recordedEndUnixNano),
                  asDouble: value,
                  attributes: [attribute('node', 'node1')],
                },
              ],
            },
          },
        ],
      },
    ],
  });
  await other.metrics([told('a', 1), told('b', 1)]);
  const answer = await (await createQueries(other.readers)).metricsInstant(
    { query: 'kube_node_spec_unschedulable', timeMs, budgetMs: undefined },
    never,
  );
  expect('series' in answer && answer.series.map(({ labels, values }) => ({ labels, values: [...values] }))).toEqual([
    { labels: { __name__: 'kube_node_spec_unschedulable', ...node }, values: [1] },
  ]);
});

it('which node is cordoned is told by our own metric, scraped', async () => {
  await using other = await embeddedStore();
  await other.metrics([cordonOf('node1', 1), cordonOf('node2', 0)]);
  const { metricsInstant } = await createQueries(other.readers);
  const answer = await metricsInstant({ query: 'kube_node_spec_unschedulable', timeMs, budgetMs: undefined }, never);
  if (!('series' in answer)) throw new Error('answered by a store');
  expect(answer.series.map(({ labels, values }) => [labels, values[0]])).toEqual([
    [{ __name__: 'kube_node_spec_unschedulable', cluster: 'east', node: 'node1' }, 1],
    [{ __name__: 'kube_node_spec_unschedulable', cluster: 'east', node: 'node2' }, 0],
  ]);
});

it('what is not collected is absent, not 0', async () => {
  expect(await ask('kube_node_spec_unschedulable')).toEqual([]);
  expect(await ask('kube_node_status_condition{condition="NetworkUnavailable"}')).toEqual([]);
});

it('the series that several rules of a name are made of are read once', async () => {
  const metrics = store.readers.metrics!;
  const read: string[] = [];
  const counted: MetricReader = {
    services: (range, cancel) => metrics.services(range, cancel),
    metrics: (search, cancel) => metrics.metrics(search, cancel),
    latest: (select, cancel) => metrics.latest(select, cancel),
    select(select, cancel) {
      read.push(select.matchers.find(({ name }) => name === '__name__')?.value ?? '');
      return metrics.select(select, cancel);
    },
  };
  const { metricsInstant } = await createQueries({ metrics: counted });
  const answer = await metricsInstant({ query: 'kube_pod_status_phase', timeMs, budgetMs: undefined }, never);
  expect('series' in answer && answer.series).toHaveLength(9 * 5);
  expect(read).toEqual(['kube_pod_status_phase', 'k8s_pod_phase']);
});

it('a store with an engine of its own is asked once a minute whether it has loaded the rules', async () => {
  const metrics = store.readers.metrics!;
  const asked: { query: string; timeMs: number }[] = [];
  let result: readonly object[] = [];
  const ask = (search: { query: string; timeMs: number }) => {
    asked.push(search);
    return Promise.resolve({ json: Buffer.from(JSON.stringify({ status: 'success', data: { result } })) });
  };
  const { metricsInstant } = await createQueries({
    metrics: {
      services: (range, cancel) => metrics.services(range, cancel),
      metrics: (search, cancel) => metrics.metrics(search, cancel),
      latest: (select, cancel) => metrics.latest(select, cancel),
      select: (select, cancel) => metrics.select(select, cancel),
      promqlInstant: ask,
    },
  });
  const minute = Math.floor(timeMs / 60_000) * 60_000;
  const whose = async (at: number) =>
    'series' in (await metricsInstant({ query: 'node_load_1m', timeMs: at, budgetMs: undefined }, never))
      ? 'ours'
      : 'its';
  expect([await whose(minute), await whose(minute + 30_000), await whose(minute + 59_999)]).toEqual([
    'ours',
    'ours',
    'ours',
  ]);
  expect(asked.map((search) => search.timeMs)).toEqual([minute]);
  // It has loaded them: the next minute goes there, after one more question.
  result = [{ metric: {}, value: [0, '1'] }];
  expect([await whose(minute + 60_000), await whose(minute + 90_000)]).toEqual(['its', 'its']);
  expect(asked.filter(({ query }) => query.startsWith('count('))).toHaveLength(2);
  expect(asked.filter(({ query }) => query === 'node_load_1m')).toHaveLength(2);
});
