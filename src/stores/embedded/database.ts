import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  type DuckDBConnection,
  type DuckDBDataChunk,
  DuckDBInstance,
  type DuckDBType,
  type DuckDBValue,
  INTEGER,
  UBIGINT,
  VARCHAR,
} from '@duckdb/node-api';
import { Fault } from '../../base/index.ts';
import type { HotTables } from './hot.ts';
import { memoryLimitMiB, queriesMax, queriesWaitingMax, threadsMax } from './limits.ts';

// DuckDB, in memory: it holds nothing that the log or a Parquet file cannot give back.

/**
 * Opens DuckDB with access to one folder and nothing else, and locks its configuration: a statement can neither read another
 * file, nor load an extension, nor change a setting. Source: DuckDB "Securing DuckDB".
 */
export async function openDuckdb(folder: string, hot: HotTables): Promise<DuckDBInstance> {
  await mkdir(join(folder, 'tmp'), { recursive: true });
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(threadsMax),
    memory_limit: `${memoryLimitMiB}MiB`,
    temp_directory: join(folder, 'tmp'),
    max_temp_directory_size: '2GiB',
    preserve_insertion_order: 'false',
    // What a roll or a merge has freed goes back to the system soon, not when 128 MiB of it have come together.
    allocator_flush_threshold: '16MiB',
    allocator_bulk_deallocation_flush_threshold: '16MiB',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  const connection = await instance.connect();
  await connection.run(`SET allowed_directories = [${literal(`${folder}/`)}]`);
  await connection.run('SET enable_external_access = false');
  hot.register(connection);
  await connection.run('SET parquet_metadata_cache = true');
  await connection.run('SET lock_configuration = true');
  connection.closeSync();
  return instance;
}

/** A path or any text as a literal. Only for what this room made itself: what a user wrote is bound. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Collects what a statement binds. Everything that a user wrote goes through here. */
export class Params {
  readonly #given: { readonly value: DuckDBValue; readonly type: DuckDBType }[] = [];

  text(value: string): string {
    return this.#add(value, VARCHAR);
  }
  number(value: number): string {
    return this.#add(value, DOUBLE);
  }
  int(value: number): string {
    return this.#add(value, INTEGER);
  }
  bool(value: boolean): string {
    return this.#add(value, BOOLEAN);
  }
  /** Unsigned, 64 bits; what lies outside is bounded, which for times and durations is what a comparison needs. */
  u64(value: bigint): string {
    return this.#add(value < 0n ? 0n : value > 0xffffffffffffffffn ? 0xffffffffffffffffn : value, UBIGINT);
  }
  /** Signed, 64 bits. */
  i64(value: bigint): string {
    return this.#add(value, BIGINT);
  }
  #add(value: DuckDBValue, type: DuckDBType): string {
    this.#given.push({ value, type });
    return `$p${this.#given.length}`;
  }

  /** Those that the statement uses: a condition that turned out to be constant may have left some out. */
  boundTo(sql: string): { values: Record<string, DuckDBValue>; types: Record<string, DuckDBType> } {
    const values: Record<string, DuckDBValue> = {};
    const types: Record<string, DuckDBType> = {};
    for (const [, name] of sql.matchAll(/\$(p\d+)/g)) {
      const given = this.#given[Number(name!.slice(1)) - 1];
      if (given === undefined) continue;
      values[name!] = given.value;
      types[name!] = given.type;
    }
    return { values, types };
  }
}

export type Row = readonly DuckDBValue[];

/** One query's hold on a connection: it can be cancelled, and ends when its time is over. */
export class Session {
  readonly #connection: DuckDBConnection;
  readonly #cancel: AbortSignal;
  readonly #deadline: number;

  constructor(connection: DuckDBConnection, cancel: AbortSignal, timeMs: number) {
    this.#connection = connection;
    this.#cancel = cancel;
    this.#deadline = performance.now() + timeMs;
  }

  /** Whether the time budget is used up. */
  get late(): boolean {
    return performance.now() >= this.#deadline;
  }

  /**
   * Runs one statement and gives all its rows.
   * @throws Fault `tooSlow` when the session's time is over; the cancel signal's reason when it was cancelled.
   */
  rows(sql: string, params: Params): Promise<readonly Row[]> {
    return this.#run(async () => {
      const { values, types } = params.boundTo(sql);
      const result = await this.#connection.run(sql, values, types);
      return await result.getRows();
    });
  }

  /** Runs one statement and visits its result chunk by chunk, as columns, without a value object for each. */
  chunks(sql: string, params: Params, visit: (columns: Columns, rows: number) => Promise<void>): Promise<void> {
    return this.#run(async () => {
      // Not streamed: `visit` may ask something else on this connection, which would end a stream.
      const { values, types } = params.boundTo(sql);
      const result = await this.#connection.run(sql, values, types);
      for (let index = 0; index < result.chunkCount; index++) {
        const chunk = result.getChunk(index);
        await visit(new Columns(chunk), chunk.rowCount);
        this.#cancel.throwIfAborted();
      }
    });
  }

  async #run<T>(statement: () => Promise<T>): Promise<T> {
    this.#cancel.throwIfAborted();
    const left = this.#deadline - performance.now();
    if (left <= 0) throw tooSlow();
    let over = false;
    let stop: NodeJS.Timeout | undefined;
    // An interrupt that comes before the statement has begun is forgotten by DuckDB, so it is repeated until it is heard.
    const interrupt = () => {
      this.#connection.interrupt();
      stop ??= setInterval(() => this.#connection.interrupt(), 20);
    };
    const timer = setTimeout(() => {
      over = true;
      interrupt();
    }, left);
    this.#cancel.addEventListener('abort', interrupt, { once: true });
    try {
      return await statement();
    } catch (error) {
      if (this.#cancel.aborted) throw this.#cancel.reason;
      if (over) throw tooSlow();
      throw error;
    } finally {
      clearTimeout(timer);
      clearInterval(stop);
      this.#cancel.removeEventListener('abort', interrupt);
    }
  }
}

/** One chunk of a result. */
export class Columns {
  readonly #chunk: DuckDBDataChunk;

  constructor(chunk: DuckDBDataChunk) {
    this.#chunk = chunk;
  }

  /** 64-bit values as they lie in memory, whether they are numbers or doubles' bits. */
  u64(column: number): BigUint64Array {
    const { items } = this.#chunk.getColumnVector(column) as unknown as { items: BigUint64Array | Float64Array };
    return new BigUint64Array(items.buffer, items.byteOffset, items.length);
  }

  isNull(column: number, row: number): boolean {
    return this.#chunk.getColumnVector(column).getItem(row) === null;
  }

  blob(column: number, row: number): Uint8Array | undefined {
    const value = this.#chunk.getColumnVector(column).getItem(row) as { bytes: Uint8Array } | null;
    return value?.bytes;
  }
}

function tooSlow(): Fault {
  return new Fault('tooSlow', 'the query took longer than it may; narrow its time range or its conditions');
}

/** Connections for queries: a bounded number at once, the others wait in turn. */
export class Queries {
  readonly #instance: DuckDBInstance;
  readonly #free: DuckDBConnection[] = [];
  readonly #waiting: ((connection: DuckDBConnection) => void)[] = [];
  #open = 0;
  #closed = false;

  constructor(instance: DuckDBInstance) {
    this.#instance = instance;
  }

  async run<T>(cancel: AbortSignal, timeMs: number, query: (session: Session) => Promise<T>): Promise<T> {
    cancel.throwIfAborted();
    const connection = await this.#take();
    try {
      return await query(new Session(connection, cancel, timeMs));
    } finally {
      this.#give(connection);
    }
  }

  async #take(): Promise<DuckDBConnection> {
    if (this.#closed) throw new Fault('unavailable', 'the embedded store is closing');
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#open < queriesMax) {
      this.#open++;
      try {
        return await this.#instance.connect();
      } catch (error) {
        this.#open--;
        throw error;
      }
    }
    if (this.#waiting.length >= queriesWaitingMax) {
      throw new Fault('unavailable', 'too many queries are waiting', { retryAfterMs: 1000 });
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #give(connection: DuckDBConnection): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next(connection);
    else this.#free.push(connection);
  }

  /** No new queries; those under way end by their own signals or budgets. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#free.length < this.#open) await new Promise((resolve) => setTimeout(resolve, 10));
    for (const connection of this.#free) connection.closeSync();
    this.#free.length = 0;
    this.#open = 0;
  }
}
