import protobuf from 'protobufjs';
import { expect } from 'vitest';
import type { Signal } from '../../src/base/index.ts';
import { oracleEncode, type Plain } from './otlp-oracle.ts';
import type { Running } from './process.ts';
import { exportPath, grpcFrame, post, rawGrpc, rawHttp } from './receivers.ts';
import type { Protocol } from './records.ts';
import { decodeResponse } from './response.ts';

// Requests that a real process is asked to refuse, to repair or to keep, and its answers in one form for all protocols.

export const contentType = { 'http/protobuf': 'application/x-protobuf', 'http/json': 'application/json' } as const;

/** What a request was answered with, whichever protocol it came by. */
export interface Answer {
  /** Undefined over gRPC, where each answer is 200. */
  readonly http: number | undefined;
  /** Canonical code: grpc-status, or `code` of the google.rpc.Status. */
  readonly code: number;
  /** Of the error, or of `partial_success`. */
  readonly message: string;
  readonly rejected: number;
  /** Whether RetryInfo or Retry-After came with it. */
  readonly retry: boolean;
  readonly sizeBytes: number;
}
export const full = { code: 0, rejected: 0, message: '' } as const;

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Status { int32 code = 1; string message = 2; repeated bytes details = 3; }
`);
const statusType = root.lookupType('Status');

/** Sends one request. An answer that has another form than the request, or none, fails the test. */
export async function send(
  to: Running,
  protocol: Protocol,
  signal: Signal,
  body: Uint8Array,
  encoding?: string,
): Promise<Answer> {
  if (protocol === 'grpc') {
    const headers: Record<string, string> = encoding === undefined ? {} : { 'grpc-encoding': encoding };
    const flag = encoding === undefined ? 0 : 1;
    return grpcAnswer(
      signal,
      await rawGrpc(portOf(to.otlpGrpc), [grpcFrame(body, flag)], headers, { path: exportPath[signal] }),
    );
  }
  const headers: Record<string, string> = encoding === undefined ? {} : { 'Content-Encoding': encoding };
  const bytes = post(`/v1/${signal}`, contentType[protocol], body, headers);
  return httpAnswer(signal, protocol, await rawHttp(portOf(to.otlpHttp), bytes));
}

export function grpcAnswer(signal: Signal, answer: Awaited<ReturnType<typeof rawGrpc>>): Answer {
  expect(answer.httpStatus).toBe(200);
  expect(answer.headers['content-type']).toBe('application/grpc');
  const code = answer.grpcStatus ?? -1;
  const retry = (answer.trailers['grpc-status-details-bin'] ?? answer.headers['grpc-status-details-bin']) !== undefined;
  const said =
    code === 0
      ? decodeResponse(signal, answer.body.subarray(5), 'protobuf')
      : { rejected: 0, message: answer.grpcMessage };
  return { http: undefined, code, retry, sizeBytes: answer.body.length, ...said };
}

export function httpAnswer(
  signal: Signal,
  protocol: 'http/protobuf' | 'http/json',
  answer: Awaited<ReturnType<typeof rawHttp>>,
): Answer {
  expect(answer.headers['content-type']).toBe(contentType[protocol]);
  const json = protocol === 'http/json';
  const retry = answer.headers['retry-after'] !== undefined;
  const sizeBytes = answer.body.length;
  if (answer.status === 200) {
    const said = decodeResponse(signal, answer.body, json ? 'json' : 'protobuf');
    return { http: 200, code: 0, retry, sizeBytes, ...said };
  }
  const status = (json ? JSON.parse(answer.body.toString()) : statusType.toObject(statusType.decode(answer.body))) as {
    code?: number;
    message?: string;
    details?: unknown[];
  };
  const { code = -1, message = '', details = [] } = status;
  return { http: answer.status, code, message, rejected: 0, retry: retry || details.length > 0, sizeBytes };
}

export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

/** A request in the form of the protocol. */
export function encoded(protocol: Protocol, signal: Signal, request: Plain): Uint8Array {
  return protocol === 'http/json' ? Buffer.from(jsonOf(request)) : oracleEncode(signal, request);
}

/** OTLP JSON: ids in hex, other bytes in base64, numbers that JSON lacks as text. */
export function jsonOf(request: Plain): string {
  return JSON.stringify(inJson(request));
}

function inJson(value: unknown, name = ''): unknown {
  if (value instanceof Uint8Array)
    return Buffer.from(value).toString(/(?:traceId|spanId|SpanId)$/.test(name) ? 'hex' : 'base64');
  if (Array.isArray(value)) return value.map((element) => inJson(element));
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)))
    return Object.is(value, -0) ? '-0' : String(value);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, inJson(member, key)]));
}

export function traces(...spans: Plain[]): Plain {
  return { resourceSpans: [{ scopeSpans: [{ spans }] }] };
}
export function logs(...logRecords: Plain[]): Plain {
  return { resourceLogs: [{ scopeLogs: [{ logRecords }] }] };
}
export function metrics(...list: Plain[]): Plain {
  return { resourceMetrics: [{ scopeMetrics: [{ metrics: list }] }] };
}
export function text(key: string, stringValue: string): Plain {
  return { key, value: { stringValue } };
}

/** A field with a length around bytes. */
export function field(number: number, content: Uint8Array): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(content.length), content]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** A request with one record, or with one field of the scope, as bytes: all three signals number these fields alike. */
export function inScope(content: Uint8Array): Buffer {
  return field(1, field(2, content));
}

/** An AnyValue that is an array (or map) in an array in an array …, `depth` of them, written from the inside out. */
export function nested(depth: number, kind: 'array' | 'map' = 'array'): Uint8Array {
  // Backwards into one buffer, as a million levels would otherwise be copied a million times.
  const buffer = Buffer.alloc(depth * 20 + 16);
  let at = buffer.length;
  const prefix = (tag: number): void => {
    const size = varint(buffer.length - at);
    at -= size.length;
    buffer.set(size, at);
    buffer[--at] = tag;
  };
  for (let level = 0; level < depth; level++) {
    if (level > 0) {
      if (kind === 'map') prefix(0x12); // KeyValue.value
      prefix(0x0a); // values
    }
    prefix(kind === 'array' ? 0x2a : 0x32);
  }
  return buffer.subarray(at);
}

/** The same as an object, around a text. */
export function nestedValue(depth: number): Plain {
  let value: Plain = { stringValue: 'inmost' };
  for (let level = 0; level < depth; level++)
    value = level % 2 === 0 ? { arrayValue: { values: [value] } } : { kvlistValue: { values: [{ key: 'k', value }] } };
  return value;
}

/** What `nestedValue` is, on the wire. */
export function nestedBytes(depth: number): Buffer {
  let value = field(1, Buffer.from('inmost'));
  for (let level = 0; level < depth; level++)
    value =
      level % 2 === 0
        ? field(5, field(1, value))
        : field(6, field(1, Buffer.concat([field(1, Buffer.from('k')), field(2, value)])));
  return value;
}
