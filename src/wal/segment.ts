import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { Fault, type Signal, signals } from '../base/index.ts';
import type { Damage } from './contract.ts';
import { type File, type FileSystem, hasCode } from './files.ts';
import { findMark, type ParsedFrame, parseFrame, type Seal } from './frame.ts';
import { groupBytesMax } from './limits.ts';

// One segment file: its name, its header, and how its frames are read, damaged ones among them. Drawn in FORMAT.md.

export interface SegmentHeader {
  readonly signal: Signal;
  /** 32 hex digits. */
  readonly logId: string;
  readonly number: number;
  readonly firstSeq: number;
  readonly seal: Seal;
  /** The file was another segment before: behind the frames and the end mark lies what was in that. */
  readonly recycled: boolean;
}

/** A segment as its name tells. */
export interface SegmentName {
  readonly name: string;
  readonly number: number;
  /** Sequence number that its first frame has, or would have had. */
  readonly firstSeq: number;
}

export const formatVersion = 1;
/** Frames start here. */
export const segmentHeadBytes = 4096;
/** Follows the last frame, and is written over by the next one: no frame begins with zeros. */
export const endMark: Uint8Array = new Uint8Array(8);
const headerBytes = 64;
/** The header stands twice, so that damage to one copy costs nothing. */
const copies = [0, 2048] as const;
const magic = Buffer.from('WCATWAL\n', 'latin1');

export function segmentName(number: number, firstSeq: number): string {
  return `${String(number).padStart(10, '0')}-${String(firstSeq).padStart(16, '0')}.segment`;
}

/** The segments among the names of a folder, in log order. */
export function segmentsAmong(names: readonly string[]): SegmentName[] {
  const found: SegmentName[] = [];
  for (const name of names) {
    const match = /^(\d{10})-(\d{16})\.segment$/.exec(name);
    if (match) found.push({ name, number: Number(match[1]), firstSeq: Number(match[2]) });
  }
  return found.sort((a, b) => a.number - b.number);
}

export function newSeal(logId: string, number: number): Seal {
  const mark = randomBytes(8);
  // A mark of zeros would be found in what is filled ahead.
  if (mark.every((byte) => byte === 0)) mark[0] = 1;
  return { mark, seed: seedOf(Buffer.from(logId, 'hex'), number) };
}

function seedOf(logId: Buffer, number: number): number {
  return crc32(String(number), crc32(logId));
}

/** The first 4096 bytes of a segment. */
function encodeHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(segmentHeadBytes);
  const [first, second] = copies;
  magic.copy(bytes, first);
  bytes.writeUInt16LE(formatVersion, first + 8);
  bytes.writeUInt8(signals.indexOf(header.signal), first + 10);
  bytes.writeUInt8(header.recycled ? 1 : 0, first + 11);
  bytes.write(header.logId, first + 12, 'hex');
  header.seal.mark.copy(bytes, first + 28);
  bytes.writeBigUInt64LE(BigInt(header.firstSeq), first + 36);
  bytes.writeBigUInt64LE(BigInt(header.number), first + 44);
  bytes.writeUInt32LE(crc32(bytes.subarray(first, first + 60)), first + 60);
  bytes.copy(bytes, second, first, headerBytes);
  return bytes;
}

type DecodedHeader =
  | { readonly kind: 'header'; readonly header: SegmentHeader }
  | { readonly kind: 'newer'; readonly version: number }
  | { readonly kind: 'damaged' };

/** Size, magic, the place of the version and the checksum are the same in all versions, so that damage is told from a newer one. */
function decodeHeader(bytes: Buffer): DecodedHeader {
  for (const at of copies) {
    const copy = bytes.subarray(at, at + headerBytes);
    if (copy.byteLength < headerBytes || !copy.subarray(0, 8).equals(magic)) continue;
    if (crc32(copy.subarray(0, 60)) !== copy.readUInt32LE(60)) continue;
    const version = copy.readUInt16LE(8);
    if (version > formatVersion) return { kind: 'newer', version };
    const signal = signals[copy.readUInt8(10)];
    if (signal === undefined) continue;
    const logId = copy.subarray(12, 28);
    const number = Number(copy.readBigUInt64LE(44));
    const seal = { mark: Buffer.from(copy.subarray(28, 36)), seed: seedOf(logId, number) };
    const firstSeq = Number(copy.readBigUInt64LE(36));
    const recycled = (copy.readUInt8(11) & 1) !== 0;
    return { kind: 'header', header: { signal, logId: logId.toString('hex'), number, firstSeq, seal, recycled } };
  }
  return { kind: 'damaged' };
}

/** @throws Fault `unprocessable` for a file of a newer version. Nothing was changed then. */
export async function readHeader(file: File, path: string): Promise<SegmentHeader | undefined> {
  const bytes = Buffer.alloc(segmentHeadBytes);
  const got = await file.read(bytes, 0);
  const decoded = decodeHeader(bytes.subarray(0, got));
  if (decoded.kind === 'newer') throw newerVersion(path, decoded.version);
  return decoded.kind === 'header' ? decoded.header : undefined;
}

export function newerVersion(path: string, version: number): Fault {
  return new Fault(
    'unprocessable',
    `${path} has format version ${version}, this release reads up to ${formatVersion}: ` +
      'start the release that wrote it, or set another data folder; nothing was changed',
  );
}

/**
 * Makes a segment under its final name in one step: a crash leaves it whole or not at all.
 * @param spare Path of a file that becomes it.
 * @returns the file, open for durable writes.
 */
export async function createSegment(
  files: FileSystem,
  dir: string,
  header: SegmentHeader,
  spare?: string,
): Promise<File> {
  const path = join(dir, segmentName(header.number, header.firstSeq));
  const aside = spare ?? `${path}.new`;
  const file = await files.open(aside, spare === undefined ? 'createDurable' : 'writeDurable');
  try {
    await file.writev([encodeHeader(header), endMark], 0);
    await files.rename(aside, path);
    await files.fsyncDir(dir);
    return file;
  } catch (error) {
    await file.close().catch(() => undefined);
    await files.unlink(aside).catch(() => undefined);
    throw error;
  }
}

export interface ReadLimits {
  /** Only frames with afterSeq < seq < beforeSeq count; others are left over from a write that failed. */
  readonly afterSeq: number;
  readonly beforeSeq: number;
  readonly bytesMax: number;
  readonly recordsMax: number;
  /** What to read at once. */
  readonly chunkBytes: number;
  /** False: stop where no frame starts. True: look for the next one up to the end of the file. */
  readonly search: boolean;
  /** Bodies of later frames are not checked again; default: all are checked. */
  readonly trustedAfterSeq?: number;
  /** Where a chunk is read to; the frames are views into it and may live long. Default: a new one. */
  readonly allocate?: (bytes: number) => Buffer;
}

export interface ReadFrames {
  readonly frames: readonly ParsedFrame[];
  /** Where to go on. With `end`: behind the last frame. */
  readonly position: number;
  /** 'end': no frame is left. 'gap': no frame starts at `position`, and `search` was false. */
  readonly stopped: 'limits' | 'chunk' | 'gap' | 'end';
  readonly damage: readonly Damage[];
  /** Of the last frame that was read or found damaged; `afterSeq` where there was none. */
  readonly lastSeq: number;
}

/**
 * Reads frames from `position` on, at least one if there is one: one chunk of the file, or more where a frame is
 * larger than a chunk or damage is searched through.
 * @param path For `damage` only.
 */
export async function readFrames(
  file: File,
  header: SegmentHeader,
  path: string,
  position: number,
  limits: ReadLimits,
): Promise<ReadFrames> {
  const frames: ParsedFrame[] = [];
  const damage: Damage[] = [];
  let bytes = 0;
  let records = 0;
  let lastSeq = limits.afterSeq;
  let at = position;
  /** Where the bytes that are no frame begin, while the next frame is looked for. */
  let lostFrom: number | undefined;
  let wanted = limits.chunkBytes;
  for (;;) {
    const chunk = limits.allocate?.(wanted) ?? Buffer.allocUnsafeSlow(wanted);
    const got = await readAround(file, chunk, at);
    const view = got === wanted ? chunk : chunk.subarray(0, got);
    const atEnd = got < wanted;
    let p = 0;
    wanted = limits.chunkBytes;
    for (;;) {
      if (lostFrom !== undefined) {
        const found = findMark(view, p, header.seal);
        if (found === undefined) {
          // The last 7 bytes may be the beginning of a mark.
          p = Math.max(p, view.byteLength - (view.byteLength % 8));
          break;
        }
        p = found;
      }
      const parsed = parseFrame(view, p, header.seal, limits.trustedAfterSeq);
      if (parsed.kind === 'short' && !atEnd) {
        wanted = Math.max(parsed.needBytes, limits.chunkBytes);
        break;
      }
      if (parsed.kind === 'frame' && parsed.frame.seq > lastSeq && parsed.frame.seq < limits.beforeSeq) {
        const { frame } = parsed;
        const full = bytes + frame.body.byteLength > limits.bytesMax || records + frame.records > limits.recordsMax;
        if (full && frames.length > 0) {
          if (lostFrom === undefined) return { frames, position: at + p, stopped: 'limits', damage, lastSeq };
          return { frames, position: lostFrom, stopped: 'limits', damage, lastSeq };
        }
        if (lostFrom !== undefined) {
          damage.push({ path, start: lostFrom, end: at + p, frames: Math.max(0, frame.seq - lastSeq - 1) });
          lostFrom = undefined;
        }
        frames.push(frame);
        bytes += frame.body.byteLength;
        records += frame.records;
        lastSeq = frame.seq;
        p = parsed.next;
      } else if (parsed.kind === 'damagedBody' && parsed.seq > lastSeq && parsed.seq < limits.beforeSeq) {
        if (lostFrom !== undefined) {
          damage.push({ path, start: lostFrom, end: at + p, frames: Math.max(0, parsed.seq - lastSeq - 1) });
          lostFrom = undefined;
        }
        damage.push({ path, start: at + p, end: at + parsed.next, frames: 1 });
        lastSeq = parsed.seq;
        p = parsed.next;
      } else if (!limits.search) {
        return { frames, position: at + p, stopped: 'gap', damage, lastSeq };
      } else if (p >= view.byteLength) {
        break;
      } else {
        lostFrom ??= at + p;
        p += 8;
      }
    }
    if (atEnd && (lostFrom !== undefined || p >= view.byteLength)) {
      return { frames, position: lostFrom ?? at + p, stopped: 'end', damage, lastSeq };
    }
    at += p;
    if (frames.length > 0) return { frames, position: lostFrom ?? at, stopped: 'chunk', damage, lastSeq };
  }
}

const blockBytes = 4096;
const tailChunkBytes = 64 * 1024;
const zeros = Buffer.alloc(tailChunkBytes);

/** Reads; blocks that the disk cannot read any more become zeros, so that they are damage like any other. */
async function readAround(file: File, into: Buffer, position: number): Promise<number> {
  try {
    return await file.read(into, position);
  } catch (error) {
    if (!hasCode(error, 'EIO')) throw error;
  }
  for (let at = 0; at < into.byteLength; at += blockBytes) {
    const block = into.subarray(at, at + blockBytes);
    try {
      const got = await file.read(block, position + at);
      if (got < block.byteLength) return at + got;
    } catch (error) {
      if (!hasCode(error, 'EIO')) throw error;
      block.fill(0);
    }
  }
  return into.byteLength;
}

/**
 * The bytes from `start` on, up to the last one that is not zero; 0 where only zeros are left.
 * What is left of a write that never finished, or of frames that were damaged to the last. In a segment that was another one
 * before nobody can tell where that ends: there it is what one write takes, and 0 where the end mark stands.
 */
export async function tailBytes(file: File, header: SegmentHeader, start: number): Promise<number> {
  const sizeBytes = await file.sizeBytes();
  if (header.recycled) {
    const mark = Buffer.alloc(endMark.length);
    await readAround(file, mark, start);
    return mark.equals(endMark) ? 0 : Math.min(groupBytesMax, sizeBytes - start);
  }
  const chunk = Buffer.allocUnsafe(Math.min(tailChunkBytes, Math.max(0, sizeBytes - start)));
  let last = start;
  for (let at = start; at < sizeBytes; ) {
    const got = await readAround(file, chunk, at);
    if (got === 0) break;
    if (chunk.compare(zeros, 0, got, 0, got) !== 0) {
      let end = got;
      while (chunk[end - 1] === 0) end--;
      last = at + end;
    }
    at += got;
  }
  return last - start;
}

/** Opens for reading; undefined where the file is gone. */
export async function openIfThere(files: FileSystem, path: string): Promise<File | undefined> {
  try {
    return await files.open(path, 'read');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
