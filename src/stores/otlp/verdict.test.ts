import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import type { Reply } from './client.ts';
import { doubtfulAttemptsMax } from './limits.ts';
import { isDoubtful, verdict } from './verdict.ts';

// Messages are encoded by protobufjs from google/rpc/status.proto and error_details.proto.
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message RetryInfo { Duration retry_delay = 1; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Partial { int64 rejected = 1; string error_message = 2; }
  message Response { Partial partial_success = 1; }
`);
const encode = (type: string, value: object) => Buffer.from(root.lookupType(type).encode(value).finish());
const retryIn = (seconds: number, nanos = 0) =>
  encode('Status', {
    code: 14,
    message: 'busy',
    details: [
      { typeUrl: 'type.googleapis.com/google.rpc.DebugInfo', value: Buffer.from([1, 2, 3]) },
      {
        typeUrl: 'type.googleapis.com/google.rpc.RetryInfo',
        value: encode('RetryInfo', { retryDelay: { seconds, nanos } }),
      },
    ],
  });
const status = (code: number, details?: Uint8Array, body?: Uint8Array, message = ''): Reply => ({
  kind: 'status',
  code,
  message,
  details,
  body,
});
const nowMs = Date.parse('2026-01-02T03:04:05Z');

/** 'settled', 'settled 3', 'retry', 'retry 1500', 'split'. */
function drawn(reply: Reply, attempts = 0): string {
  const result = verdict(reply, nowMs, attempts);
  if (result.kind === 'settled') return ['settled', ...result.refused.map((refusal) => refusal.count)].join(' ');
  if (result.kind === 'retry') return result.afterMs === undefined ? 'retry' : `retry ${result.afterMs}`;
  return 'split';
}

describe('verdict', () => {
  it.each([
    { reply: 'OK', of: status(0), is: 'settled' },
    { reply: 'OK, empty response', of: status(0, undefined, new Uint8Array(0)), is: 'settled' },
    { reply: 'CANCELLED', of: status(1), is: 'retry' },
    { reply: 'INVALID_ARGUMENT', of: status(3), is: 'split' },
    { reply: 'INVALID_ARGUMENT, RetryInfo does not help', of: status(3, retryIn(1)), is: 'split' },
    { reply: 'DEADLINE_EXCEEDED', of: status(4), is: 'retry' },
    { reply: 'NOT_FOUND', of: status(5), is: 'split' },
    { reply: 'ALREADY_EXISTS', of: status(6), is: 'split' },
    { reply: 'PERMISSION_DENIED is held', of: status(7), is: 'retry' },
    { reply: 'RESOURCE_EXHAUSTED: too large', of: status(8), is: 'split' },
    { reply: 'RESOURCE_EXHAUSTED, RetryInfo: load', of: status(8, retryIn(1, 5e8)), is: 'retry 1500' },
    { reply: 'RESOURCE_EXHAUSTED, RetryInfo of 0 s', of: status(8, retryIn(0)), is: 'retry 0' },
    { reply: 'FAILED_PRECONDITION', of: status(9), is: 'split' },
    { reply: 'ABORTED', of: status(10), is: 'retry' },
    { reply: 'OUT_OF_RANGE', of: status(11), is: 'retry' },
    { reply: 'UNIMPLEMENTED is held', of: status(12), is: 'retry' },
    { reply: 'UNAVAILABLE', of: status(14), is: 'retry' },
    { reply: 'UNAVAILABLE, RetryInfo', of: status(14, retryIn(7)), is: 'retry 7000' },
    { reply: 'UNAVAILABLE, details that are no message', of: status(14, Buffer.from([0xff, 0xff])), is: 'retry' },
    { reply: 'DATA_LOSS', of: status(15), is: 'retry' },
    { reply: 'UNAUTHENTICATED is held', of: status(16), is: 'retry' },
    { reply: 'a code that does not exist', of: status(99), is: 'retry' },
    { reply: 'HTTP 502', of: { kind: 'http', httpStatus: 502, retryAfter: undefined }, is: 'retry' },
    { reply: 'HTTP 503, seconds', of: { kind: 'http', httpStatus: 503, retryAfter: '12' }, is: 'retry 12000' },
    {
      reply: 'HTTP 503, date',
      of: { kind: 'http', httpStatus: 503, retryAfter: 'Fri, 02 Jan 2026 03:04:35 GMT' },
      is: 'retry 30000',
    },
    {
      reply: 'HTTP 503, date gone by',
      of: { kind: 'http', httpStatus: 503, retryAfter: 'Fri, 02 Jan 2026 03:04:00 GMT' },
      is: 'retry 0',
    },
    { reply: 'HTTP 503, nonsense', of: { kind: 'http', httpStatus: 503, retryAfter: 'soon' }, is: 'retry' },
    { reply: 'HTTP 400, from a proxy', of: { kind: 'http', httpStatus: 400, retryAfter: undefined }, is: 'retry' },
    { reply: 'HTTP 413', of: { kind: 'http', httpStatus: 413, retryAfter: undefined }, is: 'split' },
    { reply: 'no answer', of: { kind: 'broken', reason: 'ECONNRESET' }, is: 'retry' },
  ] satisfies { reply: string; of: Reply; is: string }[])('$reply: $is', ({ of, is }) => expect(drawn(of)).toBe(is));

  it.each([
    { reply: 'nothing rejected', rejected: 0, message: '', is: 'settled' },
    { reply: 'a warning', rejected: 0, message: 'your clock is late', is: 'settled' },
    { reply: 'some rejected', rejected: 3, message: 'too old', is: 'settled 3' },
    { reply: 'a count without a word', rejected: 1, message: '', is: 'settled 1' },
    { reply: 'a count below zero', rejected: -1, message: '', is: 'settled' },
  ])('partial success: $reply', ({ rejected, message, is }) => {
    const body = encode('Response', { partialSuccess: { rejected, errorMessage: message } });
    expect(drawn(status(0, undefined, body))).toBe(is);
  });

  it('tells what the far side said of rejected records, and that it names none', () => {
    const body = encode('Response', { partialSuccess: { rejected: 2, errorMessage: 'sample too old' } });
    expect(verdict(status(0, undefined, body), nowMs, 0)).toEqual({
      kind: 'settled',
      refused: [{ frame: undefined, record: undefined, count: 2, reason: 'sample too old' }],
    });
  });

  it.each([2, 13])('gRPC code %d: retried a few times, then bisected', (code) => {
    expect(isDoubtful(status(code))).toBe(true);
    expect(drawn(status(code), 0)).toBe('retry');
    expect(drawn(status(code), doubtfulAttemptsMax - 1)).toBe('retry');
    expect(drawn(status(code), doubtfulAttemptsMax)).toBe('split');
  });
  it('only those two codes leave it open', () => {
    expect(Array.from({ length: 20 }, (_, code) => code).filter((code) => isDoubtful(status(code)))).toEqual([2, 13]);
  });

  it('reasons are one short line', () => {
    const result = verdict(status(3, undefined, undefined, `first\nsecond\u001b[31m ${'x'.repeat(5000)}`), nowMs, 0);
    const reason = result.kind === 'split' ? result.reason : '';
    expect(reason).toMatch(/^INVALID_ARGUMENT: first second \[31m x+…$/);
    expect(reason.length).toBeLessThan(400);
  });
});
