import { join } from 'node:path';
import { type File, type FileSystem, hasCode } from './files.ts';
import { fillStepBytes } from './limits.ts';

const zeros = Buffer.alloc(1024 * 1024);
/** One that is much shorter than a segment would have to grow. */
const recycledShareMin = 0.75;

/** A file that can become a segment. `recycled`: it was one, and holds what was in it. */
export interface SpareFile {
  readonly path: string;
  readonly recycled: boolean;
}

/**
 * The file that becomes the next segment: a write into what is there costs half of one that grows a file. It is a segment
 * that is no longer needed, or else one filled with zeros in the background, which writes each byte to the disk twice.
 * Not zeros ahead in the same file: its changing size would make each append wait for them.
 */
export class Spare {
  readonly #files: FileSystem;
  readonly #dir: string;
  /** Left over by a crash it is deleted, as all `*.new` are. */
  readonly #path: string;
  readonly #bytes: number;
  #state: 'none' | 'filling' | 'adopting' | 'ready' | 'stopped' = 'none';
  #recycled = false;
  /** Never rejects. */
  #filling: Promise<void> = Promise.resolve();

  constructor(files: FileSystem, dir: string, bytes: number) {
    this.#files = files;
    this.#dir = dir;
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

  /**
   * Makes a segment that nobody needs any more the spare, unless there is one or it has the wrong size.
   * @returns whether the segment is gone from its old name, also over a power loss.
   */
  async adopt(path: string, sizeBytes: number): Promise<boolean> {
    if (sizeBytes > this.#bytes || sizeBytes < this.#bytes * recycledShareMin) return false;
    if (this.#state === 'filling') await this.discard();
    if (this.#state !== 'none') return false;
    this.#state = 'adopting';
    try {
      await this.#files.rename(path, this.#path);
    } catch {
      this.#state = 'none';
      return false; // the caller deletes it, and says what is wrong
    }
    this.#recycled = true;
    // Before it gets another header: with that under its old name it would be taken for a damaged segment.
    this.#filling = this.#files.fsyncDir(this.#dir).then(
      () => {
        if (this.#state === 'adopting') this.#state = 'ready';
      },
      async () => {
        await this.#files.unlink(this.#path).catch(() => undefined);
        if (this.#state === 'adopting') this.#state = 'none';
      },
    );
    await this.#filling;
    return true;
  }

  /** A whole one, which is the caller's from now on; undefined while there is none. */
  take(): SpareFile | undefined {
    if (this.#state !== 'ready') return undefined;
    this.#state = 'none';
    return { path: this.#path, recycled: this.#recycled };
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
      this.#recycled = false;
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
