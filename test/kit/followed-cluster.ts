import { vi } from 'vitest';
import { noCredentials } from '../../src/enrich/kubernetes/access.ts';
import type { ClusterState, ClusterView } from '../../src/enrich/kubernetes/contract.ts';
import { type Timing, timing } from '../../src/enrich/kubernetes/limits.ts';
import { type ClusterViewOptions, watchCluster } from '../../src/enrich/kubernetes/watch-cluster.ts';
import { ApiServer } from './api-server.ts';

export const pods = '/api/v1/pods';
export const replicaSets = '/apis/apps/v1/replicasets';
export const jobs = '/apis/batch/v1/jobs';
export const nodes = '/api/v1/nodes';
export const namespaces = '/api/v1/namespaces';

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

/** An API server and a view of its cluster that waits for nothing long, with a clock that a test can turn. */
export class FollowedCluster implements AsyncDisposable {
  api: ApiServer;
  /** Added to the clock. */
  laterMs = 0;
  /** As `pods: away`, `pods: well`. */
  readonly troubles: string[] = [];
  #view: ClusterView | undefined;

  private constructor(api: ApiServer) {
    this.api = api;
  }

  static async start(): Promise<FollowedCluster> {
    return new FollowedCluster(await ApiServer.start());
  }

  follow(options: Partial<ClusterViewOptions> = {}): void {
    this.#view = watchCluster({
      access: { server: this.api.url, credentials: async () => noCredentials },
      labels: [],
      annotations: [],
      keepDeletedSeconds: 120,
      clock: {
        monotonicMs: () => performance.now() + this.laterMs,
        nowMs: () => Date.now() + this.laterMs,
        nowUnixNano: () => 0n,
      },
      onTrouble: (resource, trouble) => this.troubles.push(`${resource}: ${trouble?.kind ?? 'well'}`),
      timing: quick,
      ...options,
    });
  }

  get view(): ClusterView {
    if (this.#view === undefined) throw new Error('not followed yet');
    return this.#view;
  }

  get status(): ClusterState['status'] {
    return this.view.state().status;
  }

  async synced(path: string = pods): Promise<void> {
    await eventually(() => this.status === 'synced' && this.api.watching(path) > 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#view?.[Symbol.asyncDispose]();
    await this.api.stop();
  }
}

export async function eventually(condition: () => boolean): Promise<void> {
  await vi.waitUntil(condition, { timeout: 10_000, interval: 2 });
}

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
export function pod(name: string, told: Told = {}) {
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
export const owned = (name: string, ...owner: readonly [string, string, string] | readonly []) => ({
  metadata: {
    name,
    namespace: 'shop',
    uid: `${name}-uid`,
    ...(owner.length === 0 ? {} : { ownerReferences: [reference(...owner)] }),
  },
});
