import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import { bloomAdd, bloomSize } from './bloom.ts';
import { literal } from './database.ts';
import { crcOf, type FileOps, sizeOf } from './files.ts';
import { type JoinPlan, writeJoined } from './join.ts';
import type { ShelfKind } from './kind.ts';
import { rowGroupRows } from './limits.ts';
import type { FileEntry } from './manifest.ts';

// The files of one entry of the manifest: written, checked, removed.

export const parquets = ['.parquet', '.origins.parquet', '.rollup.parquet'] as const;
export const siblings = [...parquets, '.bloom'] as const;

export interface EntryWriting {
  readonly connection: DuckDBConnection;
  readonly kind: ShelfKind;
  readonly folder: string;
  readonly files: FileOps;
  readonly nowMs: number;
}

/** What goes into an entry: items of a FROM clause, and a SELECT for the roll-up. */
export interface EntrySources {
  readonly hour: number;
  readonly level: number;
  readonly facts: string;
  /** Where the facts can be copied as they are. */
  readonly join?: JoinPlan | undefined;
  readonly dictionary: string;
  readonly rollup: string;
  readonly known: Pick<FileEntry, 'promoted' | 'keys' | 'resourceKeys'>;
}

/** Writes the files of one entry, synced. They do not exist before a manifest names them. */
export async function writeEntry(writing: EntryWriting, sources: EntrySources): Promise<FileEntry> {
  const base = `${hourName(sources.hour)}-${randomBytes(6).toString('hex')}`;
  try {
    return await writeFiles(writing, sources, base);
  } catch (error) {
    // On a full disk it is tried again and again: each attempt must not leave what it had written. Opening removes the rest.
    await removeEntry(writing.folder, writing.files, base).catch(() => undefined);
    throw error;
  }
}

async function writeFiles(
  { connection, kind, folder, files, nowMs }: EntryWriting,
  { hour, level, facts, join: plan, dictionary, rollup, known }: EntrySources,
  base: string,
): Promise<FileEntry> {
  const path = join(folder, base);
  const order = kind.sortBy === undefined ? '' : ` ORDER BY ${kind.sortBy.join(', ')}`;
  const parquet = `(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE ${rowGroupRows})`;
  if (plan !== undefined) await writeJoined(plan, `${path}.parquet`);
  else await connection.run(`COPY (SELECT * FROM ${facts}${order}) TO ${literal(`${path}.parquet`)} ${parquet}`);
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
  let bloomBytes = 0;
  if (kind.traceIds) {
    const filter = await traceFilter(connection, facts);
    await files.writeSynced(`${path}.bloom`, [filter]);
    sizeBytes += filter.length;
    bloomBytes = filter.length;
  }
  return {
    base,
    hour,
    level,
    writtenMs: nowMs,
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

async function traceFilter(connection: DuckDBConnection, facts: string): Promise<Uint8Array> {
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

/** Whether its files have the checksums that they were written with. */
export async function isWhole(folder: string, file: FileEntry): Promise<boolean> {
  for (const [index, name] of parquets.entries()) {
    try {
      if ((await crcOf(join(folder, file.base + name))) !== file.crcs[index]) return false;
    } catch {
      return false;
    }
  }
  return true;
}

export async function removeEntry(folder: string, files: FileOps, base: string): Promise<void> {
  for (const name of siblings) await files.remove(join(folder, base + name));
}

/** `2026-11-23T14`; hours that no calendar has are named by their number. */
export function hourName(hour: number): string {
  const date = new Date(hour * 3_600_000);
  return Number.isNaN(date.getTime()) ? `hour${hour}` : date.toISOString().slice(0, 13);
}
