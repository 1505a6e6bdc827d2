import { Writer } from '../otlp/index.ts';
import { boundsSeconds } from './limits.ts';
import { callsMetric, durationMetric, kinds, labels, statuses } from './names.ts';
import type { SpanSeries } from './series.ts';

// Field numbers of opentelemetry/proto/metrics/v1/metrics.proto.
const cumulative = 2;

/**
 * The series as one ExportMetricsServiceRequest. One that is new has a second point before, of value 0 at its start, so
 * that what it counted first is an increase, too.
 */
export function encodeSeries(series: readonly SpanSeries[], replica: string, nowMs: number): Uint8Array {
  const writer = new Writer(64 << 10);
  const resource = writer.begin(1);
  // No service.name: these are about services, and come from none.
  const scope = writer.begin(2);
  const inner = writer.begin(1);
  writer.string(1, 'watchingcat/spanmetrics');
  writer.end(inner);

  const calls = writer.begin(2);
  writer.string(1, callsMetric.otlp);
  writer.string(2, 'Spans by service, operation, kind and status');
  const sum = writer.begin(7);
  const point = (each: SpanSeries, timeMs: number, count: number) => {
    const at = writer.begin(1);
    writer.fixed64(2, nanos(each.startUnixMs));
    writer.fixed64(3, nanos(timeMs));
    writer.fixed64(6, BigInt(count));
    attributes(writer, 7, each, replica);
    writer.end(at);
  };
  for (const each of series) {
    if (!each.announced) point(each, each.startUnixMs, 0);
    point(each, nowMs, each.count);
  }
  writer.int32(2, cumulative);
  writer.bool(3, true);
  writer.end(sum);
  writer.end(calls);

  const durations = writer.begin(2);
  writer.string(1, durationMetric.otlp);
  writer.string(2, 'Durations of spans by service, operation, kind and status');
  writer.string(3, 's');
  const histogram = writer.begin(9);
  for (const each of series) {
    if (!each.announced) histogramPoint(writer, each, replica, each.startUnixMs, zero);
    histogramPoint(writer, each, replica, nowMs, each);
  }
  writer.int32(2, cumulative);
  writer.end(histogram);
  writer.end(durations);

  writer.end(scope);
  writer.end(resource);
  return writer.finish();
}

const zero = { count: 0, sumSeconds: 0, buckets: new Array<number>(boundsSeconds.length + 1).fill(0) };

function histogramPoint(
  writer: Writer,
  series: SpanSeries,
  replica: string,
  timeMs: number,
  value: Pick<SpanSeries, 'count' | 'sumSeconds' | 'buckets'>,
): void {
  const at = writer.begin(1);
  writer.fixed64(2, nanos(series.startUnixMs));
  writer.fixed64(3, nanos(timeMs));
  writer.fixed64(4, BigInt(value.count));
  writer.double(5, value.sumSeconds);
  const counts = writer.begin(6);
  for (const count of value.buckets) writer.bareFixed64(BigInt(count));
  writer.end(counts);
  const bounds = writer.begin(7);
  for (const bound of boundsSeconds) writer.bareDouble(bound);
  writer.end(bounds);
  attributes(writer, 9, series, replica);
  writer.end(at);
}

function attributes(writer: Writer, field: number, { service, name, kind, status }: SpanSeries, replica: string): void {
  const text = (key: string, value: string) => {
    if (value === '') return;
    const at = writer.begin(field);
    writer.string(1, key);
    const any = writer.begin(2);
    writer.string(1, value);
    writer.end(any);
    writer.end(at);
  };
  text(labels.service.otlp, service.name);
  text(labels.namespace.otlp, service.namespace);
  text(labels.environment.otlp, service.environment);
  if (name === undefined) {
    const at = writer.begin(field);
    writer.string(1, labels.overflow.otlp);
    const any = writer.begin(2);
    writer.bool(2, true);
    writer.end(any);
    writer.end(at);
  } else {
    text(labels.name.otlp, name);
    text(labels.kind.otlp, kinds[kind] ?? kinds[0]);
  }
  text(labels.status.otlp, statuses[status] ?? statuses[0]);
  text(labels.replica.otlp, replica);
}

function nanos(ms: number): bigint {
  return BigInt(Math.round(ms)) * 1_000_000n;
}
