import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import { type Batch, type Clock, Fault, type Signal } from '../../base/index.ts';
import type { Refusal, WriteResult } from '../contract.ts';
import { bloomAdd, bloomSize } from './bloom.ts';
import { type ColumnSpec, Rows } from './columns.ts';
import { literal } from './database.ts';
import type { Decoder } from './decode.ts';
import { crcOf, type FileOps, listFolder, sizeOf } from './files.ts';
import type { HotTables } from './hot.ts';
import { KeyTable, type KeyUse, type Promoted, planPromoted } from './keys.ts';
import {
  digestsMax,
  fileKeysMax,
  hotAgeMaxMs,
  hotBytesMax,
  hotRowsMax,
  learnRows,
  rowGroupRows,
  sealedMax,
} from './limits.ts';
import { type FileEntry, type Manifest, readManifest, writeManifest } from './manifest.ts';
import { planMerge, uniteKeys, uniteNames, unitePromoted } from './merge.ts';
import { promotedSpecs } from './schema.ts';

// One signal's records: hot tables in DuckDB, then Parquet files that a manifest names.
//
// Invariants (each has a test of that name):
// - A record is in exactly one place that a query can see: in a hot generation, or in files of the manifest that counts.
// - `keptThrough` grows only after the manifest that says so is on disk, and a frame at or below it is never taken again.
// - A file is unlinked only when no manifest on disk that could still count names it and no query has it pinned.

/** What a signal's shelf needs to know of it. */
export interface ShelfKind {
  readonly signal: Signal;
  readonly columns: readonly ColumnSpec[];
  /** Rows that facts refer to by id: origins, or series. */
  readonly dictionaryColumns: readonly ColumnSpec[];
  /** Whether facts have a trace id that files are asked for. */
  readonly traceIds: boolean;
  /** Whether records have attributes, the most frequent of which get columns. */
  readonly promotes: boolean;
  /** ORDER BY of a file's rows, '' where they are as they came. */
  readonly order: string;
  /** Selects the roll-up of facts: one row for each minute and what is told apart. */
  rollup(facts: string, dictionary: string): string;
  /** Selects one roll-up from the union of several. */
  mergeRollups(rollups: string): string;
  decoder(target: {
    rows: Rows;
    dictionary: Rows;
    keys: KeyTable;
    promoted: readonly Promoted[];
    retentionMs: number;
  }): GenerationDecoder;
}

export interface GenerationDecoder extends Decoder {
  /** Keys of the resources met, for the manifest; undefined: any. */
  resourceKeys(): readonly string[] | undefined;
}

/** Where one query reads: a hot generation, or a file. `facts`, `dictionary` and `rollup` are items of a FROM clause. */
export interface Part {
  readonly facts: string;
  readonly dictionary: string;
  readonly rollup: string;
  readonly promoted: readonly Promoted[];
  readonly keys: readonly KeyUse[] | undefined;
  readonly resourceKeys: readonly string[] | undefined;
  readonly minTimeUnixNano: bigint;
  readonly maxTimeUnixNano: bigint;
  readonly rows: number;
  /** None for a hot generation; one, or several that are read as one. */
  readonly files: readonly FileEntry[];
}

/** What a query sees, whatever is rolled, merged or deleted meanwhile, until it is released. */
export interface Snapshot extends Disposable {
  /** Hot generations first, then files, the newest first. */
  readonly parts: readonly Part[];
}

interface Generation {
  /** As FROM takes them. */
  readonly table: string;
  readonly dictionary: string;
  readonly promoted: readonly Promoted[];
  readonly rows: Rows;
  readonly dictionaryRows: Rows;
  readonly decoder: GenerationDecoder;
  /** Last sequence number of each log whose records are in it. */
  readonly through: Map<string, number>;
  readonly begunMs: number;
  pins: number;
  /** Set when it is sealed. */
  keys: readonly KeyUse[] | undefined;
  resourceKeys: readonly string[] | undefined;
  dropped: boolean;
}

export interface ShelfOptions {
  readonly folder: string;
  readonly retentionMs: number;
  readonly clock: Clock;
  readonly files: FileOps;
  readonly warn: (message: string) => void;
  readonly hotBytesMax?: number | undefined;
  readonly hotAgeMaxMs?: number | undefined;
}

export interface ShelfStats {
  readonly hotRows: number;
  readonly hotBytes: number;
  readonly files: number;
  readonly fileRows: number;
  readonly sizeBytes: number;
  readonly oldestTimeUnixNano: bigint | undefined;
  /** Files that were damaged or missing, and manifests that could not be read, since the start. */
  readonly damaged: number;
  readonly rolls: number;
  readonly merges: number;
  readonly lastError: string;
}

const maxU64 = 0xffffffffffffffffn;

export class Shelf {
  readonly kind: ShelfKind;
  readonly #options: ShelfOptions;
  readonly #instance: DuckDBInstance;
  readonly #hot: HotTables;
  /** A batch that is being taken: its generation must not be sealed. */
  #writing: Promise<void> | undefined;
  #maintain: DuckDBConnection | undefined;
  #manifest: Manifest;
  /** The generation that takes rows; made at the first write, so that an idle signal holds nothing. */
  #open: Generation | undefined;
  /** Oldest first. */
  readonly #sealed: Generation[] = [];
  readonly #keys = new KeyTable();
  #pinnedFiles = new Map<string, number>();
  #unlink = new Set<string>();
  /** Files whose checksums were right when they were read in this process, or that it wrote. */
  readonly #checked = new Set<string>();
  /** Last sequence number taken of each log, kept or hot. */
  readonly #taken: Map<string, number>;
  readonly #digests = new Map<string, string>();
  #onKept: ((logId: string, seq: number) => void) | undefined;
  #rolling: Promise<void> | undefined;
  #merging: Promise<void> | undefined;
  #mergeConnection: DuckDBConnection | undefined;
  readonly #openedMs: number;
  readonly #openedMonotonicMs: number;
  #removing: Promise<void> = Promise.resolve();
  #committing: Promise<unknown> = Promise.resolve();
  #roomFor: (() => void)[] = [];
  #closed = false;
  #damaged: number;
  #rolls = 0;
  #merges = 0;
  #lastError = '';

  private constructor(
    kind: ShelfKind,
    options: ShelfOptions,
    instance: DuckDBInstance,
    hot: HotTables,
    manifest: Manifest,
    damaged: number,
  ) {
    this.kind = kind;
    this.#options = options;
    this.#instance = instance;
    this.#hot = hot;
    this.#manifest = manifest;
    this.#taken = new Map(manifest.kept);
    this.#damaged = damaged;
    this.#openedMs = options.clock.nowMs();
    this.#openedMonotonicMs = options.clock.monotonicMs();
  }

  static async open(kind: ShelfKind, options: ShelfOptions, instance: DuckDBInstance, hot: HotTables): Promise<Shelf> {
    await mkdir(options.folder, { recursive: true });
    const { manifest, damaged } = await openFolder(options);
    return new Shelf(kind, options, instance, hot, manifest, damaged);
  }

  keptThrough(logId: string): number {
    return this.#manifest.kept.get(logId) ?? 0;
  }

  onKept(listener: (logId: string, seq: number) => void): void {
    this.#onKept = listener;
  }

  // ------------------------------------------------------------------------------------------ writing

  async write(batch: Batch, cancel: AbortSignal): Promise<WriteResult> {
    while (this.#sealed.length >= sealedMax && !this.#closed) {
      const reason = 'stopped while the store was busy';
      if (cancel.aborted) return { kind: 'retry', pending: 'all', refused: [], afterMs: undefined, reason };
      this.#roll();
      await new Promise<void>((resolve) => this.#roomFor.push(resolve));
    }
    if (this.#closed)
      return { kind: 'retry', pending: 'all', refused: [], afterMs: 1000, reason: 'the store is closing' };
    const refused: Refusal[] = [];
    this.#writing = this.#take(batch, refused);
    try {
      await this.#writing;
    } finally {
      this.#writing = undefined;
    }
    return { kind: 'settled', refused };
  }

  async #take(batch: Batch, refused: Refusal[]): Promise<void> {
    const generation = this.#open ?? this.#begin();
    let began = performance.now();
    for (const [index, frame] of batch.frames.entries()) {
      if (frame.seq <= (this.#taken.get(batch.logId) ?? 0)) continue;
      this.#taken.set(batch.logId, frame.seq);
      generation.through.set(batch.logId, frame.seq);
      if (this.#cameFromAnotherLog(frame.digest, batch.logId)) continue;
      try {
        generation.decoder.decode(frame, index, refused);
      } catch (error) {
        // Trying it again would fail again, and store the records before the bad one twice.
        generation.rows.dropRow();
        generation.dictionaryRows.dropRow();
        if (!(error instanceof Fault))
          this.#options.warn(`reading a request of ${batch.signal} failed: ${String(error)}`);
        const reason = error instanceof Fault ? error.message : 'the store could not read it';
        refused.push({ frame: index, record: undefined, count: frame.records, reason });
      }
      if (performance.now() - began > 25) {
        // Queries are answered by the same event loop.
        await new Promise((resolve) => setImmediate(resolve));
        began = performance.now();
      }
    }
    const { rows, dictionaryRows, promoted } = generation;
    // A new folder's first rows only teach which attributes are frequent.
    const learnt = !this.kind.promotes || promoted.length > 0 || rows.count < learnRows;
    const bytesMax = this.#options.hotBytesMax ?? hotBytesMax;
    if (rows.sizeBytes + dictionaryRows.sizeBytes >= bytesMax || rows.count >= hotRowsMax || !learnt) {
      this.#seal();
      this.#roll();
    }
  }

  /** Logs do not store a request twice, but two logs may have it: one that a stopping replica handed over. */
  #cameFromAnotherLog(digest: Uint8Array, logId: string): boolean {
    const name = Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('latin1');
    const seen = this.#digests.get(name);
    if (seen !== undefined) return seen !== logId;
    this.#digests.set(name, logId);
    if (this.#digests.size > digestsMax) this.#digests.delete(this.#digests.keys().next().value!);
    return false;
  }

  #begin(): Generation {
    const { kind } = this;
    const { promoted } = this.#manifest;
    const rows = new Rows([...kind.columns, ...promotedSpecs(promoted)]);
    const dictionaryRows = new Rows(kind.dictionaryColumns);
    this.#keys.begin(promoted);
    const { retentionMs, clock } = this.#options;
    const generation: Generation = {
      table: this.#hot.add(rows),
      dictionary: this.#hot.add(dictionaryRows),
      promoted,
      rows,
      dictionaryRows,
      decoder: kind.decoder({ rows, dictionary: dictionaryRows, keys: this.#keys, promoted, retentionMs }),
      through: new Map(),
      begunMs: clock.monotonicMs(),
      pins: 0,
      keys: undefined,
      resourceKeys: undefined,
      dropped: false,
    };
    this.#open = generation;
    return generation;
  }

  #seal(): void {
    const generation = this.#open;
    if (generation === undefined) return;
    const uses = this.#keys.uses();
    generation.keys = uses !== undefined && uses.length > fileKeysMax ? undefined : uses;
    generation.resourceKeys = generation.decoder.resourceKeys();
    const promoted = planPromoted(this.#manifest.promoted, this.#keys.all(), generation.rows.count);
    this.#manifest = { ...this.#manifest, promoted };
    this.#sealed.push(generation);
    this.#open = undefined;
  }

  // ------------------------------------------------------------------------------------------ rolling

  /** Called now and then: rolls what is old enough, deletes what is too old. */
  async tick(): Promise<void> {
    const generation = this.#open;
    const age = this.#options.hotAgeMaxMs ?? hotAgeMaxMs;
    const old = generation !== undefined && this.#options.clock.monotonicMs() - generation.begunMs >= age;
    if (old && this.#writing === undefined) this.#seal();
    this.#roll();
    await this.#rolling;
    await this.#expire();
    await this.#removing;
    await this.scrubOne();
    this.#mergeSoon();
  }

  /** Merges while there is something to merge. For tests; otherwise it happens after rolls and at ticks. */
  async mergeAll(): Promise<void> {
    this.#mergeSoon();
    await this.#merging;
  }

  /** Rolls everything that is hot. For tests, for a graceful stop, and before a backup. */
  async rollAll(): Promise<void> {
    await this.#writing;
    this.#seal();
    this.#roll();
    await this.#rolling;
    if (this.#sealed.length > 0)
      throw new Fault('unavailable', `rolling ${this.kind.signal} failed: ${this.#lastError}`);
  }

  #roll(): void {
    if (this.#rolling !== undefined || this.#sealed.length === 0) return;
    this.#rolling = this.#rollSealed().finally(() => {
      this.#rolling = undefined;
      for (const resolve of this.#roomFor.splice(0)) resolve();
    });
  }

  async #rollSealed(): Promise<void> {
    for (;;) {
      const generation = this.#sealed[0];
      if (generation === undefined) return;
      try {
        await this.#rollOne(generation);
        this.#rolls++;
        this.#lastError = '';
      } catch (error) {
        // Nothing is lost: the generation stays, and is tried again at the next tick.
        this.#lastError = error instanceof Error ? error.message : String(error);
        this.#options.warn(`rolling ${this.kind.signal} failed: ${this.#lastError}`);
        await new Promise((resolve) => setTimeout(resolve, 200));
        return;
      }
      for (const resolve of this.#roomFor.splice(0)) resolve();
      this.#mergeSoon();
    }
  }

  // ------------------------------------------------------------------------------------------ merging

  #mergeSoon(): void {
    if (this.#closed || this.#merging !== undefined) return;
    this.#merging = this.#mergeWhatFits()
      .catch((error: unknown) => {
        if (this.#closed) return;
        this.#lastError = error instanceof Error ? error.message : String(error);
        this.#options.warn(`merging ${this.kind.signal} failed: ${this.#lastError}`);
      })
      .finally(() => {
        this.#merging = undefined;
      });
  }

  async #mergeWhatFits(): Promise<void> {
    for (;;) {
      const chosen = planMerge(this.#manifest.files, this.#options.clock.nowMs());
      if (chosen === undefined || this.#closed) return;
      await this.#mergeFiles(chosen);
    }
  }

  async #mergeFiles(chosen: readonly FileEntry[]): Promise<void> {
    for (const file of chosen) {
      // A damaged file would carry its damage on, under a good checksum.
      if (await this.#isWhole(file)) continue;
      await this.#setAside(file);
      return;
    }
    this.#mergeConnection ??= await this.#instance.connect();
    const from = (name: string) => {
      const paths = chosen.map(({ base }) => literal(join(this.#options.folder, base + name)));
      return `read_parquet([${paths.join(', ')}], union_by_name = true)`;
    };
    const merged = await this.#writeFiles(
      this.#mergeConnection,
      chosen[0]!.hour,
      Math.max(...chosen.map(({ level }) => level)) + 1,
      from('.parquet'),
      `(SELECT DISTINCT ON (id) * FROM ${from('.origins.parquet')})`,
      this.kind.mergeRollups(from('.rollup.parquet')),
      {
        promoted: unitePromoted(chosen.map(({ promoted }) => promoted))!,
        keys: uniteKeys(chosen.map(({ keys }) => keys)),
        resourceKeys: uniteNames(chosen.map(({ resourceKeys }) => resourceKeys)),
      },
    );
    const gone = new Set(chosen.map(({ base }) => base));
    let stillThere = true;
    await this.#commit((manifest) => {
      const rest = manifest.files.filter(({ base }) => !gone.has(base));
      stillThere = manifest.files.length - rest.length === chosen.length;
      return stillThere ? { files: [...rest, merged] } : {};
    });
    this.#merges++;
    // Retention or damage took a file away meanwhile: what it held must not come back.
    if (!stillThere) await removeEntry(this.#options, merged.base);
    else this.#retire(gone);
  }

  /** Files that no manifest names any more: removed when no query reads them. */
  #retire(bases: Iterable<string>): void {
    for (const base of bases) {
      this.#unlink.add(base);
      this.#checked.delete(base);
    }
    this.#unlinkUnpinned();
  }

  // ------------------------------------------------------------------------------------------ retention

  /**
   * Deletes files that are older than records are kept. Where the wall clock has jumped ahead since the start, by what
   * has really passed: a wrong clock must not delete everything.
   */
  async #expire(): Promise<void> {
    const { clock, retentionMs } = this.#options;
    const passedMs = clock.monotonicMs() - this.#openedMonotonicMs;
    const nowMs = Math.min(clock.nowMs(), this.#openedMs + passedMs + 3_600_000);
    const old = this.#manifest.files.filter(({ hour }) => (hour + 1) * 3_600_000 < nowMs - retentionMs);
    if (old.length > 0) await this.#delete(old);
  }

  async #delete(old: readonly FileEntry[]): Promise<void> {
    const gone = new Set(old.map(({ base }) => base));
    await this.#commit((manifest) => ({ files: manifest.files.filter(({ base }) => !gone.has(base)) }));
    this.#retire(gone);
  }

  /** The hour of the oldest file and its size; for retention by total size. */
  oldest(): FileEntry | undefined {
    return this.#manifest.files.reduce<FileEntry | undefined>(
      (least, file) => (least === undefined || file.hour < least.hour ? file : least),
      undefined,
    );
  }

  deleteOldest(): Promise<void> {
    const file = this.oldest();
    return file === undefined ? Promise.resolve() : this.#delete([file]);
  }

  async #rollOne(generation: Generation): Promise<void> {
    this.#maintain ??= await this.#instance.connect();
    const connection = this.#maintain;
    const entries: FileEntry[] = [];
    const hours =
      generation.rows.count === 0
        ? []
        : await (
            await connection.run(`SELECT hour, count(*) FROM ${generation.table} GROUP BY hour ORDER BY hour`)
          ).getRows();
    for (const [hour] of hours) {
      const where = hours.length === 1 ? '' : ` WHERE hour = ${Number(hour)}`;
      const facts = `(SELECT * EXCLUDE (hour, rowid) FROM ${generation.table}${where})`;
      const dictionary =
        hours.length === 1
          ? `(SELECT * EXCLUDE (rowid) FROM ${generation.dictionary})`
          : `(SELECT * EXCLUDE (rowid) FROM ${generation.dictionary} WHERE id IN (SELECT ${dictionaryId(this.kind)} FROM ${generation.table}${where}))`;
      entries.push(
        await this.#writeFiles(
          connection,
          Number(hour),
          0,
          facts,
          dictionary,
          this.kind.rollup(facts, generation.dictionary),
          {
            promoted: generation.promoted,
            keys: generation.keys,
            resourceKeys: generation.resourceKeys,
          },
        ),
      );
    }
    await this.#commit((manifest) => {
      const kept = new Map(manifest.kept);
      for (const [logId, seq] of generation.through) {
        kept.delete(logId); // the log met last stands last
        kept.set(logId, Math.max(seq, manifest.kept.get(logId) ?? 0));
      }
      return { files: [...manifest.files, ...entries], kept };
    });
    this.#sealed.shift();
    this.#drop(generation);
    for (const [logId, seq] of generation.through) this.#onKept?.(logId, seq);
  }

  /** Writes the files of one entry, synced. They do not exist before a manifest names them. */
  async #writeFiles(
    connection: DuckDBConnection,
    hour: number,
    level: number,
    facts: string,
    dictionary: string,
    rollup: string,
    known: Pick<FileEntry, 'promoted' | 'keys' | 'resourceKeys'>,
  ): Promise<FileEntry> {
    const { folder, files } = this.#options;
    const base = `${hourName(hour)}-${randomBytes(6).toString('hex')}`;
    const path = join(folder, base);
    const order = this.kind.order === '' ? '' : ` ORDER BY ${this.kind.order}`;
    // What was just rolled is soon merged, and then made small: snappy takes 1.8 µs a span, zstd 2.9 for two thirds of the bytes.
    const compression = level === 0 ? 'snappy' : 'zstd, COMPRESSION_LEVEL 1';
    const parquet = `(FORMAT parquet, COMPRESSION ${compression}, ROW_GROUP_SIZE ${rowGroupRows})`;
    await connection.run(`COPY (SELECT * FROM ${facts}${order}) TO ${literal(`${path}.parquet`)} ${parquet}`);
    await connection.run(`COPY (SELECT * FROM ${dictionary}) TO ${literal(`${path}.origins.parquet`)} ${parquet}`);
    await connection.run(`COPY (${rollup}) TO ${literal(`${path}.rollup.parquet`)} ${parquet}`);
    const [range] = await (
      await connection.run(
        `SELECT count(*), min(time_unix_nano), max(time_unix_nano) FROM read_parquet(${literal(`${path}.parquet`)})`,
      )
    ).getRows();
    let sizeBytes = 0;
    const crcs: number[] = [];
    for (const name of parquets) {
      await files.sync(path + name);
      sizeBytes += await sizeOf(path + name);
      crcs.push(await crcOf(path + name));
    }
    this.#checked.add(base);
    let bloomBytes = 0;
    if (this.kind.traceIds) {
      const filter = await this.#bloom(connection, facts);
      await files.writeSynced(`${path}.bloom`, filter);
      sizeBytes += filter.length;
      bloomBytes = filter.length;
    }
    return {
      base,
      hour,
      level,
      writtenMs: this.#options.clock.nowMs(),
      rows: Number(range![0]),
      minTimeUnixNano: range![1] as bigint,
      maxTimeUnixNano: range![2] as bigint,
      sizeBytes,
      parquetBytes: await sizeOf(`${path}.parquet`),
      bloomBytes,
      crcs,
      ...known,
    };
  }

  async #bloom(connection: DuckDBConnection, facts: string): Promise<Uint8Array> {
    const result = await connection.run(`SELECT DISTINCT trace_id FROM ${facts} WHERE trace_id IS NOT NULL`);
    const filter = new Uint8Array(bloomSize(result.rowCount));
    for (let index = 0; index < result.chunkCount; index++) {
      const chunk = result.getChunk(index);
      const rows = chunk.rowCount;
      // UUIDs as DuckDB has them: 128 bits, little endian; the low half is the id's last eight bytes.
      const data = duckdb.vector_get_data(duckdb.data_chunk_get_vector(chunk.chunk, 0), rows * 16);
      const view = new DataView(data.buffer, data.byteOffset, rows * 16);
      for (let row = 0; row < rows; row++)
        bloomAdd(filter, view.getUint32(row * 16, true), view.getUint32(row * 16 + 4, true));
    }
    return filter;
  }

  /** One commit at a time: `change` sees the manifest as it is then. */
  #commit(change: (manifest: Manifest) => Partial<Manifest>): Promise<void> {
    const turn = this.#committing.then(async () => {
      const { folder, files } = this.#options;
      await files.syncFolder(folder);
      const next: Manifest = { ...this.#manifest, ...change(this.#manifest), number: this.#manifest.number + 1 };
      await writeManifest(folder, next, files, this.#options.warn);
      // `promoted` may have changed meanwhile, in memory.
      this.#manifest = { ...next, promoted: this.#manifest.promoted };
    });
    this.#committing = turn.catch(() => undefined);
    return turn;
  }

  #drop(generation: Generation): void {
    generation.dropped = true;
    if (generation.pins > 0) return;
    this.#hot.remove(generation.table);
    this.#hot.remove(generation.dictionary);
  }

  // ------------------------------------------------------------------------------------------ reading

  pin(): Snapshot {
    const generations = [...this.#sealed];
    if (this.#open !== undefined) generations.push(this.#open);
    const files = [...this.#manifest.files];
    for (const generation of generations) generation.pins++;
    for (const { base } of files) this.#pinnedFiles.set(base, (this.#pinnedFiles.get(base) ?? 0) + 1);
    files.sort((a, b) =>
      a.maxTimeUnixNano === b.maxTimeUnixNano ? 0 : a.maxTimeUnixNano < b.maxTimeUnixNano ? 1 : -1,
    );
    let released = false;
    return {
      parts: [
        ...generations.reverse().map((generation) => this.#hotPart(generation)),
        ...files.map((file) => this.#filePart(file)),
      ],
      [Symbol.dispose]: () => {
        if (released) return;
        released = true;
        for (const generation of generations) {
          generation.pins--;
          if (generation.pins === 0 && generation.dropped) this.#drop(generation);
        }
        for (const { base } of files) {
          const pins = this.#pinnedFiles.get(base)! - 1;
          if (pins > 0) this.#pinnedFiles.set(base, pins);
          else this.#pinnedFiles.delete(base);
        }
        this.#unlinkUnpinned();
      },
    };
  }

  #hotPart(generation: Generation): Part {
    const open = generation === this.#open;
    return {
      facts: generation.table,
      dictionary: generation.dictionary,
      rollup: `(${this.kind.rollup(generation.table, generation.dictionary)})`,
      promoted: generation.promoted,
      keys: open ? this.#keys.uses() : generation.keys,
      resourceKeys: open ? generation.decoder.resourceKeys() : generation.resourceKeys,
      minTimeUnixNano: 0n,
      maxTimeUnixNano: maxU64,
      rows: generation.rows.count,
      files: [],
    };
  }

  #filePart(file: FileEntry): Part {
    return this.#groupPart([file])!;
  }

  /**
   * Several files as one part, so that one statement reads them side by side; undefined where their columns clash. Columns
   * that a file lacks are NULL there, and its records have such attributes in the overflow.
   */
  #groupPart(files: readonly FileEntry[]): Part | undefined {
    const promoted = unitePromoted(files.map((file) => file.promoted));
    if (promoted === undefined) return undefined;
    const from = (name: string, more: string) => {
      const paths = files.map(({ base }) => literal(join(this.#options.folder, base + name)));
      return `read_parquet([${paths.join(', ')}], union_by_name = true${more})`;
    };
    return {
      facts: from('.parquet', ', filename = true, file_row_number = true'),
      dictionary:
        files.length === 1
          ? from('.origins.parquet', '')
          : `(SELECT DISTINCT ON (id) * FROM ${from('.origins.parquet', '')})`,
      rollup: from('.rollup.parquet', ''),
      promoted,
      keys: uniteKeys(files.map(({ keys }) => keys)),
      resourceKeys: uniteNames(files.map(({ resourceKeys }) => resourceKeys)),
      minTimeUnixNano: span(files.map(({ minTimeUnixNano }) => minTimeUnixNano)).least,
      maxTimeUnixNano: span(files.map(({ maxTimeUnixNano }) => maxTimeUnixNano)).most,
      rows: files.reduce((sum, { rows }) => sum + rows, 0),
      files,
    };
  }

  /**
   * Joins neighbours: hot parts stay alone, files become groups of growing size, so that a search which finds enough in the
   * newest file reads no other, and one that has to read all does it in few statements.
   * @param first files in the first group.
   * @param keys  attributes that will be asked for: files go together where each of them is stored in the same way, so that
   *              one file that has it in the overflow does not cost the others their columns' statistics.
   */
  grouped(parts: readonly Part[], first = 1, keys: readonly string[] = []): Part[] {
    const groups: Part[] = [];
    let size = first;
    let group: Part | undefined;
    for (const part of parts) {
      const joined =
        group === undefined || part.files.length === 0 || group.files.length >= size || !storedAlike(group, part, keys)
          ? undefined
          : this.#groupPart([...group.files, ...part.files]);
      if (joined !== undefined) {
        group = joined;
        continue;
      }
      if (group !== undefined) {
        groups.push(group);
        if (group.files.length >= size) size *= 4;
      }
      if (part.files.length === 0) {
        groups.push(part);
        group = undefined;
      } else group = part;
    }
    if (group !== undefined) groups.push(group);
    return groups;
  }

  /**
   * Reads one part. Files that cannot be read because they are damaged are set aside, and the answer is made of the others.
   * @returns whether a file was left out.
   */
  async readPart(part: Part, read: (part: Part) => Promise<void>): Promise<{ damaged: boolean }> {
    try {
      await read(part);
      return { damaged: false };
    } catch (error) {
      if (part.files.length === 0 || error instanceof Fault) throw error;
      const whole: FileEntry[] = [];
      for (const file of part.files) {
        if (await this.#isWhole(file)) whole.push(file);
        else await this.#setAside(file);
      }
      if (whole.length === part.files.length) throw error; // it was not the files
      const rest = this.#groupPart(whole);
      if (rest !== undefined && whole.length > 0) await read(rest);
      return { damaged: true };
    }
  }

  async #isWhole(file: FileEntry): Promise<boolean> {
    for (const [index, name] of parquets.entries()) {
      try {
        if ((await crcOf(join(this.#options.folder, file.base + name))) !== file.crcs[index]) return false;
      } catch {
        return false;
      }
    }
    return true;
  }

  /**
   * Checks files against their checksums, each once in the life of the process: damage that DuckDB would read over is found
   * while nobody waits. @returns false when all were checked.
   */
  async scrubOne(): Promise<boolean> {
    const file = this.#manifest.files.find(({ base }) => !this.#checked.has(base));
    if (file === undefined) return false;
    this.#checked.add(file.base);
    if (!(await this.#isWhole(file))) await this.#setAside(file);
    return true;
  }

  /** Takes a damaged file out of the manifest and moves it to where a person can look at it. */
  async #setAside(file: FileEntry): Promise<void> {
    if (!this.#manifest.files.some(({ base }) => base === file.base)) return;
    this.#damaged++;
    this.#options.warn(`${file.base}.parquet (${file.rows} records) is damaged and was set aside`);
    await this.#commit((manifest) => ({ files: manifest.files.filter(({ base }) => base !== file.base) }));
    const quarantine = join(this.#options.folder, 'quarantine');
    await mkdir(quarantine, { recursive: true });
    for (const name of siblings) {
      const from = join(this.#options.folder, file.base + name);
      await this.#options.files.rename(from, join(quarantine, file.base + name)).catch(() => undefined);
    }
  }

  bloomPath(file: FileEntry): string {
    return join(this.#options.folder, `${file.base}.bloom`);
  }

  #unlinkUnpinned(): void {
    for (const base of this.#unlink) {
      if (this.#pinnedFiles.has(base)) continue;
      this.#unlink.delete(base);
      this.#removing = this.#removing
        .then(() => removeEntry(this.#options, base))
        .catch((error: unknown) => this.#options.warn(`removing ${base} failed: ${String(error)}`));
    }
  }

  stats(): ShelfStats {
    const generations = this.#open === undefined ? this.#sealed : [...this.#sealed, this.#open];
    const { files } = this.#manifest;
    return {
      hotRows: generations.reduce((sum, { rows }) => sum + rows.count, 0),
      hotBytes: generations.reduce(
        (sum, { rows, dictionaryRows }) => sum + rows.sizeBytes + dictionaryRows.sizeBytes,
        0,
      ),
      files: files.length,
      fileRows: files.reduce((sum, { rows }) => sum + rows, 0),
      sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      oldestTimeUnixNano: files.reduce<bigint | undefined>(
        (least, { minTimeUnixNano: time }) => (least === undefined || time < least ? time : least),
        undefined,
      ),
      damaged: this.#damaged,
      rolls: this.#rolls,
      merges: this.#merges,
      lastError: this.#lastError,
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const resolve of this.#roomFor.splice(0)) resolve();
    this.#mergeConnection?.interrupt();
    await this.#merging;
    await this.#rolling;
    await this.#committing;
    await this.#removing;
    this.#mergeConnection?.closeSync();
    this.#maintain?.closeSync();
  }
}

const parquets = ['.parquet', '.origins.parquet', '.rollup.parquet'] as const;
const siblings = [...parquets, '.bloom'] as const;

/** The least and the greatest of these. */
export function span(times: readonly bigint[]): { least: bigint; most: bigint } {
  let [least = 0n] = times;
  let most = least;
  for (const time of times) {
    if (time < least) least = time;
    if (time > most) most = time;
  }
  return { least, most };
}

function storedAlike(a: Part, b: Part, keys: readonly string[]): boolean {
  const way = (part: Part, key: string) => {
    const use = part.keys?.find((each) => each.key === key);
    if (part.keys !== undefined && use === undefined) return 'absent';
    const column = part.promoted.some((each) => each.key === key);
    return `${column ? 'column' : ''} ${use === undefined || use.overflow ? 'overflow' : ''}`;
  };
  return keys.every((key) => way(a, key) === way(b, key));
}

async function removeEntry(options: ShelfOptions, base: string): Promise<void> {
  for (const name of siblings) await options.files.remove(join(options.folder, base + name));
}

function dictionaryId(kind: ShelfKind): string {
  return kind.signal === 'metrics' ? 'series' : 'origin';
}

/** `2026-11-23T14`; hours that no calendar has are named by their number. */
function hourName(hour: number): string {
  const date = new Date(hour * 3_600_000);
  return Number.isNaN(date.getTime()) ? `hour${hour}` : date.toISOString().slice(0, 13);
}

/** Reads the manifest and puts the folder in order. */
async function openFolder(options: ShelfOptions): Promise<{ manifest: Manifest; damaged: number }> {
  const { folder, files, warn } = options;
  const found = await readManifest(folder);
  let damaged = found.damaged.length;
  for (const name of found.damaged) warn(`the manifest ${name} is damaged and was set aside`);
  const quarantine = join(folder, 'quarantine');
  const setAside = async (name: string) => {
    await mkdir(quarantine, { recursive: true });
    await files.rename(join(folder, name), join(quarantine, name));
  };
  for (const name of found.damaged) await setAside(name);
  const names = new Set(await listFolder(folder));
  const whole: FileEntry[] = [];
  for (const file of found.manifest.files) {
    const problem = await problemWith(folder, file, names);
    if (problem === undefined) {
      whole.push(file);
      continue;
    }
    damaged++;
    warn(`${file.base}.parquet (${file.rows} records) ${problem} and was set aside`);
    for (const sibling of siblings) if (names.has(file.base + sibling)) await setAside(file.base + sibling);
  }
  const bases = new Set(found.manifest.files.map(({ base }) => base));
  for (const name of names) {
    if (name.startsWith('manifest-') && !name.endsWith('.tmp')) continue;
    const sibling = siblings.toReversed().find((each) => name.endsWith(each));
    if (sibling !== undefined && bases.has(name.slice(0, -sibling.length))) continue;
    // Left by a roll or a merge that was never committed, so the log or the merged files have the records; but when a
    // manifest was damaged it may have named this file, and a person shall look at it.
    if (found.fellBack && !name.endsWith('.tmp')) {
      damaged++;
      await setAside(name);
    } else await files.remove(join(folder, name));
  }
  return { manifest: { ...found.manifest, files: whole }, damaged };
}

/** Cheap checks at start: that the files are there, as long as they were, and have Parquet's marks at both ends. */
async function problemWith(folder: string, file: FileEntry, names: ReadonlySet<string>): Promise<string | undefined> {
  for (const sibling of parquets) {
    if (!names.has(file.base + sibling)) return 'is not complete';
  }
  if ((await sizeOf(join(folder, `${file.base}.parquet`))) !== file.parquetBytes)
    return 'has another length than it had';
  return undefined;
}
