import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Clock, Fault, joinOwed, type Signal } from '../base/index.ts';
import { ActiveSegment } from './active.ts';
import type { Answer, Appended, Cursor, Damage, Entry, Log, LogStats } from './contract.ts';
import { LogCursors } from './cursors.ts';
import { DigestFiles } from './digests.ts';
import { Disk } from './disk.ts';
import { type FileSystem, hasCode, systemFiles } from './files.ts';
import { encodeHead, paddingOf, sealHead } from './frame.ts';
import {
  answerMessageMax,
  briefRetryAfterMs,
  diskCheckMs,
  fullRetryAfterMs,
  groupBytesMax,
  groupPiecesMax,
  repeatRequestsMax,
  repeatWindowMs,
  segmentBytesMax,
  segmentBytesMin,
  waitingBytesMax,
} from './limits.ts';
import type { Quarantine } from './quarantine.ts';
import { type Recovered, recover, type SealedSegment } from './recover.ts';
import { owedAnew, type Remembered, RepeatTable } from './repeats.ts';
import type { Reserve } from './reserve.ts';
import { newSeal, type SegmentHeader, segmentHeadBytes, segmentName } from './segment.ts';
import type { PlaceFile } from './slots.ts';
import { Spare } from './spare.ts';
import { Tail } from './tail.ts';

// The owner's side of a log. What holds, each with a test of that name beside this file:
// - a frame is on disk before its append resolves
// - sequence numbers never repeat within a log id
// - a failed write acknowledges nothing and its file is not written again
// - a cursor is on disk before a segment that it frees is unlinked
// - without a cursor nothing is deleted
// - a repeat never overtakes the write that it repeats
// - what was written for some destinations is a repeat for those alone
// - damage costs only the frames that it hits, and the log opens

export interface LogOptions {
  /** Folder of this log alone; made if it is not there. */
  readonly dir: string;
  readonly signal: Signal;
  /** Bytes on disk; at the bound `append` refuses, and nothing is ever dropped. */
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly files?: FileSystem;
  /** Either 0 switches recognition off. */
  readonly repeatWindow?: { readonly ms: number; readonly requests: number };
  readonly logger?: LogWriter;
  /** Hears that writing failed twice in a row: nothing can be acknowledged any more and the process should end. */
  readonly onFailure?: (error: unknown) => void;
  /** Space that is given up when the disk is full (`reserveIn`), one for all logs on a disk; default: none. */
  readonly reserve?: Reserve;
  /** Default: an eighth of `maxBytes`, 64 KiB to 64 MiB. */
  readonly segmentBytes?: number;
}

/** The part of pino's logger that is used here. */
export interface LogWriter {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * Opens a log for writing, or makes one. The caller holds the folder's lock.
 * @throws Fault `unprocessable` where a newer release wrote it; nothing was changed then. Damage never stops it.
 */
export async function openLog(options: LogOptions): Promise<OwnedLog> {
  const files = options.files ?? systemFiles;
  const window = options.repeatWindow ?? { ms: repeatWindowMs, requests: repeatRequestsMax };
  const windowMs = window.requests > 0 ? window.ms : 0;
  const { clock } = options;
  const monotonicMs = clock.monotonicMs();
  const nowMs = clock.nowMs();
  const repeats = windowMs > 0 ? new RepeatTable({ windowMs, requestsMax: window.requests, monotonicMs }) : undefined;
  const remember = ({ digest, receivedUnixNano, ...known }: Remembered) => {
    // A clock that was set back since does not make requests younger than now.
    const ageMs = Math.max(0, nowMs - Number(receivedUnixNano / 1_000_000n));
    if (ageMs <= windowMs) repeats?.add(digest, known, monotonicMs - ageMs);
  };
  const recovered = await recover(files, options.dir, options.signal, { windowMs, clock, remember });
  const digestFiles = new DigestFiles(files, options.dir, windowMs, recovered.digestFiles);
  const log = new SegmentedLog(options, files, repeats, digestFiles, recovered);
  log.start();
  return log;
}

export interface OwnedLog extends Log {
  /** For a reader in this thread: `LogReaderOptions.tail`. */
  tail(): Tail;
  setAside(damage: readonly Damage[]): Promise<void>;
}

interface Waiting {
  readonly entry: Entry;
  readonly answer: Answer;
  readonly outstanding: string;
  readonly head: Buffer;
  readonly sizeBytes: number;
  /** '' where the request is not to be recognised. */
  readonly key: string;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (reason: unknown) => void;
}

class SegmentedLog implements OwnedLog {
  readonly signal: Signal;
  readonly logId: string;
  readonly #dir: string;
  readonly #files: FileSystem;
  readonly #clock: Clock;
  readonly #logger: LogWriter | undefined;
  readonly #onFailure: ((error: unknown) => void) | undefined;
  readonly #disk: Disk;
  readonly #spare: Spare;
  readonly #maxBytes: number;
  readonly #segmentBytes: number;
  readonly #quarantine: Quarantine;
  readonly #state: PlaceFile;
  readonly #cursors: LogCursors;
  readonly #listeners: ((seq: number) => void)[] = [];
  readonly #digestFiles: DigestFiles;
  readonly #tails: Tail[] = [];

  readonly #repeats: RepeatTable | undefined;
  #repeatCount = 0;
  /** Requests that wait or are being written, by digest. */
  readonly #underWay = new Map<string, Promise<Appended>>();

  readonly #sealed: SealedSegment[];
  #sealedBytes = 0;
  #open: ActiveSegment | undefined;
  #nextNumber: number;
  #nextSeq: number;
  /** Numbers up to here are not given out, whatever `#nextSeq` says. */
  #retiredSeq = 0;
  #durableSeq: number;

  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #writingBytes = 0;
  /** The loop that writes; settled when nothing waits. */
  #drain: Promise<void> | undefined;
  #failuresInARow = 0;
  #failed = false;
  #closing: Promise<void> | undefined;

  /** The last request did not fit. */
  #atBound = false;
  #writtenSinceCheck = true;
  #timer: NodeJS.Timeout | undefined;
  /** Housekeeping runs one piece after the other. Never rejects. */
  #chores: Promise<void> = Promise.resolve();
  #reclaiming = false;

  constructor(
    options: LogOptions,
    files: FileSystem,
    repeats: RepeatTable | undefined,
    digestFiles: DigestFiles,
    recovered: Recovered,
  ) {
    this.signal = options.signal;
    this.logId = recovered.logId;
    this.#dir = options.dir;
    this.#files = files;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onFailure = options.onFailure;
    this.#disk = new Disk(files, options);
    this.#maxBytes = options.maxBytes;
    this.#segmentBytes =
      options.segmentBytes ?? Math.max(segmentBytesMin, Math.min(segmentBytesMax, Math.floor(options.maxBytes / 8)));
    this.#repeats = repeats;
    this.#spare = new Spare(files, options.dir, this.#segmentBytes);
    this.#quarantine = recovered.quarantine;
    this.#state = recovered.state;
    this.#digestFiles = digestFiles;
    this.#sealed = recovered.sealed;
    for (const { sizeBytes } of recovered.sealed) this.#sealedBytes += sizeBytes;
    this.#nextNumber = recovered.nextNumber;
    this.#nextSeq = recovered.nextSeq;
    this.#durableSeq = recovered.nextSeq - 1;
    this.#cursors = new LogCursors(files, options.dir, this);
    for (const [name, file] of recovered.cursors) {
      const place = file.saved?.logId === this.logId ? file.saved.seq : 0;
      this.#cursors.restore(name, file, Math.max(place, this.#firstSeq - 1));
    }
  }

  start(): void {
    const { corruptFrames, quarantinedBytes } = this.#quarantine;
    if (quarantinedBytes > 0) {
      this.#logger?.warn(
        { signal: this.signal, corruptFrames, quarantinedBytes, dir: join(this.#dir, 'quarantine') },
        'the log was damaged; what could not be read was set aside',
      );
    }
    this.#timer = setInterval(() => this.#tick(), diskCheckMs);
    this.#timer.unref();
    this.#reclaim();
    this.chore(() => this.#disk.check());
  }

  get durableSeq(): number {
    return this.#durableSeq;
  }

  /** Sequence number of the first frame that is still there, or of the next one to come. */
  get #firstSeq(): number {
    return this.#sealed[0]?.firstSeq ?? this.#open?.header.firstSeq ?? this.#nextSeq;
  }

  // ------------------------------------------------------------------------------------------------ appending

  append(entry: Entry): Promise<Appended> {
    let key = '';
    let outstanding = entry.outstanding ?? '';
    if (entry.recognise && this.#repeats) {
      key = keyOf(entry.digest);
      // When that one is on disk it can be told whether this one repeats it.
      const first = this.#underWay.get(key);
      if (first) return first.then(() => this.append(entry));
      const known = this.#repeats.find(entry.digest, this.#clock.monotonicMs());
      if (known) {
        const names = owedAnew(known.outstanding, outstanding, () => this.#cursors.names());
        if (names.length === 0) return Promise.resolve(this.#repeat(known.answer));
        outstanding = joinOwed(names);
      }
    }
    let bodyBytes = 0;
    for (const piece of entry.pieces) bodyBytes += piece.byteLength;
    const answer =
      entry.answer.message.length > answerMessageMax
        ? { ...entry.answer, message: entry.answer.message.slice(0, answerMessageMax) }
        : entry.answer;
    const { tenant, digest, receivedUnixNano, records, recognise } = entry;
    const { head, sizeBytes } = encodeHead(
      { signal: this.signal, tenant, digest, receivedUnixNano, records, answer, recognise, outstanding },
      bodyBytes,
    );
    const refusal = this.#refusal(sizeBytes);
    if (refusal) return Promise.reject(refusal);
    const appended = new Promise<Appended>((resolve, reject) => {
      this.#waiting.push({ entry, answer, outstanding, head, sizeBytes, key, resolve, reject });
    });
    this.#waitingBytes += sizeBytes;
    if (key !== '') this.#underWay.set(key, appended);
    this.#drain ??= this.#writeGroups();
    return appended;
  }

  #repeat(answer: Answer): Appended {
    this.#repeatCount++;
    return { answer, repeat: true };
  }

  #refusal(sizeBytes: number): Fault | undefined {
    if (this.#closing) return unavailable('the server is stopping', briefRetryAfterMs);
    const reason = this.#refusing;
    if (reason === 'failed') return unavailable('the log cannot be written to', fullRetryAfterMs);
    if (reason === 'disk') return unavailable(diskFullMessage, fullRetryAfterMs);
    // It may need a segment of its own.
    const neededBytes = sizeBytes + paddingOf(sizeBytes) + segmentHeadBytes;
    if (neededBytes > this.#maxBytes) {
      return new Fault('tooLarge', `the request takes ${neededBytes} bytes, and the log holds ${this.#maxBytes}`);
    }
    this.#atBound = this.#sizeBytes + this.#waitingBytes + this.#writingBytes + neededBytes > this.#maxBytes;
    if (this.#atBound) {
      return unavailable(
        `the log of ${this.signal} is full: ${this.#maxBytes} bytes wait for their destinations`,
        fullRetryAfterMs,
      );
    }
    if (this.#waitingBytes + sizeBytes > waitingBytesMax && this.#waitingBytes > 0) {
      return unavailable('too many requests wait for the disk', briefRetryAfterMs);
    }
    return undefined;
  }

  get #refusing(): 'bound' | 'disk' | 'failed' | undefined {
    if (this.#failed) return 'failed';
    if (this.#disk.isFull) return 'disk';
    return this.#atBound ? 'bound' : undefined;
  }

  get #sizeBytes(): number {
    return this.#sealedBytes + (this.#open?.position ?? 0) + this.#spare.sizeBytes;
  }

  /** One write at a time; what comes meanwhile makes the next group. */
  async #writeGroups(): Promise<void> {
    // All that this turn of the event loop brings goes into one write.
    await nextTurn();
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      try {
        await this.#write(group);
      } catch (error) {
        await this.#refuse(group, error);
      }
      this.#writingBytes = 0;
    }
    this.#drain = undefined;
  }

  #takeGroup(): Waiting[] {
    let bytes = 0;
    let pieces = 0;
    let count = 0;
    for (const { sizeBytes, entry } of this.#waiting) {
      bytes += sizeBytes;
      pieces += entry.pieces.length + 2;
      if (count > 0 && (bytes > groupBytesMax || pieces > groupPiecesMax)) {
        bytes -= sizeBytes;
        break;
      }
      count++;
    }
    const group = count === this.#waiting.length ? this.#waiting : this.#waiting.slice(0, count);
    this.#waiting = count === this.#waiting.length ? [] : this.#waiting.slice(count);
    this.#waitingBytes -= bytes;
    this.#writingBytes = bytes;
    return group;
  }

  async #write(group: readonly Waiting[]): Promise<void> {
    let bytes = 0;
    for (const { sizeBytes } of group) bytes += sizeBytes + paddingOf(sizeBytes);
    const segment = await this.#segmentFor(bytes);
    const pieces: Uint8Array[] = [];
    let seq = this.#nextSeq;
    for (const { head, sizeBytes, entry } of group) {
      sealHead(head, entry.pieces, seq++, segment.header.seal);
      pieces.push(head, ...entry.pieces);
      const padding = paddingOf(sizeBytes);
      if (padding > 0) pieces.push(zeros.subarray(0, padding));
    }
    try {
      await segment.write(pieces, bytes);
    } catch (error) {
      await this.#abandon(segment);
      throw error;
    }
    this.#keep(group, segment, bytes);
    this.#nextSeq = seq;
    this.#durableSeq = seq - 1;
    this.#failuresInARow = 0;
    this.#writtenSinceCheck = true;
    this.#prepareSpare(segment);
    const cameMs = this.#clock.monotonicMs();
    for (const { key, entry, answer, outstanding, resolve } of group) {
      if (key !== '') {
        const known = { answer, outstanding };
        this.#repeats?.add(entry.digest, known, cameMs);
        // Another replica may give a frame again long after it was received: the window begins when it came here.
        const receivedUnixNano = outstanding === '' ? entry.receivedUnixNano : this.#clock.nowUnixNano();
        segment.rows.add({ digest: entry.digest, receivedUnixNano, ...known });
        this.#underWay.delete(key);
      }
      resolve({ answer, repeat: false });
    }
    for (const listener of this.#listeners) {
      try {
        listener(this.#durableSeq);
      } catch (error) {
        // The group is on disk and acknowledged, whatever those make of it who are told.
        this.#logger?.error({ signal: this.signal, err: error }, 'a listener of the log failed');
      }
    }
  }

  /** A group that is on disk, as the last one of its segment. */
  #keep(group: readonly Waiting[], { header, position }: ActiveSegment, bytes: number): void {
    if (this.#tails.length === 0) return;
    const { number, firstSeq } = header;
    const segment = { name: segmentName(number, firstSeq), number, firstSeq };
    const { signal } = this;
    let end = position - bytes;
    let seq = this.#nextSeq;
    for (const { entry, answer, outstanding, head, sizeBytes } of group) {
      end += sizeBytes + paddingOf(sizeBytes);
      const { tenant, digest, receivedUnixNano, records, recognise } = entry;
      const fields = { seq, signal, tenant, outstanding, digest, receivedUnixNano, records, answer, recognise };
      seq++;
      const bodyBytes = sizeBytes - head.byteLength;
      for (const tail of this.#tails) tail.push(fields, entry.pieces, bodyBytes, { segment, position: end });
    }
  }

  tail(): Tail {
    const tail = new Tail();
    this.#tails.push(tail);
    return tail;
  }

  async #refuse(group: readonly Waiting[], error: unknown): Promise<void> {
    let fault: Fault;
    let refused = group;
    if (hasCode(error, 'ENOSPC', 'EDQUOT')) {
      await this.#spare.discard();
      await this.#disk.ranOut();
      fault = unavailable(diskFullMessage, fullRetryAfterMs, error);
      refused = [...group, ...this.#waiting]; // those that wait would meet the same
    } else {
      this.#failuresInARow++;
      this.#logger?.error({ signal: this.signal, err: error }, 'a write to the log failed');
      fault = unavailable('the request could not be written to disk', briefRetryAfterMs, error);
      if (this.#failuresInARow >= 2 && !this.#failed) {
        this.#failed = true;
        refused = [...group, ...this.#waiting];
        this.#onFailure?.(error);
      }
    }
    if (refused !== group) {
      this.#waiting = [];
      this.#waitingBytes = 0;
    }
    for (const { key, reject } of refused) {
      if (key !== '') this.#underWay.delete(key);
      reject(fault);
    }
  }

  // ------------------------------------------------------------------------------------------------- segments

  /** The segment that has room for a group of so many bytes. */
  async #segmentFor(bytes: number): Promise<ActiveSegment> {
    const open = this.#open;
    const retired = this.#retiredSeq >= this.#nextSeq;
    if (open && !retired && open.hasRoomFor(bytes)) return open;
    if (open) await this.#seal(open);
    if (retired) this.#nextSeq = this.#retiredSeq + 1;
    const number = this.#nextNumber;
    const spare = this.#spare.take();
    const header: SegmentHeader = {
      signal: this.signal,
      logId: this.logId,
      number,
      firstSeq: this.#nextSeq,
      seal: newSeal(this.logId, number),
      recycled: spare?.recycled ?? false,
    };
    this.#nextNumber++;
    const segment = await ActiveSegment.create(this.#files, this.#dir, header, this.#segmentBytes, spare?.path);
    this.#open = segment;
    try {
      // Before its first frame, so that the loss of the whole file would be noticed.
      await this.#state.write(() => ({ logId: this.logId, seq: header.firstSeq, number }));
    } catch (error) {
      await this.#abandon(segment);
      throw error;
    }
    return segment;
  }

  /** Well before the open segment is full, so that the zeros need not hurry; not before the last one may have been delivered. */
  #prepareSpare({ position }: ActiveSegment): void {
    if (position >= this.#segmentBytes / 2 && this.#hasRoomForSpare) this.#spare.prepare();
  }

  /** Where the log's bound is near, the space is for frames. */
  get #hasRoomForSpare(): boolean {
    return this.#sizeBytes + 2 * this.#segmentBytes <= this.#maxBytes;
  }

  /** The segment takes no more frames. */
  async #seal(segment: ActiveSegment): Promise<void> {
    this.#open = undefined;
    const { path, header, position } = segment;
    const { number, firstSeq } = header;
    const lastSeq = this.#nextSeq - 1;
    if (lastSeq < firstSeq) {
      await segment.seal();
      await this.#files.unlink(path).catch(() => undefined);
      return;
    }
    // At once: a cursor that is made meanwhile must start before it.
    this.#sealed.push({ path, number, firstSeq, lastSeq, sizeBytes: position });
    this.#sealedBytes += position;
    if (this.#repeats) {
      this.#digestFiles.add({ number, name: segmentName(number, firstSeq) }, segment.rows);
      this.chore(() => this.#writeDigests());
    }
    await segment.seal();
    this.#reclaim();
  }

  /**
   * After a failed write nobody knows what the file holds behind the last good frame, and a second sync of it would
   * not tell the truth: it gets no more frames. What is left behind there counts for nothing, as the next segment
   * starts with the same number.
   */
  #abandon(segment: ActiveSegment): Promise<void> {
    return this.#seal(segment);
  }

  #writeDigests(): Promise<void> {
    return this.#digestFiles.write(this.logId, this.#clock.nowUnixNano(), (name) =>
      this.#sealed.some(({ path }) => path.endsWith(name)),
    );
  }

  // -------------------------------------------------------------------------------------------------- cursors

  cursor(name: string): Cursor {
    return this.#cursors.open(name, this.#firstSeq - 1);
  }

  cursorMoved(): void {
    this.#cursors.flushSoon();
    if (this.#sealed.length > 0) this.#reclaim();
  }

  async cursorNotWritten(name: string, error: unknown): Promise<void> {
    if (hasCode(error, 'ENOSPC', 'EDQUOT')) await this.#disk.ranOut();
    else this.#logger?.warn({ signal: this.signal, cursor: name, err: error }, 'a cursor was not written');
  }

  retire(seq: number): void {
    const lost = seq - this.#durableSeq;
    this.#logger?.warn({ signal: this.signal, seq, lost }, 'a destination is ahead of the log, which lost its end');
    this.#retiredSeq = Math.max(this.#retiredSeq, seq);
  }

  cursorNames(): readonly string[] {
    return this.#cursors.names();
  }

  async forgetCursor(name: string): Promise<void> {
    await this.#cursors.forget(name);
    this.#reclaim();
  }

  /** Deletes the segments that all cursors have passed, oldest first, in the background. */
  #reclaim(): void {
    if (this.#reclaiming) return;
    this.#reclaiming = true;
    this.chore(async () => {
      this.#reclaiming = false;
      await this.#deletePassed();
    });
  }

  async #deletePassed(): Promise<void> {
    let deleted = false;
    for (let oldest = this.#sealed[0]; oldest; oldest = this.#sealed[0]) {
      const { path, number, lastSeq } = oldest;
      if (this.#cursors.settledByAll < lastSeq || this.#cursors.size === 0 || this.#digestFiles.needs(number)) break;
      await this.#cursors.flushThrough(lastSeq);
      // The last segment of all takes the knowledge with it of how far numbers were given out.
      if (this.#sealed.length === 1 && !this.#open) {
        await this.#state.write(() => {
          return { logId: this.logId, seq: this.#nextSeq, number: this.#open?.header.number ?? 0 };
        });
      }
      if (this.#cursors.settledByAll < lastSeq || this.#cursors.size === 0) break; // a new cursor came meanwhile
      const recycled = this.#hasRoomForSpare && (await this.#spare.adopt(path, oldest.sizeBytes));
      if (!recycled) {
        await this.#files.unlink(path).catch((error) => {
          if (!hasCode(error, 'ENOENT')) throw error;
        });
      }
      this.#sealed.shift();
      this.#sealedBytes -= oldest.sizeBytes;
      this.#atBound = false;
      deleted = true;
    }
    if (deleted) await this.#files.fsyncDir(this.#dir);
  }

  // --------------------------------------------------------------------------------------------- housekeeping

  chore(work: () => Promise<void>): void {
    this.#chores = this.#chores.then(work).catch((error) => {
      this.#logger?.warn({ signal: this.signal, err: error }, 'housekeeping of the log failed; it is tried again');
    });
  }

  #tick(): void {
    if (this.#digestFiles.hasWork) this.chore(() => this.#writeDigests());
    const refusing = this.#refusing;
    if (refusing || this.#writtenSinceCheck) {
      this.#writtenSinceCheck = false;
      this.chore(() => this.#disk.check());
    }
    if (this.#sealed.length > 0) this.#reclaim();
    // Where the open segment is all that fills the disk, and delivered, it must go for the log to accept again.
    if (refusing && refusing !== 'failed' && !this.#drain) {
      const open = this.#open;
      if (open && this.#cursors.size > 0 && this.#cursors.settledByAll >= this.#durableSeq)
        this.#drain = this.#sealIdle(open);
    }
  }

  async #sealIdle(open: ActiveSegment): Promise<void> {
    await this.#seal(open);
    this.#drain = undefined;
    if (this.#waiting.length > 0) this.#drain = this.#writeGroups();
  }

  onDurable(listener: (seq: number) => void): void {
    this.#listeners.push(listener);
  }

  async setAside(damage: readonly Damage[]): Promise<void> {
    for (const place of damage) {
      const isNew = await this.#quarantine.copy(place);
      if (isNew)
        this.#logger?.warn({ signal: this.signal, ...place }, 'the log is damaged here; the bytes were set aside');
    }
  }

  stats(): LogStats {
    return {
      sizeBytes: this.#sizeBytes,
      maxBytes: this.#maxBytes,
      segments: this.#sealed.length + (this.#open ? 1 : 0),
      firstSeq: this.#firstSeq,
      durableSeq: this.#durableSeq,
      corruptFrames: this.#quarantine.corruptFrames,
      quarantinedBytes: this.#quarantine.quarantinedBytes,
      repeats: this.#repeatCount,
      refusing: this.#refusing,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    this.#cursors.stop();
    while (this.#drain) await this.#drain;
    await this.#chores;
    await this.#cursors.flush();
    if (this.#open) await this.#seal(this.#open);
    await this.#spare.discard();
    await this.#chores;
    await this.#cursors.close();
    await this.#state.close();
  }
}

const zeros = Buffer.alloc(8);
const diskFullMessage = 'the disk is full';

function unavailable(message: string, retryAfterMs: number, cause?: unknown): Fault {
  return new Fault('unavailable', message, { retryAfterMs, cause });
}

function keyOf(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('latin1');
}
