import { constants, zstdCompressSync } from 'node:zlib';
import type { Chunk, ColumnData, ColumnSpec, ColumnType } from './columns.ts';
import { pageBytesMax, rowGroupRows } from './limits.ts';
import { binary, encodeThrift, fieldOf, i32, i64, list, numberOf, struct, type Thrift } from './thrift.ts';

// Hot rows as a Parquet file: data pages of version 1, all columns optional, types and annotations as DuckDB writes them, so
// that row groups of both can be in one file. Source: apache/parquet-format, README.md, Encodings.md, parquet.thrift.
//
// A roll costs 0.9 µs of CPU for a span of 400 bytes, half of it compression; DuckDB's COPY took 3.5.

const magic = Buffer.from('PAR1');
const codec = { uncompressed: 0, zstd: 6 } as const;
const encoding = { plain: 0, rle: 3, rleDictionary: 8 } as const;
const pageType = { data: 0, dictionary: 2 } as const;
const optional = 1;

/** Parquet's physical type and the annotation (`ConvertedType`) or logical type. */
const types = {
  uuid: { physical: 7, converted: undefined },
  u64: { physical: 2, converted: 14 },
  i64: { physical: 2, converted: 18 },
  i32: { physical: 1, converted: 17 },
  f64: { physical: 5, converted: undefined },
  bool: { physical: 0, converted: undefined },
  text: { physical: 6, converted: 0 },
  blob: { physical: 6, converted: undefined },
} as const satisfies Record<ColumnType, { physical: number; converted: number | undefined }>;

/** Texts longer than this have no place in statistics. */
const statisticsBytesMax = 64;

/** `SchemaElement` of a column. */
function schemaElement({ name, type }: ColumnSpec): Thrift {
  const { physical, converted } = types[type];
  return struct({
    1: i32(physical),
    2: type === 'uuid' ? i32(16) : undefined,
    3: i32(optional),
    4: binary(name),
    6: converted === undefined ? undefined : i32(converted),
    10: type === 'uuid' ? struct({ 14: struct({}) }) : undefined,
  });
}

/** `FileMetaData` with what follows it to the end of the file. */
export function footer(columns: readonly Thrift[], rowGroups: readonly Thrift[], rows: number): Uint8Array {
  const root = struct({ 3: i32(0), 4: binary('watchingcat'), 5: i32(columns.length) });
  const metadata = encodeThrift(
    struct({
      1: i32(1),
      2: list('struct', [root, ...columns]),
      3: i64(rows),
      4: list('struct', rowGroups),
      6: binary('WatchingCat'),
    }),
  );
  const size = Buffer.alloc(4);
  size.writeUInt32LE(metadata.length);
  return Buffer.concat([metadata, size, magic]);
}

/** A column chunk at `at` without a value. @param element the column's `SchemaElement`. */
export function columnOfNulls(
  element: Thrift,
  name: string,
  rows: number,
  at: number,
): { page: Buffer; chunk: Thrift } {
  const levels = Buffer.from([...varint(rows * 2), 0]);
  const body = Buffer.alloc(4 + levels.length);
  body.writeUInt32LE(levels.length);
  body.set(levels, 4);
  const head = encodeThrift(
    struct({
      1: i32(pageType.data),
      2: i32(body.length),
      3: i32(body.length),
      5: struct({ 1: i32(rows), 2: i32(encoding.plain), 3: i32(encoding.rle), 4: i32(encoding.rle) }),
    }),
  );
  const page = Buffer.concat([head, body]);
  const metadata = struct({
    1: i32(numberOf(fieldOf(element, 1))),
    2: list('i32', [i32(encoding.plain), i32(encoding.rle)]),
    3: list('binary', [binary(name)]),
    4: i32(codec.uncompressed),
    5: i64(rows),
    6: i64(page.length),
    7: i64(page.length),
    9: i64(at),
    12: struct({ 3: i64(rows) }),
  });
  return { page, chunk: struct({ 2: i64(0), 3: metadata }) };
}

/** A file in pieces, in order. */
export class ParquetPieces {
  readonly pieces: Uint8Array[] = [magic];
  sizeBytes: number = magic.length;

  add(piece: Uint8Array): void {
    this.pieces.push(piece);
    this.sizeBytes += piece.length;
  }
}

/**
 * Encodes rows.
 * @param specs  of the columns that the file has.
 * @param chunks Their columns are those that `pick` chooses, in the order of `specs`.
 * @param pause  Called between columns: what else waits for this thread goes first.
 */
export async function encodeParquet(
  specs: readonly ColumnSpec[],
  chunks: readonly { readonly rows: number; readonly columns: readonly ColumnData[] }[],
  pause: () => Promise<void>,
): Promise<ParquetPieces> {
  const file = new ParquetPieces();
  const rowGroups: Thrift[] = [];
  let total = 0;
  for (let at = 0; at < chunks.length; ) {
    const group: Chunk[] = [];
    let rows = 0;
    // A group goes on only after a chunk whose bits fill whole bytes.
    while (at < chunks.length && (rows === 0 || (rows + chunks[at]!.rows <= rowGroupRows && rows % 8 === 0))) {
      rows += chunks[at]!.rows;
      group.push(chunks[at++]!);
    }
    const began = file.sizeBytes;
    let uncompressed = 0;
    const columns: Thrift[] = [];
    for (const [index, spec] of specs.entries()) {
      const parts = group.map(({ rows, columns }) => ({ rows, data: columns[index]! }));
      const { chunk, uncompressedBytes } = encodeColumn(file, spec, parts, rows);
      columns.push(chunk);
      uncompressed += uncompressedBytes;
      await pause();
    }
    rowGroups.push(
      struct({
        1: list('struct', columns),
        2: i64(uncompressed),
        3: i64(rows),
        5: i64(began),
        6: i64(file.sizeBytes - began),
      }),
    );
    total += rows;
  }
  file.add(footer(specs.map(schemaElement), rowGroups, total));
  return file;
}

interface Part {
  readonly rows: number;
  readonly data: ColumnData;
}

/** Writes one column chunk. @returns its `ColumnChunk`. */
function encodeColumn(
  file: ParquetPieces,
  spec: ColumnSpec,
  parts: readonly Part[],
  rows: number,
): { chunk: Thrift; uncompressedBytes: number } {
  const began = file.sizeBytes;
  const compressed = spec.random !== true;
  let uncompressedBytes = 0;
  const page = (body: Uint8Array, header: { readonly [id: number]: Thrift }) => {
    const bytes = compressed ? compress(body) : body;
    const head = encodeThrift(struct({ 2: i32(body.length), 3: i32(bytes.length), ...header }));
    file.add(head);
    file.add(bytes);
    uncompressedBytes += head.length + body.length;
  };
  const nulls = rows - parts.reduce((sum, part) => sum + countValid(part), 0);
  const coded = parts.find(({ data }) => data.dictionary !== undefined)?.data.dictionary;
  const used = new Set<number>([encoding.rle]);
  let dictionaryAt: number | undefined;
  if (coded !== undefined && coded.count > 0) {
    dictionaryAt = file.sizeBytes;
    used.add(encoding.plain);
    page(coded.heap.subarray(0, coded.used), {
      1: i32(pageType.dictionary),
      7: struct({ 1: i32(coded.count), 2: i32(encoding.plain) }),
    });
  }
  const dataAt = file.sizeBytes;
  for (const pageParts of pagesOf(parts)) {
    const { body, values, way } = encodePage(spec, pageParts);
    used.add(way);
    page(body, {
      1: i32(pageType.data),
      5: struct({ 1: i32(values), 2: i32(way), 3: i32(encoding.rle), 4: i32(encoding.rle) }),
    });
  }
  const range = statistics(spec, parts);
  const metadata = struct({
    1: i32(types[spec.type].physical),
    2: list('i32', [...used].map(i32)),
    3: list('binary', [binary(spec.name)]),
    4: i32(compressed ? codec.zstd : codec.uncompressed),
    5: i64(rows),
    6: i64(uncompressedBytes),
    7: i64(file.sizeBytes - began),
    9: i64(dataAt),
    11: dictionaryAt === undefined ? undefined : i64(dictionaryAt),
    12: struct({
      3: i64(nulls),
      5: range === undefined ? undefined : binary(range.most),
      6: range === undefined ? undefined : binary(range.least),
    }),
  });
  return { chunk: struct({ 2: i64(0), 3: metadata }), uncompressedBytes };
}

const zstd = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** Level 1: 0.43 µs for a span's record, to an eighth of its size. Snappy is not faster here, and half as good. */
function compress(body: Uint8Array): Uint8Array {
  const chunkSize = Math.min(256 * 1024, Math.max(1024, body.length >> 2));
  return zstdCompressSync(body, { ...zstd, chunkSize });
}

/** Parts that are a page together: encoded in one way, and up to `pageBytesMax`, so that a reader of few rows reads little. */
function* pagesOf(parts: readonly Part[]): Iterable<readonly Part[]> {
  let page: Part[] = [];
  let bytes = 0;
  for (const part of parts) {
    const { dictionary, heapUsed } = part.data;
    const size = dictionary === undefined ? heapUsed + part.data.u32.byteLength : part.rows * 2;
    const other = page.length > 0 && page[0]!.data.dictionary !== dictionary;
    if (page.length > 0 && (other || bytes + size > pageBytesMax)) {
      yield page;
      page = [];
      bytes = 0;
    }
    page.push(part);
    bytes += size;
  }
  if (page.length > 0) yield page;
}

function encodePage(spec: ColumnSpec, parts: readonly Part[]): { body: Uint8Array; values: number; way: number } {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const valid = parts.reduce((sum, part) => sum + countValid(part), 0);
  const levels = definitionLevels(parts, rows, valid);
  const dictionary = valid === 0 ? undefined : parts[0]!.data.dictionary;
  const values =
    dictionary !== undefined
      ? codesOf(parts, valid, dictionary.count)
      : spec.type === 'text' || spec.type === 'blob'
        ? parts.map(({ data }) => data.heap.subarray(0, data.heapUsed))
        : [numbersOf(spec.type, parts, valid)];
  const size = Buffer.alloc(4);
  size.writeUInt32LE(levels.length);
  return {
    body: Buffer.concat([size, levels, ...values]),
    values: rows,
    way: dictionary === undefined ? encoding.plain : encoding.rleDictionary,
  };
}

/** Which values are there: runs of the RLE and bit-packing hybrid, one bit each, which is what `valid` has. */
function definitionLevels(parts: readonly Part[], rows: number, valid: number): Uint8Array {
  if (valid === rows || valid === 0) return Buffer.from([...varint(rows * 2), valid === 0 ? 0 : 1]);
  const groups = Math.ceil(rows / 8);
  const head = varint(groups * 2 + 1);
  const levels = new Uint8Array(head.length + groups);
  levels.set(head);
  let at = head.length;
  for (const { rows, data } of parts) {
    const bytes = Math.ceil(rows / 8);
    levels.set(new Uint8Array(data.valid.buffer, data.valid.byteOffset, bytes), at);
    at += bytes;
  }
  return levels;
}

/** Width, then one run: values that are all the same, or numbers of 8 or 16 bits, so that nothing has to be shifted. */
function codesOf(parts: readonly Part[], valid: number, values: number): Uint8Array[] {
  if (values === 1) return [Buffer.from([8, ...varint(valid * 2), 0])];
  const groups = Math.ceil(valid / 8);
  const head = varint(groups * 2 + 1);
  const packed = values <= 256 ? new Uint8Array(groups * 8) : new Uint16Array(groups * 8);
  let at = 0;
  for (const { rows, data } of parts) {
    const codes = new Uint16Array(data.u32.buffer, 0, rows);
    if (countValid({ rows, data }) === rows) {
      packed.set(codes, at);
      at += rows;
      continue;
    }
    for (let row = 0; row < rows; row++) if (isValid(data, row)) packed[at++] = codes[row]!;
  }
  return [Buffer.from([packed.BYTES_PER_ELEMENT * 8, ...head]), new Uint8Array(packed.buffer)];
}

function numbersOf(type: ColumnType, parts: readonly Part[], valid: number): Uint8Array {
  if (type === 'bool') return bitsOf(parts, valid);
  const words = type === 'uuid' ? 4 : type === 'i32' ? 1 : 2;
  const out = new Uint32Array(valid * words);
  let at = 0;
  for (const part of parts) {
    const { rows, data } = part;
    const { u32 } = data;
    if (countValid(part) === rows) {
      out.set(u32.subarray(0, rows * words), at);
      at += rows * words;
      continue;
    }
    for (let row = 0; row < rows; row++) {
      if (!isValid(data, row)) continue;
      for (let word = row * words; word < (row + 1) * words; word++) out[at++] = u32[word]!;
    }
  }
  return new Uint8Array(out.buffer);
}

function bitsOf(parts: readonly Part[], valid: number): Uint8Array {
  const out = new Uint8Array(Math.ceil(valid / 8));
  let at = 0;
  for (const { rows, data } of parts) {
    const bytes = new Uint8Array(data.u32.buffer);
    for (let row = 0; row < rows; row++) {
      if (!isValid(data, row)) continue;
      if (bytes[row] !== 0) out[at >>> 3]! |= 1 << (at & 7);
      at++;
    }
  }
  return out;
}

/** Least and greatest value, which tell a reader which row groups it need not read. undefined: not known. */
function statistics(spec: ColumnSpec, parts: readonly Part[]): { least: Uint8Array; most: Uint8Array } | undefined {
  switch (spec.type) {
    case 'u64':
      return spec.random === true ? undefined : range64(parts, 0);
    case 'i64':
      return range64(parts, 0x80000000);
    case 'i32':
      return range32(parts);
    case 'f64':
      return rangeOfDoubles(parts);
    case 'text':
      return rangeOfCodes(parts);
    default:
      return undefined;
  }
}

/** @param flip what makes the upper half compare as an unsigned number. */
function range64(parts: readonly Part[], flip: number): { least: Uint8Array; most: Uint8Array } | undefined {
  let [leastHigh, leastLow, mostHigh, mostLow] = [0xffffffff, 0xffffffff, 0, 0];
  let some = false;
  for (const { rows, data } of parts) {
    const { u32 } = data;
    for (let row = 0; row < rows; row++) {
      if (!isValid(data, row)) continue;
      some = true;
      const low = u32[row * 2]!;
      const high = (u32[row * 2 + 1]! ^ flip) >>> 0;
      if (high < leastHigh || (high === leastHigh && low < leastLow)) [leastHigh, leastLow] = [high, low];
      if (high > mostHigh || (high === mostHigh && low > mostLow)) [mostHigh, mostLow] = [high, low];
    }
  }
  const bytes = (low: number, high: number) => new Uint8Array(Uint32Array.of(low, (high ^ flip) >>> 0).buffer);
  return some ? { least: bytes(leastLow, leastHigh), most: bytes(mostLow, mostHigh) } : undefined;
}

function range32(parts: readonly Part[]): { least: Uint8Array; most: Uint8Array } | undefined {
  let [least, most] = [0x7fffffff, -0x80000000];
  let some = false;
  for (const { rows, data } of parts) {
    const { u32 } = data;
    for (let row = 0; row < rows; row++) {
      if (!isValid(data, row)) continue;
      some = true;
      const value = u32[row]! | 0;
      if (value < least) least = value;
      if (value > most) most = value;
    }
  }
  const bytes = (value: number) => new Uint8Array(Int32Array.of(value).buffer);
  return some ? { least: bytes(least), most: bytes(most) } : undefined;
}

/** Not where there is a NaN, which no order has a place for; zeros as the specification says, −0 to +0. */
function rangeOfDoubles(parts: readonly Part[]): { least: Uint8Array; most: Uint8Array } | undefined {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let some = false;
  for (const { rows, data } of parts) {
    const values = new Float64Array(data.u32.buffer);
    for (let row = 0; row < rows; row++) {
      if (!isValid(data, row)) continue;
      const value = values[row]!;
      if (Number.isNaN(value)) return undefined;
      some = true;
      if (value < least) least = value;
      if (value > most) most = value;
    }
  }
  const bytes = (value: number) => new Uint8Array(Float64Array.of(value).buffer);
  return some ? { least: bytes(least === 0 ? -0 : least), most: bytes(most === 0 ? 0 : most) } : undefined;
}

/** Of all values in the dictionary, where no page does without. */
function rangeOfCodes(parts: readonly Part[]): { least: Uint8Array; most: Uint8Array } | undefined {
  const dictionary = parts[0]!.data.dictionary;
  if (dictionary === undefined || dictionary.count === 0) return undefined;
  if (parts.some(({ data }) => data.dictionary !== dictionary)) return undefined;
  const bytes = (code: number) => {
    const start = dictionary.starts[code]!;
    return dictionary.heap.subarray(start, start + dictionary.lengths[code]!);
  };
  let least = bytes(0);
  let most = least;
  for (let code = 1; code < dictionary.count; code++) {
    const value = bytes(code);
    if (Buffer.compare(value, least) < 0) least = value;
    if (Buffer.compare(value, most) > 0) most = value;
  }
  return least.length > statisticsBytesMax || most.length > statisticsBytesMax ? undefined : { least, most };
}

function isValid({ valid }: ColumnData, row: number): boolean {
  return (valid[row >>> 5]! & (1 << (row & 31))) !== 0;
}

function countValid({ rows, data: { valid } }: Part): number {
  let count = 0;
  for (let word = 0; word * 32 < rows; word++) {
    const left = rows - word * 32;
    let bits = left >= 32 ? valid[word]! : valid[word]! & ((1 << left) - 1);
    bits -= (bits >>> 1) & 0x55555555;
    bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
    count += Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return count;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return bytes;
}
