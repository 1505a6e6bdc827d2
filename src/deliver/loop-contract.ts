import type { Clock, Signal } from '../base/index.ts';
import type { Destination } from '../stores/contract.ts';
import type { Damage, LogReader } from '../wal/index.ts';
import type { DeadLetterSink } from './dead-letter.ts';

// What a loop is given and what it tells.

/** Which frames are on disk. A `Log` is one; elsewhere than in the log's process it is fed by messages. */
export interface DurableFeed {
  readonly durableSeq: number;
  /** Calls back after `durableSeq` has grown. */
  onDurable(listener: (seq: number) => void): void;
}

/** Told what happens, for metrics and the log. Called often: must be cheap, must not throw. */
export interface DeliveryObserver {
  /** The destination has them. */
  sent(signal: Signal, records: number, sizeBytes: number): void;
  /** An attempt failed and will be repeated. `thrown` is set where the destination did not answer but threw: a bug. */
  failed(signal: Signal, records: number, reason: string, thrown?: unknown): void;
  /** Never to be stored there. They are dead letters, except where the destination told no more than their count. */
  refused(signal: Signal, records: number, reason: string): void;
  /** So many frames that damage had made unreadable were passed over. */
  skipped(signal: Signal, frames: number): void;
}

export interface LoopOptions {
  readonly signal: Signal;
  readonly destination: Destination;
  readonly reader: LogReader;
  readonly feed: DurableFeed;
  /** Reading starts after this sequence number. */
  readonly from: number;
  /** All frames through `seq` are settled. */
  readonly onSettled: (seq: number) => void;
  /** The reader passed damage, which the log's owner should count and set aside. */
  readonly onDamage: (damage: readonly Damage[]) => void;
  readonly deadLetters: DeadLetterSink;
  readonly observer: DeliveryObserver;
  readonly clock?: Clock;
  /** In [0, 1), for the jitter. */
  readonly random?: () => number;
}

export interface LoopStats {
  readonly state: 'idle' | 'delivering' | 'retrying' | 'stopped';
  readonly settledSeq: number;
  /** Age of the oldest frame that is not settled; 0 where there is none. */
  readonly lagSeconds: number;
  readonly pendingFrames: number;
  /** Estimated from the mean size of the frames read so far, where they have not been read yet. */
  readonly pendingRecords: number;
  readonly pendingBytes: number;
  readonly batchesInFlight: number;
  /** Attempts in a row that failed; 0 after a success. */
  readonly failures: number;
  /** Why the last attempt failed; undefined after a success. */
  readonly lastError: string | undefined;
  /** Wall clock; when the present row of failures began. */
  readonly failingSinceUnixMs: number | undefined;
}
