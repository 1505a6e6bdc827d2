/** What bounds one export request, once it is uncompressed. */
export interface Limits {
  /** Bytes. Passed: `tooLarge`. */
  readonly requestBytesMax: number;
  /** Spans, data points or log records. Passed: `tooLarge`, at the first record over it and before it is read. */
  readonly recordsMax: number;
  /**
   * Repeated things of every kind together: records, attributes, elements of arrays, events, links, exemplars, buckets,
   * bounds, quantiles, metrics, scopes, resources. 64 MiB can hold 33 million empty ones; at this bound they
   * may still be 16 bytes each, which real ones exceed. Passed: `tooLarge`.
   */
  readonly elementsMax: number;
  /** AnyValues within each other, the outermost counted as 1. Deeper: its record is rejected. */
  readonly anyValueDepthMax: number;
  /** Attributes of one resource, scope, record, event, link or exemplar. The rest is dropped and counted. */
  readonly attributesMax: number;
  /** Bytes of one string or byte array within an attribute. The rest is cut off, at a character's end. */
  readonly attributeValueBytesMax: number;
  /** Bytes of an attribute's key. Longer: the attribute is dropped and counted. */
  readonly attributeKeyBytesMax: number;
  /** Events of one span. The rest is dropped and counted. */
  readonly eventsMax: number;
  /** Links of one span. The rest is dropped and counted. */
  readonly linksMax: number;
  /** Exemplars of one data point. The rest is dropped. */
  readonly exemplarsMax: number;
  /** Bucket counts of one data point, or quantiles of a summary. More: the data point is rejected. */
  readonly bucketsMax: number;
  /** A data point whose time is further ahead of the clock, in nanoseconds, is rejected: stores refuse all that follow it. */
  readonly metricsAheadNanosMax: bigint;
}

export const defaultLimits: Limits = {
  requestBytesMax: 64 * 1024 * 1024, // recommended by OTLP 1.11.0
  recordsMax: 100_000,
  elementsMax: 4_000_000,
  anyValueDepthMax: 64, // AttributeValueDepthLimit's default, OpenTelemetry specification "Attribute Limits"
  attributesMax: 1_024,
  attributeValueBytesMax: 64 * 1024,
  attributeKeyBytesMax: 4 * 1024,
  eventsMax: 1_024,
  linksMax: 1_024,
  exemplarsMax: 1_024,
  bucketsMax: 16_384,
  metricsAheadNanosMax: 600_000_000_000n,
};

/** Scale of an exponential histogram: what the SDK specification allows an SDK to produce. Outside: rejected. */
export const exponentialScaleMin = -10;
export const exponentialScaleMax = 20;
/** Index of the bucket of the smallest positive double at the largest scale, 1,074 × 2^20. A bucket further out: rejected. */
export const exponentialIndexMax = 1_126_170_624;

/** Nesting of JSON text. An AnyValue of depth 64 needs 4 × 64 levels and a dozen around it. Deeper: `malformed`. */
export const jsonDepthMax = 1_000;
/** Nesting of messages in `protobufToJson` and `plainValue`; bytes that were walked have at most 3 × 64 and a dozen. Deeper: `malformed`. */
export const messageDepthMax = 1_000;
/** Characters of a partial success's message; OTLP 1.11.0 bounds the response to 4 MiB, readers' patience to less. */
export const messageCharsMax = 2_000;
