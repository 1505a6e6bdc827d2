import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parquets, siblings } from './entry.ts';
import { type FileOps, listFolder, sizeOf } from './files.ts';
import { type FileEntry, type Manifest, readManifest } from './manifest.ts';

// A signal's folder as the last process left it: what the manifest names is served, what is damaged set aside, what was
// never committed removed.

export interface OpenOptions {
  readonly folder: string;
  readonly files: FileOps;
  readonly warn: (message: string) => void;
}

/** Reads the manifest and puts the folder in order. */
export async function openFolder(options: OpenOptions): Promise<{ manifest: Manifest; damaged: number }> {
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
