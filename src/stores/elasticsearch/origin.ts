import { eventObjectAttribute, identityAttributes, plainAttributes, Reader, wireBytes } from '../../otlp/index.ts';
import { Attributes, resourceHeads } from './attributes.ts';
import { JsonBuffer } from './json.ts';
import type { KeyTable } from './keys.ts';
import { originsKeptMax } from './limits.ts';

// Resource and scope of records. They repeat for thousands, so what a document has of them is encoded once.

export interface Origin {
  /** The rest of a document after the record's own fields, beginning with a comma, with the closing brace. */
  readonly tail: Uint8Array;
  /** Of the resource's attributes, those that tell the object of a Kubernetes event. */
  readonly object: { readonly [role in 'kind' | 'name' | 'uid' | 'namespace']: string | undefined };
}

/** Separates the parts of a service's identity. */
export const identitySeparator = '\u001f';

export class Origins {
  readonly #keys: KeyTable;
  #known = new Map<string, Origin>();

  constructor(keys: KeyTable) {
    this.#keys = keys;
  }

  /** Called for each scope of a request; bytes are not kept. */
  find(resource: Uint8Array, scope: Uint8Array, resourceSchemaUrl: string, scopeSchemaUrl: string): Origin {
    const name = `${resource.length} ${latin1(resource)}${scope.length} ${latin1(scope)}${resourceSchemaUrl.length} ${resourceSchemaUrl}${scopeSchemaUrl}`;
    let origin = this.#known.get(name);
    if (origin === undefined) {
      // Forgetting all of them now and then costs less than knowing which was used last.
      if (this.#known.size >= originsKeptMax) this.#known = new Map();
      origin = makeOrigin(this.#keys, resource, scope, resourceSchemaUrl, scopeSchemaUrl);
      this.#known.set(name, origin);
    }
    return origin;
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

function makeOrigin(
  keys: KeyTable,
  resource: Uint8Array,
  scope: Uint8Array,
  resourceSchemaUrl: string,
  scopeSchemaUrl: string,
): Origin {
  const out = new JsonBuffer(4_096);
  const attributes = new Attributes(keys);
  const identity = identityOf(resource);
  if (identity.name !== '') {
    out.ascii(',"service":');
    out.text(identity.name);
  }
  out.ascii(',"service_identity":');
  out.text([identity.isEvent ? '' : identity.name, identity.namespace, identity.environment].join(identitySeparator));

  out.ascii(',"resource":{"attributes":');
  const droppedOfResource = collect(attributes, resource, 1, 2);
  attributes.writeObject(out, resource);
  writeMore(out, droppedOfResource, resourceSchemaUrl);
  attributes.writeTerms(out, resource, resourceHeads);
  const object = {
    kind: attributes.roleText('kind', resource),
    name: attributes.roleText('name', resource),
    uid: attributes.roleText('uid', resource),
    namespace: attributes.roleText('namespace', resource),
  };

  out.ascii(',"scope":{"name":');
  let name = '';
  let version = '';
  const reader = new Reader(scope);
  while (reader.next()) {
    if (reader.field === 1) name = reader.string();
    else if (reader.field === 2) version = reader.string();
  }
  out.text(name);
  if (version !== '') {
    out.ascii(',"version":');
    out.text(version);
  }
  const droppedOfScope = collect(attributes, scope, 3, 4);
  if (attributes.size > 0) {
    out.ascii(',"attributes":');
    attributes.writeObject(out, scope);
  }
  writeMore(out, droppedOfScope, scopeSchemaUrl);
  out.ascii('}\n');
  return { tail: Buffer.from(out.bytes.subarray(0, out.used)), object };
}

/** @returns the count of dropped attributes. */
function collect(attributes: Attributes, message: Uint8Array, field: number, droppedField: number): number {
  attributes.begin();
  let dropped = 0;
  const reader = new Reader(message);
  while (reader.next()) {
    if (reader.field === field && reader.wireType === wireBytes) {
      attributes.add(message, reader.valueStart, reader.valueEnd);
    } else if (reader.field === droppedField) dropped = reader.uint32();
  }
  return dropped;
}

function writeMore(out: JsonBuffer, dropped: number, schemaUrl: string): void {
  if (dropped > 0) out.ascii(`,"dropped_attributes_count":${dropped}`);
  if (schemaUrl !== '') {
    out.ascii(',"schema_url":');
    out.text(schemaUrl);
  }
  out.byte(0x7d);
}

/** Who a resource is: '' for what it does not say. */
function identityOf(
  resource: Uint8Array,
): { [part in keyof typeof identityAttributes]: string } & { readonly isEvent: boolean } {
  const attributes = plainAttributes(resource, 0, resource.length, 1);
  const first = (names: readonly string[]) => {
    for (const name of names) {
      const value = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
      if (value === undefined || value === null || value === '') continue;
      return typeof value === 'string' ? value : JSON.stringify(value);
    }
    return '';
  };
  return {
    name: first(identityAttributes.name),
    namespace: first(identityAttributes.namespace),
    environment: first(identityAttributes.environment),
    isEvent: Object.hasOwn(attributes, eventObjectAttribute),
  };
}
