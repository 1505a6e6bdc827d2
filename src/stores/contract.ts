import type { Batch, Signal } from '../base/index.ts';
import type { Filter } from './filter.ts';

// What a store promises. Writing: `Destination`. Reading: `TraceReader`, `LogReader`, `MetricReader`.
// The pipeline and the REST layer know these and no store by name.

// ---------------------------------------------------------------------------------------------- writing

/** A batch is cut off at the first of these that the next frame would pass; one larger frame goes alone. */
export interface BatchLimits {
  readonly batchBytesMax: number;
  readonly batchRecordsMax: number;
  /** How long the loop may wait for a fuller batch. 0: take what is there. */
  readonly lingerMs: number;
  /** Batches of one signal that may be under way at once; 1 where order matters. */
  readonly inFlightMax: number;
}

/** Records that a destination will never take. */
export interface Refusal {
  /** Index into `batch.frames`; undefined where the far side only told how many. */
  readonly frame: number | undefined;
  /** Index of the record in its frame, in wire order; undefined: all of the frame, or not told. */
  readonly record: number | undefined;
  readonly count: number;
  /** What the far side said. Never a payload, never a secret. */
  readonly reason: string;
}

export type WriteResult =
  /** The refused never, every other record is stored. */
  | { readonly kind: 'settled'; readonly refused: readonly Refusal[] }
  /** `pending`: indexes of the frames to send again. The rest is stored or refused. */
  | {
      readonly kind: 'retry';
      readonly pending: readonly number[] | 'all';
      readonly refused: readonly Refusal[];
      readonly afterMs: number | undefined;
      readonly reason: string;
    }
  /** Refused as a whole, for good or as too large: the caller bisects; a single frame becomes a dead letter. */
  | { readonly kind: 'split'; readonly reason: string };

export interface Destination extends AsyncDisposable {
  /** Label of its metrics and name of its cursor: never change it. */
  readonly name: string;
  readonly takes: ReadonlySet<Signal>;
  readonly limits: BatchLimits;
  /**
   * True: records are recognised by their request's digest and their place in it, even long after, so that a dead letter is
   * given whole. Otherwise only what was refused of it is given again.
   */
  readonly recognisesRecords?: boolean;
  /**
   * Stores a batch; resolves only when the far side has it. At most `limits.inFlightMax` calls a signal at once.
   * The same batch may come again, after `retry` or a restart: each record must then be there once.
   * Expected failures are results. A rejection is a bug and counts as `retry` of all. `batch` must not be kept.
   */
  write(batch: Batch, cancel: AbortSignal): Promise<WriteResult>;
  /**
   * As `write`, of a dead letter that is given again: its place in the log has been passed long ago. Never beside more
   * calls than `limits.inFlightMax`. Undefined: `write` does; of a keeper, which knows what it has by its place: cannot be.
   */
  replay?(batch: Batch, cancel: AbortSignal): Promise<WriteResult>;
  /**
   * For a destination that holds what it was given in memory for a while (the embedded store). The cursor then
   * moves when `onKept` says so, not on `settled`, and reading starts after `keptThrough`: whatever was not yet kept
   * comes again from the log.
   */
  readonly keeper?: Keeper;
}

export interface Keeper {
  /** Last sequence number of this log whose records survive the loss of the process; 0 for a log it has not seen. */
  keptThrough(signal: Signal, logId: string): number;
  /** Calls back each time `keptThrough` grows. One listener. */
  onKept(listener: (signal: Signal, logId: string, seq: number) => void): void;
  /** All through `seq` is settled, and what was refused of it is on disk: no more is needed for it to be kept. */
  settled?(signal: Signal, logId: string, seq: number): void;
}

// ---------------------------------------------------------------------------------------------- reading

/** Half-open: start ≤ time < end. */
export interface TimeRange {
  readonly startUnixNano: bigint;
  readonly endUnixNano: bigint;
}

/** JSON as the REST layer gives it: integers beyond 2^53, NaN and ±Infinity as strings, bytes as base64. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface Page<T> {
  readonly items: readonly T[];
  /** Opaque keyset cursor of the next page; undefined at the end. Stable while data arrive. */
  readonly next: string | undefined;
  /** A bounded scan stopped early; `warnings` says which bound. */
  readonly incomplete: boolean;
  readonly warnings: readonly string[];
}

export interface PageRequest {
  readonly limit: number;
  /** A store throws Fault `malformed` with parameter `cursor` for one that it did not make. */
  readonly cursor: string | undefined;
}

export interface Quantiles {
  readonly p50: bigint;
  readonly p95: bigint;
  readonly p99: bigint;
}

/** What one signal says about a service; spans only: counts of errors and durations. */
export interface ServiceSummary {
  readonly name: string;
  readonly namespace: string;
  readonly environment: string;
  readonly signal: Signal;
  /** undefined, with all that follows: the store knows the name alone. */
  readonly records: number | undefined;
  readonly errors: number | undefined;
  readonly durationNanos: Quantiles | undefined;
  readonly lastSeenUnixNano: bigint | undefined;
}

export interface OperationSummary {
  readonly name: string;
  /** SpanKind as OTLP numbers it. */
  readonly kind: number;
  /** undefined, with all that follows: the store knows the name alone. */
  readonly spanCount: number | undefined;
  readonly errorCount: number | undefined;
  readonly durationNanos: Quantiles | undefined;
}

export interface TraceSearch extends PageRequest {
  readonly range: TimeRange;
  readonly service: string | undefined;
  /** Span name. */
  readonly operation: string | undefined;
  readonly filter: Filter;
  /** Of the span that matches. */
  readonly minDurationNanos: bigint | undefined;
  readonly maxDurationNanos: bigint | undefined;
}

/** A trace with at least one span that matched; newest first. */
export interface TraceSummary {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** '' while the root span has not arrived. */
  readonly rootService: string;
  readonly rootName: string;
  readonly startTimeUnixNano: bigint;
  readonly durationNanos: bigint;
  readonly spanCount: number;
  readonly errorCount: number;
  readonly services: readonly string[];
}

interface ServiceReader {
  services(range: TimeRange, cancel: AbortSignal): Promise<readonly ServiceSummary[]>;
}

export interface TraceReader extends ServiceReader {
  operations(service: string, range: TimeRange, cancel: AbortSignal): Promise<readonly OperationSummary[]>;
  search(search: TraceSearch, cancel: AbortSignal): Promise<Page<TraceSummary>>;
  /** TracesData in protobuf, every span once, with resource, scope and schema URLs as sent; undefined when unknown. */
  trace(traceId: string, cancel: AbortSignal): Promise<Uint8Array | undefined>;
}

export interface LogSearch extends PageRequest {
  readonly range: TimeRange;
  readonly filter: Filter;
  /** By time, then by id. */
  readonly order: 'asc' | 'desc';
}

export interface LogRow {
  /** Names the record for ever: from the request's digest and its index there. */
  readonly id: string;
  /** The record's time, else its observed time, else when it was received. */
  readonly timeUnixNano: bigint;
  readonly observedTimeUnixNano: bigint;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly eventName: string;
  readonly body: Json;
  readonly attributes: { [key: string]: Json };
  readonly resource: { [key: string]: Json };
  readonly scopeName: string;
  /** Hex, '' where absent. */
  readonly traceId: string;
  readonly spanId: string;
}

export interface LogHistogram {
  readonly intervalNanos: bigint;
  /** Every bucket of the range, empty ones too, in time order; `bySeverity` keyed by trace, debug, info, warn, error, fatal, unset. */
  readonly buckets: readonly {
    readonly startUnixNano: bigint;
    readonly bySeverity: { readonly [level: string]: number };
  }[];
  readonly incomplete: boolean;
  readonly warnings: readonly string[];
}

export interface FieldSummary {
  /** As `fieldName` writes it: an attribute key, `resource.`-prefixed for resources, or an intrinsic. */
  readonly name: string;
  readonly type: 'string' | 'number' | 'boolean' | 'mixed';
  /** Records that have it. */
  readonly count: number;
}

export interface FieldValue {
  readonly value: Json;
  readonly count: number;
}

export interface LogReader extends ServiceReader {
  search(search: LogSearch, cancel: AbortSignal): Promise<Page<LogRow>>;
  /** Buckets are aligned to multiples of the interval. */
  histogram(
    search: { range: TimeRange; filter: Filter; intervalNanos: bigint },
    cancel: AbortSignal,
  ): Promise<LogHistogram>;
  fields(search: { range: TimeRange; filter: Filter; limit: number }, cancel: AbortSignal): Promise<Page<FieldSummary>>;
  /** @param search `field` is a name as `fieldNamed` reads it. */
  fieldValues(
    search: { field: string; range: TimeRange; filter: Filter; limit: number },
    cancel: AbortSignal,
  ): Promise<Page<FieldValue>>;
}

export type MetricType = 'gauge' | 'counter' | 'histogram' | 'summary' | 'unknown';

export interface MetricSummary {
  /** As Prometheus names it. */
  readonly name: string;
  readonly type: MetricType;
  readonly unit: string;
  readonly description: string;
  readonly seriesCount: number;
  /** Of a recording rule: computed from other metrics. */
  readonly recorded?: boolean;
}

/** As in a PromQL selector; a missing label equals ''. Regular expressions are anchored, RE2 syntax. */
export interface LabelMatcher {
  readonly name: string;
  readonly op: '=' | '!=' | '=~' | '!~';
  readonly value: string;
}

/** One series, samples in time order. Names and labels by the Prometheus OTLP translation; `__name__` is among the labels. */
export interface Series {
  readonly labels: { readonly [name: string]: string };
  readonly timestampsMs: Float64Array;
  readonly values: Float64Array;
  /** True: only differences between values mean something. See `SeriesSelect.deltasFrom`. */
  readonly relative?: boolean;
}

export interface SeriesSelect {
  readonly matchers: readonly LabelMatcher[];
  /** Both inclusive, as PromQL's ranges are. */
  readonly startMs: number;
  readonly endMs: number;
  /** Fault `unprocessable` when passed. */
  readonly samplesMax: number;
  /**
   * Where a counter or a histogram whose points are deltas begins to be summed up. `stored`: with the oldest point there is,
   * so that a value is the same in whatever range it is asked for; what is stored of these series is read. `range`: with the
   * first point of the range; such a series is `relative`.
   */
  readonly deltasFrom: 'stored' | 'range';
}

/** What the last sample of each series in a time is asked by. Gauges and cumulative counters have one. */
export interface LatestSelect {
  readonly matchers: readonly LabelMatcher[];
  /** Both inclusive. */
  readonly startMs: number;
  readonly endMs: number;
  /** Fault `unprocessable` when passed. */
  readonly seriesMax: number;
  /** Without series whose last value is 0: most of those that say which of many states something is in. */
  readonly nonZero: boolean;
}

/** The last sample of a series. */
export interface LatestSample {
  readonly labels: { readonly [name: string]: string };
  readonly timeMs: number;
  readonly value: number;
}

/** A whole answer of Prometheus' HTTP API, `{"status":"success","data":…}`, as UTF-8 JSON. */
export interface PromqlAnswer {
  readonly json: Uint8Array;
}

export interface MetricReader extends ServiceReader {
  metrics(search: { range: TimeRange; limit: number }, cancel: AbortSignal): Promise<Page<MetricSummary>>;
  select(select: SeriesSelect, cancel: AbortSignal): Promise<readonly Series[]>;
  /**
   * What is now: of 10,000 pods and their containers all samples of some minutes are millions. A series whose last point says
   * that it ended has none.
   */
  latest(select: LatestSelect, cancel: AbortSignal): Promise<readonly LatestSample[]>;
  /**
   * PromQL, all of it, by a store that has an engine of its own; absent: ours evaluates over `select`.
   * @throws Fault `malformed` with parameter `query`, `unprocessable`, `tooSlow`, `unavailable`: what the store said.
   */
  promqlInstant?(search: { query: string; timeMs: number }, cancel: AbortSignal): Promise<PromqlAnswer>;
  /** Both ends inclusive. Present where `promqlInstant` is. */
  promqlRange?(
    search: { query: string; startMs: number; endMs: number; stepMs: number },
    cancel: AbortSignal,
  ): Promise<PromqlAnswer>;
}

/** What a store can answer; a signal that it does not keep is absent. */
export interface Readers {
  readonly traces?: TraceReader;
  readonly logs?: LogReader;
  readonly metrics?: MetricReader;
}

// ---------------------------------------------------------------------------------------------- both

/** How a far side is reached, the same for each store: what configuration makes of headers, user, token, keys and files. */
export interface Access {
  /** Sent with each request; names in lower case, `authorization` among them. Secret. */
  readonly headers: Readonly<Record<string, string>>;
  /** PEM, for `https://`; undefined: the system's certificates, and none of our own. `key` is secret. */
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string } | undefined;
}

/** What `stores/<name>/` opens. Nothing connects before the first batch or question. */
export interface Store extends AsyncDisposable {
  /** undefined where it is only asked. */
  readonly destination: Destination | undefined;
  /** Empty where it is only written to. */
  readonly readers: Readers;
}

// ---------------------------------------------------------------------------------------------- removing

/** A store that can remove records before their retention does. */
export interface Eraser {
  /**
   * Removes every record whose resource has this attribute with this value, for good: neither a restart nor the log brings
   * it back. What arrives meanwhile may stay. Where it fails or is cancelled some may be gone already; ask again.
   * @param value as text: `true` is the boolean as well as the string.
   * @returns how many spans, data points and log records were removed; 0 for a signal that is not kept.
   * @throws Fault `unavailable` where it cannot be done now.
   */
  eraseByResource(key: string, value: string, cancel: AbortSignal): Promise<Readonly<Record<Signal, number>>>;
}
