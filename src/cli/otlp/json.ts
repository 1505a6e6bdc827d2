// OTLP messages as its JSON form has them: ids in hex, 64-bit integers as decimal strings. Only what is sent here.
// Source: opentelemetry-proto, in proto/; "OTLP/HTTP", JSON Protobuf Encoding.

export type AnyValue =
  | { stringValue: string }
  | { boolValue: boolean }
  | { intValue: string }
  | { doubleValue: number }
  | { kvlistValue: { values: KeyValue[] } };
export interface KeyValue {
  key: string;
  value: AnyValue;
}
export interface Resource {
  attributes: KeyValue[];
}
interface Scope {
  name: string;
  version?: string;
}

export const spanKinds = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 } as const;
export interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: KeyValue[];
  events?: { timeUnixNano: string; name: string; attributes: KeyValue[] }[];
  status?: { code: number; message?: string };
}
export interface LogRecord {
  timeUnixNano: string;
  observedTimeUnixNano: string;
  severityNumber: number;
  severityText: string;
  body: AnyValue;
  attributes: KeyValue[];
  traceId?: string;
  spanId?: string;
}
export interface Exemplar {
  timeUnixNano: string;
  asDouble: number;
  traceId: string;
  spanId: string;
}
interface Point {
  attributes: KeyValue[];
  startTimeUnixNano?: string;
  timeUnixNano: string;
}
type NumberPoint = Point & ({ asDouble: number } | { asInt: string });
type HistogramPoint = Point & {
  count: string;
  sum: number;
  bucketCounts: string[];
  explicitBounds: number[];
  exemplars?: Exemplar[];
};
type ExponentialHistogramPoint = Point & {
  count: string;
  sum: number;
  scale: number;
  zeroCount: string;
  positive: { offset: number; bucketCounts: string[] };
};
type SummaryPoint = Point & {
  count: string;
  sum: number;
  quantileValues: { quantile: number; value: number }[];
};

/** AGGREGATION_TEMPORALITY_CUMULATIVE */
export const cumulative = 2;
export type Metric = { name: string; unit: string; description: string } & (
  | { gauge: { dataPoints: NumberPoint[] } }
  | { sum: { dataPoints: NumberPoint[]; aggregationTemporality: number; isMonotonic: boolean } }
  | { histogram: { dataPoints: HistogramPoint[]; aggregationTemporality: number } }
  | { exponentialHistogram: { dataPoints: ExponentialHistogramPoint[]; aggregationTemporality: number } }
  | { summary: { dataPoints: SummaryPoint[] } }
);

/** One export request of each signal. */
export interface Requests {
  traces: { resourceSpans: { resource: Resource; scopeSpans: { scope: Scope; spans: Span[] }[] }[] };
  metrics: { resourceMetrics: { resource: Resource; scopeMetrics: { scope: Scope; metrics: Metric[] }[] }[] };
  logs: { resourceLogs: { resource: Resource; scopeLogs: { scope: Scope; logRecords: LogRecord[] }[] }[] };
}

/** Attributes from a plain object: whole numbers are integers, as SDKs write them. */
export function attributes(values: { readonly [key: string]: string | number | boolean }): KeyValue[] {
  return Object.entries(values).map(([key, value]) => ({ key, value: anyValue(value) }));
}

export function anyValue(value: string | number | boolean): AnyValue {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

/** Spans, data points or log records of a request. */
export function countRecords(request: Requests[keyof Requests]): number {
  if ('resourceSpans' in request) {
    return sum(request.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.map(({ spans }) => spans.length)));
  }
  if ('resourceLogs' in request) {
    return sum(request.resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.map(({ logRecords }) => logRecords.length)));
  }
  const metrics = request.resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  return sum(metrics.map((metric) => dataPoints(metric).length));
}

function dataPoints(metric: Metric): readonly unknown[] {
  if ('gauge' in metric) return metric.gauge.dataPoints;
  if ('sum' in metric) return metric.sum.dataPoints;
  if ('histogram' in metric) return metric.histogram.dataPoints;
  return 'summary' in metric ? metric.summary.dataPoints : metric.exponentialHistogram.dataPoints;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
