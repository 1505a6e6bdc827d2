import { Fault, type Signal } from '../base/index.ts';

/** What a path of the listener stands for. */
export type Method = Signal | 'health';

const methods: Readonly<Record<string, Method>> = {
  '/opentelemetry.proto.collector.trace.v1.TraceService/Export': 'traces',
  '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export': 'metrics',
  '/opentelemetry.proto.collector.logs.v1.LogsService/Export': 'logs',
  '/grpc.health.v1.Health/Check': 'health',
};

export function methodOf(path: string | undefined): Method | undefined {
  return path !== undefined && Object.hasOwn(methods, path) ? methods[path] : undefined;
}

/** Source: gRPC over HTTP2, "Content-Type": "application/grpc" [("+proto" / "+json" / {custom})]. */
export function contentKind(contentType: string | undefined): 'proto' | 'other' | 'not grpc' {
  if (contentType === 'application/grpc' || contentType === 'application/grpc+proto') return 'proto';
  const found = /^application\/grpc(?:\+([^;\s]*))?\s*(?:;|$)/i.exec(contentType ?? '');
  if (found === null) return 'not grpc';
  return found[1] === undefined || found[1].toLowerCase() === 'proto' ? 'proto' : 'other';
}

/**
 * Milliseconds that the client waits. Source: gRPC over HTTP2, "Timeout": at most 8 digits and a unit.
 * @throws Fault `malformed`.
 */
export function timeoutMs(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const found = /^(\d{1,8})([HMSmun])$/.exec(value);
  if (found === null) throw new Fault('malformed', 'grpc-timeout must be 1 to 8 digits and one of H, M, S, m, u, n');
  return Number(found[1]) * (unitMs[found[2] as string] as number);
}

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** Percent-encoded UTF-8, all but printable ASCII without '%'. Source: gRPC over HTTP2, "Status-Message". */
export function encodeMessage(message: string): string {
  if (/^[ -$&-~]*$/.test(message)) return message;
  let encoded = '';
  for (const byte of Buffer.from(message)) {
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** Bytes before each message: compressed flag, length in big endian. */
export const prefixBytes = 5;

/** @throws Fault `badFrame` where the flag is neither 0 nor 1. */
export function readPrefix(head: Uint8Array): { compressed: boolean; sizeBytes: number } {
  const [flag, a, b, c, d] = head as unknown as [number, number, number, number, number];
  if (flag > 1) throw new Fault('badFrame', `the compressed flag of a message must be 0 or 1, not ${flag}`);
  return { compressed: flag === 1, sizeBytes: a * 0x100_0000 + b * 0x1_0000 + c * 0x100 + d };
}

/** One uncompressed message. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(prefixBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, prefixBytes);
  return frame;
}
