import type { DuckDBConnection } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import { type Chunk, columnTypes, type Rows } from './columns.ts';
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
      let source = column.u32;
      if (column.heapUsed > 12) {
        // One call puts all longer strings of the column where DuckDB keeps them for this vector; where that is stands in
        // the vector then, and every string's address is that plus its offset.
        duckdb.vector_assign_string_element_len(vector, 0, column.heap.subarray(0, column.heapUsed));
        const slot = duckdb.vector_get_data(vector, 16);
        const view = new DataView(slot.buffer, slot.byteOffset, 16);
        source = this.#scratch;
        source.set(column.u32.subarray(0, chunk.rows * 4));
        pointInto(source, chunk.rows, view.getUint32(8, true), view.getUint32(12, true));
      }
      duckdb.copy_data_to_vector(vector, 0, source.buffer, 0, columnTypes[spec.type].size * chunk.rows);
      duckdb.vector_ensure_validity_writable(vector);
      duckdb.copy_data_to_vector_validity(vector, 0, column.valid.buffer, 0, Math.ceil(chunk.rows / 64) * 8);
    }
    duckdb.data_chunk_set_size(output, chunk.rows);
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

/** Turns offsets into the heap into addresses. NULLs have length 0 and stay as they are. */
function pointInto(u32: Uint32Array, rows: number, low: number, high: number): void {
  for (let slot = 0; slot < rows * 4; slot += 4) {
    if (u32[slot]! <= 12) continue;
    const address = low + u32[slot + 2]!;
    u32[slot + 2] = address;
    u32[slot + 3] = address >= 0x100000000 ? high + 1 : high;
  }
}

/** The binding's own connection, which functions are registered with. */
function rawConnection(connection: DuckDBConnection): duckdb.Connection {
  return (connection as unknown as { connection: duckdb.Connection }).connection;
}
