import { flags } from './frames.ts';

/** What a frame's head says. */
interface Head {
  readonly streamId: number;
  readonly flags: number;
}

/**
 * The header block that is being received: HEADERS, and CONTINUATION where it does not fit one frame.
 * @see RFC 9113, 4.3, 6.2 and 6.10.
 */
export class HeaderBlock {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #partsBytes = 0;
  /** Where the last part lies. */
  #bytes: Buffer = nothing;
  #start = 0;
  #end = 0;
  #endsStream = false;
  streamId = 0;
  /** CONTINUATION has to come next. */
  continues = false;
  /** All of it has come, and nobody took it yet. */
  whole = false;

  /** @param headerBytesMax Of the list that it holds when it is decoded. */
  constructor(headerBytesMax: number) {
    this.#bytesMax = headerBytesMax * blockFactor;
  }

  /** A HEADERS frame. @returns why it is none. `bytes` are not kept longer than until `take`, or copied. */
  begin(head: Head, bytes: Buffer, start: number, end: number): string | undefined {
    let from = start;
    let to = end;
    if ((head.flags & flags.padded) !== 0) {
      to -= from < to ? (bytes[from] as number) : 0;
      from += 1;
    }
    if ((head.flags & flags.priority) !== 0) from += 5;
    if (from > to) return 'padding longer than the frame';
    if (head.streamId % 2 === 0) return 'HEADERS on a stream that clients cannot open';
    this.streamId = head.streamId;
    this.#endsStream = (head.flags & flags.endStream) !== 0;
    if ((head.flags & flags.endHeaders) !== 0) {
      this.#bytes = bytes;
      this.#start = from;
      this.#end = to;
      this.whole = true;
    } else {
      this.#parts = [Buffer.from(bytes.subarray(from, to))];
      this.#partsBytes = to - from;
      this.continues = true;
    }
    return undefined;
  }

  /** A CONTINUATION frame, of this stream. @returns false where the block is larger than the limit. */
  add(head: Head, bytes: Buffer, start: number, end: number): boolean {
    this.#partsBytes += end - start;
    // A larger one is read only as far as a client may take us by mistake: the next request shall still be understood.
    if (this.#partsBytes > this.#bytesMax || this.#parts.length === blockFramesMax) return false;
    this.#parts.push(Buffer.from(bytes.subarray(start, end)));
    if ((head.flags & flags.endHeaders) === 0) return true;
    this.#bytes = Buffer.concat(this.#parts);
    this.#start = 0;
    this.#end = this.#bytes.length;
    this.#parts = [];
    this.continues = false;
    this.whole = true;
    return true;
  }

  /** The whole block; `start` inclusive, `end` exclusive. Until the next frame. */
  take(): { streamId: number; endsStream: boolean; bytes: Buffer; start: number; end: number } {
    const bytes = this.#bytes;
    this.#bytes = nothing;
    this.whole = false;
    return { streamId: this.streamId, endsStream: this.#endsStream, bytes, start: this.#start, end: this.#end };
  }
}

const nothing = Buffer.alloc(0);
/** A block may be so many times larger than the list it is allowed to hold, before the connection is given up. */
const blockFactor = 4;
const blockFramesMax = 16;
