import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

/** The file operations whose order decides what a crash leaves behind; a test stands in between to crash at any of them. */
export interface FileOps {
  /** Writes a new file, given in pieces, and syncs it. */
  writeSynced(path: string, pieces: readonly Uint8Array[]): Promise<void>;
  /** Syncs a file that something else wrote. */
  sync(path: string): Promise<void>;
  syncFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; one that is not there is fine. */
  remove(path: string): Promise<void>;
}

export const realFiles: FileOps = {
  async writeSynced(path, pieces) {
    const file = await open(path, 'w');
    try {
      await file.writeFile(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
      await file.datasync();
    } finally {
      await file.close();
    }
  },
  async sync(path) {
    const file = await open(path, 'r+');
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
  },
  async syncFolder(path) {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  rename: (from, to) => rename(from, to),
  remove: (path) => rm(path, { force: true }),
};

export async function listFolder(path: string): Promise<string[]> {
  return (await readdir(path, { withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => entry.name);
}

export async function sizeOf(path: string): Promise<number> {
  return (await stat(path)).size;
}

/** CRC-32 of a file, read in pieces. */
export async function crcOf(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    const piece = Buffer.alloc(1024 * 1024);
    let crc = 0;
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, piece.length);
      if (bytesRead === 0) return crc;
      crc = crc32(piece.subarray(0, bytesRead), crc);
    }
  } finally {
    await file.close();
  }
}

/** undefined where there is no such file. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
