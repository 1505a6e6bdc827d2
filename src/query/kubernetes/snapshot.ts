import type { LabelMatcher, MetricReader } from '../../stores/contract.ts';
import { seriesMax, staleAfterMs } from './limits.ts';

/** What a view is asked for; undefined: all. */
export interface Scope {
  readonly cluster: string | undefined;
  readonly namespace: string | undefined;
}

/** The last sample of a series. */
export interface Reading {
  readonly metric: string;
  readonly labels: { readonly [name: string]: string };
  readonly value: number;
  readonly timeMs: number;
}

/** Metrics that are asked for at once. */
export interface MetricGroup {
  /** By the Prometheus OTLP translation. */
  readonly names: readonly string[];
  /** Those that are 0 say nothing. */
  readonly nonZero: boolean;
}

/**
 * What the receivers said last, by name; what nobody repeated for some minutes is gone. One question for each of `groups`: an
 * answer of Prometheus has a bound in bytes.
 */
export async function snapshot(
  reader: MetricReader,
  groups: readonly MetricGroup[],
  { cluster, namespace }: Scope,
  atMs: number,
  cancel: AbortSignal,
): Promise<ReadonlyMap<string, readonly Reading[]>> {
  const scoped: LabelMatcher[] = [
    ...(cluster === undefined ? [] : [{ name: 'k8s_cluster_name', op: '=', value: cluster } as const]),
    ...(namespace === undefined ? [] : [{ name: 'k8s_namespace_name', op: '=', value: namespace } as const]),
  ];
  const select = { startMs: atMs - staleAfterMs + 1, endMs: atMs, seriesMax };
  const answers = await Promise.all(
    groups.map(({ names, nonZero }) => {
      const named: LabelMatcher = { name: '__name__', op: '=~', value: names.join('|') };
      return reader.latest({ ...select, matchers: [named, ...scoped], nonZero }, cancel);
    }),
  );
  const found = new Map<string, Reading[]>();
  for (const { labels, timeMs, value } of answers.flat()) {
    // None of these metrics is, and it would make a sum one.
    if (Number.isNaN(value)) continue;
    const metric = labels['__name__'] ?? '';
    const reading = { metric, labels, value, timeMs };
    const list = found.get(metric);
    if (list === undefined) found.set(metric, [reading]);
    else list.push(reading);
  }
  for (const list of found.values()) list.sort((a, b) => a.timeMs - b.timeMs);
  return found;
}

export type Snapshot = ReadonlyMap<string, readonly Reading[]>;

/** Oldest first, so that what is set last is the newest. */
export function readings(of: Snapshot, metric: string): readonly Reading[] {
  return of.get(metric) ?? [];
}

export function label({ labels }: Reading, name: string): string {
  return labels[name] ?? '';
}

/** A key of several names. */
export function keyOf(...names: readonly string[]): string {
  return JSON.stringify(names);
}
