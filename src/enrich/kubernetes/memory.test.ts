import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { expect, it } from 'vitest';
import { ApiServer, type SeenRequest } from '../../../test/kit/api-server.ts';

const podCount = 10_000;
const perDeployment = 4;
const MiB = 1024 * 1024;
const hex = (number: number, digits: number) => (number * 2654435761).toString(16).padStart(digits, '0').slice(-digits);

/** As the API server has it of a pod with two containers of which one is a sidecar: about 8 kB. */
function pod(n: number) {
  const deployment = Math.floor(n / perDeployment);
  const name = `service-${deployment}-${hex(deployment, 10)}-${hex(n, 5)}`;
  const uid = `${hex(n, 8)}-aaaa-4aaa-8aaa-${String(n).padStart(12, '0')}`;
  const namespace = `team-${deployment % 50}`;
  const labels = {
    app: `service-${deployment}`,
    'app.kubernetes.io/name': `service-${deployment}`,
    'app.kubernetes.io/instance': `service-${deployment}`,
    'app.kubernetes.io/version': `1.${deployment % 20}.0`,
    'pod-template-hash': hex(deployment, 10),
  };
  const container = (which: string, image: string) => ({
    name: which,
    image,
    env: Array.from({ length: 12 }, (_, each) => ({
      name: `VARIABLE_${each}`,
      value: `value of variable ${each} of ${name}`,
    })),
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '1', memory: '512Mi' } },
    volumeMounts: [
      { name: 'kube-api-access', readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
    ],
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
  });
  const status = (which: string, image: string) => ({
    name: which,
    image,
    imageID: `${image.split(':')[0]}@sha256:${hex(deployment, 64)}`,
    containerID: `containerd://${hex(n, 32)}${hex(which.length, 32)}`,
    ready: true,
    restartCount: 0,
    started: true,
    state: { running: { startedAt: '2026-11-25T10:00:00Z' } },
  });
  const images = [
    ['service', `registry.example.com/shop/service-${deployment}:1.${deployment % 20}.0`],
    ['proxy', 'registry.example.com/mesh/proxy:1.30.2'],
  ] as const;
  const ip = `10.${1 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
  return {
    metadata: {
      name,
      generateName: name.slice(0, -5),
      namespace,
      uid,
      resourceVersion: String(n + 1),
      creationTimestamp: '2026-11-25T10:00:00Z',
      labels,
      annotations: { 'example.com/restarted': '2026-11-25T10:00:00Z', 'example.com/note': 'x'.repeat(300) },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `service-${deployment}-${hex(deployment, 10)}`,
          uid: `rs-${deployment}`,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: [{ manager: 'kubelet', operation: 'Update', fieldsV1: { fields: 'f:x'.repeat(900) } }],
    },
    spec: {
      nodeName: `node-${n % 300}`,
      containers: images.map(([which, image]) => container(which, image)),
      volumes: [{ name: 'kube-api-access', projected: { defaultMode: 420 } }],
      tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' }],
    },
    status: {
      phase: 'Running',
      startTime: '2026-11-25T10:00:00Z',
      podIP: ip,
      podIPs: [{ ip }],
      conditions: ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({ type, status: 'True' })),
      containerStatuses: images.map(([which, image]) => status(which, image)),
    },
  };
}

/** Ten for each Deployment, as it keeps them. */
function replicaSet(n: number) {
  const deployment = Math.floor(n / 10);
  const metadata = {
    name: `service-${deployment}-${hex(n, 10)}`,
    namespace: `team-${deployment % 50}`,
    uid: n % 10 === 0 ? `rs-${deployment}` : `rs-${deployment}-${hex(n, 36)}`,
    ownerReferences: [
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        name: `service-${deployment}`,
        uid: `${hex(deployment, 8)}-bbbb-4bbb-8bbb-bbbbbbbbbbbb`,
        controller: true,
      },
    ],
  };
  return { metadata };
}

function answerList(
  { query }: SeenRequest,
  response: ServerResponse,
  count: number,
  object: (n: number) => object,
): void {
  const from = Number(query.get('continue') ?? 0);
  const to = Math.min(count, from + Number(query.get('limit')));
  const items = Array.from({ length: to - from }, (_, each) => object(from + each));
  const metadata = { resourceVersion: '20000', ...(to < count ? { continue: String(to) } : {}) };
  response.end(JSON.stringify({ metadata, items }));
}

it('ten thousand pods with their owners take less than 64 MiB', async () => {
  const api = await ApiServer.start();
  api.intercept = (seen, response) => {
    if (seen.query.has('watch')) return false;
    if (seen.path === '/api/v1/pods') answerList(seen, response, podCount, pod);
    else if (seen.path === '/apis/apps/v1/replicasets') {
      answerList(seen, response, (podCount / perDeployment) * 10, replicaSet);
    } else return false;
    return true;
  };
  const child = fork(`${import.meta.dirname}/memory.fixture.ts`, [String(api.url)]);
  try {
    const [measured] = (await once(child, 'message')) as [Record<string, number>];
    console.log(
      `${podCount} pods of ${(JSON.stringify(pod(4711)).length / 1000).toFixed(1)} kB and ${(podCount / perDeployment) * 10} ` +
        `ReplicaSets: ${(measured['retainedBytes']! / MiB).toFixed(1)} MiB kept, RSS at most ${(measured['rssBytes']! / MiB).toFixed(1)} MiB more, ` +
        `${(measured['tookMs']! / 1000).toFixed(1)} s, ${(measured['cpuMs']! / 1000).toFixed(1)} s of CPU, loop held ${measured['loopHeldMsMax']!.toFixed(0)} ms at most`,
    );
    expect(measured).toMatchObject({
      pods: podCount,
      known: ['ReplicaSet service-1-009e3779b1', 'Deployment service-1'],
    });
    expect(measured['retainedBytes']).toBeLessThan(64 * MiB);
  } finally {
    child.kill();
    await api.stop();
  }
});
