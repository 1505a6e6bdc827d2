import { join } from 'node:path';
import { Fault } from '../base/index.ts';
import type { Damage, LogRead, LogReader } from './contract.ts';
import { type File, type FileSystem, hasCode, systemFiles } from './files.ts';
import type { ParsedFrame } from './frame.ts';
import { readBuffersMax, readBytesMax } from './limits.ts';
import { stateName } from './recover.ts';
import {
  openIfThere,
  type ReadFrames,
  readFrames,
  readHeader,
  type SegmentHeader,
  type SegmentName,
  segmentHeadBytes,
  segmentsAmong,
  tailBytes,
} from './segment.ts';
import { PlaceFile } from './slots.ts';
import type { Place, Tail } from './tail.ts';

/** Places that are remembered, so that a batch that is read again is found at once. */
const placesMax = 64;
const readBytesMin = 64 * 1024;

export interface LogReaderOptions {
  readonly dir: string;
  readonly files?: FileSystem;
  /**
   * Frames after this one were written by this very process: their checksum was made a moment ago from the same bytes, and
   * is not made again (a fifth of the cost of forwarding). Those of earlier runs always are. Default: none.
   */
  readonly trustedAfterSeq?: number;
  /** Of the log's owner in this very thread: what it holds is not read from the disk. */
  readonly tail?: Tail;
}

/**
 * Opens a log for reading, in any thread or process, also while its owner writes.
 * @throws Fault `unavailable` where there is no log yet.
 */
export async function openLogReader(options: LogReaderOptions): Promise<LogReader<ParsedFrame>> {
  const files = options.files ?? systemFiles;
  const { dir } = options;
  const state = await PlaceFile.read(files, dir, join(dir, stateName));
  let logId = state.saved?.logId;
  const names = logId === undefined ? await listSegments(files, dir) : [];
  for (const segment of names) {
    const opened = await openSegment(files, dir, segment);
    await opened?.file.close();
    logId ??= opened?.header.logId;
  }
  if (logId === undefined) throw new Fault('unavailable', `no log in ${dir}`, { retryAfterMs: 1_000 });
  return new SegmentReader(files, dir, logId, options);
}

interface OpenedSegment {
  readonly path: string;
  readonly number: number;
  readonly header: SegmentHeader;
  readonly file: File;
}

class SegmentReader implements LogReader<ParsedFrame> {
  readonly logId: string;
  readonly #files: FileSystem;
  readonly #dir: string;
  readonly #trustedAfterSeq: number;
  readonly #tail: Tail | undefined;
  /** Sequence number → where what comes after it starts. The oldest are dropped. */
  readonly #places = new Map<number, Place>();
  #segments: readonly SegmentName[] = [];
  #current: OpenedSegment | undefined;
  /** Mean size of the frames that were read last, for how much to read at once. */
  #frameBytes = readBytesMin;
  /** Reads one after the other: they share the open file. */
  #reading: Promise<unknown> = Promise.resolve();
  /** Given back, each of `readBytesMax`. */
  readonly #free: Buffer[] = [];
  /** Of the read that is under way. */
  #lent: Buffer[] = [];

  constructor(files: FileSystem, dir: string, logId: string, options: LogReaderOptions) {
    this.logId = logId;
    this.#trustedAfterSeq = options.trustedAfterSeq ?? Number.POSITIVE_INFINITY;
    this.#tail = options.tail;
    this.#files = files;
    this.#dir = dir;
  }

  read(
    afterSeq: number,
    throughSeq: number,
    limits: { bytesMax: number; recordsMax: number },
  ): Promise<LogRead<ParsedFrame>> {
    const read = this.#reading.then(() => this.#read(afterSeq, throughSeq, limits));
    this.#reading = read.catch(() => undefined);
    return read;
  }

  /**
   * A megabyte for each read, of which V8 thinks that it lives long: without them coming back, a fifth of the CPU for a span
   * went into marking the heap.
   */
  recycle(buffers: readonly Buffer[]): void {
    for (const buffer of buffers) {
      if (this.#tail?.recycle(buffer) !== true && this.#free.length < readBuffersMax) this.#free.push(buffer);
    }
  }

  readonly #allocate = (bytes: number): Buffer => {
    if (bytes > readBytesMax) return Buffer.allocUnsafeSlow(bytes);
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(readBytesMax);
    this.#lent.push(buffer);
    return buffer.subarray(0, bytes);
  };

  async #read(
    afterSeq: number,
    throughSeq: number,
    limits: { bytesMax: number; recordsMax: number },
  ): Promise<LogRead<ParsedFrame>> {
    const newest = this.#tail?.read(afterSeq, throughSeq, limits);
    if (newest !== undefined) {
      this.#remember(newest.skippedThrough, newest.place);
      return newest;
    }
    const frames: ParsedFrame[] = [];
    const damage: Damage[] = [];
    let after = afterSeq;
    let bytesLeft = limits.bytesMax;
    let recordsLeft = limits.recordsMax;
    let place = after < throughSeq ? await this.#locate(after) : undefined;
    // What is durable lies in segments that are there by now. Without knowing them all, what a failed write left
    // behind in the segment before would be taken for frames.
    if (place && !this.#after(place.segment)) await this.#relistedAfter(place.segment);
    while (after < throughSeq) {
      if (!place) {
        after = throughSeq; // nothing is left of what should be there
        break;
      }
      const opened = await this.#opened(place.segment);
      let next = this.#after(place.segment);
      if (!opened) {
        // Deleted meanwhile, or without a readable header: what can still be read is in later ones.
        next ??= await this.#relistedAfter(place.segment);
        after = Math.max(after, next ? Math.min(next.firstSeq - 1, throughSeq) : throughSeq);
        place = next && { segment: next, position: segmentHeadBytes };
        continue;
      }
      const read = await this.#frames(opened, place.position, {
        afterSeq: after,
        beforeSeq: Math.min(throughSeq + 1, next?.firstSeq ?? Number.POSITIVE_INFINITY),
        bytesMax: bytesLeft,
        recordsMax: recordsLeft,
        chunkBytes: this.#chunkBytes(throughSeq - after, bytesLeft),
        search: false,
      });
      const first = read.frames[0];
      if (first && frames.length > 0 && (first.body.byteLength > bytesLeft || first.records > recordsLeft)) break;
      for (const frame of read.frames) {
        bytesLeft -= frame.body.byteLength;
        recordsLeft -= frame.records;
      }
      frames.push(...read.frames);
      if (first) this.#frameBytes = (read.position - place.position) / read.frames.length;
      damage.push(...read.damage);
      after = read.lastSeq;
      place = { segment: place.segment, position: read.position };
      if (read.stopped !== 'gap') {
        if (read.stopped === 'limits' || bytesLeft <= 0 || recordsLeft <= 0) break;
        continue;
      }
      if (after >= throughSeq) break;
      next ??= await this.#relistedAfter(place.segment);
      if (!next || next.firstSeq > after + 1) {
        if (frames.length > 0) break; // what lies behind the gap comes with the next read
        const found = await this.#search(opened, place.position, after, throughSeq, next);
        damage.push(...found.damage);
        after = found.lastSeq;
        place = { segment: place.segment, position: found.position };
        if (found.more) continue;
        if (!next) break;
      }
      place = { segment: next!, position: segmentHeadBytes };
    }
    if (place) this.#remember(after, place);
    const buffers = this.#lent;
    this.#lent = [];
    return { frames, skippedThrough: after, buffers, damage };
  }

  /** The next frame behind bytes that are none; `more` is false where nothing is left in this segment. */
  async #search(
    opened: OpenedSegment,
    position: number,
    after: number,
    throughSeq: number,
    next: SegmentName | undefined,
  ): Promise<{ more: boolean; position: number; lastSeq: number; damage: readonly Damage[] }> {
    const lastSeq = Math.min(throughSeq, next ? next.firstSeq - 1 : throughSeq);
    const read = await this.#frames(opened, position, {
      afterSeq: after,
      beforeSeq: lastSeq + 1,
      bytesMax: 0,
      recordsMax: 0,
      chunkBytes: readBytesMax,
      search: true,
    });
    const first = read.frames[0];
    if (first || read.lastSeq > after) {
      // The frame itself is read again from its place, within the limits of the caller.
      const end = first ? (read.damage.at(-1)?.end ?? position) : read.position;
      return { more: true, position: end, lastSeq: first ? first.seq - 1 : read.lastSeq, damage: read.damage };
    }
    const tail = await tailBytes(opened.file, opened.header, position);
    // Numbers that were never given out leave nothing behind; frames that were there do.
    const damage = { path: opened.path, start: position, end: position + tail, frames: lastSeq - after };
    return { more: false, position, lastSeq, damage: tail > 0 ? [damage] : [] };
  }

  #frames(
    { file, header, path }: OpenedSegment,
    position: number,
    limits: Omit<Parameters<typeof readFrames>[4], 'trustedAfterSeq'>,
  ): Promise<ReadFrames> {
    return readFrames(file, header, path, position, {
      ...limits,
      trustedAfterSeq: this.#trustedAfterSeq,
      allocate: this.#allocate,
    });
  }

  /** As much as the frames that are asked for are likely to take. */
  #chunkBytes(frames: number, bytesMax: number): number {
    const wanted = Math.min(bytesMax, 1.25 * frames * this.#frameBytes);
    return 4096 * Math.ceil(Math.max(readBytesMin, Math.min(readBytesMax, wanted)) / 4096);
  }

  /** Where the frame after `seq` starts. */
  async #locate(seq: number): Promise<Place | undefined> {
    const known = this.#places.get(seq);
    if (known) return known;
    let segment = holding(this.#segments, seq + 1);
    if (!segment || !this.#after(segment)) {
      this.#segments = await listSegments(this.#files, this.#dir);
      segment = holding(this.#segments, seq + 1);
    }
    if (!segment) return undefined;
    let position = segmentHeadBytes;
    let last = segment.firstSeq - 1;
    const opened = last < seq ? await this.#opened(segment) : undefined;
    let search = false;
    while (opened && last < seq) {
      const read = await this.#frames(opened, position, {
        afterSeq: last,
        beforeSeq: seq + 1,
        bytesMax: Number.POSITIVE_INFINITY,
        recordsMax: Number.POSITIVE_INFINITY,
        chunkBytes: readBytesMax,
        search,
      });
      position = read.position;
      last = read.lastSeq;
      if (read.stopped === 'end') break;
      search = read.stopped === 'gap';
    }
    return { segment, position };
  }

  #remember(seq: number, place: Place): void {
    this.#places.delete(seq);
    this.#places.set(seq, place);
    for (const oldest of this.#places.keys()) {
      if (this.#places.size <= placesMax) break;
      this.#places.delete(oldest);
    }
  }

  #after({ number }: SegmentName): SegmentName | undefined {
    return this.#segments.find((segment) => segment.number > number);
  }

  /** Looks at the folder again first. */
  async #relistedAfter(segment: SegmentName): Promise<SegmentName | undefined> {
    this.#segments = await listSegments(this.#files, this.#dir);
    return this.#after(segment);
  }

  async #opened(segment: SegmentName): Promise<OpenedSegment | undefined> {
    const { number } = segment;
    if (this.#current?.number === number) return this.#current;
    await this.#current?.file.close();
    this.#current = undefined;
    const opened = await openSegment(this.#files, this.#dir, segment);
    if (opened && opened.header.logId !== this.logId) {
      await opened.file.close();
      return undefined;
    }
    this.#current = opened && { ...opened, number };
    return this.#current;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reading;
    const current = this.#current;
    this.#current = undefined;
    await current?.file.close();
  }
}

/** The segment in which a number must be; the first of all where it is older. */
function holding(segments: readonly SegmentName[], seq: number): SegmentName | undefined {
  return segments.findLast(({ firstSeq }) => firstSeq <= seq) ?? segments[0];
}

async function listSegments(files: FileSystem, dir: string): Promise<readonly SegmentName[]> {
  try {
    return segmentsAmong(await files.readdir(dir));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

/** undefined where it is gone, has no header that can be read, or has become another segment after its name was looked up. */
async function openSegment(files: FileSystem, dir: string, { name, number, firstSeq }: SegmentName) {
  const path = join(dir, name);
  const file = await openIfThere(files, path);
  if (!file) return undefined;
  const header = await readHeader(file, path);
  if (header?.number === number && header.firstSeq === firstSeq) return { path, header, file };
  await file.close();
  return undefined;
}
