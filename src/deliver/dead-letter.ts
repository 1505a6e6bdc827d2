import type { Frame, Signal } from '../base/index.ts';
import type { Refusal } from '../stores/contract.ts';

/** What a destination will never take, with all that a replay needs. */
export interface DeadLetter {
  readonly destination: string;
  readonly signal: Signal;
  readonly logId: string;
  readonly frame: Frame;
  /** Indexes of the refused records in the frame, in wire order; undefined: all of the frame, or not told which. */
  readonly records: readonly number[] | undefined;
  readonly reason: string;
}

/** Where dead letters go. Resolves when the letter is on disk, or counted and named in the log where it is full. */
export interface DeadLetterSink {
  add(letter: DeadLetter): Promise<unknown>;
}

/**
 * The letters that refusals make: one a frame, with its first reason. A refusal that names no frame makes none: nobody
 * can tell which records it means.
 */
export function planLetters(
  refusals: readonly Refusal[],
  frames: readonly Frame[],
): { frame: Frame; records: readonly number[] | undefined; reason: string }[] {
  const byFrame = new Map<Frame, { records: Set<number> | undefined; reason: string }>();
  for (const refusal of refusals) {
    const frame = refusal.frame === undefined ? undefined : frames[refusal.frame];
    if (frame === undefined) continue;
    const letter = byFrame.get(frame) ?? { records: new Set<number>(), reason: refusal.reason };
    if (refusal.record === undefined) letter.records = undefined;
    else letter.records?.add(refusal.record);
    byFrame.set(frame, letter);
  }
  return [...byFrame].map(([frame, { records, reason }]) => ({
    frame,
    records: records === undefined ? undefined : [...records].sort((a, b) => a - b),
    reason,
  }));
}
