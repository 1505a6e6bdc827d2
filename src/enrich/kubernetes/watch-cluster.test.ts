import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  eventually,
  FollowedCluster,
  jobs,
  namespaces,
  nodes,
  owned,
  pod,
  pods,
  replicaSets,
} from '../../../test/kit/followed-cluster.ts';

let cluster: FollowedCluster;
beforeEach(async () => {
  cluster = await FollowedCluster.start();
});
afterEach(() => cluster[Symbol.asyncDispose]());

describe('what is known of a pod', () => {
  it('is what its object says, and no more', async () => {
    cluster.api.put(namespaces, { metadata: { name: 'kube-system', uid: 'cluster-uid' } });
    cluster.api.put(nodes, { metadata: { name: 'node-1', uid: 'node-uid' }, spec: { podCIDRs: ['10.244.1.0/24'] } });
    cluster.api.put(replicaSets, owned('cart-6d5f', 'Deployment', 'cart', 'deployment-uid'));
    cluster.api.put(
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
    cluster.follow({ labels: ['team'], annotations: ['example.com/owner'] });
    await cluster.synced();
    const known = cluster.view.podByIp('10.244.1.7');
    expect(known).toEqual({
      uid: 'cart-6d5f-x2x-uid',
      name: 'cart-6d5f-x2x',
      namespace: 'shop',
      nodeName: 'node-1',
      hostNetwork: false,
      podIp: '10.244.1.7',
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
          imageRepoDigest: 'registry.example.com:5000/shop/cart@sha256:0123abcd',
          id: 'c0ffee',
        },
        { name: 'side', kind: 'app', imageName: 'side', imageTag: 'latest', imageRepoDigest: undefined, id: undefined },
        {
          name: 'migrate',
          kind: 'init',
          imageName: 'migrate',
          imageTag: undefined,
          imageRepoDigest: undefined,
          id: undefined,
        },
      ],
      labels: { 'app.kubernetes.io/name': 'cart', team: 'checkout' },
      annotations: { 'resource.opentelemetry.io/service.name': 'till', 'example.com/owner': 'me' },
    });
    expect(cluster.view.podByUid('cart-6d5f-x2x-uid')).toBe(known);
    expect(cluster.view.podByName('shop', 'cart-6d5f-x2x')).toBe(known);
    expect(cluster.view.nodeUid('node-1')).toBe('node-uid');
    await eventually(() => cluster.view.clusterUid === 'cluster-uid');
    expect(cluster.view.state()).toEqual({
      status: 'synced',
      lastError: undefined,
      pods: 1,
      ageSeconds: 0,
      relists: 0,
    });
  });

  it('stays one object while it does not change, and is another when it does', async () => {
    cluster.api.put(pods, pod('a', { ip: '10.244.1.7' }));
    cluster.follow();
    await cluster.synced();
    const before = cluster.view.podByUid('a-uid');
    cluster.api.put(pods, pod('a', { ip: '10.244.1.7', status: { conditions: [{ type: 'Ready', status: 'True' }] } }));
    cluster.api.put(pods, pod('b'));
    await eventually(() => cluster.view.podByUid('b-uid') !== undefined);
    expect(cluster.view.podByUid('a-uid')).toBe(before);
    cluster.api.put(
      pods,
      pod('a', { ip: '10.244.1.7', annotations: { 'resource.opentelemetry.io/service.name': 'till' } }),
    );
    await eventually(() => cluster.view.podByUid('a-uid') !== before);
    expect(cluster.view.podByUid('a-uid')?.annotations).toEqual({ 'resource.opentelemetry.io/service.name': 'till' });
  });

  it.each([
    ['of containerd', 'docker.io/library/cart@sha256:0123abcd', 'docker.io/library/cart@sha256:0123abcd'],
    ['of Docker', 'docker-pullable://cart@sha256:0123abcd', 'cart@sha256:0123abcd'],
    ['of an image that came from no registry', 'sha256:0123abcd', undefined],
    ['of the same, by Docker', 'docker://sha256:0123abcd', undefined],
    ['of a container that has not begun', '', undefined],
  ])('reads the repo digest out of the image id %s', async (_, imageID, imageRepoDigest) => {
    cluster.api.put(pods, pod('a', { status: { containerStatuses: [{ name: 'app', imageID }] } }));
    cluster.follow();
    await cluster.synced();
    expect(cluster.view.podByUid('a-uid')?.containers).toMatchObject([{ name: 'app', imageRepoDigest }]);
  });

  it('leaves out values that are too long, and takes all others where all are asked for', async () => {
    const annotations = {
      'kubectl.kubernetes.io/last-applied-configuration': '{}',
      long: 'x'.repeat(5_000),
      short: 'x',
      empty: '',
    };
    cluster.api.put(pods, pod('a', { annotations, labels: { one: '1' } }));
    cluster.follow({ labels: 'all', annotations: 'all' });
    await cluster.synced();
    expect(cluster.view.podByUid('a-uid')).toMatchObject({ labels: { one: '1' } });
    expect(cluster.view.podByUid('a-uid')?.annotations).toEqual({ short: 'x', empty: '' });
  });

  it('is bounded, with what names the service before the rest', async () => {
    const annotations = Object.fromEntries(
      Array.from({ length: 100 }, (_, n) => [`a${n}`, 'x'.repeat(n < 50 ? 1 : 1_000)]),
    );
    annotations['resource.opentelemetry.io/service.name'] = 'till';
    cluster.api.put(pods, pod('a', { annotations }));
    cluster.follow({ annotations: 'all' });
    await cluster.synced();
    const kept = cluster.view.podByUid('a-uid')?.annotations ?? {};
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
    cluster.follow();
    await cluster.synced();
    cluster.api.send(pods, `${JSON.stringify({ type: 'ADDED', object })}\n`);
    cluster.api.put(pods, pod('next', { ip: '10.244.1.8' }));
    await eventually(() => cluster.view.podByIp('10.244.1.8') !== undefined);
    expect(cluster.troubles).toEqual([]);
  });
});

describe('owners', () => {
  it('go up to the CronJob', async () => {
    cluster.api.put(jobs, owned('backup-29401', 'CronJob', 'backup', 'cronjob-uid'));
    cluster.api.put(pods, pod('backup-29401-abc', { owner: ['Job', 'backup-29401', 'backup-29401-uid'] }));
    cluster.follow();
    await cluster.synced();
    expect(cluster.view.podByUid('backup-29401-abc-uid')?.owners).toEqual([
      { kind: 'Job', name: 'backup-29401', uid: 'backup-29401-uid' },
      { kind: 'CronJob', name: 'backup', uid: 'cronjob-uid' },
    ]);
  });

  it.each(['StatefulSet', 'DaemonSet'])('are the %s alone', async (kind) => {
    cluster.api.put(pods, pod('db-0', { owner: [kind, 'db', 'db-uid'] }));
    cluster.follow();
    await cluster.synced();
    expect(cluster.view.podByUid('db-0-uid')?.owners).toEqual([{ kind, name: 'db', uid: 'db-uid' }]);
  });

  it('of other kinds are left out, between a pod and its Deployment too', async () => {
    cluster.api.put(replicaSets, owned('web-77', 'Rollout', 'web', 'rollout-uid'));
    cluster.api.put(pods, pod('a', { owner: ['Node', 'node-1', 'node-uid'] }));
    cluster.api.put(
      pods,
      pod('b', { owner: ['ReplicaSet', 'web-77', 'web-77-uid'], labels: { 'pod-template-hash': '77' } }),
    );
    cluster.follow();
    await cluster.synced();
    expect(cluster.view.podByUid('a-uid')?.owners).toEqual([]);
    expect(cluster.view.podByUid('b-uid')?.owners).toEqual([{ kind: 'ReplicaSet', name: 'web-77', uid: 'web-77-uid' }]);
  });

  it('are known of a pod whose ReplicaSet is told of later, as another object', async () => {
    cluster.follow();
    await cluster.synced();
    await cluster.synced(replicaSets);
    cluster.api.put(pods, pod('a', { owner: ['ReplicaSet', 'cart-6d5f', 'cart-6d5f-uid'] }));
    await eventually(() => cluster.view.podByUid('a-uid') !== undefined);
    const before = cluster.view.podByUid('a-uid');
    expect(before?.owners).toHaveLength(1);
    cluster.api.put(replicaSets, owned('cart-6d5f', 'Deployment', 'cart', 'deployment-uid'));
    await eventually(() => cluster.view.podByUid('a-uid') !== before);
    expect(cluster.view.podByUid('a-uid')?.owners[1]).toEqual({
      kind: 'Deployment',
      name: 'cart',
      uid: 'deployment-uid',
    });
    expect(before?.owners).toHaveLength(1);
  });

  it('are known of a pod that is told of after its ReplicaSet was deleted', async () => {
    cluster.api.put(replicaSets, owned('cart-6d5f', 'Deployment', 'cart', 'deployment-uid'));
    cluster.follow();
    await cluster.synced();
    await cluster.synced(replicaSets);
    cluster.api.delete(replicaSets, 'cart-6d5f-uid');
    cluster.api.put(replicaSets, owned('other'));
    cluster.api.put(pods, pod('a', { owner: ['ReplicaSet', 'cart-6d5f', 'cart-6d5f-uid'] }));
    await eventually(() => cluster.view.podByUid('a-uid') !== undefined);
    expect(cluster.view.podByUid('a-uid')?.owners[1]?.name).toBe('cart');
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
      cluster.api.denied.add(replicaSets);
      const labels = hash === undefined ? {} : { 'pod-template-hash': hash };
      cluster.api.put(
        pods,
        pod('a', { owner: ['ReplicaSet', name, 'rs-uid'], labels: labels as Record<string, string> }),
      );
      cluster.follow();
      await cluster.synced();
      const derived = deployment === undefined ? [] : [{ kind: 'Deployment', name: deployment, uid: undefined }];
      expect(cluster.view.podByUid('a-uid')?.owners).toEqual([{ kind: 'ReplicaSet', name, uid: 'rs-uid' }, ...derived]);
      expect(cluster.view.state()).toMatchObject({
        status: 'synced',
        lastError: expect.stringMatching(/^replicasets: 403 .*forbidden/),
      });
    },
  );

  it('come as metadata only', async () => {
    cluster.follow();
    await cluster.synced();
    await cluster.synced(replicaSets);
    expect(cluster.api.lists(replicaSets)[0]?.accept).toBe(
      'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
    );
    expect(cluster.api.watches(replicaSets)[0]?.accept).toBe(
      'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
    );
  });
});

describe('an address', () => {
  it('that comes later is told of', async () => {
    const told: string[] = [];
    cluster.api.put(pods, pod('first', { ip: '10.244.1.1' }));
    cluster.follow();
    cluster.view.onPod(({ name }, addresses) =>
      told.push(`${name} ${addresses.join()} ${cluster.view.podByName('shop', name) !== undefined}`),
    );
    await cluster.synced();
    cluster.api.put(pods, pod('a', { phase: 'Pending' }));
    cluster.api.put(pods, pod('a', { ip: '10.244.1.7' }));
    cluster.api.put(pods, pod('a', { ip: '10.244.1.7', status: { conditions: [] } }));
    await eventually(() => cluster.view.podByIp('10.244.1.7') !== undefined);
    cluster.api.put(pods, pod('b'));
    await eventually(() => cluster.view.podByUid('b-uid') !== undefined);
    expect(told).toEqual(['first 10.244.1.1 true', 'a  true', 'a 10.244.1.7 true', 'b  true']);
  });

  it('of both families is one pod', async () => {
    cluster.api.put(
      pods,
      pod('a', { status: { podIP: '10.244.1.7', podIPs: [{ ip: '10.244.1.7' }, { ip: 'FD00:0:0::7' }] } }),
    );
    cluster.follow();
    await cluster.synced();
    expect(cluster.view.podByIp('fd00::7')).toBe(cluster.view.podByIp('10.244.1.7'));
    expect(cluster.view.podByIp('fd00::7')?.name).toBe('a');
  });

  it("is never a pod's on the host's network", async () => {
    cluster.api.put(pods, pod('proxy', { ip: '192.168.0.4', spec: { hostNetwork: true } }));
    cluster.follow();
    await cluster.synced();
    expect(cluster.view.podByIp('192.168.0.4')).toBeUndefined();
    expect(cluster.view.podByUid('proxy-uid')).toMatchObject({ hostNetwork: true, podIp: '192.168.0.4' });
    expect(cluster.view.isPodAddress('192.168.0.4')).toBe(false);
  });

  it.each([
    ['the one that started last', pod('old', { ip: '10.244.1.7', startTime: '2026-11-25T09:00:00Z' })],
    [
      'not of one that has failed',
      pod('old', { ip: '10.244.1.7', phase: 'Failed', startTime: '2026-11-25T11:00:00Z' }),
    ],
  ])('that two pods have is of %s, in whichever order they come', async (_, old) => {
    const young = pod('young', { ip: '10.244.1.7', startTime: '2026-11-25T10:00:00Z' });
    cluster.follow();
    await cluster.synced();
    cluster.api.put(pods, old);
    cluster.api.put(pods, young);
    cluster.api.put(pods, pod('mark'));
    await eventually(() => cluster.view.podByUid('mark-uid') !== undefined);
    expect(cluster.view.podByIp('10.244.1.7')?.name).toBe('young');
    cluster.api.put(pods, { ...old, status: { ...old.status, conditions: [] } } as typeof old);
    cluster.api.put(pods, pod('another-mark'));
    await eventually(() => cluster.view.podByUid('another-mark-uid') !== undefined);
    expect(cluster.view.podByIp('10.244.1.7')?.name).toBe('young');
  });

  it('of a deleted pod is another pod at once when that has it', async () => {
    cluster.api.put(pods, pod('old', { ip: '10.244.1.7', startTime: '2026-11-25T12:00:00Z' }));
    cluster.follow();
    await cluster.synced();
    cluster.api.delete(pods, 'old-uid');
    await eventually(() => cluster.view.state().pods === 0);
    expect(cluster.view.podByIp('10.244.1.7')?.name).toBe('old');
    cluster.api.put(pods, pod('young', { ip: '10.244.1.7', startTime: '2026-11-25T10:00:00Z' }));
    await eventually(() => cluster.view.podByIp('10.244.1.7')?.name === 'young');
  });

  it('is given up by a pod that has finished: kept for what it sent last, and no longer', async () => {
    const now = () => new Date(Date.now() + cluster.laterMs).toISOString().replace(/\.\d+/, '');
    cluster.follow();
    await cluster.synced();
    cluster.api.put(pods, pod('short', { ip: '10.244.1.7', phase: 'Succeeded', finishedAt: now() }));
    cluster.api.put(pods, pod('long-ago', { ip: '10.244.1.8', phase: 'Failed', finishedAt: '2026-01-01T00:00:00Z' }));
    await eventually(() => cluster.view.podByUid('long-ago-uid') !== undefined);
    expect(cluster.view.podByIp('10.244.1.7')?.name).toBe('short');
    expect(cluster.view.podByIp('10.244.1.8')).toBeUndefined();
    cluster.laterMs += 125_000;
    await eventually(() => cluster.view.podByIp('10.244.1.7') === undefined);
    expect(cluster.view.podByUid('short-uid')?.name).toBe('short');
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
    cluster.api.put(nodes, { metadata: { name: 'node-1', uid: 'node-uid' }, spec });
    cluster.api.put(pods, pod('a', { ip: '10.1.2.99' }));
    cluster.follow();
    await cluster.synced();
    await cluster.synced(nodes);
    expect(cluster.view.isPodAddress(address)).toBe(expected);
  });
});

it('of nodes says which take no new pods, of those that are there', async () => {
  cluster.api.put(nodes, { metadata: { name: 'open', uid: 'open-uid' }, spec: {} });
  cluster.api.put(nodes, { metadata: { name: 'cordoned', uid: 'cordoned-uid' }, spec: { unschedulable: true } });
  cluster.follow();
  await cluster.synced(nodes);
  const told = () => cluster.view.nodes().map(({ name, isUnschedulable }) => `${name} ${isUnschedulable}`);
  expect(told().sort()).toEqual(['cordoned true', 'open false']);
  cluster.api.delete(nodes, 'open-uid');
  cluster.api.put(nodes, { metadata: { name: 'cordoned', uid: 'cordoned-uid' }, spec: {} });
  await eventually(() => told().join() === 'cordoned false');
});

describe('a deleted pod', () => {
  it('is remembered, and then forgotten', async () => {
    cluster.api.put(pods, pod('a', { ip: '10.244.1.7' }));
    cluster.follow();
    await cluster.synced();
    cluster.api.delete(pods, 'a-uid');
    await eventually(() => cluster.view.state().pods === 0);
    cluster.laterMs += 115_000;
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect([
      cluster.view.podByUid('a-uid'),
      cluster.view.podByIp('10.244.1.7'),
      cluster.view.podByName('shop', 'a'),
    ]).not.toContain(undefined);
    cluster.laterMs += 10_000;
    await eventually(() => cluster.view.podByUid('a-uid') === undefined);
    expect([cluster.view.podByIp('10.244.1.7'), cluster.view.podByName('shop', 'a')]).toEqual([undefined, undefined]);
  });

  it('leaves its name to the one that comes after it, for good', async () => {
    cluster.api.put(pods, pod('db-0', { uid: 'first' }));
    cluster.follow();
    await cluster.synced();
    cluster.api.delete(pods, 'first');
    cluster.api.put(pods, pod('db-0', { uid: 'second' }));
    await eventually(() => cluster.view.podByName('shop', 'db-0')?.uid === 'second');
    expect(cluster.view.podByUid('first')?.name).toBe('db-0');
    cluster.laterMs += 125_000;
    await eventually(() => cluster.view.podByUid('first') === undefined);
    expect(cluster.view.podByName('shop', 'db-0')?.uid).toBe('second');
  });

  it('that went while nobody watched goes with the next list', async () => {
    cluster.api.put(pods, pod('a'));
    cluster.api.put(pods, pod('b'));
    cluster.follow();
    await cluster.synced();
    cluster.api.cut(pods, 'end');
    cluster.api.delete(pods, 'a-uid');
    cluster.api.compact();
    await eventually(() => cluster.view.state().pods === 1);
    expect(cluster.view.podByUid('a-uid')?.name).toBe('a');
    expect(cluster.view.state()).toMatchObject({ relists: 1 });
    cluster.laterMs += 125_000;
    await eventually(() => cluster.view.podByUid('a-uid') === undefined);
    expect(cluster.view.podByUid('b-uid')?.name).toBe('b');
  });
});
