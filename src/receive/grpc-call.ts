import { Fault, type Signal } from '../base/index.ts';
import { encodeExportResponse, encodeStatus } from '../otlp/index.ts';
import { type Accepted, type Room, readable } from './accept.ts';
import { type Encoding, grpcEncoding, grpcEncodings, tooLarge } from './encodings.ts';
import type { Connection } from './grpc.ts';
import {
  contentKind,
  encodeMessage,
  framed,
  type Method,
  methodOf,
  prefixBytes,
  readPrefix,
  timeoutMs,
} from './grpc-protocol.ts';
import type { RequestFields } from './h2/hpack.ts';
import type { Stream, StreamHandler } from './h2/stream.ts';
import { messageCharactersMax } from './limits.ts';
import { logInternal } from './listener.ts';

/** One unary call, from its headers to its trailers. */
export class Call implements StreamHandler, Room {
  /** On the monotonic clock: when the body must have come, then when the client stops waiting. */
  deadlineMs: number;
  readonly #connection: Connection;
  readonly #stream: Stream;
  #method: Method = 'health';
  #forwardedFor: string | undefined;
  #encoding: Encoding | 'identity' = 'identity';
  #clientDeadlineMs = Number.POSITIVE_INFINITY;
  #compressed = false;
  /** Until all of it has come, then undefined. */
  #prefix: Uint8Array | undefined;
  #prefixAt = 0;
  #messageBytes = 0;
  /** Of the admission's; holds as much of the message as has come; grows to `#messageBytes`. */
  #block: Buffer = noBytes;
  #bodyAt = 0;
  #heldBytes = 0;
  /** Of those, in a buffer of their own. */
  #garbageBytes = 0;
  #phase: 'receiving' | 'processing' | 'ended' = 'receiving';
  /** `accept` or a thread has the body, also after the client has had its answer. */
  #lent = false;

  constructor(connection: Connection, stream: Stream, request: RequestFields, nowMs: number) {
    this.#connection = connection;
    this.#stream = stream;
    this.deadlineMs = nowMs + connection.listener.limits.bodyTimeoutMs;
    connection.listener.callStarted(this);
    this.#start(request, nowMs);
  }

  /** The answer is due: a body that does not end, or a client that waits no longer. */
  timedOut(): void {
    const late = this.#phase === 'receiving' ? 'the request did not end in time' : 'deadline exceeded';
    this.fail(new Fault('timeout', late));
  }

  /** Answers with a status other than OK. Nothing happens if it was answered before. */
  fail(fault: Fault): void {
    if (this.#phase === 'ended') return;
    this.#end(fault.code);
    this.#stream.respond(failureHeaders(fault));
  }

  #start(request: RequestFields, nowMs: number): void {
    const kind = contentKind(request.contentType);
    this.#forwardedFor = request.forwardedFor;
    if (request.method !== 'POST') {
      this.#refuse(405, { allow: 'POST' });
      return;
    }
    if (kind === 'not grpc') {
      this.#refuse(415, { 'accept-post': 'application/grpc' });
      return;
    }
    const { path } = request;
    const method = methodOf(path);
    if (method === undefined) {
      this.fail(new Fault('notConfigured', `unknown method ${path?.slice(0, 200)}`));
      return;
    }
    this.#method = method;
    if (kind === 'other') {
      this.fail(new Fault('unsupportedType', 'content-type must be application/grpc or application/grpc+proto'));
      return;
    }
    const encoding = grpcEncoding(request.grpcEncoding);
    if (encoding === undefined) {
      this.fail(new Fault('unsupportedType', `grpc-encoding must be one of ${grpcEncodings}`));
      return;
    }
    this.#encoding = encoding;
    try {
      const waitsMs = timeoutMs(request.grpcTimeout);
      if (waitsMs !== undefined) this.#clientDeadlineMs = nowMs + waitsMs;
    } catch (thrown) {
      this.fail(Fault.from(thrown));
      return;
    }
    if (this.#clientDeadlineMs < this.deadlineMs) this.deadlineMs = this.#clientDeadlineMs;
  }

  /** To what is not gRPC, in HTTP's own words. Source: gRPC over HTTP2, "Content-Type". */
  #refuse(status: number, headers: Record<string, string>): void {
    this.#end('unsupportedType');
    this.#stream.respond({ ':status': status, ...headers });
  }

  onData(bytes: Buffer, start: number, end: number): void {
    if (this.#phase !== 'receiving') return;
    let from = start;
    if (this.#prefixAt < prefixBytes) {
      this.#prefix ??= new Uint8Array(prefixBytes);
      while (from < end && this.#prefixAt < prefixBytes) this.#prefix[this.#prefixAt++] = bytes[from++] as number;
      if (this.#prefixAt < prefixBytes || !this.#open(this.#prefix)) return;
    }
    const count = end - from;
    if (count === 0) return;
    const received = this.#bodyAt + count;
    if (received > this.#messageBytes) {
      this.fail(new Fault('badFrame', 'more than one message in a unary call'));
      return;
    }
    if (received > this.#block.length && !this.#grow(received)) return;
    bytes.copy(this.#block, this.#bodyAt, from, end);
    this.#bodyAt = received;
  }

  /** False: answered. */
  #open(prefix: Uint8Array): boolean {
    this.#prefix = undefined;
    const { bodyBytesMax } = this.#connection.listener.limits;
    try {
      const { compressed, sizeBytes } = readPrefix(prefix);
      if (sizeBytes > bodyBytesMax) {
        this.fail(tooLarge(bodyBytesMax));
        return false;
      }
      this.#compressed = compressed;
      this.#messageBytes = sizeBytes;
      return true;
    } catch (thrown) {
      this.fail(Fault.from(thrown));
      return false;
    }
  }

  /** Room for at least so many bytes: for all that is announced, unless that is much more than what has come. */
  #grow(bytesMin: number): boolean {
    const { admission } = this.#connection.listener;
    const bytes = Math.min(this.#messageBytes, Math.max(bytesMin, this.#heldBytes * 2, firstBodyBytes));
    const full = admission.reserve(this.#connection.account, bytes - this.#heldBytes);
    if (full !== undefined) {
      this.fail(full);
      return false;
    }
    this.#heldBytes = bytes;
    const block = admission.blocks.take(bytes);
    if (this.#bodyAt > 0) this.#block.copy(block, 0, 0, this.#bodyAt);
    admission.blocks.give(this.#block);
    this.#block = block;
    return true;
  }

  onEnd(): void {
    if (this.#phase !== 'receiving') return;
    const received = this.#prefixAt + this.#bodyAt;
    if (received === 0) {
      this.fail(new Fault('badFrame', 'no message'));
      return;
    }
    if (this.#prefixAt < prefixBytes || this.#bodyAt !== this.#messageBytes) {
      this.fail(new Fault('badFrame', `message is cut short after ${received} bytes`));
      return;
    }
    this.#phase = 'processing';
    this.deadlineMs = this.#clientDeadlineMs;
    const body = this.#block.subarray(0, this.#messageBytes);
    if (this.#method === 'health') {
      this.#answerHealth(body);
      return;
    }
    if (this.#compressed && this.#encoding === 'identity') {
      this.fail(new Fault('internal', 'a message is marked as compressed, but grpc-encoding is missing'));
      return;
    }
    const { listener } = this.#connection;
    if (!this.#compressed) {
      this.#accept(this.#method, body);
      return;
    }
    this.#lent = true;
    try {
      const plain = listener.pool.unpack({
        signal: this.#method,
        encoding: this.#encoding,
        format: 'protobuf',
        body,
        bytesMax: listener.limits.bodyBytesMax,
      });
      if (plain instanceof Promise) plain.then((bytes) => this.#unpacked(bytes), this.#onThrown);
      else this.#unpacked(plain);
    } catch (thrown) {
      this.#onThrown(thrown);
    }
  }

  #unpacked(body: Uint8Array): void {
    if (this.#phase === 'ended') {
      this.#giveBack();
      return;
    }
    const { listener, account } = this.#connection;
    this.#lent = false;
    const full = listener.admission.reserve(account, body.length);
    if (full !== undefined) {
      this.fail(full);
      return;
    }
    this.#giveBack();
    this.#heldBytes = body.length;
    this.#garbageBytes = body.length;
    this.#accept(this.#method as Signal, body);
  }

  #accept(signal: Signal, body: Uint8Array): void {
    this.#lent = true;
    const { listener, sender: client } = this.#connection;
    const forwardedFor = this.#forwardedFor;
    const sender =
      forwardedFor === undefined
        ? client
        : { ...client, address: listener.proxies.senderOf(client.address, forwardedFor) };
    try {
      listener.accept(signal, body, sender, this).then(this.#onAccepted, this.#onThrown);
    } catch (thrown) {
      this.#onThrown(thrown);
    }
  }

  reserve(bytes: number): Fault | undefined {
    const full = this.#connection.listener.admission.reserve(this.#connection.account, bytes);
    if (full === undefined) this.#heldBytes += bytes;
    return full;
  }

  readonly #onAccepted = (accepted: Accepted): void => {
    this.#lent = false;
    if (this.#phase === 'ended') {
      this.#giveBack();
      return;
    }
    const whole = accepted.rejected === 0 && accepted.message === '';
    this.#answer(
      whole ? emptyMessage : framed(encodeExportResponse(this.#method as Signal, 'protobuf', readable(accepted))),
    );
  };

  readonly #onThrown = (thrown: unknown): void => {
    this.#lent = false;
    const fault = Fault.from(thrown);
    if (this.#phase === 'ended') this.#giveBack();
    logInternal(this.#connection.listener.logger, fault, this.#method);
    this.fail(fault);
  };

  /** Source: grpc/health/v1/health.proto. Unary only; Watch is answered with UNIMPLEMENTED, as the protocol allows. */
  #answerHealth(request: Uint8Array): void {
    if (this.#compressed) {
      this.fail(new Fault('unsupportedType', 'health checks must not be compressed'));
      return;
    }
    // HealthCheckRequest.service, field 1; '' asks for the whole server, and we are one.
    const service = request.length === 0 ? '' : Buffer.from(request.subarray(2)).toString();
    if (service !== '' && methodOf(`/${service}/Export`) === undefined) {
      this.fail(new Fault('notFound', 'unknown service'));
      return;
    }
    this.#answer(this.#connection.listener.stopping ? notServing : serving);
  }

  #answer(message: Buffer): void {
    this.#end('ok');
    this.#stream.answer(message);
  }

  onClose(): void {
    if (this.#phase !== 'ended') this.#end('cancelled');
    this.#connection.callEnded();
  }

  #end(code: Fault['code'] | 'ok' | 'cancelled'): void {
    this.#phase = 'ended';
    if (!this.#lent) this.#giveBack();
    const { listener } = this.#connection;
    listener.callEnded(this);
    if (this.#method !== 'health') {
      listener.observer?.requestEnded(this.#method, 'grpc', code, this.#prefixAt + this.#bodyAt);
    }
  }

  #giveBack(): void {
    const { admission } = this.#connection.listener;
    admission.blocks.give(this.#block);
    this.#block = noBytes;
    admission.release(this.#connection.account, this.#heldBytes, this.#garbageBytes);
    this.#heldBytes = 0;
    this.#garbageBytes = 0;
  }
}

const noBytes = Buffer.alloc(0);
/** What a body gets at first where it announces more: a promise costs the peer nothing, memory would cost us. */
const firstBodyBytes = 512 * 1024;
const emptyMessage = framed(new Uint8Array(0));
const serving = framed(new Uint8Array([8, 1]));
const notServing = framed(new Uint8Array([8, 2]));

/** Headers and trailers in one. Source: gRPC over HTTP2, "Trailers-Only". */
function failureHeaders(fault: Fault): Record<string, string | number> {
  const code = fault.status.grpc;
  const message = fault.message.slice(0, messageCharactersMax);
  const headers: Record<string, string | number> = {
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-accept-encoding': grpcEncodings,
    'grpc-status': String(code),
    'grpc-message': encodeMessage(message),
  };
  if (fault.retryAfterMs !== undefined) {
    const status = encodeStatus({ code, message, retryAfterMs: fault.retryAfterMs }, 'protobuf');
    headers['grpc-status-details-bin'] = Buffer.from(status).toString('base64').replace(/=+$/, '');
  }
  return headers;
}
