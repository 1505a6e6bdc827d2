import { Reader, Writer, wireBytes } from './wire.ts';

// The records of export requests of any signal (their structure is the same down to the records), without an object each.

/** What stands around a record: Resource and InstrumentationScope messages as they were sent. */
export interface OriginBytes {
  readonly resource: Uint8Array;
  readonly scope: Uint8Array;
  readonly resourceSchemaUrl: string;
  readonly scopeSchemaUrl: string;
}

const empty = new Uint8Array(0);

/**
 * Walks resources and scopes, and hands each record (span, log record, metric) to `record`.
 * @param body          Export request, or TracesData and its like.
 * @param origins.find  Called once for each scope that has records; bytes are views into `body`.
 * @param record        Bounds of the record's content in `body`.
 * @throws Fault `malformed`.
 */
export function eachRecord<O>(
  body: Uint8Array,
  origins: { find(resource: Uint8Array, scope: Uint8Array, resourceSchemaUrl: string, scopeSchemaUrl: string): O },
  record: (origin: O, start: number, end: number) => void,
): void {
  const request = new Reader(body);
  while (request.next()) {
    if (request.field !== 1 || request.wireType !== wireBytes) continue;
    let resource: Uint8Array = empty;
    let resourceSchemaUrl = '';
    const head = request.message();
    while (head.next()) {
      if (head.field === 1) resource = head.bytes();
      else if (head.field === 3) resourceSchemaUrl = head.string();
    }
    const scopes = request.message();
    while (scopes.next()) {
      if (scopes.field !== 2 || scopes.wireType !== wireBytes) continue;
      let scope: Uint8Array = empty;
      let scopeSchemaUrl = '';
      const inner = scopes.message();
      let records = 0;
      while (inner.next()) {
        if (inner.field === 1) scope = inner.bytes();
        else if (inner.field === 3) scopeSchemaUrl = inner.string();
        else if (inner.field === 2) records++;
      }
      if (records === 0) continue;
      const origin = origins.find(resource, scope, resourceSchemaUrl, scopeSchemaUrl);
      const list = scopes.message();
      while (list.next()) {
        if (list.field === 2 && list.wireType === wireBytes) record(origin, list.valueStart, list.valueEnd);
      }
    }
  }
}

/**
 * TracesData: a ResourceSpans for each resource, with a ScopeSpans for each of its scopes. Source: OTLP trace.proto.
 * @param origins `spans`: encoded, in the order in which they are written; the keys are the caller's.
 */
export function encodeTrace(
  origins: readonly { parts: OriginBytes; spans: ReadonlyMap<string, Uint8Array> }[],
): Uint8Array {
  const resources = new Map<string, (typeof origins)[number][]>();
  for (const origin of origins) {
    const key = `${origin.parts.resourceSchemaUrl}\0${Buffer.from(origin.parts.resource).toString('latin1')}`;
    const same = resources.get(key);
    if (same === undefined) resources.set(key, [origin]);
    else same.push(origin);
  }
  const writer = new Writer(64 * 1024);
  for (const scopes of resources.values()) {
    const resourceSpans = writer.begin(1);
    const { resource, resourceSchemaUrl } = scopes[0]!.parts;
    writer.bytes(1, resource);
    for (const { parts, spans } of scopes) {
      const scopeSpans = writer.begin(2);
      if (parts.scope.length > 0) writer.bytes(1, parts.scope);
      for (const span of spans.values()) writer.bytes(2, span);
      if (parts.scopeSchemaUrl !== '') writer.string(3, parts.scopeSchemaUrl);
      writer.end(scopeSpans);
    }
    if (resourceSchemaUrl !== '') writer.string(3, resourceSchemaUrl);
    writer.end(resourceSpans);
  }
  return writer.finish();
}
