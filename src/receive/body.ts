import type { BodyPool } from './body-pool.ts';

/** Pieces of a body as they come from the socket, joined once. Peers choose the size of the pieces, so tiny ones are merged on the way. */
export class BodyPieces {
  #pieces: Buffer[] = [];
  #tiny = 0;
  sizeBytes = 0;

  push(piece: Buffer): void {
    this.#pieces.push(piece);
    this.sizeBytes += piece.length;
    if (piece.length >= tinyBytes) this.#tiny = 0;
    else if (++this.#tiny === tinyPiecesMax) {
      // A peer that sends a byte at a time would otherwise cost us a hundred bytes of object for each.
      this.#pieces.push(Buffer.concat(this.#pieces.splice(-tinyPiecesMax)));
      this.#tiny = 0;
    }
  }

  /** All bytes; the pieces are given up. `block`: what they lie in, where it came from `blocks`. */
  take(blocks: BodyPool): { body: Buffer; block: Buffer | undefined } {
    const pieces = this.#pieces;
    this.#pieces = [];
    if (pieces.length === 1) return { body: pieces[0] as Buffer, block: undefined };
    const block = blocks.take(this.sizeBytes);
    let at = 0;
    for (const piece of pieces) {
      block.set(piece, at);
      at += piece.length;
    }
    return { body: block.subarray(0, at), block };
  }

  clear(): void {
    this.#pieces = [];
  }
}

const tinyBytes = 512;
const tinyPiecesMax = 256;
