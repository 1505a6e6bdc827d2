import type { Socket } from 'node:net';
import { Budget } from './budget.ts';
import {
  type ErrorCode,
  errorCodes,
  flags,
  frame,
  frameOf,
  framePayloadMax,
  frameTypes,
  goawayFrame,
  numberFrame,
  readUint32,
  settingIds,
  settingsFrame,
  streamIdMax,
  windowMax,
} from './frames.ts';
import { HeaderBlock } from './header-block.ts';
import { Held } from './held.ts';
import { CompressionError, HpackDecoder, type RequestFields } from './hpack.ts';
import { type FrameHandler, FrameReader } from './reader.ts';
import { checkSettings } from './settings.ts';
import { readInto } from './socket.ts';
import { Stream, type StreamHandler } from './stream.ts';

export interface SessionLimits {
  readonly streamsMax: number;
  readonly headerBytesMax: number;
  readonly controlFramesPerSecondMax: number;
}

/** Hears what happens on a connection. */
export interface SessionHandler {
  onStream(stream: Stream, request: RequestFields): StreamHandler;
  /** Last, and once. */
  onClose(): void;
  /** Why the connection was ended by us; before `onClose`. */
  onFailed(reason: string): void;
}

/**
 * The server's half of an HTTP/2 connection for requests that are answered at once, without push and priorities.
 * Each bound that the peer passes ends the stream or the connection with the code that the specification names.
 * @see RFC 9113.
 */
export class Session implements FrameHandler {
  readonly socket: Socket;
  readonly #handler: SessionHandler;
  readonly #limits: SessionLimits;
  readonly #decoder: HpackDecoder;
  readonly #streams = new Map<number, Stream>();
  /** Bytes of DATA that we may send on all streams. */
  sendWindow = defaultWindowBytes;
  #streamSendWindow = defaultWindowBytes;
  #receiveWindow = connectionWindowBytes;
  #lastStreamId = 0;
  /** Past it requests are left out: we said so in GOAWAY. */
  #finalStreamId = streamIdMax;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #greeted = false;
  #sizeUpdateDue = false;
  readonly #budget: Budget;
  #pingsWaiting: (() => void)[] = [];
  #lastWordsTimer: NodeJS.Timeout | undefined;

  // What is being read.
  readonly #reader = new FrameReader(this);
  readonly #block: HeaderBlock;

  // What is being written.
  #out: Buffer[] = [];
  #flushDue = false;
  readonly #held = new Held(() => this.flush());

  /** @param socket Of TLS, or paused since it was accepted. */
  constructor(accepted: Socket, handler: SessionHandler, limits: SessionLimits) {
    const socket = readInto(accepted, (chunk, length) => this.#onBytes(chunk, length));
    this.socket = socket;
    this.#handler = handler;
    this.#limits = limits;
    this.#budget = new Budget(limits.controlFramesPerSecondMax);
    this.#block = new HeaderBlock(limits.headerBytesMax);
    this.#decoder = new HpackDecoder({ listBytesMax: limits.headerBytesMax, fieldsMax: headerFieldsMax });
    socket.setNoDelay(true);
    // What a socket ends with is told by 'close', which always comes.
    socket.on('error', () => {});
    socket.on('close', () => this.#onClosed());
    socket.on('drain', () => socket.resume());
    this.write(
      settingsFrame([
        [settingIds.enablePush, 0],
        [settingIds.maxConcurrentStreams, limits.streamsMax],
        [settingIds.initialWindowSize, streamWindowBytes],
        [settingIds.maxHeaderListSize, limits.headerBytesMax],
      ]),
    );
    this.write(numberFrame(frameTypes.windowUpdate, 0, connectionWindowBytes - defaultWindowBytes));
  }

  get closed(): boolean {
    return this.#state === 'closed';
  }

  /** The client's preface and SETTINGS have come. */
  get greeted(): boolean {
    return this.#greeted;
  }

  /** Tells the client to open no more streams, and refuses none: a notice of what is about to come. */
  announceClose(): void {
    if (this.#state === 'open') this.write(goawayFrame(streamIdMax, errorCodes.noError));
  }

  /** Serves what has come, nothing else, and closes. */
  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#finalStreamId = this.#lastStreamId;
    this.write(goawayFrame(this.#lastStreamId, errorCodes.noError));
    if (this.#streams.size === 0) this.#end();
  }

  /** Ends it now. */
  destroy(code: ErrorCode = errorCodes.noError): void {
    if (this.#state === 'closed') return;
    this.write(goawayFrame(this.#lastStreamId, code));
    this.#end();
  }

  /** @param answered Called when the client has answered, and not if it never does. */
  ping(answered: () => void): void {
    if (this.#state === 'closed') return;
    this.#pingsWaiting.push(answered);
    this.write(frameOf(frameTypes.ping, 0, 0, pingPayload));
  }

  /** Once a second: what may be done so often in one. */
  tick(): void {
    this.#budget.renew();
  }

  // For streams.

  /** All that is written in one turn of the loop leaves in one piece. */
  write(bytes: Buffer): void {
    if (this.#state === 'closed') return;
    this.#out.push(bytes);
    if (this.#flushDue) return;
    this.#flushDue = true;
    process.nextTick(flush, this);
  }

  /** Leaves with what is written next, and soon where that does not come. */
  #writeWithNext(bytes: Buffer): void {
    if (this.#state === 'closed') return;
    if (this.#out.length === 0) this.#held.hold();
    this.#out.push(bytes);
  }

  flush(): void {
    this.#flushDue = false;
    this.#held.release();
    if (this.#out.length === 0) return;
    const out = this.#out;
    this.#out = [];
    if (this.socket.destroyed || !this.socket.writable) return;
    this.socket.write(out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out));
    // A peer that does not read its answers is not read either.
    if (this.socket.writableLength > unsentBytesMax) this.socket.pause();
  }

  /** Whether an answer may leave as it was prepared; takes its bytes from the windows. */
  takesAnswer(stream: Stream, bytes: number): boolean {
    if (bytes > stream.sendWindow || bytes > this.sendWindow || bytes > framePayloadMax || this.#sizeUpdateDue)
      return false;
    stream.sendWindow -= bytes;
    this.sendWindow -= bytes;
    return true;
  }

  /** RFC 7541, 4.2: where the client allows a smaller table, the next block starts with our consent. We use none. */
  headerBlock(block: Buffer): Buffer {
    if (!this.#sizeUpdateDue) return block;
    this.#sizeUpdateDue = false;
    return Buffer.concat([emptyTable, block]);
  }

  closeStream(stream: Stream): void {
    if (stream.closed) return;
    stream.closed = true;
    this.#streams.delete(stream.id);
    stream.handler?.onClose();
    if (this.#state === 'closing' && this.#streams.size === 0) this.#end();
  }

  // Reading.

  #onBytes(chunk: Buffer, length: number): void {
    try {
      this.#reader.read(chunk, length);
    } catch (thrown) {
      // One peer's bytes shall not end the process, whatever they meet here.
      const what = thrown instanceof Error ? thrown.stack : String(thrown);
      this.#fail(errorCodes.internalError, `an error of ours: ${what}`);
    }
  }

  // For the reader.

  onNoPreface(): void {
    this.#fail(errorCodes.protocolError, 'no HTTP/2 preface');
  }

  /** What a frame's head alone tells. False: the connection is done for. */
  onHead(length: number): boolean {
    const type = this.#reader.type;
    if (length > framePayloadMax) return this.#fail(errorCodes.frameSizeError, 'a frame larger than the limit');
    if (!this.#greeted && (type !== frameTypes.settings || (this.#reader.flags & flags.ack) !== 0)) {
      return this.#fail(errorCodes.protocolError, 'the first frame is not SETTINGS');
    }
    if (this.#block.continues) {
      if (type !== frameTypes.continuation || this.#reader.streamId !== this.#block.streamId) {
        return this.#fail(errorCodes.protocolError, 'a header block is interrupted');
      }
    } else if (type === frameTypes.continuation) {
      return this.#fail(errorCodes.protocolError, 'CONTINUATION of nothing');
    }
    if (type !== frameTypes.data) return true;
    if (this.#isIdle(this.#reader.streamId)) return this.#fail(errorCodes.protocolError, 'DATA on an idle stream');
    // RFC 9113, 6.9.1: all of it counts, padding too, whatever becomes of it.
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) return this.#fail(errorCodes.flowControlError, 'more DATA than the connection allows');
    if (this.#receiveWindow < connectionWindowBytes / 2) {
      this.write(numberFrame(frameTypes.windowUpdate, 0, connectionWindowBytes - this.#receiveWindow));
      this.#receiveWindow = connectionWindowBytes;
    }
    const stream = this.#streams.get(this.#reader.streamId);
    const ends = (this.#reader.flags & flags.endStream) !== 0;
    if (length === 0 && !ends && !this.#countControl(1)) return false;
    if (stream === undefined) return true; // sent before the client knew that it is closed
    if (stream.remoteEnded) return this.#fail(errorCodes.streamClosed, 'DATA after END_STREAM');
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) {
      stream.reset(errorCodes.flowControlError);
      return this.#countReset();
    }
    if (!ends && stream.receiveWindow < streamWindowBytes / 2) {
      this.write(numberFrame(frameTypes.windowUpdate, stream.id, streamWindowBytes - stream.receiveWindow));
      stream.receiveWindow = streamWindowBytes;
    }
    return true;
  }

  onData(bytes: Buffer, start: number, end: number): void {
    const stream = this.#streams.get(this.#reader.streamId);
    if (stream === undefined) return;
    stream.receivedBytes += end - start;
    stream.handler?.onData(bytes, start, end);
  }

  onDataEnd(): void {
    const stream = this.#streams.get(this.#reader.streamId);
    if (stream !== undefined) this.#endStream(stream);
  }

  #endStream(stream: Stream): void {
    if (stream.declaredBytes >= 0 && stream.declaredBytes !== stream.receivedBytes) {
      stream.reset(errorCodes.protocolError);
      this.#countReset();
      return;
    }
    stream.remoteEnd();
  }

  onFrame(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    const streamId = this.#reader.streamId;
    switch (this.#reader.type) {
      case frameTypes.data: {
        const padding = length === 0 ? 1 : (bytes[start] as number) + 1;
        if (padding > length) {
          this.#fail(errorCodes.protocolError, 'padding longer than the frame');
          return;
        }
        // Padding alone moves nothing.
        if (padding === length && (this.#reader.flags & flags.endStream) === 0 && !this.#countControl(1)) return;
        if (padding < length) this.onData(bytes, start + 1, end - padding + 1);
        if ((this.#reader.flags & flags.endStream) !== 0) this.onDataEnd();
        return;
      }
      case frameTypes.headers:
        this.#onHeaders(bytes, start, end);
        return;
      case frameTypes.continuation:
        this.#onContinuation(bytes, start, end);
        return;
      case frameTypes.priority:
        if (streamId === 0) this.#fail(errorCodes.protocolError, 'PRIORITY on stream 0');
        else if (length !== 5) this.#fail(errorCodes.frameSizeError, 'PRIORITY of a wrong size');
        else this.#countControl(1 / 8);
        return;
      case frameTypes.rstStream:
        this.#onReset(length);
        return;
      case frameTypes.settings:
        this.#onSettings(bytes, start, end);
        return;
      case frameTypes.pushPromise:
        this.#fail(errorCodes.protocolError, 'PUSH_PROMISE from a client');
        return;
      case frameTypes.ping:
        this.#onPing(bytes, start, end);
        return;
      case frameTypes.goaway:
        if (streamId !== 0) this.#fail(errorCodes.protocolError, 'GOAWAY on a stream');
        else if (length < 8) this.#fail(errorCodes.frameSizeError, 'GOAWAY of a wrong size');
        else this.close();
        return;
      case frameTypes.windowUpdate:
        this.#onWindowUpdate(bytes, start, end);
        return;
      default: // RFC 9113, 5.5: unknown types are ignored
        this.#countControl(1 / 8);
    }
  }

  #onHeaders(bytes: Buffer, start: number, end: number): void {
    const refused = this.#block.begin(this.#reader, bytes, start, end);
    if (refused !== undefined) this.#fail(errorCodes.protocolError, refused);
    else if (this.#block.whole) this.#onBlock();
  }

  #onContinuation(bytes: Buffer, start: number, end: number): void {
    if (!this.#block.add(this.#reader, bytes, start, end))
      this.#fail(errorCodes.enhanceYourCalm, 'a header block larger than the limit');
    else if (this.#block.whole) this.#onBlock();
  }

  #onBlock(): void {
    const { streamId: id, endsStream, bytes, start, end } = this.#block.take();
    let request: RequestFields;
    try {
      request = this.#decoder.decode(bytes, start, end);
    } catch (thrown) {
      if (!(thrown instanceof CompressionError)) throw thrown;
      this.#fail(errorCodes.compressionError, `header block: ${thrown.message}`);
      return;
    }
    if (id <= this.#lastStreamId) {
      this.#onTrailers(id, endsStream);
      return;
    }
    if (id > this.#finalStreamId) return;
    this.#lastStreamId = id;
    // RFC 9113, 8.3.1.
    const { method, scheme, path } = request;
    if (request.tooLarge) this.#refuse(id, errorCodes.enhanceYourCalm);
    else if (request.malformed || method === undefined || scheme === undefined || path === undefined || path === '') {
      this.#refuse(id, errorCodes.protocolError);
    } else if (request.contentLength !== undefined && !/^\d{1,15}$/.test(request.contentLength)) {
      this.#refuse(id, errorCodes.protocolError);
    } else if (this.#streams.size >= this.#limits.streamsMax) this.#refuse(id, errorCodes.refusedStream);
    else {
      this.#budget.onCall();
      const stream = new Stream(this, id, streamWindowBytes, this.#streamSendWindow);
      if (request.contentLength !== undefined) stream.declaredBytes = Number(request.contentLength);
      this.#streams.set(id, stream);
      stream.handler = this.#handler.onStream(stream, request);
      // Where the handler answered at once, what closed the stream came before there was somebody to tell.
      if (stream.closed) stream.handler.onClose();
      else if (endsStream) this.#endStream(stream);
    }
  }

  #onTrailers(id: number, endsStream: boolean): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) this.#countControl(1);
    else if (stream.remoteEnded) this.#fail(errorCodes.streamClosed, 'HEADERS after END_STREAM');
    else if (endsStream) this.#endStream(stream);
    else {
      stream.reset(errorCodes.protocolError);
      this.#countReset();
    }
  }

  #refuse(id: number, code: ErrorCode): void {
    this.write(numberFrame(frameTypes.rstStream, id, code));
    this.#countReset();
  }

  #onReset(length: number): void {
    if (length !== 4) this.#fail(errorCodes.frameSizeError, 'RST_STREAM of a wrong size');
    else if (this.#isIdle(this.#reader.streamId)) this.#fail(errorCodes.protocolError, 'RST_STREAM on an idle stream');
    else {
      const stream = this.#streams.get(this.#reader.streamId);
      if (stream === undefined) this.#countControl(1);
      else {
        this.closeStream(stream);
        this.#countReset();
      }
    }
  }

  #onSettings(bytes: Buffer, start: number, end: number): void {
    const isAck = (this.#reader.flags & flags.ack) !== 0;
    const wrong = checkSettings(this.#reader.streamId, isAck, bytes, start, end);
    if (wrong !== undefined) {
      this.#fail(wrong.code, wrong.reason);
      return;
    }
    if (!this.#countControl(1) || isAck) return;
    this.#greeted = true;
    for (let at = start; at < end; at += 6) {
      const id = bytes.readUInt16BE(at);
      const value = readUint32(bytes, at + 2);
      if (id === settingIds.headerTableSize && value < 4096) this.#sizeUpdateDue = true;
      if (id === settingIds.initialWindowSize && !this.#onInitialWindow(value)) return;
    }
    this.write(frame(frameTypes.settings, flags.ack, 0, 0));
  }

  #onInitialWindow(value: number): boolean {
    const more = value - this.#streamSendWindow;
    this.#streamSendWindow = value;
    for (const stream of [...this.#streams.values()]) {
      stream.sendWindow += more;
      if (stream.sendWindow > windowMax) return this.#fail(errorCodes.flowControlError, 'a window past 2^31-1');
      stream.resume();
    }
    return true;
  }

  #onPing(bytes: Buffer, start: number, end: number): void {
    if (this.#reader.streamId !== 0) this.#fail(errorCodes.protocolError, 'PING on a stream');
    else if (end - start !== 8) this.#fail(errorCodes.frameSizeError, 'PING of a wrong size');
    else if (!this.#countControl(1)) return;
    else if ((this.#reader.flags & flags.ack) !== 0) this.#pingsWaiting.shift()?.();
    // gRPC's clients ping with each answer that they read: a write of its own for each cost 7 % of the receiver's CPU.
    else this.#writeWithNext(frameOf(frameTypes.ping, flags.ack, 0, bytes.subarray(start, end)));
  }

  #onWindowUpdate(bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) {
      this.#fail(errorCodes.frameSizeError, 'WINDOW_UPDATE of a wrong size');
      return;
    }
    if (!this.#countControl(1 / 8)) return;
    const more = readUint32(bytes, start) & windowMax;
    if (this.#reader.streamId === 0) {
      this.sendWindow += more;
      if (more === 0) this.#fail(errorCodes.protocolError, 'WINDOW_UPDATE of 0');
      else if (this.sendWindow > windowMax) this.#fail(errorCodes.flowControlError, 'a window past 2^31-1');
      else if (this.sendWindow <= more) {
        for (const stream of [...this.#streams.values()]) stream.resume();
      }
      return;
    }
    if (this.#isIdle(this.#reader.streamId)) {
      this.#fail(errorCodes.protocolError, 'WINDOW_UPDATE on an idle stream');
      return;
    }
    const stream = this.#streams.get(this.#reader.streamId);
    if (stream === undefined) return;
    stream.sendWindow += more;
    if (more === 0 || stream.sendWindow > windowMax) {
      stream.reset(more === 0 ? errorCodes.protocolError : errorCodes.flowControlError);
      this.#countReset();
    } else stream.resume();
  }

  /** RFC 9113, 5.1: no frame but HEADERS and PRIORITY may come on it. */
  #isIdle(id: number): boolean {
    return id === 0 || id % 2 === 0 || (id > this.#lastStreamId && id <= this.#finalStreamId);
  }

  /** False: too many. */
  #countControl(weight: number): boolean {
    return (
      this.#budget.takeControl(weight) || this.#fail(errorCodes.enhanceYourCalm, 'too many frames that carry nothing')
    );
  }

  /** False: too many. */
  #countReset(): boolean {
    return this.#budget.takeReset() || this.#fail(errorCodes.enhanceYourCalm, 'too many streams that are reset');
  }

  #fail(code: ErrorCode, reason: string): false {
    if (this.#state === 'closed') return false;
    this.#handler.onFailed(reason);
    this.destroy(code);
    return false;
  }

  /** Sends what there is to send, and ends the connection. */
  #end(): void {
    this.flush();
    this.#state = 'closed';
    this.#closeStreams();
    // What still comes is thrown away, so that the peer gets to read the last words.
    this.socket.resume();
    this.socket.end();
    this.#lastWordsTimer = setTimeout(() => this.socket.destroy(), lastWordsMs).unref();
  }

  #onClosed(): void {
    this.#state = 'closed';
    // A timer would keep all of this a second longer: long enough for V8 to take a flood's connections for something that stays.
    clearTimeout(this.#lastWordsTimer);
    this.#closeStreams();
    this.#handler.onClose();
  }

  #closeStreams(): void {
    for (const stream of [...this.#streams.values()]) this.closeStream(stream);
  }
}

function flush(session: Session): void {
  session.flush();
}

const defaultWindowBytes = 65_535; // RFC 9113, 6.9.2
/** Bytes in flight are bounded by admission, not by windows: these shall only never be what a sender waits for. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 16 * 1024 * 1024;
/** Of answers that a peer does not read. */
const unsentBytesMax = 256 * 1024;
const headerFieldsMax = 128;
const lastWordsMs = 1_000;
const pingPayload = Buffer.alloc(8);
/** A dynamic table size update to 0. */
const emptyTable = Buffer.of(0x20);
