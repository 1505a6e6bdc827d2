import { keysKeptMax } from './limits.ts';
import { termKey } from './terms.ts';

// Attribute keys, recognised by their bytes, with what is written of them into each document.

/** What an attribute says of a Kubernetes event. Source: the Collector's k8s_events and k8s_objects receivers. */
const eventRoles = {
  'k8s.event.reason': 'reason',
  'k8s.event.type': 'type',
  'k8s.object.kind': 'kind',
  'k8s.object.name': 'name',
  'k8s.object.uid': 'uid',
  'k8s.namespace.name': 'namespace',
  /** The kind of objects that the k8s_objects receiver read. */
  'k8s.resource.name': 'objects',
} as const;
export type EventRole = (typeof eventRoles)[keyof typeof eventRoles];

export class Key {
  readonly bytes: Uint8Array;
  /** `"key":` */
  readonly json: Uint8Array;
  /** Content of JSON strings: `key`, `:key=`, `key=`, the last two as terms have it. */
  readonly content: Uint8Array;
  readonly valueHead: Uint8Array;
  readonly numberHead: Uint8Array;
  readonly role: EventRole | undefined;
  /** Whether the table keeps it, so that it is the same object each time. */
  readonly kept: boolean;
  /** The key that came after it last: instrumentation writes the same keys in the same order, so it is looked at first. */
  next: Key | undefined;
  /** Where it came in the record that was last looked at, and the record's stamp: tells a key that comes twice. */
  place = 0;
  stamp = 0;

  constructor(bytes: Uint8Array, kept: boolean) {
    this.bytes = bytes;
    const text = Buffer.from(bytes).toString('utf8');
    const json = Buffer.from(`${JSON.stringify(text)}:`);
    this.json = json;
    this.content = json.subarray(1, -2);
    const term = JSON.stringify(`:${termKey(text)}=`);
    this.valueHead = Buffer.from(term).subarray(1, -1);
    this.numberHead = this.valueHead.subarray(1);
    this.role = Object.hasOwn(eventRoles, text) ? eventRoles[text as keyof typeof eventRoles] : undefined;
    this.kept = kept;
  }
}

/** Keys of one hash that are kept; whoever sends more of them is up to no good. */
const chainMax = 8;

export class KeyTable {
  /** Of the record or resource that was last looked at. */
  stamp = 0;
  readonly #byHash = new Map<number, Key[]>();
  #kept = 0;

  /** The key with these bytes; one that is not kept is made anew each time. */
  find(bytes: Uint8Array, start: number, end: number): Key {
    let hash = 0x811c9dc5; // FNV-1a
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
    const chain = this.#byHash.get(hash);
    if (chain !== undefined) for (const key of chain) if (sameBytes(key.bytes, bytes, start, end)) return key;
    const kept = this.#kept < keysKeptMax && (chain?.length ?? 0) < chainMax && end - start <= 1_024;
    const key = new Key(new Uint8Array(bytes.subarray(start, end)), kept); // a copy: `slice` of a Buffer is none
    if (!kept) return key;
    this.#kept++;
    if (chain === undefined) this.#byHash.set(hash, [key]);
    else chain.push(key);
    return key;
  }
}

export function sameBytes(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const size = end - start;
  if (known.length !== size) return false;
  for (let index = 0; index < size; index++) if (known[index] !== bytes[start + index]) return false;
  return true;
}
