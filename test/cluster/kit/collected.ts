import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { metricNames } from '../../kit/metric-names.ts';
import { get } from './cluster.ts';
import { kubectl } from './kubernetes.ts';
import { pods, type Rest, removeNamespace, within } from './release.ts';

// What the REST API shows of workloads.yaml, of states.yaml and of the cluster, with nothing configured: the same whichever store keeps it.

/** After the agent: what finds nobody at its endpoint may wait two minutes until it tries again. */
export async function deploy(): Promise<void> {
  for (const file of ['workloads.yaml', 'states.yaml'])
    await kubectl('apply', '-f', fileURLToPath(new URL(`../${file}`, import.meta.url)));
  const status = { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.' };
  const patch = JSON.stringify({ status });
  await kubectl('patch', 'pod', 'evicted', '-n', 'states', '--subresource=status', '--type=merge', '-p', patch);
}

export async function remove(): Promise<void> {
  await removeNamespace('market');
  await removeNamespace('states');
}

interface Summary {
  readonly node: { readonly memory: { workingSetBytes: number }; readonly cpu: { usageNanoCores: number } };
  readonly pods: readonly { readonly memory?: { workingSetBytes: number } }[];
}
interface Use {
  readonly usage: number | null;
  readonly request: number | null;
  readonly limit: number | null;
}

interface Log {
  readonly body: unknown;
  readonly attributes: Record<string, unknown>;
  readonly resource: Record<string, unknown>;
}
const logs = async (api: Rest, query: string) =>
  (
    await api.ask<{ logs: readonly Log[] }>('/api/v1/logs', {
      query: `resource.cluster.name=test-cluster AND ${query}`,
    })
  ).logs;

/** What an earlier installation could not deliver waits on the node, and is delivered by the next one: of its own cluster. */
const here = { cluster: 'test-cluster' };

/** Attributes that every resource of a pod has, whoever sent it. */
async function attributesOf(app: string, container: string): Promise<Record<string, string>> {
  const [pod] = await pods('market', `app=${app}`);
  if (pod === undefined) throw new Error(`there is no pod of ${app}`);
  const { metadata } = await get<{ metadata: { uid: string } }>('deployment', app, '-n', 'market');
  return {
    'service.name': app,
    'k8s.namespace.name': 'market',
    'k8s.pod.name': pod.metadata.name,
    'k8s.pod.uid': pod.metadata.uid,
    'k8s.node.name': pod.spec.nodeName,
    'k8s.deployment.name': app,
    'k8s.deployment.uid': metadata.uid,
    'k8s.replicaset.name': pod.metadata.name.replace(/-[a-z0-9]+$/, ''),
    'k8s.container.name': container,
    'cluster.name': 'test-cluster',
    'k8s.cluster.name': 'test-cluster',
    'cloud.region': 'test-region',
    environment: 'test',
    'deployment.environment.name': 'test',
  };
}

export function itShowsWhatIsCollected(api: () => Rest): void {
  it('shows the logs of a container that nobody set up, a stack trace as one record', async () => {
    const found = await within(
      60,
      () => logs(api(), 'resource.k8s.namespace.name=market AND resource.k8s.container.name=web AND "no stock"'),
      (records) => records.length > 0,
    );
    expect(found[0]!.body).toBe(
      'ERROR an order failed\njava.lang.IllegalStateException: no stock\n\tat market.Orders.take(Orders.java:7)',
    );
    expect(found[0]!.resource).toMatchObject(await attributesOf('scraped', 'web'));
  });

  it('shows the traces that an application sends to its node’s agent, with its pod', async () => {
    const { traces } = await within(
      60,
      () =>
        api().ask<{ traces: readonly { traceId: string }[] }>('/api/v1/traces', {
          service: 'checkout',
          query: 'resource.cluster.name=test-cluster',
        }),
      ({ traces }) => traces.length > 0,
    );
    const trace = await api().ask<{
      resourceSpans: { resource: { attributes: { key: string; value: { stringValue?: string } }[] } }[];
    }>(`/api/v1/traces/${traces[0]!.traceId}`);
    const resource = trace.resourceSpans[0]!.resource.attributes.map(({ key, value }) => [key, value.stringValue]);
    expect(Object.fromEntries(resource)).toMatchObject(await attributesOf('checkout', 'main'));
  });

  it('shows the logs that an application sends to its node’s agent, with its pod', async () => {
    const found = await within(
      60,
      () => logs(api(), 'service=payments AND body="a cart was paid"'),
      (records) => records.length > 0,
    );
    expect(found[0]!.resource).toMatchObject(await attributesOf('payments', 'main'));
  });

  it('shows the metrics that an application sends to its node’s agent, with its pod', async () => {
    const found = await within(
      60,
      () => api().metrics('carts_open'),
      (result) => result.length > 0,
    );
    const expected = Object.entries(await attributesOf('carts', 'main')).filter(([key]) => key.startsWith('k8s.'));
    const names = ['k8s.namespace.name', 'k8s.pod.name', 'k8s.node.name', 'k8s.deployment.name', 'k8s.container.name'];
    expect(found[0]!.metric).toMatchObject(
      Object.fromEntries(
        expected.filter(([key]) => names.includes(key)).map(([key, value]) => [key.replaceAll('.', '_'), value]),
      ),
    );
  });

  it('shows the metrics of a deployment that is annotated prometheus.io/scrape, with its pod', async () => {
    const found = await within(
      60,
      () => api().metrics('market_orders_total'),
      (result) => result.length > 0,
    );
    expect(found.map(({ value }) => value[1])).toEqual(['42']);
    const [pod] = await pods('market', 'app=scraped');
    expect(found[0]!.metric).toMatchObject({
      kind: 'book',
      k8s_namespace_name: 'market',
      k8s_pod_name: pod!.metadata.name,
      k8s_deployment_name: 'scraped',
    });
  });

  it('names the services, also one that sends no OTLP', async () => {
    await within(
      60,
      () => api().ask<{ services: readonly { name: string }[] }>('/api/v1/services'),
      ({ services }) => {
        const names = services.map(({ name }) => name);
        return ['scraped', 'checkout', 'carts', 'payments'].every((name) => names.includes(name));
      },
    );
  });

  describe('Kubernetes views', () => {
    it('show pods, the broken one with kubectl’s word for it, with use, request and limit', async () => {
      type PodRow = { name: string; status: string; node: string; restarts: number; memoryBytes: Use; owner: unknown };
      const ask = async () => {
        const { pods: rows } = await api().ask<{ pods: readonly PodRow[] }>('/api/v1/k8s/pods', {
          ...here,
          namespace: 'market',
        });
        return {
          rows,
          kubectl: (await kubectl('get', 'pods', '-n', 'market', '-l', 'app=broken', '--no-headers')).split(/\s+/),
        };
      };
      const { rows } = await within(90, ask, ({ rows, kubectl: [name, , status] }) => {
        const broken = rows.find((row) => row.name === name);
        const measured = rows.filter(({ memoryBytes }) => (memoryBytes.usage ?? 0) > 0);
        return broken?.status === status && status !== 'Running' && broken!.restarts > 0 && measured.length >= 4;
      });
      // For some minutes it also shows what was there before.
      const names = (await pods('market')).map(({ metadata }) => metadata.name);
      expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
      expect(rows.find(({ name }) => name.startsWith('checkout-'))).toMatchObject({
        status: 'Running',
        node: 'node1',
        restarts: 0,
        owner: { kind: 'Deployment', name: 'checkout' },
        memoryBytes: { request: 32 * 2 ** 20, limit: 128 * 2 ** 20 },
      });
    });

    it('show pods of every owner and in every state by kubectl’s word', async () => {
      type PodRow = { name: string; status: string | null; node: string; owner: { kind: string; name: string } | null };
      // No receiver tells how far init containers have come, nor whether one that failed waits already.
      const ours: Record<string, string> = { 'Init:0/1': 'Pending', 'Init:Error': 'Init:CrashLoopBackOff' };
      const short = (name: string) => name.replace(/(-[a-z0-9]{8,10})?-[a-z0-9]{5}$/, '');
      const ask = async () => {
        const { pods: rows } = await api().ask<{ pods: readonly PodRow[] }>('/api/v1/k8s/pods', {
          ...here,
          namespace: 'states',
        });
        const lines = (await kubectl('get', 'pods', '-n', 'states', '--no-headers')).split('\n').filter(Boolean);
        const told = lines.map((line) => line.split(/\s+/) as [name: string, ready: string, word: string]);
        return {
          rows,
          kubectl: told.map(([name, , word]) => `${short(name)} ${ours[word] ?? word}`),
          shown: told.map(([name]) => `${short(name)} ${rows.find((row) => row.name === name)?.status}`),
        };
      };
      const expected = [
        'done Completed',
        'evicted Evicted',
        'hungry Running',
        'imageless ErrImageNeverPull',
        'ledger-0 Running',
        'ledger-1 Running',
        'migrating Init:CrashLoopBackOff',
        'preparing Pending',
        'probe Running',
        'stumbling Running',
        'undone Error',
      ];
      const { rows } = await within(
        150,
        ask,
        ({ kubectl: told, shown }) => `${told}` === `${expected}` && `${shown}` === `${expected}`,
      );
      const row = (start: string) => rows.find(({ name }) => name.startsWith(start));
      expect(row('evicted')).toMatchObject({ node: '' });
      expect(row('ledger-0')).toMatchObject({ node: 'node1', owner: { kind: 'StatefulSet', name: 'ledger' } });
      expect(row('probe')).toMatchObject({ node: 'node1', owner: { kind: 'DaemonSet', name: 'probe' } });
      expect(row('migrating')).toMatchObject({ owner: { kind: 'Deployment', name: 'migrating' } });
      const filter = async (query: Record<string, string>) => {
        const { pods } = await api().ask<{ pods: readonly PodRow[] }>('/api/v1/k8s/pods', { ...here, ...query });
        return pods.map(({ name }) => name);
      };
      expect(await filter({ status: 'Evicted' })).toEqual(['evicted']);
      expect(await filter({ namespace: 'states', node: 'node1', status: 'Error' })).toEqual([row('undone')!.name]);
    });

    it('make no service of a pod that sends nothing: it is only measured, and events tell of it', async () => {
      const { services } = await api().ask<{ services: readonly { name: string }[] }>('/api/v1/services');
      const names = services.map(({ name }) => name);
      for (const name of ['evicted', 'imageless', 'ledger', 'preparing', 'probe']) expect(names).not.toContain(name);
      expect(names).toContain('migrating'); // it writes a line
    });

    it.each([
      ['stumbling', 'Error'],
      ['hungry', 'OOMKilled'],
    ])('show that %s runs, and why it ended before: %s', async (name, reason) => {
      type Container = { name: string; ready: boolean; restarts: number; reason: null; lastTerminatedReason: string };
      type PodRow = { name: string; status: string; containers: readonly Container[] };
      const row = await within(
        150,
        async () =>
          (
            await api().ask<{ pods: readonly PodRow[] }>('/api/v1/k8s/pods', { ...here, namespace: 'states' })
          ).pods.find((pod) => pod.name === name),
        (row) => row?.status === 'Running' && row.containers[0]?.lastTerminatedReason !== null,
      );
      const [pod] = (await pods('states')).filter(({ metadata }) => metadata.name === name);
      const [told] = pod!.status.containerStatuses;
      expect(told).toMatchObject({ restartCount: 1, lastState: { terminated: { reason } } });
      const container = { name: 'main', ready: true, restarts: 1, reason: null, lastTerminatedReason: reason };
      expect(row!.containers).toMatchObject([container]);
    });

    it('show workloads of every kind as kubectl does', async () => {
      type Row = { kind: string; name: string; desired: number; ready: number; status: string };
      const columns =
        '-o=jsonpath={range .items[*]}{.kind} {.metadata.name} {.spec.replicas}{.spec.completions}' +
        '{.status.desiredNumberScheduled} {.status.readyReplicas}{.status.succeeded}{.status.numberReady}{"\\n"}{end}';
      const kinds = 'deployments,statefulsets,daemonsets,jobs';
      const ask = async () => {
        const { workloads } = await api().ask<{ workloads: readonly Row[] }>('/api/v1/k8s/workloads', {
          ...here,
          namespace: 'states',
        });
        return {
          rows: workloads.map(({ kind, name, desired, ready }) => `${kind} ${name} ${desired} ${ready || ''}`).sort(),
          kubectl: (await kubectl('get', kinds, '-n', 'states', columns)).split('\n').filter(Boolean).sort(),
          words: Object.fromEntries(workloads.map(({ name, status }) => [name, status])),
        };
      };
      const { words } = await within(90, ask, ({ rows, kubectl: lines }) => `${rows}` === `${lines}`);
      expect(words).toEqual({
        done: 'Complete',
        ledger: 'Healthy',
        migrating: 'Progressing',
        probe: 'Healthy',
        undone: 'Failed',
      });
    });

    it('show that the node is cordoned, and that it no longer is', async () => {
      const word = async () => (await kubectl('get', 'node', 'node1', '--no-headers')).split(/\s+/)[1];
      type NodeRow = { status: string; unschedulable: boolean | null };
      const shown = async () => {
        const [node] = (await api().ask<{ nodes: readonly NodeRow[] }>('/api/v1/k8s/nodes', here)).nodes;
        return `${node?.status}${node?.unschedulable === true ? ',SchedulingDisabled' : ''}`;
      };
      try {
        await kubectl('cordon', 'node1');
        await within(90, shown, (said) => said === 'Ready,SchedulingDisabled');
        expect(await word()).toBe('Ready,SchedulingDisabled');
      } finally {
        await kubectl('uncordon', 'node1');
      }
      await within(90, shown, (said) => said === 'Ready');
      expect(await word()).toBe('Ready');
    });

    it('show events of the cluster', async () => {
      await within(
        60,
        () =>
          api().ask<{ events: readonly { reason: string; object: { kind: string; name: string } }[] }>(
            '/api/v1/k8s/events',
            {
              ...here,
              namespace: 'market',
              type: 'Warning',
            },
          ),
        ({ events }) => events.some(({ reason, object }) => reason === 'BackOff' && object.name.startsWith('broken-')),
      );
    });

    it('show the node, namespaces, workloads and the whole', async () => {
      const nodes = await api().ask<{ nodes: unknown[] }>('/api/v1/k8s/nodes', here);
      expect(nodes.nodes).toMatchObject([{ cluster: 'test-cluster', name: 'node1', status: 'Ready' }]);
      const { namespaces } = await api().ask<{ namespaces: { name: string; phase: string }[] }>(
        '/api/v1/k8s/namespaces',
        here,
      );
      const market = namespaces.find(({ name }) => name === 'market');
      expect(market).toMatchObject({ phase: 'Active', pods: { count: 5 } });
      const { workloads } = await api().ask<{ workloads: { name: string }[] }>('/api/v1/k8s/workloads', {
        ...here,
        namespace: 'market',
      });
      const deployments = workloads.map(({ name }) => name).sort();
      expect(deployments).toEqual(['broken', 'carts', 'checkout', 'payments', 'scraped']);
      expect(await api().ask('/api/v1/k8s/overview', here)).toMatchObject({
        clusters: ['test-cluster'],
        nodes: { count: 1, ready: 1 },
        troubles: expect.arrayContaining([expect.objectContaining({ namespace: 'market', ready: '0/1' })]),
      });
    });
  });

  describe('metric names that dashboards use', () => {
    it.each(metricNames)('%s answers', async (name) => {
      const found = await within(
        90,
        () => api().metrics(name),
        (result) => result.length > 0,
      );
      expect(found.every(({ value }) => Number.isFinite(Number(value[1])))).toBe(true);
    });

    it('says what the kubelet says: memory and CPU of the node, memory of its pods', async () => {
      const value = async (query: string) => Number((await api().metrics(query))[0]?.value[1]);
      const near = (share: number, found: number, expected: number) => Math.abs(found - expected) <= share * expected;
      await within(
        90,
        async () => {
          const { node, pods: measured } = await get<Summary>('--raw', '/api/v1/nodes/node1/proxy/stats/summary');
          return {
            nodeMemory: [await value('max(k8s_node_memory_working_set_bytes)'), node.memory.workingSetBytes],
            nodeCpu: [await value('max(k8s_node_cpu_usage)'), node.cpu.usageNanoCores / 1e9],
            podMemory: [
              await value('sum(pod_memory_usage_bytes)'),
              measured.reduce((total, pod) => total + (pod.memory?.workingSetBytes ?? 0), 0),
            ],
          };
        },
        // All of them move between two measurements, and processors most.
        ({ nodeMemory: [a = 0, b = 0], nodeCpu: [c = 0, d = 0], podMemory: [e = 0, f = 0] }) =>
          near(0.2, a, b) && near(0.5, c, d) && near(0.2, e, f),
      );
    });
  });
}
