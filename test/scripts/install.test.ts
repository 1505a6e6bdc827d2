import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repository } from '../kit/documents.ts';
import { hasKubectl, StatedCluster, type StatedObject } from './stated-cluster.ts';

// What install.sh makes of what kubectl tells of a cluster.

/** Calls functions of the scripts against it. @returns what they wrote to stdout and stderr. */
async function call(cluster: StatedCluster, command: string): Promise<string> {
  const parts = ['talk', 'options', 'cluster', 'capacity'].map(
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
