import { join } from 'node:path';
import { literal } from './database.ts';
import type { KeyUse, Promoted } from './keys.ts';
import type { FileEntry } from './manifest.ts';
import { uniteKeys, uniteNames, unitePromoted } from './merge.ts';

// What a query reads, as items of a FROM clause. Pure.

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

/**
 * Several files as one part, so that one statement reads them side by side; undefined where their columns clash. Columns
 * that a file lacks are NULL there, and its records have such attributes in the overflow.
 */
export function partOf(folder: string, files: readonly FileEntry[]): Part | undefined {
  const promoted = unitePromoted(files.map((file) => file.promoted));
  if (promoted === undefined) return undefined;
  const from = (name: string, more: string) => {
    const paths = files.map(({ base }) => literal(join(folder, base + name)));
    return `read_parquet([${paths.join(', ')}], union_by_name = true${more})`;
  };
  return {
    facts: from('.parquet', ', filename = true, file_row_number = true'),
    dictionary: files.length === 1 ? from('.origins.parquet', '') : eachOnce((more) => from('.origins.parquet', more)),
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
 * The rows of several dictionaries, each id once; no file has one twice. Which file's row it is is found from the ids alone:
 * DISTINCT ON would hold all columns in memory, more than DuckDB has for some 300,000 series.
 * @param from Items of a FROM clause over the files, with more options of `read_parquet`.
 */
export function eachOnce(from: (more: string) => string): string {
  const named = from(', filename = true');
  return `(SELECT * EXCLUDE (filename) FROM ${named} SEMI JOIN (SELECT id, min(filename) AS filename FROM ${named} GROUP BY id) USING (id, filename))`;
}

/**
 * Joins neighbours: hot parts stay alone, files become groups of growing size, so that a search which finds enough in the
 * newest file reads no other, and one that has to read all does it in few statements.
 * @param first files in the first group.
 * @param keys  attributes that will be asked for: files go together where each of them is stored in the same way, so that
 *              one file that has it in the overflow does not cost the others their columns' statistics.
 */
export function groupParts(folder: string, parts: readonly Part[], first = 1, keys: readonly string[] = []): Part[] {
  const groups: Part[] = [];
  let size = first;
  let group: Part | undefined;
  for (const part of parts) {
    const joined =
      group === undefined || part.files.length === 0 || group.files.length >= size || !storedAlike(group, part, keys)
        ? undefined
        : partOf(folder, [...group.files, ...part.files]);
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
