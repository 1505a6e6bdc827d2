import type { ContainerFacts, OwnerFacts, PodFacts } from './contract.ts';

// What a pod's telemetry is called where its sender does not say. Source: OpenTelemetry semantic conventions, "Specify
// resource attributes using Kubernetes annotations". Annotations `resource.opentelemetry.io/service.*` come first in each
// of the four lists; they are not repeated here, since all such annotations become attributes before these.

/** From the ancestor to the descendant, as the convention lists them. */
const ownersByWeight: readonly OwnerFacts['kind'][] = [
  'Deployment',
  'ReplicaSet',
  'StatefulSet',
  'DaemonSet',
  'CronJob',
  'Job',
];

export const serviceLabels = {
  instance: 'app.kubernetes.io/instance',
  name: 'app.kubernetes.io/name',
  version: 'app.kubernetes.io/version',
} as const;

/** @param useLabels The convention wants the well-known labels to be opted into: many mean something else by them. */
export function serviceName(pod: PodFacts, useLabels: boolean): string {
  const label = useLabels ? pod.labels[serviceLabels.instance] || pod.labels[serviceLabels.name] : undefined;
  if (label) return label;
  for (const kind of ownersByWeight) {
    const owner = pod.owners.find((each) => each.kind === kind);
    if (owner !== undefined) return owner.name;
  }
  return pod.name;
}

/** undefined where neither label nor image tell. */
export function serviceVersion(
  pod: PodFacts,
  container: ContainerFacts | undefined,
  useLabels: boolean,
): string | undefined {
  const label = useLabels ? pod.labels[serviceLabels.version] : undefined;
  if (label) return label;
  const { imageTag, imageRepoDigest } = container ?? {};
  const imageDigest = imageRepoDigest?.slice(imageRepoDigest.indexOf('@') + 1);
  if (imageTag !== undefined && imageDigest !== undefined) return `${imageTag}@${imageDigest}`;
  return imageDigest ?? imageTag;
}

/** undefined where it is not known which container it is: then it would not name one instance. */
export function serviceInstanceId(pod: PodFacts, container: ContainerFacts | undefined): string | undefined {
  return container === undefined ? undefined : `${pod.namespace}.${pod.name}.${container.name}`;
}
