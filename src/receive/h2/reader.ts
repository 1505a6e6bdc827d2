import { flags, frameTypes, headBytes, preface, readUint32, streamIdMax } from './frames.ts';

/** Hears what a connection says, frame by frame; `type`, `flags` and `streamId` of the reader tell of which. */
export interface FrameHandler {
  readonly closed: boolean;
  onNoPreface(): void;
  /** Before the payload has come. False: read no further. */
  onHead(payloadBytes: number): boolean;
  /** A part of the payload of DATA without padding, as it comes; valid during the call only. */
  onData(bytes: Buffer, start: number, end: number): void;
  /** The payload of the last DATA of a stream, without padding, was all there. */
  onDataEnd(): void;
  /** Any other frame with its payload; valid during the call only. */
  onFrame(bytes: Buffer, start: number, end: number): void;
}

/** Cuts the bytes of a client into frames. DATA is handed on as it comes, so that it is copied once. @see RFC 9113, 4. */
export class FrameReader {
  type = 0;
  flags = 0;
  streamId = 0;
  readonly #handler: FrameHandler;
  #prefaceAt = 0;
  readonly #head = new Uint8Array(headBytes);
  #headAt = 0;
  /** Of a frame of DATA that is handed on as it comes. */
  #inData = false;
  #dataLeft = 0;
  /** Of any other frame that did not come in one piece. */
  #payload: Buffer | undefined;
  #payloadAt = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** Reads the first `end` bytes of `chunk`. */
  read(chunk: Buffer, end: number): void {
    const handler = this.#handler;
    let at = 0;
    for (; this.#prefaceAt < preface.length && at < end; at++, this.#prefaceAt++) {
      if (chunk[at] !== preface[this.#prefaceAt]) {
        handler.onNoPreface();
        return;
      }
    }
    while (!handler.closed) {
      if (this.#inData) {
        const length = Math.min(this.#dataLeft, end - at);
        if (length > 0) handler.onData(chunk, at, at + length);
        at += length;
        this.#dataLeft -= length;
        if (this.#dataLeft > 0) return;
        this.#inData = false;
        if ((this.flags & flags.endStream) !== 0) handler.onDataEnd();
        continue;
      }
      if (this.#payload !== undefined) {
        const payload = this.#payload;
        const length = Math.min(payload.length - this.#payloadAt, end - at);
        chunk.copy(payload, this.#payloadAt, at, at + length);
        at += length;
        this.#payloadAt += length;
        if (this.#payloadAt < payload.length) return;
        this.#payload = undefined;
        handler.onFrame(payload, 0, payload.length);
        continue;
      }
      let head: Uint8Array = chunk;
      let headAt = at;
      if (this.#headAt === 0 && end - at >= headBytes) at += headBytes;
      else {
        for (; this.#headAt < headBytes && at < end; at++) this.#head[this.#headAt++] = chunk[at] as number;
        if (this.#headAt < headBytes) return;
        this.#headAt = 0;
        head = this.#head;
        headAt = 0;
      }
      const length = readUint32(head, headAt) >>> 8;
      this.type = head[headAt + 3] as number;
      this.flags = head[headAt + 4] as number;
      this.streamId = readUint32(head, headAt + 5) & streamIdMax;
      if (!handler.onHead(length)) return;
      if (this.type === frameTypes.data && (this.flags & flags.padded) === 0) {
        this.#inData = true;
        this.#dataLeft = length;
      } else if (end - at >= length) {
        handler.onFrame(chunk, at, at + length);
        at += length;
      } else {
        this.#payload = Buffer.allocUnsafe(length);
        this.#payloadAt = 0;
      }
    }
  }
}
