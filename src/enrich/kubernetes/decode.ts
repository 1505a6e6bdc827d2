import { readAddress } from '../../base/index.ts';
import { attributeValueBytesMax } from '../limits.ts';
import { configHashAnnotation } from './associate.ts';
import { neverAnnotation, resourceAnnotationPrefix } from './attributes.ts';
import type { ContainerFacts, OwnerFacts } from './contract.ts';
import { asArray, asObject, asText } from './json.ts';
import { containersMax, keptCharsMax, keptMax } from './limits.ts';
import { serviceLabels } from './service.ts';
import { copyOf, type SharedTexts } from './shared-texts.ts';

// Kubernetes objects → what is kept of them. Pure; an object of an unexpected shape is undefined, never an exception.
// Source: Kubernetes API reference, Pod v1, ObjectMeta, OwnerReference, Node v1.

/** The object that manages another one: the owner reference that has `controller: true`. */
export interface Controller {
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

export interface Metadata {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string | undefined;
  readonly controller: Controller | undefined;
}

export interface DecodedPod extends Metadata {
  readonly namespace: string;
  readonly nodeName: string | undefined;
  readonly hostNetwork: boolean;
  readonly podIp: string | undefined;
  readonly startTime: string | undefined;
  readonly containers: readonly ContainerFacts[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Empty on the host's network. */
  readonly addresses: readonly string[];
  /** Label that a Deployment gives to the pods of each of its ReplicaSets. */
  readonly podTemplateHash: string | undefined;
  /** Of a pod in phase Succeeded or Failed: Unix milliseconds when its last container ended, 0 where unknown. */
  readonly finishedUnixMs: number | undefined;
}

/** What is kept whatever is asked for: what `service.name` may come from, and what tells the chart's collectors from others. */
const neededLabels = [...Object.values(serviceLabels), 'app'];
const containerFields = [
  ['app', 'containers'],
  ['init', 'initContainers'],
  ['ephemeral', 'ephemeralContainers'],
] as const;

/** Which labels and annotations of pods become attributes. */
export interface KeptOptions {
  readonly labels: 'all' | readonly string[];
  readonly annotations: 'all' | readonly string[];
}

/** Decodes pods, and keeps of their labels and annotations what was asked for and what is needed. */
export class PodDecoder {
  readonly #labels: 'all' | readonly string[];
  readonly #annotations: 'all' | readonly string[];
  readonly #texts: SharedTexts;

  constructor({ labels, annotations }: KeptOptions, texts: SharedTexts) {
    this.#labels = labels;
    this.#annotations = annotations;
    this.#texts = texts;
  }

  decode(object: unknown): DecodedPod | undefined {
    const metadata = decodeMetadata(object, this.#texts);
    if (metadata?.namespace === undefined) return undefined;
    const { metadata: rawMetadata, spec: rawSpec, status: rawStatus } = asObject(object);
    const spec = asObject(rawSpec);
    const status = asObject(rawStatus);
    const labels = asObject(asObject(rawMetadata)['labels']);
    const annotations = asObject(asObject(rawMetadata)['annotations']);
    const nodeName = asText(spec['nodeName']);
    const hostNetwork = spec['hostNetwork'] === true;
    const phase = status['phase'];
    const addresses = addressesOf(status);
    return {
      ...metadata,
      namespace: metadata.namespace,
      nodeName: nodeName === undefined ? undefined : this.#texts.share(nodeName),
      hostNetwork,
      // `podIPs` begins with `podIP`.
      podIp: addresses[0],
      startTime: asText(status['startTime']),
      containers: this.#containers(spec, status),
      labels: this.#pick(labels, this.#labels, neededLabels),
      annotations: this.#pick(annotations, this.#annotations, [
        configHashAnnotation,
        ...Object.keys(annotations).filter((name) => name.startsWith(resourceAnnotationPrefix)),
      ]),
      addresses: hostNetwork ? [] : addresses,
      podTemplateHash: asText(labels['pod-template-hash']),
      finishedUnixMs: phase === 'Succeeded' || phase === 'Failed' ? finishedUnixMs(status) : undefined,
    };
  }

  /** What is needed comes first, so that the bound does not meet it. */
  #pick(from: Readonly<Record<string, unknown>>, wanted: 'all' | readonly string[], needed: readonly string[]) {
    const picked: Record<string, string> = {};
    const names = new Set([...needed, ...(wanted === 'all' ? Object.keys(from) : wanted)]);
    names.delete(neverAnnotation);
    let count = 0;
    let chars = 0;
    for (const name of names) {
      const value = Object.hasOwn(from, name) ? from[name] : undefined;
      // Not asText: an empty label is one.
      if (typeof value !== 'string' || value.length > attributeValueBytesMax) continue;
      count++;
      chars += name.length + value.length;
      if (count > keptMax || chars > keptCharsMax) break;
      picked[name] = this.#texts.share(value);
    }
    return picked;
  }

  /** Init and ephemeral ones among them: each may send telemetry, and no two have one name. */
  #containers(spec: Readonly<Record<string, unknown>>, status: Readonly<Record<string, unknown>>): ContainerFacts[] {
    const states = new Map<unknown, Readonly<Record<string, unknown>>>();
    for (const field of ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses']) {
      for (const raw of asArray(status[field])) states.set(asObject(raw)['name'], asObject(raw));
    }
    const containers: ContainerFacts[] = [];
    for (const [kind, field] of containerFields) {
      for (const raw of asArray(spec[field])) {
        const { name: rawName, image } = asObject(raw);
        const name = asText(rawName);
        if (name === undefined || containers.length >= containersMax) continue;
        const state = states.get(name);
        const { imageName, imageTag } = readImage(asText(image) ?? '');
        const repoDigest = readRepoDigest(asText(state?.['imageID']) ?? '');
        const id = asText(state?.['containerID']);
        containers.push({
          name: this.#texts.share(name),
          kind,
          imageName: this.#texts.share(imageName),
          imageTag: imageTag === undefined ? undefined : this.#texts.share(imageTag),
          imageRepoDigest: repoDigest === undefined ? undefined : this.#texts.share(repoDigest),
          id: id === undefined ? undefined : copyOf(id.slice(id.indexOf('://') < 0 ? 0 : id.indexOf('://') + 3)),
        });
      }
    }
    return containers;
  }
}

/** @returns undefined for what has no UID or name. */
export function decodeMetadata(object: unknown, texts: SharedTexts): Metadata | undefined {
  const metadata = asObject(asObject(object)['metadata']);
  const uid = asText(metadata['uid']);
  const name = asText(metadata['name']);
  if (uid === undefined || name === undefined) return undefined;
  const namespace = asText(metadata['namespace']);
  return {
    uid,
    name,
    namespace: namespace === undefined ? undefined : texts.share(namespace),
    controller: controllerOf(metadata, texts),
  };
}

/** The kinds by which records are named. */
export function asOwner({ kind, name, uid }: Controller): OwnerFacts | undefined {
  switch (kind) {
    case 'Deployment':
    case 'ReplicaSet':
    case 'StatefulSet':
    case 'DaemonSet':
    case 'Job':
    case 'CronJob':
      return { kind, name, uid };
    default:
      return undefined;
  }
}

/** The ranges of a node's pods: `spec.podCIDRs`, or the older `spec.podCIDR`. */
export function podRangesOf(node: unknown): readonly string[] {
  const spec = asObject(asObject(node)['spec']);
  const ranges = asArray(spec['podCIDRs']).filter((range) => typeof range === 'string');
  const one = asText(spec['podCIDR']);
  return ranges.length > 0 || one === undefined ? ranges : [one];
}

/** Whether a node takes no new pods: absent is false. */
export function isUnschedulable(node: unknown): boolean {
  return asObject(asObject(node)['spec'])['unschedulable'] === true;
}

function controllerOf(metadata: Readonly<Record<string, unknown>>, texts: SharedTexts): Controller | undefined {
  for (const raw of asArray(metadata['ownerReferences'])) {
    const { controller, kind, name, uid } = asObject(raw);
    if (controller !== true) continue;
    if (typeof kind !== 'string' || typeof name !== 'string' || typeof uid !== 'string') return undefined;
    return { kind: texts.share(kind), name: texts.share(name), uid: texts.share(uid) };
  }
  return undefined;
}

function addressesOf(status: Readonly<Record<string, unknown>>): readonly string[] {
  const written = asArray(status['podIPs']).map((entry) => asObject(entry)['ip']);
  const addresses = [...written, status['podIP']].flatMap((text) => {
    const address = typeof text === 'string' ? readAddress(text) : undefined;
    return address === undefined ? [] : [address];
  });
  return [...new Set(addresses)];
}

function finishedUnixMs(status: Readonly<Record<string, unknown>>): number {
  let latest = 0;
  for (const raw of asArray(status['containerStatuses'])) {
    const { terminated } = asObject(asObject(raw)['state']);
    const at = Date.parse(asText(asObject(terminated)['finishedAt']) ?? '');
    if (at > latest) latest = at;
  }
  return latest;
}

/** `registry:5000/name@digest`. undefined for an image that came from no registry: its id is a digest alone. */
function readRepoDigest(imageId: string): string | undefined {
  // Docker puts `docker-pullable://` in front.
  return /^(?:[a-z-]+:\/\/)?([^@]+@[a-z0-9+._-]+:[0-9a-f]+)$/.exec(imageId)?.[1];
}

/** `registry:5000/name:tag@digest`. Without tag and digest it is `latest`, as the container runtime reads it. */
function readImage(image: string): { imageName: string; imageTag: string | undefined } {
  const at = image.indexOf('@');
  const named = at < 0 ? image : image.slice(0, at);
  // A colon before the last slash is a port.
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  if (colon >= 0) return { imageName: named.slice(0, colon), imageTag: named.slice(colon + 1) };
  return { imageName: named, imageTag: at < 0 && named !== '' ? 'latest' : undefined };
}
