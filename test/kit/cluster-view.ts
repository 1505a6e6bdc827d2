import type { ClusterState, ClusterView, NodeFacts, PodFacts } from '../../src/enrich/kubernetes/contract.ts';

/** A cluster of plain data, to which a test adds pods as the API server would tell of them. */
export class PlainCluster implements ClusterView {
  clusterUid: string | undefined = '11111111-1111-4111-8111-111111111111';
  status: ClusterState['status'] = 'synced';
  lastError: string | undefined;
  /** Addresses that begin so are pods'. */
  podPrefix = '10.244.';
  readonly nodeUids = new Map<string, string>();
  readonly #pods = new Map<string, { readonly pod: PodFacts; readonly addresses: readonly string[] }>();
  readonly #listeners = new Set<(pod: PodFacts, addresses: readonly string[]) => void>();

  /** A pod appears, or is another than it was. */
  put(pod: PodFacts, ...addresses: string[]): PodFacts {
    this.#pods.set(pod.uid, { pod, addresses });
    for (const listener of this.#listeners) listener(pod, addresses);
    return pod;
  }

  podByUid(uid: string): PodFacts | undefined {
    return this.#pods.get(uid)?.pod;
  }
  podByIp(address: string): PodFacts | undefined {
    return [...this.#pods.values()].find(({ pod, addresses }) => !pod.hostNetwork && addresses.includes(address))?.pod;
  }
  podByName(namespace: string, name: string): PodFacts | undefined {
    return [...this.#pods.values()].find(({ pod }) => pod.namespace === namespace && pod.name === name)?.pod;
  }
  nodeUid(name: string): string | undefined {
    return this.nodeUids.get(name);
  }
  nodes(): readonly NodeFacts[] {
    return [...this.nodeUids.keys()].map((name) => ({ name, isUnschedulable: false }));
  }
  isPodAddress(address: string): boolean {
    return this.status !== 'starting' && address.startsWith(this.podPrefix);
  }
  onPod(listener: (pod: PodFacts, addresses: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  state(): ClusterState {
    const { status, lastError } = this;
    return { status, lastError, pods: this.#pods.size, ageSeconds: 0, relists: 0 };
  }
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

/** A pod of the deployment `cart` with one container, but for what is told otherwise. */
export function podOf(told: Partial<PodFacts> = {}): PodFacts {
  return {
    uid: 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa',
    name: 'cart-6d5f-x2x',
    namespace: 'shop',
    nodeName: 'node-1',
    hostNetwork: false,
    podIp: '10.244.1.5',
    startTime: '2026-11-25T10:00:00Z',
    owners: [
      { kind: 'ReplicaSet', name: 'cart-6d5f', uid: 'rs-uid' },
      { kind: 'Deployment', name: 'cart', uid: 'deployment-uid' },
    ],
    containers: [
      {
        name: 'app',
        kind: 'app',
        imageName: 'registry.example.com/shop/cart',
        imageTag: '1.4.2',
        imageRepoDigest: 'registry.example.com/shop/cart@sha256:0123456789abcdef',
        id: 'c0ffee0000000000000000000000000000000000000000000000000000000000',
      },
    ],
    labels: {},
    annotations: {},
    ...told,
  };
}
