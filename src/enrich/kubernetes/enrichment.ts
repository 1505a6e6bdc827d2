import { type Clock, type Signal, signals } from '../../base/index.ts';
import { encodeResourceAttribute, type ResourceAt, resourceAttributes } from '../../otlp/index.ts';
import { type Enriched, type EnrichedRequest, type Enrichment, nothingLacks } from '../enrichment.ts';
import { addedBytesMax, podsWaitedForMax, resourceBytesRememberedMax, resourcesRememberedMax } from '../limits.ts';
import { inSlices } from '../slices.ts';
import { associate, containerOf, type Identity, readIdentity, type Source } from './associate.ts';
import { type AttributeOptions, type AttributeValue, podAttributes } from './attributes.ts';
import type { ClusterState, ClusterView, ContainerFacts, NodeFacts, PodFacts } from './contract.ts';
import { HoldBack, type MissReason } from './hold.ts';

export interface KubernetesEnrichmentOptions extends AttributeOptions {
  /** What is added to every resource, a pod's or not, where neither sender nor cluster say otherwise. */
  readonly always: readonly (readonly [key: string, value: string])[];
  /** Resources that name another `k8s.cluster.name` are not looked for in this cluster. */
  readonly clusterName: string | undefined;
  /** How long a request may wait for a pod that is not known yet; 0: not at all. */
  readonly waitMs: number;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/** Records by how their pod was found, and by why it was not. Only what is not 0. */
interface EnrichmentCounts {
  readonly matched: readonly { readonly signal: Signal; readonly source: Source; readonly records: number }[];
  readonly missed: readonly {
    readonly signal: Signal;
    readonly reason: MissReason | 'too_much';
    readonly records: number;
  }[];
}

export interface KubernetesEnrichment {
  readonly enrich: Enrichment;
  /** What waits goes on at once, and nothing waits any more. */
  stop(): void;
  state(): ClusterState;
  /** Of the cluster, as its API tells of them. */
  nodes(): readonly NodeFacts[];
  counts(): EnrichmentCounts;
  held(): { readonly requests: number; readonly sizeBytes: number; readonly heldTotal: number };
}

/**
 * Adds what the cluster knows of the pod that a resource is about. The same resource comes again and again, so that what
 * was made for its bytes is kept: a look at the view, and one piece to splice in.
 */
export function kubernetesEnrichment(view: ClusterView, options: KubernetesEnrichmentOptions): KubernetesEnrichment {
  return new Enricher(view, options);
}

/** What was read of a resource, and made for it. */
interface Remembered {
  readonly identity: Identity;
  /** For the pod that it was about last. */
  last: Made | undefined;
  /** For all of them, where there were several: replicas whose resources are alike, told apart by their connections. */
  byPod: WeakMap<PodFacts, Made> | undefined;
  /** For no pod. */
  plain: Enriched | undefined;
}

interface Made {
  readonly pod: PodFacts;
  readonly enriched: Enriched;
  readonly clusterUid: string | undefined;
  readonly nodeUid: string | undefined;
}

interface Addition {
  readonly key: string;
  readonly value: AttributeValue;
  readonly field: Uint8Array;
}

interface Encoded {
  readonly clusterUid: string | undefined;
  readonly nodeUid: string | undefined;
  readonly additions: readonly Addition[];
}

class Enricher implements KubernetesEnrichment {
  readonly #view: ClusterView;
  readonly #options: KubernetesEnrichmentOptions;
  readonly #hold: HoldBack;
  readonly #always: readonly Addition[];
  /** By their bytes. Two generations: when the younger is full it becomes the elder, and the elder goes. */
  #young = new Map<string, Remembered>();
  #old = new Map<string, Remembered>();
  /** By container; the pod's own without one. */
  readonly #encoded = new WeakMap<PodFacts, Map<ContainerFacts | undefined, Encoded>>();
  readonly #matched = countsBySignal<Source>();
  readonly #missed = countsBySignal<MissReason | 'too_much'>();

  constructor(view: ClusterView, options: KubernetesEnrichmentOptions) {
    this.#view = view;
    this.#options = options;
    this.#hold = new HoldBack(view, options);
    this.#always = options.always.map(([key, value]) => ({ key, value, field: encodeResourceAttribute(key, value) }));
  }

  readonly enrich: Enrichment = (request) => {
    const missing: string[] = [];
    const outcomes = this.#outcomes(request, missing);
    return outcomes instanceof Promise
      ? outcomes.then((all) => this.#whenKnown(request, all, missing))
      : this.#whenKnown(request, outcomes, missing);
  };

  stop(): void {
    this.#hold.stop();
  }

  state(): ClusterState {
    return this.#view.state();
  }

  nodes(): readonly NodeFacts[] {
    return this.#view.nodes();
  }

  counts(): EnrichmentCounts {
    return {
      matched: signals.flatMap((signal) =>
        [...this.#matched[signal]].map(([source, records]) => ({ signal, source, records })),
      ),
      missed: signals.flatMap((signal) =>
        [...this.#missed[signal]].map(([reason, records]) => ({ signal, reason, records })),
      ),
    };
  }

  held(): { readonly requests: number; readonly sizeBytes: number; readonly heldTotal: number } {
    return this.#hold.stats;
  }

  #whenKnown(request: EnrichedRequest, outcomes: readonly Outcome[], missing: readonly string[]) {
    if (missing.length === 0) return this.#counted(request, outcomes, undefined);
    const waiting = this.#hold.wait(missing, request.bytes.length, request.senderAddress);
    if (typeof waiting === 'string') return this.#counted(request, outcomes, waiting);
    return waiting
      .then(() => this.#outcomes(request, undefined))
      .then((all) => this.#counted(request, all, this.#hold.reason));
  }

  /** @param missing Takes what could be waited for. */
  #outcomes(request: EnrichedRequest, missing: string[] | undefined): Outcome[] | Promise<Outcome[]> {
    const { resources } = request;
    const outcomes: Outcome[] = [];
    let addedBytes = 0;
    const done = inSlices(resources.length, (from, to) => {
      for (const resource of resources.slice(from, to)) {
        const outcome = this.#resource(request, resource, missing, addedBytes < addedBytesMax);
        addedBytes += outcome.enriched.fields[0]?.length ?? 0;
        outcomes.push(outcome);
      }
    });
    return done === undefined ? outcomes : done.then(() => outcomes);
  }

  #counted({ signal, resources }: EnrichedRequest, outcomes: readonly Outcome[], reason: MissReason | undefined) {
    outcomes.forEach(({ source }, index) => {
      const records = resources[index]?.records ?? 0;
      if (source === undefined || records === 0) return;
      if (source === 'too_much') add(this.#missed[signal], source, records);
      else if (source !== 'unknown') add(this.#matched[signal], source, records);
      else if (reason !== undefined) add(this.#missed[signal], reason, records);
    });
    return outcomes.map(({ enriched }) => enriched);
  }

  /** @param missing Takes what could be waited for. @param hasRoom Whether the request may still grow. */
  #resource(
    { bytes, senderAddress }: EnrichedRequest,
    at: ResourceAt,
    missing: string[] | undefined,
    hasRoom: boolean,
  ): Outcome {
    const remembered = this.#remember(bytes, at);
    const { identity } = remembered;
    const association = associate(this.#view, identity, senderAddress, this.#options.clusterName);
    if (association.kind === 'found' && hasRoom) {
      const { pod, source } = association;
      const clusterUid = this.#view.clusterUid;
      const nodeUid = pod.nodeName === undefined ? undefined : this.#view.nodeUid(pod.nodeName);
      let made = remembered.last?.pod === pod ? remembered.last : remembered.byPod?.get(pod);
      if (made === undefined || made.clusterUid !== clusterUid || made.nodeUid !== nodeUid) {
        const container = containerOf(pod, identity, source === 'connection');
        const additions = this.#encode(pod, container, clusterUid, nodeUid);
        made = { pod, enriched: lacking(bytes, at, additions), clusterUid, nodeUid };
        if (remembered.last !== undefined) {
          // Not for each resource: to the collector of garbage such maps are work.
          remembered.byPod ??= new WeakMap([[remembered.last.pod, remembered.last]]);
          remembered.byPod.set(pod, made);
        }
        remembered.last = made;
      }
      return { enriched: made.enriched, source };
    }
    remembered.plain ??= lacking(bytes, at, this.#always);
    const { plain } = remembered;
    if (association.kind === 'found') return { enriched: plain, source: 'too_much' };
    if (association.kind === 'none') return { enriched: plain, source: undefined };
    if (association.address !== undefined && !this.#mayBePod(association.address))
      return { enriched: plain, source: undefined };
    if (at.records > 0 && missing !== undefined && missing.length < podsWaitedForMax) missing.push(association.key);
    return { enriched: plain, source: 'unknown' };
  }

  /** Before the first list nobody knows which addresses the cluster gives to pods. */
  #mayBePod(address: string): boolean {
    if (this.#view.isPodAddress(address)) return true;
    return this.#view.state().status === 'starting' && !address.startsWith('127.') && address !== '::1';
  }

  #remember(bytes: Uint8Array, at: ResourceAt): Remembered {
    const sizeBytes = at.resourceEnd - at.resourceStart;
    const { buffer, byteOffset, byteLength } = bytes;
    const key =
      at.resourceStart < 0
        ? ''
        : sizeBytes > resourceBytesRememberedMax
          ? undefined
          : Buffer.from(buffer, byteOffset, byteLength).toString('latin1', at.resourceStart, at.resourceEnd);
    if (key === undefined) return readResource(bytes, at);
    const known = this.#young.get(key);
    if (known !== undefined) return known;
    const remembered = this.#old.get(key) ?? readResource(bytes, at);
    if (this.#young.size >= resourcesRememberedMax / 2) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, remembered);
    return remembered;
  }

  #encode(
    pod: PodFacts,
    container: ContainerFacts | undefined,
    clusterUid: string | undefined,
    nodeUid: string | undefined,
  ): readonly Addition[] {
    let byContainer = this.#encoded.get(pod);
    if (byContainer === undefined) {
      byContainer = new Map();
      this.#encoded.set(pod, byContainer);
    }
    const known = byContainer.get(container);
    if (known !== undefined && known.clusterUid === clusterUid && known.nodeUid === nodeUid) return known.additions;
    const attributes = podAttributes(pod, container, { clusterUid, nodeUid }, this.#options);
    const additions = [
      ...Array.from(attributes, ([key, value]) => ({ key, value, field: encodeResourceAttribute(key, value) })),
      ...this.#always.filter(({ key }) => !attributes.has(key)),
    ];
    byContainer.set(container, { clusterUid, nodeUid, additions });
    return additions;
  }
}

function readResource(bytes: Uint8Array, at: ResourceAt): Remembered {
  const { keys, texts } = resourceAttributes(bytes, at);
  return { identity: readIdentity(keys, texts), last: undefined, byPod: undefined, plain: undefined };
}

interface Outcome {
  readonly enriched: Enriched;
  /** `unknown`: a pod is named that the view does not know. undefined: no pod is. */
  readonly source: Source | 'unknown' | 'too_much' | undefined;
}

/** Those additions whose keys the resource has not, in one piece. */
function lacking(bytes: Uint8Array, at: ResourceAt, additions: readonly Addition[]): Enriched {
  const { keys } = resourceAttributes(bytes, at);
  const added = additions.filter(({ key }) => !keys.has(key));
  if (added.length === 0) return nothingLacks;
  const name = added.find(({ key }) => key === 'service.name')?.value;
  return {
    fields: [Buffer.concat(added.map(({ field }) => field))],
    serviceName: typeof name === 'string' ? name : undefined,
  };
}

function countsBySignal<Key>(): Record<Signal, Map<Key, number>> {
  return { traces: new Map(), metrics: new Map(), logs: new Map() };
}

function add<Key>(counts: Map<Key, number>, key: Key, records: number): void {
  counts.set(key, (counts.get(key) ?? 0) + records);
}
