/**
 * Of OTLP, a batch. As JSON with its terms that is four to six times as much: in the range in which Elasticsearch's own advice
 * on sizes lies, and far below the 100 MB that it takes by default.
 */
export const batchBytesMax = 1 << 20;
export const batchRecordsMax = 10_000;
/** Long enough that batches fill under load, too short to be noticed without. */
export const lingerMs = 100;
export const inFlightMax = 3;
/** Of JSON, a request. A batch that becomes larger, such as one frame of 100,000 records, goes in several, one after the other. */
export const bulkBytesMax = 8 << 20;
/** A write that is not answered by then is abandoned and sent again. */
export const writeTimeoutMs = 30_000;
/** Elasticsearch waits so long for a shard before it answers 503; below our own patience, so that its word comes first. */
export const shardTimeoutMs = 20_000;
/** A kept connection that nobody uses is closed after so many milliseconds; proxies do it after 60,000 or so. */
export const idleSocketMs = 10_000;
/** Bytes of an answer to a write: so much, and so much for each record in it. A longer one is no answer, and the write is repeated. */
export const writeAnswerBytesMax = 64 << 10;
export const itemAnswerBytesMax = 2_048;
/** So much of what the far side says goes into reasons. */
export const reasonCharsMax = 300;
/** Frames of which some records are stored and others have to be sent again; the oldest is forgotten, and is then sent whole. */
export const partialFramesMax = 4_096;

/**
 * Bytes of a value in a term. A longer one is found by its hash: exactly, too, but no expression can be matched against it in
 * the index. Lucene's own bound is 32,766 for the whole term, of which a key may take 4,096 and twice that where escaped.
 */
export const termValueBytesMax = 1_024;
/** Characters of a service's or an event's name that are searchable; four bytes each is within Lucene's bound. */
export const keywordCharsMax = 8_000;
/** Attribute keys that are remembered with their encodings. Further ones cost a little more each time. */
export const keysKeptMax = 4_096;
/** Resources and scopes that are remembered with their encodings. */
export const originsKeptMax = 1_024;
/** Characters of one token: what Lucene's standard tokenizer does not cut. */
export const tokenCharsMax = 255;

/** A record whose time is further ahead of its receipt is filed under its receipt: no index of the year 2554. */
export const futureMaxMs = 600_000;
/** How often it is looked for indices whose time has passed, and whether the template is still there. */
export const upkeepMs = 600_000;

/** Rows of one page or list, whatever was asked for. */
export const pageRowsMax = 10_000;
/** Buckets of a histogram. */
export const bucketsMax = 10_000;
/** Rows that one question may look through where Elasticsearch cannot decide by itself; then its answer is incomplete. */
export const scanRowsMax = 20_000;
/** Rows of one request while scanning. */
export const scanPageRows = 1_000;
/** Milliseconds for one question; what was found by then is the answer, with a warning. */
export const queryTimeMaxMs = 25_000;
/**
 * Bytes of one answer to a search, which is several times as much once it is parsed, in a thread that has 256 MiB. A larger one is
 * asked for again with fewer rows; one row may have all that a record can.
 */
export const searchAnswerBytesMax = 8 << 20;
export const rowAnswerBytesMax = 400 << 20;
/** Distinct values or keys of which the counts are exact; below the cluster's own bound of 65,536 buckets. */
export const distinctMax = 10_000;
/** Long values, shown only by looking into a record, of one list of values. */
export const longValuesMax = 100;
/** Numbers of states that an expression may have in Lucene; a larger one is matched by us. Lucene's default. */
export const automatonStatesMax = 10_000;
/** Characters of an expression: what an index takes by default (`index.max_regex_length`), less a key. Longer ones are matched by us. */
export const expressionCharsMax = 900;
/** Counts of repetitions in an expression: each is a state in Lucene. */
export const repeatMax = 50;
/** Questions under way at once on connections of their own; more wait. */
export const readSocketsMax = 4;
/** A question that meets shards that do not answer is asked again so often, after so many milliseconds each. */
export const startingAttemptsMax = 8;
export const startingPauseMs = 250;
