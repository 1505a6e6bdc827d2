import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { AddressRanges, Fault, http } from '../base/index.ts';
import { encodeStatus } from '../otlp/index.ts';
import type { Account } from './admission.ts';
import type { CorsOrigins } from './cors.ts';
import { Request } from './http-request.ts';
import { defaultReceiveLimits, lingerMs, type ReceiveLimits } from './limits.ts';
import { bind, type Listener, type ListenerStats, type ListenOptions } from './listener.ts';
import { Proxies } from './proxies.ts';

export interface ListenHttpOptions extends ListenOptions {
  /** Pages that may send from a browser. Default: those served from the loopback. */
  readonly corsOrigins?: CorsOrigins | undefined;
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
  readonly proxies: Proxies;
  port = 0;
  address = '';

  constructor(options: ListenHttpOptions) {
    this.#options = options;
    this.#limits = { ...defaultReceiveLimits, ...options.limits };
    const limits = this.#limits;
    this.proxies = new Proxies({
      trusted: options.trustedProxies ?? new AddressRanges([]),
      timeoutMs: limits.headerTimeoutMs,
      onFailed: (reason) => {
        this.#connectionsFailedTotal += 1;
        options.logger?.debug({ reason }, 'connection closed');
      },
    });
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
      : http.createServer(settings, onRequest);
    const server = this.#server;
    server.maxConnections = limits.connectionsMax;
    server.on('drop', () => {
      this.#connectionsRefusedTotal += 1;
    });
    const counted = (socket: Socket) => {
      this.#connections += 1;
      this.#connectionsTotal += 1;
      socket.on('close', () => {
        this.#connections -= 1;
        this.#onChange?.();
      });
    };
    if (!tls) server.on('connection', (socket: Socket) => this.#openAccount(socket));
    this.proxies.intercept(server);
    server.on('connection', counted);
    server.on('secureConnection', (socket: Socket) => this.#openAccount(socket));
    server.on('clientError', (error, socket) => this.#onClientError(error, socket as Socket));
    server.on('tlsClientError', () => {
      this.#connectionsFailedTotal += 1;
    });
  }

  async listen(host: string, port: number): Promise<void> {
    ({ address: this.address, port: this.port } = await bind(this.#server, host, port, (error) =>
      this.#options.logger?.error({ error: error.message }, 'OTLP/HTTP listener failed'),
    ));
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
    this.proxies.close();
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
    const account = admission.open(this.proxies.clientOf(socket));
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
/** How long idle connections are left open for what is on its way. */
const drainMs = 1_000;
/** For the last answers to leave. */
const lastWordsMs = 100;
