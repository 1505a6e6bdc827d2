import { createServer, type Server, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  type TLSSocket,
  type Server as TlsServer,
} from 'node:tls';
import { AddressRanges, Fault } from '../base/index.ts';
import type { Accept, Sender } from './accept.ts';
import type { Account, Admission } from './admission.ts';
import { Call } from './grpc-call.ts';
import { type ErrorCode, errorCodes } from './h2/frames.ts';
import type { RequestFields } from './h2/hpack.ts';
import { Session, type SessionHandler } from './h2/session.ts';
import type { Stream } from './h2/stream.ts';
import { defaultReceiveLimits, type ReceiveLimits } from './limits.ts';
import {
  bind,
  type Listener,
  type ListenerStats,
  type ListenOptions,
  type ReceiveLogger,
  type ReceiveObserver,
} from './listener.ts';
import type { UnpackPool } from './pool.ts';
import { Proxies } from './proxies.ts';

/** Without `tls` HTTP/2 in clear text, with prior knowledge. */
export type ListenGrpcOptions = ListenOptions;

/**
 * Opens OTLP/gRPC: the three Export methods and the standard health check, as unary calls on HTTP/2.
 * Not grpc-js's server, which lets a slow body stay for ever and knows gzip only; not node:http2, which costs twice
 * the CPU of a call of 40 kB.
 * @throws the error of `listen`, such as EADDRINUSE.
 * @see OTLP 1.11.0 "OTLP/gRPC"; gRPC "gRPC over HTTP2".
 */
export async function listenGrpc(options: ListenGrpcOptions): Promise<GrpcListener> {
  const listener = new GrpcListener(options);
  await listener.listen(options.host, options.port);
  return listener;
}

export class GrpcListener implements Listener {
  readonly limits: ReceiveLimits;
  readonly accept: Accept;
  readonly admission: Admission;
  readonly pool: UnpackPool;
  readonly logger: ReceiveLogger | undefined;
  readonly observer: ReceiveObserver | undefined;
  readonly proxies: Proxies;
  readonly #server: Server | TlsServer;
  readonly #connections = new Set<Connection>();
  /** Sockets too: those that never became an HTTP/2 session. */
  readonly #sockets = new Set<Socket>();
  readonly #calls = new Set<Call>();
  #sweepTimer: NodeJS.Timeout | undefined;
  #sweeps = 0;
  #state: 'open' | 'stopping' | 'closed' = 'open';
  #closing: Promise<void> | undefined;
  #onQuiet: (() => void) | undefined;
  #connectionsTotal = 0;
  #connectionsRefusedTotal = 0;
  #connectionsFailedTotal = 0;
  port = 0;
  address = '';

  constructor(options: ListenGrpcOptions) {
    this.limits = { ...defaultReceiveLimits, ...options.limits };
    this.accept = options.accept;
    this.admission = options.admission;
    this.pool = options.pool;
    this.logger = options.logger;
    this.observer = options.observer;
    this.proxies = new Proxies({
      trusted: options.trustedProxies ?? new AddressRanges([]),
      timeoutMs: this.limits.headerTimeoutMs,
      onFailed: (reason) => this.connectionFailed('connection closed', new Error(reason)),
    });
    this.#server = options.tls
      ? createTlsServer({
          ...options.tls,
          ALPNProtocols: ['h2'],
          minVersion: 'TLSv1.2',
          handshakeTimeout: this.limits.headerTimeoutMs,
        })
      : createServer({ pauseOnConnect: true });
    const server = this.#server;
    server.maxConnections = this.limits.connectionsMax;
    server.on('drop', () => {
      this.#connectionsRefusedTotal += 1;
    });
    if (options.tls === undefined) server.on('connection', (socket: Socket) => this.#onSocket(socket));
    this.proxies.intercept(server);
    // With TLS this is the encrypted socket, before its handshake.
    server.on('connection', (socket: Socket) => {
      this.#connectionsTotal += 1;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      if (socket.alpnProtocol === 'h2') this.#onSocket(socket);
      else {
        // RFC 9113, 3.2: over TLS, HTTP/2 is what both have agreed on or nothing.
        socket.on('error', () => {});
        socket.destroy();
        this.connectionFailed('TLS error', new Error('the client does not offer h2 by ALPN'));
      }
    });
    server.on('tlsClientError', (error: Error) => this.connectionFailed('TLS error', error));
  }

  async listen(host: string, port: number): Promise<void> {
    ({ address: this.address, port: this.port } = await bind(this.#server, host, port, (error) =>
      this.logger?.error({ error: error.message }, 'OTLP/gRPC listener failed'),
    ));
    this.#sweepTimer = setInterval(() => this.#sweep(), sweepIntervalMs).unref();
  }

  stats(): ListenerStats {
    return {
      connections: this.#sockets.size,
      inFlight: this.#calls.size,
      connectionsTotal: this.#connectionsTotal,
      connectionsRefusedTotal: this.#connectionsRefusedTotal,
      connectionsFailedTotal: this.#connectionsFailedTotal,
    };
  }

  /** Certificates for connections from now on; those that are open stay. */
  setSecureContext(tls: SecureContextOptions): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext(tls);
  }

  get stopping(): boolean {
    return this.#state !== 'open';
  }

  stopAccepting(): void {
    if (this.#state !== 'open') return;
    this.#state = 'stopping';
    this.#server.close();
    for (const connection of this.#connections) connection.drain();
  }

  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    this.stopAccepting();
    const deadline = performance.now() + graceMs;
    // A client learns of GOAWAY a round trip later; what it sent before that is served, too.
    await Promise.all(Array.from(this.#connections, (connection) => connection.drained(Math.min(graceMs, drainMs))));
    await this.#quiet(deadline - performance.now());
    const fault = new Fault('unavailable', 'stopping', { retryAfterMs: 1_000 });
    for (const call of this.#calls) call.fail(fault);
    for (const connection of this.#connections) connection.session.close();
    if (this.#sockets.size > 0) await new Promise((resolve) => setTimeout(resolve, lastWordsMs));
    this.#state = 'closed';
    clearInterval(this.#sweepTimer);
    for (const connection of this.#connections) connection.session.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Resolves when no call is under way, or after the time. */
  async #quiet(withinMs: number): Promise<void> {
    if (this.#calls.size === 0 || withinMs <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#onQuiet = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  callStarted(call: Call): void {
    this.#calls.add(call);
  }

  callEnded(call: Call): void {
    if (this.#calls.delete(call) && this.#calls.size === 0) this.#onQuiet?.();
  }

  connectionFailed(what: string, error: Error): void {
    this.#connectionsFailedTotal += 1;
    this.logger?.debug({ error: error.message, code: (error as NodeJS.ErrnoException).code }, what);
  }

  connectionClosed(connection: Connection): void {
    this.#connections.delete(connection);
  }

  #onSocket(socket: Socket): void {
    const connection = new Connection(this, socket);
    this.#connections.add(connection);
    if (this.#state !== 'open') connection.drain();
  }

  // One timer for all deadlines: a timer a call would cost more than the call's own bookkeeping.
  #sweep(): void {
    const nowMs = performance.now();
    for (const call of this.#calls) if (call.deadlineMs <= nowMs) call.timedOut();
    if (++this.#sweeps % sweepsPerSecond !== 0) return;
    for (const connection of this.#connections) connection.sweep(nowMs);
  }
}

const sweepsPerSecond = 4;
const sweepIntervalMs = 1000 / sweepsPerSecond;
/** How long a client that does not answer PING is given to learn of GOAWAY. */
const drainMs = 1_000;
/** For the last answers to leave. */
const lastWordsMs = 100;

/** One HTTP/2 connection: its age, its silence, its farewell. */
export class Connection implements SessionHandler {
  readonly listener: GrpcListener;
  readonly session: Session;
  readonly account: Account;
  readonly sender: Sender;
  readonly #openedMs = performance.now();
  readonly #ageMaxMs: number;
  #lastCallMs = this.#openedMs;
  #lastHeardMs = this.#openedMs;
  #calls = 0;
  #pingSentMs: number | undefined;
  #drain: { readonly sinceMs: number; readonly done: Promise<void> } | undefined;
  #onGone: (() => void) | undefined;

  constructor(listener: GrpcListener, socket: Socket) {
    const { limits } = listener;
    this.listener = listener;
    this.account = listener.admission.open(listener.proxies.clientOf(socket));
    this.sender = { address: this.account.address, protocol: 'grpc' };
    this.#ageMaxMs = limits.connectionAgeMs * (0.9 + Math.random() * 0.2);
    this.session = new Session(socket, this, {
      streamsMax: limits.streamsPerConnectionMax,
      headerBytesMax: limits.headerBytesMax,
      controlFramesPerSecondMax: limits.controlFramesPerSecondMax,
    });
  }

  onStream(stream: Stream, request: RequestFields): Call {
    this.#calls += 1;
    this.#lastHeardMs = performance.now();
    return new Call(this, stream, request, this.#lastHeardMs);
  }

  onFailed(reason: string): void {
    this.listener.connectionFailed('connection closed', new Error(reason));
  }

  onClose(): void {
    this.#onGone?.();
    this.listener.connectionClosed(this);
    this.listener.admission.close(this.account);
  }

  callEnded(): void {
    this.#calls -= 1;
    this.#lastCallMs = performance.now();
  }

  /** Asks the client to go: first a notice that refuses nothing, then, a round trip later, GOAWAY proper. */
  drain(): void {
    if (this.#drain !== undefined || this.session.closed) return;
    this.session.announceClose();
    const done = new Promise<void>((resolve) => {
      // The answer comes after all that the client sent before it had the notice.
      this.#onGone = resolve;
      this.session.ping(resolve);
    });
    this.#drain = { sinceMs: performance.now(), done };
    void done.then(() => this.session.close());
  }

  /** Resolves when the client has heard of it, or after the time. */
  async drained(withinMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, withinMs);
    });
    await Promise.race([this.#drain?.done, late]);
    clearTimeout(timer);
  }

  sweep(nowMs: number): void {
    const { limits } = this.listener;
    if (this.session.closed) return;
    this.session.tick();
    if (!this.session.greeted) {
      if (nowMs - this.#openedMs >= limits.headerTimeoutMs) this.#fail('no HTTP/2 preface in time');
      return;
    }
    if (this.#drain !== undefined) {
      if (nowMs - this.#drain.sinceMs >= limits.connectionAgeGraceMs) this.session.destroy();
      else if (nowMs - this.#drain.sinceMs >= drainMs) this.session.close();
      return;
    }
    if (nowMs - this.#openedMs >= this.#ageMaxMs) {
      this.drain();
      return;
    }
    if (this.#calls === 0 && nowMs - this.#lastCallMs >= limits.idleTimeoutMs) {
      this.drain();
      return;
    }
    if (this.#pingSentMs !== undefined) {
      if (nowMs - this.#pingSentMs >= limits.pingTimeoutMs) this.#fail('no answer to PING');
    } else if (nowMs - this.#lastHeardMs >= limits.pingIntervalMs) {
      this.#pingSentMs = nowMs;
      this.session.ping(() => {
        this.#pingSentMs = undefined;
        this.#lastHeardMs = performance.now();
      });
    }
  }

  #fail(reason: string, code: ErrorCode = errorCodes.noError): void {
    this.onFailed(reason);
    this.session.destroy(code);
  }
}
