import type { Server, Socket } from 'node:net';
import { type AddressRanges, readAddress } from '../base/index.ts';
import { peerAddress } from './listener.ts';
import { readProxyHeader } from './proxy-header.ts';

/**
 * Who really sends, where proxies stand between: what those say that are trusted, and that nobody can tell where another
 * one stands there.
 */
export class Proxies {
  readonly #trusted: AddressRanges;
  readonly #timeoutMs: number;
  readonly #onFailed: (reason: string) => void;
  /** Connections whose proxy told of a client, by the proxy's end of it: a TLS socket is another object, but not another end. */
  readonly #clients = new Map<string, string>();
  /** Connections whose header has not come yet. */
  readonly #waiting = new Set<Socket>();

  /** @param options.timeoutMs For a header. @param options.onFailed Hears of each connection that was closed for its header. */
  constructor(options: {
    readonly trusted: AddressRanges;
    readonly timeoutMs: number;
    readonly onFailed: (reason: string) => void;
  }) {
    this.#trusted = options.trusted;
    this.#timeoutMs = options.timeoutMs;
    this.#onFailed = options.onFailed;
  }

  /**
   * Puts itself in front of all who hear of the server's connections so far: those of trusted proxies reach them when
   * their header has been read, if there is one. To be called when these have subscribed.
   */
  intercept(server: Server): void {
    if (this.#trusted.isEmpty) return;
    const listeners = server.listeners('connection');
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      const handOn = () => {
        for (const listener of listeners) listener.call(server, socket);
      };
      if (this.#trusted.has(peerAddress(socket.remoteAddress))) this.#read(socket, handOn);
      else handOn();
    });
  }

  /** Address of the far end of a connection. */
  clientOf(socket: Socket): string {
    if (this.#clients.size === 0) return peerAddress(socket.remoteAddress);
    return this.#clients.get(endOf(socket)) ?? peerAddress(socket.remoteAddress);
  }

  /**
   * Address of the sender of one request.
   * @param forwardedFor `X-Forwarded-For`: each proxy has added whom it heard the request from.
   * @returns '' where a proxy stands between that is not trusted: its own address is not the sender's.
   */
  senderOf(clientAddress: string, forwardedFor: string | undefined): string {
    if (forwardedFor === undefined) return clientAddress;
    if (!this.#trusted.has(clientAddress)) return '';
    let sender = clientAddress;
    for (const written of forwardedFor.split(',').reverse()) {
      sender = addressIn(written.trim()) ?? '';
      if (!this.#trusted.has(sender)) break;
    }
    return sender;
  }

  /** Closes what has not told yet who it is. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  #read(socket: Socket, handOn: () => void): void {
    let come: Buffer = Buffer.alloc(0);
    const end = endOf(socket);
    this.#waiting.add(socket);
    const done = () => {
      clearTimeout(timer);
      this.#waiting.delete(socket);
      socket.off('readable', onReadable).off('end', onEnd).off('close', onEnd).off('error', onEnd);
    };
    const fail = (reason: string) => {
      done();
      socket.on('error', () => {});
      socket.destroy();
      this.#onFailed(reason);
    };
    const timer = setTimeout(() => fail('PROXY protocol: nothing came in time'), this.#timeoutMs).unref();
    const onReadable = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      come = come.length === 0 ? chunk : Buffer.concat([come, chunk]);
      const header = readProxyHeader(come);
      if (header.kind === 'incomplete') return;
      if (header.kind === 'malformed') {
        fail(header.reason);
        return;
      }
      done();
      const rest = header.kind === 'found' ? come.subarray(header.sizeBytes) : come;
      if (header.kind === 'found' && header.address !== undefined) {
        this.#clients.set(end, header.address);
        socket.on('close', () => this.#clients.delete(end));
      }
      if (rest.length > 0) socket.unshift(rest);
      handOn();
    };
    // Whoever looks whether a port is open says nothing, and is none that failed.
    const onEnd = () => {
      if (come.length > 0) fail('PROXY protocol: cut short');
      else {
        done();
        socket.on('error', () => {});
        socket.destroy();
      }
    };
    socket.on('readable', onReadable).on('end', onEnd).on('close', onEnd).on('error', onEnd);
  }
}

function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** `10.0.0.1`, `10.0.0.1:4711`, `fd00::1`, `[fd00::1]:4711`. */
function addressIn(written: string): string | undefined {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(written);
  if (bracketed !== null) return readAddress(bracketed[1] ?? '');
  const [host = '', ...ports] = written.split(':');
  return readAddress(ports.length === 1 ? host : written);
}
