import type { Clock, Frame } from '../base/index.ts';
import type { Refusal } from '../stores/contract.ts';

// Batches on their way, and what is counted of them. Pure.

/** A batch on its way. `parts`: what is not settled of it, in order; empty when all is. */
export interface Flight {
  /** Through here all is settled with it: behind its frames lie such as are owed to others, or lost. */
  throughSeq: number;
  readonly parts: Frame[][];
  waiting: boolean;
  /** Refused as a whole at least once; and to the last frame; the largest part that was taken. */
  split: boolean;
  refused: boolean;
  largestBytes: number;
}

/** The frames to send again. Indexes that name no frame are a bug of the destination: then all of them. */
export function stillPending(part: Frame[], pending: readonly number[] | 'all'): Frame[] {
  if (pending === 'all') return part;
  const wanted = new Set(pending);
  const left = part.filter((_, index) => wanted.has(index));
  return left.length === wanted.size ? left : part;
}

export function ageSeconds(frame: Frame, clock: Clock): number {
  return Math.max(0, Number(clock.nowUnixNano() - frame.receivedUnixNano) / 1e9);
}

export function newFlight(throughSeq: number, frames: Frame[]): Flight {
  return { throughSeq, parts: [frames], waiting: false, split: false, refused: false, largestBytes: 0 };
}

export function recordsOf(frames: readonly Frame[]): number {
  let records = 0;
  for (const frame of frames) records += frame.records;
  return records;
}

export function bytesOf(frames: readonly Frame[]): number {
  let bytes = 0;
  for (const frame of frames) bytes += frame.body.byteLength;
  return bytes;
}

export function countOf(refusals: readonly Refusal[]): number {
  return refusals.reduce((count, refusal) => count + refusal.count, 0);
}
