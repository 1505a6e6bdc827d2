import { join } from 'node:path';
import { DigestRows } from './digests.ts';
import type { File, FileSystem } from './files.ts';
import { fillAheadBytes } from './limits.ts';
import { createSegment, type SegmentHeader, segmentHeadBytes, segmentName } from './segment.ts';

const zeros = Buffer.alloc(1024 * 1024);

/** The segment that takes frames. Zeros are written ahead of them: a write into what is there costs half of one that grows the file. */
export class ActiveSegment {
  readonly path: string;
  readonly header: SegmentHeader;
  /** Digests of its frames, for the file that outlives it. */
  readonly rows = new DigestRows();
  readonly #files: FileSystem;
  readonly #file: File;
  readonly #bytesMax: number;
  #position = segmentHeadBytes;
  /** Zeros are on disk up to here. */
  #filledTo = segmentHeadBytes;
  /** Never rejects. While it runs nothing is written past `#filledTo`, as the zeros would fall on it. */
  #filling: Promise<void> | undefined;
  #fillFailed = false;

  private constructor(files: FileSystem, dir: string, header: SegmentHeader, file: File, bytesMax: number) {
    this.path = join(dir, segmentName(header.number, header.firstSeq));
    this.header = header;
    this.#files = files;
    this.#file = file;
    this.#bytesMax = bytesMax;
  }

  static async create(files: FileSystem, dir: string, header: SegmentHeader, bytesMax: number): Promise<ActiveSegment> {
    const file = await createSegment(files, dir, header);
    return new ActiveSegment(files, dir, header, file, bytesMax);
  }

  /** End of the frames. */
  get position(): number {
    return this.#position;
  }

  /** A frame that is larger than a segment gets one of its own. */
  hasRoomFor(bytes: number): boolean {
    return this.#position === segmentHeadBytes || this.#position + bytes <= this.#bytesMax;
  }

  /** The pieces are on disk, behind what was there, when it resolves. After a rejection the segment can only be sealed. */
  async write(pieces: readonly Uint8Array[], bytes: number): Promise<void> {
    if (this.#filling && this.#position + bytes > this.#filledTo) await this.#filling;
    await this.#file.writev(pieces, this.#position);
    this.#position += bytes;
    this.#filledTo = Math.max(this.#filledTo, this.#position);
    this.#fillAhead();
  }

  /** No more frames. The zeros behind them are given back; if that is lost it costs space only. */
  async seal(): Promise<void> {
    await this.#filling;
    await this.#file.truncate(this.#position).catch(() => undefined);
    await this.#file.close().catch(() => undefined);
  }

  #fillAhead(): void {
    if (this.#filling || this.#fillFailed) return;
    const from = this.#filledTo;
    if (from - this.#position >= fillAheadBytes || from >= this.#bytesMax) return;
    const to = Math.min(this.#bytesMax, from + fillAheadBytes);
    this.#filling = this.#fill(from, to).then(
      () => {
        this.#filledTo = to;
        this.#filling = undefined;
      },
      () => {
        // Without zeros ahead the file grows with each write, which works as well.
        this.#fillFailed = true;
        this.#filling = undefined;
      },
    );
  }

  async #fill(from: number, to: number): Promise<void> {
    // A descriptor of its own, so that the zeros are synced once and not piece by piece.
    const file = await this.#files.open(this.path, 'write');
    try {
      for (let at = from; at < to; at += zeros.byteLength) {
        await file.writev([zeros.subarray(0, Math.min(zeros.byteLength, to - at))], at);
      }
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
