/** Puts the chunks of a stream together to lines; holds at most one line. */
export class Lines {
  readonly #bytesMax: number;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * @returns The lines that the chunk completes, without their ends. What follows the last end is kept for the next
   *          chunk, or lost with the stream. 'tooLong': a line is longer than the bound, and nothing of it can be used.
   */
  push(chunk: Buffer): readonly string[] | 'tooLong' {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const piece = chunk.subarray(start, end);
      if (this.#bytes + piece.length > this.#bytesMax) return 'tooLong';
      const line = this.#pieces.length === 0 ? piece : Buffer.concat([...this.#pieces, piece]);
      if (line.length > 0) lines.push(line.toString());
      this.#pieces = [];
      this.#bytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      this.#pieces.push(chunk.subarray(start));
      this.#bytes += chunk.length - start;
      if (this.#bytes > this.#bytesMax) return 'tooLong';
    }
    return lines;
  }
}
