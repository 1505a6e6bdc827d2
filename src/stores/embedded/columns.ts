import duckdb from '@duckdb/node-bindings';
import { Dictionary, isText, putBytes } from './dictionary.ts';
import { chunkBytesMax, chunkRows, codedBytesMax, codedNewMax, codedValuesMax, spareBytesMax } from './limits.ts';
import { copyBytes, viewOf } from './views.ts';

// Hot rows: columns in memory, filled without an object or a call per value. DuckDB reads them through a table function
// (hot.ts), and a roll writes them as Parquet (parquet.ts), whose encodings they have already: numbers little endian,
// UUIDs big endian, texts with their length in front or as numbers into a dictionary. Appending them to a table of DuckDB's
// own costs 7 µs for a span's 22 columns, and having DuckDB write the file 3.5 µs; so they take 0.9 µs, compression included.

export type ColumnType = 'uuid' | 'u64' | 'i64' | 'i32' | 'f64' | 'bool' | 'text' | 'blob';

export interface ColumnSpec {
  readonly name: string;
  readonly type: ColumnType;
  /** Texts or bytes that repeat: kept in a dictionary while they do. */
  readonly coded?: boolean;
  /** Ids without a pattern: compressing them is in vain. */
  readonly random?: boolean;
}

/** Bytes of a value in the column (texts and blobs lie in its heap, or are a number of its dictionary), bytes in DuckDB's vector, and DuckDB's type id. */
export const columnTypes = {
  uuid: { size: 16, vectorSize: 16, id: duckdb.Type.UUID },
  u64: { size: 8, vectorSize: 8, id: duckdb.Type.UBIGINT },
  i64: { size: 8, vectorSize: 8, id: duckdb.Type.BIGINT },
  i32: { size: 4, vectorSize: 4, id: duckdb.Type.INTEGER },
  f64: { size: 8, vectorSize: 8, id: duckdb.Type.DOUBLE },
  bool: { size: 1, vectorSize: 1, id: duckdb.Type.BOOLEAN },
  text: { size: 2, vectorSize: 16, id: duckdb.Type.VARCHAR },
  blob: { size: 2, vectorSize: 16, id: duckdb.Type.BLOB },
} as const satisfies Record<ColumnType, { size: number; vectorSize: number; id: number }>;

/** An identifier in SQL, whatever its characters. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** What a column holds for the rows of one chunk. What is NULL has any value, and no place in the heap. */
export interface ColumnData {
  readonly u32: Uint32Array<ArrayBuffer>;
  readonly valid: Uint32Array<ArrayBuffer>;
  /** Texts that are not in the dictionary and blobs, one after the other: length (four bytes, little endian) and bytes. */
  readonly heap: Uint8Array<ArrayBuffer>;
  readonly heapUsed: number;
  /** Where the texts of these rows are; then `u32` holds 16-bit numbers of its values. */
  readonly dictionary: Dictionary | undefined;
}

/** Memory of columns that nobody reads any more, for the next ones: what V8 frees it frees late and at a price. */
class Spare {
  readonly #bySize = new Map<number, ArrayBuffer[]>();
  #bytes = 0;

  /** Whatever is in it. */
  take(size: number): ArrayBuffer {
    const buffer = this.#bySize.get(size)?.pop();
    if (buffer === undefined) return new ArrayBuffer(size);
    this.#bytes -= size;
    return buffer;
  }

  give(buffer: ArrayBuffer): void {
    const size = buffer.byteLength;
    if (size === 0 || this.#bytes + size > spareBytesMax) return;
    this.#bytes += size;
    const same = this.#bySize.get(size);
    if (same === undefined) this.#bySize.set(size, [buffer]);
    else same.push(buffer);
  }
}
const spare = new Spare();

const noBytes = new Uint8Array(0);
const noView = new DataView(noBytes.buffer);

/** Where some parts of a record lie. */
export class Places {
  /** Pairs of start and end. */
  readonly places: number[] = [];
  /** Numbers in it that count: emptying an array would give up its memory for each record. */
  used = 0;

  add(start: number, end: number): void {
    this.places[this.used++] = start;
    this.places[this.used++] = end;
  }
}

/** One column of the chunk that is being filled. A value that is not set is NULL. */
export class Column implements ColumnData {
  readonly spec: ColumnSpec;
  u32!: Uint32Array<ArrayBuffer>;
  bytes!: Uint8Array<ArrayBuffer>;
  f64!: Float64Array<ArrayBuffer>;
  codes!: Uint16Array<ArrayBuffer>;
  valid!: Uint32Array<ArrayBuffer>;
  heap: Uint8Array<ArrayBuffer> = noBytes;
  #heapView = noView;
  heapUsed = 0;
  /** Of the value in the heap that was set last. */
  #heapLast = 0;
  dictionary: Dictionary | undefined;
  #dictionaryBegan = { count: 0, used: 0 };

  /** @param dictionary to use instead of one of its own. */
  constructor(spec: ColumnSpec, dictionary?: Dictionary) {
    this.spec = spec;
    this.dictionary = dictionary ?? (spec.coded ? new Dictionary() : undefined);
    if (this.dictionary !== undefined)
      this.#dictionaryBegan = { count: this.dictionary.count, used: this.dictionary.used };
    this.begin();
  }

  /** Gives up its memory to a chunk that is full, and begins anew. */
  begin(): void {
    const { dictionary } = this;
    if (dictionary !== undefined) {
      // Values that do not repeat are better off in the heap.
      const { count, used } = dictionary;
      const many = count - this.#dictionaryBegan.count > codedNewMax;
      if (many || count > codedValuesMax || used > codedBytesMax) this.dictionary = undefined;
      this.#dictionaryBegan = { count, used };
    }
    const { type } = this.spec;
    const plain = (type === 'text' || type === 'blob') && this.dictionary === undefined;
    const buffer = spare.take(plain ? 0 : chunkRows * columnTypes[type].size);
    this.u32 = new Uint32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.f64 = buffer.byteLength % 8 === 0 ? new Float64Array(buffer) : new Float64Array(0);
    this.codes = new Uint16Array(buffer);
    this.valid = new Uint32Array(spare.take(chunkRows / 8)).fill(0);
    // As much as the last chunk took: it will be about the same.
    this.heap = this.heapUsed === 0 ? noBytes : new Uint8Array(spare.take(heapSize(this.heapUsed)));
    this.#heapView = new DataView(this.heap.buffer);
    this.heapUsed = 0;
    this.#heapLast = 0;
  }

  /** Bytes that this chunk has added beside its fixed size. */
  get extraBytes(): number {
    return this.heapUsed + (this.dictionary === undefined ? 0 : this.dictionary.used - this.#dictionaryBegan.used);
  }

  #set(row: number): void {
    this.valid[row >>> 5]! |= 1 << (row & 31);
  }

  clear(row: number): void {
    const bit = 1 << (row & 31);
    const word = this.valid[row >>> 5]!;
    if ((word & bit) === 0) return;
    this.valid[row >>> 5] = word & ~bit;
    this.heapUsed = this.#heapLast;
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

  /** 16 bytes, most significant first. */
  setUuid(row: number, source: Uint8Array, at: number): void {
    const from = viewOf(source);
    const { u32 } = this;
    const to = row * 4;
    u32[to] = from.getUint32(at, true);
    u32[to + 1] = from.getUint32(at + 4, true);
    u32[to + 2] = from.getUint32(at + 8, true);
    u32[to + 3] = from.getUint32(at + 12, true);
    this.#set(row);
  }

  #setCode(row: number, code: number): void {
    this.codes[row] = code;
    this.#set(row);
  }

  /** A value of a dictionary that is this column's, or was. */
  setFrom(row: number, dictionary: Dictionary, code: number): void {
    if (this.dictionary === dictionary) {
      this.#setCode(row, code);
      return;
    }
    const start = dictionary.starts[code]!;
    this.setBytes(row, dictionary.heap, start, start + dictionary.lengths[code]!);
  }

  /** Bytes, or text that is known to be UTF-8. */
  setBytes(row: number, source: Uint8Array, start: number, end: number): void {
    const { dictionary } = this;
    if (dictionary !== undefined) {
      this.#setCode(row, dictionary.bytes(source, start, end));
      return;
    }
    this.clear(row);
    const used = this.heapUsed + end - start + 4;
    if (used > this.heap.length) this.#grow(used);
    putBytes(this.heap, this.#heapView, this.heapUsed, source, start, end);
    this.#heapLast = this.heapUsed;
    this.heapUsed = used;
    this.#set(row);
  }

  /**
   * Bytes without some of them. Not for a column with a dictionary.
   * @param cuts pairs of start and end of what is left out, one after the other.
   */
  setBytesWithout(row: number, source: Uint8Array, start: number, end: number, cuts: Places): void {
    const { places, used: cutsUsed } = cuts;
    let length = end - start;
    for (let i = 0; i < cutsUsed; i += 2) length -= places[i + 1]! - places[i]!;
    this.clear(row);
    const used = this.heapUsed + length + 4;
    if (used > this.heap.length) this.#grow(used);
    const { heap } = this;
    const view = this.#heapView;
    let at = this.heapUsed;
    view.setUint32(at, length, true);
    at += 4;
    let from = start;
    for (let i = 0; i <= cutsUsed; i += 2) {
      const to = i < cutsUsed ? places[i]! : end;
      copyBytes(heap, view, at, source, from, to);
      at += to - from;
      if (i < cutsUsed) from = places[i + 1]!;
    }
    this.#heapLast = this.heapUsed;
    this.heapUsed = used;
    this.#set(row);
  }

  /** Sets it where it is UTF-8, and says whether it was. */
  setIfText(row: number, source: Uint8Array, start: number, end: number): boolean {
    const { dictionary } = this;
    if (dictionary !== undefined) {
      const code = dictionary.text(source, start, end);
      if (code < 0) return false;
      this.#setCode(row, code);
      return true;
    }
    if (!isText(source, start, end)) return false;
    this.setBytes(row, source, start, end);
    return true;
  }

  /** Text; what is not UTF-8 in it becomes U+FFFD, as DuckDB takes nothing else. @returns whether all of it was. */
  setText(row: number, source: Uint8Array, start: number, end: number): boolean {
    if (this.setIfText(row, source, start, end)) return true;
    this.setString(row, Buffer.from(source.buffer, source.byteOffset + start, end - start).toString('utf8'));
    return false;
  }

  setString(row: number, text: string): void {
    const bytes = Buffer.from(text);
    this.setBytes(row, bytes, 0, bytes.length);
  }

  #grow(size: number): void {
    // A query may still read the old one, so it is left to the collector.
    const grown = new Uint8Array(spare.take(heapSize(Math.max(size, 4096))));
    grown.set(this.heap.subarray(0, this.heapUsed));
    this.heap = grown;
    this.#heapView = new DataView(grown.buffer);
  }
}

/** The sizes that heaps come in, so that they can be used again: four for each doubling. */
function heapSize(bytes: number): number {
  const wanted = Math.max(4096, bytes + (bytes >>> 4));
  const quarter = 2 ** (30 - Math.clz32(wanted - 1) - 1);
  return Math.ceil(wanted / quarter) * quarter;
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
  #scratchView = new DataView(this.scratch.buffer);
  used = 0;
  readonly #full: Chunk[] = [];
  readonly #byName = new Map<string, Column>();
  readonly #rowSize: number;
  #fullBytes = 0;

  /** @param dictionaries of columns that do not have one of their own, by name. */
  constructor(specs: readonly ColumnSpec[], dictionaries: ReadonlyMap<string, Dictionary> = new Map()) {
    this.specs = specs;
    this.columns = specs.map((spec) => new Column(spec, dictionaries.get(spec.name)));
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
    if (this.row === chunkRows || ((this.row & 63) === 0 && this.#extraBytes() >= chunkBytesMax)) this.#beginChunk();
  }

  /** Forgets what was set of a row that is not ended. */
  dropRow(): void {
    this.used = 0;
    for (const column of this.columns) column.clear(this.row);
  }

  #extraBytes(): number {
    let bytes = 0;
    for (const column of this.columns) bytes += column.extraBytes;
    return bytes;
  }

  #beginChunk(): void {
    this.#fullBytes += this.row * this.#rowSize + this.#extraBytes();
    this.#full.push({
      rows: this.row,
      columns: this.columns.map(({ u32, valid, heap, heapUsed, dictionary }) => ({
        u32,
        valid,
        heap,
        heapUsed,
        dictionary,
      })),
    });
    this.row = 0;
    for (const column of this.columns) column.begin();
  }

  /** The rows as they are now. The last chunk's columns are still being filled, but only after these rows. */
  chunks(): readonly Chunk[] {
    if (this.row === 0) return [...this.#full];
    const columns = this.columns.map(({ u32, valid, heap, heapUsed, dictionary }) => ({
      u32,
      valid: valid.slice(),
      heap,
      heapUsed,
      dictionary,
    }));
    return [...this.#full, { rows: this.row, columns }];
  }

  get sizeBytes(): number {
    return this.#fullBytes + this.row * this.#rowSize + this.#extraBytes();
  }

  /** Gives the memory away: nobody may read or write these rows any more. */
  release(): void {
    for (const { u32, valid, heap } of [...this.#full.flatMap(({ columns }) => columns), ...this.columns]) {
      spare.give(u32.buffer);
      spare.give(valid.buffer);
      spare.give(heap.buffer);
    }
    this.#full.length = 0;
  }

  /** Makes room for `size` more bytes in the scratch. */
  reserve(size: number): void {
    if (this.used + size <= this.scratch.length) return;
    const grown = new Uint8Array(Math.max(this.scratch.length * 2, this.used + size));
    grown.set(this.scratch.subarray(0, this.used));
    this.scratch = grown;
    this.#scratchView = new DataView(grown.buffer);
  }

  /** Copies bytes into the scratch. */
  copy(source: Uint8Array, start: number, end: number): void {
    const size = end - start;
    this.reserve(size);
    copyBytes(this.scratch, this.#scratchView, this.used, source, start, end);
    this.used += size;
  }
}
