import { type Signal, signals } from '../base/index.ts';
import type { Page, Quantiles, Readers, ServiceSummary, TimeRange } from '../stores/contract.ts';

/** A service as all signals together show it. */
export interface Service {
  readonly name: string;
  readonly namespace: string;
  readonly environment: string;
  /** In the order traces, metrics, logs. */
  readonly signals: readonly Signal[];
  /** undefined where the store of its spans knows their service by name only; so are errors. */
  readonly spanCount: number | undefined;
  readonly errorCount: number | undefined;
  /** Of its spans; undefined where there are none, or not known. */
  readonly durationNanos: Quantiles | undefined;
  /** undefined where no signal tells. */
  readonly lastSeenUnixNano: bigint | undefined;
}

export const namesOnly =
  'spans are not counted: their store knows names only, and there are no span metrics of this time yet';

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
  if (summaries.some(({ records }) => records === undefined)) warnings.push(namesOnly);
  return { items: mergeServices(summaries), next: undefined, incomplete: warnings.length > 0, warnings };
}

/** One row a service from one row a service and signal. What names no service (metrics of nodes, say) is none. */
export function mergeServices(summaries: readonly ServiceSummary[]): readonly Service[] {
  const known = summaries.filter(({ name, records }) => name !== '' && records !== undefined);
  const groups = Map.groupBy(known, ({ name, namespace, environment }) =>
    JSON.stringify([name, namespace, environment]),
  );
  // Where a name is all that is known it is no service of its own beside those of that name.
  for (const bare of summaries.filter(({ name, records }) => name !== '' && records === undefined)) {
    const same = [...groups.values()].filter(([first]) => first?.name === bare.name);
    if (same.length === 0) groups.set(JSON.stringify([bare.name, '', '']), [bare]);
    for (const rows of same) {
      if (rows.every(({ signal }) => signal !== bare.signal)) rows.push(bare);
    }
  }
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
    spanCount: traces === undefined ? 0 : traces.records,
    errorCount: traces === undefined ? 0 : traces.errors,
    durationNanos: traces?.durationNanos,
    lastSeenUnixNano: rows
      .flatMap(({ lastSeenUnixNano }) => lastSeenUnixNano ?? [])
      .reduce<bigint | undefined>(later, undefined),
  };
}

function later(a: bigint | undefined, b: bigint): bigint {
  return a !== undefined && a > b ? a : b;
}

function byName(a: Service, b: Service): number {
  return compare(a.name, b.name) || compare(a.namespace, b.namespace) || compare(a.environment, b.environment);
}

/** By code unit: the same on every machine, whatever its locale. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
