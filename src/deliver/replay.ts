import type { Frame, Signal } from '../base/index.ts';
import { keepRecords } from '../otlp/index.ts';
import type { Destination, WriteResult } from '../stores/contract.ts';

/** A dead letter on its way back. */
export interface Replay {
  readonly signal: Signal;
  readonly logId: string;
  readonly frame: Frame;
  /** Indexes of the refused records in the frame; undefined: all of it, or not told which. */
  readonly records: readonly number[] | undefined;
}

/** What came of it. */
export type Replayed =
  /** The destination has all of it: the letter can go. */
  | { readonly kind: 'taken' }
  /** Refused again; `records`: the indexes in the frame that are left, undefined: as before. */
  | { readonly kind: 'refused'; readonly records: readonly number[] | undefined; readonly reason: string }
  /** Not now. */
  | { readonly kind: 'failed'; readonly reason: string };

/**
 * The frame that is given to the destination. Where records are recognised it is the whole one, as it was: each record keeps
 * its identity, and those that were stored then are there already. Elsewhere it holds only what was refused.
 */
export function planReplay(
  destination: Pick<Destination, 'recognisesRecords'>,
  { signal, logId, frame, records }: Replay,
): { readonly frame: Frame; readonly logId: string; readonly records: readonly number[] | undefined } {
  if (destination.recognisesRecords) return { frame, logId, records: undefined };
  if (records === undefined) return { frame, logId, records };
  const body = keepRecords(signal, frame.body, new Set(records));
  return { frame: { ...frame, body, records: records.length }, logId, records };
}

/**
 * What an answer means for the letter.
 * @param sent Indexes in the letter's frame of the records that were given; undefined: all of it.
 */
export function judgeReplay(
  letter: Pick<Replay, 'records'>,
  sent: readonly number[] | undefined,
  result: WriteResult,
): Replayed {
  if (result.kind === 'retry') return { kind: 'failed', reason: result.reason };
  if (result.kind === 'split') return { kind: 'refused', records: letter.records, reason: result.reason };
  const wanted = letter.records === undefined ? undefined : new Set(letter.records);
  const left = new Set<number>();
  let reason: string | undefined;
  for (const refusal of result.refused) {
    if (refusal.record === undefined) return { kind: 'refused', records: letter.records, reason: refusal.reason };
    const index = sent === undefined ? refusal.record : sent[refusal.record];
    if (index === undefined || (wanted !== undefined && !wanted.has(index))) continue;
    left.add(index);
    reason ??= refusal.reason;
  }
  if (reason === undefined) return { kind: 'taken' };
  return { kind: 'refused', records: [...left].sort((a, b) => a - b), reason };
}
