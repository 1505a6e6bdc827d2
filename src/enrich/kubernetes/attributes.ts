import { attributeValueBytesMax } from '../limits.ts';
import type { ContainerFacts, OwnerFacts, PodFacts } from './contract.ts';
import { serviceInstanceId, serviceName, serviceVersion } from './service.ts';

/** Which labels and annotations become attributes: by key, or `all`. */
type Chosen = 'all' | ReadonlySet<string>;

export interface AttributeOptions {
  readonly labels: Chosen;
  readonly annotations: Chosen;
  /** Whether `service.*` may come from the labels `app.kubernetes.io/*`. */
  readonly useServiceLabels: boolean;
}

export type AttributeValue = string | readonly string[];

/** What follows it is the key of an attribute. */
export const resourceAnnotationPrefix = 'resource.opentelemetry.io/';
/** A whole copy of the pod as it was applied, environment and all. */
export const neverAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

const ownerWords = {
  Deployment: 'deployment',
  ReplicaSet: 'replicaset',
  StatefulSet: 'statefulset',
  DaemonSet: 'daemonset',
  Job: 'job',
  CronJob: 'cronjob',
} as const satisfies Record<OwnerFacts['kind'], string>;

/**
 * All attributes of a pod, or of one of its containers. Of a key that is told twice the first counts: what the API server
 * says of the pod, then what its annotations say, then what follows from both.
 * @see OpenTelemetry semantic conventions 1.44, "Kubernetes", "Container".
 */
export function podAttributes(
  pod: PodFacts,
  container: ContainerFacts | undefined,
  cluster: { readonly clusterUid: string | undefined; readonly nodeUid: string | undefined },
  options: AttributeOptions,
): ReadonlyMap<string, AttributeValue> {
  const attributes = new Map<string, AttributeValue>();
  const add = (key: string, value: AttributeValue | undefined) => {
    if (value !== undefined && value !== '' && !attributes.has(key)) attributes.set(key, value);
  };
  add('k8s.namespace.name', pod.namespace);
  add('k8s.pod.name', pod.name);
  add('k8s.pod.uid', pod.uid);
  add('k8s.pod.ip', pod.podIp);
  add('k8s.pod.start_time', pod.startTime);
  add('k8s.node.name', pod.nodeName);
  add('k8s.node.uid', cluster.nodeUid);
  add('k8s.cluster.uid', cluster.clusterUid);
  for (const { kind, name, uid } of pod.owners) {
    add(`k8s.${ownerWords[kind]}.name`, name);
    add(`k8s.${ownerWords[kind]}.uid`, uid);
  }
  if (container !== undefined) {
    add('k8s.container.name', container.name);
    add('container.id', container.id);
    add('container.image.name', container.imageName);
    add('container.image.tags', container.imageTag === undefined ? undefined : [container.imageTag]);
    add(
      'container.image.repo_digests',
      container.imageRepoDigest === undefined ? undefined : [container.imageRepoDigest],
    );
  }
  for (const [key, value] of chosen(pod.labels, options.labels)) add(`k8s.pod.label.${key}`, value);
  for (const [key, value] of chosen(pod.annotations, options.annotations)) add(`k8s.pod.annotation.${key}`, value);
  for (const [key, value] of Object.entries(pod.annotations)) {
    if (key.startsWith(resourceAnnotationPrefix) && key.length > resourceAnnotationPrefix.length && isShort(value))
      add(key.slice(resourceAnnotationPrefix.length), value);
  }
  add('service.name', serviceName(pod, options.useServiceLabels));
  add('service.namespace', pod.namespace);
  add('service.version', serviceVersion(pod, container, options.useServiceLabels));
  add('service.instance.id', serviceInstanceId(pod, container));
  return attributes;
}

function chosen(all: Readonly<Record<string, string>>, which: Chosen): [string, string][] {
  return Object.entries(all).filter(
    ([key, value]) => (which === 'all' ? key !== neverAnnotation : which.has(key)) && isShort(value),
  );
}

function isShort(value: string): boolean {
  return Buffer.byteLength(value) <= attributeValueBytesMax;
}
