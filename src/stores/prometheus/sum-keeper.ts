import type { Clock, Signal } from '../../base/index.ts';
import type { Keeper } from '../contract.ts';
import { stateSaveMs } from './limits.ts';
import type { TotalsFile } from './state.ts';

/**
 * Commits the sums of deltas together with the place in the log up to which they hold, which is where delivery begins after
 * a restart: nothing may be owed before it any more, neither samples nor dead letters.
 */
export class SumKeeper implements Keeper {
  readonly #file: TotalsFile;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #changed = new Set<string>();
  #listener: ((signal: Signal, logId: string, seq: number) => void) | undefined;
  /** That the sums hold up to; undefined where it is saved, or dead letters of the last batch are not on disk yet. */
  #place: { logId: string; seq: number } | undefined;
  #saving: Promise<void> = Promise.resolve();
  #savedAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(file: TotalsFile, clock: Pick<Clock, 'monotonicMs'>) {
    this.#file = file;
    this.#clock = clock;
  }

  get totals(): TotalsFile['totals'] {
    return this.#file.totals;
  }

  keptThrough(_: Signal, logId: string): number {
    return logId === this.#file.logId ? this.#file.seq : 0;
  }

  onKept(listener: (signal: Signal, logId: string, seq: number) => void): void {
    this.#listener = listener;
  }

  /** Before a batch is collected. @param undo The last one was not settled, and what it added does not count. */
  async begin(undo: boolean): Promise<void> {
    clearTimeout(this.#timer);
    await this.#saving;
    if (undo) this.totals.rollback();
    if (this.#clock.monotonicMs() - this.#savedAtMs >= stateSaveMs) await this.#save();
    // From here to `counted` the sums are of no moment that could be written.
    clearTimeout(this.#timer);
  }

  /** The batch was sent. What was refused of it is on disk only when `settled` says so. */
  counted(logId: string, seq: number, hasRefusals: boolean): void {
    for (const identity of this.totals.commit()) this.#changed.add(identity);
    this.#place = undefined;
    if (!hasRefusals) this.settled('metrics', logId, seq);
  }

  settled(_: Signal, logId: string, seq: number): void {
    if (seq <= this.keptThrough('metrics', logId)) return;
    this.#place = { logId, seq };
    this.#saveSoon();
  }

  #saveSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#save(), stateSaveMs);
    this.#timer.unref();
  }

  /** @param undo As for `begin`. */
  async close(undo: boolean): Promise<void> {
    clearTimeout(this.#timer);
    await this.#saving;
    if (undo) this.totals.rollback();
    await this.#save();
    this.#closed = true;
  }

  /** A failure, such as a full disk, leaves what is on disk as it is, and is tried again: so much more is sent again. */
  #save(): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      const place = this.#place;
      if (this.#closed || place === undefined) return;
      this.#place = undefined;
      this.#savedAtMs = this.#clock.monotonicMs();
      const changed = [...this.#changed];
      this.#changed.clear();
      try {
        await this.#file.save(place.logId, place.seq, changed);
      } catch {
        for (const identity of changed) this.#changed.add(identity);
        this.#place ??= place;
        this.#saveSoon();
        return;
      }
      this.#listener?.('metrics', place.logId, place.seq);
    });
    return this.#saving;
  }
}
