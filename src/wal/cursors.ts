import type { Cursor } from './contract.ts';
import { type CursorOwner, LogCursor } from './cursor.ts';
import { type FileSystem, hasCode } from './files.ts';
import { cursorFlushMs } from './limits.ts';
import { cursorPath } from './recover.ts';
import { PlaceFile } from './slots.ts';

/** What the cursors need of their log. */
interface LogOfCursors extends CursorOwner {
  /** Runs behind the housekeeping that is under way. */
  chore(work: () => Promise<void>): void;
  cursorNotWritten(name: string, error: unknown): Promise<void>;
}

/** The places of all readers of a log: on disk soon after they moved, and before what they free is deleted. */
export class LogCursors {
  readonly #files: FileSystem;
  readonly #dir: string;
  readonly #log: LogOfCursors;
  readonly #cursors = new Map<string, LogCursor>();
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(files: FileSystem, dir: string, log: LogOfCursors) {
    this.#files = files;
    this.#dir = dir;
    this.#log = log;
  }

  /** One that was found on disk. */
  restore(name: string, file: PlaceFile, settledSeq: number): void {
    this.#cursors.set(name, new LogCursor(name, file, settledSeq, this.#log));
  }

  /** @param settledSeq Where one starts that is new. */
  open(name: string, settledSeq: number): Cursor {
    let cursor = this.#cursors.get(name);
    if (!cursor) {
      const file = PlaceFile.fresh(this.#files, this.#dir, cursorPath(this.#dir, name));
      cursor = new LogCursor(name, file, settledSeq, this.#log);
      this.#cursors.set(name, cursor);
      this.flushSoon();
    }
    return cursor;
  }

  get size(): number {
    return this.#cursors.size;
  }

  names(): readonly string[] {
    return [...this.#cursors.keys()];
  }

  /** Infinity where there are none. */
  get settledByAll(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { settledSeq } of this.#cursors.values()) least = Math.min(least, settledSeq);
    return least;
  }

  async forget(name: string): Promise<void> {
    const cursor = this.#cursors.get(name);
    if (!cursor) return;
    this.#cursors.delete(name);
    await cursor.forget();
    await this.#files.unlink(cursorPath(this.#dir, name)).catch((error) => {
      if (!hasCode(error, 'ENOENT')) throw error;
    });
    await this.#files.fsyncDir(this.#dir);
  }

  flushSoon(): void {
    if (this.#timer || this.#stopping) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#log.chore(() => this.flush());
    }, cursorFlushMs);
    this.#timer.unref();
  }

  /** Writes all that moved; what could not be written is tried again. */
  async flush(): Promise<void> {
    for (const cursor of this.#cursors.values()) {
      try {
        await cursor.flush();
      } catch (error) {
        await this.#log.cursorNotWritten(cursor.name, error);
        this.flushSoon();
      }
    }
  }

  /** Resolves when each is on disk at `seq` or behind. */
  async flushThrough(seq: number): Promise<void> {
    await Promise.all([...this.#cursors.values()].map((cursor) => cursor.flushThrough(seq)));
  }

  /** No more flushes of its own accord. */
  stop(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
  }

  async close(): Promise<void> {
    for (const cursor of this.#cursors.values()) await cursor.close();
  }
}
