/** Bytes of data points in a batch, of which each has one encoding and a few requests. */
export const batchBytesMax = 4 << 20;
/** Data points in a batch; a histogram is a dozen samples and more. */
export const batchRecordsMax = 20_000;
/** Long enough that batches fill under load, too short to be noticed without. */
export const lingerMs = 100;
/** Samples of a batch that are in memory at once, and those of one more record; a request of 64 MiB may hold millions of buckets. */
export const partSamplesMax = 200_000;
/** Samples of `target_info` that one resource of one request makes at most, in steps of two and a half minutes up to its newest point. */
export const infoStepsMax = 1_000;
/** Samples in one request; Prometheus' own sender takes 2,000, which costs more CPU on both sides. */
export const requestSamplesMax = 10_000;
/** A request over which the far side failed (500) so often is halved, to find what it fails over. */
export const failuresMax = 5;
/** Pieces of such a request. Past it none is halved any more: it is the far side that is broken, not a sample. */
export const piecesMax = 64;
/** Samples that may be given up as ones over which the far side always fails. Where there are more, all are held. */
export const suspectsMax = 10;
/** A sample is given up no sooner after the first failure: a restart or an outage of a part of the far side is over by then. */
export const suspectMsMin = 900_000;
/** And so often in a row must the far side fail over it, and right after that take another one. */
export const blamesMax = 5;
/** A request that is not answered by then is abandoned and sent again. */
export const deadlineMs = 30_000;
/** So much of an answer is kept, the rest is read and thrown away. */
export const answerBytesMax = 64 << 10;
/** So much of an answer to a query is read; past it Fault `unprocessable`. */
export const queryAnswerBytesMax = 64 << 20;
/** So much of what the far side says goes into reasons. */
export const reasonCharsMax = 300;
/** Series that are known by their bytes; past it all are forgotten, and found again as they come. About 1 kB each. */
export const seriesCachedMax = 200_000;
/** UTF-8 of label names and values that are known; past it all are forgotten, as above. */
export const symbolBytesMax = 64 << 20;
/** A series counts as active for one to two of these after its last sample. */
export const seriesGenerationMs = 1_800_000;
/** Series of delta temporality that are summed up; a point of one more is refused. */
export const deltaSeriesMax = 200_000;
/** A series of delta temporality for which nothing came that long begins again at 0. */
export const deltaForgetMs = 3_600_000;
/** Sums are written to disk at most so often; after a crash so much is sent again, and harmlessly. */
export const stateSaveMs = 500;
/** The journal of sums is written anew when it is larger than this and than twice the sums themselves. */
export const journalBytesMin = 1 << 20;
/** With 1.0, metadata go along with the samples again after this. */
export const metadataAgainMs = 60_000;
/** Metrics whose type and unit are remembered for readers; of further ones readers know the name only. */
export const familiesMax = 20_000;
/** A query that is not answered by then is abandoned; questions have a shorter budget of their own. */
export const queryDeadlineMs = 60_000;
/** Services that are named; of more the store's own first ones are. */
export const servicesMax = 10_000;
