import { open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { SpanSeries } from './series.ts';

// What was counted, and through where in the log, in one file: so neither can be ahead of the other.
// Form: `watchingcat-spanmetrics 1 <crc32 of the rest, 8 hex digits>\n`, then JSON. Written aside, synced, renamed over the last.

export interface CountState {
  /** Names the process that counts; made once. */
  readonly replica: string;
  /** Log of the traces that were counted, and the last sequence number. */
  readonly logId: string;
  readonly seq: number;
  /** When series were sent last. */
  readonly sentUnixMs: number;
  readonly series: readonly SpanSeries[];
}

const magic = 'watchingcat-spanmetrics 1';

function encodeState(state: CountState): Buffer {
  // undefined has no place in JSON: an overflow's name is null there.
  const json = JSON.stringify(state, (key, value: unknown) => (key === 'name' && value === undefined ? null : value));
  return Buffer.from(`${magic} ${crcOf(json)}\n${json}`);
}

/** undefined for what is damaged, or was not written by this version. */
function decodeState(bytes: Uint8Array): CountState | undefined {
  const text = Buffer.from(bytes).toString('utf8');
  const line = text.indexOf('\n');
  const json = text.slice(line + 1);
  if (line < 0 || text.slice(0, line) !== `${magic} ${crcOf(json)}`) return undefined;
  const state = JSON.parse(json) as CountState;
  return { ...state, series: state.series.map((each) => ({ ...each, name: each.name ?? undefined })) };
}

function crcOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

/** The state of a file; 'none' where there is none, 'damaged' where it says nothing. */
export async function readState(path: string): Promise<CountState | 'none' | 'damaged'> {
  try {
    return decodeState(await readFile(path)) ?? 'damaged';
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return 'none';
    throw thrown;
  }
}

/** On disk, whole, when it resolves. */
export async function writeState(path: string, state: CountState): Promise<void> {
  const aside = `${path}.new`;
  const file = await open(aside, 'w');
  try {
    await file.writeFile(encodeState(state));
    await file.sync();
  } catch (thrown) {
    await file.close();
    await unlink(aside).catch(() => undefined);
    throw thrown;
  }
  await file.close();
  await rename(aside, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
