import { createHash } from 'node:crypto';
import { Fault, type Signal } from '../../src/base/index.ts';
import type {
  FieldSummary,
  Json,
  LogReader,
  LogRow,
  MetricReader,
  MetricSummary,
  Page,
  PageRequest,
  Quantiles,
  Series,
  ServiceSummary,
  TimeRange,
  TraceReader,
  TraceSummary,
} from '../../src/stores/contract.ts';
import { type Filter, fieldName } from '../../src/stores/filter.ts';
import { evaluateFilter, type FilteredRecord, textOf } from './evaluate-filter.ts';
import { decodeOtlp, encodeOtlp } from './otlp.ts';

// The contract for reading, in memory and in the plainest form: stores are compared with it, and the REST layer is tested on it.

type JsonObject = { [key: string]: Json };

/** A span as its fields are needed here; `raw` is what protobufjs decoded. */
interface SpanRow {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly isError: boolean;
  readonly start: bigint;
  readonly end: bigint;
  readonly resource: JsonObject;
  readonly filtered: FilteredRecord;
  readonly raw: { readonly resource: unknown; readonly scope: unknown; readonly span: unknown };
}

export interface MemoryReaders {
  readonly traces: TraceReader;
  readonly logs: LogReader;
  readonly metrics: MetricReader;
  /** Takes an export request in protobuf: traces or logs. */
  add(signal: Exclude<Signal, 'metrics'>, body: Uint8Array, receivedUnixNano: bigint): void;
  /** Takes series as they are: how metrics become series is the store's own matter. */
  addSeries(summary: Omit<MetricSummary, 'seriesCount'>, series: readonly Series[]): void;
  /** Signals of the queries that are under way or were, in order. */
  readonly cancels: readonly AbortSignal[];
}

export function memoryReaders(): MemoryReaders {
  const spans: SpanRow[] = [];
  const logs: { row: LogRow; filtered: FilteredRecord }[] = [];
  const metrics: { summary: Omit<MetricSummary, 'seriesCount'>; series: readonly Series[] }[] = [];
  const cancels: AbortSignal[] = [];

  function begin(cancel: AbortSignal): void {
    cancels.push(cancel);
    cancel.throwIfAborted();
  }

  const matchingLogs = (range: TimeRange, filter: Filter) =>
    logs.filter(({ row, filtered }) => within(row.timeUnixNano, range) && evaluateFilter(filter, filtered));

  return {
    cancels,
    add(signal, body, receivedUnixNano) {
      if (signal === 'traces') spans.push(...spansOf(body));
      else logs.push(...logsOf(body, receivedUnixNano));
    },
    addSeries(summary, series) {
      metrics.push({ summary, series });
    },

    traces: {
      async services(range, cancel) {
        begin(cancel);
        const rows = spans.filter((span) => within(span.start, range));
        return summaries(
          'traces',
          rows,
          (span) => span.start,
          (group) => ({
            errors: group.filter((span) => span.isError).length,
            durationNanos: quantiles(group.map((span) => span.end - span.start)),
          }),
        );
      },
      async operations(service, range, cancel) {
        begin(cancel);
        const rows = spans.filter((span) => span.resource['service.name'] === service && within(span.start, range));
        return [...Map.groupBy(rows, (span) => JSON.stringify([span.name, span.kind])).values()].map((group) => ({
          name: group[0]!.name,
          kind: group[0]!.kind,
          spanCount: group.length,
          errorCount: group.filter((span) => span.isError).length,
          durationNanos: quantiles(group.map((span) => span.end - span.start)),
        }));
      },
      async search(search, cancel) {
        begin(cancel);
        const matching = spans.filter(
          (span) =>
            within(span.start, search.range) &&
            (search.service === undefined || span.resource['service.name'] === search.service) &&
            (search.operation === undefined || span.name === search.operation) &&
            (search.minDurationNanos === undefined ||
              span.filtered.intrinsics.durationNanos! >= search.minDurationNanos) &&
            (search.maxDurationNanos === undefined ||
              span.filtered.intrinsics.durationNanos! <= search.maxDurationNanos) &&
            evaluateFilter(search.filter, span.filtered),
        );
        const traces = [...new Set(matching.map((span) => span.traceId))].map((traceId) =>
          summary(spans.filter((span) => span.traceId === traceId)),
        );
        return page(traces, (trace) => [trace.startTimeUnixNano, trace.traceId], 'desc', search);
      },
      async trace(traceId, cancel) {
        begin(cancel);
        const found = spans.filter((span) => span.traceId === traceId);
        if (found.length === 0) return undefined;
        const resourceSpans = found.map(({ raw }) => ({
          resource: raw.resource,
          scopeSpans: [{ scope: raw.scope, spans: [raw.span] }],
        }));
        return encodeOtlp('traces', { resourceSpans });
      },
    },

    logs: {
      async services(range, cancel) {
        begin(cancel);
        const rows = logs.map(({ row }) => row).filter((row) => within(row.timeUnixNano, range));
        return summaries(
          'logs',
          rows,
          (row) => row.timeUnixNano,
          () => ({ errors: 0, durationNanos: undefined }),
        );
      },
      async search(search, cancel) {
        begin(cancel);
        const rows = matchingLogs(search.range, search.filter).map(({ row }) => row);
        return page(rows, (row) => [row.timeUnixNano, row.id], search.order, search);
      },
      async histogram({ range, filter, intervalNanos }, cancel) {
        begin(cancel);
        const rows = matchingLogs(range, filter).map(({ row }) => row);
        const buckets = [];
        for (let start = range.startUnixNano - (range.startUnixNano % intervalNanos); start < range.endUnixNano; ) {
          const end = start + intervalNanos;
          const inside = rows.filter(({ timeUnixNano }) => timeUnixNano >= start && timeUnixNano < end);
          const levels = Map.groupBy(inside, ({ severityNumber }) => level(severityNumber));
          buckets.push({
            startUnixNano: start,
            bySeverity: Object.fromEntries([...levels].map(([name, group]) => [name, group.length])),
          });
          start = end;
        }
        return { intervalNanos, buckets, incomplete: false, warnings: [] };
      },
      async fields({ range, filter, limit }, cancel) {
        begin(cancel);
        const found = new Map<string, Json[]>();
        for (const { row } of matchingLogs(range, filter)) {
          for (const [name, value] of namedValues(row)) found.set(name, [...(found.get(name) ?? []), value]);
        }
        const items = [...found].map(([name, values]) => ({ name, type: typeOf(values), count: values.length }));
        return bounded(items.toSorted(byCount), limit);
      },
      async fieldValues({ field, range, filter, limit }, cancel) {
        begin(cancel);
        const values = matchingLogs(range, filter).flatMap(({ row }) =>
          namedValues(row)
            .filter(([name]) => name === field)
            .map(([, value]) => value),
        );
        const groups = Map.groupBy(values, (value) => JSON.stringify(value));
        return bounded(
          [...groups.values()].map((group) => ({ value: group[0]!, count: group.length })).sort(byCount),
          limit,
        );
      },
    },

    metrics: {
      async services(range, cancel) {
        begin(cancel);
        const rows = metrics.flatMap(({ series }) =>
          series.flatMap(({ labels, timestampsMs }) =>
            [...timestampsMs].map((ms) => ({
              resource: { 'service.name': labels['job'] ?? '' },
              time: BigInt(Math.round(ms)) * 1_000_000n,
            })),
          ),
        );
        const inside = rows.filter(({ time }) => within(time, range));
        return summaries(
          'metrics',
          inside,
          (row) => row.time,
          () => ({ errors: 0, durationNanos: undefined }),
        );
      },
      async metrics({ limit }, cancel) {
        begin(cancel);
        return bounded(
          metrics.map(({ summary, series }) => ({ ...summary, seriesCount: series.length })),
          limit,
        );
      },
      async select({ matchers, startMs, endMs, samplesMax }, cancel) {
        begin(cancel);
        const selected = metrics
          .flatMap(({ series }) => series)
          .filter(({ labels }) => matchers.every((matcher) => labelMatches(matcher, labels[matcher.name] ?? '')))
          .map(({ labels, timestampsMs, values }) => {
            const from = timestampsMs.findIndex((ms) => ms >= startMs);
            const to = timestampsMs.findLastIndex((ms) => ms <= endMs) + 1;
            const kept: [number, number] = from < 0 ? [0, 0] : [from, Math.max(from, to)];
            return { labels, timestampsMs: timestampsMs.slice(...kept), values: values.slice(...kept) };
          })
          .filter(({ values }) => values.length > 0);
        const samples = selected.reduce((sum, { values }) => sum + values.length, 0);
        if (samples > samplesMax) throw new Fault('unprocessable', `the query needs more than ${samplesMax} samples`);
        return selected;
      },
      async latest({ seriesMax, nonZero, ...select }, cancel) {
        const samplesMax = Number.POSITIVE_INFINITY;
        const found = (await this.select({ ...select, samplesMax, deltasFrom: 'range' }, cancel)).map(
          ({ labels, timestampsMs, values }) => ({ labels, timeMs: timestampsMs.at(-1)!, value: values.at(-1)! }),
        );
        // Where NaN is the last, the series ended.
        const wanted = found.filter(({ value }) => !Number.isNaN(value) && (!nonZero || value !== 0));
        if (wanted.length > seriesMax) throw new Fault('unprocessable', `there are more than ${seriesMax} series`);
        return wanted;
      },
    },
  };
}

// ------------------------------------------------------------------------------------------ from protobuf

interface RawResource {
  readonly resource: { readonly attributes: readonly RawKeyValue[] } | null;
}
interface RawKeyValue {
  readonly key: string;
  readonly value: RawValue | null;
}
interface RawValue {
  readonly value?: string;
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly bytesValue?: Uint8Array;
  readonly arrayValue?: { readonly values: readonly RawValue[] };
  readonly kvlistValue?: { readonly values: readonly RawKeyValue[] };
}
interface RawSpan {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly parentSpanId: Uint8Array;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly RawKeyValue[];
  readonly events: readonly { readonly name: string; readonly attributes: readonly RawKeyValue[] }[];
  readonly status: { readonly code: number; readonly message: string } | null;
}
interface RawLog {
  readonly timeUnixNano: string;
  readonly observedTimeUnixNano: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: RawValue | null;
  readonly attributes: readonly RawKeyValue[];
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly eventName: string;
}

const kinds = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'];
const statuses = ['unset', 'ok', 'error'];

function spansOf(body: Uint8Array): SpanRow[] {
  const { resourceSpans } = decodeOtlp('traces', body) as {
    resourceSpans: (RawResource & { scopeSpans: { scope: unknown; spans: RawSpan[] }[] })[];
  };
  return resourceSpans.flatMap((group) => {
    const resource = objectOf(group.resource?.attributes ?? []);
    return group.scopeSpans.flatMap(({ scope, spans }) =>
      spans.map((span): SpanRow => {
        const start = BigInt(span.startTimeUnixNano);
        const end = BigInt(span.endTimeUnixNano);
        const exceptions = span.events.flatMap(({ attributes }) => objectOf(attributes)['exception.message'] ?? []);
        return {
          traceId: hex(span.traceId),
          spanId: hex(span.spanId),
          parentSpanId: hex(span.parentSpanId),
          name: span.name,
          kind: span.kind,
          isError: span.status?.code === 2,
          start,
          end,
          resource,
          raw: { resource: group.resource, scope, span },
          filtered: {
            intrinsics: {
              service: serviceOf(resource),
              name: span.name,
              kind: kinds[span.kind] ?? 'unspecified',
              status: statuses[span.status?.code ?? 0] ?? 'unset',
              durationNanos: end > start ? end - start : 0n,
              severityNumber: undefined,
              body: undefined,
              traceId: hex(span.traceId),
              spanId: hex(span.spanId),
            },
            attributes: objectOf(span.attributes),
            resource,
            texts: [
              span.name,
              span.status?.message ?? '',
              ...span.events.map(({ name }) => name),
              ...exceptions.map((message) => textOf(message)),
            ],
          },
        };
      }),
    );
  });
}

function logsOf(body: Uint8Array, receivedUnixNano: bigint): { row: LogRow; filtered: FilteredRecord }[] {
  const digest = createHash('sha256').update(body).digest('hex').slice(0, 32);
  const { resourceLogs } = decodeOtlp('logs', body) as {
    resourceLogs: (RawResource & { scopeLogs: { scope: { name: string } | null; logRecords: RawLog[] }[] })[];
  };
  const records = resourceLogs.flatMap((group) => {
    const resource = objectOf(group.resource?.attributes ?? []);
    return group.scopeLogs.flatMap(({ scope, logRecords }) =>
      logRecords.map((log) => ({ log, resource, scopeName: scope?.name ?? '' })),
    );
  });
  return records.map(({ log, resource, scopeName }, index) => {
    const attributes = objectOf(log.attributes);
    const text = jsonOf(log.body);
    const observed = BigInt(log.observedTimeUnixNano);
    const row: LogRow = {
      id: `${digest}-${String(index).padStart(6, '0')}`,
      timeUnixNano: BigInt(log.timeUnixNano) || observed || receivedUnixNano,
      observedTimeUnixNano: observed,
      severityNumber: log.severityNumber,
      severityText: log.severityText,
      eventName: log.eventName,
      body: text,
      attributes,
      resource,
      scopeName,
      traceId: hex(log.traceId),
      spanId: hex(log.spanId),
    };
    const intrinsics = {
      service: serviceOf(resource),
      name: log.eventName || undefined,
      kind: undefined,
      status: undefined,
      durationNanos: undefined,
      severityNumber: log.severityNumber,
      body: text,
      traceId: row.traceId,
      spanId: row.spanId,
    };
    return { row, filtered: { intrinsics, attributes, resource, texts: [textOf(text)] } };
  });
}

function objectOf(attributes: readonly RawKeyValue[]): JsonObject {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, jsonOf(value)]));
}

/** AnyValue as the REST layer gives it. */
function jsonOf(value: RawValue | null): Json {
  switch (value?.value) {
    case 'stringValue':
      return value.stringValue!;
    case 'boolValue':
      return value.boolValue!;
    case 'intValue': {
      const number = Number(value.intValue);
      return Number.isSafeInteger(number) ? number : value.intValue!;
    }
    case 'doubleValue':
      return Number.isFinite(value.doubleValue) ? value.doubleValue! : String(value.doubleValue);
    case 'bytesValue':
      return Buffer.from(value.bytesValue!).toString('base64');
    case 'arrayValue':
      return value.arrayValue!.values.map(jsonOf);
    case 'kvlistValue':
      return objectOf(value.kvlistValue!.values);
    default:
      return null;
  }
}

// ------------------------------------------------------------------------------------------ what lists share

function within(time: bigint, { startUnixNano, endUnixNano }: TimeRange): boolean {
  return time >= startUnixNano && time < endUnixNano;
}

/** Keyset pages: the cursor is the key of the last row that was given. */
function page<T>(
  rows: readonly T[],
  key: (row: T) => readonly [bigint, string],
  order: 'asc' | 'desc',
  { limit, cursor }: PageRequest,
): Page<T> {
  const sign = order === 'asc' ? 1 : -1;
  const sorted = rows.toSorted((a, b) => sign * compareKeys(key(a), key(b)));
  const after = cursor === undefined ? undefined : keyOf(cursor);
  const rest = after === undefined ? sorted : sorted.filter((row) => sign * compareKeys(key(row), after) > 0);
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  const next = rest.length > limit && last !== undefined ? JSON.stringify(key(last).map(String)) : undefined;
  return { items, next, incomplete: false, warnings: [] };
}

function keyOf(cursor: string): readonly [bigint, string] {
  try {
    const [time, id] = JSON.parse(cursor) as [string, string];
    return [BigInt(time), id];
  } catch (cause) {
    throw new Fault('malformed', 'expected a cursor of this store', { parameter: 'cursor', cause });
  }
}

function compareKeys(a: readonly [bigint, string], b: readonly [bigint, string]): number {
  if (a[0] !== b[0]) return a[0] < b[0] ? -1 : 1;
  return a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0;
}

function byCount(a: { readonly count: number }, b: { readonly count: number }): number {
  return b.count - a.count;
}

function bounded<T>(rows: readonly T[], limit: number): Page<T> {
  const items = rows.slice(0, limit);
  const incomplete = rows.length > limit;
  return { items, next: undefined, incomplete, warnings: incomplete ? [`more than ${limit}`] : [] };
}

function summaries<T extends { readonly resource: { readonly [key: string]: Json } }>(
  signal: Signal,
  rows: readonly T[],
  time: (row: T) => bigint,
  spans: (group: readonly T[]) => Pick<ServiceSummary, 'errors' | 'durationNanos'>,
): ServiceSummary[] {
  const groups = Map.groupBy(rows, ({ resource }) => JSON.stringify(identity(resource)));
  return [...groups.values()].map((group) => ({
    ...identity(group[0]!.resource),
    signal,
    records: group.length,
    ...spans(group),
    lastSeenUnixNano: group.map(time).reduce(later),
  }));
}

function identity(resource: { readonly [key: string]: Json }) {
  const text = (key: string) => (resource[key] === undefined ? '' : textOf(resource[key]));
  const namespace = text('service.namespace') || text('k8s.namespace.name');
  const environment = text('deployment.environment.name') || text('environment');
  // The object of a Kubernetes event has said nothing itself.
  return { name: 'k8s.object.kind' in resource ? '' : text('service.name'), namespace, environment };
}

function summary(trace: readonly SpanRow[]): TraceSummary {
  const root = trace.find((span) => span.parentSpanId === '');
  const start = trace.map((span) => span.start).reduce(earlier);
  const end = trace.map((span) => span.end).reduce(later);
  return {
    traceId: trace[0]!.traceId,
    rootService: root === undefined ? '' : (serviceOf(root.resource) ?? ''),
    rootName: root?.name ?? '',
    startTimeUnixNano: start,
    durationNanos: end - start,
    spanCount: trace.length,
    errorCount: trace.filter((span) => span.isError).length,
    services: [...new Set(trace.map((span) => serviceOf(span.resource) ?? ''))].sort(),
  };
}

/** Nearest rank. */
function quantiles(durations: readonly bigint[]): Quantiles {
  const sorted = durations.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const at = (quantile: number) => sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] ?? 0n;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function namedValues(row: LogRow): (readonly [string, Json])[] {
  return [
    ...(row.severityNumber === 0 ? [] : [['severity', level(row.severityNumber)] as const]),
    ...(serviceOf(row.resource) === undefined ? [] : [['service', serviceOf(row.resource)!] as const]),
    ...Object.entries(row.attributes).map(([key, value]) => [fieldName({ scope: 'any', key }), value] as const),
    ...Object.entries(row.resource).map(([key, value]) => [fieldName({ scope: 'resource', key }), value] as const),
  ];
}

function typeOf(values: readonly Json[]): FieldSummary['type'] {
  const types = new Set(values.map((value) => typeof value));
  const [only] = types;
  if (types.size !== 1 || only === undefined) return 'mixed';
  return only === 'string' || only === 'number' || only === 'boolean' ? only : 'mixed';
}

function level(severityNumber: number): string {
  if (severityNumber < 1 || severityNumber > 24) return 'unset';
  return ['trace', 'debug', 'info', 'warn', 'error', 'fatal'][Math.floor((severityNumber - 1) / 4)]!;
}

function serviceOf(resource: { readonly [key: string]: Json }): string | undefined {
  const name = resource['service.name'];
  return name === undefined ? undefined : textOf(name);
}

function labelMatches({ op, value }: { op: string; value: string }, label: string): boolean {
  switch (op) {
    case '=':
      return label === value;
    case '!=':
      return label !== value;
    default: {
      const matches = new RegExp(`^(?:${value})$`, 'su').test(label);
      return op === '=~' ? matches : !matches;
    }
  }
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function earlier(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
