import type { Cursor } from './contract.ts';
import type { PlaceFile } from './slots.ts';

/** What a cursor needs of its log. */
export interface CursorOwner {
  readonly logId: string;
  readonly durableSeq: number;
  /** Numbers up to `seq` were given out in a part of the log that is lost: they are never given out again. */
  retire(seq: number): void;
  cursorMoved(): void;
}

/** A reader's place, in memory and on disk. */
export class LogCursor implements Cursor {
  readonly name: string;
  readonly #file: PlaceFile;
  readonly #owner: CursorOwner;
  #settledSeq: number;
  #handedSeq: number;
  #forgotten = false;

  constructor(name: string, file: PlaceFile, settledSeq: number, owner: CursorOwner) {
    this.name = name;
    this.#file = file;
    this.#settledSeq = settledSeq;
    this.#handedSeq = file.saved?.logId === owner.logId ? file.saved.number : 0;
    this.#owner = owner;
  }

  get settledSeq(): number {
    return this.#settledSeq;
  }

  settle(seq: number): void {
    if (seq <= this.#settledSeq) return;
    // A store that keeps its own place can be ahead of a log that lost its end to damage.
    if (seq > this.#owner.durableSeq) this.#owner.retire(seq);
    this.#settledSeq = seq;
    this.#owner.cursorMoved();
  }

  get handedSeq(): number {
    return this.#handedSeq;
  }

  settleHanded(seq: number): void {
    if (seq <= this.#settledSeq) return;
    this.#handedSeq = seq;
    this.settle(seq);
  }

  flush(): Promise<void> {
    return this.flushThrough(this.#settledSeq);
  }

  /** Resolves when at least `seq` is on disk. */
  flushThrough(seq: number): Promise<void> {
    return this.#file.write(() => {
      const { saved } = this.#file;
      if (this.#forgotten || (saved?.logId === this.#owner.logId && saved.seq >= seq)) return undefined;
      return { logId: this.#owner.logId, seq: this.#settledSeq, number: this.#handedSeq };
    });
  }

  /** Nothing is written after it resolves. */
  forget(): Promise<void> {
    this.#forgotten = true;
    return this.close();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
