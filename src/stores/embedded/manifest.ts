import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { type FileOps, listFolder, readIfThere } from './files.ts';
import type { KeyUse, Promoted } from './keys.ts';

// What a signal's folder holds, as one small file. Its rename commits a whole roll or merge; what it does not name does not exist.
//
// `manifest-<number>.json`: a line with the CRC-32 of the rest in hex, then JSON. The newest that is whole counts. Each is
// written twice (`manifest-<number>.copy.json`), so that one damaged byte costs nothing; the previous one is kept as well.

/** One Parquet file of records and those beside it: `<base>.parquet`, `<base>.origins.parquet`, `<base>.rollup.parquet`, `<base>.bloom`. */
export interface FileEntry {
  readonly base: string;
  /** Hours since 1970: what retention goes by. */
  readonly hour: number;
  readonly rows: number;
  /** All its files together. */
  readonly sizeBytes: number;
  readonly parquetBytes: number;
  /** Length of its filter; 0 without one. */
  readonly bloomBytes: number;
  /** CRC-32 of its files, in the order of their names here. */
  readonly crcs: readonly number[];
  readonly minTimeUnixNano: bigint;
  readonly maxTimeUnixNano: bigint;
  readonly writtenMs: number;
  /** How often its records were merged. */
  readonly level: number;
  readonly promoted: readonly Promoted[];
  /** Attribute keys that its records have; undefined: any. */
  readonly keys: readonly KeyUse[] | undefined;
  readonly resourceKeys: readonly string[] | undefined;
}

export interface Manifest {
  readonly number: number;
  readonly files: readonly FileEntry[];
  /** Last sequence number of each log whose records are in files; the logs met last are kept. */
  readonly kept: ReadonlyMap<string, number>;
  /** Columns of the next generation. */
  readonly promoted: readonly Promoted[];
}

const emptyManifest: Manifest = { number: 0, files: [], kept: new Map(), promoted: [] };

/** Logs whose place is remembered; there is one per signal, and a new one where a volume was lost. */
const logsMax = 64;

export function encodeManifest(manifest: Manifest): Buffer {
  // Columns and keys are the same for most files, so they are written once.
  const lists = new Map<string, number>();
  const texts: unknown[] = [];
  const shared = (value: unknown) => {
    const text = JSON.stringify(value ?? null);
    let at = lists.get(text);
    if (at === undefined) {
      at = texts.length;
      lists.set(text, at);
      texts.push(value ?? null);
    }
    return at;
  };
  const files = manifest.files.map((file) => ({
    ...file,
    minTimeUnixNano: String(file.minTimeUnixNano),
    maxTimeUnixNano: String(file.maxTimeUnixNano),
    promoted: shared(file.promoted),
    keys: shared(file.keys?.map(({ key, overflow }) => [key, overflow])),
    resourceKeys: shared(file.resourceKeys),
  }));
  const kept = [...manifest.kept].slice(-logsMax);
  const text = JSON.stringify({ number: manifest.number, promoted: manifest.promoted, kept, lists: texts, files });
  const body = Buffer.from(text);
  return Buffer.concat([Buffer.from(`${crc32(body).toString(16).padStart(8, '0')}\n`), body]);
}

/** undefined where it is damaged. */
export function decodeManifest(bytes: Buffer): Manifest | undefined {
  if (bytes.length < 10 || bytes[8] !== 0x0a) return undefined;
  const body = bytes.subarray(9);
  if (crc32(body).toString(16).padStart(8, '0') !== bytes.toString('latin1', 0, 8)) return undefined;
  // What passes the checksum was written by us.
  const stored = JSON.parse(body.toString('utf8')) as StoredManifest;
  return {
    number: stored.number,
    promoted: stored.promoted,
    kept: new Map(stored.kept),
    files: stored.files.map((file) => ({
      ...file,
      minTimeUnixNano: BigInt(file.minTimeUnixNano),
      maxTimeUnixNano: BigInt(file.maxTimeUnixNano),
      promoted: stored.lists[file.promoted] as Promoted[],
      keys: (stored.lists[file.keys] as [string, boolean][] | null)?.map(([key, overflow]) => ({ key, overflow })),
      resourceKeys: (stored.lists[file.resourceKeys] as string[] | null) ?? undefined,
    })),
  };
}

interface StoredManifest {
  number: number;
  promoted: Promoted[];
  kept: [string, number][];
  lists: unknown[];
  files: (Omit<FileEntry, 'minTimeUnixNano' | 'maxTimeUnixNano' | 'promoted' | 'keys' | 'resourceKeys'> & {
    minTimeUnixNano: string;
    maxTimeUnixNano: string;
    promoted: number;
    keys: number;
    resourceKeys: number;
  })[];
}

const fileName = /^manifest-(\d+)(\.copy)?\.json$/;

export interface FoundManifest {
  readonly manifest: Manifest;
  /** Manifests that were newer than the one that counts, and damaged; also a damaged copy. */
  readonly damaged: readonly string[];
  /** A commit is lost: the newest could be read neither in the first nor in the second copy. */
  readonly fellBack: boolean;
}

/** The newest whole manifest of a folder; the empty one in a new folder. */
export async function readManifest(folder: string): Promise<FoundManifest> {
  const names = (await listFolder(folder)).flatMap((name) => {
    const match = fileName.exec(name);
    return match === null ? [] : [{ name, number: Number(match[1]), copy: match[2] !== undefined }];
  });
  names.sort((a, b) => b.number - a.number || Number(a.copy) - Number(b.copy));
  const damaged: string[] = [];
  for (const { name, number } of names) {
    const bytes = await readIfThere(join(folder, name));
    const manifest = bytes === undefined ? undefined : decodeManifest(bytes);
    if (manifest?.number === number) return { manifest, damaged, fellBack: names[0]!.number !== number };
    damaged.push(name);
  }
  return { manifest: emptyManifest, damaged, fellBack: damaged.length > 0 };
}

/** Commits. When it has resolved, the manifest survives the loss of power; when it rejects, the last one still counts. */
export async function writeManifest(
  folder: string,
  manifest: Manifest,
  files: FileOps,
  warn: (message: string) => void,
): Promise<void> {
  const bytes = encodeManifest(manifest);
  const path = join(folder, `manifest-${manifest.number}.json`);
  await files.writeSynced(`${path}.tmp`, [bytes]);
  await files.rename(`${path}.tmp`, path);
  await files.syncFolder(folder);
  // The commit has happened. A copy that cannot be written, and old ones that cannot be removed, do not undo it.
  try {
    const copy = join(folder, `manifest-${manifest.number}.copy.json`);
    await files.writeSynced(`${copy}.tmp`, [bytes]);
    await files.rename(`${copy}.tmp`, copy);
    await files.remove(join(folder, `manifest-${manifest.number - 2}.json`));
    await files.remove(join(folder, `manifest-${manifest.number - 2}.copy.json`));
  } catch (error) {
    warn(`the copy of a manifest could not be written: ${String(error)}`);
  }
}
