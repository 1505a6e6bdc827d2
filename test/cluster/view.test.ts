import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { systemClock } from '../../src/base/index.ts';
import type { ClusterView, OwnerFacts, PodFacts } from '../../src/enrich/kubernetes/contract.ts';
import { kubeconfigAccess, watchCluster } from '../../src/enrich/kubernetes/index.ts';
import { temporaryFolder } from '../kit/process.ts';
import { get, startCluster } from './kit/cluster.ts';
import { kubeconfig, kubectl } from './kit/kubernetes.ts';

// The view of a cluster in which pods really run: it knows what kubectl knows. What happens to API servers and on the way to
// them is in api-server.test.ts.

const namespace = 'view';
const account = 'watchingcat-view';
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let view: ClusterView;

beforeAll(async () => {
  await startCluster([]);
  folder = await temporaryFolder();
  await kubectl('apply', '-f', join(import.meta.dirname, 'view.yaml'));
  await within('create', 'job', 'backup-now', '--from=cronjob/backup');
  await within('wait', '--for=condition=complete', 'job/backup-now', '--timeout=90s');
  await within('wait', '--for=condition=ready', 'pod/alone', 'pod/db-0', '--timeout=90s');
  for (const each of ['deployment/web', 'daemonset/agent']) await within('rollout', 'status', each, '--timeout=90s');
  view = await follow();
}, 400_000);
afterAll(async () => {
  await view?.[Symbol.asyncDispose]();
  await kubectl('delete', 'namespace', namespace, '--ignore-not-found', '--timeout=120s');
  await kubectl('delete', '--ignore-not-found', `clusterrole/${account}`, `clusterrolebinding/${account}`);
  await folder?.[Symbol.asyncDispose]();
}, 200_000);

const within = (...args: readonly string[]) => kubectl('-n', namespace, ...args);

/** As a service account with the rights that the documentation asks for, and no more. */
async function follow(): Promise<ClusterView> {
  const admin = parse(await readFile(kubeconfig, 'utf8')) as { clusters: { cluster: object }[] };
  await writeFile(join(folder.path, 'token'), await within('create', 'token', account));
  const path = join(folder.path, 'kubeconfig');
  const config = {
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: admin.clusters[0]!.cluster }],
    users: [{ name: 'u', user: { tokenFile: 'token' } }],
  };
  await writeFile(path, JSON.stringify(config));
  const found = await kubeconfigAccess(path);
  if (found.kind === 'problem') throw new Error(found.message);
  const { access } = found;
  const followed = watchCluster({
    access,
    labels: ['team'],
    annotations: [],
    keepDeletedSeconds: 120,
    clock: systemClock,
  });
  await vi.waitUntil(() => followed.state().status === 'synced' && followed.clusterUid !== undefined, {
    timeout: 30_000,
  });
  return followed;
}

interface Owned {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly {
      readonly kind: OwnerFacts['kind'];
      readonly name: string;
      readonly uid: string;
    }[];
  };
}
interface Pod extends Owned {
  readonly spec: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly containers: readonly { name: string }[];
  };
  readonly status: {
    readonly startTime?: string;
    readonly podIP?: string;
    readonly containerStatuses?: readonly { readonly name: string; readonly containerID?: string }[];
  };
}
const podsOf = async (...args: readonly string[]) => (await get<{ items: Pod[] }>('pods', ...args)).items;

/** What kubectl says of pods, in the view's words, but for what of images and labels was kept. */
async function toldByKubectl(): Promise<object[]> {
  const owners = [
    ...(await get<{ items: Owned[] }>('replicasets', '-A')).items,
    ...(await get<{ items: Owned[] }>('jobs', '-A')).items,
  ];
  const up = (object: Owned | undefined): OwnerFacts[] =>
    (object?.metadata.ownerReferences ?? []).flatMap(({ kind, name, uid }) => [
      { kind, name, uid },
      ...up(owners.find((each) => each.metadata.uid === uid)),
    ]);
  return (await podsOf('-A'))
    .map((pod) => ({
      uid: pod.metadata.uid,
      name: pod.metadata.name,
      namespace: pod.metadata.namespace,
      nodeName: pod.spec.nodeName,
      hostNetwork: pod.spec.hostNetwork ?? false,
      podIp: pod.status.podIP,
      startTime: pod.status.startTime,
      owners: up(pod),
      containers: pod.spec.containers.map(({ name }) => [
        name,
        pod.status.containerStatuses?.find((each) => each.name === name)?.containerID?.replace('containerd://', ''),
      ]),
    }))
    .sort(byUid);
}
function toldByView(uids: readonly string[]): object[] {
  return uids
    .map((uid) => view.podByUid(uid))
    .filter((pod): pod is PodFacts => pod !== undefined)
    .map(({ labels: _, annotations: _a, containers, ...pod }) => ({
      ...pod,
      containers: containers.filter(({ kind }) => kind === 'app').map(({ name, id }) => [name, id]),
    }))
    .sort(byUid);
}
const byUid = (a: { uid: string }, b: { uid: string }) => (a.uid < b.uid ? -1 : 1);

async function agree(): Promise<void> {
  const told = (await toldByKubectl()) as { uid: string }[];
  expect(toldByView(told.map(({ uid }) => uid))).toEqual(told);
  expect(view.state().pods).toBe(told.length);
}

it('knows of each pod what kubectl knows', async () => {
  await vi.waitFor(agree, { timeout: 20_000, interval: 500 });
  const kinds = (await toldByKubectl()).flatMap((pod) =>
    (pod as { owners: OwnerFacts[] }).owners.map(({ kind }) => kind),
  );
  expect([...new Set(kinds)].sort()).toEqual([
    'CronJob',
    'DaemonSet',
    'Deployment',
    'Job',
    'ReplicaSet',
    'StatefulSet',
  ]);
});

it('knows images, labels and annotations', async () => {
  const [pod] = await podsOf('-n', namespace, '-l', 'app=web');
  expect(view.podByUid(pod!.metadata.uid)).toMatchObject({
    labels: { app: 'web', team: 'checkout' },
    annotations: { 'resource.opentelemetry.io/service.name': 'till' },
    containers: [
      { name: 'app', kind: 'app', imageName: 'localhost/busybox', imageTag: '1' },
      { name: 'side', kind: 'app' },
      { name: 'prepare', kind: 'init' },
    ],
  });
});

it('knows whose address is whose, and what is a pod’s', async () => {
  for (const { metadata, spec, status } of await podsOf('-A')) {
    if (status.podIP === undefined) continue;
    expect(view.podByUid(metadata.uid)?.podIp).toBe(status.podIP);
    const found = view.podByIp(status.podIP);
    if (spec.hostNetwork === true) {
      expect(found).toBeUndefined();
      expect(view.isPodAddress(status.podIP)).toBe(false);
      continue;
    }
    expect(view.isPodAddress(status.podIP)).toBe(true);
    // That of the Job's pod may be another's by now.
    if (!metadata.name.startsWith('backup-now')) expect(found?.uid).toBe(metadata.uid);
  }
  expect(view.isPodAddress('172.30.0.2')).toBe(false);
  expect(view.isPodAddress('8.8.8.8')).toBe(false);
});

it('knows the node and the cluster', async () => {
  const node = await get<Owned>('node', 'node1');
  const system = await get<Owned>('namespace', 'kube-system');
  expect(view.nodeUid('node1')).toBe(node.metadata.uid);
  expect(view.clusterUid).toBe(system.metadata.uid);
});

it('follows a rollout, and remembers those that went', async () => {
  const before = await podsOf('-n', namespace, '-l', 'app=web');
  const told: string[] = [];
  const stop = view.onPod(({ name }, addresses) => told.push(`${name} ${addresses.join()}`));
  await within('set', 'env', 'deployment/web', 'A=1');
  await within('rollout', 'status', 'deployment/web', '--timeout=90s');
  await within('wait', '--for=delete', `pod/${before[0]!.metadata.name}`, '--timeout=60s');
  await vi.waitFor(agree, { timeout: 20_000, interval: 500 });
  stop();
  for (const { metadata } of before)
    expect(view.podByUid(metadata.uid)?.owners.map(({ name }) => name)).toContain('web');
  for (const { metadata, status } of await podsOf('-n', namespace, '-l', 'app=web')) {
    expect(view.podByIp(status.podIP!)?.uid).toBe(metadata.uid);
    expect(told).toContain(`${metadata.name} ${status.podIP}`);
  }
});
