import { join } from 'node:path';
import type { FileSystem } from './files.ts';
import { diskUseMax, reserveBytes } from './limits.ts';

/** Space that is kept free for cursors and manifests. One per disk: logs that share a disk share it. */
export interface Reserve {
  /** Gives the space back to the disk; nothing happens if that was done before. */
  giveUp(): Promise<void>;
  /** Makes it again where there is room for it twice. Resolves when it is there or cannot be. */
  restore(): Promise<void>;
}

const step = 1024 * 1024;

/** @param dir Folder of the file `reserve`. It is made in the background, by the first `restore`. */
export function reserveIn(dir: string, files: FileSystem, sizeBytes = reserveBytes): Reserve {
  const path = join(dir, 'reserve');
  let under: Promise<void> = Promise.resolve();
  let there: boolean | undefined;
  // One thing after the other: several logs hold it.
  const after = (next: () => Promise<void>) => {
    under = under.then(next, next);
    return under;
  };
  return {
    giveUp: () =>
      after(async () => {
        if (there === false) return;
        there = false;
        await files.unlink(path).catch(() => undefined);
      }),
    restore: () =>
      after(async () => {
        if (there === true) return;
        try {
          const found = await files.stat(path).catch(() => undefined);
          if (found?.sizeBytes === sizeBytes) {
            there = true;
            return;
          }
          const { usedBytes, availableBytes } = await files.statfs(dir);
          // The reserve itself must not be what fills the disk.
          if (usedBytes + 2 * sizeBytes > diskUseMax * (usedBytes + availableBytes)) return;
          const file = await files.open(path, 'create');
          try {
            // Zeros that are really written: a sparse file would reserve nothing.
            const zeros = Buffer.alloc(Math.min(step, sizeBytes));
            for (let at = 0; at < sizeBytes; at += zeros.byteLength) await file.writev([zeros], at);
            await file.sync();
          } finally {
            await file.close();
          }
          there = true;
        } catch {
          // No room after all, or the disk has other troubles: those who need it will say so.
          there = false;
          await files.unlink(path).catch(() => undefined);
        }
      }),
  };
}
