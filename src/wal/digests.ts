import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { type FileSystem, hasCode } from './files.ts';
import type { Remembered } from './repeats.ts';
import { formatVersion, newerVersion, segmentsAmong } from './segment.ts';

// The digests of one segment's frames in a file of its own: it outlives the segment until the window has passed, and at
// boot it is read in place of the segment. Written when the segment is sealed; the digests of the open segment are in its
// frames, so that no request costs a second synced write. Drawn in FORMAT.md.

const magic = Buffer.from('WCATDIG\n', 'latin1');
const headBytes = 40;
const rowBytes = 32;

export function digestsName(segmentName: string): string {
  return segmentName.replace(/\.segment$/, '.digests');
}

/** The names of digest files, as those of their segments. */
export function digestFilesAmong(names: readonly string[]): { name: string; number: number; firstSeq: number }[] {
  const segments = names
    .filter((name) => name.endsWith('.digests'))
    .map((name) => name.replace(/\.digests$/, '.segment'));
  return segmentsAmong(segments).map((segment) => ({ ...segment, name: digestsName(segment.name) }));
}

/** The rows of one segment, packed as they come: 32 bytes a frame. */
export class DigestRows {
  #rows = Buffer.allocUnsafe(64 * rowBytes);
  #count = 0;
  #newestUnixNano = 0n;
  /** What stands behind the rows, by its bytes as text, and the rows that it is of: many have the same. */
  readonly #texts = new Map<string, number[]>();

  get newestUnixNano(): bigint {
    return this.#newestUnixNano;
  }

  add({ digest, receivedUnixNano, answer, outstanding }: Remembered): void {
    const at = this.#count * rowBytes;
    if (at === this.#rows.byteLength) {
      const larger = Buffer.allocUnsafe(2 * at);
      this.#rows.copy(larger);
      this.#rows = larger;
    }
    this.#rows.set(digest, at);
    this.#rows.writeBigUInt64LE(receivedUnixNano, at + 16);
    this.#rows.writeUInt32LE(answer.rejected, at + 24);
    this.#rows.writeUInt32LE(0, at + 28);
    if (answer.message !== '' || outstanding !== '') {
      const text = Buffer.concat([withLength(answer.message), withLength(outstanding)]).toString('latin1');
      const rows = this.#texts.get(text);
      if (rows === undefined) this.#texts.set(text, [this.#count]);
      else rows.push(this.#count);
    }
    if (receivedUnixNano > this.#newestUnixNano) this.#newestUnixNano = receivedUnixNano;
    this.#count++;
  }

  /** As if written and read back. */
  decoded(logId: string): Digests {
    const digests = Digests.decode(this.encode(logId), '');
    if (digests === undefined) throw new Error('digests that were just encoded do not decode');
    return digests;
  }

  /** The file of these rows. */
  encode(logId: string): Buffer {
    const rows = this.#rows.subarray(0, this.#count * rowBytes);
    const texts: Buffer[] = [];
    let textAt = headBytes + rows.byteLength;
    for (const [text, itsRows] of this.#texts) {
      for (const row of itsRows) rows.writeUInt32LE(textAt, row * rowBytes + 28);
      texts.push(Buffer.from(text, 'latin1'));
      textAt += text.length;
    }
    const head = Buffer.alloc(headBytes);
    magic.copy(head);
    head.writeUInt16LE(formatVersion, 8);
    head.writeUInt32LE(this.#count, 12);
    head.write(logId, 16, 'hex');
    head.writeBigUInt64LE(this.#newestUnixNano, 32);
    const bytes = Buffer.concat([head, rows, ...texts, Buffer.alloc(4)]);
    const end = bytes.byteLength - 4;
    bytes.writeUInt32LE(crc32(bytes.subarray(0, end)), end);
    return bytes;
  }
}

/** The rows of a file, decoded one by one: there may be a million. */
export class Digests {
  readonly logId: string;
  readonly newestUnixNano: bigint;
  readonly #bytes: Buffer;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.logId = bytes.toString('hex', 16, 32);
    this.newestUnixNano = bytes.readBigUInt64LE(32);
  }

  /**
   * @returns undefined for damaged bytes.
   * @throws Fault `unprocessable` for a newer version.
   */
  static decode(bytes: Buffer, path: string): Digests | undefined {
    if (bytes.byteLength < headBytes + 4 || !bytes.subarray(0, 8).equals(magic)) return undefined;
    const end = bytes.byteLength - 4;
    if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32LE(end)) return undefined;
    const version = bytes.readUInt16LE(8);
    if (version > formatVersion) throw newerVersion(path, version);
    return new Digests(bytes);
  }

  /** In the order of the frames. */
  *rows(): Generator<Remembered> {
    const bytes = this.#bytes;
    const count = bytes.readUInt32LE(12);
    for (let at = headBytes; at < headBytes + count * rowBytes; at += rowBytes) {
      const textAt = bytes.readUInt32LE(at + 28);
      const message = textAt === 0 ? empty : textIn(bytes, textAt);
      const outstanding = textAt === 0 ? empty : textIn(bytes, message.end);
      yield {
        digest: bytes.subarray(at, at + 16),
        receivedUnixNano: bytes.readBigUInt64LE(at + 16),
        answer: { rejected: bytes.readUInt32LE(at + 24), message: message.text },
        outstanding: outstanding.text,
      };
    }
  }
}

const empty = { text: '', end: 0 };

function textIn(bytes: Buffer, at: number): { readonly text: string; readonly end: number } {
  const end = at + 2 + bytes.readUInt16LE(at);
  return { text: bytes.toString('utf8', at + 2, end), end };
}

function withLength(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16LE(bytes.byteLength);
  return Buffer.concat([length, bytes]);
}

/** The digest files of a log: which are there, which are still to be written, and which the window has passed. */
export class DigestFiles {
  readonly #files: FileSystem;
  readonly #dir: string;
  readonly #windowMs: number;
  readonly #kept: { name: string; newestUnixNano: bigint }[];
  /** By the segment's number. */
  readonly #unwritten = new Map<number, { name: string; rows: DigestRows }>();

  constructor(
    files: FileSystem,
    dir: string,
    windowMs: number,
    kept: readonly { name: string; newestUnixNano: bigint }[],
  ) {
    this.#files = files;
    this.#dir = dir;
    this.#windowMs = windowMs;
    this.#kept = [...kept];
  }

  /** A segment was sealed: the next `write` makes its file. */
  add(segment: { number: number; name: string }, rows: DigestRows): void {
    this.#unwritten.set(segment.number, { name: digestsName(segment.name), rows });
  }

  /** The segment must stay until its digests are on disk. */
  needs(segmentNumber: number): boolean {
    return this.#unwritten.has(segmentNumber);
  }

  get hasWork(): boolean {
    return this.#unwritten.size > 0 || this.#kept.length > 0;
  }

  /** @param isThere Whether a segment of this name is: its digests stay with it. */
  async write(logId: string, nowUnixNano: bigint, isThere: (segmentName: string) => boolean): Promise<void> {
    for (const [number, { name, rows }] of this.#unwritten) {
      await writeDigests(this.#files, this.#dir, name, rows.encode(logId));
      this.#unwritten.delete(number);
      this.#kept.push({ name, newestUnixNano: rows.newestUnixNano });
    }
    const before = nowUnixNano - BigInt(this.#windowMs) * 1_000_000n;
    for (let at = 0; at < this.#kept.length; ) {
      const { name, newestUnixNano } = this.#kept[at]!;
      if (newestUnixNano >= before || isThere(name.replace(/\.digests$/, '.segment'))) {
        at++;
      } else {
        this.#kept.splice(at, 1);
        await this.#files.unlink(join(this.#dir, name)).catch(() => undefined); // left over, it is passed over
      }
    }
  }
}

/** Written aside, synced and renamed: there whole or not at all. */
export async function writeDigests(files: FileSystem, dir: string, name: string, bytes: Buffer): Promise<void> {
  const path = join(dir, name);
  const file = await files.open(`${path}.new`, 'create');
  try {
    await file.writev([bytes], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(`${path}.new`, path);
  await files.fsyncDir(dir);
}

/** undefined where there is none, or a damaged one. */
export async function readDigests(files: FileSystem, path: string): Promise<Digests | undefined> {
  try {
    const file = await files.open(path, 'read');
    try {
      const bytes = Buffer.alloc(await file.sizeBytes());
      const got = await file.read(bytes, 0);
      return Digests.decode(bytes.subarray(0, got), path);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'EIO')) return undefined;
    throw error;
  }
}
