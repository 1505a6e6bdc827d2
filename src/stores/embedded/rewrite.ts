import { join as joinPath } from 'node:path';
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { Fault } from '../../base/index.ts';
import { literal } from './database.ts';
import { type EntrySources, isWhole, removeEntry, writeEntry } from './entry.ts';
import { planErasure, remainder } from './erase.ts';
import type { FileOps } from './files.ts';
import { planJoin } from './join.ts';
import type { ShelfKind } from './kind.ts';
import type { FileEntry } from './manifest.ts';
import { planMerge, uniteKeys, uniteNames, unitePromoted } from './merge.ts';
import { eachOnce } from './parts.ts';

// Files in the place of others: merges, and erasures, of which one is under way at a time.

/** What a shelf lends to its rewriter. */
export interface RewriteHost {
  readonly kind: ShelfKind;
  readonly folder: string;
  readonly fileOps: FileOps;
  readonly warn: (message: string) => void;
  nowMs(): number;
  closed(): boolean;
  /** Of the manifest that counts. */
  files(): readonly FileEntry[];
  /** Told of an entry that this process wrote. */
  written(entry: FileEntry): void;
  /** Commits an entry in the place of others, or nothing. @returns false where one of them is gone meanwhile. */
  replace(old: readonly FileEntry[], entry: FileEntry | undefined): Promise<boolean>;
  setAside(file: FileEntry): Promise<void>;
  rollAll(): Promise<void>;
  /** What was unlinked is gone. */
  removed(): Promise<void>;
  failed(reason: string): void;
}

export class Rewriter {
  readonly #host: RewriteHost;
  readonly #instance: DuckDBInstance;
  #connection: DuckDBConnection | undefined;
  #merging: Promise<void> | undefined;
  /** Erasures that run or wait for their turn: no merge begins meanwhile. */
  #erasures = 0;
  #erasing: Promise<unknown> = Promise.resolve();
  merges = 0;

  constructor(host: RewriteHost, instance: DuckDBInstance) {
    this.#host = host;
    this.#instance = instance;
  }

  /** Begins merging where there is something to merge and nothing else under way. */
  mergeSoon(): void {
    const { kind, warn, closed, failed } = this.#host;
    if (closed() || this.#merging !== undefined || this.#erasures > 0) return;
    this.#merging = this.#mergeWhatFits()
      .catch((error: unknown) => {
        if (closed()) return;
        const reason = error instanceof Error ? error.message : String(error);
        failed(reason);
        warn(`merging ${kind.signal} failed: ${reason}`);
      })
      .finally(() => {
        this.#merging = undefined;
      });
  }

  /** What is being merged, until it is. */
  async merged(): Promise<void> {
    await this.#merging;
  }

  async #mergeWhatFits(): Promise<void> {
    for (;;) {
      const chosen = planMerge(this.#host.files(), this.#host.nowMs());
      if (chosen === undefined || this.#host.closed() || this.#erasures > 0) return;
      await this.#mergeFiles(chosen);
    }
  }

  async #mergeFiles(chosen: readonly FileEntry[]): Promise<void> {
    const { kind, folder } = this.#host;
    for (const file of chosen) {
      // A damaged file would carry its damage on, under a good checksum.
      if (await isWhole(folder, file)) continue;
      await this.#host.setAside(file);
      return;
    }
    const paths = (name: string) => chosen.map(({ base }) => joinPath(folder, base + name));
    const from = (name: string, more = '') =>
      `read_parquet([${paths(name).map(literal).join(', ')}], union_by_name = true${more})`;
    const merged = await this.#write({
      hour: chosen[0]!.hour,
      level: Math.max(...chosen.map(({ level }) => level)) + 1,
      facts: from('.parquet'),
      join: await planJoin(paths('.parquet')),
      dictionary: eachOnce((more) => from('.origins.parquet', more)),
      rollup: kind.mergeRollups(from('.rollup.parquet')),
      known: {
        promoted: unitePromoted(chosen.map(({ promoted }) => promoted))!,
        keys: uniteKeys(chosen.map(({ keys }) => keys)),
        resourceKeys: uniteNames(chosen.map(({ resourceKeys }) => resourceKeys)),
      },
    });
    await this.#host.replace(chosen, merged);
    this.merges++;
  }

  async #connected(): Promise<DuckDBConnection> {
    this.#connection ??= await this.#instance.connect();
    return this.#connection;
  }

  async #write(sources: EntrySources): Promise<FileEntry> {
    const { kind, folder, fileOps: files } = this.#host;
    const connection = await this.#connected();
    const entry = await writeEntry({ connection, kind, folder, files, nowMs: this.#host.nowMs() }, sources);
    this.#host.written(entry);
    return entry;
  }

  /**
   * Removes the records whose resource has this attribute. What is hot is rolled first, so that the log does not bring it
   * back; then file after file is written again without them, or dropped, each with a commit of its own.
   * @returns how many records are gone.
   * @throws Fault `unavailable` where a file could not be written; the signal's reason when it was cancelled.
   */
  async eraseByResource(key: string, value: string, cancel: AbortSignal): Promise<number> {
    this.#erasures++;
    try {
      const turn = this.#erasing.then(() => this.#erase(key, value, cancel));
      this.#erasing = turn.catch(() => undefined);
      return await turn;
    } finally {
      this.#erasures--;
      this.mergeSoon();
    }
  }

  async #erase(key: string, value: string, cancel: AbortSignal): Promise<number> {
    const host = this.#host;
    cancel.throwIfAborted();
    await host.rollAll();
    await this.#merging;
    let erased = 0;
    for (const file of host.files()) {
      cancel.throwIfAborted();
      if (host.closed()) throw new Fault('unavailable', 'the store is closing');
      // Retention or damage may have taken it away meanwhile.
      if (!host.files().includes(file)) continue;
      if (file.resourceKeys !== undefined && !file.resourceKeys.includes(key)) continue;
      const { signal } = host.kind;
      try {
        erased += await this.#eraseIn(file, key, value);
      } catch (error) {
        host.warn(`removing records of ${signal} failed: ${String(error)}`);
        const message = `not all of these ${signal} could be removed; what is removed stays so`;
        throw new Fault('unavailable', message, { cause: error, retryAfterMs: 10_000 });
      }
    }
    await host.removed();
    return erased;
  }

  /** @returns how many records were removed from this file. */
  async #eraseIn(file: FileEntry, key: string, value: string): Promise<number> {
    const { kind, folder, fileOps } = this.#host;
    const place = { connection: await this.#connected(), kind, folder };
    const erasure = await planErasure(place, file, key, value).catch(async (error: unknown) => {
      if (await isWhole(folder, file)) throw error;
      await this.#host.setAside(file);
    });
    if (erasure === undefined) return 0;
    if (!(await isWhole(folder, file))) {
      // As in a merge: what is left of it must not get a good checksum.
      await this.#host.setAside(file);
      return 0;
    }
    const left = file.rows - erasure.rows;
    const entry = left === 0 ? undefined : await this.#write(remainder(place, file, erasure));
    if (entry !== undefined && entry.rows !== left) {
      await removeEntry(folder, fileOps, entry.base);
      throw new Error(
        `expected ${left} of ${file.rows} records to be left in ${file.base}.parquet, found ${entry.rows}`,
      );
    }
    return (await this.#host.replace([file], entry)) ? erasure.rows : 0;
  }

  /** Ends what is under way; what it had not committed is done again some day. */
  async close(): Promise<void> {
    this.#connection?.interrupt();
    await this.#merging;
    await this.#erasing;
  }

  disconnect(): void {
    this.#connection?.closeSync();
  }
}
