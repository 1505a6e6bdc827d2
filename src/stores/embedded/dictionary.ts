import { isUtf8 } from 'node:buffer';
import { copyBytes, isAsciiIn, sameIn, viewOf } from './views.ts';

// Values of a column that repeat, each kept once: rows hold a number. Found by their bytes, without a string or an object.

/** Places that are looked at for a value. Values that find none free, such as those made to collide, are found by a string. */
const probesMax = 16;

export class Dictionary {
  count = 0;
  /** Values as Parquet's PLAIN encoding has them: four bytes of length, little endian, and the bytes. */
  heap: Uint8Array<ArrayBuffer> = new Uint8Array(1024);
  #view = new DataView(this.heap.buffer);
  used = 0;
  /** Where in the heap each value's first byte is. */
  starts = new Uint32Array(64);
  lengths = new Uint32Array(64);
  #hashes = new Uint32Array(64);
  /** Number of the value + 1, by hash; 0: free. */
  #table = new Int32Array(256);
  /** Values that have no place in the table. */
  readonly #crowded = new Map<string, number>();
  #last = 0;

  /** The number of a text, made where it is new; −1 where it is not UTF-8. */
  text(source: Uint8Array, start: number, end: number): number {
    const found = this.#find(source, start, end);
    if (found >= 0) return found;
    return isText(source, start, end) ? this.#add(source, start, end) : -1;
  }

  /** The number of any bytes, made where they are new. */
  bytes(source: Uint8Array, start: number, end: number): number {
    const found = this.#find(source, start, end);
    return found >= 0 ? found : this.#add(source, start, end);
  }

  /** Whether value `code` has these bytes. */
  #same(code: number, source: Uint8Array, start: number, length: number): boolean {
    return this.lengths[code] === length && sameIn(this.#view, this.starts[code]!, source, start, length);
  }

  #hash = 0;
  #find(source: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (this.#last < this.count && this.#same(this.#last, source, start, length)) return this.#last;
    let hash = length;
    let at = start;
    if (length >= 8) {
      const view = viewOf(source);
      for (; at + 4 <= end; at += 4) {
        hash = Math.imul(hash ^ view.getInt32(at, true), 0x85ebca6b);
        hash ^= hash >>> 15;
      }
    }
    for (; at < end; at++) hash = Math.imul(hash ^ source[at]!, 0x01000193);
    hash = (hash ^ (hash >>> 13)) >>> 0;
    this.#hash = hash;
    const table = this.#table;
    const mask = table.length - 1;
    for (let probe = 0; probe < probesMax; probe++) {
      const code = table[(hash + probe) & mask]! - 1;
      if (code < 0) return -1;
      if (this.#hashes[code] === hash && this.#same(code, source, start, length)) {
        this.#last = code;
        return code;
      }
    }
    return this.#crowded.size === 0 ? -1 : (this.#crowded.get(latin1(source, start, end)) ?? -1);
  }

  /** Adds what `#find` has just looked for. */
  #add(source: Uint8Array, start: number, end: number): number {
    const code = this.count++;
    if (code === this.starts.length) {
      this.starts = grown(this.starts, new Uint32Array(code * 2));
      this.lengths = grown(this.lengths, new Uint32Array(code * 2));
      this.#hashes = grown(this.#hashes, new Uint32Array(code * 2));
    }
    if (this.count * 3 > this.#table.length) this.#rehash();
    const length = end - start;
    if (this.used + length + 4 > this.heap.length) {
      this.heap = grown(this.heap, new Uint8Array(Math.max(this.heap.length * 2, this.used + length + 4)));
      this.#view = new DataView(this.heap.buffer);
    }
    this.starts[code] = putBytes(this.heap, this.#view, this.used, source, start, end);
    this.used += length + 4;
    this.lengths[code] = length;
    this.#hashes[code] = this.#hash;
    this.#insert(code);
    this.#last = code;
    return code;
  }

  #insert(code: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    const hash = this.#hashes[code]!;
    for (let probe = 0; probe < probesMax; probe++) {
      const place = (hash + probe) & mask;
      if (table[place] !== 0) continue;
      table[place] = code + 1;
      return;
    }
    const at = this.starts[code]!;
    this.#crowded.set(latin1(this.heap, at, at + this.lengths[code]!), code);
  }

  #rehash(): void {
    this.#table = new Int32Array(this.#table.length * 4);
    this.#crowded.clear();
    for (let code = 0; code < this.count - 1; code++) this.#insert(code);
  }

  string(code: number): string {
    const at = this.starts[code]!;
    return Buffer.from(this.heap.buffer, this.heap.byteOffset + at, this.lengths[code]!).toString('utf8');
  }
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}

function grown<T extends Uint8Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** Writes length and bytes at `at`. @returns where the bytes begin. */
export function putBytes(
  heap: Uint8Array,
  view: DataView,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  view.setUint32(at, end - start, true);
  copyBytes(heap, view, at + 4, source, start, end);
  return at + 4;
}

export function isText(source: Uint8Array, start: number, end: number): boolean {
  return isAsciiIn(source, start, end) || isUtf8(source.subarray(start, end));
}
