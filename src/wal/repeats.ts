import { joinOwed, owedNames } from '../base/index.ts';
import type { Answer } from './contract.ts';
import { repeatMessageBytesMax } from './limits.ts';

// The digests of the last requests, in flat arrays: 28 bytes a request, where a Map of strings takes 150.

/** What is known of a request that came. */
interface Known {
  readonly answer: Answer;
  /** Destinations that it was written for, as `joinOwed` has them; '': all. */
  readonly outstanding: string;
}

export interface Remembered extends Known {
  readonly digest: Uint8Array;
  readonly receivedUnixNano: bigint;
}

const smallest = 1024;
/** Different lists of destinations; what is owed to one more is not remembered. */
const listsMax = 256;

/**
 * The destinations that a request which comes again is to be written for, as those before were not; none: it is a repeat.
 * @param all The names of all destinations.
 */
export function owedAnew(before: string, outstanding: string, all: () => readonly string[]): readonly string[] {
  const had = owedNames(before);
  return had === undefined ? [] : (owedNames(outstanding) ?? all()).filter((name) => !had.includes(name));
}

function owedEither(first: string, second: string): string {
  const had = owedNames(first);
  const more = owedNames(second);
  if (had === undefined || more === undefined) return '';
  return joinOwed([...had, ...more.filter((name) => !had.includes(name))]);
}

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
  /** Place in `#lists`; made when the first request comes that is not for all. */
  #owed: Uint8Array | undefined;
  readonly #lists: string[] = [''];
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
    const always = this.#words.byteLength + this.#seconds.byteLength + this.#index.byteLength;
    return always + (this.#rejected?.byteLength ?? 0) + (this.#owed?.byteLength ?? 0);
  }

  /** The request of this digest, for all destinations that it came for; undefined if none came within the window. */
  find(digest: Uint8Array, monotonicMs: number): Known | undefined {
    this.#expire(monotonicMs);
    const entry = this.#index[this.#slotOf(wordsOf(digest))]!;
    return entry === 0 ? undefined : this.#at(entry - 1);
  }

  #at(at: number): Known {
    return {
      answer: { rejected: this.#rejected?.[at] ?? 0, message: this.#messages.get(at) ?? '' },
      outstanding: this.#lists[this.#owed?.[at] ?? 0]!,
    };
  }

  /** @param cameMs Monotonic time at which the request came; before the start of the process for those of the log. */
  add(digest: Uint8Array, known: Known, cameMs: number): void {
    const words = wordsOf(digest);
    const before = this.#index[this.#slotOf(words)]!;
    if (before === 0) {
      this.#append(words, known, cameMs);
      return;
    }
    const { answer, outstanding } = this.#at(before - 1);
    const both = owedEither(outstanding, known.outstanding);
    // Written again, for others. The place before stays in the ring until its time is over, and is found no more.
    if (both !== outstanding) this.#append(words, { answer, outstanding: both }, cameMs);
  }

  #append(words: Uint32Array, { answer, outstanding }: Known, cameMs: number): void {
    const list = this.#listOf(outstanding);
    if (list === undefined) return;
    if (this.#count === this.#ring) {
      if (this.#ring < this.#requestsMax) this.#grow();
      else this.#dropOldest();
    }
    const at = (this.#oldest + this.#count) % this.#ring;
    this.#words.set(words, 4 * at);
    this.#seconds[at] = Math.floor((cameMs - this.#startMs) / 1000);
    if (list > 0) this.#owed ??= new Uint8Array(this.#ring);
    if (this.#owed) this.#owed[at] = list;
    this.#setAnswer(at, answer);
    this.#index[this.#slotOf(words)] = at + 1;
    this.#count++;
  }

  #listOf(outstanding: string): number | undefined {
    const at = this.#lists.indexOf(outstanding);
    if (at >= 0) return at;
    return this.#lists.length < listsMax ? this.#lists.push(outstanding) - 1 : undefined;
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
    const slot = this.#slotOf(this.#words.subarray(4 * at, 4 * at + 4));
    if (this.#index[slot] === at + 1) this.#free(slot);
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
    const owed = this.#owed && new Uint8Array(ring);
    const messages = new Map<number, string>();
    const isFound = (at: number) => this.#index[this.#slotOf(this.#words.subarray(4 * at, 4 * at + 4))] === at + 1;
    const index = new Uint32Array(indexSize(ring));
    const mask = index.length - 1;
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#oldest + i) % this.#ring;
      words.set(this.#words.subarray(4 * from, 4 * from + 4), 4 * i);
      seconds[i] = this.#seconds[from]!;
      if (rejected) rejected[i] = this.#rejected![from]!;
      if (owed) owed[i] = this.#owed![from]!;
      const message = this.#messages.get(from);
      if (message !== undefined) messages.set(i, message);
      if (this.#owed && !isFound(from)) continue;
      let slot = words[4 * i]! & mask;
      while (index[slot] !== 0) slot = (slot + 1) & mask;
      index[slot] = i + 1;
    }
    this.#index = index;
    this.#owed = owed;
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
