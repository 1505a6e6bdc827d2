import { join } from 'node:path';
import { type File, type FileSystem, hasCode } from './files.ts';
import { fillStepBytes } from './limits.ts';

const zeros = Buffer.alloc(1024 * 1024);

/**
 * The file that becomes the next segment, filled with zeros in the background: a write into what is there costs half of
 * one that grows a file. Not ahead in the same file: its changing size would make each append wait for the zeros.
 */
export class Spare {
  readonly #files: FileSystem;
  /** Left over by a crash it is deleted, as all `*.new` are. */
  readonly #path: string;
  readonly #bytes: number;
  #state: 'none' | 'filling' | 'ready' | 'stopped' = 'none';
  /** Never rejects. */
  #filling: Promise<void> = Promise.resolve();

  constructor(files: FileSystem, dir: string, bytes: number) {
    this.#files = files;
    this.#path = join(dir, 'spare.new');
    this.#bytes = bytes;
  }

  get sizeBytes(): number {
    return this.#state === 'none' ? 0 : this.#bytes;
  }

  /** Starts filling, unless that was done. */
  prepare(): void {
    if (this.#state !== 'none') return;
    this.#state = 'filling';
    this.#filling = this.#fill();
  }

  /** The path of a whole one, which is the caller's from now on; undefined while there is none. */
  take(): string | undefined {
    if (this.#state !== 'ready') return undefined;
    this.#state = 'none';
    return this.#path;
  }

  /** Ends the filling and gives the space back. */
  async discard(): Promise<void> {
    if (this.#state === 'none') return;
    this.#state = 'stopped';
    await this.#filling;
    await this.#files.unlink(this.#path).catch(() => undefined);
    this.#state = 'none';
  }

  async #fill(): Promise<void> {
    try {
      const file = await this.#files.open(this.#path, 'create');
      try {
        await this.#writeZeros(file);
      } finally {
        await file.close();
      }
      if (this.#state === 'filling') this.#state = 'ready';
    } catch (error) {
      // Without one the next segment grows with each write, which works as well.
      if (!hasCode(error, 'ENOENT')) await this.#files.unlink(this.#path).catch(() => undefined);
      if (this.#state === 'filling') this.#state = 'none';
    }
  }

  async #writeZeros(file: File): Promise<void> {
    for (let at = 0; at < this.#bytes && this.#state === 'filling'; at += zeros.byteLength) {
      await file.writev([zeros.subarray(0, Math.min(zeros.byteLength, this.#bytes - at))], at);
      // In steps, so that no single sync holds up the disk for long.
      if ((at + zeros.byteLength) % fillStepBytes === 0) await file.sync();
    }
    await file.sync();
  }
}
