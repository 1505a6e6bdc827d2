/** Most servers take 4 MiB a message; past 1 MiB larger batches save hardly any CPU (0.19 s per million spans, 0.16 at 3 MiB). */
export const batchBytesMax = 1 << 20;
export const batchRecordsMax = 50_000;
/** Long enough that batches fill under load, too short to be noticed without. */
export const lingerMs = 50;
export const inFlightMax = 4;
/** An export that is not answered by then is abandoned and sent again. */
export const deadlineMs = 30_000;
/** A connection on which an export waits so long must answer a PING before the export's deadline. */
export const stallMs = 15_000;
export const connectMs = 10_000;
/**
 * What Node may hold for a connection, exports that wait for the far side included; a request may have 64 MiB, and there are
 * four. Past it, by default at 10 MB, Node drops the headers of answers, so that none is seen.
 */
export const sessionMegabytesMax = 512;
/** So much of an answer is kept, the rest is read and thrown away. */
export const answerBytesMax = 64 << 10;
/** So much of what the far side says goes into reasons. */
export const reasonCharsMax = 300;
/** Frames smaller than this are copied together; larger ones are sent from where they lie. */
export const pieceBytesMin = 16 << 10;
/** Answers that leave open whether the records or the server are to blame are believed to mean the records after so many. */
export const doubtfulAttemptsMax = 3;
/** Batches whose doubtful answers are remembered; the oldest is forgotten, and then begins to count again. */
export const doubtfulBatchesMax = 64;
/** Exports that one refused request may cost while its bad records are looked for; what is left then is refused as it is. */
export const narrowRequestsMax = 64;
/** Requests that are being narrowed down and had to pause; the oldest is forgotten, and begins again. */
export const narrowingMax = 16;
