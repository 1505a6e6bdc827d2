import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Batch, type Clock, type Signal, systemClock } from '../../base/index.ts';
import type { BatchLimits, Destination, Eraser, Keeper, Readers, WriteResult } from '../contract.ts';
import { openDuckdb, Queries } from './database.ts';
import { type FileOps, realFiles } from './files.ts';
import { HotTables } from './hot.ts';
import { logKind, metricKind, traceKind } from './kinds.ts';
import { logReader } from './read-logs.ts';
import { metricReader } from './read-metrics.ts';
import { traceReader } from './read-traces.ts';
import { Shelf, type ShelfStats } from './shelf.ts';

export type { ShelfStats } from './shelf.ts';

export interface EmbeddedOptions {
  /** Its own folder; made where it is missing. No other process may have it open. */
  readonly folder: string;
  readonly signals: ReadonlySet<Signal>;
  /** How long records are kept, ms, by the hour that they are filed under. */
  readonly retentionMs: Readonly<Record<Signal, number>>;
  /** Bytes of all files together; past it the oldest are deleted, whatever their signal. Undefined: by age only. */
  readonly sizeBytesMax?: number;
  /** Told of damage and of what failed and will be tried again: one sentence, without anything that a record holds. */
  readonly warn?: (message: string) => void;
  readonly clock?: Clock;
  /** For tests: stands between the store and the disk. */
  readonly files?: FileOps;
  /** For tests: bounds of a hot table, instead of those in limits.ts. */
  readonly hotBytesMax?: number;
  readonly hotAgeMaxMs?: number;
  /** Milliseconds for one query, instead of that in limits.ts. */
  readonly queryTimeMs?: number;
}

/** The store of one process: DuckDB over Parquet. One for all signals that it is given. */
export interface EmbeddedStore extends Destination, Eraser {
  readonly keeper: Keeper;
  readonly readers: Readers;
  stats(): Readonly<Partial<Record<Signal, ShelfStats>>>;
  /** What happens every five seconds: rolls what is old enough, deletes what is too old or too much, begins merging. */
  tick(): Promise<void>;
  /** Merges files while some are worth it. */
  mergeAll(): Promise<void>;
  /** Checks all files against their checksums; those that are damaged are set aside. Ticks do it file by file. */
  scrub(): Promise<void>;
  /** Writes everything that is hot into files, and commits it. */
  rollAll(): Promise<void>;
}

const limits: BatchLimits = {
  batchBytesMax: 4 * 1024 * 1024,
  batchRecordsMax: 20_000,
  lingerMs: 200,
  inFlightMax: 1,
};

/**
 * Opens the store. Reading works at once over what is in files; what was only in memory when the last process ended comes
 * again from the log, after `keeper.keptThrough`.
 * @throws Error where the folder cannot be written.
 */
export async function openEmbeddedStore(options: EmbeddedOptions): Promise<EmbeddedStore> {
  const folder = resolve(options.folder);
  const clock = options.clock ?? systemClock;
  await mkdir(folder, { recursive: true });
  const hot = new HotTables();
  const instance = await openDuckdb(folder, hot);
  const queries = new Queries(instance);
  const warn = options.warn ?? (() => undefined);
  const shelves = new Map<Signal, Shelf>();
  for (const kind of [traceKind, metricKind, logKind]) {
    const { signal } = kind;
    if (!options.signals.has(signal)) continue;
    const shelf = await Shelf.open(
      kind,
      {
        folder: join(folder, signal),
        retentionMs: options.retentionMs[signal],
        clock,
        files: options.files ?? realFiles,
        warn,
        hotBytesMax: options.hotBytesMax,
        hotAgeMaxMs: options.hotAgeMaxMs,
      },
      instance,
      hot,
    );
    shelves.set(signal, shelf);
  }
  const tick = async () => {
    for (const shelf of shelves.values()) await shelf.tick();
    const all = [...shelves.values()];
    const most = options.sizeBytesMax ?? Number.POSITIVE_INFINITY;
    while (all.reduce((sum, shelf) => sum + shelf.stats().sizeBytes, 0) > most) {
      const oldest = all
        .filter((shelf) => shelf.oldest() !== undefined)
        .reduce((least, shelf) => (shelf.oldest()!.hour < least.oldest()!.hour ? shelf : least));
      await oldest.deleteOldest();
    }
  };
  let ticking: Promise<void> | undefined;
  const tickOnce = () =>
    (ticking ??= tick()
      .catch((error: unknown) => warn(`looking after the embedded store failed: ${String(error)}`))
      .finally(() => {
        ticking = undefined;
      }));
  const timer = setInterval(() => void tickOnce(), 5000);
  timer.unref();

  const reader = <T>(
    signal: Signal,
    make: (options: { shelf: Shelf; queries: Queries; timeMs: number | undefined }) => T,
  ) => {
    const shelf = shelves.get(signal);
    return shelf === undefined ? undefined : make({ shelf, queries, timeMs: options.queryTimeMs });
  };
  const traces = reader('traces', traceReader);
  const logs = reader('logs', logReader);
  const metrics = reader('metrics', metricReader);
  const readers: Readers = { ...(traces && { traces }), ...(logs && { logs }), ...(metrics && { metrics }) };

  let closing: Promise<void> | undefined;
  const close = async () => {
    clearInterval(timer);
    await ticking;
    await queries.close();
    for (const shelf of shelves.values()) await shelf.close();
    instance.closeSync();
  };

  return {
    name: 'embedded',
    takes: new Set(shelves.keys()),
    limits,
    readers,
    keeper: {
      keptThrough: (signal, logId) => shelves.get(signal)?.keptThrough(logId) ?? 0,
      onKept: (listener) => {
        for (const [signal, shelf] of shelves) shelf.onKept((logId, seq) => listener(signal, logId, seq));
      },
    },
    async write(batch: Batch, cancel: AbortSignal): Promise<WriteResult> {
      const shelf = shelves.get(batch.signal);
      if (shelf === undefined) return { kind: 'split', reason: `the embedded store does not keep ${batch.signal}` };
      return shelf.write(batch, cancel);
    },
    stats: () => Object.fromEntries([...shelves].map(([signal, shelf]) => [signal, shelf.stats()])),
    tick: tickOnce,
    mergeAll: async () => {
      for (const shelf of shelves.values()) await shelf.mergeAll();
    },
    scrub: async () => {
      for (const shelf of shelves.values()) while (await shelf.scrubOne());
    },
    rollAll: async () => {
      for (const shelf of shelves.values()) await shelf.rollAll();
    },
    eraseByResource: async (key, value, cancel) => {
      const erased = { traces: 0, metrics: 0, logs: 0 };
      for (const [signal, shelf] of shelves) erased[signal] = await shelf.eraseByResource(key, value, cancel);
      return erased;
    },
    [Symbol.asyncDispose]: () => (closing ??= close()),
  };
}
