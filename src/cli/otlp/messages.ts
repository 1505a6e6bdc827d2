import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import type { Signal } from '../../base/index.ts';
import type { Requests } from './json.ts';

const names = {
  traces: { folder: 'trace', file: 'trace_service', service: 'TraceService', message: 'Trace' },
  metrics: { folder: 'metrics', file: 'metrics_service', service: 'MetricsService', message: 'Metrics' },
  logs: { folder: 'logs', file: 'logs_service', service: 'LogsService', message: 'Logs' },
} as const satisfies Record<Signal, unknown>;

interface Codec {
  readonly request: protobuf.Type;
  readonly response: protobuf.Type;
}
const codecs = new Map<Signal, Codec>();

/** The gRPC method that exports a signal. */
export function exportMethod(signal: Signal): string {
  const { folder, service } = names[signal];
  return `/opentelemetry.proto.collector.${folder}.v1.${service}/Export`;
}

/** An export request in protobuf, by the .proto files of the package. */
export function encodeRequest<S extends Signal>(signal: S, request: Requests[S]): Uint8Array {
  const { request: type } = codec(signal);
  return type.encode(type.fromObject(withIdBytes(request) as Record<string, unknown>)).finish();
}

/** What a receiver answered: how many records it rejected, and why. */
export function decodeResponse(signal: Signal, bytes: Uint8Array): { rejected: number; message: string } {
  const { response } = codec(signal);
  const answer: { partialSuccess?: { [field: string]: unknown } } = response.toObject(response.decode(bytes), {
    longs: Number,
  });
  return readPartialSuccess(answer.partialSuccess);
}

/** The three signals name the count differently. */
export function readPartialSuccess(partial: { [field: string]: unknown } | undefined): {
  rejected: number;
  message: string;
} {
  const count = partial?.['rejectedSpans'] ?? partial?.['rejectedDataPoints'] ?? partial?.['rejectedLogRecords'] ?? 0;
  return { rejected: Number(count), message: String(partial?.['errorMessage'] ?? '') };
}

function codec(signal: Signal): Codec {
  const known = codecs.get(signal);
  if (known !== undefined) return known;
  const { folder, file, message } = names[signal];
  const root = new protobuf.Root();
  // Where the files import each other, they do so from the root of the folder.
  root.resolvePath = (_, target) => fileURLToPath(new URL(`../../../proto/${target}`, import.meta.url));
  root.loadSync(`opentelemetry/proto/collector/${folder}/v1/${file}.proto`);
  const at = `opentelemetry.proto.collector.${folder}.v1.Export${message}Service`;
  const made = { request: root.lookupType(`${at}Request`), response: root.lookupType(`${at}Response`) };
  codecs.set(signal, made);
  return made;
}

const idNames: ReadonlySet<string> = new Set(['traceId', 'spanId', 'parentSpanId']);

/** The same message with its ids as bytes: hex is the JSON form's own spelling, which protobufjs does not know. */
function withIdBytes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withIdBytes);
  if (typeof value !== 'object' || value === null) return value;
  const copy: { [name: string]: unknown } = {};
  for (const [name, member] of Object.entries(value)) {
    if (typeof member === 'string') copy[name] = idNames.has(name) ? Buffer.from(member, 'hex') : member;
    // Most of a message, and no ids are in there.
    else copy[name] = name === 'attributes' ? member : withIdBytes(member);
  }
  return copy;
}
