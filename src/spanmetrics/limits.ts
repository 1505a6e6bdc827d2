/** Milliseconds between two emissions; so late is what services and operations show. */
export const flushMs = 15_000;
/**
 * Series of one metric: operations by kind and status. Past it spans of an operation that has no series yet are counted
 * under `otel.metric.overflow` of their service, so that the service's counts stay right.
 */
export const seriesMax = 5_000;
/** Services by name, namespace and environment. Past it all others are counted together, under `otel.metric.overflow`. */
export const servicesMax = 500;
/** Bytes of a span's name that tell operations apart; longer ones are cut. */
export const nameBytesMax = 256;
/** A series that does not grow for so long is dropped; its operation begins again at 0, as a new one. */
export const idleMs = 24 * 3_600_000;
/** Resources whose service is remembered, by their bytes; then all are forgotten and looked up again. */
export const resourcesMax = 10_000;

export const batchBytesMax = 4 << 20;
export const batchRecordsMax = 100_000;
export const lingerMs = 200;

/**
 * Upper bounds of the durations' buckets, in seconds: the defaults of the Collector's span_metrics connector, so that its
 * dashboards fit.
 */
export const boundsSeconds: readonly number[] = [
  0.002, 0.004, 0.006, 0.008, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1.4, 2, 5, 10, 15,
];

/** A sample at most so much older than a moment says what a counter was then: as PromQL's lookback. */
export const lookbackMs = 5 * 60_000;
/** Up to so long a range is read sample by sample, a longer one at so many moments. Durations have a series a bucket. */
export const callsDetail = { exactRangeMs: 2 * 3_600_000, momentsMax: 120 };
export const durationDetail = { exactRangeMs: 20 * 60_000, momentsMax: 6 };
/** Before each moment; every series has a sample in it, as long as its process runs. */
export const momentMs = 4 * flushMs;
/** Samples of one question. Passed: the range is looked at in moments, or `unprocessable`. */
export const samplesMax = 2_000_000;
