import { Fault, type Signal } from '../base/index.ts';
import {
  type Expression,
  evaluateInstant,
  evaluateRange,
  parsePromql,
  type Series,
  type Steps,
} from '../promql/index.ts';
import type {
  FieldSummary,
  FieldValue,
  LogHistogram,
  LogReader,
  LogRow,
  LogSearch,
  MetricReader,
  MetricSummary,
  OperationSummary,
  Page,
  PromqlAnswer,
  Readers,
  TimeRange,
  TraceReader,
  TraceSearch,
  TraceSummary,
} from '../stores/contract.ts';
import { type Field, type Filter, fieldName } from '../stores/filter.ts';
import { createGate, type GateLimits } from './gate.ts';
import { histogramInterval } from './histogram.ts';
import { type KubernetesViews, kubernetesViews } from './kubernetes/views.ts';
import { queriesAtOnceMax, queriesWaitingMax, queryBudgetMs, samplesMax, traceLogsMarginNanos } from './limits.ts';
import { pace } from './pace.ts';
import { withRecordedSeries } from './recorded.ts';
import { shippedRules } from './recording-rules.ts';
import { compare, namesOnly, type Service, services } from './services.ts';
import { traceWindow } from './trace.ts';

/** Logs of a trace: as a log search, but the range may be left to the trace's own time. */
interface TraceLogsSearch extends Omit<LogSearch, 'range' | 'filter'> {
  readonly traceId: string;
  readonly range: TimeRange | undefined;
}

/** Log rows with the range in which they were looked for. */
interface TraceLogs extends Page<LogRow> {
  readonly range: TimeRange;
}

/**
 * Questions over whatever stores answer. Each call is bounded in time and number, and stops when `cancel` fires.
 * Throws Fault: `notConfigured` where no store answers the signal, `tooSlow`, `unavailable`, and what the store throws.
 */
export interface Queries {
  readonly kubernetes: KubernetesViews;
  services(range: TimeRange, cancel: AbortSignal): Promise<Page<Service>>;
  operations(service: string, range: TimeRange, cancel: AbortSignal): Promise<Page<OperationSummary>>;
  traces(search: TraceSearch, cancel: AbortSignal): Promise<Page<TraceSummary>>;
  /** TracesData in protobuf. @throws Fault `notFound`. */
  trace(traceId: string, cancel: AbortSignal): Promise<Uint8Array>;
  traceLogs(search: TraceLogsSearch, nowUnixNano: bigint, cancel: AbortSignal): Promise<TraceLogs>;
  logs(search: LogSearch, cancel: AbortSignal): Promise<Page<LogRow>>;
  /** @param search `intervalNanos` undefined: a round one that gives about 60 buckets. */
  logHistogram(
    search: { range: TimeRange; filter: Filter; intervalNanos: bigint | undefined },
    cancel: AbortSignal,
  ): Promise<LogHistogram>;
  /** The most frequent first. */
  logFields(
    search: { range: TimeRange; filter: Filter; limit: number },
    cancel: AbortSignal,
  ): Promise<Page<FieldSummary>>;
  logFieldValues(
    search: { field: Field; range: TimeRange; filter: Filter; limit: number },
    cancel: AbortSignal,
  ): Promise<Page<FieldValue>>;
  metrics(search: { range: TimeRange; limit: number }, cancel: AbortSignal): Promise<Page<MetricSummary>>;
  /** @param query PromQL. @param budgetMs Less time than every query has; undefined: as much. */
  metricsInstant(
    search: { query: string; timeMs: number; budgetMs: number | undefined },
    cancel: AbortSignal,
  ): Promise<{ readonly type: 'vector' | 'matrix'; readonly series: readonly Series[] } | PromqlAnswer>;
  metricsRange(
    search: { query: string; steps: Steps; budgetMs: number | undefined },
    cancel: AbortSignal,
  ): Promise<readonly Series[] | PromqlAnswer>;
}

export function queriesOver(given: Readers, limits: Partial<GateLimits> = {}): Queries {
  const metrics = given.metrics && withRecordedSeries(given.metrics, shippedRules);
  const readers = { ...given, ...(metrics && { metrics }) };
  const metricReader = () => metrics ?? absent('metrics', 'WATCHINGCAT_PROMETHEUS_QUERY_URL');
  const gate = createGate({
    atOnceMax: queriesAtOnceMax,
    waitingMax: queriesWaitingMax,
    budgetMs: queryBudgetMs,
    ...limits,
  });

  const views = kubernetesViews(readers, { metrics: metricReader, logs: () => logReader(readers) });
  return {
    kubernetes: {
      overview: (search, cancel) => gate.run(cancel, (stop) => views.overview(search, stop)),
      nodes: (search, cancel) => gate.run(cancel, (stop) => views.nodes(search, stop)),
      pods: (search, cancel) => gate.run(cancel, (stop) => views.pods(search, stop)),
      namespaces: (search, cancel) => gate.run(cancel, (stop) => views.namespaces(search, stop)),
      workloads: (search, cancel) => gate.run(cancel, (stop) => views.workloads(search, stop)),
      events: (search, cancel) => gate.run(cancel, (stop) => views.events(search, stop)),
    },

    services: (range, cancel) => gate.run(cancel, (stop) => services(readers, range, stop)),

    operations: (service, range, cancel) => {
      const reader = traceReader(readers);
      return gate.run(cancel, async (stop) => {
        const found = await reader.operations(service, range, stop);
        const warnings = found.some(({ spanCount }) => spanCount === undefined) ? [namesOnly] : [];
        const items = found.toSorted((a, b) => compare(a.name, b.name) || a.kind - b.kind);
        return { items, next: undefined, incomplete: warnings.length > 0, warnings };
      });
    },

    traces: (search, cancel) => {
      const reader = traceReader(readers);
      return gate.run(cancel, (stop) => reader.search(search, stop));
    },

    trace: (traceId, cancel) => {
      const reader = traceReader(readers);
      return gate.run(cancel, async (stop) => {
        const trace = await reader.trace(traceId, stop);
        if (trace === undefined)
          throw new Fault('notFound', 'no span of this trace is known', { parameter: 'traceId' });
        return trace;
      });
    },

    traceLogs: ({ traceId, range, ...page }, nowUnixNano, cancel) => {
      const reader = logReader(readers);
      const filter: Filter = {
        kind: 'compare',
        field: { scope: 'intrinsic', name: 'trace_id' },
        op: '=',
        value: { text: traceId, number: undefined, durationNanos: undefined },
      };
      return gate.run(cancel, async (stop) => {
        const searched = range ?? (await logsRange(readers.traces, traceId, nowUnixNano, stop));
        return { ...(await reader.search({ ...page, filter, range: searched }, stop)), range: searched };
      });
    },

    logs: (search, cancel) => {
      const reader = logReader(readers);
      return gate.run(cancel, (stop) => reader.search(search, stop));
    },

    logHistogram: ({ intervalNanos, ...search }, cancel) => {
      const reader = logReader(readers);
      const interval = histogramInterval(search.range, intervalNanos);
      return gate.run(cancel, (stop) => reader.histogram({ ...search, intervalNanos: interval }, stop));
    },

    logFields: (search, cancel) => {
      const reader = logReader(readers);
      return gate.run(cancel, async (stop) => {
        const page = await reader.fields(search, stop);
        return { ...page, items: page.items.toSorted((a, b) => b.count - a.count || compare(a.name, b.name)) };
      });
    },

    logFieldValues: ({ field, ...search }, cancel) => {
      const reader = logReader(readers);
      return gate.run(cancel, async (stop) => {
        const page = await reader.fieldValues({ ...search, field: fieldName(field) }, stop);
        const items = page.items.toSorted((a, b) => b.count - a.count || compare(text(a), text(b)));
        return { ...page, items };
      });
    },

    metrics: (search, cancel) => {
      const reader = metricReader();
      return gate.run(cancel, async (stop) => {
        const page = await reader.metrics(search, stop);
        return { ...page, items: page.items.toSorted((a, b) => compare(a.name, b.name)) };
      });
    },

    metricsInstant: ({ query, timeMs, budgetMs }, cancel) => {
      const reader = metricReader();
      return gate.run(
        cancel,
        async (stop) => {
          const isForUs = await reader.isForUs(query, timeMs, stop);
          if (!isForUs && reader.promqlInstant !== undefined) return reader.promqlInstant({ query, timeMs }, stop);
          const surroundings = { reader, samplesMax, cancel: stop, breathe: pace(stop) };
          return evaluateInstant(parsed(reader, query), timeMs, surroundings);
        },
        budgetMs,
      );
    },

    metricsRange: ({ query, steps, budgetMs }, cancel) => {
      const reader = metricReader();
      return gate.run(
        cancel,
        async (stop) => {
          const isForUs = await reader.isForUs(query, steps.endMs, stop);
          if (!isForUs && reader.promqlRange !== undefined) return reader.promqlRange({ query, ...steps }, stop);
          const surroundings = { reader, samplesMax, cancel: stop, breathe: pace(stop) };
          return evaluateRange(parsed(reader, query), steps, surroundings);
        },
        budgetMs,
      );
    },
  };
}

/** @throws Fault `malformed`; `unprocessable` for what our engine does not offer. */
function parsed(reader: MetricReader, query: string): Expression {
  try {
    return parsePromql(query);
  } catch (thrown) {
    if (reader.promqlInstant === undefined || !(thrown instanceof Fault) || thrown.code !== 'unprocessable')
      throw thrown;
    const why = 'Prometheus has not loaded the recording rules, which would let it answer: docs/kubernetes-views.md';
    throw new Fault('unprocessable', `${thrown.message}; ${why}`, { parameter: 'query' });
  }
}

/** The time of the trace with a margin; all time up to now where its spans are not known, so that logs alone are found. */
async function logsRange(
  reader: TraceReader | undefined,
  traceId: string,
  nowUnixNano: bigint,
  cancel: AbortSignal,
): Promise<TimeRange> {
  const trace = await reader?.trace(traceId, cancel);
  const window = trace === undefined ? undefined : traceWindow(trace);
  if (window === undefined) return { startUnixNano: 0n, endUnixNano: nowUnixNano + traceLogsMarginNanos };
  const start = window.startUnixNano - traceLogsMarginNanos;
  return { startUnixNano: start < 0n ? 0n : start, endUnixNano: window.endUnixNano + traceLogsMarginNanos };
}

function traceReader(readers: Readers): TraceReader {
  return readers.traces ?? absent('traces', 'WATCHINGCAT_JAEGER_QUERY_ENDPOINT');
}

function logReader(readers: Readers): LogReader {
  return readers.logs ?? absent('logs', 'WATCHINGCAT_ELASTICSEARCH_URL');
}

function absent(signal: Signal, external: string): never {
  throw new Fault(
    'notConfigured',
    `no store answers ${signal}: set WATCHINGCAT_EMBEDDED to a list with ${signal} in it, or ${external}`,
  );
}

function text({ value }: FieldValue): string {
  return JSON.stringify(value);
}
