import { collectYoung, Fault } from '../base/index.ts';
import { BodyPool } from './body-pool.ts';
import {
  blocksIdleMs,
  collectEveryBytes,
  inFlightBytesMax,
  inFlightBytesPerSenderMax,
  retryAfterMs,
} from './limits.ts';

/**
 * Bounds the bytes of all requests that are being received or processed, so that memory cannot run away, and lends the
 * memory for them. One for all listeners. A sender is an address: what it opens more connections for does not give it
 * more room.
 */
export class Admission {
  /** Memory for bodies. A block may be up to twice as large as what was reserved for it. */
  readonly blocks = new BodyPool();
  readonly #bytesMax: number;
  readonly #bytesPerSenderMax: number;
  readonly #accounts = new Map<string, Account>();
  #heldBytes = 0;
  #garbageBytes = 0;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(options: { bytesMax?: number; bytesPerSenderMax?: number } = {}) {
    this.#bytesMax = options.bytesMax ?? inFlightBytesMax;
    this.#bytesPerSenderMax = options.bytesPerSenderMax ?? Math.min(inFlightBytesPerSenderMax, this.#bytesMax);
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The account of a peer; each connection opens and closes it. */
  open(address: string): Account {
    let account = this.#accounts.get(address);
    if (account === undefined) {
      account = { address, connections: 0, heldBytes: 0 };
      this.#accounts.set(address, account);
    }
    account.connections += 1;
    return account;
  }

  close(account: Account): void {
    account.connections -= 1;
    if (account.connections === 0 && account.heldBytes === 0) this.#accounts.delete(account.address);
  }

  /** Takes room for bytes that have come; a Fault `unavailable` where there is none. It returns it: no stack is needed. */
  reserve(account: Account, bytes: number): Fault | undefined {
    if (this.#heldBytes + bytes > this.#bytesMax || account.heldBytes + bytes > this.#bytesPerSenderMax) {
      return new Fault('unavailable', 'too many bytes are being received at once', { retryAfterMs });
    }
    this.#heldBytes += bytes;
    account.heldBytes += bytes;
    return undefined;
  }

  /**
   * Gives it back: nobody needs the bytes any more.
   * @param garbageBytes Those that lay in buffers of their own, which the collector of garbage has to find.
   */
  release(account: Account, bytes: number, garbageBytes: number): void {
    this.#heldBytes -= bytes;
    account.heldBytes -= bytes;
    this.#garbageBytes += garbageBytes;
    if (this.#garbageBytes >= collectEveryBytes) {
      this.#garbageBytes = 0;
      setImmediate(collectYoung); // after the answer that is about to be written
    }
    if (account.connections === 0 && account.heldBytes === 0) this.#accounts.delete(account.address);
    if (this.#heldBytes === 0) this.#idleTimer ??= setTimeout(this.#onIdle, blocksIdleMs).unref();
  }

  /** The blocks go if at this moment none is in use: under load that is never so, and else they are soon made again. */
  readonly #onIdle = (): void => {
    this.#idleTimer = undefined;
    if (this.#heldBytes === 0) this.blocks.clear();
  };
}

/** What one peer holds. Owned by `Admission`. */
export interface Account {
  readonly address: string;
  connections: number;
  heldBytes: number;
}
