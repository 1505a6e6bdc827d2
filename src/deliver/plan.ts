import type { Frame } from '../base/index.ts';
import { backoffBaseMs, backoffMaxMs, retryAfterMaxMs } from './limits.ts';

// What to do, as data. No clock, no I/O: `loop.ts` acts on it.

export interface CutLimits {
  readonly bytesMax: number;
  readonly recordsMax: number;
}

/**
 * Cuts frames into batches, in order. A batch ends before the frame with which it would pass a limit; a frame that passes
 * one by itself goes alone. Only the last batch may still have room.
 */
export function planBatches(frames: readonly Frame[], limits: CutLimits): Frame[][] {
  const batches: Frame[][] = [];
  let batch: Frame[] = [];
  let bytes = 0;
  let records = 0;
  for (const frame of frames) {
    const full = bytes + frame.body.byteLength > limits.bytesMax || records + frame.records > limits.recordsMax;
    if (full && batch.length > 0) {
      batches.push(batch);
      batch = [];
      bytes = 0;
      records = 0;
    }
    batch.push(frame);
    bytes += frame.body.byteLength;
    records += frame.records;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

/** The two halves of what was refused as a whole, in order. Of at least two frames. */
export function bisect(frames: readonly Frame[]): [Frame[], Frame[]] {
  const middle = frames.length >> 1;
  return [frames.slice(0, middle), frames.slice(middle)];
}

/**
 * Milliseconds until the next attempt.
 * @param failures Attempts in a row that failed, from 1.
 * @param afterMs  What the destination asked for, if it did; never waits less, up to `retryAfterMaxMs`.
 * @param random   In [0, 1): full jitter, so that replicas do not come back together.
 */
export function planBackoff(failures: number, afterMs: number | undefined, random: number): number {
  const ceiling = Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(failures - 1, 30));
  const asked = afterMs === undefined || Number.isNaN(afterMs) ? 0 : Math.min(Math.max(afterMs, 0), retryAfterMaxMs);
  return Math.max(random * ceiling, asked);
}
