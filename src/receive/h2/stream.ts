import {
  errorCodes,
  flags,
  frameOf,
  framePayloadMax,
  frameTypes,
  headBytes,
  numberFrame,
  writeUint32,
} from './frames.ts';
import { encodeFields } from './hpack.ts';
import type { Session } from './session.ts';

/** Hears what happens to one request. */
export interface StreamHandler {
  /** Bytes of the body; valid only during the call. */
  onData(bytes: Uint8Array, start: number, end: number): void;
  /** The body is complete. */
  onEnd(): void;
  /** Last, and always: answered to the end, reset, or the connection is gone. */
  onClose(): void;
}

/** One request and its answer. */
export class Stream {
  readonly id: number;
  readonly #session: Session;
  handler: StreamHandler | undefined;
  closed = false;
  /** The client has said END_STREAM. */
  remoteEnded = false;
  /** Bytes that the client may still send; belongs to the session. */
  receiveWindow: number;
  /** Bytes of DATA that we may still send. */
  sendWindow: number;
  /** Of content-length, where there is one. RFC 9113, 8.1.1. */
  declaredBytes = -1;
  receivedBytes = 0;
  #localEnded = false;
  /** What found no room in the windows, and the trailers behind it. */
  #unsent: Buffer | undefined;
  #trailers: Buffer | undefined;

  constructor(session: Session, id: number, receiveWindow: number, sendWindow: number) {
    this.#session = session;
    this.id = id;
    this.receiveWindow = receiveWindow;
    this.sendWindow = sendWindow;
  }

  /** Headers that are the whole answer. */
  respond(fields: Readonly<Record<string, string | number>>): void {
    if (this.closed) return;
    this.#session.write(headersFrames(this.id, this.#session.headerBlock(encodeFields(fields)), true));
    this.#localEnd();
    // The client need not send the rest. RFC 9113, 8.1: RST_STREAM with NO_ERROR after the complete answer.
    if (!this.remoteEnded) this.reset(errorCodes.noError);
  }

  /** Status OK with one message. @param message With its prefix. */
  answer(message: Buffer): void {
    if (this.closed) return;
    const session = this.#session;
    if (session.takesAnswer(this, message.length)) {
      session.write(answerFrames(this.id, message));
      this.#localEnd();
      return;
    }
    session.write(headersFrames(this.id, session.headerBlock(okHeaders), false));
    this.#unsent = message;
    this.#trailers = okTrailers;
    this.resume();
  }

  /** Sends what the windows have room for now. */
  resume(): void {
    const session = this.#session;
    while (this.#unsent !== undefined) {
      const bytes = Math.min(this.#unsent.length, framePayloadMax, this.sendWindow, session.sendWindow);
      if (bytes <= 0) return;
      this.sendWindow -= bytes;
      session.sendWindow -= bytes;
      session.write(frameOf(frameTypes.data, 0, this.id, this.#unsent.subarray(0, bytes)));
      this.#unsent = bytes === this.#unsent.length ? undefined : this.#unsent.subarray(bytes);
    }
    if (this.#trailers === undefined) return;
    session.write(headersFrames(this.id, this.#trailers, true));
    this.#trailers = undefined;
    this.#localEnd();
  }

  reset(code: number): void {
    if (this.closed) return;
    this.#session.write(numberFrame(frameTypes.rstStream, this.id, code));
    this.#session.closeStream(this);
  }

  /** The body is complete; what was wrong with it was seen before. */
  remoteEnd(): void {
    this.remoteEnded = true;
    this.handler?.onEnd();
    if (this.#localEnded) this.#session.closeStream(this);
  }

  #localEnd(): void {
    this.#localEnded = true;
    if (this.remoteEnded) this.#session.closeStream(this);
  }
}

const okHeaders = encodeFields({ ':status': 200, 'content-type': 'application/grpc' });
const okTrailers = encodeFields({ 'grpc-status': '0' });

/** HEADERS and as many CONTINUATION as it takes. */
function headersFrames(id: number, block: Buffer, endStream: boolean): Buffer {
  const end = endStream ? flags.endStream : 0;
  if (block.length <= framePayloadMax) return frameOf(frameTypes.headers, flags.endHeaders | end, id, block);
  const frames: Buffer[] = [];
  for (let at = 0; at < block.length; at += framePayloadMax) {
    const part = block.subarray(at, at + framePayloadMax);
    const last = at + framePayloadMax >= block.length ? flags.endHeaders : 0;
    frames.push(
      at === 0 ? frameOf(frameTypes.headers, end | last, id, part) : frameOf(frameTypes.continuation, last, id, part),
    );
  }
  return Buffer.concat(frames);
}

/** The same bytes for each answer with this message, but for the stream's id. */
const templates = new WeakMap<Buffer, Buffer>();

function answerFrames(id: number, message: Buffer): Buffer {
  let template = templates.get(message);
  if (template === undefined) {
    template = Buffer.concat([
      frameOf(frameTypes.headers, flags.endHeaders, 0, okHeaders),
      frameOf(frameTypes.data, 0, 0, message),
      frameOf(frameTypes.headers, flags.endHeaders | flags.endStream, 0, okTrailers),
    ]);
    templates.set(message, template);
  }
  const bytes = Buffer.allocUnsafe(template.length);
  bytes.set(template);
  const dataAt = headBytes + okHeaders.length;
  writeUint32(bytes, 5, id);
  writeUint32(bytes, dataAt + 5, id);
  writeUint32(bytes, dataAt + headBytes + message.length + 5, id);
  return bytes;
}
