import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PlainCluster, podOf } from '../../../test/kit/cluster-view.ts';
import { enrichedBy, requestOf, resourcesOf } from '../../../test/kit/enrich.ts';
import { systemClock } from '../../base/index.ts';
import { defaultLimits, walk } from '../../otlp/index.ts';
import type { ContainerFacts, PodFacts } from './contract.ts';
import { type KubernetesEnrichmentOptions, kubernetesEnrichment } from './enrichment.ts';

const options: KubernetesEnrichmentOptions = {
  labels: new Set(),
  annotations: new Set(),
  useServiceLabels: false,
  always: [],
  clusterName: undefined,
  waitMs: 0,
  clock: systemClock,
};

type Attributes = Parameters<typeof requestOf>[1];

/** What one resource holds in the log, as an object. */
async function stored(
  cluster: PlainCluster,
  attributes: Attributes,
  told: {
    sender?: string;
    signal?: 'traces' | 'metrics' | 'logs';
    options?: Partial<KubernetesEnrichmentOptions>;
  } = {},
): Promise<Record<string, unknown>> {
  const { enrich } = kubernetesEnrichment(cluster, { ...options, ...told.options });
  const signal = told.signal ?? 'traces';
  const { bytes } = await enrichedBy(enrich, signal, requestOf(signal, attributes), told.sender);
  return Object.fromEntries(resourcesOf(signal, bytes)[0] ?? []);
}

/** A cluster with the pod `cart` at 10.244.1.5. */
function clusterWith(told: Partial<PodFacts> = {}): PlainCluster {
  const cluster = new PlainCluster();
  cluster.put(podOf(told), '10.244.1.5');
  return cluster;
}

const ofPod = {
  'k8s.namespace.name': 'shop',
  'k8s.pod.name': 'cart-6d5f-x2x',
  'k8s.pod.uid': podOf().uid,
  'k8s.pod.ip': '10.244.1.5',
  'k8s.pod.start_time': '2026-11-25T10:00:00Z',
  'k8s.node.name': 'node-1',
  'k8s.cluster.uid': new PlainCluster().clusterUid,
  'k8s.replicaset.name': 'cart-6d5f',
  'k8s.replicaset.uid': 'rs-uid',
  'k8s.deployment.name': 'cart',
  'k8s.deployment.uid': 'deployment-uid',
  'service.name': 'cart',
  'service.namespace': 'shop',
};
const ofContainer = {
  'k8s.container.name': 'app',
  'container.id': podOf().containers[0]?.id,
  'container.image.name': 'registry.example.com/shop/cart',
  'container.image.tags': ['1.4.2'],
  'container.image.repo_digests': ['registry.example.com/shop/cart@sha256:0123456789abcdef'],
  'service.version': '1.4.2@sha256:0123456789abcdef',
  'service.instance.id': 'shop.cart-6d5f-x2x.app',
};

describe('what is added', () => {
  it('for a process in the only container: pod, owners, node, cluster, container, service', async () => {
    expect(await stored(clusterWith(), {}, { sender: '10.244.1.5' })).toEqual({ ...ofPod, ...ofContainer });
  });

  it('to a resource message that is not there', async () => {
    expect(await stored(clusterWith(), undefined, { sender: '10.244.1.5' })).toEqual({ ...ofPod, ...ofContainer });
  });

  it('for a line of a container log: the container that it names', async () => {
    const sidecar = {
      name: 'proxy',
      kind: 'app' as const,
      imageName: 'proxy',
      imageTag: undefined,
      imageRepoDigest: undefined,
      id: undefined,
    };
    const cluster = clusterWith({ containers: [...podOf().containers, sidecar] });
    const told = { 'k8s.pod.uid': podOf().uid, 'k8s.container.name': 'proxy' };
    expect(await stored(cluster, told, { signal: 'logs' })).toEqual({
      ...ofPod,
      'k8s.container.name': 'proxy',
      'container.image.name': 'proxy',
      'service.instance.id': 'shop.cart-6d5f-x2x.proxy',
    });
  });

  // As the Collector's k8s_events receiver sends them: the namespace is on the record.
  it.each([
    ['about a container', 'spec.containers{app}', { ...ofPod, ...ofContainer }],
    ['about the pod', '', ofPod],
    ['about a container that the pod has not', 'spec.initContainers{migrate}', ofPod],
  ])('for an event of Kubernetes %s', async (_, fieldpath, added) => {
    const told = {
      'k8s.object.kind': 'Pod',
      'k8s.object.name': podOf().name,
      'k8s.object.uid': podOf().uid,
      'k8s.object.fieldpath': fieldpath,
      'k8s.node.name': 'node-1',
    };
    expect(await stored(clusterWith(), told, { signal: 'logs' })).toEqual({ ...told, ...added });
  });

  it('for no event of Kubernetes that is about something else, or about a pod of another UID', async () => {
    for (const [kind, uid] of [
      ['Deployment', podOf().uid],
      ['Pod', 'another'],
    ] as const) {
      const told = { 'k8s.object.kind': kind, 'k8s.object.name': podOf().name, 'k8s.object.uid': uid };
      expect(await stored(clusterWith(), told, { signal: 'logs', sender: '10.244.1.5' })).toEqual(told);
    }
  });

  it.each([
    ['whole', 'c0ffee0000000000000000000000000000000000000000000000000000000000', true],
    ['with the scheme', 'containerd://c0ffee0000000000000000000000000000000000000000000000000000000000', true],
    ['its first digits', 'c0ffee000000', true],
    ['too few of them', 'c0ffee', false],
    ['of another', 'badbadbadbadbad', false],
  ])('the container by its id: %s', async (_, id, found) => {
    const told = { 'k8s.pod.uid': podOf().uid, 'container.id': id };
    const { 'k8s.container.name': container, 'container.id': kept } = await stored(clusterWith(), told);
    expect(container).toBe(found ? 'app' : undefined);
    expect(kept).toBe(id);
  });

  it('the container that is left when those are not counted that only prepare or debug', async () => {
    const [app] = podOf().containers;
    const others = (['init', 'ephemeral'] as const).map((kind) => ({ ...app!, kind, name: kind, id: undefined }));
    const cluster = clusterWith({ containers: [...others, app!] });
    expect(await stored(cluster, {}, { sender: '10.244.1.5' })).toMatchObject(ofContainer);
  });

  it.each([
    ['of a pod as a whole', {}, undefined],
    ['of an SDK', { 'telemetry.sdk.language': 'nodejs' }, 'app'],
    ['of a service', { 'service.name': 'mine' }, 'app'],
  ])('no container for what is measured %s', async (_, more, container) => {
    const told = { 'k8s.pod.uid': podOf().uid, ...more };
    expect((await stored(clusterWith(), told, { signal: 'metrics' }))['k8s.container.name']).toBe(container);
  });

  it('the node’s UID, and what becomes known later', async () => {
    const cluster = clusterWith();
    cluster.clusterUid = undefined;
    const { enrich } = kubernetesEnrichment(cluster, options);
    const request = requestOf('traces', { 'k8s.pod.uid': podOf().uid });
    const now = async () =>
      Object.fromEntries(resourcesOf('traces', (await enrichedBy(enrich, 'traces', request)).bytes)[0]!);
    expect(await now()).not.toHaveProperty(['k8s.node.uid']);
    cluster.nodeUids.set('node-1', 'node-uid');
    cluster.clusterUid = 'cluster-uid';
    expect(await now()).toMatchObject({ 'k8s.node.uid': 'node-uid', 'k8s.cluster.uid': 'cluster-uid' });
    cluster.put(podOf({ nodeName: 'node-2', containers: [] }), '10.244.1.5');
    expect(await now()).toMatchObject({ 'k8s.node.name': 'node-2' });
    expect(await now()).not.toHaveProperty(['k8s.node.uid']);
  });

  it('labels and annotations that were asked for, those of OpenTelemetry always, and none that is long', async () => {
    const cluster = clusterWith({
      labels: { team: 'blue', app: 'cart' },
      annotations: {
        owner: 'ann',
        note: 'x'.repeat(5_000),
        'kubectl.kubernetes.io/last-applied-configuration': '{}',
        'resource.opentelemetry.io/service.name': 'basket',
        'resource.opentelemetry.io/tier': 'gold',
        'resource.opentelemetry.io/': 'nothing',
        'resource.opentelemetry.io/k8s.pod.name': 'another',
      },
    });
    const told = { 'k8s.pod.uid': podOf().uid };
    const annotated = { ...ofPod, 'service.name': 'basket', tier: 'gold' };
    expect(await stored(cluster, told)).toEqual(annotated);
    expect(
      await stored(cluster, told, { options: { labels: new Set(['team']), annotations: new Set(['owner', 'note']) } }),
    ).toEqual({ ...annotated, 'k8s.pod.label.team': 'blue', 'k8s.pod.annotation.owner': 'ann' });
    expect(Object.keys(await stored(cluster, told, { options: { labels: 'all', annotations: 'all' } }))).toEqual(
      expect.arrayContaining(['k8s.pod.label.app', 'k8s.pod.annotation.resource.opentelemetry.io/tier']),
    );
    expect(await stored(cluster, told, { options: { annotations: 'all' } })).not.toHaveProperty([
      'k8s.pod.annotation.kubectl.kubernetes.io/last-applied-configuration',
    ]);
  });

  it('what is configured, once, and after what the pod’s annotations say', async () => {
    const cluster = clusterWith({ annotations: { 'resource.opentelemetry.io/environment': 'canary' } });
    const told = { options: { always: [['environment', 'prod'] as const, ['cluster.name', 'c'] as const] } };
    expect(await stored(cluster, { 'k8s.pod.uid': podOf().uid }, told)).toMatchObject({
      environment: 'canary',
      'cluster.name': 'c',
    });
    expect(await stored(cluster, { a: '1' }, told)).toEqual({ a: '1', environment: 'prod', 'cluster.name': 'c' });
  });
});

const owner = (kind: PodFacts['owners'][number]['kind'], name: string) => ({ kind, name, uid: undefined });
const labels = {
  'app.kubernetes.io/instance': 'release',
  'app.kubernetes.io/name': 'chart',
  'app.kubernetes.io/version': '9',
};
const image = (imageTag: string | undefined, imageRepoDigest: string | undefined): readonly ContainerFacts[] => [
  { name: 'app', kind: 'app', imageName: 'i', imageTag, imageRepoDigest, id: undefined },
];
const annotation = (key: string, value: string) => ({ [`resource.opentelemetry.io/${key}`]: value });

describe('service.* in the order of the conventions', () => {
  it.each<[string, Partial<PodFacts>, boolean, string]>([
    ['annotation before labels', { annotations: annotation('service.name', 'a'), labels }, true, 'a'],
    ['label instance', { labels }, true, 'release'],
    ['label name', { labels: { 'app.kubernetes.io/name': 'chart' } }, true, 'chart'],
    ['labels are not opted into', { labels }, false, 'cart'],
    ['deployment before replica set', {}, true, 'cart'],
    ['replica set alone', { owners: [owner('ReplicaSet', 'rs')] }, true, 'rs'],
    ['stateful set', { owners: [owner('StatefulSet', 'db')] }, true, 'db'],
    ['daemon set', { owners: [owner('DaemonSet', 'agent')] }, true, 'agent'],
    [
      'cron job before its job',
      { owners: [owner('Job', 'nightly-123'), owner('CronJob', 'nightly')] },
      true,
      'nightly',
    ],
    ['job', { owners: [owner('Job', 'once')] }, true, 'once'],
    ['a bare pod', { owners: [] }, true, 'cart-6d5f-x2x'],
  ])('name: %s', async (_, pod, useServiceLabels, name) => {
    const cluster = clusterWith(pod);
    expect(await stored(cluster, {}, { sender: '10.244.1.5', options: { useServiceLabels } })).toMatchObject({
      'service.name': name,
    });
  });

  it.each<[string, Partial<PodFacts>, string | undefined]>([
    ['annotation', { annotations: annotation('service.version', 'a'), labels }, 'a'],
    ['label', { labels }, '9'],
    ['tag and digest', { containers: image('1', 'i@sha256:d') }, '1@sha256:d'],
    ['digest', { containers: image(undefined, 'i@sha256:d') }, 'sha256:d'],
    ['tag', { containers: image('1', undefined) }, '1'],
    ['nothing', { containers: image(undefined, undefined) }, undefined],
  ])('version: %s', async (_, pod, version) => {
    const attributes = await stored(
      clusterWith(pod),
      {},
      { sender: '10.244.1.5', options: { useServiceLabels: true } },
    );
    expect(attributes['service.version']).toBe(version);
  });

  it('namespace and instance: annotation, then where the pod is', async () => {
    const annotations = { ...annotation('service.namespace', 'n'), ...annotation('service.instance.id', 'i') };
    expect(await stored(clusterWith({ annotations }), {}, { sender: '10.244.1.5' })).toMatchObject({
      'service.namespace': 'n',
      'service.instance.id': 'i',
    });
  });

  it('a name that the SDK made up is the sender’s all the same', async () => {
    expect(
      await stored(clusterWith(), { 'service.name': 'unknown_service:node' }, { sender: '10.244.1.5' }),
    ).toMatchObject({
      'service.name': 'unknown_service:node',
      'k8s.deployment.name': 'cart',
    });
  });
});

describe('association', () => {
  const other = podOf({ uid: 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb', name: 'pay-1', namespace: 'money', owners: [] });
  const two = () => {
    const cluster = clusterWith();
    cluster.put(other, '10.244.2.6', 'fd00::6');
    return cluster;
  };
  const cart = podOf().name;
  it.each<[string, Record<string, string>, string, string | undefined]>([
    ['address before connection', { 'k8s.pod.ip': '10.244.2.6' }, '10.244.1.5', 'pay-1'],
    ['an address in another spelling', { 'k8s.pod.ip': 'FD00:0:0::6' }, '', 'pay-1'],
    ['IPv4 in IPv6', { 'k8s.pod.ip': '::ffff:10.244.2.6' }, '', 'pay-1'],
    ['UID where the address is not known', { 'k8s.pod.ip': '192.0.2.1', 'k8s.pod.uid': other.uid }, '', 'pay-1'],
    [
      'UID where the address is another pod’s by now',
      { 'k8s.pod.ip': '10.244.1.5', 'k8s.pod.uid': other.uid },
      '',
      'pay-1',
    ],
    ['UID', { 'k8s.pod.uid': other.uid }, '10.244.1.5', 'pay-1'],
    ['namespace and name', { 'k8s.namespace.name': 'money', 'k8s.pod.name': 'pay-1' }, '10.244.1.5', 'pay-1'],
    ['a name in another namespace', { 'k8s.namespace.name': 'shop', 'k8s.pod.name': 'pay-1' }, '', undefined],
    ['connection', {}, '10.244.1.5', cart],
    ['connection, beside attributes of another kind', { 'service.name': 'x', 'host.name': 'y' }, '10.244.1.5', cart],
    ['no connection where the cluster is spoken of', { 'k8s.node.name': 'n' }, '10.244.1.5', undefined],
    ['a connection from elsewhere', {}, '192.0.2.9', undefined],
    ['no sender', {}, '', undefined],
  ])('%s', async (_, told, sender, deployment) => {
    const attributes = await stored(two(), told, { sender });
    expect(attributes['k8s.pod.uid']).toBe(
      deployment === undefined ? told['k8s.pod.uid'] : deployment === cart ? podOf().uid : other.uid,
    );
  });

  it('a name that another pod has taken over: not by another UID', async () => {
    const told = { 'k8s.namespace.name': 'shop', 'k8s.pod.name': cart, 'k8s.pod.uid': 'an-earlier-one' };
    expect(await stored(clusterWith(), told)).toEqual(told);
  });

  it('a static pod, whose log files are named by the hash of its configuration', async () => {
    const cluster = clusterWith({ annotations: { 'kubernetes.io/config.hash': 'abc123' } });
    const told = { 'k8s.namespace.name': 'shop', 'k8s.pod.name': cart, 'k8s.pod.uid': 'abc123' };
    expect(await stored(cluster, told)).toMatchObject({ ...told, 'k8s.deployment.name': 'cart' });
  });

  it.each<[string, Partial<PodFacts>, boolean]>([
    ['the agent', { labels: { app: 'watchingcat-otel-agent' } }, false],
    ['the gateway', { labels: { app: 'watchingcat-otel-deployment' } }, false],
    [
      'a Collector by its image',
      { containers: image('1', undefined).map((c) => ({ ...c, imageName: 'otel/opentelemetry-collector-contrib' })) },
      false,
    ],
    [
      'an application beside a Collector',
      {
        containers: ['shop/cart', 'otel/opentelemetry-collector'].map((imageName) => ({
          ...image('1', undefined)[0]!,
          imageName,
          name: imageName,
        })),
      },
      true,
    ],
    [
      'an application that has it in its path only',
      { containers: image('1', undefined).map((c) => ({ ...c, imageName: 'otelcol/cart' })) },
      true,
    ],
  ])('by connection, from %s', async (_, pod, found) => {
    const attributes = await stored(clusterWith(pod), { a: '1' }, { sender: '10.244.1.5' });
    expect('k8s.pod.uid' in attributes).toBe(found);
    // What it names is looked up all the same.
    expect(await stored(clusterWith(pod), { 'k8s.pod.ip': '10.244.1.5' })).toHaveProperty(['k8s.pod.uid']);
  });

  it('nothing of ours on what comes from another cluster', async () => {
    const told = { 'k8s.pod.ip': '10.244.1.5' };
    const foreign = { ...told, 'k8s.cluster.uid': 'another' };
    expect(await stored(clusterWith(), foreign)).toEqual(foreign);
    const named = { ...told, 'k8s.cluster.name': 'blue' };
    expect(await stored(clusterWith(), named, { options: { clusterName: 'green' } })).toEqual(named);
    expect(await stored(clusterWith(), named, { options: { clusterName: 'blue' } })).toHaveProperty(['k8s.pod.uid']);
    expect(await stored(clusterWith(), named)).toHaveProperty(['k8s.pod.uid']);
  });
});

it('says what a service is called that did not say it itself', async () => {
  const cluster = clusterWith();
  const { enrich } = kubernetesEnrichment(cluster, options);
  const pod = { 'k8s.pod.uid': podOf().uid };
  const request = requestOf('logs', pod, { ...pod, 'service.name': 'mine' }, {}, pod);
  expect((await enrichedBy(enrich, 'logs', request)).services).toEqual(['cart', undefined, undefined, 'cart']);
});

it('counts records by how their pod was found', async () => {
  const cluster = clusterWith();
  const enrichment = kubernetesEnrichment(cluster, options);
  const request = requestOf(
    'logs',
    { 'k8s.pod.ip': '10.244.1.5' },
    {},
    { 'k8s.pod.uid': 'x' },
    { 'k8s.node.name': 'n' },
  );
  await enrichedBy(enrichment.enrich, 'logs', request, '10.244.1.5');
  await enrichedBy(enrichment.enrich, 'logs', request, '10.244.1.5');
  expect(enrichment.counts()).toEqual({
    matched: [
      { signal: 'logs', source: 'pod_ip', records: 2 },
      { signal: 'logs', source: 'connection', records: 2 },
    ],
    missed: [{ signal: 'logs', reason: 'off', records: 2 }],
  });
});

const key = fc.constantFrom(
  'a',
  'k8s.pod.uid',
  'k8s.pod.ip',
  'k8s.pod.name',
  'k8s.namespace.name',
  'k8s.container.name',
  'k8s.node.name',
  'container.id',
  'container.image.tags',
  'container.image.repo_digests',
  'service.name',
  'service.version',
  'environment',
  'tier',
  '',
);
const text = fc.oneof(
  fc.constantFrom('10.244.1.5', podOf().uid, podOf().name, 'shop', 'app', 'c0ffee000000', 'nobody'),
  fc.string({ maxLength: 20 }).filter((value) => value.isWellFormed()),
);
const value = fc.oneof(
  text.map((stringValue) => ({ stringValue })),
  fc.integer({ min: 0, max: 99 }).map((number) => ({ intValue: String(number) })),
);
const resources = fc.array(fc.option(fc.dictionary(key, value, { noNullPrototype: true }), { nil: undefined }), {
  maxLength: 5,
});

it('whatever is sent is kept as it was and where it was, no key comes twice, and the bytes are OTLP', async () => {
  const cluster = clusterWith({ annotations: { ...annotation('tier', 'gold'), ...annotation('environment', 'e') } });
  const { enrich } = kubernetesEnrichment(cluster, { ...options, labels: 'all', always: [['environment', 'prod']] });
  await fc.assert(
    fc.asyncProperty(
      resources,
      fc.constantFrom('traces', 'metrics', 'logs'),
      fc.constantFrom('', '10.244.1.5'),
      async (sent, signal, sender) => {
        const before = requestOf(signal, ...sent);
        const { bytes } = await enrichedBy(enrich, signal, before, sender);
        const walked = walk(signal, bytes, defaultLimits);
        expect(walked.clean).toBe(true);
        expect(walked.records).toBe(sent.length);
        const was = resourcesOf(signal, before);
        resourcesOf(signal, bytes).forEach((attributes, index) => {
          expect(attributes.slice(0, was[index]!.length)).toEqual(was[index]);
          expect(new Set(attributes.map(([name]) => name)).size).toBe(attributes.length);
        });
      },
    ),
    { numRuns: 300 },
  );
});
