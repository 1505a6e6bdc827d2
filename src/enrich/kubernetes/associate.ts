import { readAddress } from '../../base/index.ts';
import type { ClusterView, ContainerFacts, PodFacts } from './contract.ts';

/** What a resource says of where it comes from. */
export interface Identity {
  /** As `readAddress` spells it. */
  readonly podIp: string | undefined;
  readonly podUid: string | undefined;
  readonly podName: string | undefined;
  readonly namespace: string | undefined;
  readonly containerName: string | undefined;
  readonly containerId: string | undefined;
  readonly clusterUid: string | undefined;
  readonly clusterName: string | undefined;
  /** Any `k8s.*` attribute. */
  readonly hasKubernetes: boolean;
  /** It speaks for a process, not for the pod as a thing: `service.*`, `telemetry.sdk.*` or `process.*`. */
  readonly isProcess: boolean;
}

/** How a pod was found. */
export type Source = 'pod_ip' | 'pod_uid' | 'pod_name' | 'connection';

export type Association =
  | { readonly kind: 'found'; readonly pod: PodFacts; readonly source: Source }
  /** A pod is named that the view does not know (yet): by `uidKey`, or by `addressKey` if the address is one of a pod at all. */
  | { readonly kind: 'unknown'; readonly key: string; readonly address: string | undefined }
  /** Nothing tells of a pod here. */
  | { readonly kind: 'none' };

export const uidKey = (uid: string): string => `uid ${uid}`;
export const addressKey = (address: string): string => `address ${address}`;

const none: Association = { kind: 'none' };
/** Of a static pod: what its kubelet calls it before the API server gives it a UID; its log files are named by it. */
export const configHashAnnotation = 'kubernetes.io/config.hash';

/** @param texts The resource's string attributes. @param keys Of all of its attributes. */
export function readIdentity(keys: Iterable<string>, texts: ReadonlyMap<string, string>): Identity {
  let hasKubernetes = false;
  let isProcess = false;
  for (const key of keys) {
    if (key.startsWith('k8s.')) hasKubernetes = true;
    else if (key.startsWith('service.') || key.startsWith('telemetry.sdk.') || key.startsWith('process.'))
      isProcess = true;
  }
  const address = texts.get('k8s.pod.ip');
  // What Kubernetes says happened to a pod, as the Collector's k8s_events receiver sends it, is about that pod.
  const about = texts.get('k8s.object.kind') === 'Pod' ? texts : undefined;
  return {
    podIp: address === undefined ? undefined : readAddress(address),
    podUid: texts.get('k8s.pod.uid') || about?.get('k8s.object.uid') || undefined,
    podName: texts.get('k8s.pod.name') || about?.get('k8s.object.name') || undefined,
    namespace: texts.get('k8s.namespace.name') || undefined,
    containerName: texts.get('k8s.container.name') || containerIn(about?.get('k8s.object.fieldpath')),
    containerId: texts.get('container.id') || undefined,
    clusterUid: texts.get('k8s.cluster.uid') || undefined,
    clusterName: texts.get('k8s.cluster.name') || undefined,
    hasKubernetes,
    isProcess,
  };
}

/** @param path Such as `spec.initContainers{migrate}`. */
function containerIn(path: string | undefined): string | undefined {
  return path === undefined ? undefined : /^spec\.(?:c|initC|ephemeralC)ontainers\{(.+)\}$/.exec(path)?.[1];
}

/**
 * The pod that a resource is about: by `k8s.pod.ip`, by `k8s.pod.uid`, by namespace and name, and by the connection's far
 * end; the last only where the resource has no attribute `k8s.*` and the far end is no collector, since what a collector
 * forwards is not its own. A pod that contradicts what the resource says of itself is not the one, and the next is tried.
 * @param senderAddress '' where nobody can tell.
 */
export function associate(
  view: ClusterView,
  identity: Identity,
  senderAddress: string,
  ownClusterName: string | undefined,
): Association {
  const { podIp, podUid, podName, namespace } = identity;
  // Clusters have the same ranges and the same names of pods; what comes from another one is not ours to explain.
  if (identity.clusterUid !== undefined && view.clusterUid !== undefined && identity.clusterUid !== view.clusterUid)
    return none;
  if (identity.clusterName !== undefined && ownClusterName !== undefined && identity.clusterName !== ownClusterName)
    return none;
  if (podIp !== undefined) {
    const pod = view.podByIp(podIp);
    if (pod !== undefined && agrees(pod, identity)) return { kind: 'found', pod, source: 'pod_ip' };
  }
  if (podUid !== undefined) {
    const pod = view.podByUid(podUid);
    if (pod !== undefined) return { kind: 'found', pod, source: 'pod_uid' };
  }
  if (podName !== undefined && namespace !== undefined) {
    const pod = view.podByName(namespace, podName);
    if (pod !== undefined && agrees(pod, identity)) return { kind: 'found', pod, source: 'pod_name' };
  }
  if (podUid !== undefined) return { kind: 'unknown', key: uidKey(podUid), address: undefined };
  if (podIp !== undefined) return { kind: 'unknown', key: addressKey(podIp), address: podIp };
  if (identity.hasKubernetes || senderAddress === '') return none;
  const pod = view.podByIp(senderAddress);
  if (pod === undefined) return { kind: 'unknown', key: addressKey(senderAddress), address: senderAddress };
  return isCollector(pod) ? none : { kind: 'found', pod, source: 'connection' };
}

function agrees(pod: PodFacts, { podUid, podName, namespace }: Identity): boolean {
  if (podUid !== undefined && pod.uid !== podUid && pod.annotations[configHashAnnotation] !== podUid) return false;
  return (podName === undefined || pod.name === podName) && (namespace === undefined || pod.namespace === namespace);
}

/**
 * The container that a resource is about: the one that it names, by name or id, or the only one of the pod where the
 * resource speaks for a process. What is measured of a pod as a whole (its network, its phase) is no container's.
 */
export function containerOf(pod: PodFacts, identity: Identity, byConnection: boolean): ContainerFacts | undefined {
  const { containerName, containerId } = identity;
  if (containerName !== undefined) return pod.containers.find(({ name }) => name === containerName);
  if (containerId !== undefined)
    return pod.containers.find(({ id }) => id !== undefined && sameContainer(id, containerId));
  if (!byConnection && !identity.isProcess) return undefined;
  const [only, another] = pod.containers.filter(({ kind }) => kind === 'app');
  return another === undefined ? only : undefined;
}

/** An id may be shortened to its first twelve digits or more, and may stand behind the runtime's scheme. */
function sameContainer(id: string, written: string): boolean {
  const bare = written.slice(written.lastIndexOf('/') + 1);
  return bare.length >= 12 && id.startsWith(bare);
}

/** The pods of the chart's collectors. */
const ownCollectors: ReadonlySet<string> = new Set(['watchingcat-otel-agent', 'watchingcat-otel-deployment']);
/** Last part of the image name of programs that forward what others send: the Collector, its distributions, and their like. */
const collectorImage = /opentelemetry-collector|otel-?col|^(?:alloy|beyla|fluent-bit|fluentd|grafana-agent|vector)$/;
const collectors = new WeakMap<PodFacts, boolean>();

/** A pod in which all containers are collectors; one beside the application that it serves makes none. */
function isCollector(pod: PodFacts): boolean {
  let is = collectors.get(pod);
  if (is === undefined) {
    const images = pod.containers.filter(({ kind }) => kind === 'app').map(({ imageName }) => imageName);
    is =
      ownCollectors.has(pod.labels['app'] ?? '') ||
      (images.length > 0 && images.every((image) => collectorImage.test(image.slice(image.lastIndexOf('/') + 1))));
    collectors.set(pod, is);
  }
  return is;
}
