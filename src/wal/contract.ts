import type { Frame, Signal } from '../base/index.ts';

// The surface of the write-ahead log. One log per signal, in a folder of its own.

/** A request on its way into the log. */
export interface Entry {
  readonly tenant: string;
  readonly digest: Uint8Array;
  readonly receivedUnixNano: bigint;
  readonly records: number;
  /** The body in pieces, so that what was spliced in need not be copied. Not touched until `append` settles. */
  readonly pieces: readonly Uint8Array[];
  /** What the client is told; a repeat of the request is told the same, also after a restart. Usually 0 and ''. */
  readonly answer: Answer;
  /** False for requests that are exempt from recognition (log records without any timestamp). */
  readonly recognise: boolean;
  /** Destinations that are owed it, as `joinOwed` has them; '' or absent: all. */
  readonly outstanding?: string;
}

export interface Answer {
  readonly rejected: number;
  readonly message: string;
}

export interface Appended {
  readonly answer: Answer;
  /**
   * The request was in the log already (or on its way into it), for all destinations that are owed it, and was not stored
   * again. Where it was for others, it is stored for those that it was not for.
   */
  readonly repeat: boolean;
}

/** Owner's side: the one process that writes. */
export interface Log extends AsyncDisposable {
  readonly signal: Signal;
  /** 32 hex digits, random, made with the log, never used twice. */
  readonly logId: string;
  /** Sequence number of the last frame that is on disk; 0 in a new log. */
  readonly durableSeq: number;
  /**
   * Resolves when the frame is on disk; all requests that wait share one write.
   * @throws Fault `unavailable` with retryAfterMs: log at its bound, disk full, or closing.
   */
  append(entry: Entry): Promise<Appended>;
  /** Calls back after `durableSeq` has grown. */
  onDurable(listener: (seq: number) => void): void;
  /**
   * Names a reader whose place holds back deletion; its persisted place, or the first frame there is, if it is new.
   * A cursor that no destination claims any more is dropped with `forgetCursor`.
   */
  cursor(name: string): Cursor;
  cursorNames(): readonly string[];
  forgetCursor(name: string): Promise<void>;
  stats(): LogStats;
  /** Counts damage that a reader met and copies its bytes to `quarantine/`; the same damage again is not counted again. */
  setAside?(damage: readonly Damage[]): Promise<void>;
}

export interface Cursor {
  readonly name: string;
  /** Last sequence number that is settled. */
  readonly settledSeq: number;
  /** Moves it; never back. Persisted soon, and before any segment that it frees is deleted. */
  settle(seq: number): void;
  /**
   * Through here it was settled because another replica took over what was owed; 0: never. A destination that keeps a place
   * of its own, and is behind, passes over it.
   */
  readonly handedSeq: number;
  /** As `settle`, for what another replica took over. */
  settleHanded(seq: number): void;
  /** Persists now. */
  flush(): Promise<void>;
}

export interface LogStats {
  readonly sizeBytes: number;
  readonly maxBytes: number;
  readonly segments: number;
  readonly firstSeq: number;
  readonly durableSeq: number;
  /** Damage met since the start: frames that could not be read and bytes set aside. */
  readonly corruptFrames: number;
  readonly quarantinedBytes: number;
  readonly repeats: number;
  /** Why `append` refuses at present: the log's bound, the disk, or a second failed write; undefined while it accepts. */
  readonly refusing?: 'bound' | 'disk' | 'failed' | undefined;
}

/** Bytes of a segment that hold no readable frame. */
export interface Damage {
  readonly path: string;
  /** Byte offsets, `end` exclusive. */
  readonly start: number;
  readonly end: number;
  /** Frames that were there, by the gap in the sequence numbers. */
  readonly frames: number;
}

/**
 * Reader's side: works in any thread or process, reads the files only, and never past a sequence number that the owner
 * has said is durable.
 */
export interface LogReader<Read extends Frame = Frame> extends AsyncDisposable {
  readonly logId: string;
  /**
   * Frames after `afterSeq` up to `throughSeq` in order, up to the limits, but at least one if there is one. Frames lost to
   * damage are skipped: then the first `seq` is greater than `afterSeq` + 1, and empty with `skippedThrough` where nothing whole is left.
   */
  read(afterSeq: number, throughSeq: number, limits: { bytesMax: number; recordsMax: number }): Promise<LogRead<Read>>;
  /**
   * Takes back what `LogRead.buffers` lent; nobody may look at those frames any more. Never needed: what is not given back
   * is left to the collector of garbage.
   */
  recycle?(buffers: readonly Buffer[]): void;
}

export interface LogRead<Read extends Frame = Frame> {
  readonly frames: readonly Read[];
  /** Up to here everything is either in `frames` or lost: the next read starts after it. */
  readonly skippedThrough: number;
  /** What `frames` are views into. A caller that is done with all of them may give them to `recycle`. */
  readonly buffers?: readonly Buffer[];
  /** Damage that was passed. Hand it to the owner's `setAside`, so that it is counted and kept for a person to look at. */
  readonly damage?: readonly Damage[];
}
