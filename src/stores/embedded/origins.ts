import { hash } from 'node:crypto';
import { eventObjectAttribute, identityAttributes, Reader, wireBytes } from '../../otlp/index.ts';
import { writeObject } from './attributes.ts';
import type { Rows } from './columns.ts';
import { fileKeysMax } from './limits.ts';
import type { RollUp } from './rollup.ts';

// Resource and scope of a record. They repeat for thousands of records, so they are kept once and records name them by a hash.

export class Origin {
  readonly idLow: number;
  readonly idHigh: number;
  /** `service.name`. */
  readonly service: Uint8Array;
  /** Its number in the roll-up; nobody's where it is the object of an event. */
  readonly who: number;
  readonly parts: OriginParts;

  constructor(parts: OriginParts, digest: Buffer, rollUp: RollUp) {
    this.parts = parts;
    this.idLow = digest.readUInt32LE(0);
    this.idHigh = digest.readUInt32LE(4);
    const { service, namespace, environment, keys } = identity(parts.resource);
    this.service = Buffer.from(service);
    this.who = rollUp.who(keys.includes(eventObjectAttribute) ? '' : service, namespace, environment);
  }
}

export interface OriginParts {
  /** Resource and InstrumentationScope messages as they were sent. */
  readonly resource: Uint8Array;
  readonly scope: Uint8Array;
  readonly resourceSchemaUrl: string;
  readonly scopeSchemaUrl: string;
}

/** The origins of one generation: finds them by their bytes, and writes each when it is first met. Bounded by the generation's bytes. */
export class Origins {
  readonly #known = new Map<string, Origin>();
  readonly #buffer: Rows;
  readonly #rollUp: RollUp;
  /** Keys of the resources of this generation; undefined when they are too many to name. */
  #resourceKeys: Set<string> | undefined = new Set();

  constructor(buffer: Rows, rollUp: RollUp) {
    this.#buffer = buffer;
    this.#rollUp = rollUp;
  }

  resourceKeys(): readonly string[] | undefined {
    return this.#resourceKeys === undefined ? undefined : [...this.#resourceKeys];
  }

  /** The origin of the records in one ScopeSpans or ScopeLogs. Bytes are copied where they are kept. */
  find(resource: Uint8Array, scope: Uint8Array, resourceSchemaUrl: string, scopeSchemaUrl: string): Origin {
    const name = `${latin1(resource)}\0${latin1(scope)}\0${resourceSchemaUrl}\0${scopeSchemaUrl}`;
    let origin = this.#known.get(name);
    if (origin === undefined) {
      const parts = { resource: resource.slice(), scope: scope.slice(), resourceSchemaUrl, scopeSchemaUrl };
      // Lengths go in too, so that no two different origins have the same text.
      const text = `${resource.length} ${scope.length} ${resourceSchemaUrl.length} ${name}`;
      origin = new Origin(parts, hash('sha256', Buffer.from(text, 'utf8'), 'buffer'), this.#rollUp);
      this.#known.set(name, origin);
      this.#write(origin);
    }
    return origin;
  }

  #write(origin: Origin): void {
    const buffer = this.#buffer;
    const { row } = buffer;
    const { resource, scope, resourceSchemaUrl, scopeSchemaUrl } = origin.parts;
    const known = identity(resource);
    buffer.column('id').set64(row, origin.idLow, origin.idHigh);
    buffer.column('service').setString(row, known.service);
    buffer.column('namespace').setString(row, known.namespace);
    buffer.column('environment').setString(row, known.environment);
    buffer.column('scope_name').setString(row, scopeName(scope));
    buffer.column('resource_schema_url').setString(row, resourceSchemaUrl);
    buffer.column('scope_schema_url').setString(row, scopeSchemaUrl);
    const start = buffer.used;
    writeObject(buffer, resource, known.pairs);
    buffer.column('resource_attributes').setBytes(row, buffer.scratch, start, buffer.used);
    buffer.column('resource').setBytes(row, resource, 0, resource.length);
    buffer.column('scope').setBytes(row, scope, 0, scope.length);
    for (const key of known.keys) this.#resourceKeys?.add(key);
    if (this.#resourceKeys !== undefined && this.#resourceKeys.size > fileKeysMax) this.#resourceKeys = undefined;
    buffer.endRow();
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** What says who a resource is. */
export function identity(resource: Uint8Array): {
  service: string;
  namespace: string;
  environment: string;
  keys: string[];
  /** Where the KeyValues lie, the last one of each key, in pairs. */
  pairs: number[];
} {
  const values = new Map<string, { text: string; start: number; end: number }>();
  const reader = new Reader(resource);
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== wireBytes) continue;
    const pair = reader.message();
    let key = '';
    let text = '';
    while (pair.next()) {
      if (pair.field === 1) key = pair.string();
      else if (pair.field === 2) {
        const any = pair.message();
        while (any.next()) text = any.field === 1 ? any.string() : any.field === 3 ? String(any.int64()) : '';
      }
    }
    values.set(key, { text, start: reader.valueStart, end: reader.valueEnd });
  }
  const first = (names: readonly string[]) => {
    for (const name of names) {
      const text = values.get(name)?.text ?? '';
      if (text !== '') return text;
    }
    return '';
  };
  return {
    service: first(identityAttributes.name),
    namespace: first(identityAttributes.namespace),
    environment: first(identityAttributes.environment),
    keys: [...values.keys()],
    pairs: [...values.values()].flatMap(({ start, end }) => [start, end]),
  };
}

function scopeName(scope: Uint8Array): string {
  const reader = new Reader(scope);
  let name = '';
  while (reader.next()) if (reader.field === 1) name = reader.string();
  return name;
}
