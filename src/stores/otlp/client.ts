import http2 from 'node:http2';
import type { Access } from '../contract.ts';
import { answerBytesMax, connectMs, deadlineMs, sessionMegabytesMax, stallMs } from './limits.ts';

// A gRPC client for unary calls, on node:http2. Why not grpc-js, which the tests use as the far side: it copies each
// message twice and costs three times the CPU (0.63 s against 0.19 s per million spans, at 1 MiB a message).
// Source: gRPC over HTTP/2, "PROTOCOL-HTTP2".

export interface ClientOptions {
  /** `http://host:port` or `https://host:port`. */
  readonly endpoint: URL;
  /** Sent with each call; names in lower case. */
  readonly headers: Access['headers'];
  readonly tls: Access['tls'];
  readonly userAgent: string;
  readonly deadlineMs?: number;
  readonly stallMs?: number;
}

/** What came of a call. Never a rejection: a broken connection is a reply, too. */
export type Reply =
  /** The far side answered in gRPC. */
  | {
      readonly kind: 'status';
      /** Canonical code. */
      readonly code: number;
      readonly message: string;
      /** `grpc-status-details-bin`: a google.rpc.Status. */
      readonly details: Uint8Array | undefined;
      /** The answer's message; undefined where there is none, it is compressed, or over `answerBytesMax`. */
      readonly body: Uint8Array | undefined;
    }
  /** Something else than a gRPC server answered: a proxy, mostly. `retryAfter`: the header as it came. */
  | { readonly kind: 'http'; readonly httpStatus: number; readonly retryAfter: string | undefined }
  /** No answer. */
  | { readonly kind: 'broken'; readonly reason: string };

/** One connection, opened at the first call and again at the first call after it has gone. Names are looked up each time. */
export class GrpcClient {
  readonly #options: ClientOptions;
  readonly #deadlineMs: number;
  readonly #stallMs: number;
  #session: http2.ClientHttp2Session | undefined;
  #probe: Probe | undefined;
  #closed = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#deadlineMs = options.deadlineMs ?? deadlineMs;
    this.#stallMs = options.stallMs ?? stallMs;
  }

  /**
   * @param path   Full method name.
   * @param pieces The message with its prefix; not touched until the call is answered.
   */
  call(path: string, pieces: readonly Uint8Array[], gzip: boolean, cancel: AbortSignal): Promise<Reply> {
    if (this.#closed) return Promise.resolve(broken('closed'));
    if (cancel.aborted) return Promise.resolve(broken('cancelled'));
    let session: http2.ClientHttp2Session;
    let stream: http2.ClientHttp2Stream;
    try {
      session = this.#connected();
      stream = session.request(this.#headers(path, gzip));
    } catch (thrown) {
      return Promise.resolve(broken(describe(thrown)));
    }
    return new Promise((resolve) => {
      let httpStatus = 0;
      let head: http2.IncomingHttpHeaders = {};
      let trailers: http2.IncomingHttpHeaders = {};
      let failure: string | undefined;
      const body = new Answer();
      let probe: Probe | undefined;
      const stalled = setTimeout(() => {
        probe = this.#probed(session);
      }, this.#stallMs);
      const late = setTimeout(() => {
        failure = `no answer within ${this.#deadlineMs / 1000} s`;
        // Half-open: nothing but a new connection helps, and the other calls on this one need not wait for their own deadline.
        if (probe?.answered === false) session.destroy();
        stream.close(http2.constants.NGHTTP2_CANCEL);
      }, this.#deadlineMs);
      const onCancel = () => {
        failure = 'cancelled';
        stream.close(http2.constants.NGHTTP2_CANCEL);
      };
      cancel.addEventListener('abort', onCancel, { once: true });
      stream.on('response', (headers) => {
        httpStatus = headers[':status'] ?? 0;
        head = headers;
      });
      stream.on('trailers', (headers) => {
        trailers = headers;
      });
      stream.on('data', (chunk: Buffer) => body.add(chunk));
      stream.on('error', (error) => {
        failure ??= describe(error);
      });
      stream.on('close', () => {
        clearTimeout(stalled);
        clearTimeout(late);
        cancel.removeEventListener('abort', onCancel);
        // An answer that has come counts, however the stream ended: servers reset it after an early one.
        const headers = trailers['grpc-status'] === undefined ? head : trailers;
        const code = Number(headers['grpc-status'] ?? Number.NaN);
        if (Number.isInteger(code)) {
          resolve({
            kind: 'status',
            code,
            message: decodeMessage(text(headers['grpc-message'])),
            details: decodeBinary(text(headers['grpc-status-details-bin'])),
            body: body.message(),
          });
        } else if (httpStatus !== 0 && httpStatus !== 200) {
          resolve({ kind: 'http', httpStatus, retryAfter: text(head['retry-after']) });
        } else {
          resolve(broken(failure ?? 'the connection ended without a status'));
        }
      });
      // All pieces in one write to the socket.
      stream.cork();
      for (const piece of pieces) stream.write(piece);
      stream.end();
      stream.uncork();
    });
  }

  /** Calls that are under way end as broken. */
  close(): void {
    this.#closed = true;
    this.#session?.destroy();
    this.#session = undefined;
  }

  #connected(): http2.ClientHttp2Session {
    const current = this.#session;
    if (current !== undefined && !current.closed && !current.destroyed) return current;
    const { endpoint, tls } = this.#options;
    const session = http2.connect(endpoint, {
      ...tls,
      settings: { enablePush: false },
      maxSessionMemory: sessionMegabytesMax,
    });
    this.#session = session;
    const timer = setTimeout(() => session.destroy(new Error(`no connection within ${connectMs / 1000} s`)), connectMs);
    session.once('connect', () => clearTimeout(timer));
    session.once('close', () => clearTimeout(timer));
    // Each call is told by its own stream.
    session.on('error', () => {});
    session.on('goaway', () => {
      if (this.#session === session) this.#session = undefined;
    });
    return session;
  }

  /**
   * Asks the far side for a sign of life, once for all calls that wait at that time: servers hang up on clients that send
   * more than two PINGs in five minutes without need (gRPC "A8 client-side keepalive").
   */
  #probed(session: http2.ClientHttp2Session): Probe {
    const current = this.#probe;
    if (current?.session === session && !current.answered) return current;
    const probe: Probe = { session, answered: false };
    this.#probe = probe;
    // A session that is still connecting has a deadline of its own.
    if (!session.destroyed && !session.connecting) {
      session.ping(() => {
        probe.answered = true;
      });
    }
    return probe;
  }

  #headers(path: string, gzip: boolean): http2.OutgoingHttpHeaders {
    const { headers, userAgent } = this.#options;
    return {
      ...headers,
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': userAgent,
      'grpc-timeout': `${this.#deadlineMs}m`,
      ...(gzip ? { 'grpc-encoding': 'gzip' } : {}),
      // Kept out of the compression tables, so that they can be guessed from no sizes.
      [http2.sensitiveHeaders]: Object.keys(headers),
    };
  }
}

interface Probe {
  readonly session: http2.ClientHttp2Session;
  answered: boolean;
}

/** Collects an answer up to `answerBytesMax`. */
class Answer {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  add(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= answerBytesMax) this.#chunks.push(chunk);
  }

  message(): Uint8Array | undefined {
    if (this.#bytes < 5 || this.#bytes > answerBytesMax) return undefined;
    const bytes = Buffer.concat(this.#chunks);
    const length = bytes.readUInt32BE(1);
    return bytes[0] === 0 && bytes.length === length + 5 ? bytes.subarray(5) : undefined;
  }
}

function broken(reason: string): Reply {
  return { kind: 'broken', reason };
}

/** Node's codes (`ECONNREFUSED`, `ERR_HTTP2_STREAM_ERROR`, `CERT_HAS_EXPIRED`) and messages hold addresses, no payload. */
function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'unknown error';
  // A host with several addresses fails with one error for each.
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return describe(thrown.errors[0]);
  // A stream that was waiting for its connection says no more than that it was cancelled.
  if (thrown.cause instanceof Error) return describe(thrown.cause);
  return thrown.message || thrown.name;
}

function text(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

/** Percent-encoding; what is not well encoded is kept as it came. */
function decodeMessage(message: string | undefined): string {
  if (message === undefined) return '';
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

function decodeBinary(header: string | undefined): Uint8Array | undefined {
  return header === undefined ? undefined : Buffer.from(header, 'base64');
}
