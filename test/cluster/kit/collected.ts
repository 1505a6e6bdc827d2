import { describe, expect, it } from 'vitest';
import { metricNames } from '../../kit/metric-names.ts';
import { get } from './cluster.ts';
import { kubectl } from './kubernetes.ts';
import { pods, type Rest, within } from './release.ts';

// What the REST API shows of workloads.yaml and of the cluster, with nothing configured: the same whichever store keeps it.

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
  (await api.ask<{ logs: readonly Log[] }>('/api/v1/logs', { query })).logs;

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
      () => api().ask<{ traces: readonly { traceId: string }[] }>('/api/v1/traces', { service: 'checkout' }),
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

    it('show events of the cluster', async () => {
      await within(
        60,
        () =>
          api().ask<{ events: readonly { reason: string; object: { kind: string; name: string } }[] }>(
            '/api/v1/k8s/events',
            {
              namespace: 'market',
              type: 'Warning',
            },
          ),
        ({ events }) => events.some(({ reason, object }) => reason === 'BackOff' && object.name.startsWith('broken-')),
      );
    });

    it('show the node, namespaces, workloads and the whole', async () => {
      const nodes = await api().ask<{ nodes: unknown[] }>('/api/v1/k8s/nodes');
      expect(nodes.nodes).toMatchObject([{ cluster: 'test-cluster', name: 'node1', status: 'Ready' }]);
      const { namespaces } = await api().ask<{ namespaces: { name: string; phase: string }[] }>(
        '/api/v1/k8s/namespaces',
      );
      const market = namespaces.find(({ name }) => name === 'market');
      expect(market).toMatchObject({ phase: 'Active', pods: { count: 5 } });
      const { workloads } = await api().ask<{ workloads: { name: string }[] }>('/api/v1/k8s/workloads', {
        namespace: 'market',
      });
      const deployments = workloads.map(({ name }) => name).sort();
      expect(deployments).toEqual(['broken', 'carts', 'checkout', 'payments', 'scraped']);
      expect(await api().ask('/api/v1/k8s/overview')).toMatchObject({
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
