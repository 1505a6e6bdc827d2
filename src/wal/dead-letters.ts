import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Clock, Frame, Signal } from '../base/index.ts';
import { type File, type FileSystem, hasCode, systemFiles } from './files.ts';
import { encodeHead, type ParsedFrame, paddingOf, sealHead } from './frame.ts';
import {
  deadLetterRecordsMax,
  deadLetterSegmentBytes,
  deadLettersMax,
  headTextBytesMax,
  readBytesMax,
} from './limits.ts';
import type { LogWriter } from './log.ts';
import {
  createSegment,
  newSeal,
  readFrames,
  readHeader,
  type SegmentHeader,
  segmentHeadBytes,
  segmentName,
  segmentsAmong,
} from './segment.ts';

// What a destination refused for good, in segments like those of the log. The frame's message holds what happened, as
// JSON. A letter is forgotten by a line in the message of a later frame without body.

/** What a destination refused for good. */
export interface NewDeadLetter {
  readonly destination: string;
  readonly signal: Signal;
  /** Of the log that the frame came from; '' where that is not known. */
  readonly logId?: string;
  readonly frame: Frame;
  /** Indexes of the refused records in the frame, in wire order; undefined: all of it, or not told which. */
  readonly records?: readonly number[] | undefined;
  /** What the far side said. Never a payload, never a secret. */
  readonly reason: string;
}

export interface DeadLetterSummary {
  /** Counts up; never used twice in one folder. */
  readonly id: number;
  readonly destination: string;
  readonly signal: Signal;
  readonly reason: string;
  readonly addedUnixNano: bigint;
  readonly receivedUnixNano: bigint;
  readonly tenant: string;
  readonly refusedRecords: number;
  readonly sizeBytes: number;
}

export interface DeadLetter extends DeadLetterSummary {
  readonly logId: string;
  readonly frame: Frame;
  readonly records: readonly number[] | undefined;
}

export interface DeadLetterStats {
  readonly letters: number;
  readonly records: number;
  readonly sizeBytes: number;
  readonly maxBytes: number;
  /** Letters that came when there was no room; they are gone. */
  readonly droppedLetters: number;
  readonly droppedRecords: number;
  readonly corruptFrames: number;
}

export interface DeadLetters extends AsyncDisposable {
  /** Durable when it resolves with true. False: no room or no writing; the letter is counted, named in the log and gone. */
  add(letter: NewDeadLetter): Promise<boolean>;
  /** Oldest first. */
  list(): readonly DeadLetterSummary[];
  /** With their frames, oldest first, read one chunk at a time. To replay: hand the frame on, then `forget`. */
  read(filter?: { destination?: string; signal?: Signal; ids?: ReadonlySet<number> }): AsyncIterable<DeadLetter>;
  /** Durable when it resolves. Unknown ids are passed over. */
  forget(ids: readonly number[]): Promise<void>;
  stats(): DeadLetterStats;
}

export interface DeadLetterOptions {
  /** A folder of its own; made if it is not there. */
  readonly dir: string;
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly files?: FileSystem;
  readonly logger?: LogWriter;
}

/** @throws Fault `unprocessable` where a newer release wrote it; nothing was changed then. Damage never stops it. */
export async function openDeadLetters(options: DeadLetterOptions): Promise<DeadLetters> {
  const files = options.files ?? systemFiles;
  await files.mkdir(options.dir);
  const letters = new SegmentedLetters(options, files);
  await letters.load();
  return letters;
}

/** What the message of a frame says. */
type Note =
  | {
      readonly kind: 'letter';
      readonly destination: string;
      readonly reason: string;
      readonly records: readonly number[] | undefined;
      readonly logId: string;
      readonly seq: number;
      readonly received: string;
      readonly count: number;
    }
  | { readonly kind: 'forget'; readonly ids: readonly number[] };

interface Segment {
  readonly path: string;
  readonly header: SegmentHeader;
  readonly letters: Map<number, DeadLetterSummary>;
  sizeBytes: number;
}

class SegmentedLetters implements DeadLetters {
  readonly #options: DeadLetterOptions;
  readonly #files: FileSystem;
  readonly #segments: Segment[] = [];
  #folderId = randomBytes(16).toString('hex');
  #open: { readonly segment: Segment; readonly file: File } | undefined;
  #nextId = 1;
  #nextNumber = 1;
  #corruptFrames = 0;
  #droppedLetters = 0;
  #droppedRecords = 0;
  /** One write after the other. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor(options: DeadLetterOptions, files: FileSystem) {
    this.#options = options;
    this.#files = files;
  }

  async load(): Promise<void> {
    const { dir } = this.#options;
    const names = await this.#files.readdir(dir);
    const headers = await Promise.all(
      segmentsAmong(names).map(async (found) => {
        const path = join(dir, found.name);
        const file = await this.#files.open(path, 'read');
        try {
          return { ...found, path, header: await readHeader(file, path), sizeBytes: await file.sizeBytes() };
        } finally {
          await file.close();
        }
      }),
    );
    const forgotten = new Set<number>();
    for (const { path, header, sizeBytes, number, firstSeq } of headers) {
      this.#nextNumber = number + 1;
      this.#nextId = Math.max(this.#nextId, firstSeq);
      if (!header) {
        // Left where it is, for a person to look at; a new file never gets its name.
        this.#corruptFrames++;
        this.#options.logger?.warn({ path }, 'a file of dead letters is damaged and was passed over');
        continue;
      }
      this.#folderId = header.logId;
      const segment: Segment = { path, header, letters: new Map(), sizeBytes };
      for await (const frame of this.#frames(segment, true)) {
        const note = decodeNote(frame);
        this.#nextId = Math.max(this.#nextId, frame.seq + 1);
        if (note?.kind === 'letter') segment.letters.set(frame.seq, summary(frame, note));
        else if (note?.kind === 'forget') for (const id of note.ids) forgotten.add(id);
        else this.#corruptFrames++;
      }
      this.#segments.push(segment);
    }
    for (const segment of this.#segments) for (const id of forgotten) segment.letters.delete(id);
    await this.#dropEmpty();
  }

  /** @param count Whether damage is counted: at load only, as reading meets it again. */
  async *#frames(segment: Segment, count = false): AsyncGenerator<ParsedFrame> {
    const { path, header } = segment;
    const file = await this.#files.open(path, 'read');
    try {
      let position = segmentHeadBytes;
      let afterSeq = header.firstSeq - 1;
      for (;;) {
        const read = await readFrames(file, header, path, position, {
          afterSeq,
          beforeSeq: Number.MAX_SAFE_INTEGER,
          bytesMax: readBytesMax,
          recordsMax: Number.POSITIVE_INFINITY,
          chunkBytes: readBytesMax,
          search: true,
        });
        yield* read.frames;
        if (count) for (const { frames } of read.damage) this.#corruptFrames += frames;
        position = read.position;
        afterSeq = read.lastSeq;
        if (read.stopped === 'end') return;
      }
    } finally {
      await file.close();
    }
  }

  add(letter: NewDeadLetter): Promise<boolean> {
    const added = this.#writing.then(() => this.#add(letter));
    this.#writing = added.catch(() => undefined);
    return added;
  }

  async #add(letter: NewDeadLetter): Promise<boolean> {
    const { frame, destination, signal } = letter;
    const records = letter.records && letter.records.length <= deadLetterRecordsMax ? [...letter.records] : undefined;
    const note: Note = {
      kind: 'letter',
      destination,
      reason: letter.reason.slice(0, 1_000),
      records,
      logId: letter.logId ?? '',
      seq: frame.seq,
      received: String(frame.receivedUnixNano),
      count: letter.records?.length ?? frame.records,
    };
    const bytes = frame.body.byteLength + 1024;
    if (this.#sizeBytes + bytes > this.#options.maxBytes || this.#letterCount >= deadLettersMax) {
      this.#dropped(note, signal, 'there is no room for further dead letters');
      return false;
    }
    try {
      const parsed = await this.#write(note, { signal, frame });
      this.#open?.segment.letters.set(parsed.seq, summary(parsed, note));
      return true;
    } catch (error) {
      this.#dropped(note, signal, 'a dead letter could not be written', error);
      return false;
    }
  }

  #dropped(note: Note & { kind: 'letter' }, signal: Signal, message: string, error?: unknown): void {
    this.#droppedLetters++;
    this.#droppedRecords += note.count;
    const { destination, reason, count } = note;
    this.#options.logger?.error({ destination, signal, records: count, reason, err: error }, message);
  }

  /** @returns the frame as it is on disk, without its body. */
  async #write(note: Note, { signal, frame }: { signal: Signal; frame: Frame }): Promise<ParsedFrame> {
    const body = frame.body;
    const seq = this.#nextId;
    const fields = {
      signal,
      tenant: frame.tenant,
      digest: frame.digest,
      receivedUnixNano: this.#options.clock.nowUnixNano(),
      records: frame.records,
      answer: { rejected: 0, message: encodeNote(note) },
      recognise: false,
      outstanding: note.kind === 'letter' ? note.destination : '',
    };
    const { head, sizeBytes } = encodeHead(fields, body.byteLength);
    const padding = paddingOf(sizeBytes);
    const { segment, file } = await this.#openFor(sizeBytes + padding);
    sealHead(head, [body], seq, segment.header.seal);
    try {
      await file.writev([head, body, Buffer.alloc(padding)], segment.sizeBytes);
    } catch (error) {
      // What the file holds behind the last good frame is not known: it gets no more.
      this.#open = undefined;
      await file.truncate(segment.sizeBytes).catch(() => undefined);
      await file.close().catch(() => undefined);
      throw error;
    }
    this.#nextId = seq + 1;
    segment.sizeBytes += sizeBytes + padding;
    return { ...fields, seq, body };
  }

  async #openFor(bytes: number): Promise<{ segment: Segment; file: File }> {
    const open = this.#open;
    if (
      open &&
      (open.segment.sizeBytes === segmentHeadBytes || open.segment.sizeBytes + bytes <= deadLetterSegmentBytes)
    ) {
      return open;
    }
    return this.#openNew();
  }

  async #openNew(): Promise<{ segment: Segment; file: File }> {
    const before = this.#open;
    this.#open = undefined;
    await before?.file.close();
    const number = this.#nextNumber++;
    const header: SegmentHeader = {
      signal: 'traces', // letters of all signals lie in one file; each frame says its own
      logId: this.#folderId,
      number,
      firstSeq: this.#nextId,
      seal: newSeal(this.#folderId, number),
      recycled: false,
    };
    const file = await createSegment(this.#files, this.#options.dir, header);
    const path = join(this.#options.dir, segmentName(number, header.firstSeq));
    const segment: Segment = { path, header, letters: new Map(), sizeBytes: segmentHeadBytes };
    this.#segments.push(segment);
    this.#open = { segment, file };
    return this.#open;
  }

  list(): readonly DeadLetterSummary[] {
    return this.#segments.flatMap(({ letters }) => [...letters.values()]);
  }

  async *read(
    filter: { destination?: string; signal?: Signal; ids?: ReadonlySet<number> } = {},
  ): AsyncGenerator<DeadLetter> {
    for (const segment of [...this.#segments]) {
      if (segment.letters.size === 0) continue;
      for await (const parsed of this.#frames(segment)) {
        const letter = segment.letters.get(parsed.seq);
        const note = decodeNote(parsed);
        if (!letter || note?.kind !== 'letter') continue;
        if (filter.destination !== undefined && letter.destination !== filter.destination) continue;
        if (filter.signal !== undefined && letter.signal !== filter.signal) continue;
        if (filter.ids && !filter.ids.has(letter.id)) continue;
        const { tenant, digest, records, body } = parsed;
        const frame: Frame = { seq: note.seq, tenant, digest, receivedUnixNano: BigInt(note.received), records, body };
        yield { ...letter, logId: note.logId, records: note.records, frame };
      }
    }
  }

  forget(ids: readonly number[]): Promise<void> {
    const forgotten = this.#writing.then(() => this.#forget(ids));
    this.#writing = forgotten.catch(() => undefined);
    return forgotten;
  }

  async #forget(ids: readonly number[]): Promise<void> {
    const known = ids.filter((id) => this.#segments.some(({ letters }) => letters.has(id)));
    for (let at = 0; at < known.length; at += deadLetterRecordsMax) {
      const some = known.slice(at, at + deadLetterRecordsMax);
      await this.#write({ kind: 'forget', ids: some }, { signal: 'traces', frame: noFrame });
      for (const { letters } of this.#segments) for (const id of some) letters.delete(id);
    }
    await this.#dropEmpty();
  }

  /** Oldest first only: what a file says is forgotten lies in older ones, or in itself. */
  async #dropEmpty(): Promise<void> {
    let dropped = false;
    for (let oldest = this.#segments[0]; oldest && oldest.letters.size === 0; oldest = this.#segments[0]) {
      if (this.#segments.length === 1) {
        // The last file remembers which ids were used: a new one does, before it goes.
        if (oldest.sizeBytes <= emptyBytes) break;
        await this.#openNew();
      }
      await this.#files.unlink(oldest.path).catch((error) => {
        if (!hasCode(error, 'ENOENT')) throw error;
      });
      this.#segments.shift();
      dropped = true;
    }
    if (dropped) await this.#files.fsyncDir(this.#options.dir);
  }

  get #letterCount(): number {
    return this.#segments.reduce((sum, { letters }) => sum + letters.size, 0);
  }

  get #sizeBytes(): number {
    return this.#segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  stats(): DeadLetterStats {
    const letters = this.list();
    return {
      letters: letters.length,
      records: letters.reduce((sum, { refusedRecords }) => sum + refusedRecords, 0),
      sizeBytes: this.#sizeBytes,
      maxBytes: this.#options.maxBytes,
      droppedLetters: this.#droppedLetters,
      droppedRecords: this.#droppedRecords,
      corruptFrames: this.#corruptFrames,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    const open = this.#open;
    this.#open = undefined;
    await open?.file.close();
  }
}

/** A file without letters is replaced when it is larger. */
const emptyBytes = segmentHeadBytes + 4096;

const noFrame: Frame = {
  seq: 0,
  tenant: '',
  digest: new Uint8Array(16),
  receivedUnixNano: 0n,
  records: 0,
  body: new Uint8Array(0),
};

function encodeNote(note: Note): string {
  const text = JSON.stringify(note);
  if (Buffer.byteLength(text) <= headTextBytesMax || note.kind === 'forget') return text;
  return JSON.stringify({ ...note, records: undefined });
}

/** undefined for what this release did not write. */
function decodeNote(frame: ParsedFrame): Note | undefined {
  try {
    const note: unknown = JSON.parse(frame.answer.message);
    if (typeof note !== 'object' || note === null || !('kind' in note)) return undefined;
    // The checksum held, so what is there is what `encodeNote` made.
    return note.kind === 'letter' || note.kind === 'forget' ? (note as Note) : undefined;
  } catch {
    return undefined;
  }
}

function summary(frame: ParsedFrame, note: Note & { kind: 'letter' }): DeadLetterSummary {
  return {
    id: frame.seq,
    destination: note.destination,
    signal: frame.signal,
    reason: note.reason,
    addedUnixNano: frame.receivedUnixNano,
    receivedUnixNano: BigInt(note.received),
    tenant: frame.tenant,
    refusedRecords: note.count,
    sizeBytes: frame.body.byteLength,
  };
}
