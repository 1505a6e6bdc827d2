import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  cordonOf,
  embeddedStore,
  recordedEndUnixNano,
  recordedEvents,
  recordedMetrics,
} from '../../../test/kit/kubernetes.ts';
import { Fault } from '../../base/index.ts';
import type { LogReader } from '../../stores/contract.ts';
import { createQueries, type Queries } from '../index.ts';

// On what the receivers of a real cluster sent, twice: as of two clusters.

const never = new AbortController().signal;
const hour = 3_600_000_000_000n;
const range = { startUnixNano: recordedEndUnixNano - hour, endUnixNano: recordedEndUnixNano };
const all = { range, cluster: undefined, namespace: undefined, limit: 100, cursor: undefined };
const noEvents = { type: undefined, kind: undefined, name: undefined, reason: undefined };

let store: Awaited<ReturnType<typeof embeddedStore>>;
let views: Queries['kubernetes'];
beforeAll(async () => {
  store = await embeddedStore();
  for (const cluster of ['east', 'west']) {
    await store.metrics(recordedMetrics(cluster));
    await store.logs(recordedEvents(cluster));
  }
  views = (await createQueries(store.readers)).kubernetes;
});
afterAll(() => store?.[Symbol.asyncDispose]());

describe('pods', () => {
  it.each([
    { name: 'web-6854bdcccb-glsnv', status: 'Running', restarts: 0 },
    { name: 'crasher', status: 'Error', restarts: 3 },
    { name: 'hungry', status: 'OOMKilled', restarts: 0 },
    { name: 'noimage', status: 'ImagePullBackOff', restarts: 0 },
    { name: 'once-mpwp9', status: 'Completed', restarts: 0 },
    { name: 'toobig', status: 'Pending', restarts: undefined },
  ])('$name is $status', async ({ name, status, restarts }) => {
    const { items } = await views.pods({ ...all, cluster: 'east', namespace: 'shop' }, never);
    expect(items.find((pod) => pod.name === name)).toMatchObject({ cluster: 'east', status, restarts });
  });

  it('tell use against request and limit; a limit only where every container has one', async () => {
    const { items } = await views.pods({ ...all, cluster: 'west' }, never);
    const [web, dns] = ['web', 'coredns'].map((start) => items.find(({ name }) => name.startsWith(start)));
    expect(web).toMatchObject({
      node: 'node1',
      readyContainers: 1,
      cpuCores: { usage: 0.060327486, request: 0.02, limit: 0.2 },
      memoryBytes: { usage: 1740800, request: 16777216, limit: 67108864 },
    });
    expect(dns).toMatchObject({
      cpuCores: { request: 0.02, limit: undefined },
      memoryBytes: { request: 33554432, limit: 134217728 },
    });
    // Never placed: nobody measures it, and it has no container that could restart.
    expect(items.find(({ name }) => name === 'toobig')).toMatchObject({
      node: '',
      readyContainers: undefined,
      cpuCores: { usage: undefined, request: 100, limit: 100 },
    });
  });

  it('come in pages, each once, by cluster, namespace and name', async () => {
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await views.pods({ ...all, limit: 4, cursor }, never);
      expect(page.items.length).toBeLessThanOrEqual(4);
      names.push(...page.items.map(({ cluster, namespace, name }) => `${cluster}/${namespace}/${name}`));
      cursor = page.next;
    } while (cursor !== undefined);
    expect(names).toHaveLength(18);
    expect(names).toEqual([...new Set(names)].sort());
  });

  it('are filtered by node and by status, in upper or lower case', async () => {
    const names = async (filter: { node?: string; status?: string }) =>
      (await views.pods({ ...all, cluster: 'east', namespace: 'shop', ...filter }, never)).items.map(
        ({ name }) => name,
      );
    expect(await names({ status: 'OOMKilled' })).toEqual(['hungry']);
    expect(await names({ status: 'oomkilled' })).toEqual(['hungry']);
    expect(await names({ status: 'Pending' })).toEqual(['toobig']);
    expect(await names({ node: 'node1', status: 'Pending' })).toEqual([]);
    expect(await names({ node: 'node1' })).toEqual(expect.arrayContaining(['crasher', 'hungry']));
    expect(await names({ node: 'node1' })).not.toContain('toobig');
    expect(await names({ node: 'other' })).toEqual([]);
    const first = await views.pods({ ...all, status: 'Running', limit: 1 }, never);
    const rest = await views.pods({ ...all, status: 'Running', cursor: first.next }, never);
    const running = [...first.items, ...rest.items];
    expect(running.length).toBeGreaterThan(2);
    expect([...new Set(running.map(({ status }) => status))]).toEqual(['Running']);
  });

  it('are gone five minutes after the last word of a receiver', async () => {
    const later = { startUnixNano: recordedEndUnixNano, endUnixNano: recordedEndUnixNano + 400_000_000_000n };
    expect((await views.pods({ ...all, range: later }, never)).items).toEqual([]);
  });

  it('of which only logs tell are there, and say nothing else', async () => {
    await using other = await embeddedStore();
    const resource = {
      attributes: Object.entries({ 'k8s.pod.name': 'quiet', 'k8s.namespace.name': 'shop' }).map(
        ([key, stringValue]) => ({
          key,
          value: { stringValue },
        }),
      ),
    };
    const logRecords = [{ timeUnixNano: String(recordedEndUnixNano - 5n), body: { stringValue: 'hello' } }];
    await other.logs([{ resource, scopeLogs: [{ logRecords }] }]);
    const { items } = await (await createQueries(other.readers)).kubernetes.pods(all, never);
    expect(items).toMatchObject([
      { namespace: 'shop', name: 'quiet', status: undefined, phase: undefined, restarts: undefined, containers: [] },
    ]);
  });

  it.each([
    { where: { 'k8s.cluster.name': 'east', 'k8s.namespace.name': 'other' }, shown: ['east other'] },
    { where: { 'k8s.cluster.name': 'west', 'k8s.namespace.name': 'shop' }, shown: ['west shop'] },
    // Long ago: where receivers tell of pods it is gone.
    { where: { 'k8s.namespace.name': 'shop' }, name: 'rolled-out', secondsAgo: 600n, shown: [] },
    { where: { 'k8s.namespace.name': 'shop' }, name: 'starting', shown: [' shop'] },
    { where: { 'k8s.namespace.name': 'other' }, name: 'quiet', secondsAgo: 600n, shown: [' other'] },
    { where: { 'k8s.namespace.name': 'other' }, name: 'seldom', event: true, shown: [] },
    // Not every sender names its cluster, or the namespace: it may well be the known one.
    { where: { 'k8s.namespace.name': 'shop' }, shown: [] },
    { where: { 'k8s.cluster.name': 'east' }, shown: [] },
  ])('of which only logs tell: $name $where', async ({ where, name = 'crasher', secondsAgo = 1n, event, shown }) => {
    await using other = await embeddedStore();
    await other.metrics(recordedMetrics('east'));
    const text = (of: Readonly<Record<string, string>>) =>
      Object.entries(of).map(([key, stringValue]) => ({ key, value: { stringValue } }));
    const timeUnixNano = String(recordedEndUnixNano - secondsAgo * 1_000_000_000n);
    const attributes = event ? text({ 'k8s.event.reason': 'Killing' }) : [];
    const logRecords = [{ timeUnixNano, body: { stringValue: 'hello' }, attributes }];
    const resource = { attributes: text({ ...where, 'k8s.pod.name': name }) };
    await other.logs([{ resource, scopeLogs: [{ logRecords }] }]);
    const { items } = await (await createQueries(other.readers)).kubernetes.pods(all, never);
    const silent = items.filter((pod) => pod.name === name && pod.phase === undefined);
    expect(silent.map(({ cluster, namespace }) => `${cluster} ${namespace}`)).toEqual(shown);
  });

  it('are answered without the events where no store keeps logs, and a view says what it lacks', async () => {
    const { metrics } = store.readers;
    const alone = (await createQueries({ metrics: metrics! })).kubernetes;
    expect((await alone.pods(all, never)).items).toHaveLength(18);
    await expect(alone.events({ ...all, ...noEvents }, never)).rejects.toMatchObject({ code: 'notConfigured' });
  });
});

describe('nodes', () => {
  it('have conditions, what pods ask of them, and what they offer', async () => {
    const { items } = await views.nodes({ ...all, cluster: 'east' }, never);
    expect(items).toEqual([
      {
        cluster: 'east',
        name: 'node1',
        status: 'Ready',
        unschedulable: undefined,
        conditions: [
          { type: 'Ready', status: 'True' },
          { type: 'MemoryPressure', status: 'False' },
          { type: 'DiskPressure', status: 'False' },
          { type: 'PIDPressure', status: 'False' },
        ],
        // Two of the nine have completed, one has failed, one was never placed.
        pods: { count: 5, allocatable: 110 },
        cpuCores: {
          usage: 0.131638178,
          request: expect.closeTo(0.08, 9),
          limit: expect.closeTo(0.6, 9),
          allocatable: 2,
        },
        memoryBytes: { usage: 819539968, request: 83886080, limit: 335544320, allocatable: 25066786816 },
        filesystemBytes: { usage: 41061027840, capacity: 270553174016 },
      },
    ]);
  });
});

describe('namespaces', () => {
  it('count their pods by status, and have quotas in cores and bytes', async () => {
    const { items } = await views.namespaces({ ...all, cluster: 'east', namespace: 'shop' }, never);
    expect(items).toHaveLength(1);
    expect(items[0]).toMatchObject({
      phase: 'Active',
      restarts: 3,
      pods: {
        count: 7,
        byStatus: { Completed: 2, Error: 1, ImagePullBackOff: 1, OOMKilled: 1, Pending: 1, Running: 1 },
      },
    });
    expect(items[0]!.quotas).toContainEqual({ name: 'shop-quota', resource: 'limits.cpu', used: 100.6, hard: 200 });
    expect(items[0]!.quotas).toContainEqual({ name: 'shop-quota', resource: 'pods', used: 4, hard: 20 });
  });

  // The receiver gives millicores of names that end in `.cpu`, and whole cores of the plain one.
  it.each([
    { resource: 'cpu', sent: 4, hard: 4 },
    { resource: 'requests.cpu', sent: 1500, hard: 1.5 },
    { resource: 'limits.cpu', sent: 4000, hard: 4 },
    { resource: 'memory', sent: 4096, hard: 4096 },
  ])('a quota of $sent for $resource is $hard', async ({ resource, sent, hard }) => {
    await using other = await embeddedStore();
    const text = (of: Readonly<Record<string, string>>) =>
      Object.entries(of).map(([key, stringValue]) => ({ key, value: { stringValue } }));
    const dataPoints = [
      { timeUnixNano: String(recordedEndUnixNano - 5n), asInt: String(sent), attributes: text({ resource }) },
    ];
    await other.metrics([
      {
        resource: { attributes: text({ 'k8s.namespace.name': 'shop' }) },
        scopeMetrics: [{ metrics: [{ name: 'k8s.namespace.phase', gauge: { dataPoints } }] }],
      },
      {
        resource: { attributes: text({ 'k8s.namespace.name': 'shop', 'k8s.resourcequota.name': 'quota' }) },
        scopeMetrics: [
          { metrics: [{ name: 'k8s.resource_quota.hard_limit', unit: '{resource}', gauge: { dataPoints } }] },
        ],
      },
    ]);
    const { items } = await (await createQueries(other.readers)).kubernetes.namespaces(all, never);
    expect(items[0]?.quotas).toEqual([{ name: 'quota', resource, used: undefined, hard }]);
  });

  it('without a pod tell of no use, which is not 0', async () => {
    const { items } = await views.namespaces({ ...all, cluster: 'east', namespace: 'default' }, never);
    expect(items).toMatchObject([{ pods: { count: 0 }, restarts: undefined, cpuCores: { usage: undefined } }]);
  });
});

describe('workloads', () => {
  it('tell what is wanted and what is there', async () => {
    const { items } = await views.workloads({ ...all, cluster: 'west', namespace: 'shop' }, never);
    expect(items.map(({ kind, name, desired, ready, status }) => [kind, name, desired, ready, status])).toEqual([
      ['CronJob', 'minutely', undefined, undefined, 'Healthy'],
      ['Deployment', 'web', 1, 1, 'Healthy'],
      ['Job', 'minutely-29926652', 1, 1, 'Complete'],
      ['Job', 'once', 1, 1, 'Complete'],
    ]);
  });
});

describe('events', () => {
  it('have reason, object, type and count, newest first', async () => {
    const { items } = await views.events(
      { ...all, ...noEvents, cluster: 'east', reason: 'BackOff', name: 'noimage' },
      never,
    );
    expect(items.map(({ timeUnixNano }) => timeUnixNano)).toEqual(
      items.map(({ timeUnixNano }) => timeUnixNano).toSorted((a, b) => (a < b ? 1 : -1)),
    );
    expect(items[0]).toMatchObject({
      cluster: 'east',
      namespace: 'shop',
      type: 'Normal',
      reason: 'BackOff',
      message: 'Back-off pulling image "localhost/absent:1"',
      node: 'node1',
      object: { kind: 'Pod', name: 'noimage', fieldPath: 'spec.containers{app}' },
      count: 4,
    });
  });

  it.each([
    { filter: { type: 'Warning' as const }, count: 13 },
    { filter: { type: 'Normal' as const }, count: 22 },
    { filter: { kind: 'Job' }, count: 3 },
    { filter: { kind: 'job' }, count: 3 },
    { filter: { kind: 'cronjob' }, count: 2 },
    { filter: { kind: 'Pod', reason: 'FailedScheduling' }, count: 3 },
    { filter: { namespace: 'kube-system' }, count: 0 },
  ])('are filtered by $filter', async ({ filter, count }) => {
    const { items } = await views.events({ ...all, ...noEvents, cluster: 'west', ...filter }, never);
    expect(items).toHaveLength(count);
  });

  it('of the kubelet tell which node is cordoned', async () => {
    await using other = await embeddedStore();
    await other.metrics(recordedMetrics('east'));
    const event = (name: string, reason: string, secondsAgo: bigint) => {
      const attribute = (key: string, stringValue: string) => ({ key, value: { stringValue } });
      const object = [attribute('k8s.object.kind', 'Node'), attribute('k8s.object.name', name)];
      const timeUnixNano = String(recordedEndUnixNano - secondsAgo * 1_000_000_000n);
      return {
        resource: { attributes: [...object, attribute('k8s.cluster.name', 'east')] },
        scopeLogs: [
          { logRecords: [{ timeUnixNano, severityNumber: 9, attributes: [attribute('k8s.event.reason', reason)] }] },
        ],
      };
    };
    const unschedulable = async () =>
      (await (await createQueries(other.readers)).kubernetes.nodes(all, never)).items.map((node) => node.unschedulable);
    await other.logs([event('node1', 'NodeNotSchedulable', 90_000n), event('node2', 'NodeSchedulable', 10n)]);
    expect(await unschedulable()).toEqual([true]);
    await other.logs([event('node1', 'NodeSchedulable', 60n)]);
    expect(await unschedulable()).toEqual([false]);
    // What the API server says of it, through this process's own metrics, goes before.
    await other.metrics([cordonOf('node1', 1)]);
    expect(await unschedulable()).toEqual([true]);
  });
});

describe('a view that logs add to', () => {
  /** Over the recorded metrics. @param search What the store answers. */
  const over = async (search: LogReader['search']) => {
    const { metrics, logs } = store.readers;
    const fieldValues: LogReader['fieldValues'] = async () => ({
      items: [],
      next: undefined,
      incomplete: true,
      warnings: ['stopped early'],
    });
    return (await createQueries({ metrics: metrics!, logs: { ...logs!, search, fieldValues } })).kubernetes;
  };

  it.each(['pods', 'nodes', 'namespaces'] as const)('says once what was not read: %s', async (view) => {
    const stopped = await over(async () => ({
      items: [],
      next: 'more',
      incomplete: true,
      warnings: ['stopped early'],
    }));
    const { incomplete, warnings } = await stopped[view](all, never);
    const rest = `of the events of ${view === 'nodes' ? 'nodes' : 'pods'} only the newest 1000 are read`;
    expect({ incomplete, warnings }).toEqual({ incomplete: true, warnings: ['stopped early', rest] });
  });

  it.each(['pods', 'nodes'] as const)('says once that logs cannot be asked: %s', async (view) => {
    const away = await over(() => Promise.reject(new Fault('unavailable', 'away')));
    const { warnings } = await away[view](all, never);
    expect(warnings.filter((warning) => warning.includes('away'))).toEqual(['without what logs and events tell: away']);
  });

  it('asks for cordons alone, and not where a metric tells', async () => {
    await using other = await embeddedStore();
    await other.metrics(recordedMetrics('east'));
    const asked: string[] = [];
    const search: LogReader['search'] = async ({ filter }) => {
      asked.push(JSON.stringify(filter));
      return { items: [], next: undefined, incomplete: false, warnings: [] };
    };
    const { metrics, logs } = other.readers;
    const { nodes } = (await createQueries({ metrics: metrics!, logs: { ...logs!, search } })).kubernetes;
    await nodes(all, never);
    expect(asked).toEqual([expect.stringContaining('NodeNotSchedulable')]);
    await other.metrics([cordonOf('node1', 0)]);
    expect((await nodes(all, never)).items).toMatchObject([{ unschedulable: false }]);
    expect(asked).toHaveLength(1);
  });
});

it('where the kubelets alone tell nobody knows which nodes are ready', async () => {
  await using other = await embeddedStore();
  const ofKubelets = recordedMetrics('east').filter(({ scopeMetrics }) =>
    scopeMetrics.some(({ scope }) => scope.name.endsWith('/kubeletstatsreceiver')),
  );
  await other.metrics(ofKubelets);
  const { overview } = (await createQueries(other.readers)).kubernetes;
  expect((await overview(all, never)).nodes).toEqual({ count: 1, ready: undefined });
});

it('the overview adds it up over clusters, and names pods in trouble', async () => {
  const overview = await views.overview({ range, cluster: undefined, namespace: undefined }, never);
  expect(overview).toMatchObject({
    clusters: ['east', 'west'],
    nodes: { count: 2, ready: 2 },
    pods: {
      count: 18,
      byStatus: { Completed: 4, Error: 2, ImagePullBackOff: 2, OOMKilled: 2, Pending: 2, Running: 6 },
    },
    namespaces: 10,
    workloads: { count: 10, byStatus: { Complete: 4, Healthy: 6 } },
    cpuCores: { usage: expect.closeTo(2 * 0.131638178, 9), allocatable: 4 },
    warnings: [],
  });
  expect(overview.troubles.map(({ name }) => name)).toEqual([
    'crasher',
    'crasher',
    'hungry',
    'noimage',
    'toobig',
    'hungry',
    'noimage',
    'toobig',
  ]);
});
