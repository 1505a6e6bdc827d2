import { isMessage, type MessageName, messageIndex, schema } from './schema.ts';
import { wireBytes, wireFixed32, wireFixed64, wireVarint } from './wire.ts';

// What the scan does with each field, made of the schema once: tables, by message × 32 + field.

/** What is done with a field. */
export const op = {
  unknown: 0,
  /** nothing to look at beyond the wire type */
  scalar: 1,
  string: 2,
  key: 3,
  anyString: 4,
  anyBytes: 5,
  anyContainer: 6,
  message: 7,
  /** a repeated message that is only counted */
  element: 8,
  attribute: 9,
  record: 10,
  event: 11,
  link: 12,
  exemplar: 13,
  ownTraceId: 14,
  ownSpanId: 15,
  parentSpanId: 16,
  traceId: 17,
  spanId: 18,
  packedFixed64: 19,
  packedVarint: 20,
  body: 21,
  logTime: 22,
  pointTime: 23,
  /** a varint that the check at the message's end looks at */
  kept: 24,
  flags: 25,
  count: 26,
  sum: 27,
  zeroCount: 28,
  scale: 29,
  offset: 30,
  data: 31,
  /** a value whose presence the check looks at */
  present: 32,
  name: 33,
  quantile: 34,
  entityKey: 35,
  bounds: 36,
} as const;

export const messages = Object.keys(schema) as MessageName[];
export const ops = new Uint8Array(messages.length * 32);
export const wires = new Uint8Array(messages.length * 32);
export const children = new Uint8Array(messages.length * 32);

const special: { readonly [name: string]: number } = {
  'AnyValue.stringValue': op.anyString,
  'AnyValue.bytesValue': op.anyBytes,
  'AnyValue.arrayValue': op.anyContainer,
  'AnyValue.kvlistValue': op.anyContainer,
  'KeyValue.key': op.key,
  'EntityRef.idKeys': op.entityKey,
  'EntityRef.descriptionKeys': op.entityKey,
  'KeyValueList.values': op.element,
  'Span.traceId': op.ownTraceId,
  'Span.spanId': op.ownSpanId,
  'Span.parentSpanId': op.parentSpanId,
  'Span.events': op.event,
  'Span.links': op.link,
  'ScopeSpans.spans': op.record,
  'ScopeLogs.logRecords': op.record,
  'LogRecord.body': op.body,
  'LogRecord.timeUnixNano': op.logTime,
  'LogRecord.observedTimeUnixNano': op.logTime,
  'Metric.name': op.name,
  'Metric.gauge': op.data,
  'Metric.sum': op.data,
  'Metric.histogram': op.data,
  'Metric.exponentialHistogram': op.data,
  'Metric.summary': op.data,
  'Sum.aggregationTemporality': op.kept,
  'Histogram.aggregationTemporality': op.kept,
  'ExponentialHistogram.aggregationTemporality': op.kept,
  'NumberDataPoint.asDouble': op.present,
  'NumberDataPoint.asInt': op.present,
  'HistogramDataPoint.count': op.count,
  'HistogramDataPoint.sum': op.sum,
  'HistogramDataPoint.explicitBounds': op.bounds,
  'ExponentialHistogramDataPoint.count': op.count,
  'ExponentialHistogramDataPoint.sum': op.sum,
  'ExponentialHistogramDataPoint.zeroCount': op.zeroCount,
  'ExponentialHistogramDataPoint.scale': op.scale,
  'Buckets.offset': op.offset,
  'SummaryDataPoint.quantileValues': op.quantile,
};

for (const name of messages) {
  for (const field of schema[name]) {
    const at = messageIndex[name] * 32 + field.number;
    if (isMessage(field.kind)) {
      children[at] = messageIndex[field.kind];
      wires[at] = wireBytes;
      ops[at] = !field.repeated
        ? op.message
        : field.kind === 'KeyValue'
          ? op.attribute
          : field.kind === 'Exemplar'
            ? op.exemplar
            : field.name === 'dataPoints'
              ? op.record
              : op.element;
    } else {
      switch (field.kind) {
        case 'string':
          wires[at] = wireBytes;
          ops[at] = op.string;
          break;
        case 'traceId':
          wires[at] = wireBytes;
          ops[at] = op.traceId;
          break;
        case 'spanId':
          wires[at] = wireBytes;
          ops[at] = op.spanId;
          break;
        case 'bytes':
          wires[at] = wireBytes;
          ops[at] = op.scalar;
          break;
        case 'fixed64':
        case 'sfixed64':
        case 'double':
          wires[at] = wireFixed64;
          ops[at] = field.repeated ? op.packedFixed64 : op.scalar;
          if (field.name === 'timeUnixNano' && name.endsWith('DataPoint')) ops[at] = op.pointTime;
          break;
        case 'fixed32':
          wires[at] = wireFixed32;
          ops[at] = op.scalar;
          break;
        default:
          wires[at] = wireVarint;
          ops[at] = field.repeated ? op.packedVarint : op.scalar;
          if (field.name === 'flags') ops[at] = op.flags;
      }
    }
    ops[at] = special[`${name}.${field.name}`] ?? ops[at]!;
  }
}
