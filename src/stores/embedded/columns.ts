import { isUtf8 } from 'node:buffer';
import duckdb from '@duckdb/node-bindings';
import { chunkBytesMax, chunkRows } from './limits.ts';

// Hot rows: column vectors as DuckDB has them in memory, filled without an object or a call per value, and read by DuckDB
// through a table function (hot.ts). Appending them to a table of DuckDB's own costs 7 µs for a span's 22 columns, most of it
// copying and statistics that rows which go into a file a minute later have no use for; here they are written once.
//
// A string is 16 bytes in a vector (duckdb_string_t): its length and, up to 12 bytes, the text itself; a longer one has
// its first four bytes and a pointer. Here an offset into the column's heap stands in the pointer's place.

export type ColumnType = 'uuid' | 'u64' | 'i64' | 'i32' | 'f64' | 'bool' | 'text' | 'blob';

export interface ColumnSpec {
  readonly name: string;
  readonly type: ColumnType;
}

/** Bytes of a value in a vector, and DuckDB's type id. */
export const columnTypes = {
  uuid: { size: 16, id: duckdb.Type.UUID },
  u64: { size: 8, id: duckdb.Type.UBIGINT },
  i64: { size: 8, id: duckdb.Type.BIGINT },
  i32: { size: 4, id: duckdb.Type.INTEGER },
  f64: { size: 8, id: duckdb.Type.DOUBLE },
  bool: { size: 1, id: duckdb.Type.BOOLEAN },
  text: { size: 16, id: duckdb.Type.VARCHAR },
  blob: { size: 16, id: duckdb.Type.BLOB },
} as const satisfies Record<ColumnType, { size: number; id: number }>;

/** An identifier in SQL, whatever its characters. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** What a column holds for the rows of one chunk. */
interface ColumnData {
  readonly u32: Uint32Array<ArrayBuffer>;
  readonly valid: Uint32Array<ArrayBuffer>;
  /** Strings of more than 12 bytes. */
  readonly heap: Uint8Array<ArrayBuffer>;
  readonly heapUsed: number;
}

/** One column of the chunk that is being filled. A value that is not set is NULL. */
export class Column implements ColumnData {
  readonly spec: ColumnSpec;
  u32: Uint32Array<ArrayBuffer>;
  bytes: Uint8Array<ArrayBuffer>;
  f64: Float64Array<ArrayBuffer>;
  valid: Uint32Array<ArrayBuffer>;
  heap = new Uint8Array(0);
  heapUsed = 0;

  constructor(spec: ColumnSpec) {
    this.spec = spec;
    this.u32 = new Uint32Array(0);
    this.bytes = new Uint8Array(0);
    this.f64 = new Float64Array(0);
    this.valid = new Uint32Array(0);
    this.begin();
  }

  /** Gives up its memory to a chunk that is full, and begins anew. */
  begin(): void {
    const buffer = new ArrayBuffer(chunkRows * columnTypes[this.spec.type].size);
    this.u32 = new Uint32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.valid = new Uint32Array(chunkRows / 32);
    // As much as the last chunk took: it will be about the same.
    this.heap = new Uint8Array(this.heapUsed + (this.heapUsed >>> 3));
    this.heapUsed = 0;
  }

  #set(row: number): void {
    this.valid[row >>> 5]! |= 1 << (row & 31);
  }

  clear(row: number): void {
    this.valid[row >>> 5]! &= ~(1 << (row & 31));
  }

  set32(row: number, value: number): void {
    this.u32[row] = value;
    this.#set(row);
  }

  setBool(row: number, value: boolean): void {
    this.bytes[row] = value ? 1 : 0;
    this.#set(row);
  }

  set64(row: number, low: number, high: number): void {
    this.u32[row * 2] = low;
    this.u32[row * 2 + 1] = high;
    this.#set(row);
  }

  setDouble(row: number, value: number): void {
    this.f64[row] = value;
    this.#set(row);
  }

  /** 16 bytes, most significant first. DuckDB keeps a UUID as a 128-bit integer with the top bit flipped, so that it sorts. */
  setUuid(row: number, source: Uint8Array, at: number): void {
    const { bytes } = this;
    const to = row * 16;
    for (let i = 0; i < 16; i++) bytes[to + 15 - i] = source[at + i]!;
    bytes[to + 15]! ^= 0x80;
    this.#set(row);
  }

  /** Bytes, or text that is known to be UTF-8. */
  setBytes(row: number, source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const slot = row * 4;
    const { u32 } = this;
    u32[slot] = length;
    this.#set(row);
    if (length <= 12) {
      u32[slot + 1] = 0;
      u32[slot + 2] = 0;
      u32[slot + 3] = 0;
      const { bytes } = this;
      const to = row * 16 + 4;
      for (let i = 0; i < length; i++) bytes[to + i] = source[start + i]!;
      return;
    }
    const at = this.heapUsed;
    if (at + length > this.heap.length) this.#grow(at + length);
    const { heap } = this;
    if (length < 48) for (let i = 0; i < length; i++) heap[at + i] = source[start + i]!;
    else heap.set(source.subarray(start, end), at);
    this.heapUsed = at + length;
    u32[slot + 1] =
      source[start]! | (source[start + 1]! << 8) | (source[start + 2]! << 16) | (source[start + 3]! << 24);
    u32[slot + 2] = at;
    u32[slot + 3] = 0;
  }

  /** Text; what is not UTF-8 in it becomes U+FFFD, as DuckDB takes nothing else. */
  setText(row: number, source: Uint8Array, start: number, end: number): void {
    if (isText(source, start, end)) this.setBytes(row, source, start, end);
    else this.setString(row, Buffer.from(source.buffer, source.byteOffset + start, end - start).toString('utf8'));
  }

  setString(row: number, text: string): void {
    const bytes = Buffer.from(text);
    this.setBytes(row, bytes, 0, bytes.length);
  }

  #grow(size: number): void {
    const grown = new Uint8Array(Math.max(this.heap.length * 2, size, 4096));
    grown.set(this.heap.subarray(0, this.heapUsed));
    this.heap = grown;
  }
}

export function isText(source: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (source[at]! >= 0x80) return isUtf8(source.subarray(start, end));
  return true;
}

/** Rows that are full or that a query has seen: nothing in it changes any more. */
export interface Chunk {
  readonly rows: number;
  readonly columns: readonly ColumnData[];
}

/** Rows of one generation. What was added is seen by queries that begin afterwards. */
export class Rows {
  readonly specs: readonly ColumnSpec[];
  readonly columns: readonly Column[];
  /** Rows in the chunk that is being filled: the number of the next one there. */
  row = 0;
  /** Rows in all. */
  count = 0;
  /** Room for what is written before it is known how long it becomes. Nobody owns it from one row to the next. */
  scratch = new Uint8Array(64 * 1024);
  used = 0;
  readonly #full: Chunk[] = [];
  readonly #byName = new Map<string, Column>();
  readonly #rowSize: number;
  #fullBytes = 0;

  constructor(specs: readonly ColumnSpec[]) {
    this.specs = specs;
    this.columns = specs.map((spec) => new Column(spec));
    for (const column of this.columns) this.#byName.set(column.spec.name, column);
    this.#rowSize = specs.reduce((sum, { type }) => sum + columnTypes[type].size, 0);
  }

  column(name: string): Column {
    const column = this.#byName.get(name);
    if (column === undefined) throw new Error(`no column ${name}`);
    return column;
  }

  /** Ends the row that was filled. */
  endRow(): void {
    this.row++;
    this.count++;
    this.used = 0;
    if (this.row === chunkRows || ((this.row & 63) === 0 && this.#heapBytes() >= chunkBytesMax)) this.#beginChunk();
  }

  /** Forgets what was set of a row that is not ended. */
  dropRow(): void {
    this.used = 0;
    for (const column of this.columns) column.clear(this.row);
  }

  #heapBytes(): number {
    let bytes = 0;
    for (const { heapUsed } of this.columns) bytes += heapUsed;
    return bytes;
  }

  #beginChunk(): void {
    this.#fullBytes += this.row * this.#rowSize + this.#heapBytes();
    this.#full.push({
      rows: this.row,
      columns: this.columns.map(({ u32, valid, heap, heapUsed }) => ({ u32, valid, heap, heapUsed })),
    });
    this.row = 0;
    for (const column of this.columns) column.begin();
  }

  /** The rows as they are now. The last chunk's columns are still being filled, but only after these rows. */
  chunks(): readonly Chunk[] {
    if (this.row === 0) return [...this.#full];
    const columns = this.columns.map(({ u32, valid, heap, heapUsed }) => ({
      u32,
      valid: valid.slice(),
      heap,
      heapUsed,
    }));
    return [...this.#full, { rows: this.row, columns }];
  }

  get sizeBytes(): number {
    return this.#fullBytes + this.row * this.#rowSize + this.#heapBytes();
  }

  /** Makes room for `size` more bytes in the scratch. */
  reserve(size: number): void {
    if (this.used + size <= this.scratch.length) return;
    const grown = new Uint8Array(Math.max(this.scratch.length * 2, this.used + size));
    grown.set(this.scratch.subarray(0, this.used));
    this.scratch = grown;
  }

  /** Copies bytes into the scratch. */
  copy(source: Uint8Array, start: number, end: number): void {
    const size = end - start;
    this.reserve(size);
    const { scratch, used } = this;
    if (size < 48) for (let i = 0; i < size; i++) scratch[used + i] = source[start + i]!;
    else scratch.set(source.subarray(start, end), used);
    this.used = used + size;
  }
}
