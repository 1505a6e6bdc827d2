const utf8 = new TextEncoder();

/**
 * Strings that label names, label values, helps and units are, each once, under a number. A request of remote write 2.0 has
 * a table of its own: `Symbols` also remembers where in the present one a string stands, so that no map is asked for it.
 */
export class Symbols {
  readonly #ids = new Map<string, number>();
  readonly #bytes: Uint8Array[] = [];
  #sizeBytes = 0;
  #stamps = new Int32Array(1024);
  #places = new Int32Array(1024);
  #stamp = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  id(text: string): number {
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = this.#bytes.length;
      const bytes = utf8.encode(text);
      this.#ids.set(text, id);
      this.#bytes.push(bytes);
      this.#sizeBytes += bytes.length;
    }
    return id;
  }

  /** UTF-8 of a symbol; not to be changed. */
  bytes(id: number): Uint8Array {
    return this.#bytes[id]!;
  }

  /** Begins a request: no symbol has a place. */
  begin(): void {
    this.#stamp++;
  }

  /** Place in the present request; -1 where it has none yet. */
  place(id: number): number {
    return this.#stamps[id] === this.#stamp ? this.#places[id]! : -1;
  }

  put(id: number, place: number): void {
    if (id >= this.#stamps.length) this.#grow();
    this.#stamps[id] = this.#stamp;
    this.#places[id] = place;
  }

  #grow(): void {
    const stamps = new Int32Array(this.#bytes.length * 2);
    const places = new Int32Array(this.#bytes.length * 2);
    stamps.set(this.#stamps);
    places.set(this.#places);
    this.#stamps = stamps;
    this.#places = places;
  }
}
