import { join } from 'node:path';
import { DigestRows } from './digests.ts';
import type { File, FileSystem } from './files.ts';
import { createSegment, endMark, type SegmentHeader, segmentHeadBytes, segmentName } from './segment.ts';

/** The segment that takes frames. */
export class ActiveSegment {
  readonly path: string;
  readonly header: SegmentHeader;
  /** Digests of its frames, for the file that outlives it. */
  readonly rows = new DigestRows();
  readonly #file: File;
  readonly #bytesMax: number;
  #position = segmentHeadBytes;

  private constructor(dir: string, header: SegmentHeader, file: File, bytesMax: number) {
    this.path = join(dir, segmentName(header.number, header.firstSeq));
    this.header = header;
    this.#file = file;
    this.#bytesMax = bytesMax;
  }

  /** @param spare Path of a file that becomes it. */
  static async create(
    files: FileSystem,
    dir: string,
    header: SegmentHeader,
    bytesMax: number,
    spare: string | undefined,
  ): Promise<ActiveSegment> {
    return new ActiveSegment(dir, header, await createSegment(files, dir, header, spare), bytesMax);
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
    await this.#file.writev([...pieces, endMark], this.#position);
    this.#position += bytes;
  }

  /** No more frames. What lies behind them is given back; if that is lost it costs space only. */
  async seal(): Promise<void> {
    await this.#file.truncate(this.#position).catch(() => undefined);
    await this.#file.close().catch(() => undefined);
  }
}
