import type { MetricSummary } from '../contract.ts';
import type { Known } from './state.ts';

/** A metric as users name it, whose parts Prometheus has under names of their own. */
export interface Folded extends Omit<MetricSummary, 'seriesCount'> {
  /** Which of the names has one series for each set of attributes. */
  readonly counted: string;
}

/**
 * Series' names as metrics: `_bucket`, `_sum` and `_count` become the histogram or summary that they are parts of. Pure.
 * @param known What is known of metrics; of others the name alone tells.
 * @returns by name.
 */
export function foldNames(names: readonly string[], known: ReadonlyMap<string, Known>): Folded[] {
  const present = new Set(names);
  const folded = new Map<string, Folded>();
  for (const name of names) {
    const family = familyOf(name, present, known);
    if (folded.has(family)) continue;
    const told = known.get(family);
    const isClassic = present.has(`${family}_count`) && family !== name;
    folded.set(family, {
      name: family,
      type: told?.type ?? typeByName(family, present),
      unit: told?.unit ?? '',
      description: told?.help ?? '',
      counted: isClassic || (told?.type === 'summary' && present.has(`${family}_count`)) ? `${family}_count` : family,
    });
  }
  return [...folded.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function familyOf(name: string, present: ReadonlySet<string>, known: ReadonlyMap<string, Known>): string {
  if (known.has(name)) return name;
  const base = /^(.+)_(?:bucket|count|sum)$/.exec(name)?.[1];
  if (base === undefined) return name;
  const type = known.get(base)?.type;
  if (type === 'histogram' || type === 'summary') return base;
  return present.has(`${base}_bucket`) && present.has(`${base}_count`) ? base : name;
}

function typeByName(family: string, present: ReadonlySet<string>): MetricSummary['type'] {
  if (present.has(`${family}_bucket`)) return 'histogram';
  return family.endsWith('_total') ? 'counter' : 'unknown';
}
