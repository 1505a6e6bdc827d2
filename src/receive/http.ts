import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { Fault, type Signal } from '../base/index.ts';
import { encodeExportResponse, encodeStatus } from '../otlp/index.ts';
import type { Accept, Accepted, Sender } from './accept.ts';
import type { Account, Admission } from './admission.ts';
import { BodyPieces } from './body.ts';
import { allowedOrigin, type CorsOrigins, preflightHeaders } from './cors.ts';
import { type Encoding, httpEncoding, httpEncodings, tooLarge } from './encodings.ts';
import type { GrpcTls } from './grpc.ts';
import { defaultReceiveLimits, messageCharactersMax, type ReceiveLimits } from './limits.ts';
import {
  type Listener,
  type ListenerStats,
  peerAddress,
  type ReceiveLogger,
  type ReceiveObserver,
} from './listener.ts';
import type { UnpackPool } from './pool.ts';

export interface ListenHttpOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly accept: Accept;
  readonly admission: Admission;
  readonly pool: UnpackPool;
  readonly limits?: Partial<ReceiveLimits> | undefined;
  readonly tls?: GrpcTls | undefined;
  /** Pages that may send from a browser. Default: those served from the loopback. */
  readonly corsOrigins?: CorsOrigins | undefined;
  readonly logger?: ReceiveLogger | undefined;
  readonly observer?: ReceiveObserver | undefined;
}

/**
 * Opens OTLP/HTTP: POST /v1/traces, /v1/metrics, /v1/logs in protobuf and JSON.
 * @throws the error of `listen`, such as EADDRINUSE.
 * @see OTLP 1.11.0 "OTLP/HTTP".
 */
export async function listenHttp(options: ListenHttpOptions): Promise<HttpListener> {
  const listener = new HttpListener(options);
  await listener.listen(options.host, options.port);
  return listener;
}

export class HttpListener implements Listener {
  readonly #options: ListenHttpOptions;
  readonly #limits: ReceiveLimits;
  readonly #server: Server;
  readonly #accounts = new WeakMap<Socket, Account>();
  readonly #requests = new Set<Request>();
  /** The latest request of a connection. */
  readonly #current = new WeakMap<Socket, Request>();
  /** Connections that broke the protocol and have had their answer. */
  readonly #failedSockets = new WeakSet<Socket>();
  #connections = 0;
  #connectionsTotal = 0;
  #connectionsRefusedTotal = 0;
  #connectionsFailedTotal = 0;
  #stopping = false;
  #closing: Promise<void> | undefined;
  /** Called when a request or a connection has ended, while we stop. */
  #onChange: (() => void) | undefined;
  port = 0;
  address = '';

  constructor(options: ListenHttpOptions) {
    this.#options = options;
    this.#limits = { ...defaultReceiveLimits, ...options.limits };
    const limits = this.#limits;
    const settings = {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headerTimeoutMs,
      requestTimeout: limits.bodyTimeoutMs,
      connectionsCheckingInterval: Math.min(1_000, limits.headerTimeoutMs, limits.bodyTimeoutMs),
      keepAliveTimeout: Math.min(keepAliveMs, limits.idleTimeoutMs),
      noDelay: true,
    };
    const onRequest = (request: IncomingMessage, response: ServerResponse) => this.#onRequest(request, response);
    const { tls } = options;
    this.#server = tls
      ? createTlsServer(
          { ...settings, ...tls, minVersion: 'TLSv1.2', handshakeTimeout: limits.headerTimeoutMs },
          onRequest,
        )
      : createServer(settings, onRequest);
    const server = this.#server;
    server.maxConnections = limits.connectionsMax;
    server.on('drop', () => {
      this.#connectionsRefusedTotal += 1;
    });
    server.on('connection', (socket: Socket) => {
      this.#connections += 1;
      this.#connectionsTotal += 1;
      socket.on('close', () => {
        this.#connections -= 1;
        this.#onChange?.();
      });
      if (!tls) this.#openAccount(socket);
    });
    server.on('secureConnection', (socket: Socket) => this.#openAccount(socket));
    server.on('clientError', (error, socket) => this.#onClientError(error, socket as Socket));
    server.on('tlsClientError', () => {
      this.#connectionsFailedTotal += 1;
    });
  }

  async listen(host: string, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: 1024 }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    // Before, the caller hears of it; from here on only the log can.
    this.#server.on('error', (error) =>
      this.#options.logger?.error({ error: error.message }, 'OTLP/HTTP listener failed'),
    );
    ({ address: this.address, port: this.port } = this.#server.address() as AddressInfo);
  }

  stats(): ListenerStats {
    return {
      connections: this.#connections,
      inFlight: this.#requests.size,
      connectionsTotal: this.#connectionsTotal,
      connectionsRefusedTotal: this.#connectionsRefusedTotal,
      connectionsFailedTotal: this.#connectionsFailedTotal,
    };
  }

  /** Certificates for connections from now on; those that are open stay. */
  setSecureContext(tls: SecureContextOptions): void {
    if ('setSecureContext' in this.#server) (this.#server.setSecureContext as (tls: SecureContextOptions) => void)(tls);
  }

  get limits(): ReceiveLimits {
    return this.#limits;
  }

  get options(): ListenHttpOptions {
    return this.#options;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  stopAccepting(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    // Not the HTTP server's own `close`, which also cuts idle connections: a request may be on its way on one of them.
    // Each answer from now on says `Connection: close` instead.
    NetServer.prototype.close.call(this.#server);
  }

  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    this.stopAccepting();
    const deadline = performance.now() + graceMs;
    // A request may be on its way on a connection that looks idle: its answer will say that the connection closes.
    await this.#until(() => this.#connections === 0, Math.min(graceMs, drainMs));
    await this.#until(() => this.#requests.size === 0, deadline - performance.now());
    const fault = new Fault('unavailable', 'stopping', { retryAfterMs: 1_000 });
    for (const request of this.#requests) request.fail(fault);
    this.#server.close();
    if (this.#connections > 0) await new Promise((resolve) => setTimeout(resolve, lastWordsMs));
    this.#server.closeAllConnections();
  }

  requestEnded(request: Request): void {
    this.#requests.delete(request);
    this.#onChange?.();
  }

  /** Resolves when the condition holds, or after the time. */
  async #until(holds: () => boolean, withinMs: number): Promise<void> {
    if (holds() || withinMs <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#onChange = () => {
        if (!holds()) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#onChange = undefined;
  }

  #openAccount(socket: Socket): void {
    const { admission } = this.#options;
    const account = admission.open(peerAddress(socket.remoteAddress));
    this.#accounts.set(socket, account);
    socket.on('close', () => admission.close(account));
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const account = this.#accounts.get(request.socket);
    if (account === undefined) {
      request.socket.destroy();
      return;
    }
    const made = new Request(this, request, response, account);
    this.#requests.add(made);
    this.#current.set(request.socket, made);
    made.start();
  }

  // What is no HTTP request never reaches a handler: the answer is written by hand. A request that does not end does reach one.
  #onClientError(error: NodeJS.ErrnoException, socket: Socket): void {
    this.#connectionsFailedTotal += 1;
    this.#options.logger?.debug({ code: error.code }, 'bad HTTP request');
    const request = this.#current.get(socket);
    this.#current.delete(socket);
    if (socket.destroyed || !socket.writable || this.#failedSockets.has(socket)) {
      socket.destroy();
      return;
    }
    this.#failedSockets.add(socket);
    setTimeout(() => socket.destroy(), lingerMs).unref();
    const { fault, status } = rawAnswers[error.code ?? ''] ?? notHttp;
    if (request?.isOpen === true) {
      request.fail(fault);
      socket.end();
      return;
    }
    const body = encodeStatus({ code: fault.status.grpc, message: fault.message }, 'json');
    const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    socket.end(Buffer.concat([Buffer.from(head), body]));
  }
}

interface RawAnswer {
  readonly status: string;
  readonly fault: Fault;
}

const notHttp: RawAnswer = { status: '400 Bad Request', fault: new Fault('malformed', 'not a valid HTTP/1.1 request') };
const rawAnswers: Readonly<Record<string, RawAnswer>> = {
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: '408 Request Timeout',
    fault: new Fault('timeout', 'the request did not end in time'),
  },
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    fault: new Fault('tooLarge', 'the request headers are too large'),
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: '413 Content Too Large',
    fault: new Fault('tooLarge', 'the chunk extensions are too large'),
  },
};

/** Longer than clients keep idle connections (Go: 90 s), so that it is they who close them, and no request meets a closed door. */
const keepAliveMs = 120_000;
/** How long what a refused client still sends is read and thrown away, so that it gets to read the answer. */
const lingerMs = 2_000;
/** How long idle connections are left open for what is on its way. */
const drainMs = 1_000;
/** For the last answers to leave. */
const lastWordsMs = 100;

const signalOfPath: Readonly<Record<string, Signal>> = {
  '/v1/traces': 'traces',
  '/v1/metrics': 'metrics',
  '/v1/logs': 'logs',
};

type Format = 'protobuf' | 'json';
const contentTypes = { protobuf: 'application/x-protobuf', json: 'application/json' } as const;

/** One request, from its headers to the end of the answer. */
class Request {
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
    const { admission } = this.#listener.options;
    const { bodyBytesMax } = this.#listener.limits;
    this.#request.on('data', (chunk: Buffer) => {
      if (this.#ended) return;
      if (this.#pieces.sizeBytes + chunk.length > bodyBytesMax) {
        this.fail(tooLarge(bodyBytesMax));
        return;
      }
      const full = admission.reserve(this.#account, chunk.length);
      if (full !== undefined) {
        this.fail(full);
        return;
      }
      this.#heldBytes += chunk.length;
      this.#pieces.push(chunk);
    });
    this.#request.on('end', () => {
      if (!this.#ended) this.#unpack();
    });
  }

  #unpack(): void {
    const signal = this.#signal as Signal;
    const body = this.#pieces.sizeBytes === 0 ? noBytes : this.#pieces.take(0);
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
    admission.release(this.#account, this.#heldBytes);
    this.#heldBytes = body.length;
    this.#accept(signal, body);
  }

  #accept(signal: Signal, body: Uint8Array): void {
    this.#lent = true;
    const protocol = this.#format === 'json' ? 'http/json' : 'http/protobuf';
    const sender: Sender = { address: this.#account.address, protocol };
    try {
      this.#listener.options.accept(signal, body, sender).then(this.#onAccepted, this.#onThrown);
    } catch (thrown) {
      this.#onThrown(thrown);
    }
  }

  readonly #onAccepted = (accepted: Accepted): void => {
    this.#lent = false;
    if (this.#ended) {
      this.#giveBack();
      return;
    }
    this.#end('ok');
    const { rejected } = accepted;
    const message =
      accepted.message.length <= messageCharactersMax
        ? accepted.message
        : `${accepted.message.slice(0, messageCharactersMax)} …`;
    this.#respond(200, encodeExportResponse(this.#signal as Signal, this.#format, { rejected, message }), undefined);
  };

  readonly #onThrown = (thrown: unknown): void => {
    this.#lent = false;
    const fault = Fault.from(thrown);
    if (this.#ended) this.#giveBack();
    if (fault.code === 'internal') {
      const { cause } = fault;
      this.#listener.options.logger?.error(
        { error: cause instanceof Error ? cause.stack : String(cause), signal: this.#signal },
        'an export request failed on an error of ours',
      );
    }
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
    const protocol = this.#format === 'json' ? 'http/json' : 'http/protobuf';
    this.#listener.options.observer?.requestEnded(this.#signal, protocol, code, this.#pieces.sizeBytes);
  }

  #giveBack(): void {
    this.#listener.options.admission.release(this.#account, this.#heldBytes);
    this.#heldBytes = 0;
  }
}

function ignore(): void {}

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
