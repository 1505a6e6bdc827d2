import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Batch, type Clock, systemClock } from '../base/index.ts';
import type { Destination, Keeper, WriteResult } from '../stores/contract.ts';
import { encodeSeries } from './encode.ts';
import { batchBytesMax, batchRecordsMax, flushMs, lingerMs } from './limits.ts';
import { SpanCounts } from './series.ts';
import { type CountState, readState, writeState } from './state.ts';

export interface SpanMetricsOptions {
  /** Folder of its own; made if it is not there. */
  readonly folder: string;
  /** Takes an ExportMetricsServiceRequest; resolves when it is durable. A rejection costs nothing: the next one holds more. */
  readonly emit: (request: Uint8Array) => Promise<unknown>;
  /** Something failed that is tried again. Never called with a payload. */
  readonly warn: (message: string, thrown: unknown) => void;
  readonly clock?: Clock;
  /** Milliseconds between two emissions. */
  readonly flushMs?: number;
}

/** `flush` is for tests and for a stop: what was counted is on disk and sent when it resolves. */
export interface SpanMetrics extends Destination {
  readonly keeper: Keeper;
  flush(): Promise<void>;
}

/**
 * Counts the spans of the log of traces, and emits the counts as metrics.
 *
 * Each span counts once, whatever happens: counts and the place in the log are one file, the log's cursor follows it, and
 * nothing is sent before it is in that file. A process that is killed counts again from there, over the same frames, and
 * comes to the same counts; what it had sent is never more than that. So counters never fall, but where the file is lost:
 * then they begin again at 0 with a new start, as for any process that restarts, and with what the log still holds.
 */
export async function openSpanMetrics(options: SpanMetricsOptions): Promise<SpanMetrics> {
  const { clock = systemClock, emit, warn } = options;
  await mkdir(options.folder, { recursive: true });
  const path = join(options.folder, 'state');
  const found = await readState(path);
  if (found === 'damaged') warn('the span metrics state is damaged; counting begins anew', undefined);
  const saved = typeof found === 'string' ? undefined : found;
  const replica = saved?.replica ?? randomBytes(4).toString('hex');
  const counts = new SpanCounts();
  counts.restore(saved?.series ?? []);
  let logId = saved?.logId ?? '';
  let seq = saved?.seq ?? 0;
  let keptSeq = seq;
  let sentUnixMs = saved?.sentUnixMs ?? clock.nowMs();
  let listener: Parameters<Keeper['onKept']>[0] = () => {};
  let flushing: Promise<void> | undefined;
  let closed = false;
  const timer = setInterval(() => void flush(), options.flushMs ?? flushMs);
  timer.unref();

  /** One at a time; a call during one waits for the next. */
  async function flush(): Promise<void> {
    await flushing;
    flushing ??= flushOnce().finally(() => {
      flushing = undefined;
    });
    return flushing;
  }

  async function flushOnce(): Promise<void> {
    // A clock that was set back must not make samples older than those that were sent.
    const nowMs = Math.max(clock.nowMs(), sentUnixMs + 1);
    counts.expire(nowMs);
    const state: CountState = { replica, logId, seq, sentUnixMs: nowMs, series: counts.snapshot() };
    if (logId === '') return;
    try {
      await writeState(path, state);
    } catch (thrown) {
      warn('the span metrics state could not be written; nothing is lost, and it is tried again', thrown);
      return;
    }
    sentUnixMs = nowMs;
    if (keptSeq !== state.seq) {
      keptSeq = state.seq;
      listener('traces', state.logId, state.seq);
    }
    if (state.series.length === 0) return;
    try {
      await emit(encodeSeries(state.series, replica, nowMs));
    } catch (thrown) {
      warn('span metrics could not be emitted; the next ones hold the same counts and more', thrown);
      return;
    }
    counts.announced(state.series);
    if (state.series.every(({ announced }) => announced)) return;
    // A store that takes no late samples would be sent the points at 0 again after a restart.
    const series = state.series.map((each) => ({ ...each, announced: true }));
    await writeState(path, { ...state, series }).catch((thrown: unknown) => {
      warn('the span metrics state could not be written; nothing is lost, and it is tried again', thrown);
    });
  }

  return {
    name: 'spanmetrics',
    takes: new Set(['traces']),
    // One at a time and in order: the place in the log is a single number.
    limits: { batchBytesMax, batchRecordsMax, lingerMs, inFlightMax: 1 },
    async write(batch: Batch): Promise<WriteResult> {
      if (batch.logId !== logId) {
        // A new log counts from 1; what was counted of the old one stays counted.
        logId = batch.logId;
        seq = 0;
        keptSeq = -1;
      }
      const nowMs = clock.nowMs();
      for (const frame of batch.frames) {
        if (frame.seq <= seq) continue; // counted before
        counts.count(frame.body, nowMs, sentUnixMs);
        seq = frame.seq;
      }
      return { kind: 'settled', refused: [] };
    },
    keeper: {
      keptThrough: (_signal, log) => (log === logId ? Math.max(0, keptSeq) : 0),
      onKept: (kept) => {
        listener = kept;
      },
    },
    flush,
    async [Symbol.asyncDispose]() {
      if (closed) return;
      closed = true;
      clearInterval(timer);
      await flush();
    },
  };
}
