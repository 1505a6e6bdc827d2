// What bounds the embedded store. Each says its unit and what happens when it is passed.

/** Rows that DuckDB takes in one data chunk (its vector size); a fuller buffer is appended and begun anew. */
export const chunkRows = 2048;

/** Bytes of strings in one data chunk; a chunk that has more is appended before it is full. */
export const chunkBytesMax = 8 * 1024 * 1024;

/** New values of a column in one chunk, from which on it does without a dictionary in this generation. */
export const codedNewMax = 1024;

/** Values and bytes of one column's dictionary, past which the next chunk does without; so a code has 16 bits. */
export const codedValuesMax = 16_384;
export const codedBytesMax = 1024 * 1024;

/** Bytes of memory of rolled rows that are kept for the next ones; what is more goes to the collector. */
export const spareBytesMax = 24 * 1024 * 1024;

/** Bytes of one generation of a hot table; a fuller one is sealed and rolled into Parquet. */
export const hotBytesMax = 16 * 1024 * 1024;

/** Rows of one generation: narrow rows (data points) would otherwise grow its sort and its indexes past what bytes tell. */
export const hotRowsMax = 400_000;

/** Rows after which the first generation of a new folder is rolled, so that the next one has columns for its attributes. */
export const learnRows = 5000;

/** Age in ms at which a generation is rolled though it is small: bounds what a start has to read again from the log. */
export const hotAgeMaxMs = 120_000;

/** Generations that are being rolled; when the open one is full as well, `write` waits, so that a backlog does not fill memory. */
export const sealedMax = 1;

/** How far after its receipt a record's time may lie to name the hour of its file; a later one is filed under its receipt. */
export const futureMaxMs = 10 * 60_000;

/**
 * Series that are remembered from one generation to the next, and bytes of their resources, metrics, attributes and labels.
 * Past either all are forgotten when a generation begins, and found anew as they come; one generation may add its own to it.
 */
export const seriesKnownMax = 500_000;
export const seriesKnownBytesMax = 48 * 1024 * 1024;

/** Digests of requests that are remembered, to recognise one that comes from another log; the oldest is forgotten first. */
export const digestsMax = 65_536;

/** Attribute keys that are told apart per signal. Further ones are stored and searched, but never get a column. */
export const keysTrackedMax = 8192;

/** Keys that share a hash and are told apart; further ones count as not tracked. Against keys made to collide. */
export const keyChainMax = 8;

/** Columns of their own for a signal's most frequent attributes. */
export const promotedMax = 32;

/** Share of the rows that must have an attribute for it to get a column. */
export const promotedShareMin = 0.02;

/** Attribute keys that the manifest keeps for a file; a file with more says that it may have any. */
export const fileKeysMax = 512;

/** DuckDB's own memory; a query that needs more fails, appends and rolls stay far below. */
export const memoryLimitMiB = 192;

/** DuckDB's threads, the caller's among them. */
export const threadsMax = 2;

/** Queries under way at once; further ones wait for their turn. */
export const queriesMax = 2;

/** Queries that wait; a further one gets Fault `unavailable`. */
export const queriesWaitingMax = 64;

/** Milliseconds for one query, all its parts; past it: `incomplete` where the answer can be partial, else Fault `tooSlow`. */
export const queryTimeMaxMs = 10_000;

/** Rows of one page. */
export const pageRowsMax = 10_000;

/** Spans of one trace that are read back. */
export const traceSpansMax = 200_000;

/** Bytes of Parquet that a merge aims for; files larger than half of it are left alone. */
export const mergeBytesTarget = 96 * 1024 * 1024;

/** Files of one size class and hour that make a merge worth while. */
export const mergeFilesMin = 8;

/** Rows of one Parquet row group: what a writer holds in memory, and what zone maps can skip. Whole chunks. */
export const rowGroupRows = 16 * chunkRows;

/** Mean rows of a row group from which on files are merged by copying; smaller groups are written anew, as larger ones. */
export const joinRowsMin = 8192;

/** Bytes of a column that are compressed together as one page of Parquet: what is read for a single value. */
export const pageBytesMax = 1024 * 1024;

/** Nesting of an AnyValue that is written as JSON; deeper ones were rejected at the door (64), so this only guards the stack. */
export const depthMax = 128;
