import type { LabelMatcher, MetricReader } from '../../stores/contract.ts';
import { samplesMax } from '../limits.ts';
import { staleAfterMs } from './limits.ts';

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

/**
 * What the receivers said last, by name; what nobody repeated for some minutes is gone. One question for each of `groups`: an
 * answer of Prometheus has a bound in bytes.
 * @param groups Names by the Prometheus OTLP translation.
 */
export async function snapshot(
  reader: MetricReader,
  groups: readonly (readonly string[])[],
  { cluster, namespace }: Scope,
  atMs: number,
  cancel: AbortSignal,
): Promise<ReadonlyMap<string, readonly Reading[]>> {
  const scoped: LabelMatcher[] = [
    ...(cluster === undefined ? [] : [{ name: 'k8s_cluster_name', op: '=', value: cluster } as const]),
    ...(namespace === undefined ? [] : [{ name: 'k8s_namespace_name', op: '=', value: namespace } as const]),
  ];
  const select = {
    startMs: atMs - staleAfterMs + 1,
    endMs: atMs,
    samplesMax,
    deltasFrom: 'range',
    last: true,
  } as const;
  const answers = await Promise.all(
    groups.map((names) => {
      const named: LabelMatcher = { name: '__name__', op: '=~', value: names.join('|') };
      return reader.select({ ...select, matchers: [named, ...scoped] }, cancel);
    }),
  );
  const found = new Map<string, Reading[]>();
  for (const series of answers.flat()) {
    const value = series.values.at(-1);
    const timeMs = series.timestampsMs.at(-1);
    // A marker of staleness is NaN, too; none of these metrics is.
    if (value === undefined || timeMs === undefined || Number.isNaN(value)) continue;
    const metric = series.labels['__name__'] ?? '';
    const reading = { metric, labels: series.labels, value, timeMs };
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
