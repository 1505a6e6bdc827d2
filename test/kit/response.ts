import protobuf from 'protobufjs';
import type { Signal } from '../../src/base/index.ts';

// The answer to an export request, read without src/otlp. All three signals number its fields alike.
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Response { Partial partial_success = 1; }
  message Partial { int64 rejected = 1; string error_message = 2; }
`);
const type = root.lookupType('Response');
const rejectedIn = { traces: 'rejectedSpans', metrics: 'rejectedDataPoints', logs: 'rejectedLogRecords' } as const;

/** How many records were rejected, and why; 0 and '' where `partial_success` is unset. */
export function decodeResponse(
  signal: Signal,
  bytes: Buffer,
  encoding: 'protobuf' | 'json',
): { rejected: number; message: string } {
  if (encoding === 'json') {
    const { partialSuccess } = JSON.parse(bytes.toString()) as { partialSuccess?: Record<string, string> };
    return {
      rejected: Number(partialSuccess?.[rejectedIn[signal]] ?? 0),
      message: partialSuccess?.['errorMessage'] ?? '',
    };
  }
  const { partialSuccess } = type.toObject(type.decode(bytes), { longs: Number }) as {
    partialSuccess?: { rejected?: number; errorMessage?: string };
  };
  return { rejected: partialSuccess?.rejected ?? 0, message: partialSuccess?.errorMessage ?? '' };
}
