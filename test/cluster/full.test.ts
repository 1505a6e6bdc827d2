import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Forwarded, forward, get, startCluster } from './kit/cluster.ts';
import { deploy, itShowsWhatIsCollected, remove } from './kit/collected.ts';
import { kubectl, run } from './kit/kubernetes.ts';
import { differences, type LoadResult, startLoad } from './kit/load.ts';
import {
  imagesOf,
  install,
  left,
  namespace,
  pods,
  type Rest,
  removeNamespace,
  rest,
  uninstall,
  within,
} from './kit/release.ts';

// The chart as it is by default: two backends, Jaeger, Prometheus, Elasticsearch, collectors.

let api: Rest;
let otlp: Forwarded;

beforeAll(async () => {
  await startCluster([...(await imagesOf()), 'localhost/telemetrygen:1']);
  await install();
  await deploy();
  api = await rest();
  otlp = await forward(`${namespace}/watchingcat-backend:4317`);
}, 900_000);
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await otlp?.[Symbol.asyncDispose]();
  await remove();
  await removeNamespace(namespace);
}, 200_000);

it('has every pod of the contract running and ready', async () => {
  const all = await pods(namespace);
  const ready = all.filter(({ status }) =>
    status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
  );
  expect(ready.map(({ metadata }) => metadata.labels['app']).sort()).toEqual([
    'elasticsearch',
    'jaeger',
    'prometheus',
    'watchingcat-backend',
    'watchingcat-backend',
    'watchingcat-otel-agent',
    'watchingcat-otel-deployment',
  ]);
});

itShowsWhatIsCollected(() => api);

it('has the cluster’s events, and no other log, under their alias in Elasticsearch, as Grafana asks for them', async () => {
  await using elasticsearch = await forward(`${namespace}/elasticsearch:9200`);
  const found = async (query: string) => {
    const url = `http://${elasticsearch.address}/watchingcat-events/_search?q=${encodeURIComponent(query)}`;
    const { hits } = (await (await fetch(url)).json()) as { hits: { total: { value: number } } };
    return hits.total.value;
  };
  const ofPod =
    'k8s_event.type:Warning AND k8s_event.kind:Pod AND k8s_event.namespace:/(market)/ AND k8s_event.name:/(broken-.*)/';
  await within(
    60,
    () => found(ofPod),
    (count) => count > 0,
  );
  expect(await found('*:* NOT _exists_:k8s_event.reason')).toBe(0);
});

describe('what pods may', () => {
  it('meets Pod Security `restricted`, but for the agent, which reads files of its node', async () => {
    const { stderr } = await run('kubectl', [
      ...['label', '--dry-run=server', '--overwrite', 'namespace', namespace],
      'pod-security.kubernetes.io/enforce=restricted',
    ]);
    const named = [...stderr.matchAll(/^Warning: ([a-z0-9-]+)(?: \(and \d+ other pods?\))?: /gm)].map(
      ([, pod]) => pod!,
    );
    expect(
      named.map((name) => name.replace(/-[a-z0-9]{5}$/, '')),
      stderr,
    ).toEqual(['watchingcat-otel-agent']);
  });

  it.each(['watchingcat-otel-agent', 'watchingcat-otel-deployment', 'watchingcat-backend'])(
    'lets %s do what is in its list, and read no Secret',
    async (account) => {
      const as = `--as=system:serviceaccount:${namespace}:${account}`;
      const list = await kubectl('auth', 'can-i', '--list', '--no-headers', '-n', namespace, as);
      const lines = list
        .split('\n')
        .map((line) => line.trim().replaceAll(/\s{2,}/g, '  '))
        .filter(Boolean);
      await expect(`${lines.sort().join('\n')}\n`).toMatchFileSnapshot(`golden/can-i-${account}.txt`);
      for (const verb of ['get', 'list', 'watch']) {
        const { stdout } = await run('kubectl', ['auth', 'can-i', verb, 'secrets', '-A', as]);
        expect([verb, stdout.trim()]).toEqual([verb, 'no']);
      }
    },
  );
});

const backendPods = () => pods(namespace, 'app=watchingcat-backend');
const rolledOut = (workload: string, seconds: number) =>
  kubectl('-n', namespace, 'rollout', 'status', workload, `--timeout=${seconds}s`);
async function awayWhile(store: string, during: () => Promise<void>): Promise<void> {
  await kubectl('-n', namespace, 'scale', `deployment/${store}`, '--replicas=0');
  await kubectl('-n', namespace, 'wait', '--for=delete', 'pod', '-l', `app=${store}`, '--timeout=120s');
  try {
    await during();
  } finally {
    await kubectl('-n', namespace, 'scale', `deployment/${store}`, '--replicas=1');
    await rolledOut(`deployment/${store}`, 170);
  }
}
/** Nothing that was acknowledged is missing, and no record is there twice. */
async function expectComplete(sent: LoadResult, withinSeconds: number): Promise<void> {
  expect(sent.logs.size).toBeGreaterThan(500);
  const { twice } = await within(
    withinSeconds,
    () => differences(api, sent),
    ({ lost }) => lost.length === 0,
  );
  expect(twice).toEqual([]);
}

describe('a rolling restart under load', () => {
  it('loses nothing, shows nothing twice, refuses nobody; then both replicas work', async () => {
    const load = startLoad(otlp.address);
    await kubectl('-n', namespace, 'rollout', 'restart', 'deployment/watchingcat-backend');
    await rolledOut('deployment/watchingcat-backend', 170);
    // Connections are ended after a minute, and so go to pods that came later, too.
    await sleep(70_000);
    const before = await acceptedByPod();
    await sleep(10_000);
    const after = await acceptedByPod();
    const sent = await load.stop();
    expect(sent.failures).toEqual([]);
    await expectComplete(sent, 60);
    expect(after.length).toBe(2);
    for (const [index, count] of after.entries()) expect(count - before[index]!).toBeGreaterThan(0);
  }, 400_000);

  it('loses nothing while Elasticsearch is away: what is undelivered is handed over', async () => {
    let sent: LoadResult | undefined;
    await awayWhile('elasticsearch', async () => {
      const load = startLoad(otlp.address);
      await kubectl('-n', namespace, 'rollout', 'restart', 'deployment/watchingcat-backend');
      await rolledOut('deployment/watchingcat-backend', 300);
      sent = await load.stop();
    });
    expect(sent!.failures).toEqual([]);
    await expectComplete(sent!, 120);
  }, 600_000);

  /** Log records by gRPC that each backend has accepted, in the order of their names. */
  async function acceptedByPod(): Promise<number[]> {
    const counts: number[] = [];
    for (const { status } of [...(await backendPods())].sort((a, b) =>
      a.metadata.name.localeCompare(b.metadata.name),
    )) {
      await using pod = await forward(`${status.podIP}:8090`);
      const text = await (await fetch(`http://${pod.address}/metrics`)).text();
      counts.push(
        Number(/^watchingcat_receiver_accepted_total\{signal="logs",protocol="grpc"\} (\d+)/m.exec(text)?.[1]),
      );
    }
    return counts;
  }
});

describe('with backend.persistence.enabled', () => {
  it('delivers what a pod that was killed had not delivered', async () => {
    await install('--set', 'backend.persistence.enabled=true', '--set', 'backend.persistence.size=1Gi');
    await using front = await forward(`${namespace}/watchingcat-backend:4317`);
    let sent: LoadResult | undefined;
    await awayWhile('elasticsearch', async () => {
      const load = startLoad(front.address);
      await sleep(15_000);
      sent = await load.stop();
      const killed = 'pod/watchingcat-backend-0';
      await kubectl('-n', namespace, 'delete', killed, '--grace-period=0', '--force');
      await rolledOut('statefulset/watchingcat-backend', 120);
    });
    await expectComplete(sent!, 120);
  }, 600_000);
});

it('is changed by an upgrade: replicas, retention and the name of the cluster', async () => {
  await install(
    '--set',
    'storage.prometheus.retention=30d',
    '--set',
    'backend.replicas=3',
    '--set',
    'global.clusterName=other',
  );
  // One of before may still hand over what it had: it is no replica any more, and gone within its grace period.
  await within(120, backendPods, (running) => running.length === 3);
  const { items } = await get<{ items: { spec: { containers: { args: string[] }[] } }[] }>(
    ...(['pods', '-n', namespace, '-l', 'app=prometheus'] as const),
  );
  expect(items[0]!.spec.containers[0]!.args).toContain('--storage.tsdb.retention.time=30d');
  await within(
    60,
    () => api.ask<{ logs: unknown[] }>('/api/v1/logs', { query: 'resource.cluster.name=other', limit: '1' }),
    ({ logs }) => logs.length > 0,
  );
}, 300_000);

it('leaves its volumes and nothing else when it is uninstalled, and names them; with --volumes not even those', async () => {
  await api[Symbol.asyncDispose]();
  await otlp[Symbol.asyncDispose]();
  const said = await uninstall();
  await within(60, left, (names) => names.length === 0);
  const claims = async () =>
    (await kubectl('get', 'persistentvolumeclaims', '-A', '-o', 'name')).split('\n').filter(Boolean);
  const kept = ['data-watchingcat-backend-0', 'data-watchingcat-backend-1', 'elasticsearch-data', 'prometheus-data'];
  expect((await claims()).sort()).toEqual(kept.map((name) => `persistentvolumeclaim/${name}`));
  for (const name of kept) expect(said).toContain(name);
  await uninstall('--volumes', '--delete-namespace', '--yes');
  expect(await claims()).toEqual([]);
  expect((await run('kubectl', ['get', 'namespace', namespace])).code).toBe(1);
}, 300_000);
