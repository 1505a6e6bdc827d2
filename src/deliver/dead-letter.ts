import type { Frame } from '../base/index.ts';
import type { Refusal } from '../stores/contract.ts';
import type { DeadLetters } from '../wal/index.ts';

/**
 * Where dead letters go. `add` settles when the letter is on disk, or counted and named in the log where there is no room;
 * the frame must not be kept after that.
 */
export type DeadLetterSink = Pick<DeadLetters, 'add'>;

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
