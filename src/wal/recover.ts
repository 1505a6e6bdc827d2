import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Clock, Fault, type Signal } from '../base/index.ts';
import { DigestRows, type Digests, digestFilesAmong, digestsName, readDigests, writeDigests } from './digests.ts';
import { type FileSystem, hasCode } from './files.ts';
import { fixedBytes } from './frame.ts';
import { lostSegmentSeqs, readBytesMax } from './limits.ts';
import { Quarantine } from './quarantine.ts';
import type { Remembered } from './repeats.ts';
import { readFrames, readHeader, type SegmentHeader, segmentHeadBytes, segmentsAmong, tailBytes } from './segment.ts';
import { PlaceFile } from './slots.ts';

// What a folder holds, made fit to be written to. Reads headers and the last segment, not the backlog.

/** A segment that takes no more frames. */
export interface SealedSegment {
  readonly path: string;
  readonly number: number;
  readonly firstSeq: number;
  /** Last sequence number that it may hold. */
  readonly lastSeq: number;
  readonly sizeBytes: number;
}

export interface Recovered {
  readonly logId: string;
  readonly nextSeq: number;
  readonly nextNumber: number;
  readonly sealed: SealedSegment[];
  readonly state: PlaceFile;
  readonly cursors: Map<string, PlaceFile>;
  readonly quarantine: Quarantine;
  /** Digest files that are kept, with the time of their newest row. */
  readonly digestFiles: { name: string; newestUnixNano: bigint }[];
}

export const stateName = 'state';
const cursorSuffix = '.cursor';

export function cursorPath(dir: string, name: string): string {
  return join(dir, `${encodeURIComponent(name)}${cursorSuffix}`);
}

interface Found {
  readonly path: string;
  readonly name: string;
  readonly number: number;
  readonly firstSeq: number;
  readonly header: SegmentHeader | undefined;
  readonly sizeBytes: number;
}

/**
 * @param options `windowMs` 0: digests are of no interest. `remember` is told those of the window, oldest first.
 * @throws Fault `unprocessable` for files of a newer version (nothing was changed), `malformed` for a log of another signal.
 */
export async function recover(
  files: FileSystem,
  dir: string,
  signal: Signal,
  options: { windowMs: number; clock: Clock; remember: (request: Remembered) => void },
): Promise<Recovered> {
  await files.mkdir(dir);
  const names = await files.readdir(dir);

  // Everything that can refuse comes first: until here nothing was changed.
  const found: Found[] = [];
  const segments = segmentsAmong(names);
  // So many at once as no limit of open files forbids.
  for (let at = 0; at < segments.length; at += 16) {
    found.push(...(await Promise.all(segments.slice(at, at + 16).map((segment) => look(files, dir, segment)))));
  }
  const state = await PlaceFile.read(files, dir, join(dir, stateName));
  const cursors = new Map<string, PlaceFile>();
  for (const name of names.filter((name) => name.endsWith(cursorSuffix))) {
    const cursor = decodeURIComponent(name.slice(0, -cursorSuffix.length));
    cursors.set(cursor, await PlaceFile.read(files, dir, join(dir, name)));
  }
  const digests = new Map<string, Digests>();
  for (const { name } of digestFilesAmong(names)) {
    const rows = await readDigests(files, join(dir, name));
    if (rows) digests.set(name, rows);
  }

  const logId = state.saved?.logId ?? found.findLast(({ header }) => header)?.header?.logId ?? newLogId();
  const mine = found.filter(({ header }) => header?.logId === logId);
  const foreign = mine.find(({ header }) => header?.signal !== signal);
  if (foreign) {
    throw new Fault(
      'malformed',
      `${dir} holds a log of ${foreign.header?.signal}, not of ${signal}: set another data folder, or move the folder back`,
    );
  }

  const quarantine = new Quarantine(files, dir);
  for (const name of names.filter((name) => name.endsWith('.new'))) await files.unlink(join(dir, name));
  const newest = mine.at(-1);
  let nextSeq = Math.max(1, state.saved?.seq ?? 1);
  for (const { saved } of cursors.values()) {
    if (saved?.logId === logId) nextSeq = Math.max(nextSeq, saved.seq + 1);
  }
  // A segment that once was and is lost had numbers that a destination may have settled: they are never used again.
  const lostAfter = newest?.number ?? 0;
  const lastNumber = Math.max(lostAfter, state.saved?.number ?? 0, ...found.map(({ number }) => number));
  if (lastNumber > lostAfter) {
    for (const { firstSeq } of found) nextSeq = Math.max(nextSeq, firstSeq);
    nextSeq += lostSegmentSeqs * Math.min(1024, lastNumber - lostAfter);
  }
  for (const [at, segment] of found.entries()) {
    if (segment.header?.logId === logId) continue;
    const next = found[at + 1];
    await quarantine.move(segment.path, Math.max(1, next ? next.firstSeq - segment.firstSeq : 1));
  }

  const sealed: SealedSegment[] = [];
  const rebuilt = new Map<string, DigestRows>();
  for (const [at, segment] of mine.entries()) {
    const next = mine[at + 1];
    const { path, number, firstSeq, sizeBytes } = segment;
    if (next) {
      sealed.push({ path, number, firstSeq, lastSeq: next.firstSeq - 1, sizeBytes });
      if (options.windowMs > 0 && !digests.has(digestsName(segment.name))) {
        // Sealed, and the process died before its digests were written.
        const { modifiedMs } = await files.stat(path);
        if (modifiedMs < options.clock.nowMs() - options.windowMs) continue;
        rebuilt.set(digestsName(segment.name), (await scan(files, segment, next.firstSeq, options.clock)).rows);
      }
      continue;
    }
    const last = await scan(files, segment, Number.MAX_SAFE_INTEGER, options.clock);
    for (const damage of last.damage) await quarantine.copy({ ...damage, path });
    nextSeq = Math.max(nextSeq, last.lastSeq + 1);
    if (last.tail > 0) {
      // A write that was cut off, or acknowledged frames that were damaged: their numbers are not used again.
      await quarantine.copy({ path, start: last.end, end: last.end + last.tail, frames: 1 });
      nextSeq = Math.max(nextSeq, last.lastSeq + 1 + Math.ceil(last.tail / fixedBytes));
    }
    if (last.lastSeq < firstSeq) {
      await files.unlink(path);
      continue;
    }
    if (sizeBytes > last.end) {
      const file = await files.open(path, 'write');
      try {
        await file.truncate(last.end);
        await file.sync();
      } finally {
        await file.close();
      }
    }
    sealed.push({ path, number, firstSeq, lastSeq: nextSeq - 1, sizeBytes: last.end });
    if (options.windowMs > 0) rebuilt.set(digestsName(segment.name), last.rows);
  }

  const expected = sealed.at(-1)?.number ?? 0;
  if (state.saved === undefined || state.saved.number !== expected) {
    await tolerantOfFullDisk(() => state.write(() => ({ logId, seq: nextSeq, number: expected })));
  }
  for (const [name, rows] of rebuilt) {
    const bytes = rows.encode(logId);
    await tolerantOfFullDisk(() => writeDigests(files, dir, name, bytes));
    digests.set(name, rows.decoded(logId));
  }
  const digestFiles: Recovered['digestFiles'] = [];
  for (const name of [...digests.keys()].sort()) {
    const rows = digests.get(name)!;
    digestFiles.push({ name, newestUnixNano: rows.newestUnixNano });
    if (rows.logId !== logId || options.windowMs === 0) continue;
    for (const row of rows.rows()) options.remember(row);
  }
  const nextNumber = 1 + Math.max(lastNumber, ...digestFilesAmong(names).map(({ number }) => number));
  return { logId, nextSeq, nextNumber, sealed, state, cursors, quarantine, digestFiles };
}

function newLogId(): string {
  return randomBytes(16).toString('hex');
}

async function look(
  files: FileSystem,
  dir: string,
  { name, number, firstSeq }: { name: string; number: number; firstSeq: number },
): Promise<Found> {
  const path = join(dir, name);
  const file = await files.open(path, 'read');
  try {
    const header = await readHeader(file, path);
    const renamed = header && (header.number !== number || header.firstSeq !== firstSeq);
    return {
      path,
      name,
      number,
      firstSeq,
      header: renamed ? undefined : header,
      sizeBytes: await file.sizeBytes(),
    };
  } finally {
    await file.close();
  }
}

/** Reads a segment to its end, a chunk at a time; bodies are let go. */
async function scan(files: FileSystem, { path, header, sizeBytes }: Found, beforeSeq: number, clock: Clock) {
  const file = await files.open(path, 'read');
  try {
    const rows = new DigestRows();
    const damage = [];
    let lastSeq = header!.firstSeq - 1;
    let position = segmentHeadBytes;
    for (;;) {
      const read = await readFrames(file, header!, path, position, {
        afterSeq: lastSeq,
        beforeSeq,
        bytesMax: Number.POSITIVE_INFINITY,
        recordsMax: Number.POSITIVE_INFINITY,
        chunkBytes: Math.min(readBytesMax, sizeBytes),
        search: true,
      });
      for (const frame of read.frames) {
        // When one of another replica came here is not in its frame. It was not long ago: this segment is new.
        const receivedUnixNano = frame.outstanding === '' ? frame.receivedUnixNano : clock.nowUnixNano();
        if (frame.recognise) rows.add({ ...frame, receivedUnixNano });
        lastSeq = frame.seq;
      }
      // Damaged frames, too, had numbers that were given out.
      lastSeq = Math.max(lastSeq, read.lastSeq);
      damage.push(...read.damage);
      position = read.position;
      if (read.stopped === 'end')
        return { rows, damage, lastSeq, end: position, tail: await tailBytes(file, header!, position) };
    }
  } finally {
    await file.close();
  }
}

/** What can be made good later need not stop the start. */
async function tolerantOfFullDisk(write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
  }
}
