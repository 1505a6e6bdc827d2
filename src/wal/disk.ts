import type { Clock, Signal } from '../base/index.ts';
import type { FileSystem } from './files.ts';
import { diskCheckMs, diskUseMax } from './limits.ts';
import type { LogWriter } from './log.ts';
import type { Reserve } from './reserve.ts';

/** Knows whether the disk takes more, and gives up the reserve when it does not. */
export class Disk {
  readonly #files: FileSystem;
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #signal: Signal;
  readonly #reserve: Reserve | undefined;
  readonly #logger: LogWriter | undefined;
  #overUse = false;
  /** After a write that found no space nothing is tried before this. */
  #retryAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    files: FileSystem,
    options: { dir: string; clock: Clock; signal: Signal; reserve?: Reserve; logger?: LogWriter },
  ) {
    this.#files = files;
    this.#dir = options.dir;
    this.#clock = options.clock;
    this.#signal = options.signal;
    this.#reserve = options.reserve;
    this.#logger = options.logger;
  }

  get isFull(): boolean {
    return this.#overUse || this.#clock.monotonicMs() < this.#retryAtMs;
  }

  /** A write found no space. */
  async ranOut(): Promise<void> {
    if (!this.isFull) {
      this.#logger?.warn({ signal: this.#signal }, 'the disk is full: requests are refused until there is space');
    }
    this.#retryAtMs = this.#clock.monotonicMs() + diskCheckMs;
    await this.#reserve?.giveUp();
  }

  /** Looks at the disk; makes the reserve again where there is room. */
  async check(): Promise<void> {
    const { usedBytes, availableBytes } = await this.#files.statfs(this.#dir);
    const overUse = usedBytes > diskUseMax * (usedBytes + availableBytes);
    if (overUse !== this.#overUse) {
      const fields = { signal: this.#signal, usedBytes, availableBytes };
      if (overUse)
        this.#logger?.warn(fields, 'the disk is more than 90 % full: requests are refused until there is space');
      else this.#logger?.info(fields, 'the disk has space again: requests are accepted');
    }
    this.#overUse = overUse;
    if (!this.isFull) await this.#reserve?.restore();
  }
}
