import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiServer } from '../../../test/kit/api-server.ts';
import type { ClusterState, ClusterView } from './contract.ts';
import { type Timing, timing } from './limits.ts';
import { type ClusterViewOptions, watchCluster } from './watch-cluster.ts';

const pods = '/api/v1/pods';
const replicaSets = '/apis/apps/v1/replicasets';
const jobs = '/apis/batch/v1/jobs';
const nodes = '/api/v1/nodes';
const namespaces = '/api/v1/namespaces';

const quick: Timing = {
  ...timing,
  answerMs: 2_000,
  watchIdleMs: 2_000,
  watchShortMs: 0,
  backoffBaseMs: 5,
  backoffMaxMs: 20,
  deniedMs: 20,
  ownersMs: 500,
  sweepMs: 5,
};

let api: ApiServer;
let view: ClusterView;
/** Added to the clock. */
let laterMs = 0;
let troubles: string[] = [];
const views: ClusterView[] = [];

beforeEach(async () => {
  laterMs = 0;
  troubles = [];
  api = await ApiServer.start();
});
afterEach(async () => {
  for (const each of views.splice(0)) await each[Symbol.asyncDispose]();
  await api.stop();
});

function watching(options: Partial<ClusterViewOptions> & { timings?: Partial<Timing> } = {}): ClusterView {
  const { timings, ...more } = options;
  view = watchCluster({
    access: { server: api.url, credentials: async () => anonymous },
    labels: [],
    annotations: [],
    keepDeletedSeconds: 120,
    clock: {
      monotonicMs: () => performance.now() + laterMs,
      nowMs: () => Date.now() + laterMs,
      nowUnixNano: () => 0n,
    },
    onTrouble: (resource, trouble) => troubles.push(`${resource}: ${trouble?.kind ?? 'well'}`),
    timing: { ...quick, ...timings },
    ...more,
  });
  views.push(view);
  return view;
}
const anonymous = {
  token: undefined,
  ca: undefined,
  cert: undefined,
  key: undefined,
  serverName: undefined,
  skipVerify: false,
};

async function synced(path = pods): Promise<void> {
  await vi.waitUntil(() => view.state().status === 'synced' && api.watching(path) > 0, {
    timeout: 10_000,
    interval: 2,
  });
}
async function eventually(condition: () => boolean): Promise<void> {
  await vi.waitUntil(condition, { timeout: 10_000, interval: 2 });
}
const status = (): ClusterState['status'] => view.state().status;

interface Told {
  readonly namespace?: string;
  readonly uid?: string;
  readonly ip?: string;
  readonly phase?: string;
  readonly startTime?: string;
  readonly finishedAt?: string;
  readonly owner?: readonly [kind: string, name: string, uid: string];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: object;
  readonly status?: object;
}

/** A pod as the API server writes it; its UID is `NAME-uid`. */
function pod(name: string, told: Told = {}) {
  const { namespace = 'shop', uid = `${name}-uid`, ip, phase = 'Running', startTime = '2026-11-25T10:00:00Z' } = told;
  return {
    metadata: {
      name,
      namespace,
      uid,
      labels: told.labels ?? {},
      annotations: told.annotations ?? {},
      managedFields: [{ manager: 'kubelet' }],
      ...(told.owner === undefined ? {} : { ownerReferences: [reference(...told.owner)] }),
    },
    spec: {
      nodeName: 'node-1',
      containers: [{ name: 'app', image: 'registry.example.com:5000/shop/cart:1.4.2' }],
      ...told.spec,
    },
    status: {
      phase,
      startTime,
      ...(ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }] }),
      containerStatuses: [
        {
          name: 'app',
          imageID: 'registry.example.com:5000/shop/cart@sha256:0123abcd',
          containerID: 'containerd://c0ffee',
          state: told.finishedAt === undefined ? { running: {} } : { terminated: { finishedAt: told.finishedAt } },
        },
      ],
      ...told.status,
    },
  };
}
const reference = (kind: string, name: string, uid: string) => ({
  controller: true,
  kind,
  name,
  uid,
  apiVersion: 'apps/v1',
});
const owned = (name: string, ...owner: readonly [string, string, string] | readonly []) => ({
  metadata: {
    name,
    namespace: 'shop',
    uid: `${name}-uid`,
    ...(owner.length === 0 ? {} : { ownerReferences: [reference(...owner)] }),
  },
});

describe('what is known of a pod', () => {
  it('is what its object says, and no more', async () => {
    api.put(namespaces, { metadata: { name: 'kube-system', uid: 'cluster-uid' } });
    api.put(nodes, { metadata: { name: 'node-1', uid: 'node-uid' }, spec: { podCIDRs: ['10.244.1.0/24'] } });
    api.put(replicaSets, owned('cart-6d5f', 'Deployment', 'cart', 'deployment-uid'));
    api.put(
      pods,
      pod('cart-6d5f-x2x', {
        ip: '10.244.1.7',
        owner: ['ReplicaSet', 'cart-6d5f', 'cart-6d5f-uid'],
        labels: { 'app.kubernetes.io/name': 'cart', team: 'checkout', other: 'x' },
        annotations: { 'resource.opentelemetry.io/service.name': 'till', 'example.com/owner': 'me', big: 'x' },
        spec: {
          initContainers: [{ name: 'migrate', image: 'migrate@sha256:beef' }],
          containers: [
            { name: 'app', image: 'registry.example.com:5000/shop/cart:1.4.2' },
            { name: 'side', image: 'side' },
          ],
        },
      }),
    );
    watching({ labels: ['team'], annotations: ['example.com/owner'] });
    await synced();
    const known = view.podByIp('10.244.1.7');
    expect(known).toEqual({
      uid: 'cart-6d5f-x2x-uid',
      name: 'cart-6d5f-x2x',
      namespace: 'shop',
      nodeName: 'node-1',
      hostNetwork: false,
      startTime: '2026-11-25T10:00:00Z',
      owners: [
        { kind: 'ReplicaSet', name: 'cart-6d5f', uid: 'cart-6d5f-uid' },
        { kind: 'Deployment', name: 'cart', uid: 'deployment-uid' },
      ],
      containers: [
        {
          name: 'app',
          kind: 'app',
          imageName: 'registry.example.com:5000/shop/cart',
          imageTag: '1.4.2',
          imageDigest: 'sha256:0123abcd',
          id: 'c0ffee',
        },
        { name: 'side', kind: 'app', imageName: 'side', imageTag: 'latest', imageDigest: undefined, id: undefined },
        {
          name: 'migrate',
          kind: 'init',
          imageName: 'migrate',
          imageTag: undefined,
          imageDigest: undefined,
          id: undefined,
        },
      ],
      labels: { 'app.kubernetes.io/name': 'cart', team: 'checkout' },
      annotations: { 'resource.opentelemetry.io/service.name': 'till', 'example.com/owner': 'me' },
    });
    expect(view.podByUid('cart-6d5f-x2x-uid')).toBe(known);
    expect(view.podByName('shop', 'cart-6d5f-x2x')).toBe(known);
    expect(view.nodeUid('node-1')).toBe('node-uid');
    await eventually(() => view.clusterUid === 'cluster-uid');
    expect(view.state()).toEqual({ status: 'synced', lastError: undefined, pods: 1, ageSeconds: 0, relists: 0 });
  });

  it('stays one object while it does not change, and is another when it does', async () => {
    api.put(pods, pod('a', { ip: '10.244.1.7' }));
    watching();
    await synced();
    const before = view.podByUid('a-uid');
    api.put(pods, pod('a', { ip: '10.244.1.7', status: { conditions: [{ type: 'Ready', status: 'True' }] } }));
    api.put(pods, pod('b'));
    await eventually(() => view.podByUid('b-uid') !== undefined);
    expect(view.podByUid('a-uid')).toBe(before);
    api.put(pods, pod('a', { ip: '10.244.1.7', annotations: { 'resource.opentelemetry.io/service.name': 'till' } }));
    await eventually(() => view.podByUid('a-uid') !== before);
    expect(view.podByUid('a-uid')?.annotations).toEqual({ 'resource.opentelemetry.io/service.name': 'till' });
  });

  it('leaves out values that are too long, and takes all others where all are asked for', async () => {
    const annotations = {
      'kubectl.kubernetes.io/last-applied-configuration': '{}',
      long: 'x'.repeat(5_000),
      short: 'x',
      empty: '',
    };
    api.put(pods, pod('a', { annotations, labels: { one: '1' } }));
    watching({ labels: 'all', annotations: 'all' });
    await synced();
    expect(view.podByUid('a-uid')).toMatchObject({ labels: { one: '1' } });
    expect(view.podByUid('a-uid')?.annotations).toEqual({ short: 'x', empty: '' });
  });

  it('is bounded, with what names the service before the rest', async () => {
    const annotations = Object.fromEntries(
      Array.from({ length: 100 }, (_, n) => [`a${n}`, 'x'.repeat(n < 50 ? 1 : 1_000)]),
    );
    annotations['resource.opentelemetry.io/service.name'] = 'till';
    api.put(pods, pod('a', { annotations }));
    watching({ annotations: 'all' });
    await synced();
    const kept = view.podByUid('a-uid')?.annotations ?? {};
    expect(kept['resource.opentelemetry.io/service.name']).toBe('till');
    expect(Object.keys(kept).length).toBeLessThanOrEqual(64);
    expect(Object.values(kept).join('').length).toBeLessThanOrEqual(16 * 1024);
  });

  it.each([
    ['nothing', {}],
    ['no metadata', { spec: {}, status: {} }],
    ['lists where objects should be', { metadata: [], spec: [], status: [] }],
    [
      'texts where lists should be',
      { ...pod('odd'), spec: { containers: 'none' }, status: { podIPs: 'none', containerStatuses: 1 } },
    ],
    ['numbers where texts should be', { ...pod('odd'), metadata: { name: 1, uid: 2, namespace: 3, labels: 4 } }],
    [
      'owners without a name',
      { ...pod('odd'), metadata: { ...pod('odd').metadata, ownerReferences: [{ controller: true }, 7] } },
    ],
    ['an address that is none', pod('odd', { ip: 'somewhere' })],
  ])('is not disturbed by an object with %s', async (_, object) => {
    watching();
    await synced();
    api.send(pods, `${JSON.stringify({ type: 'ADDED', object })}\n`);
    api.put(pods, pod('next', { ip: '10.244.1.8' }));
    await eventually(() => view.podByIp('10.244.1.8') !== undefined);
    expect(troubles).toEqual([]);
  });
});

describe('owners', () => {
  it('go up to the CronJob', async () => {
    api.put(jobs, owned('backup-29401', 'CronJob', 'backup', 'cronjob-uid'));
    api.put(pods, pod('backup-29401-abc', { owner: ['Job', 'backup-29401', 'backup-29401-uid'] }));
    watching();
    await synced();
    expect(view.podByUid('backup-29401-abc-uid')?.owners).toEqual([
      { kind: 'Job', name: 'backup-29401', uid: 'backup-29401-uid' },
      { kind: 'CronJob', name: 'backup', uid: 'cronjob-uid' },
    ]);
  });

  it.each(['StatefulSet', 'DaemonSet'])('are the %s alone', async (kind) => {
    api.put(pods, pod('db-0', { owner: [kind, 'db', 'db-uid'] }));
    watching();
    await synced();
    expect(view.podByUid('db-0-uid')?.owners).toEqual([{ kind, name: 'db', uid: 'db-uid' }]);
  });

  it('of other kinds are left out, between a pod and its Deployment too', async () => {
    api.put(replicaSets, owned('web-77', 'Rollout', 'web', 'rollout-uid'));
    api.put(pods, pod('a', { owner: ['Node', 'node-1', 'node-uid'] }));
    api.put(pods, pod('b', { owner: ['ReplicaSet', 'web-77', 'web-77-uid'], labels: { 'pod-template-hash': '77' } }));
    watching();
    await synced();
    expect(view.podByUid('a-uid')?.owners).toEqual([]);
    expect(view.podByUid('b-uid')?.owners).toEqual([{ kind: 'ReplicaSet', name: 'web-77', uid: 'web-77-uid' }]);
  });

  it('are known of a pod whose ReplicaSet is told of later, as another object', async () => {
    watching();
    await synced();
    await synced(replicaSets);
    api.put(pods, pod('a', { owner: ['ReplicaSet', 'cart-6d5f', 'cart-6d5f-uid'] }));
    await eventually(() => view.podByUid('a-uid') !== undefined);
    const before = view.podByUid('a-uid');
    expect(before?.owners).toHaveLength(1);
    api.put(replicaSets, owned('cart-6d5f', 'Deployment', 'cart', 'deployment-uid'));
    await eventually(() => view.podByUid('a-uid') !== before);
    expect(view.podByUid('a-uid')?.owners[1]).toEqual({ kind: 'Deployment', name: 'cart', uid: 'deployment-uid' });
    expect(before?.owners).toHaveLength(1);
  });

  it('are known of a pod that is told of after its ReplicaSet was deleted', async () => {
    api.put(replicaSets, owned('cart-6d5f', 'Deployment', 'cart', 'deployment-uid'));
    watching();
    await synced();
    await synced(replicaSets);
    api.delete(replicaSets, 'cart-6d5f-uid');
    api.put(replicaSets, owned('other'));
    api.put(pods, pod('a', { owner: ['ReplicaSet', 'cart-6d5f', 'cart-6d5f-uid'] }));
    await eventually(() => view.podByUid('a-uid') !== undefined);
    expect(view.podByUid('a-uid')?.owners[1]?.name).toBe('cart');
  });

  it.each([
    ['cart-6d5f', '6d5f', 'cart'],
    ['cart-6d5f-6d5f', '6d5f', 'cart-6d5f'],
    ['cart-6d5f', undefined, undefined],
    ['cart-6d5f', '5f', undefined],
    ['-6d5f', '6d5f', undefined],
  ])(
    'without the right to read ReplicaSets: %s with the hash %s is of the Deployment %s',
    async (name, hash, deployment) => {
      api.denied.add(replicaSets);
      const labels = hash === undefined ? {} : { 'pod-template-hash': hash };
      api.put(pods, pod('a', { owner: ['ReplicaSet', name, 'rs-uid'], labels: labels as Record<string, string> }));
      watching();
      await synced();
      const derived = deployment === undefined ? [] : [{ kind: 'Deployment', name: deployment, uid: undefined }];
      expect(view.podByUid('a-uid')?.owners).toEqual([{ kind: 'ReplicaSet', name, uid: 'rs-uid' }, ...derived]);
      expect(view.state()).toMatchObject({
        status: 'synced',
        lastError: expect.stringMatching(/^replicasets: 403 .*forbidden/),
      });
    },
  );

  it('come as metadata only', async () => {
    watching();
    await synced();
    await synced(replicaSets);
    expect(api.lists(replicaSets)[0]?.accept).toBe('application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1');
    expect(api.watches(replicaSets)[0]?.accept).toBe('application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1');
  });
});

describe('an address', () => {
  it('that comes later is told of', async () => {
    const told: string[] = [];
    api.put(pods, pod('first', { ip: '10.244.1.1' }));
    watching();
    view.onPod(({ name }, addresses) =>
      told.push(`${name} ${addresses.join()} ${view.podByName('shop', name) !== undefined}`),
    );
    await synced();
    api.put(pods, pod('a', { phase: 'Pending' }));
    api.put(pods, pod('a', { ip: '10.244.1.7' }));
    api.put(pods, pod('a', { ip: '10.244.1.7', status: { conditions: [] } }));
    await eventually(() => view.podByIp('10.244.1.7') !== undefined);
    api.put(pods, pod('b'));
    await eventually(() => view.podByUid('b-uid') !== undefined);
    expect(told).toEqual(['first 10.244.1.1 true', 'a  true', 'a 10.244.1.7 true', 'b  true']);
  });

  it('of both families is one pod', async () => {
    api.put(pods, pod('a', { status: { podIP: '10.244.1.7', podIPs: [{ ip: '10.244.1.7' }, { ip: 'FD00:0:0::7' }] } }));
    watching();
    await synced();
    expect(view.podByIp('fd00::7')).toBe(view.podByIp('10.244.1.7'));
    expect(view.podByIp('fd00::7')?.name).toBe('a');
  });

  it("is never a pod's on the host's network", async () => {
    api.put(pods, pod('proxy', { ip: '192.168.0.4', spec: { hostNetwork: true } }));
    watching();
    await synced();
    expect(view.podByIp('192.168.0.4')).toBeUndefined();
    expect(view.podByUid('proxy-uid')?.hostNetwork).toBe(true);
    expect(view.isPodAddress('192.168.0.4')).toBe(false);
  });

  it.each([
    ['the one that started last', pod('old', { ip: '10.244.1.7', startTime: '2026-11-25T09:00:00Z' })],
    [
      'not of one that has failed',
      pod('old', { ip: '10.244.1.7', phase: 'Failed', startTime: '2026-11-25T11:00:00Z' }),
    ],
  ])('that two pods have is of %s, in whichever order they come', async (_, old) => {
    const young = pod('young', { ip: '10.244.1.7', startTime: '2026-11-25T10:00:00Z' });
    watching();
    await synced();
    api.put(pods, old);
    api.put(pods, young);
    api.put(pods, pod('mark'));
    await eventually(() => view.podByUid('mark-uid') !== undefined);
    expect(view.podByIp('10.244.1.7')?.name).toBe('young');
    api.put(pods, { ...old, status: { ...old.status, conditions: [] } } as typeof old);
    api.put(pods, pod('another-mark'));
    await eventually(() => view.podByUid('another-mark-uid') !== undefined);
    expect(view.podByIp('10.244.1.7')?.name).toBe('young');
  });

  it('of a deleted pod is another pod at once when that has it', async () => {
    api.put(pods, pod('old', { ip: '10.244.1.7', startTime: '2026-11-25T12:00:00Z' }));
    watching();
    await synced();
    api.delete(pods, 'old-uid');
    await eventually(() => view.state().pods === 0);
    expect(view.podByIp('10.244.1.7')?.name).toBe('old');
    api.put(pods, pod('young', { ip: '10.244.1.7', startTime: '2026-11-25T10:00:00Z' }));
    await eventually(() => view.podByIp('10.244.1.7')?.name === 'young');
  });

  it('is given up by a pod that has finished: kept for what it sent last, and no longer', async () => {
    const now = () => new Date(Date.now() + laterMs).toISOString().replace(/\.\d+/, '');
    watching();
    await synced();
    api.put(pods, pod('short', { ip: '10.244.1.7', phase: 'Succeeded', finishedAt: now() }));
    api.put(pods, pod('long-ago', { ip: '10.244.1.8', phase: 'Failed', finishedAt: '2026-01-01T00:00:00Z' }));
    await eventually(() => view.podByUid('long-ago-uid') !== undefined);
    expect(view.podByIp('10.244.1.7')?.name).toBe('short');
    expect(view.podByIp('10.244.1.8')).toBeUndefined();
    laterMs += 125_000;
    await eventually(() => view.podByIp('10.244.1.7') === undefined);
    expect(view.podByUid('short-uid')?.name).toBe('short');
  });

  it.each([
    ["in a node's range", { podCIDRs: ['10.244.1.0/24', 'fd00:1::/64'] }, '10.244.1.200', true],
    ["in a node's range of IPv6", { podCIDRs: ['10.244.1.0/24', 'fd00:1::/64'] }, 'fd00:1::abc', true],
    ['beside them', { podCIDRs: ['10.244.1.0/24', 'fd00:1::/64'] }, '10.244.2.1', false],
    ['beside them, of IPv6', { podCIDRs: ['10.244.1.0/24', 'fd00:1::/64'] }, 'fd00:1:0:1::1', false],
    ['in the older field', { podCIDR: '10.244.1.0/25' }, '10.244.1.127', true],
    ['just out of it', { podCIDR: '10.244.1.0/25' }, '10.244.1.128', false],
    ["near a pod's where nodes have no range", {}, '10.1.2.3', true],
    ["near a pod's where nodes have another range", { podCIDRs: ['10.244.1.0/24'] }, '10.1.2.3', true],
    ["far from all pods'", {}, '10.1.3.3', false],
    ['that is none', {}, 'localhost', false],
  ])('%s: is it of a pod?', async (_, spec, address, expected) => {
    api.put(nodes, { metadata: { name: 'node-1', uid: 'node-uid' }, spec });
    api.put(pods, pod('a', { ip: '10.1.2.99' }));
    watching();
    await synced();
    await synced(nodes);
    expect(view.isPodAddress(address)).toBe(expected);
  });
});

describe('a deleted pod', () => {
  it('is remembered, and then forgotten', async () => {
    api.put(pods, pod('a', { ip: '10.244.1.7' }));
    watching();
    await synced();
    api.delete(pods, 'a-uid');
    await eventually(() => view.state().pods === 0);
    laterMs += 115_000;
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect([view.podByUid('a-uid'), view.podByIp('10.244.1.7'), view.podByName('shop', 'a')]).not.toContain(undefined);
    laterMs += 10_000;
    await eventually(() => view.podByUid('a-uid') === undefined);
    expect([view.podByIp('10.244.1.7'), view.podByName('shop', 'a')]).toEqual([undefined, undefined]);
  });

  it('leaves its name to the one that comes after it, for good', async () => {
    api.put(pods, pod('db-0', { uid: 'first' }));
    watching();
    await synced();
    api.delete(pods, 'first');
    api.put(pods, pod('db-0', { uid: 'second' }));
    await eventually(() => view.podByName('shop', 'db-0')?.uid === 'second');
    expect(view.podByUid('first')?.name).toBe('db-0');
    laterMs += 125_000;
    await eventually(() => view.podByUid('first') === undefined);
    expect(view.podByName('shop', 'db-0')?.uid).toBe('second');
  });

  it('that went while nobody watched goes with the next list', async () => {
    api.put(pods, pod('a'));
    api.put(pods, pod('b'));
    watching();
    await synced();
    api.cut(pods, 'end');
    api.delete(pods, 'a-uid');
    api.compact();
    await eventually(() => view.state().pods === 1);
    expect(view.podByUid('a-uid')?.name).toBe('a');
    expect(view.state()).toMatchObject({ relists: 1 });
    laterMs += 125_000;
    await eventually(() => view.podByUid('a-uid') === undefined);
    expect(view.podByUid('b-uid')?.name).toBe('b');
  });
});

describe('the API server', () => {
  it('away from the start stops nothing, and is found when it comes', async () => {
    const { port } = api.url;
    await api.stop();
    watching({ access: { server: new URL(`http://127.0.0.1:${port}`), credentials: async () => anonymous } });
    await eventually(() => troubles.includes('pods: away'));
    expect(view.state()).toMatchObject({ status: 'starting', lastError: expect.stringContaining('ECONNREFUSED') });
    expect(view.podByIp('10.244.1.7')).toBeUndefined();
    api = await ApiServer.start({ port: Number(port) });
    api.put(pods, pod('a', { ip: '10.244.1.7' }));
    await eventually(() => view.podByIp('10.244.1.7') !== undefined);
    await synced();
    await eventually(() => view.state().lastError === undefined);
    expect(troubles).toContain('pods: well');
  });

  it('that goes leaves what was known last, and that is marked as stale', async () => {
    api.put(pods, pod('a', { ip: '10.244.1.7' }));
    watching();
    await synced();
    const { port } = api.url;
    await api.stop();
    await eventually(() => status() === 'stale');
    laterMs += 1_000_000;
    expect(view.podByIp('10.244.1.7')?.name).toBe('a');
    expect(view.state().ageSeconds).toBeGreaterThanOrEqual(1_000);
    api = await ApiServer.start({ port: Number(port) });
    api.compact();
    api.put(pods, pod('b'));
    await eventually(() => view.podByUid('b-uid') !== undefined && status() === 'synced');
    expect(view.podByUid('a-uid')?.name).toBe('a');
  });

  it('that takes the right to read pods away: what was known stays, and the right is found again', async () => {
    api.put(pods, pod('a', { ip: '10.244.1.7' }));
    watching();
    await synced();
    api.denied.add(pods);
    api.cut(pods, 'end');
    await eventually(() => status() === 'denied');
    expect(view.podByIp('10.244.1.7')?.name).toBe('a');
    expect(view.state().lastError).toMatch(/^pods: 403 /);
    api.denied.clear();
    api.put(pods, pod('b'));
    await eventually(() => view.podByUid('b-uid') !== undefined && status() === 'synced');
    expect(troubles.filter((each) => each === 'pods: denied')).toHaveLength(1);
  });

  it('that denies one thing is asked for the others', async () => {
    for (const path of [nodes, replicaSets, jobs, namespaces]) api.denied.add(path);
    api.put(pods, pod('a', { ip: '10.244.1.7' }));
    watching();
    await synced();
    expect(view.podByIp('10.244.1.7')?.name).toBe('a');
    expect([...new Set(troubles)].sort()).toEqual([
      'jobs: denied',
      'namespaces: denied',
      'nodes: denied',
      'replicasets: denied',
    ]);
    expect([view.clusterUid, view.nodeUid('node-1')]).toEqual([undefined, undefined]);
  });

  it('is shown the token of now', async () => {
    let token = 'first';
    watching({ access: { server: api.url, credentials: async () => ({ ...anonymous, token }) } });
    await synced();
    token = 'second';
    api.cut(pods, 'end');
    await eventually(() => api.watches(pods).length > 1);
    expect(api.watches(pods).map(({ authorization }) => authorization)).toEqual(['Bearer first', 'Bearer second']);
  });

  it('is asked again when credentials cannot be read now', async () => {
    let broken = true;
    const credentials = async () => {
      if (broken) throw new Error('/token cannot be read: ENOENT');
      return anonymous;
    };
    watching({ access: { server: api.url, credentials } });
    await eventually(() => view.state().lastError === 'pods: /token cannot be read: ENOENT');
    broken = false;
    await synced();
  });

  it('is left when the view is disposed of, whatever goes on', async () => {
    watching();
    await synced();
    await view[Symbol.asyncDispose]();
    await eventually(() => api.watching(pods) === 0 && api.watching(nodes) === 0);
    const { length } = api.seen;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(api.seen).toHaveLength(length);
  });

  it('that never answers does not keep a view from being disposed of', async () => {
    api.intercept = () => true;
    watching();
    await eventually(() => api.seen.length > 0);
    await view[Symbol.asyncDispose]();
    expect(status()).toBe('starting');
  });
});
