import type { Answer } from './contract.ts';
import { repeatMessageBytesMax } from './limits.ts';

// The digests of the last requests, in flat arrays: 28 bytes a request, where a Map of strings takes 150.

export interface Remembered {
  readonly digest: Uint8Array;
  readonly receivedUnixNano: bigint;
  readonly answer: Answer;
}

const smallest = 1024;

/**
 * A ring of digests in the order in which they came, and an open-addressed index into it. The oldest go when the window
 * has passed them or the ring is full. Grows by doubling up to `requestsMax`.
 */
export class RepeatTable {
  readonly #windowMs: number;
  readonly #requestsMax: number;
  /** Four words a digest. */
  #words: Uint32Array;
  /** When it came, in seconds after `#startMs` of the monotonic clock; negative before it. */
  #seconds: Int32Array;
  /** Made when the first answer with rejected records comes. */
  #rejected: Uint32Array | undefined;
  /** By ring index, few. */
  #messages = new Map<number, string>();
  #messageBytes = 0;
  /** Ring index + 1; 0 is free. A power of two, at least twice the ring. */
  #index: Uint32Array;
  #ring: number;
  #oldest = 0;
  #count = 0;
  readonly #startMs: number;

  constructor(options: { windowMs: number; requestsMax: number; monotonicMs: number }) {
    this.#windowMs = options.windowMs;
    this.#requestsMax = Math.max(1, options.requestsMax);
    this.#startMs = options.monotonicMs;
    this.#ring = Math.min(smallest, this.#requestsMax);
    this.#words = new Uint32Array(4 * this.#ring);
    this.#seconds = new Int32Array(this.#ring);
    this.#index = new Uint32Array(indexSize(this.#ring));
  }

  get size(): number {
    return this.#count;
  }

  /** Bytes of the arrays. */
  get sizeBytes(): number {
    return (
      this.#words.byteLength + this.#seconds.byteLength + this.#index.byteLength + (this.#rejected?.byteLength ?? 0)
    );
  }

  /** What was answered to the request of this digest; undefined if none came within the window. */
  find(digest: Uint8Array, monotonicMs: number): Answer | undefined {
    this.#expire(monotonicMs);
    const slot = this.#slotOf(wordsOf(digest));
    const entry = this.#index[slot]!;
    if (entry === 0) return undefined;
    const at = entry - 1;
    return { rejected: this.#rejected?.[at] ?? 0, message: this.#messages.get(at) ?? '' };
  }

  /** @param cameMs Monotonic time at which the request came; before the start of the process for those of the log. */
  add(digest: Uint8Array, answer: Answer, cameMs: number): void {
    const words = wordsOf(digest);
    if (this.#index[this.#slotOf(words)] !== 0) return;
    if (this.#count === this.#ring) {
      if (this.#ring < this.#requestsMax) this.#grow();
      else this.#dropOldest();
    }
    const at = (this.#oldest + this.#count) % this.#ring;
    this.#words.set(words, 4 * at);
    this.#seconds[at] = Math.floor((cameMs - this.#startMs) / 1000);
    this.#setAnswer(at, answer);
    this.#index[this.#slotOf(words)] = at + 1;
    this.#count++;
  }

  #setAnswer(at: number, answer: Answer): void {
    if (answer.rejected > 0) this.#rejected ??= new Uint32Array(this.#ring);
    if (this.#rejected) this.#rejected[at] = answer.rejected;
    if (answer.message === '') return;
    const bytes = 2 * answer.message.length;
    const fits = this.#messageBytes + bytes <= repeatMessageBytesMax;
    const message = fits ? answer.message : 'some records were rejected when this request first came';
    this.#messages.set(at, message);
    this.#messageBytes += 2 * message.length;
  }

  #expire(monotonicMs: number): void {
    const before = Math.floor((monotonicMs - this.#startMs - this.#windowMs) / 1000);
    while (this.#count > 0 && this.#seconds[this.#oldest]! < before) this.#dropOldest();
  }

  #dropOldest(): void {
    const at = this.#oldest;
    this.#free(this.#slotOf(this.#words.subarray(4 * at, 4 * at + 4)));
    const message = this.#messages.get(at);
    if (message !== undefined) {
      this.#messages.delete(at);
      this.#messageBytes -= 2 * message.length;
    }
    this.#oldest = (at + 1) % this.#ring;
    this.#count--;
  }

  /** The slot that holds the digest, or the free one where it belongs. */
  #slotOf(words: Uint32Array): number {
    const mask = this.#index.length - 1;
    let slot = words[0]! & mask;
    for (;;) {
      const entry = this.#index[slot]!;
      if (entry === 0) return slot;
      const at = 4 * (entry - 1);
      if (
        this.#words[at] === words[0] &&
        this.#words[at + 1] === words[1] &&
        this.#words[at + 2] === words[2] &&
        this.#words[at + 3] === words[3]
      ) {
        return slot;
      }
      slot = (slot + 1) & mask;
    }
  }

  /** Frees a slot and moves those behind it up, so that no search ends too early (no tombstones). */
  #free(freed: number): void {
    const mask = this.#index.length - 1;
    let hole = freed;
    for (let slot = (hole + 1) & mask; this.#index[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#words[4 * (this.#index[slot]! - 1)]! & mask;
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        this.#index[hole] = this.#index[slot]!;
        hole = slot;
      }
    }
    this.#index[hole] = 0;
  }

  #grow(): void {
    const ring = Math.min(this.#requestsMax, 2 * this.#ring);
    const words = new Uint32Array(4 * ring);
    const seconds = new Int32Array(ring);
    const rejected = this.#rejected && new Uint32Array(ring);
    const messages = new Map<number, string>();
    this.#index = new Uint32Array(indexSize(ring));
    const mask = this.#index.length - 1;
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#oldest + i) % this.#ring;
      words.set(this.#words.subarray(4 * from, 4 * from + 4), 4 * i);
      seconds[i] = this.#seconds[from]!;
      if (rejected) rejected[i] = this.#rejected![from]!;
      const message = this.#messages.get(from);
      if (message !== undefined) messages.set(i, message);
      let slot = words[4 * i]! & mask;
      while (this.#index[slot] !== 0) slot = (slot + 1) & mask;
      this.#index[slot] = i + 1;
    }
    this.#words = words;
    this.#seconds = seconds;
    this.#rejected = rejected;
    this.#messages = messages;
    this.#ring = ring;
    this.#oldest = 0;
  }
}

function indexSize(ring: number): number {
  return 2 ** Math.ceil(Math.log2(2 * ring));
}

/** Digests are uniform: their first word is the hash. */
function wordsOf(digest: Uint8Array): Uint32Array {
  if (digest.byteOffset % 4 === 0) return new Uint32Array(digest.buffer, digest.byteOffset, 4);
  return new Uint32Array(digest.buffer.slice(digest.byteOffset, digest.byteOffset + 16));
}
