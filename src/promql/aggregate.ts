import { Fault } from '../base/index.ts';
import type { Aggregation, Aggregator } from './ast.ts';
import { type Labels, labelsKey, type Matrix, noPoints, type Points } from './matrix.ts';

/** Folds the series of each group into one, step by step. A step without a sample in any of them stays empty. */
export async function aggregate(
  { op, grouping, labels }: Aggregation,
  matrix: Matrix,
  breathe: () => Promise<void> | undefined,
): Promise<Matrix> {
  const groups = new Map<string, { readonly labels: Labels; readonly members: Points[] }>();
  for (const { labels: from, points } of matrix) {
    const kept = groupLabels(from, grouping, labels);
    const key = labelsKey(kept);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { labels: kept, members: [points] });
    else group.members.push(points);
  }
  const folded = [];
  for (const group of groups.values()) {
    const points = noPoints(group.members[0]!.values.length);
    for (let step = 0; step < points.values.length; step++) {
      const pause = breathe();
      if (pause !== undefined) await pause;
      const value = fold(op, group.members, step);
      if (value === undefined) continue;
      points.values[step] = value;
      points.present[step] = 1;
    }
    folded.push({ labels: group.labels, points });
  }
  return folded;
}

/** `by` keeps the named labels that are there; `without` drops them, and the metric's name. */
function groupLabels(from: Labels, grouping: 'by' | 'without', labels: readonly string[]): Labels {
  const kept = Object.entries(from).filter(([name]) =>
    grouping === 'by' ? labels.includes(name) : !labels.includes(name) && name !== '__name__',
  );
  return Object.fromEntries(kept);
}

function fold(op: Aggregator, members: readonly Points[], step: number): number | undefined {
  switch (op) {
    case 'sum':
      return sum(members, step).total;
    case 'max':
      return max(members, step);
    case 'avg': {
      const { total, count } = sum(members, step);
      if (total === undefined) return undefined;
      return Number.isFinite(total) ? total / count : mean(members, step);
    }
  }
}

/** Kahan's sum in Neumaier's form, as Prometheus sums. */
function sum(members: readonly Points[], step: number): { readonly total: number | undefined; readonly count: number } {
  let total = 0;
  let lost = 0;
  let count = 0;
  for (const { values, present } of members) {
    if (present[step] === 0) continue;
    const value = values[step]!;
    const next = total + value;
    if (!Number.isFinite(next)) lost = 0;
    else lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
    count++;
  }
  if (count === 0) return { total: undefined, count };
  return { total: Number.isFinite(total) ? total + lost : total, count };
}

/** Where the sum overflows or is not a number: the mean, moved from value to value. */
function mean(members: readonly Points[], step: number): number {
  let mean = 0;
  let count = 0;
  for (const { values, present } of members) {
    if (present[step] === 0) continue;
    const value = values[step]!;
    count++;
    // An infinite mean stays: only another infinity's sign or a NaN changes it.
    if (!Number.isFinite(mean) && (Number.isFinite(value) || value === mean)) continue;
    mean += value / count - mean / count;
  }
  return mean;
}

/** A number is greater than NaN. */
function max(members: readonly Points[], step: number): number | undefined {
  let greatest: number | undefined;
  for (const { values, present } of members) {
    if (present[step] === 0) continue;
    const value = values[step]!;
    if (greatest === undefined || value > greatest || Number.isNaN(greatest)) greatest = value;
  }
  return greatest;
}

/** @throws Fault `unprocessable` where two series have come to have the same labels, as Prometheus refuses it. */
export function refuseDoubles(matrix: Matrix): Matrix {
  const seen = new Set<string>();
  for (const { labels } of matrix) {
    const key = labelsKey(labels);
    if (seen.has(key)) {
      throw new Fault('unprocessable', 'two series have the same labels once the name of the metric is dropped', {
        parameter: 'query',
      });
    }
    seen.add(key);
  }
  return matrix;
}
