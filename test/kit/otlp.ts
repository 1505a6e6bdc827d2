import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import type { Signal } from '../../src/base/index.ts';

// OTLP by protobufjs from the .proto files: a second opinion, independent of src/otlp. The data messages have the wire
// form of the export requests.

const messages = {
  traces: 'opentelemetry.proto.trace.v1.TracesData',
  metrics: 'opentelemetry.proto.metrics.v1.MetricsData',
  logs: 'opentelemetry.proto.logs.v1.LogsData',
} as const satisfies Record<Signal, string>;

const folder = fileURLToPath(new URL('../../proto/', import.meta.url));
const root = new protobuf.Root();
root.resolvePath = (_, target) => `${folder}${target}`;
root.loadSync(
  ['trace', 'metrics', 'logs'].map((signal) => `opentelemetry/proto/${signal}/v1/${signal}.proto`),
  { keepCase: false },
);

/** A message as plain objects: 64-bit numbers as decimal strings, bytes as Uint8Array, enums as numbers, defaults filled in. */
export function decodeOtlp(signal: Signal, bytes: Uint8Array): object {
  const type = root.lookupType(messages[signal]);
  return type.toObject(type.decode(bytes), { longs: String, enums: Number, defaults: true, oneofs: true });
}

/** @param message Fields in lower camel case; those that are left out have their default. */
export function encodeOtlp(signal: Signal, message: object): Uint8Array {
  const type = root.lookupType(messages[signal]);
  return type.encode(type.fromObject(message)).finish();
}
