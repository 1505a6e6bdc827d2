import { join } from 'node:path';
import type { Damage } from './contract.ts';
import type { FileSystem } from './files.ts';
import { quarantineBytesMax, readBytesMax } from './limits.ts';

/** Where what cannot be read is kept for a person to look at. Nothing ever reads it again. */
export class Quarantine {
  readonly #files: FileSystem;
  readonly #dir: string;
  /** Damage that was counted already, by place: a reader may meet it again. */
  readonly #known = new Set<string>();
  /** What the folder held when it was first looked at, and what was copied since. */
  #heldBytes: number | undefined;
  #framesLost = 0;
  #bytesSetAside = 0;

  constructor(files: FileSystem, dir: string) {
    this.#files = files;
    this.#dir = join(dir, 'quarantine');
  }

  get corruptFrames(): number {
    return this.#framesLost;
  }

  get quarantinedBytes(): number {
    return this.#bytesSetAside;
  }

  /** Counts the damage and copies the bytes. That the copy fails, on a full disk say, holds up nothing. */
  async copy(damage: Damage): Promise<boolean> {
    const place = `${damage.path}:${damage.start}`;
    if (this.#known.has(place)) return false;
    this.#known.add(place);
    this.#framesLost += damage.frames;
    this.#bytesSetAside += damage.end - damage.start;
    try {
      await this.#files.mkdir(this.#dir);
      this.#heldBytes ??= await this.#sizeBytes();
      if (this.#heldBytes + damage.end - damage.start > quarantineBytesMax) return true;
      this.#heldBytes += damage.end - damage.start;
      const source = await this.#files.open(damage.path, 'read');
      const name = damage.path.slice(damage.path.lastIndexOf('/') + 1);
      const target = await this.#files.open(join(this.#dir, `${name}.${damage.start}-${damage.end}`), 'create');
      try {
        for (let at = damage.start; at < damage.end; ) {
          const chunk = Buffer.allocUnsafe(Math.min(readBytesMax, damage.end - at));
          const got = await source.read(chunk, at);
          if (got === 0) break;
          await target.writev([chunk.subarray(0, got)], at - damage.start);
          at += got;
        }
        await target.sync();
      } finally {
        await source.close();
        await target.close();
      }
    } catch {
      // Counted, but not kept.
    }
    return true;
  }

  async #sizeBytes(): Promise<number> {
    let bytes = 0;
    for (const name of await this.#files.readdir(this.#dir)) {
      bytes += (await this.#files.stat(join(this.#dir, name))).sizeBytes;
    }
    return bytes;
  }

  /** Moves a whole file. @throws what the file system says: the file must not stay where it is. */
  async move(path: string, frames: number): Promise<void> {
    const { sizeBytes } = await this.#files.stat(path);
    const name = path.slice(path.lastIndexOf('/') + 1);
    await this.#files.mkdir(this.#dir);
    const taken = new Set(await this.#files.readdir(this.#dir));
    let free = name;
    for (let copy = 2; taken.has(free); copy++) free = `${name}.${copy}`;
    await this.#files.rename(path, join(this.#dir, free));
    this.#framesLost += frames;
    this.#bytesSetAside += sizeBytes;
  }
}
