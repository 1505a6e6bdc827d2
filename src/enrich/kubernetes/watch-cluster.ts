import type { Clock } from '../../base/index.ts';
import { type ApiAccess, ApiClient } from './api.ts';
import type { ClusterState, ClusterView, NodeFacts, OwnerFacts, PodFacts } from './contract.ts';
import { asOwner, decodeMetadata, isUnschedulable, type KeptOptions, PodDecoder, podRangesOf } from './decode.ts';
import { objectsMax, pageObjects, type Timing, timing as usualTiming } from './limits.ts';
import { ListWatch, type Resource, type Trouble } from './list-watch.ts';
import { PodIndex } from './pod-index.ts';
import { PrefixSet } from './ranges.ts';
import { Remembered } from './remembered.ts';
import { SharedTexts } from './shared-texts.ts';

export interface ClusterViewOptions extends KeptOptions {
  readonly access: ApiAccess;
  /** Pods, and what they belong to, are remembered so long after they were deleted. */
  readonly keepDeletedSeconds: number;
  readonly clock: Clock;
  /** For the log. Told when a resource can't be followed, again when it is for another kind of reason, and with undefined when it can again. */
  readonly onTrouble?: (resource: string, trouble: Trouble | undefined) => void;
  readonly timing?: Timing;
}

/**
 * Follows the cluster. Starts at once and never throws: as long as the API server is away, what was known last stays, and
 * it is asked again. Disposing ends all connections.
 */
export function watchCluster(options: ClusterViewOptions): ClusterView {
  return new Cluster(options);
}

interface Node extends NodeFacts {
  readonly uid: string;
  readonly podRanges: readonly string[];
}

class Cluster implements ClusterView {
  readonly #clock: Clock;
  readonly #cancel = new AbortController();
  readonly #api: ApiClient;
  readonly #texts = new SharedTexts();
  readonly #index: PodIndex;
  /** By UID of the ReplicaSet or Job; null: nothing that names records. */
  readonly #parents: readonly Remembered<OwnerFacts | null>[];
  readonly #nodes: Remembered<Node>;
  #nodeRanges: PrefixSet | undefined;
  #clusterUid: string | undefined;
  readonly #listeners = new Set<(pod: PodFacts, addresses: readonly string[]) => void>();
  readonly #pods: ListWatch;
  readonly #all: readonly ListWatch[];
  readonly #startMs: number;
  readonly #sweep: NodeJS.Timeout;
  readonly #started: Promise<void>;

  constructor(options: ClusterViewOptions) {
    const { access, keepDeletedSeconds, clock, onTrouble, timing = usualTiming } = options;
    const keepMs = keepDeletedSeconds * 1000;
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
    this.#api = new ApiClient(access);
    const replicaSets = new Remembered<OwnerFacts | null>(keepMs);
    const jobs = new Remembered<OwnerFacts | null>(keepMs);
    this.#parents = [replicaSets, jobs];
    this.#nodes = new Remembered(keepMs);
    this.#index = new PodIndex(
      keepMs,
      (uid) => {
        const parent = replicaSets.get(uid);
        return parent === undefined ? jobs.get(uid) : parent;
      },
      (pod, addresses) => this.#tell(pod, addresses),
    );
    const follow = (resource: Resource) =>
      new ListWatch(this.#api, resource, timing, clock, (trouble) => onTrouble?.(resource.name, trouble));
    const owners = [
      follow(this.#owners('replicasets', '/apis/apps/v1/replicasets', replicaSets)),
      follow(this.#owners('jobs', '/apis/batch/v1/jobs', jobs)),
    ];
    const others = [follow(this.#kubeSystem()), follow(this.#nodesResource())];
    this.#pods = follow(this.#podsResource(new PodDecoder(options, this.#texts)));
    this.#all = [this.#pods, ...owners, ...others];
    const { signal } = this.#cancel;
    for (const each of [...owners, ...others]) each.start(signal);
    this.#started = this.#startPods(owners, timing.ownersMs);
    this.#sweep = setInterval(() => this.#forget(), timing.sweepMs).unref();
  }

  get clusterUid(): string | undefined {
    return this.#clusterUid;
  }

  podByUid(uid: string): PodFacts | undefined {
    return this.#index.byUid(uid);
  }

  podByIp(address: string): PodFacts | undefined {
    return this.#index.byAddress(address);
  }

  podByName(namespace: string, name: string): PodFacts | undefined {
    return this.#index.byName(namespace, name);
  }

  nodeUid(name: string): string | undefined {
    return this.#nodes.get(name)?.uid;
  }

  nodes(): readonly NodeFacts[] {
    return [...this.#nodes.values()].filter(({ name }) => this.#nodes.isPresent(name));
  }

  isPodAddress(address: string): boolean {
    // Both, since some network plugins give addresses of their own whatever ranges the nodes were given.
    return this.#rangesOfNodes().has(address) || this.#index.isNearPod(address);
  }

  onPod(listener: (pod: PodFacts, addresses: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  state(): ClusterState {
    const { trouble, lists, heardMs } = this.#pods;
    const other = this.#all.find((each) => each.trouble !== undefined);
    let status: ClusterState['status'] = 'synced';
    if (trouble?.kind === 'denied') status = 'denied';
    else if (lists === 0) status = 'starting';
    else if (trouble !== undefined) status = 'stale';
    return {
      status,
      lastError: other?.trouble === undefined ? undefined : `${other.name}: ${other.trouble.message}`,
      pods: this.#index.pods,
      ageSeconds: Math.max(0, Math.round((this.#clock.monotonicMs() - (heardMs ?? this.#startMs)) / 1000)),
      relists: this.#all.reduce((sum, each) => sum + Math.max(0, each.lists - 1), 0),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweep);
    this.#cancel.abort();
    await this.#started;
    await Promise.all(this.#all.map((each) => each.ended()));
    this.#api.close();
  }

  /** With their owners known, a pod is whole when it is told of. */
  async #startPods(owners: readonly ListWatch[], waitMs: number): Promise<void> {
    const { signal } = this.#cancel;
    const waited = Promise.withResolvers<void>();
    const timer = setTimeout(waited.resolve, waitMs);
    signal.addEventListener('abort', () => waited.resolve(), { once: true });
    await Promise.race([waited.promise, Promise.all(owners.map((each) => each.answered))]);
    clearTimeout(timer);
    this.#pods.start(signal);
  }

  #podsResource(decoder: PodDecoder): Resource {
    return {
      name: 'pods',
      path: '/api/v1/pods',
      form: 'full',
      pageObjects: pageObjects.full,
      beginListing: () => this.#index.beginListing(),
      endListing: () => this.#index.endListing(this.#clock.monotonicMs()),
      put: (object) => {
        const pod = decoder.decode(object);
        if (pod !== undefined) this.#index.put(pod, this.#clock.monotonicMs(), this.#clock.nowMs());
      },
      remove: (object) => {
        const uid = decodeMetadata(object, this.#texts)?.uid;
        if (uid !== undefined) this.#index.remove(uid, this.#clock.monotonicMs());
      },
    };
  }

  #owners(name: string, path: string, parents: Remembered<OwnerFacts | null>): Resource {
    return {
      name,
      path,
      form: 'metadata',
      pageObjects: pageObjects.metadata,
      beginListing: () => parents.beginListing(),
      endListing: () => void parents.endListing(this.#clock.monotonicMs()),
      put: (object) => {
        const metadata = decodeMetadata(object, this.#texts);
        if (metadata === undefined || (parents.get(metadata.uid) === undefined && parents.size >= objectsMax)) return;
        const { uid, controller } = metadata;
        const before = parents.get(uid);
        const same = before?.uid === controller?.uid && before !== undefined;
        parents.put(uid, same ? before : ((controller && asOwner(controller)) ?? null));
        if (!same) this.#index.parentKnown(uid);
      },
      remove: (object) => {
        const uid = decodeMetadata(object, this.#texts)?.uid;
        if (uid !== undefined) parents.remove(uid, this.#clock.monotonicMs());
      },
    };
  }

  #nodesResource(): Resource {
    return {
      name: 'nodes',
      path: '/api/v1/nodes',
      form: 'full',
      pageObjects: pageObjects.full,
      beginListing: () => this.#nodes.beginListing(),
      endListing: () => {
        this.#nodes.endListing(this.#clock.monotonicMs());
      },
      put: (object) => {
        const metadata = decodeMetadata(object, this.#texts);
        if (metadata === undefined || this.#nodes.size >= objectsMax) return;
        const podRanges = podRangesOf(object);
        const before = this.#nodes.get(metadata.name);
        const { name, uid } = metadata;
        this.#nodes.put(name, { name, uid, podRanges, isUnschedulable: isUnschedulable(object) });
        // A node tells of its health every now and then, and of other ranges never.
        if (before?.podRanges.join() !== podRanges.join()) this.#nodeRanges = undefined;
      },
      remove: (object) => {
        const name = decodeMetadata(object, this.#texts)?.name;
        if (name !== undefined) this.#nodes.remove(name, this.#clock.monotonicMs());
      },
    };
  }

  /** Its UID stands for the cluster: OpenTelemetry semantic conventions, `k8s.cluster.uid`. */
  #kubeSystem(): Resource {
    const nothing = () => undefined;
    return {
      name: 'namespaces',
      path: '/api/v1/namespaces',
      query: 'fieldSelector=metadata.name%3Dkube-system',
      form: 'metadata',
      pageObjects: 1,
      once: true,
      beginListing: nothing,
      endListing: nothing,
      put: (object) => {
        const metadata = decodeMetadata(object, this.#texts);
        if (metadata?.name === 'kube-system') this.#clusterUid = metadata.uid;
      },
      remove: nothing,
    };
  }

  #rangesOfNodes(): PrefixSet {
    if (this.#nodeRanges === undefined) {
      this.#nodeRanges = new PrefixSet();
      for (const { podRanges } of this.#nodes.values()) for (const range of podRanges) this.#nodeRanges.add(range);
    }
    return this.#nodeRanges;
  }

  #tell(pod: PodFacts, addresses: readonly string[]): void {
    for (const listener of this.#listeners) listener(pod, addresses);
  }

  #forget(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#index.sweep(nowMs);
    for (const parents of this.#parents) parents.sweep(nowMs);
    if (this.#nodes.sweep(nowMs).length > 0) this.#nodeRanges = undefined;
  }
}
