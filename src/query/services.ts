import { type Signal, signals } from '../base/index.ts';
import type { Page, Quantiles, Readers, ServiceSummary, TimeRange } from '../stores/contract.ts';

/** A service as all signals together show it. */
export interface Service {
  readonly name: string;
  readonly namespace: string;
  readonly environment: string;
  /** In the order traces, metrics, logs. */
  readonly signals: readonly Signal[];
  readonly spanCount: number;
  readonly errorCount: number;
  /** Of its spans; undefined where there are none. */
  readonly durationNanos: Quantiles | undefined;
  readonly lastSeenUnixNano: bigint;
}

/**
 * Services that sent anything in the range, by name, namespace and environment. A store that fails costs its own
 * signal and says so in `warnings`; only when none answers does the call fail.
 */
export async function services(readers: Readers, range: TimeRange, cancel: AbortSignal): Promise<Page<Service>> {
  const present = signals.filter((signal) => readers[signal] !== undefined);
  const answers = await Promise.allSettled(present.map((signal) => readers[signal]!.services(range, cancel)));
  cancel.throwIfAborted();
  const warnings: string[] = [];
  const summaries: ServiceSummary[] = [];
  for (const [index, answer] of answers.entries()) {
    if (answer.status === 'fulfilled') summaries.push(...answer.value);
    else warnings.push(`the store of ${present[index]} did not answer; what only it knows is missing`);
  }
  const failed = answers.find((answer) => answer.status === 'rejected');
  if (failed !== undefined && warnings.length === answers.length) throw failed.reason;
  return { items: mergeServices(summaries), next: undefined, incomplete: warnings.length > 0, warnings };
}

/** One row a service from one row a service and signal. What names no service (metrics of nodes, say) is none. */
export function mergeServices(summaries: readonly ServiceSummary[]): readonly Service[] {
  const named = summaries.filter(({ name }) => name !== '');
  const groups = Map.groupBy(named, ({ name, namespace, environment }) =>
    JSON.stringify([name, namespace, environment]),
  );
  return [...groups.values()].map(merge).sort(byName);
}

function merge(rows: readonly ServiceSummary[]): Service {
  const { name, namespace, environment } = rows[0]!;
  const traces = rows.find((row) => row.signal === 'traces');
  return {
    name,
    namespace,
    environment,
    signals: signals.filter((signal) => rows.some((row) => row.signal === signal)),
    spanCount: traces?.records ?? 0,
    errorCount: traces?.errors ?? 0,
    durationNanos: traces?.durationNanos,
    lastSeenUnixNano: rows.map((row) => row.lastSeenUnixNano).reduce(later),
  };
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function byName(a: Service, b: Service): number {
  return compare(a.name, b.name) || compare(a.namespace, b.namespace) || compare(a.environment, b.environment);
}

/** By code unit: the same on every machine, whatever its locale. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
