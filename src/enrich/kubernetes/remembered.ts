/** A table of what the API server has, and for a while of what it had. Keys are UIDs or names. Times in milliseconds of one monotonic clock. */
export class Remembered<V> {
  readonly #keepMs: number;
  readonly #entries = new Map<string, { value: V; listing: number; goneMs: number | undefined }>();
  /** Keys in the order in which they went; an entry may have come back since. */
  #gone: { key: string; goneMs: number }[] = [];
  #listing = 0;
  #present = 0;

  /** @param keepMs How long something is remembered after it went. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs;
  }

  /** Those that are there, without those that are remembered. */
  get present(): number {
    return this.#present;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  isPresent(key: string): boolean {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.goneMs === undefined;
  }

  *values(): Iterable<V> {
    for (const { value } of this.#entries.values()) yield value;
  }

  put(key: string, value: V): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      this.#entries.set(key, { value, listing: this.#listing, goneMs: undefined });
      this.#present++;
      return;
    }
    if (entry.goneMs !== undefined) this.#present++;
    entry.value = value;
    entry.listing = this.#listing;
    entry.goneMs = undefined;
  }

  /** @returns Whether it was there. */
  remove(key: string, nowMs: number): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.goneMs !== undefined) return false;
    entry.goneMs = nowMs;
    this.#gone.push({ key, goneMs: nowMs });
    this.#present--;
    return true;
  }

  beginListing(): void {
    this.#listing++;
  }

  /** What was not put since the listing began is gone. @returns their keys. */
  endListing(nowMs: number): readonly string[] {
    const gone: string[] = [];
    for (const [key, entry] of this.#entries) {
      if (entry.listing !== this.#listing && this.remove(key, nowMs)) gone.push(key);
    }
    return gone;
  }

  /** @returns Those that are now forgotten. */
  sweep(nowMs: number): readonly V[] {
    const forgotten: V[] = [];
    let done = 0;
    for (; done < this.#gone.length; done++) {
      const { key, goneMs } = this.#gone[done]!;
      if (nowMs - goneMs < this.#keepMs) break;
      const entry = this.#entries.get(key);
      if (entry?.goneMs !== goneMs) continue;
      this.#entries.delete(key);
      forgotten.push(entry.value);
    }
    if (done > 0) this.#gone = this.#gone.slice(done);
    return forgotten;
  }
}
