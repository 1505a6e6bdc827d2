import { uncompressSync } from 'snappy';
import { Fault } from '../base/index.ts';

/**
 * Decompresses snappy, as a block or as a framed stream: HTTP clients mean the block by "snappy" (older Collectors the stream),
 * gRPC clients the stream. Which it is shows in the first bytes, since those of a stream are no valid block.
 * @throws Fault `malformed`, `tooLarge` (a block that declares too much is refused before anything is allocated).
 */
export function unsnap(body: Uint8Array, bytesMax: number): Uint8Array {
  return isFramed(body) ? unsnapFrames(body, bytesMax) : unsnapBlock(body, bytesMax);
}

function isFramed(body: Uint8Array): boolean {
  return body.length >= identifier.length && identifier.every((byte, i) => body[i] === byte);
}

/** Type 0xff, length 6, "sNaPpY". Source: google/snappy framing_format.txt, 4.1. */
const identifier = [0xff, 0x06, 0x00, 0x00, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59] as const;
/** Uncompressed bytes a chunk of a stream may hold. Source: ditto, 4.2. */
const chunkBytesMax = 65_536;

function unsnapBlock(block: Uint8Array, bytesMax: number): Uint8Array {
  const declared = blockSize(block);
  if (declared === undefined) throw malformed('has no length');
  if (declared > bytesMax) throw new Fault('tooLarge', `request is larger than ${bytesMax} bytes`);
  // No element of the format makes more than 64 bytes of two: what declares more lies, and is not worth its allocation.
  if (declared > block.length * 32) throw malformed('declares more than it can hold');
  let plain: string | Buffer;
  try {
    plain = uncompressSync(block, uncompressOptions);
  } catch (thrown) {
    throw new Fault('malformed', 'body is not valid snappy', { cause: thrown });
  }
  if (typeof plain === 'string' || plain.length !== declared) throw malformed('has another size than declared');
  return plain;
}

// Copied into a buffer that V8 owns: one that the library owns cannot be handed from thread to thread.
const uncompressOptions = { asBuffer: true, copyOutputData: true };

/** The varint that a block begins with; undefined when it is longer than 32 bits or cut short. */
function blockSize(block: Uint8Array): number | undefined {
  let size = 0;
  for (let i = 0; i < 5; i++) {
    const byte = block[i];
    if (byte === undefined) return undefined;
    size += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return size <= 0xffff_ffff ? size : undefined;
  }
  return undefined;
}

function unsnapFrames(stream: Uint8Array, bytesMax: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (let at = 0; at < stream.length; ) {
    if (at + 4 > stream.length) throw malformed('is cut short');
    const type = stream[at] as number;
    const length = (stream[at + 1] as number) | ((stream[at + 2] as number) << 8) | ((stream[at + 3] as number) << 16);
    const end = at + 4 + length;
    if (end > stream.length) throw malformed('is cut short');
    if (type <= 1) {
      if (length < 4) throw malformed('has a chunk without a checksum');
      const data = stream.subarray(at + 8, end);
      const plain = type === 0 ? unsnapBlock(data, chunkBytesMax) : data;
      if (plain.length > chunkBytesMax) throw malformed('has a chunk that is too large');
      const checksum = new DataView(stream.buffer, stream.byteOffset + at + 4, 4).getUint32(0, true);
      if (masked(crc32c(plain)) !== checksum) throw malformed('has a chunk whose checksum is wrong');
      total += plain.length;
      if (total > bytesMax) throw new Fault('tooLarge', `request is larger than ${bytesMax} bytes`);
      chunks.push(plain);
    } else if (type < 0x80) {
      throw malformed(`has a chunk of the unknown type ${type}`); // 4.5: types 0x02 to 0x7f must not be skipped
    }
    at = end;
  }
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks, total);
}

function malformed(what: string): Fault {
  return new Fault('malformed', `body is not valid snappy: it ${what}`);
}

/** Source: framing_format.txt, 3. */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const tables = crcTables();

/** CRC-32C (Castagnoli), eight bytes a round; zlib has only the other polynomial. */
function crc32c(bytes: Uint8Array): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tables;
  let crc = -1;
  let i = 0;
  for (const end = bytes.length - 7; i < end; i += 8) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    crc =
      t7[crc & 0xff]! ^
      t6[(crc >>> 8) & 0xff]! ^
      t5[(crc >>> 16) & 0xff]! ^
      t4[crc >>> 24]! ^
      t3[bytes[i + 4]!]! ^
      t2[bytes[i + 5]!]! ^
      t1[bytes[i + 6]!]! ^
      t0[bytes[i + 7]!]!;
  }
  for (; i < bytes.length; i++) crc = t0[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}

type EightTables = readonly [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

function crcTables(): EightTables {
  const made = Array.from({ length: 8 }, () => new Int32Array(256));
  const first = made[0]!;
  for (let n = 0; n < 256; n++) {
    let crc = n;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    first[n] = crc;
  }
  for (let table = 1; table < 8; table++) {
    for (let n = 0; n < 256; n++) {
      const before = made[table - 1]![n]!;
      made[table]![n] = first[before & 0xff]! ^ (before >>> 8);
    }
  }
  return made as unknown as EightTables;
}
