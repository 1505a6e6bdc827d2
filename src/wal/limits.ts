// The numbers that bound the log. Sizes in bytes, times in milliseconds.

const KiB = 1024;
const MiB = 1024 * KiB;

/** A segment takes no further group past this; one larger frame still gets a segment of its own. */
export const segmentBytesMax = 64 * MiB;
/** Smaller logs get smaller segments, an eighth of their bound, so that delivering frees space in steps; never below this. */
export const segmentBytesMin = 64 * KiB;
/** The next segment's zeros are synced in steps of this size. */
export const fillStepBytes = 4 * MiB;
/** Requests that one write takes; the next ones wait for the next write. One larger request goes alone. */
export const groupBytesMax = 8 * MiB;
/** Pieces that one write takes: what Linux takes in one writev (IOV_MAX) is 1024. */
export const groupPiecesMax = 1000;
/** Requests waiting for a write, without the one under way. Past it `append` answers `unavailable`. */
export const waitingBytesMax = 256 * MiB;
/** Largest frame that is believed when a file is read: past it a length is damage. A body is at most 64 MiB and what enrichment adds. */
export const frameBytesMax = 512 * MiB;
/** Tenant, message of the answer and list of destinations in a frame, each. */
export const headTextBytesMax = 65_535;
/** Share of the disk that may be in use, by whomever; past it `append` answers `unavailable`. */
export const diskUseMax = 0.9;
/** Given up when the disk is full, so that cursors and manifests can still be written. */
export const reserveBytes = 32 * MiB;
/** A read takes this much of a segment at once, and a larger frame in one piece. */
export const readBytesMax = MiB;
/** Buffers of that size that a reader keeps for its next reads. */
export const readBuffersMax = 8;
/** The newest frames that are kept for a reader in the same thread lie in blocks of this size; a larger frame in none. */
export const tailBlockBytes = MiB;
export const tailBlocksMax = 8;
export const tailFrameBytesMax = 128 * KiB;
/** How often the disk is looked at, and a full one tried again. */
export const diskCheckMs = 1_000;
/** A settled cursor is on disk after this at the latest. */
export const cursorFlushMs = 200;
/** What a client is asked to wait when the log is full or the disk is. */
export const fullRetryAfterMs = 5_000;
/** What a client is asked to wait when a write failed or too much is waiting. */
export const briefRetryAfterMs = 1_000;
/** For how long, and how many requests back, a repeat is recognised. */
export const repeatWindowMs = 600_000;
export const repeatRequestsMax = 1_000_000;
/** Messages of partial successes that are kept for repeats, all together; past it a repeat gets a shorter message. */
export const repeatMessageBytesMax = 4 * MiB;
/** Text of an answer as the log keeps it, in characters. The rest is cut off. */
export const answerMessageMax = 4_096;
/** Segments that were lost, or tails that were damaged, cost at most this many sequence numbers each: more frames fit into no segment. */
export const lostSegmentSeqs = 2 ** 20;
/** Bytes set aside for a person to look at; past it damage is counted only. */
export const quarantineBytesMax = 256 * MiB;
/** How often the owner of a data folder shows that it lives, for those who cannot look it up. */
export const lockBeatMs = 2_000;
/** An owner that has not been seen for this long is gone. */
export const lockStaleMs = 10_000;
/** Dead letters lie in files of this size; a file goes when its last letter is forgotten. */
export const deadLetterSegmentBytes = 8 * MiB;
/** Indexes of refused records that a dead letter names; past it the letter stands for the whole request. */
export const deadLetterRecordsMax = 5_000;
/** Dead letters that are kept: their summaries are in memory. Past it further ones are counted, named in the log and gone. */
export const deadLettersMax = 100_000;
