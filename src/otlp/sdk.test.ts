import {
  JsonLogsSerializer,
  JsonTraceSerializer,
  ProtobufLogsSerializer,
  ProtobufTraceSerializer,
} from '@opentelemetry/otlp-transformer';
import { expect, it } from 'vitest';
import { oracleDecode, recordsOf } from '../../test/kit/otlp-oracle.ts';
import { defaultLimits, jsonToProtobuf, walk } from './index.ts';

// OpenTelemetry's own encoder for JavaScript, which writes both forms of the same records.

const resource = { attributes: { 'service.name': 'checkout', 'process.pid': 4711 }, asyncAttributesPending: false };
const instrumentationScope = { name: 'http', version: '1.2.3', schemaUrl: 'https://opentelemetry.io/schemas/1.37.0' };
const spanContext = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 };

it('spans in protobuf and in JSON are the same to us', () => {
  const span = {
    name: 'GET /orders',
    kind: 1,
    spanContext: () => spanContext,
    parentSpanContext: { ...spanContext, spanId: '00f067aa0ba902b7' },
    startTime: [1_700_000_000, 123_456_789],
    endTime: [1_700_000_000, 987_654_321],
    status: { code: 2, message: 'no stock' },
    attributes: { text: 'ünïcode', whole: 42, real: 0.25, yes: true, list: ['a', 'b'], none: undefined },
    links: [{ context: spanContext, attributes: { link: 1 } }],
    events: [{ name: 'exception', time: [1_700_000_000, 5], attributes: { 'exception.type': 'Error' } }],
    duration: [0, 864_197_532],
    ended: true,
    resource,
    instrumentationScope,
    droppedAttributesCount: 1,
    droppedEventsCount: 2,
    droppedLinksCount: 3,
  };
  const spans = [span] as unknown as Parameters<typeof ProtobufTraceSerializer.serializeRequest>[0];
  const bytes = ProtobufTraceSerializer.serializeRequest(spans)!;
  const fromJson = jsonToProtobuf('traces', JsonTraceSerializer.serializeRequest(spans)!);
  for (const request of [bytes, fromJson])
    expect(walk('traces', request, defaultLimits)).toMatchObject({ records: 1, clean: true });
  expect(oracleDecode('traces', fromJson)).toEqual(oracleDecode('traces', bytes));
  expect(recordsOf('traces', oracleDecode('traces', bytes))[0]).toMatchObject({
    traceId: Buffer.from(spanContext.traceId, 'hex').toString('base64'),
    startTimeUnixNano: '1700000000123456789',
  });
});

it('log records in protobuf and in JSON are the same to us', () => {
  const record = {
    hrTime: [1_700_000_000, 1],
    hrTimeObserved: [1_700_000_000, 2],
    spanContext,
    severityText: 'WARN',
    severityNumber: 13,
    body: { message: 'payment declined', attempts: [1, 2.5, null], bytes: new Uint8Array([1, 2, 255]) },
    eventName: 'payment',
    attributes: { 'user.id': 'u-1', nested: { deep: { deeper: true } } },
    resource,
    instrumentationScope,
    droppedAttributesCount: 0,
  };
  const records = [record] as unknown as Parameters<typeof ProtobufLogsSerializer.serializeRequest>[0];
  const bytes = ProtobufLogsSerializer.serializeRequest(records)!;
  const fromJson = jsonToProtobuf('logs', JsonLogsSerializer.serializeRequest(records)!);
  for (const request of [bytes, fromJson])
    expect(walk('logs', request, defaultLimits)).toMatchObject({ records: 1, clean: true, hasTimestamp: true });
  expect(oracleDecode('logs', fromJson)).toEqual(oracleDecode('logs', bytes));
});
