import { isDeepStrictEqual } from 'node:util';
import { AddressOwners } from './address-owners.ts';
import { configHashAnnotation } from './associate.ts';
import type { OwnerFacts, PodFacts } from './contract.ts';
import { asOwner, type Controller, type DecodedPod } from './decode.ts';
import { objectsMax } from './limits.ts';
import { PrefixSet } from './ranges.ts';
import { Remembered } from './remembered.ts';

/** A pod and where it stands in the tables. */
interface Entry {
  facts: PodFacts;
  addresses: readonly string[];
  controller: Controller | undefined;
  podTemplateHash: string | undefined;
  /** It runs no more: whoever else has its address is the owner. Monotonic milliseconds until which the address may still be taken for its. */
  finishedUntilMs: number | undefined;
}

/** Those that have one controller share what is known of it. */
interface Controlled {
  owners: readonly OwnerFacts[];
  readonly entries: Set<Entry>;
}

/** What a ReplicaSet or a Job is itself controlled by; null: by nothing that names records. undefined: it is not known. */
export type ParentOf = (uid: string) => OwnerFacts | null | undefined;

/**
 * Pods by UID, address and name. A pod that was deleted is found for a while longer, as is the address of one that has
 * finished, since what they sent last arrives after them. An address belongs to one pod at a time: a living one before one
 * that has ended, then the one that started last.
 * Times: `nowMs` is monotonic, `nowUnixMs` the wall clock.
 */
export class PodIndex {
  readonly #keepMs: number;
  readonly #parentOf: ParentOf;
  readonly #onPod: (pod: PodFacts, addresses: readonly string[]) => void;
  readonly #entries: Remembered<Entry>;
  readonly #byAddress = new AddressOwners<Entry>((one, other) => this.#outranks(one, other));
  readonly #byName = new Map<string, Map<string, Entry>>();
  /** Static pods, by what their kubelet takes for their UID. */
  readonly #byConfigHash = new Map<string, Entry>();
  readonly #controlled = new Map<string, Controlled>();
  readonly #finished = new Set<Entry>();
  /** Ranges of the addresses that were seen, for where the nodes' own ranges say nothing of them. */
  #seen = new PrefixSet();

  /** @param onPod Told of a pod that is new, and when it gets an address. */
  constructor(keepMs: number, parentOf: ParentOf, onPod: (pod: PodFacts, addresses: readonly string[]) => void) {
    this.#keepMs = keepMs;
    this.#parentOf = parentOf;
    this.#onPod = onPod;
    this.#entries = new Remembered(keepMs);
  }

  /** Pods that are there, without those that are remembered. */
  get pods(): number {
    return this.#entries.present;
  }

  byUid(uid: string): PodFacts | undefined {
    return (this.#entries.get(uid) ?? this.#byConfigHash.get(uid))?.facts;
  }

  byAddress(address: string): PodFacts | undefined {
    return this.#byAddress.get(address)?.facts;
  }

  byName(namespace: string, name: string): PodFacts | undefined {
    return this.#byName.get(namespace)?.get(name)?.facts;
  }

  /** Near an address that a pod was seen with. */
  isNearPod(address: string): boolean {
    return this.#seen.has(address);
  }

  beginListing(): void {
    this.#entries.beginListing();
  }

  endListing(nowMs: number): void {
    for (const uid of this.#entries.endListing(nowMs)) this.#weaken(uid);
  }

  put(pod: DecodedPod, nowMs: number, nowUnixMs: number): void {
    const known = this.#entries.get(pod.uid);
    if (known === undefined && this.#entries.size >= objectsMax) return;
    const before = known?.addresses ?? [];
    const wasAlive = known !== undefined && known.finishedUntilMs === undefined;
    const entry = known ?? this.#enter(pod);
    if (known === undefined || known.controller?.uid !== pod.controller?.uid) this.#setController(entry, pod);
    this.#setFacts(entry, { ...factsOf(pod), owners: this.#controlledBy(entry)?.owners ?? [] });
    this.#entries.put(pod.uid, entry);
    this.#name(entry);
    if (pod.finishedUnixMs === undefined) this.#live(entry, pod.addresses);
    else
      this.#finish(entry, pod.addresses, nowMs, wasAlive ? nowMs : nowMs + Math.min(0, pod.finishedUnixMs - nowUnixMs));
    const hasAddress = entry.addresses.length > 0 && !isDeepStrictEqual(before, entry.addresses);
    if (known === undefined || hasAddress) this.#onPod(entry.facts, entry.addresses);
  }

  remove(uid: string, nowMs: number): void {
    if (this.#entries.remove(uid, nowMs)) this.#weaken(uid);
  }

  /** What a ReplicaSet or a Job is controlled by has become known: its pods are told. */
  parentKnown(uid: string): void {
    const controlled = this.#controlled.get(uid);
    const [first] = controlled?.entries ?? [];
    if (controlled === undefined || first === undefined) return;
    const owners = this.#ownersOf(first);
    if (isDeepStrictEqual(owners, controlled.owners)) return;
    controlled.owners = owners;
    for (const entry of controlled.entries) entry.facts = { ...entry.facts, owners };
  }

  /** Forgets what went long enough ago. */
  sweep(nowMs: number): void {
    for (const entry of this.#entries.sweep(nowMs)) {
      this.#release(entry);
      this.#finished.delete(entry);
      this.#leaveController(entry);
      const named = this.#byName.get(entry.facts.namespace);
      if (named?.get(entry.facts.name) === entry) named.delete(entry.facts.name);
      if (named?.size === 0) this.#byName.delete(entry.facts.namespace);
      const configHash = entry.facts.annotations[configHashAnnotation];
      if (configHash !== undefined && this.#byConfigHash.get(configHash) === entry)
        this.#byConfigHash.delete(configHash);
    }
    for (const entry of this.#finished) {
      if ((entry.finishedUntilMs ?? 0) > nowMs) continue;
      this.#release(entry);
      this.#finished.delete(entry);
    }
  }

  #enter(pod: DecodedPod): Entry {
    return {
      facts: { ...factsOf(pod), owners: [] },
      addresses: [],
      controller: undefined,
      podTemplateHash: pod.podTemplateHash,
      finishedUntilMs: undefined,
    };
  }

  /** A pod's status changes often and what is kept of it seldom: then it stays the same object. */
  #setFacts(entry: Entry, facts: PodFacts): void {
    if (!isDeepStrictEqual(entry.facts, facts)) entry.facts = facts;
  }

  #name(entry: Entry): void {
    const { namespace, name } = entry.facts;
    let named = this.#byName.get(namespace);
    if (named === undefined) {
      named = new Map();
      this.#byName.set(namespace, named);
    }
    named.set(name, entry);
    const configHash = entry.facts.annotations[configHashAnnotation];
    if (configHash !== undefined) this.#byConfigHash.set(configHash, entry);
  }

  #live(entry: Entry, addresses: readonly string[]): void {
    entry.finishedUntilMs = undefined;
    this.#finished.delete(entry);
    this.#claim(entry, addresses);
    for (const address of addresses) this.#see(address);
  }

  #finish(entry: Entry, addresses: readonly string[], nowMs: number, endMs: number): void {
    const untilMs = entry.finishedUntilMs ?? endMs + this.#keepMs;
    entry.finishedUntilMs = untilMs;
    if (untilMs <= nowMs) {
      this.#release(entry);
      return;
    }
    this.#finished.add(entry);
    // A pod that was short may tell of its address only now; another tells no more of the one that it had.
    if (addresses.length > 0) this.#claim(entry, addresses);
    this.#weaken(entry.facts.uid);
  }

  #claim(entry: Entry, addresses: readonly string[]): void {
    if (!isDeepStrictEqual(entry.addresses, addresses)) {
      this.#release(entry);
      entry.addresses = addresses;
    }
    for (const address of addresses) this.#byAddress.claim(address, entry);
  }

  #weaken(uid: string): void {
    const entry = this.#entries.get(uid);
    for (const address of entry?.addresses ?? []) this.#byAddress.weaken(address, entry!);
  }

  #release(entry: Entry): void {
    for (const address of entry.addresses) this.#byAddress.leave(address, entry);
    entry.addresses = [];
  }

  #outranks(one: Entry, other: Entry): boolean {
    const [isOneAlive, isOtherAlive] = [this.#isAlive(one), this.#isAlive(other)];
    if (isOneAlive !== isOtherAlive) return isOneAlive;
    // RFC 3339 in UTC without fractions: the order of the texts is that of the times.
    return (one.facts.startTime ?? '') > (other.facts.startTime ?? '');
  }

  #isAlive(entry: Entry): boolean {
    return entry.finishedUntilMs === undefined && this.#entries.isPresent(entry.facts.uid);
  }

  #see(address: string): void {
    if (this.#seen.has(address)) return;
    if (this.#seen.size >= objectsMax) this.#seen = new PrefixSet();
    this.#seen.add(`${address}/${address.includes(':') ? 64 : 24}`);
  }

  #setController(entry: Entry, pod: DecodedPod): void {
    this.#leaveController(entry);
    entry.controller = pod.controller;
    entry.podTemplateHash = pod.podTemplateHash;
    if (pod.controller === undefined) return;
    const controlled = this.#controlled.get(pod.controller.uid);
    if (controlled === undefined) {
      this.#controlled.set(pod.controller.uid, { owners: this.#ownersOf(entry), entries: new Set([entry]) });
    } else controlled.entries.add(entry);
  }

  #leaveController(entry: Entry): void {
    const uid = entry.controller?.uid;
    if (uid === undefined) return;
    const controlled = this.#controlled.get(uid);
    controlled?.entries.delete(entry);
    if (controlled?.entries.size === 0) this.#controlled.delete(uid);
  }

  #controlledBy(entry: Entry): Controlled | undefined {
    return entry.controller === undefined ? undefined : this.#controlled.get(entry.controller.uid);
  }

  /** Nearest first. */
  #ownersOf({ controller, podTemplateHash }: Entry): readonly OwnerFacts[] {
    const owner = controller === undefined ? undefined : asOwner(controller);
    if (owner?.uid === undefined) return [];
    const parent = this.#parentOf(owner.uid);
    if (parent !== undefined) return parent === null ? [owner] : [owner, parent];
    const name = owner.kind === 'ReplicaSet' ? deploymentName(owner.name, podTemplateHash) : undefined;
    return name === undefined ? [owner] : [owner, { kind: 'Deployment', name, uid: undefined }];
  }
}

/**
 * The Deployment of a ReplicaSet that cannot be asked for: its name and the hash of the pod template, which its pods have
 * as a label, make the ReplicaSet's name. Only a Deployment sets that label.
 */
function deploymentName(replicaSet: string, podTemplateHash: string | undefined): string | undefined {
  if (podTemplateHash === undefined || !replicaSet.endsWith(`-${podTemplateHash}`)) return undefined;
  return replicaSet.slice(0, -podTemplateHash.length - 1) || undefined;
}

function factsOf(pod: DecodedPod): Omit<PodFacts, 'owners'> {
  const { uid, name, namespace, nodeName, hostNetwork, podIp, startTime, containers, labels, annotations } = pod;
  return { uid, name, namespace, nodeName, hostNetwork, podIp, startTime, containers, labels, annotations };
}
