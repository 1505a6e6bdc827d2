import { expect, it } from 'vitest';
import { embeddedStore, recordedEndUnixNano } from '../../../test/kit/kubernetes.ts';
import { createQueries } from '../index.ts';

const podCount = 10_000;
const reasons = ['CrashLoopBackOff', 'Completed', 'ContainerCreating', 'ErrImagePull', 'Error', 'OOMKilled'];

/** What k8s_cluster and kubelet_stats send of 1,000 pods with a container each; every hundredth is in a crash loop. */
function pods(from: number, timeUnixNano: string) {
  const text = (of: Readonly<Record<string, string>>) =>
    Object.entries(of).map(([key, stringValue]) => ({ key, value: { stringValue } }));
  const gauge = (name: string, unit: string, asDouble: number) => ({
    name,
    unit,
    gauge: { dataPoints: [{ timeUnixNano, asDouble }] },
  });
  return Array.from({ length: 1_000 }, (_, index) => from + index).flatMap((pod) => {
    const attributes = {
      'k8s.namespace.name': `ns-${pod % 50}`,
      'k8s.pod.name': `pod-${String(pod).padStart(5, '0')}`,
      'k8s.node.name': `node-${pod % 300}`,
    };
    const loops = pod % 100 === 0;
    const dataPoints = reasons.map((reason, index) => ({
      timeUnixNano,
      asInt: loops && index === 0 ? 1 : 0,
      attributes: text({ 'k8s.container.status.reason': reason }),
    }));
    const ofPod = [
      gauge('k8s.pod.phase', '', 2),
      gauge('k8s.pod.cpu.usage', '{cpu}', 0.125),
      gauge('k8s.pod.memory.working_set', 'By', 1024),
    ];
    const ofContainer = [
      gauge('k8s.container.ready', '', loops ? 0 : 1),
      gauge('k8s.container.restarts', '{restart}', loops ? 7 : 0),
      gauge('k8s.container.cpu_request', '{cpu}', 0.25),
      gauge('k8s.container.cpu_limit', '{cpu}', 0.5),
      gauge('k8s.container.memory_limit', 'By', 4096),
      {
        name: 'k8s.container.status.reason',
        unit: '{container}',
        sum: { aggregationTemporality: 2, isMonotonic: false, dataPoints },
      },
    ];
    return [
      { resource: { attributes: text(attributes) }, scopeMetrics: [{ metrics: ofPod }] },
      {
        resource: { attributes: text({ ...attributes, 'k8s.container.name': 'app' }) },
        scopeMetrics: [{ metrics: ofContainer }],
      },
    ];
  });
}

it('10,000 pods are answered within what a query may take', async () => {
  await using store = await embeddedStore();
  const write = (from: number, secondsAgo: bigint) =>
    store.metrics(pods(from, String(recordedEndUnixNano - secondsAgo * 1_000_000_000n)));
  for (let from = 0; from < podCount; from += 1_000) await write(from, 60n);
  // Those that are told of again are no others.
  await write(0, 1n);
  const { kubernetes } = await createQueries(store.readers);
  const range = { startUnixNano: recordedEndUnixNano - 3_600_000_000_000n, endUnixNano: recordedEndUnixNano };
  const all = { range, cluster: undefined, namespace: undefined, limit: 1_000, cursor: undefined };
  const never = new AbortController().signal;

  const overview = await kubernetes.overview(all, never);
  const page = await kubernetes.pods(all, never);

  expect(overview.pods).toEqual({ count: podCount, byStatus: { CrashLoopBackOff: 100, Running: 9_900 } });
  expect(overview.cpuCores).toMatchObject({ usage: 1_250, request: 2_500, limit: 5_000 });
  expect(overview.namespaces).toBe(50);
  expect(overview.troubles.map(({ restarts }) => restarts)).toEqual(Array.from({ length: 20 }, () => 7));
  expect(page.items).toHaveLength(1_000);
  expect(page.items[0]).toMatchObject({ namespace: 'ns-0', name: 'pod-00000', status: 'CrashLoopBackOff' });
  expect(page.next).toBeDefined();
}, 120_000);
