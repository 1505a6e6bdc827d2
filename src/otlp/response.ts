import type { Signal } from '../base/index.ts';
import { Reader, Writer, wireBytes, wireVarint } from './wire.ts';

// What is answered to an export request: Export…ServiceResponse, or google.rpc.Status where it failed.

const rejectedName = {
  traces: 'rejectedSpans',
  metrics: 'rejectedDataPoints',
  logs: 'rejectedLogRecords',
} as const satisfies Record<Signal, string>;

/** Records that were rejected, and why; with 0 the message is a warning, and both empty are full success. */
export interface ExportAnswer {
  readonly rejected: number;
  readonly message: string;
}

/**
 * Export…ServiceResponse. `partial_success` is unset on full success, as OTLP 1.11.0 "Full Success" demands.
 * @param answer `message` is sent as it is: the caller keeps the response below 4 MiB, as `rewrite` does.
 */
export function encodeExportResponse(signal: Signal, encoding: 'protobuf' | 'json', answer: ExportAnswer): Uint8Array {
  const full = answer.rejected === 0 && answer.message === '';
  if (encoding === 'json') {
    const response: { partialSuccess?: { [name: string]: string } } = {};
    if (!full) {
      response.partialSuccess = {};
      if (answer.rejected !== 0) response.partialSuccess[rejectedName[signal]] = String(answer.rejected);
      if (answer.message !== '') response.partialSuccess['errorMessage'] = answer.message;
    }
    return new TextEncoder().encode(JSON.stringify(response));
  }
  if (full) return new Uint8Array(0);
  const writer = new Writer();
  const partialSuccess = writer.begin(1);
  if (answer.rejected !== 0) {
    writer.tag(1, wireVarint);
    writer.varint(answer.rejected);
  }
  if (answer.message !== '') writer.string(2, answer.message);
  writer.end(partialSuccess);
  return writer.finish();
}

/**
 * Export…ServiceResponse in protobuf, which is the same for each signal but for names.
 * @throws Fault `malformed`
 */
export function decodeExportResponse(_signal: Signal, bytes: Uint8Array): ExportAnswer {
  let rejected = 0;
  let message = '';
  const response = new Reader(bytes);
  while (response.next()) {
    if (response.field !== 1 || response.wireType !== wireBytes) continue;
    const partialSuccess = response.message();
    while (partialSuccess.next()) {
      if (partialSuccess.field === 1 && partialSuccess.wireType === wireVarint)
        rejected = Number(partialSuccess.int64());
      else if (partialSuccess.field === 2 && partialSuccess.wireType === wireBytes) message = partialSuccess.string();
    }
  }
  return { rejected, message };
}

const retryInfoType = 'type.googleapis.com/google.rpc.RetryInfo';

/** google.rpc.Status. */
export interface RpcStatus {
  /** Canonical gRPC code. */
  readonly code: number;
  readonly message: string;
  /** In a RetryInfo among the details; undefined: none, so the client must not retry where that decides. */
  readonly retryAfterMs?: number | undefined;
}

/** google.rpc.Status, as the body of a failed OTLP/HTTP request or as `grpc-status-details-bin`. */
export function encodeStatus(status: RpcStatus, encoding: 'protobuf' | 'json'): Uint8Array {
  const { code, message, retryAfterMs } = status;
  if (encoding === 'json') {
    const details =
      retryAfterMs === undefined
        ? {}
        : { details: [{ '@type': retryInfoType, retryDelay: `${retryAfterMs / 1000}s` }] };
    return new TextEncoder().encode(JSON.stringify({ code, message, ...details }));
  }
  const writer = new Writer();
  if (code !== 0) writer.int32(1, code);
  if (message !== '') writer.string(2, message);
  if (retryAfterMs !== undefined) {
    const any = writer.begin(3);
    writer.string(1, retryInfoType);
    const retryInfo = writer.begin(2);
    const delay = writer.begin(1);
    const seconds = Math.floor(retryAfterMs / 1000);
    const nanos = Math.round((retryAfterMs - seconds * 1000) * 1e6);
    if (seconds !== 0) writer.int64(1, BigInt(seconds));
    if (nanos !== 0) writer.int32(2, nanos);
    writer.end(delay);
    writer.end(retryInfo);
    writer.end(any);
  }
  return writer.finish();
}

/**
 * google.rpc.Status in protobuf.
 * @throws Fault `malformed`
 */
export function decodeStatus(bytes: Uint8Array): {
  code: number;
  message: string;
  retryAfterMs: number | undefined;
} {
  let code = 0;
  let message = '';
  let retryAfterMs: number | undefined;
  const status = new Reader(bytes);
  while (status.next()) {
    if (status.field === 1 && status.wireType === wireVarint) code = status.int32();
    else if (status.field === 2 && status.wireType === wireBytes) message = status.string();
    else if (status.field === 3 && status.wireType === wireBytes) retryAfterMs ??= decodeRetryInfo(status.message());
  }
  return { code, message, retryAfterMs };
}

/** The delay of a google.protobuf.Any that holds a RetryInfo; one without a delay asks for none: 0. */
function decodeRetryInfo(any: Reader): number | undefined {
  let type = '';
  let delayMs = 0;
  while (any.next()) {
    if (any.wireType !== wireBytes) continue;
    if (any.field === 1) type = any.string();
    else if (any.field === 2 && type === retryInfoType) {
      const retryInfo = any.message();
      while (retryInfo.next()) {
        if (retryInfo.field !== 1 || retryInfo.wireType !== wireBytes) continue;
        const delay = retryInfo.message();
        while (delay.next()) {
          if (delay.wireType !== wireVarint) continue;
          if (delay.field === 1) delayMs += Number(delay.int64()) * 1000;
          else if (delay.field === 2) delayMs += delay.int32() / 1e6;
        }
      }
    }
  }
  return type === retryInfoType ? Math.max(0, delayMs) : undefined;
}
