import type { IncomingMessage, ServerResponse } from 'node:http';
import { Fault, type Signal } from '../base/index.ts';
import { encodeExportResponse, encodeStatus } from '../otlp/index.ts';
import { type Accepted, type Room, readable, type Sender } from './accept.ts';
import type { Account } from './admission.ts';
import { BodyPieces } from './body.ts';
import { allowedOrigin, preflightHeaders } from './cors.ts';
import { type Encoding, httpEncoding, httpEncodings, tooLarge } from './encodings.ts';
import type { HttpListener } from './http.ts';
import { lingerMs, messageCharactersMax } from './limits.ts';
import { logInternal } from './listener.ts';

const signalOfPath: Readonly<Record<string, Signal>> = {
  '/v1/traces': 'traces',
  '/v1/metrics': 'metrics',
  '/v1/logs': 'logs',
};

type Format = 'protobuf' | 'json';
const contentTypes = { protobuf: 'application/x-protobuf', json: 'application/json' } as const;

/** One request, from its headers to the end of the answer. */
export class Request implements Room {
  readonly #listener: HttpListener;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #account: Account;
  readonly #pieces = new BodyPieces();
  #signal: Signal | undefined;
  /** Of the answer; JSON where the request has neither form, since a person may read it. */
  #format: Format = 'json';
  #encoding: Encoding | 'identity' = 'identity';
  #heldBytes = 0;
  /** The body lies in it, if it is one of the admission's. */
  #block: Buffer | undefined;
  /** `accept` or a thread has the body, also after the client has had its answer. */
  #lent = false;
  #ended = false;

  constructor(listener: HttpListener, request: IncomingMessage, response: ServerResponse, account: Account) {
    this.#listener = listener;
    this.#request = request;
    this.#response = response;
    this.#account = account;
  }

  /** Not answered, and not given up. */
  get isOpen(): boolean {
    return !this.#ended;
  }

  start(): void {
    this.#response.on('close', () => {
      if (!this.#ended) this.#end('cancelled');
    });
    this.#request.on('error', ignore);
    try {
      if (this.#check()) this.#receive();
    } catch (thrown) {
      this.fail(Fault.from(thrown));
    }
  }

  /** Answers with an error status. Nothing happens if it was answered before. */
  fail(fault: Fault): void {
    if (this.#ended) return;
    this.#end(fault.code);
    const headers: Record<string, string> = {};
    if (fault.retryAfterMs !== undefined)
      headers['Retry-After'] = String(Math.max(1, Math.ceil(fault.retryAfterMs / 1000)));
    if (fault.code === 'timeout') headers['Connection'] = 'close';
    if (fault.code === 'wrongMethod') headers['Allow'] = 'POST, OPTIONS';
    if (fault.code === 'unsupportedType') headers['Accept-Encoding'] = httpEncodings; // RFC 9110, 12.5.3
    const { http, grpc } = fault.status;
    const message = fault.message.slice(0, messageCharactersMax);
    const status =
      fault.retryAfterMs === undefined
        ? { code: grpc, message }
        : { code: grpc, message, retryAfterMs: fault.retryAfterMs };
    this.#respond(http, encodeStatus(status, this.#format), headers);
  }

  /** Reads the headers. False when the request was answered already. @throws Fault */
  #check(): boolean {
    const { method, url = '', headers } = this.#request;
    const contentType = headers['content-type'];
    const format = formatOf(contentType);
    if (format !== undefined) this.#format = format;
    if (!url.startsWith('/')) {
      this.#response.shouldKeepAlive = false;
      throw new Fault('malformed', 'the request target must be a path');
    }
    const query = url.indexOf('?');
    const path = query < 0 ? url : url.slice(0, query);
    const signal = Object.hasOwn(signalOfPath, path) ? signalOfPath[path] : undefined;
    if (/%(?![0-9a-f]{2})/i.test(path)) throw new Fault('malformed', 'the path has a % without two hexadecimal digits');
    if (signal === undefined) throw new Fault('notFound', 'there are /v1/traces, /v1/metrics and /v1/logs here');
    if (method === 'OPTIONS') return this.#preflight();
    if (method !== 'POST') throw new Fault('wrongMethod', `${path} takes POST`);
    this.#signal = signal;
    if (format === undefined) {
      throw new Fault('unsupportedType', `Content-Type must be ${contentTypes.protobuf} or ${contentTypes.json}`);
    }
    this.#encoding = httpEncoding(headers['content-encoding']);
    const { bodyBytesMax } = this.#listener.limits;
    if (Number(headers['content-length'] ?? 0) > bodyBytesMax) throw tooLarge(bodyBytesMax);
    return true;
  }

  #preflight(): false {
    this.#end('ok');
    this.#format = 'json';
    this.#response.writeHead(204, {
      Allow: 'POST, OPTIONS',
      ...this.#corsHeaders(),
      ...(this.#origin() === undefined ? {} : preflightHeaders),
    });
    this.#response.end();
    return false;
  }

  #receive(): void {
    const { bodyBytesMax } = this.#listener.limits;
    this.#request.on('data', (chunk: Buffer) => {
      if (this.#ended) return;
      if (this.#pieces.sizeBytes + chunk.length > bodyBytesMax) {
        this.fail(tooLarge(bodyBytesMax));
        return;
      }
      const full = this.reserve(chunk.length);
      if (full !== undefined) {
        this.fail(full);
        return;
      }
      this.#pieces.push(chunk);
    });
    this.#request.on('end', () => {
      if (!this.#ended) this.#unpack();
    });
  }

  #unpack(): void {
    const signal = this.#signal as Signal;
    const body = this.#pieces.sizeBytes === 0 ? noBytes : this.#joined();
    // An empty body is an empty request in either form, and nothing is what no compressor makes. OTLP 1.11.0: success.
    if (body.length === 0) {
      this.#accept(signal, body);
      return;
    }
    if (this.#encoding === 'identity' && this.#format === 'protobuf') {
      this.#accept(signal, body);
      return;
    }
    this.#lent = true;
    try {
      const plain = this.#listener.options.pool.unpack({
        signal,
        encoding: this.#encoding,
        format: this.#format,
        body,
        bytesMax: this.#listener.limits.bodyBytesMax,
      });
      if (plain instanceof Promise) plain.then((bytes) => this.#unpacked(signal, bytes), this.#onThrown);
      else this.#unpacked(signal, plain);
    } catch (thrown) {
      this.#onThrown(thrown);
    }
  }

  #joined(): Buffer {
    const { body, block } = this.#pieces.take(this.#listener.options.admission.blocks);
    this.#block = block;
    return body;
  }

  #unpacked(signal: Signal, body: Uint8Array): void {
    if (this.#ended) {
      this.#giveBack();
      return;
    }
    this.#lent = false;
    const { admission } = this.#listener.options;
    const full = admission.reserve(this.#account, body.length);
    if (full !== undefined) {
      this.fail(full);
      return;
    }
    this.#giveBack();
    this.#heldBytes = body.length;
    this.#accept(signal, body);
  }

  #accept(signal: Signal, body: Uint8Array): void {
    this.#lent = true;
    const { proxies } = this.#listener;
    const address = proxies.senderOf(this.#account.address, forwardedFor(this.#request.headers['x-forwarded-for']));
    const sender: Sender = { address, protocol: `http/${this.#format}` };
    try {
      this.#listener.options.accept(signal, body, sender, this).then(this.#onAccepted, this.#onThrown);
    } catch (thrown) {
      this.#onThrown(thrown);
    }
  }

  reserve(bytes: number): Fault | undefined {
    const full = this.#listener.options.admission.reserve(this.#account, bytes);
    if (full === undefined) this.#heldBytes += bytes;
    return full;
  }

  readonly #onAccepted = (accepted: Accepted): void => {
    this.#lent = false;
    if (this.#ended) {
      this.#giveBack();
      return;
    }
    this.#end('ok');
    this.#respond(200, encodeExportResponse(this.#signal as Signal, this.#format, readable(accepted)), undefined);
  };

  readonly #onThrown = (thrown: unknown): void => {
    this.#lent = false;
    const fault = Fault.from(thrown);
    if (this.#ended) this.#giveBack();
    logInternal(this.#listener.options.logger, fault, this.#signal);
    this.fail(fault);
  };

  #respond(status: number, body: Uint8Array, more: Record<string, string> | undefined): void {
    const response = this.#response;
    if (response.destroyed || response.headersSent) return;
    const headers: Record<string, string | number> = {
      'Content-Type': contentTypes[this.#format],
      'Content-Length': body.length,
      ...this.#corsHeaders(),
      ...more,
    };
    const whole = this.#request.complete || restIsSmall(this.#request);
    if (!whole || this.#listener.stopping) headers['Connection'] = 'close';
    response.writeHead(status, headers);
    if (whole) {
      this.#request.resume();
      response.end(body);
      return;
    }
    // The client is still sending. A socket closed now would take the answer with it, so the rest is read, for a while.
    response.write(body);
    this.#request.resume();
    const timer = setTimeout(() => this.#request.socket.destroy(), lingerMs).unref();
    this.#request.once('end', () => response.end());
    response.once('close', () => clearTimeout(timer));
  }

  #origin(): string | undefined {
    const { origin } = this.#request.headers;
    return origin === undefined ? undefined : allowedOrigin(origin, this.#listener.options.corsOrigins);
  }

  #corsHeaders(): Record<string, string> | undefined {
    if (this.#request.headers.origin === undefined) return undefined;
    const origin = this.#origin();
    return origin === undefined ? { Vary: 'Origin' } : { Vary: 'Origin', 'Access-Control-Allow-Origin': origin };
  }

  #end(code: Fault['code'] | 'ok' | 'cancelled'): void {
    this.#ended = true;
    this.#pieces.clear();
    if (!this.#lent) this.#giveBack();
    this.#listener.requestEnded(this);
    if (this.#signal === undefined) return;
    this.#listener.options.observer?.requestEnded(this.#signal, `http/${this.#format}`, code, this.#pieces.sizeBytes);
  }

  #giveBack(): void {
    const { admission } = this.#listener.options;
    if (this.#block !== undefined) admission.blocks.give(this.#block);
    this.#block = undefined;
    // Node makes a buffer of its own of each piece that comes.
    admission.release(this.#account, this.#heldBytes, this.#heldBytes);
    this.#heldBytes = 0;
  }
}

function ignore(): void {}

function forwardedFor(header: string | string[] | undefined): string | undefined {
  return typeof header === 'object' ? header.join(',') : header;
}

/** Whether what the client still sends is read to its end, so that the connection can serve another request. */
function restIsSmall({ headers }: IncomingMessage): boolean {
  // RFC 9112, 6: a request has a body where one of these says so.
  return headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) <= restBytesMax;
}

const restBytesMax = 64 * 1024;

const noBytes = new Uint8Array(0);

/** Parameters such as charset are allowed; JSON is UTF-8 whatever they say. undefined: neither. */
function formatOf(contentType: string | undefined): Format | undefined {
  if (contentType === contentTypes.protobuf) return 'protobuf';
  if (contentType === contentTypes.json) return 'json';
  switch (contentType?.split(';', 1)[0]?.trim().toLowerCase()) {
    case 'application/x-protobuf':
    case 'application/protobuf':
      return 'protobuf';
    case 'application/json':
      return 'json';
    default:
      return undefined;
  }
}
