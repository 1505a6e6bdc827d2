import { Fault } from '../base/index.ts';
import type {
  LabelMatcher,
  MetricReader,
  OperationSummary,
  Quantiles,
  ServiceSummary,
  TraceReader,
} from '../stores/contract.ts';
import { type Growth, growthOf } from './growth.ts';
import { callsDetail, durationDetail } from './limits.ts';
import { callsMetric, durationMetric, kinds, labels, statuses } from './names.ts';

/**
 * A reader of traces whose services and operations come with counts, errors and durations: from the span metrics in the
 * store of metrics. Where there are none of a time the traces' own store answers, with what it knows.
 */
export function withSpanMetrics(traces: TraceReader, metrics: MetricReader): TraceReader {
  return {
    ...traces,
    async services(range, cancel) {
      const grown = await told(() => read(metrics, [], range, cancel), cancel);
      const groups = grouped(grown.calls, ({ labels: of }) => keyOf(of));
      if (groups.size === 0) return traces.services(range, cancel);
      const buckets = grouped(grown.buckets, ({ labels: of }) => keyOf(of));
      return [...groups].map(([key, calls]): ServiceSummary => {
        const { labels: of } = calls[0]!;
        return {
          name: of[labels.service.prometheus] ?? '',
          namespace: of[labels.namespace.prometheus] ?? '',
          environment: of[labels.environment.prometheus] ?? '',
          signal: 'traces',
          records: sum(calls),
          errors: sum(calls.filter(isError)),
          durationNanos: quantiles(buckets.get(key) ?? []),
          lastSeenUnixNano: BigInt(Math.max(...calls.map(({ grownUnixMs }) => grownUnixMs))) * 1_000_000n,
        };
      });
    },
    async operations(service, range, cancel) {
      const only: LabelMatcher = { name: labels.service.prometheus, op: '=', value: service };
      const grown = await told(() => read(metrics, [only], range, cancel), cancel);
      const groups = grouped(
        grown.calls.filter(({ labels: of }) => of[labels.overflow.prometheus] === undefined),
        ({ labels: of }) => operationOf(of),
      );
      if (groups.size === 0) return traces.operations(service, range, cancel);
      const buckets = grouped(grown.buckets, ({ labels: of }) => operationOf(of));
      return [...groups].map(([key, calls]): OperationSummary => {
        const { labels: of } = calls[0]!;
        return {
          name: of[labels.name.prometheus] ?? '',
          kind: Math.max(0, (kinds as readonly string[]).indexOf(of[labels.kind.prometheus] ?? '')),
          spanCount: sum(calls),
          errorCount: sum(calls.filter(isError)),
          durationNanos: quantiles(buckets.get(key) ?? []),
        };
      });
    },
  };
}

interface Grown {
  readonly calls: readonly Growth[];
  readonly buckets: readonly Growth[];
}

async function read(
  metrics: MetricReader,
  more: readonly LabelMatcher[],
  range: Parameters<typeof growthOf>[2],
  cancel: AbortSignal,
): Promise<Grown> {
  const named = (value: string): LabelMatcher[] => [{ name: '__name__', op: '=', value }, ...more];
  const all = await growthOf(metrics, named(callsMetric.prometheus), range, callsDetail, cancel);
  const calls = all.filter(({ grown }) => grown > 0);
  if (calls.length === 0) return { calls, buckets: [] };
  const buckets = await growthOf(metrics, named(`${durationMetric.prometheus}_bucket`), range, durationDetail, cancel);
  return { calls, buckets };
}

/** A store of metrics that does not answer costs the counts, not the names. */
async function told(ask: () => Promise<Grown>, cancel: AbortSignal): Promise<Grown> {
  try {
    return await ask();
  } catch (thrown) {
    cancel.throwIfAborted();
    if (thrown instanceof Fault) return { calls: [], buckets: [] };
    throw thrown;
  }
}

function grouped(all: readonly Growth[], key: (growth: Growth) => string): Map<string, Growth[]> {
  return Map.groupBy(all, key);
}

function keyOf(of: Growth['labels']): string {
  return JSON.stringify(
    [labels.service, labels.namespace, labels.environment].map(({ prometheus }) => of[prometheus] ?? ''),
  );
}

function operationOf(of: Growth['labels']): string {
  return JSON.stringify([of[labels.name.prometheus] ?? '', of[labels.kind.prometheus] ?? '']);
}

function isError({ labels: of }: Growth): boolean {
  return of[labels.status.prometheus] === statuses[2];
}

/** Counters are whole numbers; a growth that a store has interpolated is not. */
function sum(growths: readonly Growth[]): number {
  return Math.round(growths.reduce((total, { grown }) => total + grown, 0));
}

/**
 * Quantiles of durations from the growth of cumulated buckets: within a bucket as if evenly spread, as PromQL's
 * `histogram_quantile` has it; in the last one its lower bound. undefined without buckets.
 */
function quantiles(buckets: readonly Growth[]): Quantiles | undefined {
  const byBound = new Map<number, number>();
  for (const { labels: of, grown } of buckets) {
    const bound = of['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(of['le']);
    if (!Number.isNaN(bound)) byBound.set(bound, (byBound.get(bound) ?? 0) + grown);
  }
  const steps = [...byBound].sort(([a], [b]) => a - b);
  const total = steps.at(-1)?.[1] ?? 0;
  if (total === 0) return undefined;
  const at = (quantile: number): bigint => {
    const rank = quantile * total;
    let [lower, before] = [0, 0];
    for (const [bound, count] of steps) {
      if (count >= rank && count > before) {
        const seconds =
          bound === Number.POSITIVE_INFINITY ? lower : lower + ((bound - lower) * (rank - before)) / (count - before);
        return BigInt(Math.round(seconds * 1e9));
      }
      if (bound !== Number.POSITIVE_INFINITY) lower = bound;
      before = Math.max(before, count);
    }
    return BigInt(Math.round(lower * 1e9));
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}
