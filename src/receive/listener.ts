import type { AddressInfo, Server } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { type AddressRanges, type Fault, type FaultCode, readAddress, type Signal } from '../base/index.ts';
import type { Accept, Sender } from './accept.ts';
import type { Admission } from './admission.ts';
import type { ReceiveLimits } from './limits.ts';
import type { UnpackPool } from './pool.ts';

/** What both doors are made of; `admission` and `pool` are shared by them. */
export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly accept: Accept;
  readonly admission: Admission;
  readonly pool: UnpackPool;
  readonly limits?: Partial<ReceiveLimits> | undefined;
  /** PEM files' contents; without it clear text. */
  readonly tls?: Pick<TlsOptions, 'cert' | 'key' | 'ca' | 'requestCert' | 'rejectUnauthorized'> | undefined;
  /** Proxies whose word on the sender's address counts. */
  readonly trustedProxies?: AddressRanges | undefined;
  readonly logger?: ReceiveLogger | undefined;
  readonly observer?: ReceiveObserver | undefined;
}

/** A door that is open. */
export interface Listener {
  /** The port that was bound, also where 0 was asked for. */
  readonly port: number;
  readonly address: string;
  /** No new connections; clients are told to go elsewhere. What still arrives on connections that are open is served. */
  stopAccepting(): void;
  /**
   * Stops accepting, answers what is under way, then closes. What is left after `graceMs` gets a retryable answer.
   * May be called twice; resolves when no socket is left.
   */
  close(graceMs: number): Promise<void>;
  stats(): ListenerStats;
}

export interface ListenerStats {
  /** Open now. */
  readonly connections: number;
  /** Requests being received or processed now. */
  readonly inFlight: number;
  /** Since the start. */
  readonly connectionsTotal: number;
  /** Connections closed at once because `connectionsMax` were open. */
  readonly connectionsRefusedTotal: number;
  /** Connections that broke the protocol, were too slow or flooded us. */
  readonly connectionsFailedTotal: number;
}

/** Hears of each export request that was answered or given up. For counters: must not throw, must be cheap. */
export interface ReceiveObserver {
  /**
   * @param code          'ok' when all or a part was accepted, otherwise why the request was refused.
   *                      'cancelled': the client went away before the answer.
   * @param receivedBytes Size of the body as it came over the wire.
   */
  requestEnded(
    signal: Signal,
    protocol: Sender['protocol'],
    code: FaultCode | 'ok' | 'cancelled',
    receivedBytes: number,
  ): void;
}

/** The part of pino that the receivers use. */
export interface ReceiveLogger {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Connections that wait to be accepted: what Linux allows by default. Past it each comes again after one, three, seven seconds. */
const backlog = 4096;

/**
 * Opens a server's port; `onError` hears what goes wrong from then on.
 * @throws the error of `listen`, such as EADDRINUSE.
 */
export async function bind(
  server: Server,
  host: string,
  port: number,
  onError: (error: Error) => void,
): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', onError);
  return server.address() as AddressInfo;
}

/** A fault of ours, with its cause; of all others the client is told and nobody else. */
export function logInternal(
  logger: ReceiveLogger | undefined,
  { code, cause }: Fault,
  signal: string | undefined,
): void {
  if (code !== 'internal') return;
  const error = cause instanceof Error ? cause.stack : String(cause);
  logger?.error({ error, signal }, 'an export request failed on an error of ours');
}

/** One spelling for a peer, whether the socket is IPv6 or IPv4; '' for one that is gone already. */
export function peerAddress(remoteAddress: string | undefined): string {
  return remoteAddress === undefined ? '' : (readAddress(remoteAddress) ?? '');
}
