import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DuckDBInstance } from '@duckdb/node-api';
import { type Batch, type Clock, Fault } from '../../base/index.ts';
import type { Refusal, WriteResult } from '../contract.ts';
import { isWhole, removeEntry, siblings } from './entry.ts';
import type { FileOps } from './files.ts';
import { Generation } from './generation.ts';
import type { HotTables } from './hot.ts';
import { KeyTable, planPromoted } from './keys.ts';
import type { DecoderTarget, GenerationDecoder, ShelfKind } from './kind.ts';
import { hotAgeMaxMs, hotBytesMax, hotRowsMax, learnRows, sealedMax } from './limits.ts';
import { type FileEntry, type Manifest, writeManifest } from './manifest.ts';
import { openFolder } from './opening.ts';
import { groupParts, type Part, partOf, type Snapshot } from './parts.ts';
import { FilePins } from './pins.ts';
import { type RewriteHost, Rewriter } from './rewrite.ts';
import { writeRoll } from './roll.ts';
import { SeenDigests } from './seen-digests.ts';

// One signal's records: hot rows in memory, then Parquet files that a manifest names.
//
// Invariants (each has a test of that name):
// - A record is in exactly one place that a query can see: in a hot generation, or in files of the manifest that counts.
// - `keptThrough` grows only after the manifest that says so is on disk, and a frame at or below it is never taken again.
// - A file is unlinked only when no manifest on disk that could still count names it and no query has it pinned.

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

export class Shelf {
  readonly kind: ShelfKind;
  readonly #options: ShelfOptions;
  readonly #hot: HotTables;
  /** A batch that is being taken: its generation must not be sealed. */
  #writing: Promise<void> | undefined;
  #manifest: Manifest;
  /** The generation that takes rows; made at the first write, so that an idle signal holds nothing. */
  #open: Generation | undefined;
  /** Oldest first. */
  readonly #sealed: Generation[] = [];
  readonly #keys = new KeyTable();
  readonly #decoder: (target: DecoderTarget) => GenerationDecoder;
  readonly #pins: FilePins;
  /** Files whose checksums were right when they were read in this process, or that it wrote. */
  readonly #checked = new Set<string>();
  /** Last sequence number taken of each log, kept or hot. */
  readonly #taken: Map<string, number>;
  readonly #digests = new SeenDigests();
  #onKept: ((logId: string, seq: number) => void) | undefined;
  #rolling: Promise<void> | undefined;
  readonly #rewriter: Rewriter;
  readonly #openedMs: number;
  readonly #openedMonotonicMs: number;
  #committing: Promise<unknown> = Promise.resolve();
  #roomFor: (() => void)[] = [];
  #closed = false;
  #damaged: number;
  #rolls = 0;
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
    this.#decoder = kind.decoders();
    this.#options = options;
    this.#hot = hot;
    this.#manifest = manifest;
    this.#pins = new FilePins(options);
    this.#taken = new Map(manifest.kept);
    this.#damaged = damaged;
    this.#openedMs = options.clock.nowMs();
    this.#openedMonotonicMs = options.clock.monotonicMs();
    this.#rewriter = new Rewriter(this.#lent(), instance);
  }

  static async open(kind: ShelfKind, options: ShelfOptions, instance: DuckDBInstance, hot: HotTables): Promise<Shelf> {
    await mkdir(options.folder, { recursive: true });
    const { manifest, damaged } = await openFolder(options);
    return new Shelf(kind, options, instance, hot, manifest, damaged);
  }

  #lent(): RewriteHost {
    const { folder, files: fileOps, warn, clock } = this.#options;
    return {
      kind: this.kind,
      folder,
      fileOps,
      warn,
      nowMs: () => clock.nowMs(),
      closed: () => this.#closed,
      files: () => this.#manifest.files,
      written: ({ base }) => this.#checked.add(base),
      replace: (old, entry) => this.#replace(old, entry),
      setAside: (file) => this.#setAside(file),
      rollAll: () => this.rollAll(),
      removed: () => this.#pins.removed(),
      failed: (reason) => {
        this.#lastError = reason;
      },
    };
  }

  keptThrough(logId: string): number {
    return this.#manifest.kept.get(logId) ?? 0;
  }

  onKept(listener: (logId: string, seq: number) => void): void {
    this.#onKept = listener;
  }

  // ------------------------------------------------------------------------------------------ writing

  async write(batch: Batch, cancel: AbortSignal): Promise<WriteResult> {
    while (!this.#closed && !this.#sealWhatIsFull()) {
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
      if (this.#digests.cameFromAnotherLog(frame.digest, batch.logId)) continue;
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
    this.#sealWhatIsFull();
  }

  /** Seals the open generation where it is full and fewer than `sealedMax` wait. @returns false where it has to wait. */
  #sealWhatIsFull(): boolean {
    const generation = this.#open;
    if (generation === undefined) return true;
    const { rows, promoted } = generation;
    // A new folder's first rows only teach which attributes are frequent.
    const learnt = !this.kind.promotes || promoted.length > 0 || rows.count < learnRows;
    const bytesMax = this.#options.hotBytesMax ?? hotBytesMax;
    const full = generation.sizeBytes >= bytesMax || rows.count >= hotRowsMax || !learnt;
    if (!full) return true;
    if (this.#sealed.length >= sealedMax) return false;
    this.#seal();
    this.#roll();
    return true;
  }

  #begin(): Generation {
    const { retentionMs, clock } = this.#options;
    const { promoted } = this.#manifest;
    const begun = { promoted, retentionMs, nowMs: clock.monotonicMs(), decoder: this.#decoder };
    this.#open = new Generation(this.kind, this.#hot, this.#keys, begun);
    return this.#open;
  }

  #seal(): void {
    const generation = this.#open;
    if (generation === undefined) return;
    generation.seal();
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
    await this.#pins.removed();
    await this.scrubOne();
    this.#rewriter.mergeSoon();
  }

  /** Merges while there is something to merge. For tests; otherwise it happens after rolls and at ticks. */
  async mergeAll(): Promise<void> {
    this.#rewriter.mergeSoon();
    await this.#rewriter.merged();
  }

  /** Rolls everything that is hot. For tests, for a graceful stop, and before a backup. */
  async rollAll(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    this.#seal();
    const last = this.#sealed.at(-1);
    const waits = () => last !== undefined && this.#sealed.includes(last);
    // A second time, as a roll that was about to end may not have seen it.
    for (let tries = 0; tries < 2 && waits(); tries++) {
      this.#roll();
      await this.#rolling;
    }
    if (waits()) throw new Fault('unavailable', `rolling ${this.kind.signal} failed: ${this.#lastError}`);
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
      this.#rewriter.mergeSoon();
    }
  }

  async #rollOne(generation: Generation): Promise<void> {
    const { folder, files, clock } = this.#options;
    const place = { kind: this.kind, folder, files, nowMs: clock.nowMs() };
    const entries = await writeRoll(place, generation);
    for (const { base } of entries) this.#checked.add(base);
    await this.#commit(
      (manifest) => {
        const kept = new Map(manifest.kept);
        for (const [logId, seq] of generation.through) {
          kept.delete(logId); // the log met last stands last
          kept.set(logId, Math.max(seq, manifest.kept.get(logId) ?? 0));
        }
        return { files: [...manifest.files, ...entries], kept };
      },
      () => {
        // In the same step as the manifest changes: a query that begins sees the rows in one place.
        this.#sealed.shift();
        generation.drop();
      },
    );
    for (const [logId, seq] of generation.through) this.#onKept?.(logId, seq);
  }

  /** One commit at a time: `change` sees the manifest as it is then. */
  #commit(change: (manifest: Manifest) => Partial<Manifest>, done: () => void = () => undefined): Promise<void> {
    const turn = this.#committing.then(async () => {
      const { folder, files } = this.#options;
      await files.syncFolder(folder);
      const next: Manifest = { ...this.#manifest, ...change(this.#manifest), number: this.#manifest.number + 1 };
      await writeManifest(folder, next, files, this.#options.warn);
      // `promoted` may have changed meanwhile, in memory.
      this.#manifest = { ...next, promoted: this.#manifest.promoted };
      done();
    });
    this.#committing = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Commits a file in the place of others, or nothing.
   * @returns false where one of them is gone: retention or damage took it away meanwhile, and what it held must not come back.
   */
  async #replace(old: readonly FileEntry[], entry: FileEntry | undefined): Promise<boolean> {
    const gone = new Set(old.map(({ base }) => base));
    let stillThere = true;
    await this.#commit((manifest) => {
      const rest = manifest.files.filter(({ base }) => !gone.has(base));
      stillThere = manifest.files.length - rest.length === old.length;
      return stillThere ? { files: entry === undefined ? rest : [...rest, entry] } : {};
    });
    if (stillThere) this.#retire(gone);
    else if (entry !== undefined) await removeEntry(this.#options.folder, this.#options.files, entry.base);
    return stillThere;
  }

  /** Files that no manifest names any more: removed when no query reads them. */
  #retire(bases: Iterable<string>): void {
    for (const base of bases) {
      this.#checked.delete(base);
      this.#pins.remove(base);
    }
  }

  eraseByResource(key: string, value: string, cancel: AbortSignal): Promise<number> {
    return this.#rewriter.eraseByResource(key, value, cancel);
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

  // ------------------------------------------------------------------------------------------ reading

  pin(): Snapshot {
    const generations = [...this.#sealed];
    if (this.#open !== undefined) generations.push(this.#open);
    const files = [...this.#manifest.files];
    const hot = generations.reverse().map((generation) => generation.pin());
    const release = this.#pins.pin(files.map(({ base }) => base));
    files.sort((a, b) =>
      a.maxTimeUnixNano === b.maxTimeUnixNano ? 0 : a.maxTimeUnixNano < b.maxTimeUnixNano ? 1 : -1,
    );
    let released = false;
    return {
      parts: [...hot, ...files.map((file) => this.#filePart(file))],
      [Symbol.dispose]: () => {
        if (released) return;
        released = true;
        for (const generation of generations) generation.unpin();
        release();
      },
    };
  }

  #filePart(file: FileEntry): Part {
    return partOf(this.#options.folder, [file])!;
  }

  /** See `groupParts`. */
  grouped(parts: readonly Part[], first = 1, keys: readonly string[] = []): Part[] {
    return groupParts(this.#options.folder, parts, first, keys);
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
        if (await isWhole(this.#options.folder, file)) whole.push(file);
        else await this.#setAside(file);
      }
      if (whole.length === part.files.length) throw error; // it was not the files
      const rest = partOf(this.#options.folder, whole);
      if (rest !== undefined && whole.length > 0) await read(rest);
      return { damaged: true };
    }
  }

  /**
   * Checks files against their checksums, each once in the life of the process: damage that DuckDB would read over is found
   * while nobody waits. @returns false when all were checked.
   */
  async scrubOne(): Promise<boolean> {
    const file = this.#manifest.files.find(({ base }) => !this.#checked.has(base));
    if (file === undefined) return false;
    this.#checked.add(file.base);
    if (!(await isWhole(this.#options.folder, file))) await this.#setAside(file);
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

  stats(): ShelfStats {
    const generations = this.#open === undefined ? this.#sealed : [...this.#sealed, this.#open];
    const { files } = this.#manifest;
    return {
      hotRows: generations.reduce((sum, { rows }) => sum + rows.count, 0),
      hotBytes: generations.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      files: files.length,
      fileRows: files.reduce((sum, { rows }) => sum + rows, 0),
      sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      oldestTimeUnixNano: files.reduce<bigint | undefined>(
        (least, { minTimeUnixNano: time }) => (least === undefined || time < least ? time : least),
        undefined,
      ),
      damaged: this.#damaged,
      rolls: this.#rolls,
      merges: this.#rewriter.merges,
      lastError: this.#lastError,
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const resolve of this.#roomFor.splice(0)) resolve();
    await this.#rewriter.close();
    await this.#rolling;
    await this.#committing;
    await this.#pins.removed();
    this.#rewriter.disconnect();
  }
}
