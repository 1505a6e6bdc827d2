/**
 * Memory for the bodies of requests, used again and again. A buffer a request costs more than the bytes in it: V8 takes what
 * lies outside of the heap for memory that grows, and the system hands out each larger one page by page.
 *
 * Blocks come in powers of two. What is larger than the largest, or was handed to a thread, is left to the collector of garbage.
 */
export class BodyPool {
  readonly #free: Buffer[][] = Array.from({ length: classes }, () => []);
  #freeBytes = 0;
  readonly #freeBytesMax: number;

  constructor(options: { freeBytesMax?: number } = {}) {
    this.#freeBytesMax = options.freeBytesMax ?? freeBytesMax;
  }

  /** Bytes that wait to be used again. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** At least so many bytes, of any content, which are the caller's until `give`. */
  take(bytes: number): Buffer {
    const index = classOf(bytes);
    if (index >= classes) return Buffer.allocUnsafeSlow(bytes);
    const block = this.#free[index]?.pop();
    if (block === undefined) return Buffer.allocUnsafeSlow(smallestBytes << index);
    this.#freeBytes -= block.length;
    return block;
  }

  /** @param block As `take` gave it; nobody may look at it any more. */
  give(block: Buffer): void {
    // A block that went to a thread has no bytes any more.
    const { length } = block;
    const index = classOf(length);
    if (length === 0 || index >= classes || this.#freeBytes + length > this.#freeBytesMax) return;
    this.#free[index]?.push(block);
    this.#freeBytes += length;
  }

  /** Gives the memory back to the system, for times without requests. */
  clear(): void {
    for (const blocks of this.#free) blocks.length = 0;
    this.#freeBytes = 0;
  }
}

const smallestBytes = 4 * 1024;
/** Up to 1 MiB: larger bodies are checked in threads, which take them over. */
const classes = 9;
const freeBytesMax = 32 * 1024 * 1024;

/** Index of the smallest class that holds so many bytes. */
function classOf(bytes: number): number {
  return bytes <= smallestBytes ? 0 : 32 - Math.clz32((bytes - 1) / smallestBytes);
}
