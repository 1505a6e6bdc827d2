import type { DuckDBConnection } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import { type Chunk, type ColumnData, type ColumnSpec, columnTypes, type Rows } from './columns.ts';
import { chunkRows } from './limits.ts';

// Hot rows as something that SQL reads: `hot_rows(7)`, with the columns of the rows that have this number and `rowid`.
// DuckDB's threads ask for a chunk at a time, and the main thread answers: it copies the columns that are wanted, some 50 µs
// for 2,048 rows. So the main thread must never wait for DuckDB: every call that could is asynchronous.

interface Scan {
  readonly chunks: readonly Chunk[];
  /** Numbers of the wanted columns; that of `rowid` is the number of the others. */
  readonly wanted: readonly number[];
  next: number;
}

export class HotTables {
  readonly #rows = new Map<number, Rows>();
  #last = 0;
  readonly #scratch = new Uint32Array(chunkRows * 4);
  #texts = new Uint8Array(0);
  readonly #types = new Map<number, duckdb.LogicalType>();

  /** Gives rows a name that queries can read. */
  add(rows: Rows): string {
    const id = ++this.#last;
    this.#rows.set(id, rows);
    return `hot_rows(${id})`;
  }

  /** Queries that began before may still read them. */
  remove(name: string): void {
    this.#rows.delete(Number(name.slice('hot_rows('.length, -1)));
  }

  /** Makes the function known; once for a database. */
  register(connection: DuckDBConnection): void {
    const fn = duckdb.create_table_function();
    duckdb.table_function_set_name(fn, 'hot_rows');
    duckdb.table_function_add_parameter(fn, this.#type(duckdb.Type.INTEGER));
    duckdb.table_function_supports_projection_pushdown(fn, true);
    duckdb.table_function_set_bind(fn, (info) => {
      const rows = this.#rows.get(duckdb.get_int32(duckdb.bind_get_parameter(info, 0)));
      if (rows === undefined) {
        duckdb.bind_set_error(info, 'no such hot rows');
        return;
      }
      for (const { name, type } of rows.specs)
        duckdb.bind_add_result_column(info, name, this.#type(columnTypes[type].id));
      duckdb.bind_add_result_column(info, 'rowid', this.#type(duckdb.Type.BIGINT));
      duckdb.bind_set_cardinality(info, rows.count, true);
      duckdb.bind_set_bind_data(info, rows);
    });
    duckdb.table_function_set_init(fn, (info) => {
      const rows = duckdb.init_get_bind_data(info) as Rows;
      const wanted: number[] = [];
      for (let index = 0; index < duckdb.init_get_column_count(info); index++) {
        wanted.push(duckdb.init_get_column_index(info, index));
      }
      duckdb.init_set_max_threads(info, 1);
      duckdb.init_set_init_data(info, { chunks: rows.chunks(), wanted, next: 0 } satisfies Scan);
    });
    duckdb.table_function_set_function(fn, (info, output) => {
      const scan = duckdb.function_get_init_data(info) as Scan;
      const rows = duckdb.function_get_bind_data(info) as Rows;
      const chunk = scan.chunks[scan.next];
      if (chunk === undefined) {
        duckdb.data_chunk_set_size(output, 0);
        return;
      }
      this.#fill(output, rows, chunk, scan);
      scan.next++;
    });
    duckdb.register_table_function(rawConnection(connection), fn);
  }

  #fill(output: duckdb.DataChunk, rows: Rows, chunk: Chunk, scan: Scan): void {
    for (const [index, wanted] of scan.wanted.entries()) {
      const vector = duckdb.data_chunk_get_vector(output, index);
      const spec = rows.specs[wanted];
      const column = chunk.columns[wanted];
      if (spec === undefined || column === undefined) {
        // `rowid`, or what DuckDB asks for when it only counts.
        const numbers = new BigInt64Array(chunk.rows);
        for (let row = 0; row < chunk.rows; row++) numbers[row] = BigInt(scan.next * chunkRows + row);
        duckdb.copy_data_to_vector(vector, 0, numbers.buffer, 0, chunk.rows * 8);
        continue;
      }
      const source = this.#vector(spec, column, chunk.rows, (heap) => {
        // One call puts all texts of the column where DuckDB keeps them for this vector; where that is stands in the vector
        // then, and every text's address is that plus its offset.
        duckdb.vector_assign_string_element_len(vector, 0, heap);
        const slot = duckdb.vector_get_data(vector, 16);
        const view = new DataView(slot.buffer, slot.byteOffset, 16);
        return { low: view.getUint32(8, true), high: view.getUint32(12, true) };
      });
      duckdb.copy_data_to_vector(vector, 0, source.buffer, 0, columnTypes[spec.type].vectorSize * chunk.rows);
      duckdb.vector_ensure_validity_writable(vector);
      duckdb.copy_data_to_vector_validity(vector, 0, column.valid.buffer, 0, Math.ceil(chunk.rows / 64) * 8);
    }
    duckdb.data_chunk_set_size(output, chunk.rows);
  }

  /** A column's rows as DuckDB has them in a vector. @param place puts the texts' bytes into DuckDB's memory, and says where. */
  #vector(
    spec: ColumnSpec,
    column: ColumnData,
    rows: number,
    place: (heap: Uint8Array) => { low: number; high: number },
  ): Uint32Array<ArrayBuffer> {
    if (spec.type === 'uuid') {
      uuidsInto(this.#scratch, column.u32, rows);
      return this.#scratch;
    }
    if (spec.type !== 'text' && spec.type !== 'blob') return column.u32;
    const { dictionary, valid } = column;
    const heap = dictionary?.heap ?? column.heap;
    // DuckDB takes only UTF-8 as text, so the lengths in between are left out: each text then lies 4 bytes earlier for each
    // text before it, and for itself.
    const packed = this.#pack(heap, dictionary?.used ?? column.heapUsed);
    // Up to twelve bytes would lie in the vector itself; no text then needs an address.
    const { low, high } = packed.length > 12 ? place(packed) : { low: 0, high: 0 };
    const codes = new Uint16Array(column.u32.buffer);
    let [at, before] = [0, 4];
    for (let row = 0; row < rows; row++) {
      if ((valid[row >>> 5]! & (1 << (row & 31))) === 0) {
        this.#scratch.fill(0, row * 4, row * 4 + 4);
        continue;
      }
      if (dictionary === undefined) {
        const length = lengthAt(heap, at);
        stringInto(this.#scratch, row * 4, heap, at + 4, length, before, low, high);
        at += length + 4;
        before += 4;
      } else {
        const code = codes[row]!;
        const start = dictionary.starts[code]!;
        stringInto(this.#scratch, row * 4, heap, start, dictionary.lengths[code]!, code * 4 + 4, low, high);
      }
    }
    return this.#scratch;
  }

  /** The texts of a heap without their lengths. Valid until the next call. */
  #pack(heap: Uint8Array, used: number): Uint8Array {
    if (this.#texts.length < used) this.#texts = new Uint8Array(used * 2);
    const texts = this.#texts;
    let to = 0;
    for (let at = 0; at < used; ) {
      const length = lengthAt(heap, at);
      at += 4;
      if (length < 48) for (let i = 0; i < length; i++) texts[to + i] = heap[at + i]!;
      else texts.set(heap.subarray(at, at + length), to);
      at += length;
      to += length;
    }
    return texts.subarray(0, to);
  }

  #type(id: number): duckdb.LogicalType {
    let type = this.#types.get(id);
    if (type === undefined) {
      type = duckdb.create_logical_type(id);
      this.#types.set(id, type);
    }
    return type;
  }
}

/** DuckDB keeps a UUID as a 128-bit integer, least significant byte first, with the top bit flipped so that it sorts. */
function uuidsInto(target: Uint32Array, source: Uint32Array, rows: number): void {
  for (let slot = 0; slot < rows * 4; slot += 4) {
    target[slot] = swapped(source[slot + 3]!);
    target[slot + 1] = swapped(source[slot + 2]!);
    target[slot + 2] = swapped(source[slot + 1]!);
    target[slot + 3] = swapped(source[slot]!) ^ 0x80000000;
  }
}

function swapped(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

function lengthAt(heap: Uint8Array, at: number): number {
  return heap[at]! | (heap[at + 1]! << 8) | (heap[at + 2]! << 16) | (heap[at + 3]! << 24);
}

/**
 * A duckdb_string_t: the length, then up to twelve bytes of text, or its first four and where it lies: `before` bytes
 * earlier than in the heap, whose copy is at `low` and `high`.
 */
function stringInto(
  target: Uint32Array,
  slot: number,
  heap: Uint8Array,
  start: number,
  length: number,
  before: number,
  low: number,
  high: number,
): void {
  target[slot] = length;
  if (length > 12) {
    target[slot + 1] = word(heap, start, 4);
    const address = low + start - before;
    target[slot + 2] = address;
    target[slot + 3] = address >= 0x100000000 ? high + 1 : high;
    return;
  }
  target[slot + 1] = word(heap, start, length);
  target[slot + 2] = word(heap, start + 4, length - 4);
  target[slot + 3] = word(heap, start + 8, length - 8);
}

function word(heap: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let i = 0; i < length && i < 4; i++) value |= heap[at + i]! << (i * 8);
  return value;
}

/** The binding's own connection, which functions are registered with. */
function rawConnection(connection: DuckDBConnection): duckdb.Connection {
  return (connection as unknown as { connection: duckdb.Connection }).connection;
}
