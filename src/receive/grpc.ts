import {
  createSecureServer,
  createServer,
  constants as http2,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { Fault } from '../base/index.ts';
import type { Accept } from './accept.ts';
import type { Account, Admission } from './admission.ts';
import { Call } from './grpc-call.ts';
import { defaultReceiveLimits, type ReceiveLimits } from './limits.ts';
import {
  type Listener,
  type ListenerStats,
  peerAddress,
  type ReceiveLogger,
  type ReceiveObserver,
} from './listener.ts';
import type { UnpackPool } from './pool.ts';

export interface ListenGrpcOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly accept: Accept;
  readonly admission: Admission;
  readonly pool: UnpackPool;
  readonly limits?: Partial<ReceiveLimits> | undefined;
  /** PEM files' contents; without it HTTP/2 in clear text, with prior knowledge. */
  readonly tls?: GrpcTls | undefined;
  readonly logger?: ReceiveLogger | undefined;
  readonly observer?: ReceiveObserver | undefined;
}

export type GrpcTls = Pick<SecureServerOptions, 'cert' | 'key' | 'ca' | 'requestCert' | 'rejectUnauthorized'>;

/**
 * Opens OTLP/gRPC: the three Export methods and the standard health check, as unary calls on HTTP/2.
 * Not grpc-js's server: it costs twice the CPU of a call, lets a slow body stay for ever and knows gzip only.
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
  readonly #server: ReturnType<typeof createServer> | ReturnType<typeof createSecureServer>;
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
    const http2Options = serverOptions(this.limits);
    this.#server = options.tls
      ? createSecureServer({
          ...http2Options,
          ...options.tls,
          allowHTTP1: false,
          minVersion: 'TLSv1.2',
          handshakeTimeout: this.limits.headerTimeoutMs,
        })
      : createServer(http2Options);
    const server = this.#server;
    server.maxConnections = this.limits.connectionsMax;
    server.on('drop', () => {
      this.#connectionsRefusedTotal += 1;
    });
    // With TLS this is the encrypted socket, before its handshake.
    server.on('connection', (socket: Socket) => {
      this.#connectionsTotal += 1;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.on('session', (session) => this.#onSession(session));
    server.on('sessionError', (error) => this.connectionFailed('HTTP/2 error', error));
    server.on('tlsClientError', (error) => this.connectionFailed('TLS error', error));
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
    this.#server.on('error', (error) => this.logger?.error({ error: error.message }, 'OTLP/gRPC listener failed'));
    ({ address: this.address, port: this.port } = this.#server.address() as AddressInfo);
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
    // Not the HTTP/2 server's own `close`, which says the last word to every connection before the notice has gone out.
    NetServer.prototype.close.call(this.#server);
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

  #onSession(session: ServerHttp2Session): void {
    const connection = new Connection(this, session);
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

function serverOptions(limits: ReceiveLimits): ServerOptions {
  return {
    maxSessionMemory: 32, // MB
    maxHeaderListPairs: 128,
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    maxSettings: 32,
    maxOutstandingPings: 10,
    maxDeflateDynamicTableSize: 4096,
    settings: {
      // Bytes in flight are bounded by admission, not by windows: these shall only never be what a sender waits for.
      initialWindowSize: streamWindowBytes,
      maxConcurrentStreams: limits.streamsPerConnectionMax,
      maxHeaderListSize: limits.headerBytesMax,
      enablePush: false,
    },
  };
}

const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 8 * 1024 * 1024;

/** One HTTP/2 connection: its age, its silence, its farewell. */
export class Connection {
  readonly listener: GrpcListener;
  readonly session: ServerHttp2Session;
  readonly account: Account;
  readonly #socket: Socket | undefined;
  readonly #openedMs = performance.now();
  readonly #ageMaxMs: number;
  #lastCallMs = this.#openedMs;
  #lastHeardMs = this.#openedMs;
  #calls = 0;
  #greeted = false;
  #controlFrames = 0;
  #pingSentMs: number | undefined;
  #drain: { readonly sinceMs: number; readonly done: Promise<void> } | undefined;

  constructor(listener: GrpcListener, session: ServerHttp2Session) {
    this.listener = listener;
    this.session = session;
    this.#socket = session.socket as Socket | undefined;
    this.account = listener.admission.open(peerAddress(this.#socket?.remoteAddress));
    this.#ageMaxMs = listener.limits.connectionAgeMs * (0.9 + Math.random() * 0.2);
    session.setLocalWindowSize(connectionWindowBytes);
    session.on('stream', (stream, headers) => this.#onStream(stream, headers));
    session.on('remoteSettings', () => {
      this.#greeted = true;
      this.#onControlFrame();
    });
    session.on('ping', () => this.#onControlFrame());
    // 'sessionError' of the server reports it; without a listener here it would end the process.
    session.on('error', () => {});
    session.on('close', () => {
      listener.connectionClosed(this);
      listener.admission.close(this.account);
    });
  }

  callEnded(): void {
    this.#calls -= 1;
    this.#lastCallMs = performance.now();
  }

  /** Asks the client to go: first a notice that refuses nothing, then, a round trip later, GOAWAY proper. */
  drain(): void {
    if (this.#drain !== undefined || this.session.destroyed) return;
    this.session.goaway(http2.NGHTTP2_NO_ERROR, streamIdMax);
    const done = new Promise<void>((resolve) => {
      // The answer comes after all that the client sent before it had the notice.
      this.session.once('close', () => resolve());
      if (!this.session.ping(() => resolve())) resolve();
    });
    this.#drain = { sinceMs: performance.now(), done };
    void done.then(() => this.#closeSession());
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
    if (this.session.destroyed) return;
    this.#controlFrames = 0;
    if (!this.#greeted) {
      if (nowMs - this.#openedMs >= limits.headerTimeoutMs) this.#fail('no HTTP/2 preface in time');
      return;
    }
    if (this.#drain !== undefined) {
      if (nowMs - this.#drain.sinceMs >= limits.connectionAgeGraceMs) this.session.destroy();
      else if (nowMs - this.#drain.sinceMs >= drainMs) this.#closeSession();
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

  #closeSession(): void {
    if (!this.session.closed && !this.session.destroyed) this.session.close();
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    this.#calls += 1;
    // grpc-go measures the way with a PING for each answer: what comes with calls is no flood.
    if (this.#controlFrames > 0) this.#controlFrames = Math.max(0, this.#controlFrames - controlFramesPerCall);
    this.#lastHeardMs = performance.now();
    new Call(this, stream, headers, this.#lastHeardMs);
  }

  #onControlFrame(): void {
    if (++this.#controlFrames > this.listener.limits.controlFramesPerSecondMax) {
      this.#fail('too many PING or SETTINGS frames', http2.NGHTTP2_ENHANCE_YOUR_CALM);
    }
  }

  #fail(reason: string, code: number = http2.NGHTTP2_NO_ERROR): void {
    if (this.session.destroyed) return;
    this.listener.connectionFailed('connection closed', new Error(reason));
    this.session.destroy(undefined, code);
  }
}

const controlFramesPerCall = 8;
const streamIdMax = 2 ** 31 - 1;
