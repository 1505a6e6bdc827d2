// What lies between the half that lists and watches the API server and the half that applies it to records.

/** What the cluster's API says of one container of a pod. */
export interface ContainerFacts {
  readonly name: string;
  /** Of which list of the pod's: `containers`, `initContainers`, `ephemeralContainers`. */
  readonly kind: 'app' | 'init' | 'ephemeral';
  /** Without tag and digest. */
  readonly imageName: string;
  readonly imageTag: string | undefined;
  /** `registry.example.com/shop/cart@sha256:…`, from `status.imageID`: what the container really runs. */
  readonly imageRepoDigest: string | undefined;
  /** Without the runtime's scheme. */
  readonly id: string | undefined;
}

export interface OwnerFacts {
  readonly kind: 'Deployment' | 'ReplicaSet' | 'StatefulSet' | 'DaemonSet' | 'Job' | 'CronJob';
  readonly name: string;
  readonly uid: string | undefined;
}

/** A pod as it is now: when it changes there is another object, so that what was made of this one may be kept with it. */
export interface PodFacts {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly nodeName: string | undefined;
  readonly hostNetwork: boolean;
  /** `status.podIP`, as `readAddress` spells it: on the host's network the node's. */
  readonly podIp: string | undefined;
  /** RFC 3339. */
  readonly startTime: string | undefined;
  /** Nearest first, up to Deployment and CronJob. */
  readonly owners: readonly OwnerFacts[];
  readonly containers: readonly ContainerFacts[];
  /** Only those that were asked for, and those that `service.name` needs. */
  readonly labels: Readonly<Record<string, string>>;
  /** Likewise, and `resource.opentelemetry.io/*`. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** What the cluster's API says of one node, and no receiver of a collector. */
export interface NodeFacts {
  readonly name: string;
  /** `spec.unschedulable`: it takes no new pods, since somebody cordoned it. */
  readonly isUnschedulable: boolean;
}

/** The cluster as far as it is known now. Lookups are synchronous and cheap: they stand on the path of each request. */
export interface ClusterView extends AsyncDisposable {
  /** UID of the namespace kube-system. */
  readonly clusterUid: string | undefined;
  /** @param uid Or of a static pod the hash of its configuration. */
  podByUid(uid: string): PodFacts | undefined;
  /** Never a pod on the host's network. */
  podByIp(address: string): PodFacts | undefined;
  podByName(namespace: string, name: string): PodFacts | undefined;
  nodeUid(name: string): string | undefined;
  nodes(): readonly NodeFacts[];
  /** Inside a pod range of the cluster: the nodes' `spec.podCIDRs`, or else the ranges of the addresses that were seen. */
  isPodAddress(address: string): boolean;
  /**
   * Calls back, once per pod and synchronously after the view knows it, when a pod appears or gets its address.
   * @returns The way to stop.
   */
  onPod(listener: (pod: PodFacts, addresses: readonly string[]) => void): () => void;
  /** For `/health`, metrics and the log. */
  state(): ClusterState;
}

export interface ClusterState {
  readonly status: 'starting' | 'synced' | 'stale' | 'denied';
  readonly lastError: string | undefined;
  readonly pods: number;
  readonly ageSeconds: number;
  readonly relists: number;
}
