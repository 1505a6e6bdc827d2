import type { KeyUse, Promoted } from './keys.ts';
import { fileKeysMax, mergeBytesTarget, mergeFilesMin, promotedMax } from './limits.ts';
import type { FileEntry } from './manifest.ts';

// Which files become one. Pure.

/** An hour is at rest when it has ended, and nothing came for it, for this long. */
const restMs = 10 * 60_000;

/**
 * The next merge, or undefined. Within an hour, eight files that were merged equally often become one, up to the size that
 * is aimed for; an hour at rest becomes as few files as that size allows. So a record is written three times at most, but
 * for those that come late one by one.
 */
export function planMerge(files: readonly FileEntry[], nowMs: number): FileEntry[] | undefined {
  const hours = new Map<number, FileEntry[]>();
  for (const file of files) {
    if (file.parquetBytes >= mergeBytesTarget / 2) continue;
    const same = hours.get(file.hour);
    if (same === undefined) hours.set(file.hour, [file]);
    else same.push(file);
  }
  for (const [hour, small] of hours) {
    if (small.length < 2) continue;
    const levels = Map.groupBy(small, ({ level }) => level);
    for (const same of levels.values()) {
      if (same.length < mergeFilesMin) continue;
      const chosen = together(same);
      if (chosen.length >= mergeFilesMin / 2) return chosen;
    }
    const newest = Math.max(...small.map(({ writtenMs }) => writtenMs), (hour + 1) * 3_600_000);
    if (nowMs - newest < restMs) continue;
    const chosen = together(small);
    if (chosen.length >= 2) return chosen;
  }
  return undefined;
}

/** The oldest of these that fit together: in size, and in their columns. */
function together(files: readonly FileEntry[]): FileEntry[] {
  const ordered = files.toSorted((a, b) => (a.minTimeUnixNano < b.minTimeUnixNano ? -1 : 1));
  const chosen: FileEntry[] = [];
  let size = 0;
  let columns: readonly Promoted[] = [];
  for (const file of ordered) {
    const united = unitePromoted([columns, file.promoted]);
    if (united === undefined || size + file.parquetBytes > mergeBytesTarget) continue;
    chosen.push(file);
    columns = united;
    size += file.parquetBytes;
  }
  return chosen;
}

/** All columns of several files; undefined where they cannot be in one. */
export function unitePromoted(lists: readonly (readonly Promoted[])[]): readonly Promoted[] | undefined {
  const byName = new Map<string, Promoted>(); // DuckDB's column names know no case
  for (const list of lists) {
    for (const column of list) {
      const known = byName.get(column.key.toLowerCase());
      if (known === undefined) byName.set(column.key.toLowerCase(), column);
      else if (known.key !== column.key || known.kind !== column.kind) return undefined;
    }
  }
  return byName.size > promotedMax * 2 ? undefined : [...byName.values()];
}

/** What is known of the keys of a merged file. */
export function uniteKeys(lists: readonly (readonly KeyUse[] | undefined)[]): readonly KeyUse[] | undefined {
  const uses = new Map<string, boolean>();
  for (const list of lists) {
    if (list === undefined) return undefined;
    for (const { key, overflow } of list) uses.set(key, (uses.get(key) ?? false) || overflow);
  }
  return uses.size > fileKeysMax ? undefined : [...uses].map(([key, overflow]) => ({ key, overflow }));
}

export function uniteNames(lists: readonly (readonly string[] | undefined)[]): readonly string[] | undefined {
  const names = new Set<string>();
  for (const list of lists) {
    if (list === undefined) return undefined;
    for (const name of list) names.add(name);
  }
  return names.size > fileKeysMax ? undefined : [...names];
}
