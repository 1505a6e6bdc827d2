import { describe, expect, it } from 'vitest';
import { type BulkVerdict, verdict, writeResult } from './verdict.ts';

const nowMs = Date.parse('2026-01-31T12:00:00Z');
const of = (status: number, body: object | string, retryAfter?: string) =>
  ({ kind: 'answer', status, retryAfter, body: typeof body === 'string' ? body : JSON.stringify(body) }) as const;
const items = (...results: object[]) => of(200, { items: results.map((create) => ({ create })) });
const error = (type: string, reason = '') => ({ error: { type, reason } });

describe('one record', () => {
  it.each([
    ['created', { status: 201 }, 'stored', ''],
    ['there already', { status: 409, ...error('version_conflict_engine_exception') }, 'known', ''],
    [
      'no room in memory',
      { status: 429, ...error('es_rejected_execution_exception', 'rejected execution of coordinating operation') },
      'retry',
      'HTTP 429 es_rejected_execution_exception: rejected execution of coordinating operation',
    ],
    [
      'flood stage',
      {
        status: 429,
        ...error(
          'cluster_block_exception',
          'index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];',
        ),
      },
      'retry',
      'HTTP 429 cluster_block_exception: index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];',
    ],
    [
      'read-only',
      { status: 403, ...error('cluster_block_exception', 'index [x] blocked by: [FORBIDDEN/8/index write (api)];') },
      'retry',
      'HTTP 403 cluster_block_exception: index [x] blocked by: [FORBIDDEN/8/index write (api)];',
    ],
    [
      'no shard',
      { status: 503, ...error('unavailable_shards_exception', 'primary shard is not active') },
      'retry',
      'HTTP 503 unavailable_shards_exception: primary shard is not active',
    ],
    ['its own fault', { status: 500, ...error('null_pointer_exception') }, 'retry', 'HTTP 500 null_pointer_exception'],
    [
      'a value that does not fit, of which nothing is told',
      {
        status: 400,
        ...error(
          'document_parsing_exception',
          "[1:2] failed to parse field [record] of type [integer]. Preview of field's value: 'secret'",
        ),
      },
      'refused',
      'HTTP 400 document_parsing_exception in field record',
    ],
    [
      'a term that is too long',
      {
        status: 400,
        ...error('illegal_argument_exception', 'Document contains at least one immense term in field="x": secret'),
      },
      'refused',
      'HTTP 400 illegal_argument_exception',
    ],
    [
      'a pipeline that is missing',
      { status: 400, ...error('illegal_argument_exception', 'pipeline with id [x] does not exist') },
      'retry',
      'HTTP 400 illegal_argument_exception: pipeline with id [x] does not exist',
    ],
    [
      'no room for another index',
      { status: 400, ...error('validation_exception', 'this action would add [2] shards') },
      'retry',
      'HTTP 400 validation_exception: this action would add [2] shards',
    ],
    [
      'an index that may not be made',
      { status: 404, ...error('index_not_found_exception', 'no such index [x]') },
      'retry',
      'HTTP 404 index_not_found_exception: no such index [x]',
    ],
    ['no status', {}, 'retry', 'a result without a status'],
  ])('%s', (_, result, kind, reason) => {
    const found = verdict(items(result), 1, nowMs) as Extract<BulkVerdict, { kind: 'items' }>;
    expect(found.items).toEqual([reason === '' ? { kind } : { kind, reason }]);
  });
});

describe('a request', () => {
  it.each([
    ['a proxy limits its size', of(413, 'Request Entity Too Large'), { kind: 'split', reason: 'HTTP 413' }],
    [
      'refused as such',
      of(400, error('illegal_argument_exception', 'Malformed action')),
      { kind: 'split', reason: 'HTTP 400 illegal_argument_exception' },
    ],
    ['a proxy refuses it', of(400, '<html>'), { kind: 'retry', reason: 'HTTP 400', afterMs: undefined }],
    [
      'no memory',
      of(429, error('circuit_breaking_exception', 'Data too large')),
      { kind: 'retry', reason: 'HTTP 429 circuit_breaking_exception: Data too large', afterMs: undefined },
    ],
    ['wait so many seconds', of(429, '', '7'), { kind: 'retry', reason: 'HTTP 429', afterMs: 7_000 }],
    [
      'wait until then',
      of(503, '', 'Sat, 31 Jan 2026 12:00:30 GMT'),
      { kind: 'retry', reason: 'HTTP 503', afterMs: 30_000 },
    ],
    [
      'wrong credentials',
      of(401, error('security_exception', 'unable to authenticate')),
      {
        kind: 'retry',
        reason: 'HTTP 401 security_exception: unable to authenticate: the credentials are not accepted',
        afterMs: undefined,
      },
    ],
    ['no right', of(403, ''), { kind: 'retry', reason: 'HTTP 403: not permitted', afterMs: undefined }],
    ['moved', of(302, ''), { kind: 'retry', reason: 'HTTP 302', afterMs: undefined }],
    [
      'fewer results than records',
      items({ status: 201 }),
      { kind: 'retry', reason: 'HTTP 200 without a result for each record', afterMs: undefined },
    ],
    [
      'an empty answer',
      of(200, ''),
      { kind: 'retry', reason: 'HTTP 200 without a result for each record', afterMs: undefined },
    ],
    [
      'no answer',
      { kind: 'broken', reason: 'the connection failed: ECONNREFUSED' } as const,
      { kind: 'retry', reason: 'the connection failed: ECONNREFUSED', afterMs: undefined },
    ],
  ])('%s', (_, reply, expected) => {
    expect(verdict(reply, 2, nowMs)).toEqual(expected);
  });
});

it('a batch is settled when nothing of it is pending; otherwise its pending frames are told, with the refused of all', () => {
  const refusal = { frame: 1, record: 4, count: 1, reason: 'x' };
  const why = { reason: 'HTTP 429', afterMs: 5 };
  expect(
    writeResult(
      [
        { pending: false, refused: [] },
        { pending: false, refused: [refusal] },
      ],
      undefined,
    ),
  ).toEqual({
    kind: 'settled',
    refused: [refusal],
  });
  expect(
    writeResult(
      [
        { pending: true, refused: [] },
        { pending: false, refused: [refusal] },
      ],
      why,
    ),
  ).toEqual({
    kind: 'retry',
    pending: [0],
    refused: [refusal],
    afterMs: 5,
    reason: 'HTTP 429',
  });
});
