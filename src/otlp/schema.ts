import type { Signal } from '../base/index.ts';

// The messages of opentelemetry-proto 1.10.0 as data: what the walker, the rewriter and both directions of JSON share.
// A test holds it against the `.proto` files, field by field.

export type Kind =
  | 'string'
  | 'bytes'
  /** bytes, 16 of them: hex in JSON. */
  | 'traceId'
  /** bytes, 8 of them: hex in JSON. */
  | 'spanId'
  | 'bool'
  /** An integer in JSON, never a name: OTLP 1.11.0 "JSON Protobuf Encoding". */
  | 'enum'
  | 'int32'
  | 'uint32'
  | 'sint32'
  | 'int64'
  | 'uint64'
  | 'fixed32'
  | 'fixed64'
  | 'sfixed64'
  | 'double'
  | MessageName;

export interface Field {
  readonly number: number;
  /** lowerCamelCase, as in JSON. */
  readonly name: string;
  readonly kind: Kind;
  readonly repeated: boolean;
  /** Of the fields of one message with the same `oneof` only the last on the wire counts. */
  readonly oneof: string | undefined;
}

function one(number: number, name: string, kind: Kind, oneof?: string): Field {
  return { number, name, kind, repeated: false, oneof };
}

function many(number: number, name: string, kind: Kind): Field {
  return { number, name, kind, repeated: true, oneof: undefined };
}

const messageNames = [
  'AnyValue',
  'ArrayValue',
  'KeyValueList',
  'KeyValue',
  'InstrumentationScope',
  'EntityRef',
  'Resource',
  'TracesData',
  'ResourceSpans',
  'ScopeSpans',
  'Span',
  'Event',
  'Link',
  'Status',
  'LogsData',
  'ResourceLogs',
  'ScopeLogs',
  'LogRecord',
  'MetricsData',
  'ResourceMetrics',
  'ScopeMetrics',
  'Metric',
  'Gauge',
  'Sum',
  'Histogram',
  'ExponentialHistogram',
  'Summary',
  'NumberDataPoint',
  'HistogramDataPoint',
  'ExponentialHistogramDataPoint',
  'Buckets',
  'SummaryDataPoint',
  'ValueAtQuantile',
  'Exemplar',
] as const;
export type MessageName = (typeof messageNames)[number];

/** The message that an export request of each signal is; TracesData and ExportTraceServiceRequest have the same fields. */
export const requestMessage = {
  traces: 'TracesData',
  metrics: 'MetricsData',
  logs: 'LogsData',
} as const satisfies Record<Signal, MessageName>;

export const schema: Readonly<Record<MessageName, readonly Field[]>> = {
  AnyValue: [
    one(1, 'stringValue', 'string', 'value'),
    one(2, 'boolValue', 'bool', 'value'),
    one(3, 'intValue', 'int64', 'value'),
    one(4, 'doubleValue', 'double', 'value'),
    one(5, 'arrayValue', 'ArrayValue', 'value'),
    one(6, 'kvlistValue', 'KeyValueList', 'value'),
    one(7, 'bytesValue', 'bytes', 'value'),
    one(8, 'stringValueStrindex', 'int32', 'value'),
  ],
  ArrayValue: [many(1, 'values', 'AnyValue')],
  KeyValueList: [many(1, 'values', 'KeyValue')],
  KeyValue: [one(1, 'key', 'string'), one(2, 'value', 'AnyValue'), one(3, 'keyStrindex', 'int32')],
  InstrumentationScope: [
    one(1, 'name', 'string'),
    one(2, 'version', 'string'),
    many(3, 'attributes', 'KeyValue'),
    one(4, 'droppedAttributesCount', 'uint32'),
  ],
  EntityRef: [
    one(1, 'schemaUrl', 'string'),
    one(2, 'type', 'string'),
    many(3, 'idKeys', 'string'),
    many(4, 'descriptionKeys', 'string'),
  ],
  Resource: [
    many(1, 'attributes', 'KeyValue'),
    one(2, 'droppedAttributesCount', 'uint32'),
    many(3, 'entityRefs', 'EntityRef'),
  ],

  TracesData: [many(1, 'resourceSpans', 'ResourceSpans')],
  ResourceSpans: [one(1, 'resource', 'Resource'), many(2, 'scopeSpans', 'ScopeSpans'), one(3, 'schemaUrl', 'string')],
  ScopeSpans: [one(1, 'scope', 'InstrumentationScope'), many(2, 'spans', 'Span'), one(3, 'schemaUrl', 'string')],
  Span: [
    one(1, 'traceId', 'traceId'),
    one(2, 'spanId', 'spanId'),
    one(3, 'traceState', 'string'),
    one(4, 'parentSpanId', 'spanId'),
    one(5, 'name', 'string'),
    one(6, 'kind', 'enum'),
    one(7, 'startTimeUnixNano', 'fixed64'),
    one(8, 'endTimeUnixNano', 'fixed64'),
    many(9, 'attributes', 'KeyValue'),
    one(10, 'droppedAttributesCount', 'uint32'),
    many(11, 'events', 'Event'),
    one(12, 'droppedEventsCount', 'uint32'),
    many(13, 'links', 'Link'),
    one(14, 'droppedLinksCount', 'uint32'),
    one(15, 'status', 'Status'),
    one(16, 'flags', 'fixed32'),
  ],
  Event: [
    one(1, 'timeUnixNano', 'fixed64'),
    one(2, 'name', 'string'),
    many(3, 'attributes', 'KeyValue'),
    one(4, 'droppedAttributesCount', 'uint32'),
  ],
  Link: [
    one(1, 'traceId', 'traceId'),
    one(2, 'spanId', 'spanId'),
    one(3, 'traceState', 'string'),
    many(4, 'attributes', 'KeyValue'),
    one(5, 'droppedAttributesCount', 'uint32'),
    one(6, 'flags', 'fixed32'),
  ],
  Status: [one(2, 'message', 'string'), one(3, 'code', 'enum')],

  LogsData: [many(1, 'resourceLogs', 'ResourceLogs')],
  ResourceLogs: [one(1, 'resource', 'Resource'), many(2, 'scopeLogs', 'ScopeLogs'), one(3, 'schemaUrl', 'string')],
  ScopeLogs: [
    one(1, 'scope', 'InstrumentationScope'),
    many(2, 'logRecords', 'LogRecord'),
    one(3, 'schemaUrl', 'string'),
  ],
  LogRecord: [
    one(1, 'timeUnixNano', 'fixed64'),
    one(2, 'severityNumber', 'enum'),
    one(3, 'severityText', 'string'),
    one(5, 'body', 'AnyValue'),
    many(6, 'attributes', 'KeyValue'),
    one(7, 'droppedAttributesCount', 'uint32'),
    one(8, 'flags', 'fixed32'),
    one(9, 'traceId', 'traceId'),
    one(10, 'spanId', 'spanId'),
    one(11, 'observedTimeUnixNano', 'fixed64'),
    one(12, 'eventName', 'string'),
  ],

  MetricsData: [many(1, 'resourceMetrics', 'ResourceMetrics')],
  ResourceMetrics: [
    one(1, 'resource', 'Resource'),
    many(2, 'scopeMetrics', 'ScopeMetrics'),
    one(3, 'schemaUrl', 'string'),
  ],
  ScopeMetrics: [one(1, 'scope', 'InstrumentationScope'), many(2, 'metrics', 'Metric'), one(3, 'schemaUrl', 'string')],
  Metric: [
    one(1, 'name', 'string'),
    one(2, 'description', 'string'),
    one(3, 'unit', 'string'),
    one(5, 'gauge', 'Gauge', 'data'),
    one(7, 'sum', 'Sum', 'data'),
    one(9, 'histogram', 'Histogram', 'data'),
    one(10, 'exponentialHistogram', 'ExponentialHistogram', 'data'),
    one(11, 'summary', 'Summary', 'data'),
    many(12, 'metadata', 'KeyValue'),
  ],
  Gauge: [many(1, 'dataPoints', 'NumberDataPoint')],
  Sum: [
    many(1, 'dataPoints', 'NumberDataPoint'),
    one(2, 'aggregationTemporality', 'enum'),
    one(3, 'isMonotonic', 'bool'),
  ],
  Histogram: [many(1, 'dataPoints', 'HistogramDataPoint'), one(2, 'aggregationTemporality', 'enum')],
  ExponentialHistogram: [
    many(1, 'dataPoints', 'ExponentialHistogramDataPoint'),
    one(2, 'aggregationTemporality', 'enum'),
  ],
  Summary: [many(1, 'dataPoints', 'SummaryDataPoint')],
  NumberDataPoint: [
    one(2, 'startTimeUnixNano', 'fixed64'),
    one(3, 'timeUnixNano', 'fixed64'),
    one(4, 'asDouble', 'double', 'value'),
    many(5, 'exemplars', 'Exemplar'),
    one(6, 'asInt', 'sfixed64', 'value'),
    many(7, 'attributes', 'KeyValue'),
    one(8, 'flags', 'uint32'),
  ],
  HistogramDataPoint: [
    one(2, 'startTimeUnixNano', 'fixed64'),
    one(3, 'timeUnixNano', 'fixed64'),
    one(4, 'count', 'fixed64'),
    one(5, 'sum', 'double'),
    many(6, 'bucketCounts', 'fixed64'),
    many(7, 'explicitBounds', 'double'),
    many(8, 'exemplars', 'Exemplar'),
    many(9, 'attributes', 'KeyValue'),
    one(10, 'flags', 'uint32'),
    one(11, 'min', 'double'),
    one(12, 'max', 'double'),
  ],
  ExponentialHistogramDataPoint: [
    many(1, 'attributes', 'KeyValue'),
    one(2, 'startTimeUnixNano', 'fixed64'),
    one(3, 'timeUnixNano', 'fixed64'),
    one(4, 'count', 'fixed64'),
    one(5, 'sum', 'double'),
    one(6, 'scale', 'sint32'),
    one(7, 'zeroCount', 'fixed64'),
    one(8, 'positive', 'Buckets'),
    one(9, 'negative', 'Buckets'),
    one(10, 'flags', 'uint32'),
    many(11, 'exemplars', 'Exemplar'),
    one(12, 'min', 'double'),
    one(13, 'max', 'double'),
    one(14, 'zeroThreshold', 'double'),
  ],
  Buckets: [one(1, 'offset', 'sint32'), many(2, 'bucketCounts', 'uint64')],
  SummaryDataPoint: [
    one(2, 'startTimeUnixNano', 'fixed64'),
    one(3, 'timeUnixNano', 'fixed64'),
    one(4, 'count', 'fixed64'),
    one(5, 'sum', 'double'),
    many(6, 'quantileValues', 'ValueAtQuantile'),
    many(7, 'attributes', 'KeyValue'),
    one(8, 'flags', 'uint32'),
  ],
  ValueAtQuantile: [one(1, 'quantile', 'double'), one(2, 'value', 'double')],
  Exemplar: [
    one(2, 'timeUnixNano', 'fixed64'),
    one(3, 'asDouble', 'double', 'value'),
    one(4, 'spanId', 'spanId'),
    one(5, 'traceId', 'traceId'),
    one(6, 'asInt', 'sfixed64', 'value'),
    many(7, 'filteredAttributes', 'KeyValue'),
  ],
};

/** Place of each message in the tables that are made from the schema. */
export const messageIndex = Object.fromEntries(messageNames.map((name, index) => [name, index])) as Readonly<
  Record<MessageName, number>
>;

export function isMessage(kind: Kind): kind is MessageName {
  return kind in messageIndex;
}
