import { Fault } from '../../base/index.ts';
import { decodeExportResponse, decodeStatus } from '../../otlp/index.ts';
import type { Refusal, WriteResult } from '../contract.ts';
import type { Reply } from './client.ts';
import { doubtfulAttemptsMax, reasonCharsMax } from './limits.ts';

// What a reply means for the batch. Pure. Source: OTLP 1.11.0, "OTLP/gRPC Response" and its table of retryable codes.

/**
 * What a code means where nothing more is said. `doubt`: servers give it for a record that they cannot take and for a
 * fault of their own. Retried a few times, then taken as refusal: a fault passes, and while it lasts the backoff keeps
 * the records from becoming dead letters one after the other.
 */
const meanings = {
  0: { name: 'OK', means: 'settled' },
  1: { name: 'CANCELLED', means: 'retry' },
  2: { name: 'UNKNOWN', means: 'doubt' }, // an exception in a handler
  3: { name: 'INVALID_ARGUMENT', means: 'split' },
  4: { name: 'DEADLINE_EXCEEDED', means: 'retry' },
  5: { name: 'NOT_FOUND', means: 'split' },
  6: { name: 'ALREADY_EXISTS', means: 'split' },
  // Ours to mend, by credentials or address; no record is to blame. Held until then.
  7: { name: 'PERMISSION_DENIED', means: 'retry' },
  // Too large, unless RetryInfo says that it is about load.
  8: { name: 'RESOURCE_EXHAUSTED', means: 'split' },
  9: { name: 'FAILED_PRECONDITION', means: 'split' },
  10: { name: 'ABORTED', means: 'retry' },
  11: { name: 'OUT_OF_RANGE', means: 'retry' },
  12: { name: 'UNIMPLEMENTED', means: 'retry' },
  13: { name: 'INTERNAL', means: 'doubt' }, // the Collector's word for what its pipeline refuses for good
  14: { name: 'UNAVAILABLE', means: 'retry' },
  15: { name: 'DATA_LOSS', means: 'retry' },
  16: { name: 'UNAUTHENTICATED', means: 'retry' },
} as const satisfies Record<number, { name: string; means: WriteResult['kind'] | 'doubt' }>;

/**
 * @param nowMs    Wall clock, for a Retry-After that is a date.
 * @param attempts How often this batch has had a doubtful answer before.
 */
export function verdict(reply: Reply, nowMs: number, attempts: number): WriteResult {
  switch (reply.kind) {
    case 'broken':
      return retry(reply.reason, undefined);
    case 'http': {
      const reason = `HTTP ${reply.httpStatus} instead of a gRPC answer`;
      // A proxy's limit of body sizes is a statement about this batch; all else is one about the way there.
      if (reply.httpStatus === 413) return { kind: 'split', reason };
      return retry(reason, retryAfterMs(reply.retryAfter, nowMs));
    }
    case 'status':
      return ofStatus(reply, attempts);
  }
}

/** Whether the code leaves open who is to blame. */
export function isDoubtful(reply: Reply): boolean {
  return reply.kind === 'status' && meaningOf(reply.code)?.means === 'doubt';
}

function ofStatus(reply: Extract<Reply, { kind: 'status' }>, attempts: number): WriteResult {
  const meaning = meaningOf(reply.code);
  const said = printable(reply.message);
  const name = meaning?.name ?? `gRPC status ${reply.code}`;
  const reason = said === '' ? name : `${name}: ${said}`;
  const afterMs = retryDelayMs(reply.details);
  switch (meaning?.means) {
    case 'settled':
      return { kind: 'settled', refused: partialSuccess(reply.body) };
    case 'split':
      // RESOURCE_EXHAUSTED with RetryInfo is about load, without it about size.
      return reply.code === 8 && afterMs !== undefined ? retry(reason, afterMs) : { kind: 'split', reason };
    case 'doubt':
      return attempts < doubtfulAttemptsMax ? retry(reason, afterMs) : { kind: 'split', reason };
    default:
      return retry(reason, afterMs);
  }
}

function meaningOf(code: number): (typeof meanings)[keyof typeof meanings] | undefined {
  return Object.hasOwn(meanings, code) ? meanings[code as keyof typeof meanings] : undefined;
}

function retry(reason: string, afterMs: number | undefined): WriteResult {
  return { kind: 'retry', pending: 'all', refused: [], afterMs, reason: printable(reason) };
}

/**
 * The records that the far side rejected of a batch that it took: a count only, as OTLP tells no more, and never to be
 * sent again (OTLP 1.11.0, "Partial Success"). A message with 0 rejected is a warning.
 */
function partialSuccess(body: Uint8Array | undefined): Refusal[] {
  const answer = body === undefined ? undefined : decoded((bytes) => decodeExportResponse('traces', bytes), body);
  if (answer === undefined || !(answer.rejected > 0)) return [];
  const reason = printable(answer.message) || 'rejected by the far side';
  return [{ frame: undefined, record: undefined, count: answer.rejected, reason }];
}

function retryDelayMs(status: Uint8Array | undefined): number | undefined {
  return status === undefined ? undefined : decoded(decodeStatus, status)?.retryAfterMs;
}

/** What a far side adds to its answer may be no message at all: then it says nothing. */
function decoded<T>(decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T | undefined {
  try {
    return decode(bytes);
  } catch (thrown) {
    if (thrown instanceof Fault) return undefined;
    throw thrown;
  }
}

/** The Retry-After header: seconds, or a date. */
function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

/** One line without control characters, not too long: it goes into logs and pages. */
function printable(said: string): string {
  const line = said.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim();
  return line.length <= reasonCharsMax ? line : `${line.slice(0, reasonCharsMax)}…`;
}
