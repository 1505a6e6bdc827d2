import { randomBytes } from 'node:crypto';
import type { Sent } from './sent.ts';

const attributes = [
  { key: 'client.text', value: { stringValue: 'grüße, 世界' } },
  { key: 'client.count', value: { intValue: '42' } },
  { key: 'client.ratio', value: { doubleValue: 0.25 } },
  { key: 'client.flag', value: { boolValue: true } },
  { key: 'client.list', value: { arrayValue: { values: [{ stringValue: 'a' }, { stringValue: 'b' }] } } },
];

/**
 * What the sending programs send, as OTLP JSON by signal, made here. For what passes data on: a Collector, or a client
 * of our own.
 */
export function message(service: string): { sent: Sent; requests: Record<'traces' | 'metrics' | 'logs', unknown> } {
  const nowNanos = BigInt(Date.now()) * 1_000_000n;
  const at = (offsetMs: number): string => `${nowNanos + BigInt(offsetMs) * 1_000_000n}`;
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: service } }] };
  const scope = { name: 'client-test', version: '0.1.0' };
  const pairs = Array.from({ length: 20 }, (_, turn) => {
    const [traceId, rootId, childId] = [hex(16), hex(8), hex(8)];
    const timed = { startTimeUnixNano: at(-5), endTimeUnixNano: at(0), attributes };
    return {
      body: `client line ${turn} of ${service}`,
      root: { traceId, spanId: rootId, name: `root ${turn}`, kind: 2, ...timed },
      child: {
        ...{ traceId, spanId: childId, parentSpanId: rootId, name: `child ${turn}`, kind: 1, ...timed },
        events: [{ timeUnixNano: at(-1), name: 'happened', attributes: [] }],
        links: [{ traceId, spanId: rootId }],
        status: { code: 2, message: 'declined' },
      },
    };
  });
  const spans = pairs.flatMap(({ root, child }) => [root, child]);
  const logRecords = pairs.map(({ body, child }) => ({
    timeUnixNano: at(0),
    observedTimeUnixNano: at(0),
    severityNumber: 13,
    severityText: 'WARN',
    body: { stringValue: body },
    attributes,
    traceId: child.traceId,
    spanId: child.spanId,
  }));
  return {
    sent: {
      service,
      spans: spans.map(({ traceId, spanId, name }) => ({ traceId, spanId, name })),
      logs: pairs.map(({ body, child: { traceId, spanId } }) => ({ body, traceId, spanId })),
    },
    requests: {
      traces: { resourceSpans: [{ resource, scopeSpans: [{ scope, spans }] }] },
      logs: { resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords }] }] },
      metrics: { resourceMetrics: [{ resource, scopeMetrics: [{ scope, metrics: metrics(at(-1000), at(0)) }] }] },
    },
  };
}

function metrics(startTimeUnixNano: string, timeUnixNano: string): unknown[] {
  const point = { startTimeUnixNano, timeUnixNano, attributes: [{ key: 'route', value: { stringValue: '/pay' } }] };
  const cumulative = { aggregationTemporality: 2 };
  return [
    { name: 'client.requests', sum: { dataPoints: [{ ...point, asInt: '7' }], isMonotonic: true, ...cumulative } },
    { name: 'client.open', sum: { dataPoints: [{ ...point, asInt: '3' }], ...cumulative } },
    { name: 'client.temperature', gauge: { dataPoints: [{ ...point, asDouble: 21.5 }] } },
    {
      name: 'client.size',
      unit: 'By',
      histogram: {
        dataPoints: [{ ...point, count: '1', sum: 100, bucketCounts: ['0', '1', '0'], explicitBounds: [50, 500] }],
        ...cumulative,
      },
    },
    {
      name: 'client.latency',
      unit: 's',
      exponentialHistogram: {
        dataPoints: [
          { ...point, count: '1', sum: 0.25, scale: 0, zeroCount: '0', positive: { offset: -3, bucketCounts: ['1'] } },
        ],
        ...cumulative,
      },
    },
  ];
}

function hex(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}

/** A message for protobuf: ids, which OTLP JSON writes in hex, as bytes. */
export function withBytes(message: unknown): object {
  return JSON.parse(JSON.stringify(message), (key, value) =>
    /^(traceId|spanId|parentSpanId)$/.test(key) ? Buffer.from(value, 'hex') : value,
  );
}
