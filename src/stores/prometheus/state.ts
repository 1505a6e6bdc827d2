import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { type DeltaLimits, type Total, Totals } from './delta.ts';
import { familiesMax, journalBytesMin } from './limits.ts';
import type { Family } from './series.ts';

// What the destination must know after a restart, beside the log. FORMAT.md draws the files.

/** What readers are told of a metric that Prometheus does not tell. */
export interface Known {
  readonly type: Family['type'];
  readonly help: string;
  /** As it was sent: `s`, `By`. */
  readonly unit: string;
}

/**
 * Through which frame batches were tried. Written before each without waiting for the disk: it is for a process that dies,
 * whose writes the system completes. After a power loss it may be older, and then dead letters are made of samples that are
 * there already, which does no harm.
 */
export class AttemptNote {
  readonly #file: number;
  readonly #buffer = Buffer.alloc(48);
  readonly logId: string;
  readonly seq: number;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, 'attempted');
    const [logId = '', seq = '0'] = readOr(path, '').trim().split(' ');
    const isWhole = /^[0-9a-f]{32}$/.test(logId) && /^\d+$/.test(seq);
    this.logId = isWhole ? logId : '';
    this.seq = isWhole ? Number(seq) : 0;
    this.#file = openSync(path, 'a+');
    closeSync(this.#file);
    this.#file = openSync(path, 'r+');
  }

  write(logId: string, seq: number): void {
    this.#buffer.fill(0x20).write(`${logId} ${seq}`);
    writeSync(this.#file, this.#buffer, 0, this.#buffer.length, 0);
  }

  close(): void {
    closeSync(this.#file);
  }
}

interface Entry {
  readonly logId: string;
  /** The sums hold all frames through this one. */
  readonly seq: number;
  readonly totals: readonly (readonly [identity: string, total: Total | null])[];
}

/**
 * Sums of deltas with the place in the log up to which they hold, committed together: a journal of lines, each with its
 * checksum, that is written anew when it has grown.
 */
export class TotalsFile {
  readonly #path: string;
  readonly totals: Totals;
  logId = '';
  seq = 0;
  #journalBytes = 0;
  #writtenBytes = 0;

  constructor(folder: string, limits: DeltaLimits) {
    mkdirSync(folder, { recursive: true });
    this.#path = join(folder, 'totals');
    const totals = new Map<string, Total>();
    const lines = readOr(this.#path, '').split('\n');
    lines.pop(); // '', or a line that was not written to its end
    for (const line of lines) {
      const entry = entryOf(line);
      if (entry === undefined) break; // damaged; what follows it does not count
      if (entry.logId !== this.logId) this.seq = 0;
      this.logId = entry.logId;
      this.seq = entry.seq;
      for (const [identity, total] of entry.totals) {
        if (total === null) totals.delete(identity);
        else totals.set(identity, total);
      }
      this.#journalBytes += Buffer.byteLength(line) + 1;
    }
    this.totals = new Totals(totals, limits);
    // What lies behind a torn line would come to life again when more is appended.
    if (this.#journalBytes < sizeOf(this.#path)) this.#journalBytes = Number.POSITIVE_INFINITY;
  }

  /** On disk when it resolves. @param changed Identities of the series that the frames since the last call changed. */
  async save(logId: string, seq: number, changed: Iterable<string>): Promise<void> {
    if (this.#journalBytes > journalBytesMin && this.#journalBytes > 2 * this.#writtenBytes) {
      const line = lineOf({ logId, seq, totals: [...this.totals.entries()] });
      const file = await open(`${this.#path}.new`, 'w');
      try {
        await file.writeFile(line);
        await file.datasync();
      } finally {
        await file.close();
      }
      await rename(`${this.#path}.new`, this.#path);
      // What is appended from now on must not lie behind a name that a power loss takes back.
      const folder = await open(dirname(this.#path), 'r');
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
      this.#journalBytes = Buffer.byteLength(line);
      this.#writtenBytes = this.#journalBytes;
    } else {
      const totals = [...changed].map((identity) => [identity, this.totals.get(identity) ?? null] as const);
      const line = lineOf({ logId, seq, totals });
      const journalBytes = this.#journalBytes + Buffer.byteLength(line);
      // Where it fails, a part of the line may be there: then nothing may be appended behind it.
      this.#journalBytes = Number.POSITIVE_INFINITY;
      const file = await open(this.#path, 'a');
      try {
        await file.writeFile(line);
        await file.datasync();
      } finally {
        await file.close();
      }
      this.#journalBytes = journalBytes;
    }
    this.logId = logId;
    this.seq = seq;
  }
}

function lineOf(entry: Entry): string {
  // JSON has no infinities and no NaN; a sum may be one.
  const text = JSON.stringify(entry, (_, value) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
  );
  return `${crc32(text).toString(16).padStart(8, '0')} ${text}\n`;
}

function entryOf(line: string): Entry | undefined {
  const text = line.slice(9);
  if (text === '' || crc32(text) !== Number.parseInt(line.slice(0, 8), 16)) return undefined;
  return JSON.parse(text, (_, value) =>
    value === 'Infinity' || value === '-Infinity' || value === 'NaN' ? Number(value) : value,
  ) as Entry;
}

/** Types, units and descriptions of metrics. A convenience: what cannot be read is as if it were not there. */
export class KnownFile {
  readonly #path: string;
  readonly families: Map<string, Known>;
  #dirty = false;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#path = join(folder, 'metadata.json');
    this.families = new Map(parsedFamilies(readOr(this.#path, '[]')));
  }

  learn(families: Iterable<Family>): void {
    for (const { name, type, help, otlpUnit: unit } of families) {
      const known = this.families.get(name);
      if (known !== undefined && known.type === type && known.help === help && known.unit === unit) continue;
      if (known === undefined && this.families.size >= familiesMax) continue;
      this.families.set(name, { type, help, unit });
      this.#dirty = true;
    }
  }

  /** Where something was learnt since. */
  save(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    const file = openSync(`${this.#path}.new`, 'w');
    writeSync(file, JSON.stringify([...this.families]));
    closeSync(file);
    renameSync(`${this.#path}.new`, this.#path);
  }
}

function parsedFamilies(text: string): [string, Known][] {
  try {
    return JSON.parse(text) as [string, Known][];
  } catch {
    return []; // it is learnt again with the next batches
  }
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return otherwise;
    throw thrown;
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
