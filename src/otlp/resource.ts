import type { ResourceAt, Walked } from './walk.ts';
import { Reader, readString, varintSize, Writer, wireBytes } from './wire.ts';

// Enrichment on the bytes: attributes are looked up where they lie, and added by changing two length prefixes.

/**
 * The attributes that say who a resource is; of each the first that is there and not empty. Sources: OpenTelemetry semantic
 * conventions "Service", "Deployment"; `environment` and `k8s.namespace.name` are what enrichment adds.
 */
export const identityAttributes = {
  name: ['service.name'],
  namespace: ['service.namespace', 'k8s.namespace.name'],
  environment: ['deployment.environment.name', 'deployment.environment', 'environment'],
} as const;

/** One `Resource.attributes` field: tag, length and KeyValue. Encode it once, not per request. @param value A text, or an array of texts. */
export function encodeResourceAttribute(key: string, value: string | readonly string[]): Uint8Array {
  const writer = new Writer();
  const attribute = writer.begin(1);
  writer.string(1, key);
  const any = writer.begin(2);
  if (typeof value === 'string') writer.string(1, value);
  else writeTextArray(writer, value);
  writer.end(any);
  writer.end(attribute);
  return writer.finish();
}

/** An array of texts as the value of an AnyValue that has begun. */
export function writeTextArray(writer: Writer, texts: readonly string[]): void {
  const array = writer.begin(5);
  for (const text of texts) {
    const element = writer.begin(1);
    writer.string(1, text);
    writer.end(element);
  }
  writer.end(array);
}

/** Keys of a resource's attributes, and the values of those that are texts. Of a key that occurs twice the first counts. */
export function resourceAttributes(
  bytes: Uint8Array,
  at: ResourceAt,
): { readonly keys: ReadonlySet<string>; readonly texts: ReadonlyMap<string, string> } {
  const keys = new Set<string>();
  const texts = new Map<string, string>();
  if (at.resourceStart < 0) return { keys, texts };
  const resource = new Reader(bytes, at.resourceStart, at.resourceEnd);
  while (resource.next()) {
    if (resource.field !== 1 || resource.wireType !== wireBytes) continue;
    const attribute = resource.message();
    let key = '';
    let text: string | undefined;
    while (attribute.next()) {
      if (attribute.wireType !== wireBytes) continue;
      if (attribute.field === 1) key = attribute.string();
      else if (attribute.field === 2) text = textOf(attribute.message());
    }
    if (keys.has(key)) continue;
    keys.add(key);
    if (text !== undefined) texts.set(key, text);
  }
  return { keys, texts };
}

/** Of an AnyValue that is a text. The last member of the oneof counts. */
function textOf(value: Reader): string | undefined {
  let text: string | undefined;
  while (value.next()) text = value.field === 1 && value.wireType === wireBytes ? value.string() : undefined;
  return text;
}

/** Whether the sender set this attribute, whatever its value. @param encodedKey The key in UTF-8. */
export function resourceHas(bytes: Uint8Array, at: ResourceAt, encodedKey: Uint8Array): boolean {
  if (at.resourceStart < 0) return false;
  const resource = new Reader(bytes, at.resourceStart, at.resourceEnd);
  while (resource.next()) {
    if (resource.field !== 1 || resource.wireType !== wireBytes) continue;
    const attribute = resource.message();
    let found = encodedKey.length === 0; // an empty key may be absent from the wire
    while (attribute.next())
      if (attribute.field === 1 && attribute.wireType === wireBytes)
        found = equalBytes(bytes, attribute.valueStart, attribute.valueEnd, encodedKey);
    if (found) return true;
  }
  return false;
}

/** The text of a string attribute; undefined where it is absent or no string. The first wins where a key occurs twice. */
export function resourceText(bytes: Uint8Array, at: ResourceAt, key: string): string | undefined {
  if (at.resourceStart < 0) return undefined;
  const resource = new Reader(bytes, at.resourceStart, at.resourceEnd);
  while (resource.next()) {
    if (resource.field !== 1 || resource.wireType !== wireBytes) continue;
    const attribute = resource.message();
    let found = key === '';
    let text: string | undefined;
    while (attribute.next()) {
      if (attribute.wireType !== wireBytes) continue;
      if (attribute.field === 1) found = readString(bytes, attribute.valueStart, attribute.valueEnd) === key;
      else if (attribute.field === 2) text = textOf(attribute.message());
    }
    if (found) return text;
  }
  return undefined;
}

function equalBytes(bytes: Uint8Array, start: number, end: number, other: Uint8Array): boolean {
  if (end - start !== other.length) return false;
  for (let index = 0; index < other.length; index++) if (bytes[start + index] !== other[index]) return false;
  return true;
}

/**
 * Appends attributes to resources. A Resource message is made where there is none.
 * @param walked    What `walk` said of these very bytes.
 * @param additions For each resource its new attributes, each as `encodeResourceAttribute` makes them.
 * @param slice     Indexes of some of the resources, the last exclusive: then the pieces are what stands before the first of them
 *                  (for index 0), they, and what follows up to the next one or the end. Those of all slices are the request.
 * @returns         Pieces that together are the request; what did not change is a view into `bytes`.
 */
export function spliceResources(
  bytes: Uint8Array,
  walked: Walked,
  additions: (resource: ResourceAt, index: number) => readonly Uint8Array[],
  slice: { readonly from: number; readonly to: number } = { from: 0, to: walked.resources.length },
): Uint8Array[] {
  const { resources } = walked;
  const end = resources[slice.to]?.start ?? bytes.length;
  const pieces: Uint8Array[] = [];
  let copiedTo = slice.from === 0 ? 0 : (resources[slice.from]?.start ?? bytes.length);
  for (let index = slice.from; index < slice.to; index += 1) {
    const resource = resources[index]!;
    const added = additions(resource, index);
    if (added.length === 0) continue;
    const addedBytes = added.reduce((sum, piece) => sum + piece.length, 0);
    const hasResource = resource.resourceStart >= 0;
    const sizeBefore = hasResource ? resource.resourceEnd - resource.resourceStart : 0;
    const size = sizeBefore + addedBytes;
    const resourceField = prefix(size);
    const fieldBytesBefore = hasResource ? resource.resourceEnd - resource.resourceTagStart : 0;
    const contentSize = resource.end - resource.contentStart - fieldBytesBefore + resourceField.length + size;
    if (resource.start > copiedTo) pieces.push(bytes.subarray(copiedTo, resource.start));
    pieces.push(prefix(contentSize));
    if (hasResource) {
      pieces.push(bytes.subarray(resource.contentStart, resource.resourceTagStart), resourceField);
      pieces.push(bytes.subarray(resource.resourceStart, resource.resourceEnd), ...added);
      copiedTo = resource.resourceEnd;
    } else {
      pieces.push(resourceField, ...added);
      copiedTo = resource.contentStart;
    }
  }
  if (copiedTo < end) pieces.push(bytes.subarray(copiedTo, end));
  return pieces;
}

/** Tag and length of field 1, which both ResourceSpans in its request and Resource in ResourceSpans are. */
function prefix(size: number): Uint8Array {
  const bytes = new Uint8Array(1 + varintSize(size));
  bytes[0] = 0x0a;
  let rest = size;
  let at = 1;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) | 0x80;
  bytes[at] = rest;
  return bytes;
}
