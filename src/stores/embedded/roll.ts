import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { filterOf } from './bloom.ts';
import type { Chunk, Rows } from './columns.ts';
import { hourName, parquets, removeEntry } from './entry.ts';
import type { FileOps } from './files.ts';
import { gather } from './gather.ts';
import type { ShelfKind } from './kind.ts';
import type { FileEntry } from './manifest.ts';
import { encodeParquet } from './parquet.ts';
import type { RollUp } from './rollup.ts';
import { sorted, wordsOf } from './sort.ts';

// The rows of one generation into files, an entry of the manifest for each hour.

export interface RollSource {
  readonly rows: Rows;
  readonly dictionaryRows: Rows;
  readonly rollUp: RollUp;
  readonly known: Pick<FileEntry, 'promoted' | 'keys' | 'resourceKeys'>;
}

export interface RollPlace {
  readonly kind: ShelfKind;
  readonly folder: string;
  readonly files: FileOps;
  readonly nowMs: number;
}

/** Writes the files, synced. They do not exist before a manifest names them; where it fails they are removed again. */
export async function writeRoll(place: RollPlace, source: RollSource): Promise<FileEntry[]> {
  const entries: FileEntry[] = [];
  try {
    for (const hour of hoursOf(source.rows)) entries.push(await writeHour(place, source, hour.hour, hour.only));
    return entries;
  } catch (error) {
    for (const { base } of entries) await removeEntry(place.folder, place.files, base).catch(() => undefined);
    throw error;
  }
}

/** `only`: all rows are of this hour. */
function hoursOf(rows: Rows): { hour: number; only: boolean }[] {
  const at = rows.specs.findIndex(({ name }) => name === 'hour');
  const hours = new Set<number>();
  for (const chunk of rows.chunks()) {
    const { u32 } = chunk.columns[at]!;
    for (let row = 0; row < chunk.rows; row++) hours.add(u32[row]! | 0);
  }
  return [...hours].sort((a, b) => a - b).map((hour) => ({ hour, only: hours.size === 1 }));
}

async function writeHour(place: RollPlace, source: RollSource, hour: number, only: boolean): Promise<FileEntry> {
  const { kind, folder, files, nowMs } = place;
  const { specs } = source.rows;
  const wanted = specs.flatMap(({ name }, index) => (name === 'hour' ? [] : [index]));
  const chunks = chunksOf(kind, source.rows, hour, only, wanted);
  const all = source.dictionaryRows.specs.map((_, index) => index);
  const dictionary = only
    ? source.dictionaryRows.chunks()
    : gather(source.dictionaryRows.specs, source.dictionaryRows.chunks(), namedBy(kind, source, chunks, wanted), all);
  const rollUp = source.rollUp.rows(hour);
  const base = `${hourName(hour)}-${randomBytes(6).toString('hex')}`;
  const path = join(folder, base);
  let last = performance.now();
  /** Queries are answered by the same event loop. */
  const pause = async () => {
    if (performance.now() - last < 5) return;
    await turn();
    last = performance.now();
  };
  try {
    const contents = [
      [wanted.map((index) => specs[index]!), chunks],
      [source.dictionaryRows.specs, dictionary],
      [rollUp.specs, rollUp.chunks()],
    ] as const;
    const crcs: number[] = [];
    const sizes: number[] = [];
    for (const [index, name] of parquets.entries()) {
      const [columns, rows] = contents[index]!;
      const { pieces, sizeBytes } = await encodeParquet(columns, rows, pause);
      await files.writeSynced(path + name, pieces);
      crcs.push(pieces.reduce((crc, piece) => crc32(piece, crc), 0));
      sizes.push(sizeBytes);
    }
    let bloomBytes = 0;
    if (kind.traceIds) {
      const at = wanted.findIndex((index) => specs[index]!.name === 'trace_id');
      const filter = filterOf(chunks.map(({ rows, columns }) => ({ rows, ids: columns[at]! })));
      await files.writeSynced(`${path}.bloom`, [filter]);
      bloomBytes = filter.length;
    }
    const range = timesOf(
      chunks,
      wanted.findIndex((index) => specs[index]!.name === 'time_unix_nano'),
    );
    return {
      base,
      hour,
      level: 0,
      writtenMs: nowMs,
      rows: chunks.reduce((sum, { rows }) => sum + rows, 0),
      minTimeUnixNano: range.least,
      maxTimeUnixNano: range.most,
      sizeBytes: sizes.reduce((sum, size) => sum + size, 0) + bloomBytes,
      parquetBytes: sizes[0]!,
      bloomBytes,
      crcs,
      ...source.known,
    };
  } catch (error) {
    // On a full disk it is tried again and again: each attempt must not leave what it had written. Opening removes the rest.
    await removeEntry(folder, files, base).catch(() => undefined);
    throw error;
  } finally {
    rollUp.release();
  }
}

/** The rows of an hour in the order of the file, with the columns that it has. */
function chunksOf(
  kind: ShelfKind,
  rows: Rows,
  hour: number,
  only: boolean,
  wanted: readonly number[],
): readonly Chunk[] {
  const chunks = rows.chunks();
  if (only && kind.sortBy === undefined)
    return chunks.map((chunk) => ({ rows: chunk.rows, columns: wanted.map((index) => chunk.columns[index]!) }));
  const hourAt = rows.specs.findIndex(({ name }) => name === 'hour');
  const chosen = new Uint32Array(rows.count);
  let count = 0;
  let next = 0;
  for (const chunk of chunks) {
    const { u32 } = chunk.columns[hourAt]!;
    for (let row = 0; row < chunk.rows; row++, next++) if ((u32[row]! | 0) === hour) chosen[count++] = next;
  }
  const order = chosen.subarray(0, count);
  return gather(rows.specs, chunks, kind.sortBy === undefined ? order : sorted(rows, order, kind.sortBy), wanted);
}

/** Rows of the dictionary whose ids these facts have. */
function namedBy(kind: ShelfKind, source: RollSource, facts: readonly Chunk[], wanted: readonly number[]): Uint32Array {
  const at = wanted.findIndex((index) => source.rows.specs[index]!.name === kind.dictionaryId);
  const named = new Set<bigint>();
  for (const chunk of facts) {
    const ids = new BigUint64Array(chunk.columns[at]!.u32.buffer, 0, chunk.rows);
    for (const id of ids) named.add(id);
  }
  const ids = wordsOf(source.dictionaryRows, 'id');
  const rows: number[] = [];
  for (const [row, id] of new BigUint64Array(ids.buffer).entries()) if (named.has(id)) rows.push(row);
  return Uint32Array.from(rows);
}

function timesOf(chunks: readonly Chunk[], at: number): { least: bigint; most: bigint } {
  let [leastHigh, leastLow, mostHigh, mostLow] = [0xffffffff, 0xffffffff, 0, 0];
  for (const { rows, columns } of chunks) {
    const { u32 } = columns[at]!;
    for (let row = 0; row < rows; row++) {
      const low = u32[row * 2]!;
      const high = u32[row * 2 + 1]!;
      if (high < leastHigh || (high === leastHigh && low < leastLow)) [leastHigh, leastLow] = [high, low];
      if (high > mostHigh || (high === mostHigh && low > mostLow)) [mostHigh, mostLow] = [high, low];
    }
  }
  const whole = (high: number, low: number) => (BigInt(high) << 32n) | BigInt(low);
  return { least: whole(leastHigh, leastLow), most: whole(mostHigh, mostLow) };
}
