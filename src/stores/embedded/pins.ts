import { removeEntry } from './entry.ts';
import type { FileOps } from './files.ts';

/** Which files queries read, so that one that no manifest names any more is unlinked after its last reader. */
export class FilePins {
  readonly #place: { readonly folder: string; readonly files: FileOps; readonly warn: (message: string) => void };
  readonly #pinned = new Map<string, number>();
  readonly #unlink = new Set<string>();
  #removing: Promise<void> = Promise.resolve();

  constructor(place: { readonly folder: string; readonly files: FileOps; readonly warn: (message: string) => void }) {
    this.#place = place;
  }

  /** @returns to be called once, when they are read. */
  pin(bases: readonly string[]): () => void {
    for (const base of bases) this.#pinned.set(base, (this.#pinned.get(base) ?? 0) + 1);
    return () => {
      for (const base of bases) {
        const pins = this.#pinned.get(base)! - 1;
        if (pins > 0) this.#pinned.set(base, pins);
        else this.#pinned.delete(base);
      }
      this.#unlinkUnpinned();
    };
  }

  /** Removes a file as soon as no query reads it. */
  remove(base: string): void {
    this.#unlink.add(base);
    this.#unlinkUnpinned();
  }

  /** Resolves when what is being removed is gone; what is pinned is not waited for. */
  removed(): Promise<void> {
    return this.#removing;
  }

  #unlinkUnpinned(): void {
    const { folder, files, warn } = this.#place;
    for (const base of this.#unlink) {
      if (this.#pinned.has(base)) continue;
      this.#unlink.delete(base);
      this.#removing = this.#removing
        .then(() => removeEntry(folder, files, base))
        .catch((error: unknown) => warn(`removing ${base} failed: ${String(error)}`));
    }
  }
}
