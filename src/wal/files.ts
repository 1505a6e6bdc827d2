import { close, constants, fdatasync, fstat, ftruncate, open, read, writev } from 'node:fs';
import { mkdir, open as openHandle, readdir, rename, stat, statfs, unlink } from 'node:fs/promises';

// All that the log asks of a file system, so that a test can lose power, fill the disk or fail a write at any point.

/** Errors are Node's: `code` is 'ENOENT', 'ENOSPC', 'EIO', … */
export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<File>;
  /** Names, unsorted. Rejects with ENOENT for a folder that is not there. */
  readdir(path: string): Promise<readonly string[]>;
  /** With its parents; nothing happens if it is there. */
  mkdir(path: string): Promise<void>;
  /** Replaces `to`. Durable after `fsyncDir` of the folder. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Makes created, renamed and removed names of a folder durable. */
  fsyncDir(path: string): Promise<void>;
  stat(path: string): Promise<{ sizeBytes: number; modifiedMs: number }>;
  statfs(path: string): Promise<DiskUse>;
}

/** 'durable' writes are on disk when `writev` resolves. 'create' modes make the file and truncate what was there. */
export type OpenMode = 'read' | 'create' | 'createDurable' | 'write' | 'writeDurable';

export interface File {
  /** Writes all of the pieces, one after the other, from `position` on, or rejects. */
  writev(pieces: readonly Uint8Array[], position: number): Promise<void>;
  /** Bytes read, fewer than asked for only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>;
  truncate(sizeBytes: number): Promise<void>;
  /** After a rejection the file must not be synced again: what it then says is not true. */
  sync(): Promise<void>;
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}

export interface DiskUse {
  readonly usedBytes: number;
  /** What this process may still write. */
  readonly availableBytes: number;
}

/** 0 where the system has no O_DSYNC; there each durable write is followed by fdatasync. */
const O_DSYNC: number = constants.O_DSYNC ?? 0;
const openFlags = {
  read: constants.O_RDONLY,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
  createDurable: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | O_DSYNC,
  write: constants.O_RDWR,
  writeDurable: constants.O_RDWR | O_DSYNC,
} as const satisfies Record<OpenMode, number>;

/** The operating system's files. Callbacks, not file handles: they cost a third of the CPU per call. */
export const systemFiles: FileSystem = {
  open: (path, mode) =>
    new Promise((resolve, reject) => {
      open(path, openFlags[mode], 0o640, (error, fd) => {
        if (error) reject(error);
        else resolve(new SystemFile(fd, O_DSYNC === 0 && mode.endsWith('Durable')));
      });
    }),
  readdir: (path) => readdir(path),
  mkdir: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o750 });
  },
  rename,
  unlink,
  async fsyncDir(path) {
    const handle = await openHandle(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async stat(path) {
    const found = await stat(path);
    return { sizeBytes: found.size, modifiedMs: found.mtimeMs };
  },
  async statfs(path) {
    const found = await statfs(path);
    return {
      usedBytes: (found.blocks - found.bfree) * found.bsize,
      availableBytes: found.bavail * found.bsize,
    };
  },
};

class SystemFile implements File {
  readonly #fd: number;
  readonly #syncEachWrite: boolean;

  constructor(fd: number, syncEachWrite: boolean) {
    this.#fd = fd;
    this.#syncEachWrite = syncEachWrite;
  }

  async writev(pieces: readonly Uint8Array[], position: number): Promise<void> {
    let rest = pieces;
    let at = position;
    let size = 0;
    for (const piece of pieces) size += piece.byteLength;
    while (size > 0) {
      const written = await this.#writeSome(rest, at);
      // A full disk can show as a short write; the next attempt then says ENOSPC.
      if (written === 0) throw Object.assign(new Error('a write wrote nothing'), { code: 'EIO' });
      size -= written;
      at += written;
      if (size > 0) rest = without(rest, written);
    }
    if (this.#syncEachWrite) await this.sync();
  }

  #writeSome(pieces: readonly Uint8Array[], position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      writev(this.#fd, pieces, position, (error, written) => (error ? reject(error) : resolve(written)));
    });
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < into.byteLength) {
      const got = await this.#readSome(into, done, position + done);
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  #readSome(into: Uint8Array, offset: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      read(this.#fd, into, offset, into.byteLength - offset, position, (error, got) =>
        error ? reject(error) : resolve(got),
      );
    });
  }

  truncate(sizeBytes: number): Promise<void> {
    return settled((done) => ftruncate(this.#fd, sizeBytes, done));
  }

  sync(): Promise<void> {
    return settled((done) => fdatasync(this.#fd, done));
  }

  sizeBytes(): Promise<number> {
    return new Promise((resolve, reject) => {
      fstat(this.#fd, (error, found) => (error ? reject(error) : resolve(found.size)));
    });
  }

  close(): Promise<void> {
    return settled((done) => close(this.#fd, done));
  }
}

function settled(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error ? reject(error) : resolve()));
  });
}

/** The pieces without their first `count` bytes. */
function without(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = count;
  for (const piece of pieces) {
    if (skip >= piece.byteLength) {
      skip -= piece.byteLength;
    } else {
      rest.push(skip === 0 ? piece : piece.subarray(skip));
      skip = 0;
    }
  }
  return rest;
}

/** Whether an error of the file system has this code. */
export function hasCode(thrown: unknown, ...codes: readonly string[]): boolean {
  return thrown instanceof Error && 'code' in thrown && codes.includes(String(thrown.code));
}
