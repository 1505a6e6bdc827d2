import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repository } from '../kit/documents.ts';
import { hasKubectl, StatedCluster, type StatedObject } from './stated-cluster.ts';

// What uninstall.sh --delete-namespace looks at before it removes a namespace.

let made = 0;
function object(
  type: string,
  name: string,
  metadata: Record<string, unknown> = {},
  more: Record<string, unknown> = {},
): StatedObject {
  const [apiVersion = '', kind = ''] = type.split(' ');
  return {
    apiVersion,
    kind,
    metadata: { name, namespace: 'observability', uid: `uid-${made++}`, ...metadata },
    ...more,
  };
}
const release = { 'app.kubernetes.io/part-of': 'watchingcat', 'app.kubernetes.io/instance': 'watchingcat' };
const byHelm = { 'meta.helm.sh/release-name': 'watchingcat', 'meta.helm.sh/release-namespace': 'observability' };
const owned = (uid: string) => ({ ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Any', name: 'any', uid }] });

/** What is there after an installation, and what Kubernetes makes in each namespace. */
const usual: readonly StatedObject[] = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'observability', uid: 'namespace' } },
  object('v1 ServiceAccount', 'default', { uid: 'default' }),
  object('v1 ServiceAccount', 'watchingcat-backend', { labels: release }),
  object('v1 Secret', 'default-token-x7k2p', { annotations: { 'kubernetes.io/service-account.name': 'default' } }),
  object('v1 Secret', 'sh.helm.release.v1.watchingcat.v1', { labels: { owner: 'helm', name: 'watchingcat' } }),
  object('v1 ConfigMap', 'kube-root-ca.crt'),
  object('v1 ConfigMap', 'extra', { annotations: byHelm }),
  object('v1 Event', 'watchingcat-backend.17'),
  object('v1 Endpoints', 'watchingcat-backend'),
  object('events.k8s.io/v1 Event', 'watchingcat-backend.17'),
  object('discovery.k8s.io/v1 EndpointSlice', 'watchingcat-backend-abcde'),
  object('metrics.k8s.io/v1beta1 PodMetrics', 'watchingcat-backend-1', { uid: undefined }),
  object('coordination.k8s.io/v1 Lease', 'watchingcat-otel-deployment'),
  object('apps/v1 Deployment', 'watchingcat-backend', {
    uid: 'backend',
    labels: { app: 'watchingcat-backend', ...release },
  }),
  object('apps/v1 ReplicaSet', 'watchingcat-backend-7f', { uid: 'replicas', ...owned('backend') }),
  object('v1 Pod', 'watchingcat-backend-7f-1', owned('replicas')),
  object('v1 Pod', 'going', { deletionTimestamp: '2026-01-01T00:00:00Z' }),
];

async function uninstall(objects: readonly StatedObject[], forbidden: readonly string[] = [], ...args: string[]) {
  await using cluster = await StatedCluster.start({ objects: [...usual, ...objects], forbidden });
  const script = join(repository, 'k8s/scripts/uninstall.sh');
  const { code, stderr } = await cluster.run(script, ['--delete-namespace', '--yes', ...args]);
  return { code, stderr, isGone: cluster.changes.includes('DELETE /api/v1/namespaces/observability') };
}

describe.skipIf(!hasKubectl)('uninstall.sh --delete-namespace', () => {
  it('removes a namespace that holds the release, and what Kubernetes makes itself', async () => {
    const { code, stderr, isGone } = await uninstall([]);
    expect(stderr).toContain('namespace observability is gone');
    expect([code, isGone]).toEqual([0, true]);
  });

  it('keeps one that holds anything else, and names it', async () => {
    const { code, stderr, isGone } = await uninstall(
      [
        object('v1 ConfigMap', 'settings'),
        object('v1 Secret', 'password'),
        object('v1 Pod', 'debug'),
        object('v1 Service', 'shop'),
        object('networking.k8s.io/v1 Ingress', 'shop'),
        object('example.com/v1 Backup', 'nightly'),
        object('v1 ServiceAccount', 'robot'),
        object('v1 PersistentVolumeClaim', 'shop-data'),
        // A token that somebody had made for the ServiceAccount that each namespace has.
        object('v1 Secret', 'ci', { annotations: { 'kubernetes.io/service-account.name': 'default' } }),
        // What belongs to something outside of the namespace; what belongs to this goes with it, and is not named.
        object('apps/v1 Deployment', 'database', { uid: 'database', ...owned('cluster-wide') }),
        object('apps/v1 ReplicaSet', 'database-5d', owned('database')),
        // Of the same chart under another name; of another release; what the release shall leave behind.
        object('v1 ConfigMap', 'grafana', { labels: { ...release, 'app.kubernetes.io/instance': 'other' } }),
        object('v1 Secret', 'sh.helm.release.v1.shop.v3', { labels: { owner: 'helm', name: 'shop' } }),
        object('v1 ConfigMap', 'kept', { annotations: { ...byHelm, 'helm.sh/resource-policy': 'keep' } }),
      ],
      [],
      '--volumes',
    );
    const [, named = ''] = stderr.split('namespace observability holds more than this, and stays:\n');
    expect(named.trim().split(/\s+/)).toEqual([
      'backup.example.com/nightly',
      'configmap/grafana',
      'configmap/kept',
      'configmap/settings',
      'deployment.apps/database',
      'ingress.networking.k8s.io/shop',
      'persistentvolumeclaim/shop-data',
      'pod/debug',
      'secret/ci',
      'secret/password',
      'secret/sh.helm.release.v1.shop.v3',
      'service/shop',
      'serviceaccount/robot',
    ]);
    expect([code, isGone]).toEqual([1, false]);
  });

  it('keeps one of which not all can be looked at, and says what', async () => {
    const { code, stderr, isGone } = await uninstall([object('v1 Secret', 'password')], ['secrets']);
    expect(stderr).toMatch(/namespace observability stays: not everything in it can be looked at\n.*secrets/);
    expect([code, isGone]).toEqual([1, false]);
  });
});
