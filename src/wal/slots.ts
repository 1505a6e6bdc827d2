import { crc32 } from 'node:zlib';
import { type File, type FileSystem, hasCode } from './files.ts';
import { formatVersion, newerVersion } from './segment.ts';

// A small record that is overwritten in place, in two slots in turn: a torn write damages the one that was being
// written, the other still holds what was true before. In place, so that it needs no space on a full disk.

/** A place in a log. What cursors and the log's own state file hold. */
export interface Place {
  /** 32 hex digits. */
  readonly logId: string;
  readonly seq: number;
  /** Meaning is the user's: `FORMAT.md`, "Places". */
  readonly number: number;
}

const magic = Buffer.from('WCATPLC\n', 'latin1');
const recordBytes = 64;
/** Slots lie in different sectors, of 4096 bytes too. */
const slotBytes = 4096;

export class PlaceFile {
  readonly #files: FileSystem;
  readonly path: string;
  readonly #dir: string;
  #file: File | undefined;
  #generation: bigint;
  /** What is on disk. */
  saved: Place | undefined;
  /** One write after the other. Never rejects. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(files: FileSystem, dir: string, path: string, generation: bigint, saved: Place | undefined) {
    this.#files = files;
    this.#dir = dir;
    this.path = path;
    this.#generation = generation;
    this.saved = saved;
  }

  /** A record that is not there yet; the first `write` makes it. */
  static fresh(files: FileSystem, dir: string, path: string): PlaceFile {
    return new PlaceFile(files, dir, path, 0n, undefined);
  }

  /**
   * Reads the record; `saved` is undefined where there is no whole one. Changes nothing on disk.
   * @throws Fault `unprocessable` for a file of a newer version.
   */
  static async read(files: FileSystem, dir: string, path: string): Promise<PlaceFile> {
    const bytes = Buffer.alloc(2 * slotBytes);
    try {
      const file = await files.open(path, 'read');
      try {
        await file.read(bytes, 0);
      } finally {
        await file.close();
      }
    } catch (error) {
      // A file that cannot be read is a damaged one: whatever it held comes again.
      if (!hasCode(error, 'ENOENT', 'EIO', 'EISDIR')) throw error;
    }
    let newest = 0n;
    let saved: Place | undefined;
    for (const at of [0, slotBytes]) {
      const slot = bytes.subarray(at, at + recordBytes);
      if (!slot.subarray(0, 8).equals(magic) || crc32(slot.subarray(0, 60)) !== slot.readUInt32LE(60)) continue;
      const version = slot.readUInt16LE(8);
      if (version > formatVersion) throw newerVersion(path, version);
      const generation = slot.readBigUInt64LE(12);
      if (generation <= newest) continue;
      newest = generation;
      saved = {
        logId: slot.toString('hex', 20, 36),
        seq: Number(slot.readBigUInt64LE(36)),
        number: Number(slot.readBigUInt64LE(44)),
      };
    }
    return new PlaceFile(files, dir, path, newest, saved);
  }

  /**
   * Durable when it resolves.
   * @param place Asked when it is its turn; undefined: there is nothing to write any more.
   */
  write(place: () => Place | undefined): Promise<void> {
    const written = this.#writing.then(async () => {
      const next = place();
      if (next) await this.#write(next);
    });
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #write(place: Place): Promise<void> {
    const generation = this.#generation + 1n;
    const record = Buffer.alloc(recordBytes);
    magic.copy(record);
    record.writeUInt16LE(formatVersion, 8);
    record.writeBigUInt64LE(generation, 12);
    record.write(place.logId, 20, 'hex');
    record.writeBigUInt64LE(BigInt(place.seq), 36);
    record.writeBigUInt64LE(BigInt(place.number), 44);
    record.writeUInt32LE(crc32(record.subarray(0, 60)), 60);
    try {
      if (this.#file === undefined) {
        this.#file = await this.#open();
        if (this.saved === undefined) {
          // Both slots from the start: later writes need no space then.
          const both = Buffer.alloc(2 * slotBytes);
          record.copy(both, slotOf(generation));
          await this.#file.writev([both], 0);
          await this.#files.fsyncDir(this.#dir);
        } else {
          await this.#file.writev([record], slotOf(generation));
        }
      } else {
        await this.#file.writev([record], slotOf(generation));
      }
    } catch (error) {
      // After a failed write the file is opened anew: a second sync of the same descriptor would not tell the truth.
      const failed = this.#file;
      this.#file = undefined;
      await failed?.close().catch(() => undefined);
      throw error;
    }
    this.#generation = generation;
    this.saved = place;
  }

  async #open(): Promise<File> {
    if (this.saved === undefined) return this.#files.open(this.path, 'createDurable');
    return this.#files.open(this.path, 'writeDurable');
  }

  async close(): Promise<void> {
    await this.#writing;
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}

function slotOf(generation: bigint): number {
  return generation % 2n === 0n ? 0 : slotBytes;
}
