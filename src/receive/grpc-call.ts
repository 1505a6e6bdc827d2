import { constants as http2, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { Fault, type Signal } from '../base/index.ts';
import { encodeExportResponse, encodeStatus } from '../otlp/index.ts';
import type { Accepted, Sender } from './accept.ts';
import { BodyPieces } from './body.ts';
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
import { messageCharactersMax } from './limits.ts';

/** One unary call, from its headers to its trailers. */
export class Call {
  /** On the monotonic clock: when the body must have come, then when the client stops waiting. */
  deadlineMs: number;
  readonly #connection: Connection;
  readonly #stream: ServerHttp2Stream;
  readonly #pieces = new BodyPieces();
  #method: Method = 'health';
  #encoding: Encoding | 'identity' = 'identity';
  #clientDeadlineMs = Number.POSITIVE_INFINITY;
  #compressed = false;
  /** Of the message, prefix included; -1 until the prefix has come. */
  #expectedBytes = -1;
  #heldBytes = 0;
  #phase: 'receiving' | 'processing' | 'ended' = 'receiving';
  /** `accept` or a thread has the body, also after the client has had its answer. */
  #lent = false;

  constructor(connection: Connection, stream: ServerHttp2Stream, headers: IncomingHttpHeaders, nowMs: number) {
    this.#connection = connection;
    this.#stream = stream;
    this.deadlineMs = nowMs + connection.listener.limits.bodyTimeoutMs;
    connection.listener.callStarted(this);
    // A reset by the client arrives as an error, and always as 'close', where it is dealt with.
    stream.on('error', ignore);
    stream.on('close', () => this.#onClose());
    if (!this.#start(headers, nowMs)) return;
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('end', () => this.#onEnd());
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
    const { stream, session } = { stream: this.#stream, session: this.#connection.session };
    if (stream.destroyed || stream.closed || session.destroyed) return;
    stream.respond(failureHeaders(fault), trailersOnly);
    // The client need not send the rest. RFC 9113, 8.1: RST_STREAM with NO_ERROR after the complete answer.
    if (!stream.readableEnded) stream.close(http2.NGHTTP2_NO_ERROR);
  }

  /** False when the call was answered already. */
  #start(headers: IncomingHttpHeaders, nowMs: number): boolean {
    const kind = contentKind(headers['content-type']);
    if (headers[':method'] !== 'POST') return this.#refuse(405, { allow: 'POST' });
    if (kind === 'not grpc') return this.#refuse(415, { 'accept-post': 'application/grpc' });
    const path = headers[':path'];
    const method = methodOf(path);
    if (method === undefined) {
      this.fail(new Fault('notConfigured', `unknown method ${path?.slice(0, 200)}`));
      return false;
    }
    this.#method = method;
    if (kind === 'other') {
      this.fail(new Fault('unsupportedType', 'content-type must be application/grpc or application/grpc+proto'));
      return false;
    }
    const encoding = grpcEncoding(headers['grpc-encoding'] as string | undefined);
    if (encoding === undefined) {
      this.fail(new Fault('unsupportedType', `grpc-encoding must be one of ${grpcEncodings}`));
      return false;
    }
    this.#encoding = encoding;
    try {
      const waitsMs = timeoutMs(headers['grpc-timeout'] as string | undefined);
      if (waitsMs !== undefined) this.#clientDeadlineMs = nowMs + waitsMs;
    } catch (thrown) {
      this.fail(Fault.from(thrown));
      return false;
    }
    if (this.#clientDeadlineMs < this.deadlineMs) this.deadlineMs = this.#clientDeadlineMs;
    return true;
  }

  /** To what is not gRPC, in HTTP's own words. Source: gRPC over HTTP2, "Content-Type". */
  #refuse(status: number, headers: Record<string, string>): false {
    this.#end('unsupportedType');
    if (this.#stream.destroyed) return false;
    this.#stream.respond({ ':status': status, ...headers }, { endStream: true });
    if (!this.#stream.readableEnded) this.#stream.close(http2.NGHTTP2_NO_ERROR);
    return false;
  }

  #onData(chunk: Buffer): void {
    if (this.#phase !== 'receiving') return;
    const { listener, account } = this.#connection;
    const full = listener.admission.reserve(account, chunk.length);
    if (full !== undefined) {
      this.fail(full);
      return;
    }
    this.#heldBytes += chunk.length;
    this.#pieces.push(chunk);
    const received = this.#pieces.sizeBytes;
    if (this.#expectedBytes < 0) {
      if (received < prefixBytes) return;
      try {
        const { compressed, sizeBytes } = readPrefix(this.#pieces.head(prefixBytes));
        if (sizeBytes > listener.limits.bodyBytesMax) {
          this.fail(tooLarge(listener.limits.bodyBytesMax));
          return;
        }
        this.#compressed = compressed;
        this.#expectedBytes = prefixBytes + sizeBytes;
      } catch (thrown) {
        this.fail(Fault.from(thrown));
        return;
      }
    }
    if (received > this.#expectedBytes) this.fail(new Fault('badFrame', 'more than one message in a unary call'));
  }

  #onEnd(): void {
    if (this.#phase !== 'receiving') return;
    const received = this.#pieces.sizeBytes;
    if (received === 0) {
      this.fail(new Fault('badFrame', 'no message'));
      return;
    }
    if (received !== this.#expectedBytes) {
      this.fail(new Fault('badFrame', `message is cut short after ${received} bytes`));
      return;
    }
    this.#phase = 'processing';
    this.deadlineMs = this.#clientDeadlineMs;
    const body = this.#pieces.take(prefixBytes);
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
    listener.admission.release(account, this.#heldBytes);
    this.#heldBytes = body.length;
    this.#accept(this.#method as Signal, body);
  }

  #accept(signal: Signal, body: Uint8Array): void {
    this.#lent = true;
    const sender: Sender = { address: this.#connection.account.address, protocol: 'grpc' };
    try {
      this.#connection.listener.accept(signal, body, sender).then(this.#onAccepted, this.#onThrown);
    } catch (thrown) {
      this.#onThrown(thrown);
    }
  }

  readonly #onAccepted = (accepted: Accepted): void => {
    this.#lent = false;
    if (this.#phase === 'ended') {
      this.#giveBack();
      return;
    }
    const whole = accepted.rejected === 0 && accepted.message === '';
    this.#answer(
      whole ? emptyMessage : framed(encodeExportResponse(this.#method as Signal, 'protobuf', short(accepted))),
    );
  };

  readonly #onThrown = (thrown: unknown): void => {
    this.#lent = false;
    const fault = Fault.from(thrown);
    if (this.#phase === 'ended') this.#giveBack();
    if (fault.code === 'internal') {
      const { cause } = fault;
      this.#connection.listener.logger?.error(
        { error: cause instanceof Error ? cause.stack : String(cause), signal: this.#method },
        'an export request failed on an error of ours',
      );
    }
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
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    stream.on('wantTrailers', () => {
      if (!stream.destroyed && !stream.closed) stream.sendTrailers(okTrailers);
    });
    stream.respond(okHeaders, waitForTrailers);
    stream.end(message);
  }

  #onClose(): void {
    if (this.#phase !== 'ended') this.#end('cancelled');
    this.#connection.callEnded();
  }

  #end(code: Fault['code'] | 'ok' | 'cancelled'): void {
    this.#phase = 'ended';
    this.#pieces.clear();
    if (!this.#lent) this.#giveBack();
    const { listener } = this.#connection;
    listener.callEnded(this);
    if (this.#method !== 'health') listener.observer?.requestEnded(this.#method, 'grpc', code, this.#pieces.sizeBytes);
  }

  #giveBack(): void {
    this.#connection.listener.admission.release(this.#connection.account, this.#heldBytes);
    this.#heldBytes = 0;
  }
}

function ignore(): void {}

const okTrailers = { 'grpc-status': '0' };
const okHeaders = { ':status': 200, 'content-type': 'application/grpc' };
const trailersOnly = { endStream: true, sendDate: false };
const waitForTrailers = { waitForTrailers: true, sendDate: false };
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

function short(accepted: Accepted): Accepted {
  if (accepted.message.length <= messageCharactersMax) return accepted;
  return { rejected: accepted.rejected, message: `${accepted.message.slice(0, messageCharactersMax)} …` };
}
