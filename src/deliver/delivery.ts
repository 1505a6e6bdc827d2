import type { Clock, Signal } from '../base/index.ts';
import type { Destination } from '../stores/contract.ts';
import type { Cursor, Damage, LogReader } from '../wal/index.ts';
import type { DeadLetterSink } from './dead-letter.ts';
import { DeliveryLoop } from './loop.ts';
import type { DeliveryObserver, DurableFeed, LoopStats } from './loop-contract.ts';
import { judgeReplay, planReplay, type Replay, type Replayed } from './replay.ts';

/** One log that a destination is fed from. */
export interface DeliverySource {
  readonly signal: Signal;
  readonly reader: LogReader;
  /** A `Log` in its own process. */
  readonly feed: DurableFeed;
  /** The destination's place in the log. Moved here, persisted by its owner. */
  readonly cursor: Pick<Cursor, 'settledSeq' | 'handedSeq' | 'settle'>;
  /** Told of damage that the reader passed: the log's `setAside`, or what leads there. */
  readonly onDamage?: (damage: readonly Damage[]) => void;
}

export interface DeliveryOptions {
  readonly destination: Destination;
  /** Those whose signal the destination does not take are left alone. */
  readonly sources: readonly DeliverySource[];
  readonly deadLetters: DeadLetterSink;
  readonly observer: DeliveryObserver;
  readonly clock?: Clock;
  /** In [0, 1), for the jitter. */
  readonly random?: () => number;
}

export type DeliveryStats = { readonly [signal in Signal]?: LoopStats };

export interface Delivery {
  readonly destination: string;
  stats(): DeliveryStats;
  /** Gives the destination a dead letter once more: one attempt. What was taken is there once. */
  replay(letter: Replay, cancel: AbortSignal): Promise<Replayed>;
  /**
   * Starts no further batch; waits for those under way up to the deadline, then cancels them. What is not settled stays
   * in the log and comes again at the next start. Closes neither destination nor readers. May be called twice.
   */
  stop(deadlineMs: number): Promise<void>;
}

/**
 * Delivers logs to a destination, a loop a signal, so that one signal's trouble holds back that signal alone.
 *
 * The cursor moves when a batch is settled. With a keeper it moves when the keeper has it safe, and reading starts after
 * what the keeper has safe rather than at the cursor.
 */
export function startDelivery(options: DeliveryOptions): Delivery {
  const { destination } = options;
  const keeper = destination.keeper;
  const sources = options.sources.filter((source) => destination.takes.has(source.signal));
  const loops = new Map<Signal, DeliveryLoop>();
  keeper?.onKept((signal, logId, seq) => {
    const source = sources.find((each) => each.signal === signal && each.reader.logId === logId);
    if (source !== undefined) settle(source, seq);
  });
  for (const source of sources) {
    const kept = keeper?.keptThrough(source.signal, source.reader.logId);
    if (kept !== undefined) settle(source, kept);
    loops.set(
      source.signal,
      new DeliveryLoop({
        ...options,
        signal: source.signal,
        reader: source.reader,
        feed: source.feed,
        // Never after the log's end: what a keeper may know of frames that the log has lost must not hide new ones.
        from: Math.min(
          kept === undefined ? source.cursor.settledSeq : Math.max(kept, source.cursor.handedSeq),
          source.feed.durableSeq,
        ),
        onDamage: source.onDamage ?? (() => {}),
        onSettled:
          keeper === undefined
            ? (seq) => settle(source, seq)
            : (seq) => keeper.settled?.(source.signal, source.reader.logId, seq),
      }),
    );
  }
  return {
    destination: destination.name,
    stats: () => Object.fromEntries([...loops].map(([signal, loop]) => [signal, loop.stats()])),
    async replay(letter, cancel) {
      const loop = loops.get(letter.signal);
      if (loop === undefined) return { kind: 'failed', reason: `${destination.name} does not take ${letter.signal}` };
      // What it was given it knows by sequence number, and passes over: it would be said to be there, and is not.
      if (keeper !== undefined && destination.replay === undefined) {
        return { kind: 'refused', records: letter.records, reason: `${destination.name} refuses it for what it is` };
      }
      const plan = planReplay(destination, letter);
      return judgeReplay(letter, plan.records, await loop.offer(plan.frame, plan.logId, cancel));
    },
    stop: async (deadlineMs) => {
      await Promise.all([...loops.values()].map((loop) => loop.stop(deadlineMs)));
    },
  };
}

/** A cursor never moves back. */
function settle(source: DeliverySource, seq: number): void {
  if (seq > source.cursor.settledSeq) source.cursor.settle(seq);
}
