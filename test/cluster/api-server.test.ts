import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/base/index.ts';
import type { ClusterView, OwnerFacts } from '../../src/enrich/kubernetes/contract.ts';
import { kubeconfigAccess, watchCluster } from '../../src/enrich/kubernetes/index.ts';
import { timing } from '../../src/enrich/kubernetes/limits.ts';
import { startTcpProxy, type TcpProxy } from '../kit/fault-proxy.ts';
import { temporaryFolder } from '../kit/process.ts';
import { KubernetesApi, resources } from './kit/kubernetes-api.ts';

// The view of a cluster, and what happens to API servers and on the way to them. In reliability's words: API server away,
// 410 Gone, slow watch, RBAC lost; the view keeps what it knows, lists anew where it must, and is right in the end.

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let api: KubernetesApi;
let proxy: TcpProxy;
let view: ClusterView;
const troubles: string[] = [];

const pods = '/api/v1/namespaces/default/pods';
const replicaSets = '/apis/apps/v1/namespaces/default/replicasets';

beforeAll(async () => {
  folder = await temporaryFolder();
  api = await KubernetesApi.start(folder.path);
  proxy = await startTcpProxy(api.port);
  await api.allow(resources);
  await api.request('POST', '/api/v1/nodes', {
    metadata: { name: 'node-1' },
    spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] },
  });
  await addReplicaSet();
  await addPod('kept', '10.244.1.7');
  await follow();
}, 180_000);
afterAll(async () => {
  await view?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
}, 60_000);
beforeEach(() => {
  troubles.length = 0;
});
// Whatever a test spoilt, the next begins with a view that is up to date.
afterEach(async () => {
  proxy.set({ kind: 'none' });
  await seen(() => view.state().status === 'synced', 'the view is up to date again', 90_000);
}, 100_000);

async function follow(): Promise<void> {
  const found = await kubeconfigAccess(await api.writeKubeconfig(proxy.port));
  if (found.kind === 'problem') throw new Error(found.message);
  view = watchCluster({
    access: found.access,
    labels: [],
    annotations: ['mark'],
    keepDeletedSeconds: 120,
    clock: systemClock,
    onTrouble: (resource, trouble) => troubles.push(`${resource}: ${trouble?.kind ?? 'well'}`),
    // The API server sends bookmarks once a minute; a test does not wait so long for silence.
    timing: { ...timing, answerMs: 3_000, watchIdleMs: 4_000, backoffMaxMs: 2_000, deniedMs: 1_000 },
  });
  await seen(() => view.state().status === 'synced', 'the first list');
}
const seen = (condition: () => boolean, what: string, timeout = 60_000) =>
  vi.waitUntil(condition, { timeout, interval: 20 }).catch(() => {
    throw new Error(`not seen: ${what}; ${JSON.stringify(view.state())}`);
  });
const knows = (name: string) => view.podByName('default', name) !== undefined;
const status = () => view.state().status;

interface Stored {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly ownerReferences?: readonly {
      readonly kind: OwnerFacts['kind'];
      readonly name: string;
      readonly uid: string;
    }[];
  };
  readonly status: { readonly podIP?: string };
}
const listed = async (path: string) => ((await api.request('GET', path)) as { items: Stored[] }).items;

/** The view has the pods that the API server has, with their addresses and owners. */
async function agree(): Promise<void> {
  const parents = await listed(replicaSets);
  const all = await listed('/api/v1/pods');
  for (const { metadata, status: told } of all) {
    const found = view.podByUid(metadata.uid);
    const [owner] = metadata.ownerReferences ?? [];
    const parent = parents.find(({ metadata: { uid } }) => uid === owner?.uid)?.metadata.ownerReferences?.[0];
    expect(found?.name).toBe(metadata.name);
    expect(found?.owners.map(({ kind, uid }) => [kind, uid])).toEqual(
      [owner, parent].flatMap((each) => (each === undefined ? [] : [[each.kind, each.uid]])),
    );
    if (told.podIP !== undefined) expect(view.podByIp(told.podIP)?.uid).toBe(metadata.uid);
  }
  expect(view.state().pods).toBe(all.length);
}

let replicaSetUid = '';
async function addReplicaSet(): Promise<void> {
  const template = {
    metadata: { labels: { app: 'web', 'pod-template-hash': '6d5f' } },
    spec: { containers: [{ name: 'app', image: 'app:1' }] },
  };
  const ownerReferences = [
    { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'deployment-uid', controller: true },
  ];
  const made = (await api.request('POST', replicaSets, {
    metadata: { name: 'web-6d5f', ownerReferences },
    spec: { replicas: 0, selector: { matchLabels: template.metadata.labels }, template },
  })) as Stored;
  replicaSetUid = made.metadata.uid;
}

/** A pod of the ReplicaSet that a node says it runs. */
async function addPod(name: string, podIP?: string): Promise<void> {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-6d5f', uid: replicaSetUid, controller: true };
  await api.request('POST', pods, {
    metadata: { name, labels: { app: 'web', 'pod-template-hash': '6d5f' }, ownerReferences: [owner] },
    spec: { nodeName: 'node-1', terminationGracePeriodSeconds: 0, containers: [{ name: 'app', image: 'app:1' }] },
  });
  if (podIP === undefined) return;
  const told = { phase: 'Running', startTime: '2026-11-25T10:00:00Z', podIP, podIPs: [{ ip: podIP }] };
  await api.request('PATCH', `${pods}/${name}/status`, { status: told });
}
const mark = (value: string) => api.request('PATCH', `${pods}/kept`, { metadata: { annotations: { mark: value } } });
const marked = () => view.podByName('default', 'kept')?.annotations['mark'];

describe('an API server', () => {
  it('tells of pods, their owners, the node, the cluster', async () => {
    await agree();
    expect(view.podByIp('10.244.1.7')).toMatchObject({ name: 'kept', namespace: 'default', nodeName: 'node-1' });
    expect(view.podByIp('10.244.1.7')?.owners).toEqual([
      { kind: 'ReplicaSet', name: 'web-6d5f', uid: replicaSetUid },
      { kind: 'Deployment', name: 'web', uid: 'deployment-uid' },
    ]);
    const node = (await api.request('GET', '/api/v1/nodes/node-1')) as Stored;
    const system = (await api.request('GET', '/api/v1/namespaces/kube-system')) as Stored;
    expect([view.nodeUid('node-1'), view.clusterUid]).toEqual([node.metadata.uid, system.metadata.uid]);
    expect([view.isPodAddress('10.244.1.99'), view.isPodAddress('10.244.2.99')]).toEqual([true, false]);
  });

  it('that is killed and comes back: what was known stays, what is new is seen', async () => {
    await api.killServer();
    await seen(() => status() === 'stale', 'that it is away');
    expect(view.podByIp('10.244.1.7')?.name).toBe('kept');
    await api.startServer();
    await addPod('after-the-kill', '10.244.1.8');
    await seen(() => view.podByIp('10.244.1.8')?.name === 'after-the-kill', 'the pod that came after it');
    await agree();
    expect(troubles).toContain('pods: well');
  });

  it('that is stopped and goes on: it is away while it says nothing', async () => {
    api.signal('SIGSTOP');
    try {
      await seen(() => status() === 'stale', 'that it is away');
      expect(view.state().lastError).toBe('pods: the API server has fallen silent');
      expect(knows('kept')).toBe(true);
    } finally {
      api.signal('SIGCONT');
    }
    await addPod('after-the-stop', '10.244.1.9');
    await seen(() => view.podByIp('10.244.1.9')?.name === 'after-the-stop', 'the pod that came after it');
    await agree();
  });

  it('that has forgotten where the view was (410): it lists anew, and misses nothing that came or went', async () => {
    await addPod('going', '10.244.1.10');
    await seen(() => view.podByIp('10.244.1.10') !== undefined, 'the pod that will go');
    const gone = view.podByIp('10.244.1.10')!;
    const { relists } = view.state();
    proxy.set({ kind: 'refuse' });
    await seen(() => status() === 'stale', 'that it is away');
    await api.request('DELETE', `${pods}/going`);
    await addPod('coming', '10.244.1.11');
    // An API server that starts knows no version before the one that it found: those are gone.
    await api.killServer();
    await api.startServer();
    proxy.set({ kind: 'none' });
    await seen(() => knows('coming'), 'the pod that came meanwhile');
    expect(view.state().relists).toBeGreaterThan(relists);
    await seen(() => status() === 'synced', 'that it is up to date');
    await agree();
    expect(view.podByUid(gone.uid)?.owners).toEqual(gone.owners);
  });

  it('that does not let the view read any more: what was known stays, until it may again', async () => {
    await api.allow([]);
    proxy.drop('reset');
    await seen(() => status() === 'denied', 'that it may not');
    expect(view.state().lastError).toMatch(
      /^pods: 403 pods is forbidden: User "watchingcat" cannot (list|watch) resource "pods"/,
    );
    expect(view.podByIp('10.244.1.7')?.name).toBe('kept');
    await addPod('unseen');
    await api.allow(resources);
    await seen(() => status() === 'synced' && knows('unseen'), 'that it may again');
    await seen(() => view.state().lastError === undefined, 'that it may read all');
    await agree();
  });

  it('that denies ReplicaSets: Deployments are known by name, and by UID when it does not any more', async () => {
    await view[Symbol.asyncDispose]();
    await api.allow(resources.filter((each) => each !== 'replicasets'));
    await vi.waitFor(follow, { timeout: 20_000 });
    const owner = () => view.podByIp('10.244.1.7')?.owners.at(-1);
    expect(owner()).toEqual({ kind: 'Deployment', name: 'web', uid: undefined });
    expect(view.state().lastError).toMatch(/^replicasets: 403 /);
    await api.allow(resources);
    await seen(() => owner()?.uid === 'deployment-uid', 'that it may again');
    await agree();
  });
});

describe('a connection', () => {
  it('on which nothing comes any more, without an end: it is given up', async () => {
    proxy.drop('silent');
    await addPod('after-the-silence');
    await seen(() => knows('after-the-silence'), 'the pod that came after it');
    await agree();
  });

  it('into nowhere: the view is stale, and goes on when there is a way again', async () => {
    proxy.set({ kind: 'blackhole' });
    await addPod('beyond-the-hole');
    await seen(() => status() === 'stale', 'that there is no way');
    expect(knows('kept')).toBe(true);
    proxy.set({ kind: 'none' });
    await seen(() => knows('beyond-the-hole'), 'the pod that came meanwhile');
    await agree();
  });

  it('that breaks again and again in the middle of lines: nothing is missed', async () => {
    proxy.set({ kind: 'reset', direction: 'back', afterBytes: 20_000 });
    for (let n = 1; n <= 100; n++) await mark(`break-${n}`);
    await seen(() => marked() === 'break-100', 'the last change');
    proxy.set({ kind: 'none' });
    await vi.waitFor(agree, { timeout: 20_000, interval: 500 });
  });

  it('that is too slow for what is told: what was known stays, and the last state is reached', async () => {
    proxy.set({ kind: 'throttle', bytesPerSecond: 5_000 });
    for (let n = 1; n <= 1_000; n++) await mark(`slow-${n}`);
    expect(view.podByIp('10.244.1.7')?.name).toBe('kept');
    proxy.set({ kind: 'none' });
    await seen(() => marked() === 'slow-1000', 'the last change');
    await vi.waitFor(agree, { timeout: 20_000, interval: 500 });
  });
});

it('a cluster that was restored from an old backup: versions begin again, and what is not there any more is not present', async () => {
  // The old history is ahead of where the new one will be, and each follower has heard of that.
  for (let n = 1; n <= 600; n++) await mark(`old-${n}`);
  await seen(() => marked() === 'old-600', 'the last change');
  await sleep(10_000);
  proxy.set({ kind: 'refuse' });
  await api.startOver();
  await api.allow(resources);
  await addReplicaSet();
  await addPod('other', '10.244.1.7');
  proxy.set({ kind: 'none' });
  await seen(
    () => {
      const pod = view.podByIp('10.244.1.7');
      return pod?.name === 'other' && pod.owners[1]?.uid === 'deployment-uid' && view.state().pods === 1;
    },
    'what there is now',
    120_000,
  );
  await agree();
}, 200_000);
