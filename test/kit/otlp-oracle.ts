import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import type { Signal } from '../../src/base/index.ts';

// An independent reading of the same `.proto` files, and arbitrary messages that are valid by them.

const protoRoot = fileURLToPath(new URL('../../proto/', import.meta.url));
const root = new protobuf.Root();
root.resolvePath = (_origin, target) => protoRoot + target;
root.loadSync(
  ['trace/v1/trace', 'metrics/v1/metrics', 'logs/v1/logs'].flatMap((path) => [
    `opentelemetry/proto/${path}.proto`,
    `opentelemetry/proto/collector/${path.replace(/\/(\w+)$/, '/$1_service')}.proto`,
  ]),
);
root.resolveAll();

/** A JSON-like object with the names of the `.proto` files in lowerCamelCase. */
export type Plain = { [name: string]: unknown };

const requestTypes = {
  traces: 'opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest',
  metrics: 'opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest',
  logs: 'opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest',
} as const;
const responseTypes = {
  traces: 'opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse',
  metrics: 'opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceResponse',
  logs: 'opentelemetry.proto.collector.logs.v1.ExportLogsServiceResponse',
} as const;

export function oracleEncode(signal: Signal, request: Plain): Uint8Array {
  return encodeAs(requestTypes[signal], request);
}

/** 64-bit numbers as decimal strings, bytes as base64, NaN as "NaN"; only what is set. */
export function oracleDecode(signal: Signal, bytes: Uint8Array): Plain {
  return decodeAs(requestTypes[signal], bytes);
}

export function oracleDecodeResponse(signal: Signal, bytes: Uint8Array): Plain {
  return decodeAs(responseTypes[signal], bytes);
}

function encodeAs(name: string, value: Plain): Uint8Array {
  const type = root.lookupType(name);
  return type.encode(type.fromObject(value)).finish();
}

function decodeAs(name: string, bytes: Uint8Array): Plain {
  const type = root.lookupType(name);
  return type.toObject(type.decode(bytes), { longs: String, bytes: String, json: true, arrays: false }) as Plain;
}

/** TracesData, MetricsData, LogsData and each message type that they can hold, with its fields as the `.proto` files have them. */
export function descriptors(): protobuf.Type[] {
  const found = new Map<string, protobuf.Type>();
  const visit = (type: protobuf.Type): void => {
    if (found.has(type.fullName)) return;
    found.set(type.fullName, type);
    for (const field of type.fieldsArray) if (field.resolvedType instanceof protobuf.Type) visit(field.resolvedType);
  };
  for (const name of ['trace.v1.TracesData', 'metrics.v1.MetricsData', 'logs.v1.LogsData'])
    visit(root.lookupType(`opentelemetry.proto.${name}`));
  return [...found.values()];
}

// ---------------------------------------------------------------------------------------------- arbitrary requests

const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.constantFrom('', '__proto__', 'constructor', 'service.name', '\u{feff}x', 'é'.repeat(70)),
);
const time = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const double = fc.double();
const int64 = fc
  .oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.constantFrom(0n, -1n, 2n ** 53n + 1n))
  .map(String);

function id(size: number) {
  return fc
    .uint8Array({ minLength: size, maxLength: size })
    .filter((bytes) => bytes.some((byte) => byte !== 0))
    .map((bytes) => Buffer.from(bytes));
}

/** Members that may be absent. */
function record(members: Record<string, fc.Arbitrary<unknown>>, required: string[] = []): fc.Arbitrary<Plain> {
  return fc.record(members, { requiredKeys: required }) as fc.Arbitrary<Plain>;
}

function list(element: fc.Arbitrary<unknown>, maxLength = 3) {
  return fc.array(element, { maxLength });
}

export const anyValue: fc.Arbitrary<Plain> = fc.letrec<{ value: Plain; keyValue: Plain }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    text.map((stringValue) => ({ stringValue })),
    fc.boolean().map((boolValue) => ({ boolValue })),
    int64.map((intValue) => ({ intValue })),
    double.map((doubleValue) => ({ doubleValue })),
    fc.uint8Array({ maxLength: 9 }).map((bytes) => ({ bytesValue: Buffer.from(bytes) })),
    fc.constant({}),
    list(tie('value')).map((values) => ({ arrayValue: { values } })),
    list(tie('keyValue')).map((values) => ({ kvlistValue: { values } })),
  ),
  keyValue: record({ key: text, value: tie('value') }),
})).value;

const attributes = list(record({ key: text, value: anyValue }), 4);
const resource = record({
  attributes,
  droppedAttributesCount: uint32,
  entityRefs: list(record({ schemaUrl: text, type: text, idKeys: list(text), descriptionKeys: list(text) }), 2),
});
const scope = record({ name: text, version: text, attributes, droppedAttributesCount: uint32 });

const span = record(
  {
    traceId: id(16),
    spanId: id(8),
    traceState: text,
    parentSpanId: id(8),
    flags: uint32,
    name: text,
    kind: fc.integer({ min: -1, max: 7 }),
    startTimeUnixNano: time,
    endTimeUnixNano: time,
    attributes,
    droppedAttributesCount: uint32,
    events: list(record({ timeUnixNano: time, name: text, attributes, droppedAttributesCount: uint32 })),
    droppedEventsCount: uint32,
    links: list(
      record({
        traceId: id(16),
        spanId: id(8),
        traceState: text,
        attributes,
        droppedAttributesCount: uint32,
        flags: uint32,
      }),
    ),
    droppedLinksCount: uint32,
    status: record({ message: text, code: fc.integer({ min: 0, max: 3 }) }),
  },
  ['traceId', 'spanId'],
);

const logRecord = record({
  timeUnixNano: time,
  observedTimeUnixNano: time,
  severityNumber: fc.integer({ min: 0, max: 24 }),
  severityText: text,
  body: anyValue,
  attributes,
  droppedAttributesCount: uint32,
  flags: uint32,
  traceId: id(16),
  spanId: id(8),
  eventName: text,
});

const numberValue = fc.oneof(
  double.map((asDouble) => ({ asDouble })),
  int64.map((asInt) => ({ asInt })),
);
const exemplar = fc
  .tuple(record({ filteredAttributes: attributes, timeUnixNano: time, spanId: id(8), traceId: id(16) }), numberValue)
  .map(([rest, value]) => ({ ...rest, ...value }));
const pointMembers = { attributes, startTimeUnixNano: time, timeUnixNano: time, flags: uint32 };
const exemplars = list(exemplar, 2);

const numberPoint = fc
  .tuple(record({ ...pointMembers, exemplars }), numberValue)
  .map(([rest, value]) => ({ ...rest, ...value }));

const counts = fc.array(fc.bigInt({ min: 0n, max: 2n ** 40n }), { maxLength: 6 });
function sumOf(values: bigint[]): bigint {
  return values.reduce((sum, value) => sum + value, 0n);
}

const histogramPoint = fc
  .tuple(
    record({ ...pointMembers, exemplars, sum: double, min: double, max: double }),
    fc.uniqueArray(
      fc.double({ noNaN: true }).map((bound) => bound + 0),
      { maxLength: 5, comparator: 'IsStrictlyEqual' },
    ),
    fc.array(fc.bigInt({ min: 0n, max: 2n ** 60n }), { minLength: 6, maxLength: 6 }),
    fc.boolean(),
  )
  .map(([rest, bounds, counts, empty]) => {
    if (empty) return { ...rest, count: '17' };
    const bucketCounts = counts.slice(0, bounds.length + 1);
    return {
      ...rest,
      explicitBounds: bounds.sort((left, right) => left - right),
      bucketCounts: bucketCounts.map(String),
      count: String(sumOf(bucketCounts)),
    };
  });

const exponentialPoint = fc
  .tuple(
    record({
      ...pointMembers,
      exemplars,
      sum: double,
      min: double,
      max: double,
      scale: fc.integer({ min: -10, max: 20 }),
      zeroThreshold: double,
    }),
    fc.bigInt({ min: 0n, max: 2n ** 50n }),
    fc.tuple(fc.integer({ min: -5000, max: 5000 }), counts),
    fc.tuple(fc.integer({ min: -5000, max: 5000 }), counts),
  )
  .map(([rest, zeroCount, [positiveOffset, positive], [negativeOffset, negative]]) => ({
    ...rest,
    zeroCount: String(zeroCount),
    positive: { offset: positiveOffset, bucketCounts: positive.map(String) },
    negative: { offset: negativeOffset, bucketCounts: negative.map(String) },
    count: String(zeroCount + sumOf(positive) + sumOf(negative)),
  }));

const summaryPoint = record({
  ...pointMembers,
  count: time,
  sum: double,
  quantileValues: list(record({ quantile: double, value: double })),
});

const temporality = fc.constantFrom(1, 2);
const data = fc.oneof(
  record({ dataPoints: list(numberPoint) }).map((gauge) => ({ gauge })),
  record({ dataPoints: list(numberPoint), aggregationTemporality: temporality, isMonotonic: fc.boolean() }, [
    'aggregationTemporality',
  ]).map((sum) => ({ sum })),
  record({ dataPoints: list(histogramPoint), aggregationTemporality: temporality }, ['aggregationTemporality']).map(
    (histogram) => ({ histogram }),
  ),
  record({ dataPoints: list(exponentialPoint), aggregationTemporality: temporality }, ['aggregationTemporality']).map(
    (exponentialHistogram) => ({ exponentialHistogram }),
  ),
  record({ dataPoints: list(summaryPoint) }).map((summary) => ({ summary })),
);
const metric = fc
  .tuple(
    record({ name: text.filter((name) => name !== ''), description: text, unit: text, metadata: attributes }, ['name']),
    data,
  )
  .map(([rest, data]) => ({ ...rest, ...data }));

/** Valid export requests of every shape. */
export const requests: Readonly<Record<Signal, fc.Arbitrary<Plain>>> = {
  traces: record({
    resourceSpans: list(
      record({ resource, schemaUrl: text, scopeSpans: list(record({ scope, schemaUrl: text, spans: list(span) }), 2) }),
      2,
    ),
  }),
  metrics: record({
    resourceMetrics: list(
      record({
        resource,
        schemaUrl: text,
        scopeMetrics: list(record({ scope, schemaUrl: text, metrics: list(metric) }), 2),
      }),
      2,
    ),
  }),
  logs: record({
    resourceLogs: list(
      record({
        resource,
        schemaUrl: text,
        scopeLogs: list(record({ scope, schemaUrl: text, logRecords: list(logRecord) }), 2),
      }),
      2,
    ),
  }),
};

const paths = {
  traces: ['resourceSpans', 'scopeSpans', 'spans'],
  metrics: ['resourceMetrics', 'scopeMetrics', 'metrics'],
  logs: ['resourceLogs', 'scopeLogs', 'logRecords'],
} as const;

/** Spans, log records or data points of a request, each as the object it is there. */
export function recordsOf(signal: Signal, request: Plain): Plain[] {
  let level = [request];
  for (const name of paths[signal]) level = level.flatMap((item) => (item[name] ?? []) as Plain[]);
  if (signal !== 'metrics') return level;
  return level.flatMap((item) =>
    ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'].flatMap(
      (kind) => ((item[kind] as Plain | undefined)?.['dataPoints'] ?? []) as Plain[],
    ),
  );
}
