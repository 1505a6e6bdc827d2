import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiServer } from './api-server.ts';

const owner = (kind: string, name: string, uid: string) => ({
  kind,
  name,
  uid,
  controller: true,
  apiVersion: 'apps/v1',
});

/** An API server that tells of one node, `node-1` with the pod range 10.244.1.0/24, and of the deployment `cart` in `shop`, without pods. */
export async function startShopCluster(): Promise<ApiServer> {
  const api = await ApiServer.start();
  api.put('/api/v1/namespaces', { metadata: { name: 'kube-system', uid: 'cluster-uid' } });
  api.put('/api/v1/nodes', { metadata: { name: 'node-1', uid: 'node-uid' }, spec: { podCIDRs: ['10.244.1.0/24'] } });
  api.put('/apis/apps/v1/replicasets', {
    metadata: { name: 'cart-6d5f', namespace: 'shop', uid: 'rs', ownerReferences: [owner('Deployment', 'cart', 'd')] },
  });
  return api;
}

/** A pod of the deployment `cart` appears. */
export function putShopPod(
  api: ApiServer,
  pod: { readonly uid: string; readonly name: string; readonly address: string; readonly image: string },
): void {
  api.put('/api/v1/pods', {
    metadata: {
      name: pod.name,
      namespace: 'shop',
      uid: pod.uid,
      labels: { 'pod-template-hash': '6d5f', team: 'blue' },
      ownerReferences: [owner('ReplicaSet', 'cart-6d5f', 'rs')],
    },
    spec: { nodeName: 'node-1', containers: [{ name: 'app', image: pod.image }] },
    status: { phase: 'Running', podIP: pod.address, podIPs: [{ ip: pod.address }], containerStatuses: [] },
  });
}

/** @returns Its path. The token in it must not be seen anywhere. */
export function writeKubeconfig(folder: string, server: string): string {
  const path = join(folder, 'kubeconfig');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server } }],
    users: [{ name: 'u', user: { token: 'canary-f00d' } }],
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}
