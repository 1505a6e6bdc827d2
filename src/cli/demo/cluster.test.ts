import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { embeddedStore } from '../../../test/kit/kubernetes.ts';
import { metricNames } from '../../../test/kit/metric-names.ts';
import { createQueries, type Queries } from '../../query/index.ts';
import type { Sender } from '../otlp/sender.ts';
import { createDemo } from './index.ts';

// What the routes under /api/v1/k8s show of the demo's cluster.

const never = new AbortController().signal;
const nowMs = Date.UTC(2026, 0, 31, 8, 5);
const end = BigInt(nowMs) * 1_000_000n + 1n;
const range = { startUnixNano: end - 1_800_000_000_000n, endUnixNano: end };
const all = { range, cluster: undefined, namespace: undefined, limit: 1000, cursor: undefined };
const anyEvent = { ...all, type: undefined, kind: undefined, name: undefined, reason: undefined };

let store: Awaited<ReturnType<typeof embeddedStore>>;
let queries: Queries;
let views: Queries['kubernetes'];
beforeAll(async () => {
  store = await embeddedStore();
  const sender: Sender = {
    protocol: 'http/json',
    async send(_, request) {
      if ('resourceMetrics' in request) await store.metrics(request.resourceMetrics);
      if ('resourceLogs' in request) await store.logs(request.resourceLogs);
      return { rejected: 0, message: '' };
    },
    [Symbol.dispose]() {},
  };
  const senders = { traces: sender, metrics: sender, logs: sender, events: sender };
  const options = { seed: 7, nowMs: () => nowMs, backfillMs: 30 * 60_000, visitsPerSecond: 0.2, senders };
  await createDemo(options).backfill(() => undefined);
  queries = await createQueries(store.readers);
  views = queries.kubernetes;
}, 120_000);
afterAll(() => store?.[Symbol.asyncDispose]());

it('the overview is of one cluster, which is well but for one pod', async () => {
  const overview = await views.overview(all, never);
  expect(overview).toMatchObject({
    clusters: ['watchingcat-demo'],
    nodes: { count: 3, ready: 3 },
    pods: { count: 21, byStatus: { Completed: 1, CrashLoopBackOff: 1, Running: 19 } },
    namespaces: 4,
    workloads: { count: 13, byStatus: { Complete: 1, Healthy: 11, Progressing: 1 } },
    warnings: [],
  });
  expect(overview.troubles.map(({ owner, status }) => [owner?.name, status])).toEqual([
    ['recommendations', 'CrashLoopBackOff'],
  ]);
  const { usage, request, limit, allocatable } = overview.cpuCores;
  expect([usage! > 0.5, usage! < request!, request! < limit!, limit! < allocatable!]).toEqual([true, true, true, true]);
});

it('nodes are ready, offer more than is asked of them, and are not cordoned', async () => {
  const { items } = await views.nodes(all, never);
  expect(items.map(({ name }) => name)).toEqual(['node-a', 'node-b', 'node-c']);
  for (const { status, unschedulable, pods, cpuCores, memoryBytes, filesystemBytes } of items) {
    expect({ status, unschedulable }).toEqual({ status: 'Ready', unschedulable: false });
    expect(pods.count).toBeGreaterThan(3);
    expect(cpuCores.request!).toBeLessThan(cpuCores.allocatable!);
    expect(memoryBytes.usage!).toBeLessThan(memoryBytes.allocatable!);
    expect(filesystemBytes.usage!).toBeLessThan(filesystemBytes.capacity!);
  }
});

describe('pods', () => {
  it('have a status, an owner, a node and a container each', async () => {
    const { items } = await views.pods(all, never);
    for (const { name, status, owner, node, containers, restarts } of items) {
      expect([name, status, owner, node, restarts], name).not.toContain(undefined);
      expect(containers).toHaveLength(1);
    }
    expect(new Set(items.map(({ owner }) => owner?.kind))).toEqual(
      new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'CronJob']),
    );
  });

  it('that run are measured, within their limits', async () => {
    const { items } = await views.pods(all, never);
    const running = items.filter(({ status }) => status === 'Running');
    for (const { name, cpuCores, memoryBytes } of running) {
      expect(cpuCores.usage, name).toBeGreaterThan(0);
      expect(cpuCores.usage, name).toBeLessThan(cpuCores.limit ?? 4);
      expect(memoryBytes.usage, name).toBeLessThan(memoryBytes.limit ?? 2 ** 34);
    }
  });

  it('tell of the incident: not ready in it, and killed for its memory afterwards', async () => {
    const during = { startUnixNano: range.startUnixNano, endUnixNano: range.startUnixNano + 1_100_000_000_000n };
    const fraud = async (range: typeof all.range) =>
      (await views.pods({ ...all, range, namespace: 'payments' }, never)).items
        .filter(({ owner }) => owner?.name === 'fraud-check')
        .map(({ readyContainers, restarts, containers }) => [
          readyContainers,
          restarts,
          containers[0]?.lastTerminatedReason,
        ]);
    expect(await fraud(during)).toContainEqual([0, 2, 'OOMKilled']);
    expect(await fraud(range)).toContainEqual([1, 2, 'OOMKilled']);
  });
});

it('a namespace has a quota, in cores', async () => {
  const { items } = await views.namespaces(all, never);
  expect(items.map(({ name, phase }) => [name, phase])).toEqual(
    ['default', 'kube-system', 'payments', 'shop'].map((name) => [name, 'Active']),
  );
  const [payments, shop] = ['payments', 'shop'].map((name) => items.find((namespace) => namespace.name === name));
  expect(shop?.cpuCores).toMatchObject({ request: 2.05, limit: 6.55 });
  expect(payments?.quotas).toContainEqual({
    name: 'payments',
    resource: 'requests.cpu',
    used: 1.2,
    hard: 2,
  });
});

it('events are of pods, workloads and jobs, and lead to a pod that there is', async () => {
  const { items } = await views.events(anyEvent, never);
  expect(new Set(items.map(({ object }) => object.kind))).toEqual(new Set(['CronJob', 'Deployment', 'Job', 'Pod']));
  const pods = new Map((await views.pods(all, never)).items.map((pod) => [pod.name, pod]));
  const backOffs = items.filter(({ reason, object }) => reason === 'BackOff' && pods.has(object.name));
  expect(backOffs.length).toBeGreaterThan(4);
  const crashing = backOffs.filter(({ object }) => pods.get(object.name)?.status === 'CrashLoopBackOff');
  // Counted on, as the kubelet does.
  expect(crashing.map(({ count }) => count)).toEqual(crashing.map((_, index) => crashing[0]!.count - index));
  expect(pods.get(crashing[0]!.object.name)?.restarts).toBe(crashing[0]!.count);
});

it.each(metricNames)('%s answers', async (query) => {
  const answer = await queries.metricsInstant({ query, timeMs: nowMs, budgetMs: undefined }, never);
  expect('series' in answer && answer.series.length).toBeGreaterThan(0);
});
