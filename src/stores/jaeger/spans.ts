import {
  defaultLimits,
  eachRecord,
  encodeTrace,
  jsonToProtobuf,
  type OriginBytes,
  plainAttributes,
  plainValue,
  Reader,
  wireBytes,
} from '../../otlp/index.ts';
import type { Json, TraceSearch, TraceSummary } from '../contract.ts';
import { compileFilter, type MatchedRecord, textOf } from '../match.ts';
import { answerBytesMax } from './limits.ts';
import { asSent, mayBeChanged } from './sent.ts';

// Jaeger's answers, taken apart. Pure: runs where it is called or in a thread. Sources: Jaeger's /api/v3 (query_service.proto,
// `GRPCGatewayWrapper`: `{"result": TracesData}`); OTLP trace.proto for the field numbers.

/** What a search asks of each span. */
export type SpanSearch = Pick<
  TraceSearch,
  'range' | 'service' | 'operation' | 'filter' | 'minDurationNanos' | 'maxDurationNanos'
>;

export interface FoundTrace {
  readonly summary: TraceSummary;
  /** Start of its newest span that matches; undefined where none does. */
  readonly newestMatch: bigint | undefined;
}

const kinds = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'];
const statuses = ['unset', 'ok', 'error'];

/**
 * The traces of an answer, with what a list shows of each.
 * @param json `{"result": TracesData}`.
 * @throws Fault `malformed` for what is no such answer, or for a regular expression that is none.
 */
export function findTraces(json: Uint8Array, search: SpanSearch): FoundTrace[] {
  const matches = compileFilter(search.filter);
  const body = tracesDataOf(json);
  const changed = mayBeChanged(body);
  const sums = new Map<string, Sum>();
  eachRecord(body, resources, (resource, start, end) => {
    const span = new Span(changed ? asSent(body.subarray(start, end)) : body.subarray(start, end), resource);
    let sum = sums.get(span.traceId);
    if (sum === undefined) {
      sum = newSum(span);
      sums.set(span.traceId, sum);
    }
    if (!add(sum, span)) return;
    if (sum.newestMatch !== undefined && sum.newestMatch >= span.start) return;
    if (isWanted(span, search) && matches(span)) sum.newestMatch = span.start;
  });
  return [...sums].map(([traceId, sum]) => ({ summary: summary(traceId, sum), newestMatch: sum.newestMatch }));
}

/** A trace as TracesData in protobuf, each span once; undefined for an answer without spans. */
export function encodeAnswer(json: Uint8Array): Uint8Array | undefined {
  const body = tracesDataOf(json);
  const changed = mayBeChanged(body);
  const origins = new Map<string, { parts: OriginBytes; spans: Map<string, Uint8Array> }>();
  const seen = new Set<string>();
  eachRecord(
    body,
    {
      find(resource, scope, resourceSchemaUrl, scopeSchemaUrl) {
        const key = `${latin1(resource)}\0${latin1(scope)}\0${resourceSchemaUrl}\0${scopeSchemaUrl}`;
        let origin = origins.get(key);
        if (origin === undefined) {
          origin = { parts: { resource, scope, resourceSchemaUrl, scopeSchemaUrl }, spans: new Map() };
          origins.set(key, origin);
        }
        return origin;
      },
    },
    (origin, start, end) => {
      const lying = body.subarray(start, end);
      const bytes = changed ? asSent(lying) : lying;
      // The same bytes are the same span, sent twice: trace and span id are among them. Jaeger's memory keeps both.
      const text = latin1(bytes);
      if (seen.has(text)) return;
      seen.add(text);
      origin.spans.set(text, bytes);
    },
  );
  return seen.size === 0 ? undefined : encodeTrace([...origins.values()].filter(({ spans }) => spans.size > 0));
}

const limits = { ...defaultLimits, requestBytesMax: answerBytesMax };

/** `{"result":{…}}` → what stands in it, in protobuf. */
function tracesDataOf(json: Uint8Array): Uint8Array {
  const head = /^\s*\{\s*"result"\s*:\s*/.exec(latin1(json.subarray(0, 64)));
  const last = json.lastIndexOf(0x7d); // }
  // An answer without spans may lack its result.
  if (head === null || last < head[0].length) return jsonToProtobuf('traces', json, limits);
  return jsonToProtobuf('traces', json.subarray(head[0].length, last), limits);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

// ------------------------------------------------------------------------------------------- one resource

class Resource {
  readonly #bytes: Uint8Array;
  #attributes: { readonly [key: string]: Json } | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get attributes(): { readonly [key: string]: Json } {
    this.#attributes ??= plainAttributes(this.#bytes, 0, this.#bytes.length, 1);
    return this.#attributes;
  }

  get service(): string | undefined {
    const name = Object.hasOwn(this.attributes, 'service.name') ? this.attributes['service.name'] : undefined;
    return name === undefined ? undefined : textOf(name);
  }
}

const resources = { find: (resource: Uint8Array) => new Resource(resource) };

// ----------------------------------------------------------------------------------------------- one span

/** A span where it lies; what only some filters ask for is decoded when they do. */
class Span implements MatchedRecord {
  readonly #bytes: Uint8Array;
  readonly #resource: Resource;
  #attributes: { readonly [key: string]: Json } | undefined;
  readonly traceId: string;
  readonly spanId: string;
  readonly isRoot: boolean;
  readonly name: string;
  readonly kind: string;
  readonly status: string;
  readonly start: bigint;
  /** Negative where the end is before the start; 0 where there is no end. */
  readonly durationNanos: bigint;
  readonly severityNumber = undefined;
  readonly body = undefined;

  constructor(bytes: Uint8Array, resource: Resource) {
    this.#bytes = bytes;
    this.#resource = resource;
    let [traceId, spanId, name, kind, code] = ['', '', '', 0, 0];
    let [start, end, isRoot] = [0n, 0n, true];
    const span = new Reader(bytes);
    while (span.next()) {
      if (span.field === 1) traceId = hex(span.bytes());
      else if (span.field === 2) spanId = hex(span.bytes());
      else if (span.field === 4) isRoot = span.bytes().every((byte) => byte === 0);
      else if (span.field === 5) name = span.string();
      else if (span.field === 6) kind = span.int32();
      else if (span.field === 7) start = span.fixed64();
      else if (span.field === 8) end = span.fixed64();
      else if (span.field === 15) {
        const status = span.message();
        while (status.next()) if (status.field === 3) code = status.int32();
      }
    }
    this.traceId = traceId;
    this.spanId = spanId;
    this.isRoot = isRoot;
    this.name = name;
    this.kind = kinds[kind] ?? 'unspecified';
    this.status = statuses[code] ?? 'unset';
    this.start = start;
    this.durationNanos = end === 0n ? 0n : end - start;
  }

  get service(): string | undefined {
    return this.#resource.service;
  }

  get resource(): { readonly [key: string]: Json } {
    return this.#resource.attributes;
  }

  get attributes(): { readonly [key: string]: Json } {
    this.#attributes ??= plainAttributes(this.#bytes, 0, this.#bytes.length, 9);
    return this.#attributes;
  }

  /** Name, status message, names of events and messages of exceptions. */
  get texts(): readonly string[] {
    const texts = [this.name];
    const span = new Reader(this.#bytes);
    while (span.next()) {
      if (span.field === 15) {
        const status = span.message();
        while (status.next()) if (status.field === 2) texts.push(status.string());
      } else if (span.field === 11) {
        const event = span.message();
        while (event.next()) {
          if (event.field === 2) texts.push(event.string());
          else if (event.field === 3) texts.push(...exceptionMessage(event));
        }
      }
    }
    return texts;
  }
}

function exceptionMessage(attribute: Reader): string[] {
  const pair = attribute.message();
  let [key, text] = ['', ''];
  while (pair.next()) {
    if (pair.wireType !== wireBytes) continue;
    if (pair.field === 1) key = pair.string();
    else if (pair.field === 2) text = textOf(plainValue(pair.buffer, pair.valueStart, pair.valueEnd));
  }
  return key === 'exception.message' ? [text] : [];
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

function isWanted(span: Span, search: SpanSearch): boolean {
  const { range, service, operation, minDurationNanos, maxDurationNanos } = search;
  return (
    span.start >= range.startUnixNano &&
    span.start < range.endUnixNano &&
    (operation === undefined || span.name === operation) &&
    (minDurationNanos === undefined || span.durationNanos >= minDurationNanos) &&
    (maxDurationNanos === undefined || span.durationNanos <= maxDurationNanos) &&
    (service === undefined || (span.service ?? '') === service)
  );
}

// ---------------------------------------------------------------------------------------------- one trace

interface Sum {
  start: bigint;
  end: bigint;
  readonly spans: Set<string>;
  errors: number;
  readonly services: Set<string>;
  root: Span | undefined;
  newestMatch: bigint | undefined;
}

function newSum({ start }: Span): Sum {
  return { start, end: 0n, spans: new Set(), errors: 0, services: new Set(), root: undefined, newestMatch: undefined };
}

/** False for a span that was there: what was sent twice is counted once. */
function add(sum: Sum, span: Span): boolean {
  const key = `${span.spanId} ${span.start} ${span.durationNanos} ${span.status} ${span.name}`;
  if (sum.spans.has(key)) return false;
  sum.spans.add(key);
  const end = span.start + span.durationNanos;
  if (span.start < sum.start) sum.start = span.start;
  if (end > sum.end) sum.end = end;
  if (span.status === 'error') sum.errors++;
  sum.services.add(span.service ?? '');
  if (span.isRoot && (sum.root === undefined || span.start < sum.root.start)) sum.root = span;
  return true;
}

function summary(traceId: string, sum: Sum): TraceSummary {
  return {
    traceId,
    rootService: sum.root?.service ?? '',
    rootName: sum.root?.name ?? '',
    startTimeUnixNano: sum.start,
    durationNanos: sum.end > sum.start ? sum.end - sum.start : 0n,
    spanCount: sum.spans.size,
    errorCount: sum.errors,
    services: [...sum.services].sort(),
  };
}
