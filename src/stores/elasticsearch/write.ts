import type { Batch, Clock } from '../../base/index.ts';
import type { Destination, Refusal, WriteResult } from '../contract.ts';
import type { Client } from './client.ts';
import { type Bulk, type BulkEncoder, bulkEncoder, clearBulk, newBulk, type Place } from './encode.ts';
import {
  batchBytesMax,
  batchRecordsMax,
  bulkBytesMax,
  inFlightMax,
  itemAnswerBytesMax,
  lingerMs,
  partialFramesMax,
  shardTimeoutMs,
  upkeepMs,
  writeAnswerBytesMax,
  writeTimeoutMs,
} from './limits.ts';
import { type Ask, aliasEvents, deleteExpired, installTemplate, Now } from './upkeep.ts';
import { type BulkVerdict, type Reply, verdict, writeResult } from './verdict.ts';

// Batches into `_bulk` requests. A record that is stored or refused is never sent again while this process remembers it; and
// where it does not, its id makes sending it again harmless.

export interface WriteOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly retentionMs: number;
  /** Told what upkeep did and could not do. */
  readonly onUpkeep: (event: { readonly deleted: readonly string[]; readonly failed: string | undefined }) => void;
  /** For tests. */
  readonly timeoutMs?: number;
}

const bulkPath = `/_bulk?timeout=${shardTimeoutMs}ms&filter_path=items.*.status,items.*.error.type,items.*.error.reason`;

/** Which records of a frame are settled, stored or refused. */
type Settled = Uint8Array;

export function writer(options: WriteOptions): Destination {
  const { client, clock } = options;
  const timeoutMs = options.timeoutMs ?? writeTimeoutMs;
  const encoder: BulkEncoder = bulkEncoder(options.retentionMs);
  const spare: Bulk[] = [];
  const partial = new Map<string, Settled>();
  const templateCheck = new Now(clock);
  const closing = new AbortController();
  /** What a request may have: less after one that was too large. */
  let requestBytesMax = bulkBytesMax;

  const ask: Ask = (call, cancel) => client.call({ ...call, timeoutMs, answerBytesMax: 16 << 20 }, cancel);

  async function expire(): Promise<void> {
    try {
      const event = await deleteExpired(ask, clock.nowMs(), options.retentionMs, closing.signal);
      if (event.deleted.length > 0 || event.failed !== undefined) options.onUpkeep(event);
    } catch (thrown) {
      if (!closing.signal.aborted) options.onUpkeep({ deleted: [], failed: String(thrown) });
    }
  }
  // Not before the first write: nothing is asked of a cluster that nobody uses yet.
  let expiring: NodeJS.Timeout | undefined;
  function keepUp(): void {
    if (expiring !== undefined) return;
    expiring = setInterval(() => void expire(), upkeepMs);
    expiring.unref();
    void expire();
  }

  async function send(bulk: Bulk, from: number, to: number, cancel: AbortSignal): Promise<BulkVerdict> {
    const { body, starts } = bulk;
    const bytes = body.bytes.subarray(starts[from], to === starts.length ? body.used : starts[to]);
    const items = to - from;
    const answer = await client.call(
      {
        method: 'POST',
        path: bulkPath,
        body: bytes,
        timeoutMs,
        answerBytesMax: writeAnswerBytesMax + items * itemAnswerBytesMax,
      },
      cancel,
    );
    return verdict(replyOf(answer), items, clock.nowMs());
  }

  async function write(batch: Batch, cancel: AbortSignal): Promise<WriteResult> {
    const frames = batch.frames;
    if (templateCheck.isDue()) {
      // Without it an index would be made that maps each attribute by itself.
      const { failed, isNew } = await installTemplate(ask, cancel);
      if (failed !== undefined)
        return { kind: 'retry', pending: 'all', refused: [], afterMs: undefined, reason: failed };
      templateCheck.done();
      if (isNew) {
        const unnamed = await aliasEvents(ask, cancel);
        if (unnamed !== undefined) options.onUpkeep({ deleted: [], failed: unnamed });
      }
      keepUp();
    }
    const keys = frames.map(({ seq }) => `${batch.logId} ${seq}`);
    const settled = keys.map((key) => partial.get(key));
    const refused: Refusal[][] = frames.map(() => []);
    const unread: Refusal[] = [];
    const pending = new Set<number>();
    let why: { reason: string; afterMs: number | undefined } | undefined;
    const mark = (bulk: Bulk, item: number) => {
      const frame = bulk.frames[item]!;
      settled[frame] ??= new Uint8Array(frames[frame]!.records);
      settled[frame][bulk.records[item]!] = 1;
    };

    /** Sends items `from` to `to`, in halves where they are refused as a whole. False: nothing more should be sent now. */
    async function deliver(bulk: Bulk, from: number, to: number): Promise<boolean> {
      const result = await send(bulk, from, to, cancel);
      if (result.kind === 'retry') {
        why = result;
        for (let item = from; item < to; item++) pending.add(bulk.frames[item]!);
        return false;
      }
      if (result.kind === 'split') {
        if (to - from > 1) {
          const middle = (from + to) >> 1;
          const size = bulk.starts[to - 1]! - bulk.starts[from]!;
          if (result.reason.startsWith('HTTP 413'))
            requestBytesMax = Math.max(batchBytesMax >> 2, Math.min(requestBytesMax, size >> 1));
          // Both halves: what one of them is refused for is not the other's fault.
          const first = await deliver(bulk, from, middle);
          if (!first) for (let item = middle; item < to; item++) pending.add(bulk.frames[item]!);
          return first && (await deliver(bulk, middle, to));
        }
        mark(bulk, from);
        refused[bulk.frames[from]!]!.push({
          frame: bulk.frames[from],
          record: bulk.records[from],
          count: 1,
          reason: result.reason,
        });
        return true;
      }
      let retries = 0;
      for (const [index, item] of result.items.entries()) {
        const at = from + index;
        if (item.kind === 'retry') {
          retries++;
          why ??= { reason: item.reason, afterMs: undefined };
          pending.add(bulk.frames[at]!);
          continue;
        }
        mark(bulk, at);
        if (item.kind === 'refused') {
          refused[bulk.frames[at]!]!.push({
            frame: bulk.frames[at],
            record: bulk.records[at],
            count: 1,
            reason: item.reason,
          });
        }
      }
      return retries === 0;
    }

    const bulk = spare.pop() ?? newBulk();
    try {
      let place: Place | undefined = { frame: 0, record: 0 };
      while (place !== undefined) {
        clearBulk(bulk);
        const begun: Place = place;
        place = encoder.encode(frames, place, requestBytesMax, bulk, (frame) => settled[frame], unread);
        if (bulk.starts.length === 0) continue;
        if (!(await deliver(bulk, 0, bulk.starts.length))) {
          // The cluster is full or away: what was not tried is pending too, and is sent with the next attempt.
          if (place !== undefined)
            for (let frame = Math.max(place.frame, begun.frame); frame < frames.length; frame++) pending.add(frame);
          break;
        }
      }
    } finally {
      // One that had to grow for a huge record is not kept.
      if (spare.length < inFlightMax && bulk.body.bytes.length <= 4 * bulkBytesMax) spare.push(bulk);
      else clearBulk(bulk);
    }
    if (pending.size > 0) templateCheck.again();
    for (const [index, key] of keys.entries()) {
      if (!pending.has(index)) partial.delete(key);
      else if (settled[index] !== undefined) remember(partial, key, settled[index]);
    }
    for (const refusal of unread) refused[refusal.frame!]!.push(refusal);
    return writeResult(
      frames.map((_, index) => ({ pending: pending.has(index), refused: refused[index]! })),
      why,
    );
  }

  return {
    name: 'elasticsearch',
    takes: new Set(['logs'] as const),
    limits: { batchBytesMax, batchRecordsMax, lingerMs, inFlightMax },
    recognisesRecords: true,
    write,
    async [Symbol.asyncDispose]() {
      clearInterval(expiring);
      closing.abort();
    },
  };
}

function remember(partial: Map<string, Settled>, key: string, settled: Settled): void {
  partial.delete(key);
  partial.set(key, settled);
  const oldest = partial.keys().next();
  if (partial.size > partialFramesMax && !oldest.done) partial.delete(oldest.value);
}

function replyOf(answer: Awaited<ReturnType<Client['call']>>): Reply {
  switch (answer.kind) {
    case 'timeout':
      return { kind: 'broken', reason: 'no answer in time' };
    case 'tooLong':
      return { kind: 'broken', reason: 'an answer that is longer than any to a write' };
    default:
      return answer;
  }
}
