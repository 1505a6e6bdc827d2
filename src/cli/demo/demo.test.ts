import { beforeAll, describe, expect, it } from 'vitest';
import type { Signal } from '../../base/index.ts';
import { defaultLimits, jsonToProtobuf, walk } from '../../otlp/index.ts';
import { countRecords, type LogRecord, type Metric, type Requests, type Resource, type Span } from '../otlp/json.ts';
import { encodeRequest } from '../otlp/messages.ts';
import type { Sender } from '../otlp/sender.ts';
import { createDemo } from './index.ts';
import { serviceNames } from './shop.ts';

const nowMs = Date.UTC(2026, 0, 31, 8);
const backfillMs = 30 * 60_000;

interface Story {
  readonly spans: { resource: Resource; span: Span }[];
  readonly logs: { resource: Resource; record: LogRecord }[];
  readonly metrics: { resource: Resource; metric: Metric }[];
  readonly requests: { signal: Signal; request: Requests[Signal] }[];
}
let story: Story;
beforeAll(async () => {
  story = await tell(7);
});

async function tell(seed: number): Promise<Story> {
  const told: Story = { spans: [], logs: [], metrics: [], requests: [] };
  const sender: Sender = {
    protocol: 'http/json',
    async send(signal, request) {
      told.requests.push({ signal, request });
      return { rejected: 0, message: '' };
    },
    [Symbol.dispose]() {},
  };
  const senders = { traces: sender, metrics: sender, logs: sender, events: sender };
  await createDemo({ seed, nowMs: () => nowMs, backfillMs, visitsPerSecond: 1.2, senders }).backfill(() => undefined);
  for (const { request } of told.requests) {
    if ('resourceSpans' in request)
      for (const { resource, scopeSpans } of request.resourceSpans)
        told.spans.push(...scopeSpans.flatMap(({ spans }) => spans.map((span) => ({ resource, span }))));
    if ('resourceLogs' in request)
      for (const { resource, scopeLogs } of request.resourceLogs)
        told.logs.push(...scopeLogs.flatMap(({ logRecords }) => logRecords.map((record) => ({ resource, record }))));
    if ('resourceMetrics' in request)
      for (const { resource, scopeMetrics } of request.resourceMetrics)
        told.metrics.push(...scopeMetrics.flatMap(({ metrics }) => metrics.map((metric) => ({ resource, metric }))));
  }
  return told;
}

function attribute(of: { attributes: Span['attributes'] }, key: string): unknown {
  const value = of.attributes.find((candidate) => candidate.key === key)?.value;
  return value === undefined ? undefined : Object.values(value)[0];
}

describe('the shop', () => {
  it('has six services in two namespaces', () => {
    expect(new Set(story.spans.map(({ resource }) => attribute(resource, 'service.name')))).toEqual(
      new Set(serviceNames),
    );
    expect(new Set(story.spans.map(({ resource }) => attribute(resource, 'k8s.namespace.name')))).toEqual(
      new Set(['shop', 'payments']),
    );
  });

  it('marks everything as demo', () => {
    const unmarked = [...story.spans, ...story.logs, ...story.metrics].filter(
      ({ resource }) => attribute(resource, 'watchingcat.demo') !== true,
    );
    expect(unmarked).toEqual([]);
  });

  it('sends nothing that has not happened, and nothing from before its begin', () => {
    const times = [
      ...story.spans.flatMap(({ span }) => [span.startTimeUnixNano, span.endTimeUnixNano]),
      ...story.logs.map(({ record }) => record.timeUnixNano),
    ].map((time) => Number(BigInt(time) / 1_000_000n));
    expect(times.filter((time) => time < nowMs - backfillMs || time > nowMs)).toEqual([]);
  });

  it('has whole traces: every parent is there, and lasts as long as its children', () => {
    const byId = new Map(story.spans.map(({ span }) => [`${span.traceId}/${span.spanId}`, span]));
    expect(byId.size).toBe(story.spans.length);
    const broken = story.spans.filter(({ span }) => {
      if (span.parentSpanId === undefined) return false;
      const parent = byId.get(`${span.traceId}/${span.parentSpanId}`);
      if (parent === undefined || BigInt(parent.startTimeUnixNano) > BigInt(span.startTimeUnixNano)) return true;
      return BigInt(parent.endTimeUnixNano) < BigInt(span.endTimeUnixNano);
    });
    expect(broken).toEqual([]);
  });

  it('has failing requests, and declined payments in the logs of their traces', () => {
    const failing = story.spans.filter(
      ({ span }) => span.status?.code === 2 && Number(attribute(span, 'http.response.status_code')) >= 500,
    );
    expect(failing.length).toBeGreaterThan(20);
    const traces = new Set(story.spans.map(({ span }) => span.traceId));
    const declined = story.logs.filter(
      ({ record }) => 'stringValue' in record.body && record.body.stringValue.includes('payment declined'),
    );
    expect(declined.length).toBeGreaterThan(20);
    for (const { record } of declined) expect(traces.has(record.traceId ?? '')).toBe(true);
  });

  it('has a slow dependency', () => {
    const seconds = (service: string) => {
      const durations = story.spans
        .filter(({ resource, span }) => attribute(resource, 'service.name') === service && span.kind === 2)
        .map(({ span }) => Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e9)
        .sort((a, b) => a - b);
      return durations[Math.floor(durations.length * 0.95)] ?? 0;
    };
    expect(seconds('fraud-check')).toBeGreaterThan(10 * seconds('catalog'));
  });

  it('has every kind of metric, and exemplars that lead to a trace', () => {
    const kinds = new Set(story.metrics.flatMap(({ metric }) => Object.keys(metric)));
    for (const kind of ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary']) expect(kinds).toContain(kind);
    const traces = new Set(story.spans.map(({ span }) => span.traceId));
    const exemplars = story.metrics.flatMap(({ metric }) =>
      'histogram' in metric ? metric.histogram.dataPoints.flatMap((point) => point.exemplars ?? []) : [],
    );
    expect(exemplars.length).toBeGreaterThan(100);
    expect(exemplars.filter(({ traceId }) => !traces.has(traceId))).toEqual([]);
  });

  it('counts what it did: cumulative histograms grow, and their buckets add up', () => {
    const latest = new Map<string, number>();
    const broken: unknown[] = [];
    for (const { resource, metric } of story.metrics) {
      if (!('histogram' in metric)) continue;
      for (const point of metric.histogram.dataPoints) {
        const key = `${attribute(resource, 'k8s.pod.name')}${JSON.stringify(point.attributes)}`;
        const isWhole =
          point.bucketCounts.length === point.explicitBounds.length + 1 &&
          point.bucketCounts.reduce((sum, count) => sum + Number(count), 0) === Number(point.count) &&
          Number(point.count) >= (latest.get(key) ?? 0);
        if (!isWhole) broken.push(point);
        latest.set(key, Number(point.count));
      }
    }
    expect(latest.size).toBeGreaterThan(20);
    expect(broken).toEqual([]);
  });

  it('tells its incident in Kubernetes events', () => {
    const reasons = story.logs
      .map(({ record }) => attribute(record, 'k8s.event.reason'))
      .filter((reason) => reason !== undefined);
    for (const reason of ['ScalingReplicaSet', 'Unhealthy', 'OOMKilling', 'BackOff']) expect(reasons).toContain(reason);
  });

  it('is the same story with the same seed, and another pod with another', async () => {
    expect(JSON.stringify((await tell(7)).requests) === JSON.stringify(story.requests)).toBe(true);
    const other = await tell(8);
    expect(attribute(other.spans[0]!.resource, 'k8s.pod.name')).not.toBe(
      attribute(story.spans[0]!.resource, 'k8s.pod.name'),
    );
  });

  it('is clean OTLP, as protobuf and as JSON: nothing is rejected or repaired', () => {
    const nowUnixNano = BigInt(nowMs) * 1_000_000n;
    for (const { signal, request } of story.requests) {
      const forms = [
        encodeRequest(signal, request as never),
        jsonToProtobuf(signal, Buffer.from(JSON.stringify(request)), defaultLimits),
      ];
      for (const bytes of forms) {
        expect(walk(signal, bytes, defaultLimits, nowUnixNano)).toMatchObject({
          clean: true,
          records: countRecords(request),
        });
      }
    }
  });
});
