import type { Refusal, WriteResult } from '../contract.ts';
import { reasonCharsMax } from './limits.ts';

// What an answer to `_bulk` means, record by record. Pure. Source: Elasticsearch "Bulk API"; statuses and types of errors as
// versions 7 to 9 and OpenSearch give them.

export type Reply =
  | { readonly kind: 'answer'; readonly status: number; readonly retryAfter: string | undefined; readonly body: string }
  /** No answer, or none that can be one. */
  | { readonly kind: 'broken'; readonly reason: string };

/** Of one item: 'stored' and 'known' (409: it was there) are good. */
type ItemVerdict =
  | { readonly kind: 'stored' | 'known' }
  | { readonly kind: 'retry' | 'refused'; readonly reason: string };

/** Of a request: each item by itself, or all of them alike. */
export type BulkVerdict =
  | { readonly kind: 'items'; readonly items: readonly ItemVerdict[] }
  | { readonly kind: 'retry'; readonly reason: string; readonly afterMs: number | undefined }
  /** Too large, or refused as a whole: halves may be taken. */
  | { readonly kind: 'split'; readonly reason: string };

interface ErrorCause {
  readonly type?: unknown;
  readonly reason?: unknown;
}

/** Errors of which the text is about the cluster, never about what a record holds. */
const tellable = new Set([
  'circuit_breaking_exception',
  'cluster_block_exception',
  'es_rejected_execution_exception',
  'rejected_execution_exception',
  'index_closed_exception',
  'index_not_found_exception',
  'no_shard_available_action_exception',
  'process_cluster_event_timeout_exception',
  'security_exception',
  'unavailable_shards_exception',
  'validation_exception',
]);

/** 400, and yet not the record's fault: it would be dead letters for what an operator can mend. */
const notTheRecord =
  /^(validation_exception|index_closed_exception|invalid_alias_name_exception|invalid_index_name_exception)$/;
const configured = /pipeline|alias|write index|data stream|shards open/i;

/**
 * @param items How many the request had.
 * @param nowMs Wall clock, for a Retry-After that is a date.
 */
export function verdict(reply: Reply, items: number, nowMs: number): BulkVerdict {
  if (reply.kind === 'broken') return { kind: 'retry', reason: printable(reply.reason), afterMs: undefined };
  const { status } = reply;
  const body = parsed(reply.body);
  if (status >= 200 && status < 300) {
    const list = body?.['items'];
    if (!Array.isArray(list) || list.length !== items) {
      return { kind: 'retry', reason: `HTTP ${status} without a result for each record`, afterMs: undefined };
    }
    return { kind: 'items', items: list.map(ofItem) };
  }
  const error = objectIn(body?.['error']);
  const reason = `HTTP ${status}${told(error)}`;
  if (status === 413) return { kind: 'split', reason };
  // Elasticsearch's own word about the request; a proxy's 400 says nothing about the records.
  if (status === 400 && typeof error?.['type'] === 'string' && !isConfiguration(error))
    return { kind: 'split', reason };
  if (status === 401)
    return { kind: 'retry', reason: `${reason}: the credentials are not accepted`, afterMs: undefined };
  if (status === 403) return { kind: 'retry', reason: `${reason}: not permitted`, afterMs: undefined };
  return { kind: 'retry', reason, afterMs: retryAfterMs(reply.retryAfter, nowMs) };
}

function ofItem(item: unknown): ItemVerdict {
  const result = objectIn(objectIn(item)?.['create']);
  const status = result?.['status'];
  if (typeof status !== 'number') return { kind: 'retry', reason: 'a result without a status' };
  if (status >= 200 && status < 300) return { kind: 'stored' };
  const error = objectIn(result?.['error']);
  if (status === 409) return { kind: 'known' };
  const reason = `HTTP ${status}${told(error)}`;
  // 403 and 404 are ours to mend (rights, blocks, an index that may not be created), 429 and 5xx pass.
  if (status !== 400 && status !== 413) return { kind: 'retry', reason };
  return { kind: isConfiguration(error) ? 'retry' : 'refused', reason };
}

function isConfiguration(error: ErrorCause | undefined): boolean {
  const type = String(error?.type ?? '');
  if (notTheRecord.test(type)) return true;
  return type === 'illegal_argument_exception' && configured.test(String(error?.reason ?? ''));
}

/** What an error says, without what a record holds: its type, and its text only where that is about the cluster. */
function told(error: ErrorCause | undefined): string {
  if (typeof error?.type !== 'string') return '';
  const { type } = error;
  const text = String(error.reason ?? '');
  if (tellable.has(type) || (type === 'illegal_argument_exception' && configured.test(text))) {
    return ` ${printable(`${type}: ${text}`)}`;
  }
  const field = /field \[([\w.@]{1,64})\]/.exec(text);
  return ` ${printable(type)}${field === null ? '' : ` in field ${field[1]}`}`;
}

/** The result of a write, from what became of its records: one entry a frame. */
export interface FrameOutcome {
  readonly pending: boolean;
  readonly refused: readonly Refusal[];
}

export function writeResult(
  outcomes: readonly FrameOutcome[],
  why: { readonly reason: string; readonly afterMs: number | undefined } | undefined,
): WriteResult {
  const refused = outcomes.flatMap((outcome) => outcome.refused);
  const pending = outcomes.flatMap((outcome, index) => (outcome.pending ? [index] : []));
  if (pending.length === 0) return { kind: 'settled', refused };
  return { kind: 'retry', pending, refused, afterMs: why?.afterMs, reason: why?.reason ?? 'not all was stored' };
}

/** The Retry-After header: seconds, or a date. */
function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

function parsed(body: string): { readonly [key: string]: unknown } | undefined {
  try {
    return objectIn(JSON.parse(body));
  } catch {
    return undefined; // a proxy's page: the status alone counts
  }
}

function objectIn(value: unknown): { readonly [key: string]: unknown } | undefined {
  return typeof value === 'object' && value !== null ? (value as { readonly [key: string]: unknown }) : undefined;
}

/** One line without control characters, not too long: it goes into logs and pages. */
export function printable(said: string): string {
  const line = said.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim();
  return line.length <= reasonCharsMax ? line : `${line.slice(0, reasonCharsMax)}…`;
}
