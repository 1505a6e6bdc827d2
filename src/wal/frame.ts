import { crc32 } from 'node:zlib';
import { type Frame, type Signal, signals } from '../base/index.ts';
import type { Answer } from './contract.ts';
import { frameBytesMax, headTextBytesMax } from './limits.ts';

// Frames as bytes. Drawn in FORMAT.md. Pure: no file is touched here.

/** What makes the frames of one segment valid in that segment only: never shown outside, so that nobody can forge one. */
export interface Seal {
  /** 8 random bytes at the head of each frame; a reader that lost its place looks for them. */
  readonly mark: Buffer;
  /** Start value of every checksum: made of log id and segment number. */
  readonly seed: number;
}

/** What a frame says beside its body. */
export interface FrameFields {
  readonly seq: number;
  readonly signal: Signal;
  readonly tenant: string;
  readonly digest: Uint8Array;
  readonly receivedUnixNano: bigint;
  readonly records: number;
  readonly answer: Answer;
  readonly recognise: boolean;
  /** Destinations that are still owed the frame, as `joinOwed` has them; '' for all. */
  readonly outstanding: string;
}

/** A frame with all that its log knows of it. */
export interface ParsedFrame extends FrameFields, Frame {
  readonly outstanding: string;
}

/** Bytes before tenant, outstanding destinations, message and body. */
export const fixedBytes = 72;
const alignment = 8;

export interface EncodedHead {
  /** Fixed part, tenant, outstanding destinations and message. */
  readonly head: Buffer;
  /** Head and body, without padding. */
  readonly sizeBytes: number;
}

/** Zeros that follow a frame of this size, so that the next one starts at a multiple of 8. */
export function paddingOf(sizeBytes: number): number {
  return (alignment - (sizeBytes % alignment)) % alignment;
}

/** The head of a frame without what only its place in a segment can say: mark, sequence number and checksums. */
export function encodeHead(fields: Omit<FrameFields, 'seq'>, bodyBytes: number): EncodedHead {
  const { tenant, outstanding, answer } = fields;
  const tenantBytes = tenant === '' ? 0 : Buffer.byteLength(tenant);
  const outstandingBytes = outstanding === '' ? 0 : Buffer.byteLength(outstanding);
  const messageBytes = answer.message === '' ? 0 : Buffer.byteLength(answer.message);
  if (Math.max(tenantBytes, outstandingBytes, messageBytes) > headTextBytesMax) {
    throw new RangeError(`a tenant, message or list of destinations of more than ${headTextBytesMax} bytes`);
  }
  if (fields.digest.byteLength !== 16) throw new RangeError('a digest has 16 bytes');
  const head = Buffer.allocUnsafe(fixedBytes + tenantBytes + outstandingBytes + messageBytes);
  const sizeBytes = head.byteLength + bodyBytes;
  if (sizeBytes > frameBytesMax) throw new RangeError(`a frame of ${sizeBytes} bytes`);
  head.writeUInt32LE(sizeBytes, 8);
  head.writeBigUInt64LE(fields.receivedUnixNano, 24);
  head.set(fields.digest, 32);
  head.writeUInt32LE(fields.records, 48);
  head.writeUInt32LE(answer.rejected, 56);
  head.writeUInt32LE(messageBytes, 60);
  head.writeUInt16LE(tenantBytes, 64);
  head.writeUInt16LE(outstandingBytes, 66);
  head.writeUInt8(signals.indexOf(fields.signal), 68);
  head.writeUInt8(fields.recognise ? 1 : 0, 69);
  head.writeUInt16LE(0, 70);
  if (tenantBytes > 0) head.write(tenant, fixedBytes);
  if (outstandingBytes > 0) head.write(outstanding, fixedBytes + tenantBytes);
  if (messageBytes > 0) head.write(answer.message, fixedBytes + tenantBytes + outstandingBytes);
  return { head, sizeBytes };
}

/** Completes a head for its place: the frame is then valid in this segment, under this number, and nowhere else. */
export function sealHead(head: Buffer, pieces: readonly Uint8Array[], seq: number, seal: Seal): void {
  head.set(seal.mark, 0);
  head.writeUInt32LE(seq >>> 0, 16);
  head.writeUInt32LE(Math.floor(seq / 2 ** 32), 20);
  let bodyCrc = seal.seed;
  for (const piece of pieces) bodyCrc = crc32(piece, bodyCrc);
  head.writeUInt32LE(bodyCrc, 52);
  head.writeUInt32LE(headCrc(head, seal), 12);
}

/** Over the head without mark and the checksum itself. The body's own checksum is in it. */
function headCrc(head: Buffer, seal: Seal): number {
  return crc32(head.subarray(16), crc32(head.subarray(8, 12), seal.seed));
}

export type Parsed =
  | { readonly kind: 'frame'; readonly frame: ParsedFrame; readonly next: number }
  /** The head is whole and says where the next frame starts; the body is damaged. */
  | { readonly kind: 'damagedBody'; readonly seq: number; readonly next: number }
  /** `needBytes` from the frame's start on are needed to say more. */
  | { readonly kind: 'short'; readonly needBytes: number }
  /** No frame starts here. */
  | { readonly kind: 'none' };

const none: Parsed = { kind: 'none' };

/**
 * The frame that starts at `at`. Its digest and body are views into `bytes`, not copies.
 * @param trustedAfterSeq The bodies of later frames are not checked again: see `LogReaderOptions`.
 * @returns `next`: where a further frame would start.
 */
export function parseFrame(
  bytes: Buffer,
  at: number,
  seal: Seal,
  trustedAfterSeq: number = Number.POSITIVE_INFINITY,
): Parsed {
  const rest = bytes.byteLength - at;
  if (rest < alignment) return { kind: 'short', needBytes: fixedBytes };
  if (bytes.compare(seal.mark, 0, alignment, at, at + alignment) !== 0) return none;
  if (rest < fixedBytes) return { kind: 'short', needBytes: fixedBytes };
  const sizeBytes = bytes.readUInt32LE(at + 8);
  const messageBytes = bytes.readUInt32LE(at + 60);
  const tenantBytes = bytes.readUInt16LE(at + 64);
  const outstandingBytes = bytes.readUInt16LE(at + 66);
  const headBytes = fixedBytes + tenantBytes + outstandingBytes + messageBytes;
  // Before the checksum is known to be right, no number of a damaged head may make us read half a gigabyte.
  if (sizeBytes > frameBytesMax || headBytes > sizeBytes || messageBytes > headTextBytesMax) return none;
  if (rest < headBytes) return { kind: 'short', needBytes: headBytes };
  const head = bytes.subarray(at, at + headBytes);
  if (headCrc(head, seal) !== head.readUInt32LE(12)) return none;
  const signal = signals[head.readUInt8(68)];
  if (signal === undefined) return none;
  if (rest < sizeBytes) return { kind: 'short', needBytes: sizeBytes };
  const seq = head.readUInt32LE(16) + head.readUInt32LE(20) * 2 ** 32;
  const next = at + sizeBytes + paddingOf(sizeBytes);
  const body = plainView(bytes, at + headBytes, at + sizeBytes);
  if (seq <= trustedAfterSeq && crc32(body, seal.seed) !== head.readUInt32LE(52)) {
    return { kind: 'damagedBody', seq, next };
  }
  const text = (from: number, length: number) => (length === 0 ? '' : head.toString('utf8', from, from + length));
  return {
    kind: 'frame',
    next,
    frame: {
      seq,
      signal,
      tenant: text(fixedBytes, tenantBytes),
      outstanding: text(fixedBytes + tenantBytes, outstandingBytes),
      digest: plainView(head, 32, 48),
      receivedUnixNano: head.readBigUInt64LE(24),
      records: head.readUInt32LE(48),
      answer: {
        rejected: head.readUInt32LE(56),
        message: text(fixedBytes + tenantBytes + outstandingBytes, messageBytes),
      },
      recognise: head.readUInt8(69) === 1,
      body,
    },
  };
}

/** Not a Buffer, whose `slice` gives another view where a reader of code expects a copy: what these are views into is used again. */
function plainView(bytes: Buffer, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
}

/** Where the next frame may start, at or after `at`, at a multiple of 8; undefined where no mark is left. */
export function findMark(bytes: Buffer, at: number, seal: Seal): number | undefined {
  let found = bytes.indexOf(seal.mark, at);
  while (found !== -1 && found % alignment !== 0) found = bytes.indexOf(seal.mark, found + 1);
  return found === -1 ? undefined : found;
}
