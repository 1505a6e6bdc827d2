import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repository } from '../kit/documents.ts';
import { hasKubectl, StatedCluster, type StatedObject } from './stated-cluster.ts';

// What install.sh makes of what kubectl tells of a cluster.

/** Calls functions of the scripts against it. @returns what they wrote to stdout and stderr. */
async function call(cluster: StatedCluster, command: string): Promise<string> {
  const parts = ['talk', 'options', 'cluster', 'capacity', 'progress'].map(
    (name) => `. "${join(repository, 'k8s/scripts/lib', name)}.sh"`,
  );
  const folder = 'work=$(mktemp -d); trap \'rm -rf "$work"\' EXIT';
  const { stdout, stderr } = await cluster.run('sh', ['-c', ['set -eu', ...parts, folder, command].join('\n')]);
  return `${stdout}${stderr}`;
}

describe.skipIf(!hasKubectl)('room', () => {
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' }, spec: {} };
  const pod = (namespace: string, name: string, labels?: Record<string, string>): StatedObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, ...(labels && { labels }) },
    spec: {
      nodeName: 'a',
      containers: [{ resources: { requests: { cpu: '100m', memory: '64Mi' } }, ports: [{ hostPort: 4317 }] }, {}],
    },
  });
  const of = (release: string) => ({
    'app.kubernetes.io/part-of': 'watchingcat',
    'app.kubernetes.io/instance': release,
  });
  it('is free where pods of this release are, and of no other in whatever namespace', async () => {
    await using cluster = await StatedCluster.start({
      objects: [
        { ...node, status: { allocatable: { cpu: '4', memory: '8Gi' } } },
        pod('observability', 'ours', of('watchingcat')),
        pod('observability', 'theirs', of('other')),
        pod('staging', 'same-name', of('watchingcat')),
        pod('shop', 'no-labels'),
        pod('shop', 'same-instance', { 'app.kubernetes.io/instance': 'watchingcat' }),
      ],
    });
    expect(
      (await call(cluster, 'read_room "$work/room"; cat "$work/room"')).replaceAll('\t', ' ').trim().split('\n'),
    ).toEqual([
      'node a 4 8Gi ',
      ...['observability/theirs', 'staging/same-name', 'shop/no-labels', 'shop/same-instance'].map(
        (name) => `pod a ${name} 100m,, 64Mi,, 4317,`,
      ),
    ]);
  });
});

describe.skipIf(!hasKubectl)('a pod that is not ready', () => {
  const labels = {
    app: 'web',
    'app.kubernetes.io/part-of': 'watchingcat',
    'app.kubernetes.io/instance': 'watchingcat',
  };
  const terminated = { terminated: { reason: 'Error', exitCode: 3 } };
  const waiting = { waiting: { reason: 'CrashLoopBackOff', message: 'back-off "5m"' } };
  const running = { running: { startedAt: '2026-01-01T00:00:00Z' } };
  it('is told with each of its containers', async () => {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web-1', namespace: 'observability', labels } };
    await using cluster = await StatedCluster.start({
      objects: [
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'web', namespace: 'observability', labels, generation: 1 },
          spec: { replicas: 1 },
          status: {},
        },
        {
          ...pod,
          status: {
            conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no room' }],
            initContainerStatuses: [{ name: 'wait', image: 'wait:1', state: waiting, lastState: terminated }],
            containerStatuses: [
              { name: 'main', image: 'web:1', state: waiting, lastState: terminated },
              { name: 'side', image: 'side:1', state: running, lastState: {} },
            ],
          },
        },
      ],
      kinds: ['apps/v1 DaemonSet', 'apps/v1 StatefulSet', 'v1 Event'],
    });
    const told = await call(cluster, 'look; cat "$work/pods"');
    expect(
      told
        .split('\n')
        .filter((line) => line !== '')
        .sort(),
    ).toEqual(
      [
        'ended|web|web-1|main|Error|web:1|exit code 3',
        'ended|web|web-1|wait|Error|wait:1|exit code 3',
        'running|web|web-1|side|-|side:1|',
        'unscheduled|web|web-1|-|Unschedulable|-|"no room"',
        'waiting|web|web-1|main|CrashLoopBackOff|web:1|"back-off \\"5m\\""',
        'waiting|web|web-1|wait|CrashLoopBackOff|wait:1|"back-off \\"5m\\""',
      ].map((line) => line.replaceAll('|', '\t')),
    );
  });
});

/** A helm whose chart is one Deployment, which asks for what the size says: 8 CPUs, or small 4. */
const helm = `template*)
  cpu=8
  case "$*" in *size=small*) cpu=4 ;; esac
  echo '{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": {"containers": [
    {"image": "web:1", "resources": {"requests": {"cpu": "'$cpu'", "memory": "1Gi"}}}]}}}}' ;;`.replace(
  'template*',
  '*" template "*',
);

async function dryRun(stated: { denied?: string[]; helm?: string }, ...args: string[]) {
  const nodes = ['a', 'b'].map((name) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: {},
    status: { allocatable: { cpu: '2', memory: '4Gi' } },
  }));
  await using cluster = await StatedCluster.start({
    objects: nodes,
    kinds: ['apps/v1 Deployment', 'v1 Secret'],
    ...stated,
    helm: `${helm}\n${stated.helm ?? ''}`,
  });
  return await cluster.run(join(repository, 'k8s/scripts/install.sh'), ['--dry-run', ...args]);
}

describe.skipIf(!hasKubectl)('install.sh', () => {
  it('goes on with --force with the size that it has looked at', async () => {
    const { code, stdout, stderr } = await dryRun({}, '--force');
    expect(stderr).toMatch(/8.0 CPU and 1.0 GiB do not fit into what is free; sized down/);
    expect(stderr).toMatch(
      /4.0 CPU and 1.0 GiB are asked for, 4.0 CPU and 8.0 GiB are free on 2 node\(s\): no place for web/,
    );
    expect(stderr).toMatch(/dry run: helm upgrade .*--set size=small/);
    expect(stdout).toContain('"cpu": "4"');
    expect(code).toBe(0);
  });
  it.each(['--size medium', '--set size=medium', '-- --set size=medium', '-- --set=size=medium'])(
    'leaves a size alone that is given: %s',
    async (args) => {
      const { stdout, stderr } = await dryRun({}, '--force', ...args.split(' '));
      expect(stderr).not.toContain('size=small');
      expect(stdout).toContain('"cpu": "8"');
    },
  );
  it.each([
    { release: 'none', helm: '', lacks: 'deployments.apps: create' },
    { release: 'one', helm: '*" status "*) ;;', lacks: 'deployments.apps: create patch delete' },
  ])('asks for the rights that helm needs where there is $release', async ({ helm: status, lacks }) => {
    const denied = ['* *', ...['create', 'patch', 'delete'].map((verb) => `${verb} deployments.apps`)];
    const { code, stderr } = await dryRun({ denied, helm: status }, '--size', 'small');
    expect(stderr.split('\n').map((line) => line.trim())).toContain(lacks);
    expect(code).toBe(1);
  });
});
