import type { Series } from './series.ts';

/** Indexes at which a counter is below its sample before: it began again from zero. */
export function resets({ values }: Series): readonly number[] {
  const found: number[] = [];
  for (let index = 1; index < values.length; index++) if (values[index]! < values[index - 1]!) found.push(index);
  return found;
}

/**
 * Increase per second of a counter, extrapolated to the window as Prometheus does it: all the way where the window's
 * edge is nearer than 1.1 average distances between samples, else by half a distance; never below the point where the
 * counter was zero, unless its values are relative: then it does not begin where it reads zero.
 * @param series   Without staleness markers.
 * @param resetAt  As `resets` gives them.
 * @param from     First sample in the window.
 * @param to       One past the last.
 * @param endMs    The window is (endMs - rangeMs, endMs].
 * @returns undefined with less than two samples.
 * @see Prometheus 3, promql/functions.go, `extrapolatedRate`.
 */
export function rate(
  { timestampsMs, values, relative }: Series,
  resetAt: readonly number[],
  from: number,
  to: number,
  endMs: number,
  rangeMs: number,
): number | undefined {
  if (to - from < 2) return undefined;
  const firstMs = timestampsMs[from]!;
  const lastMs = timestampsMs[to - 1]!;
  const first = values[from]!;
  let increase = values[to - 1]! - first;
  for (let at = firstAbove(resetAt, from); at < resetAt.length && resetAt[at]! < to; at++) {
    increase += values[resetAt[at]! - 1]!;
  }

  const sampled = (lastMs - firstMs) / 1000;
  const distance = sampled / (to - from - 1);
  const threshold = distance * 1.1;
  let toStart = (firstMs - (endMs - rangeMs)) / 1000;
  let toEnd = (endMs - lastMs) / 1000;
  if (toStart >= threshold) toStart = distance / 2;
  const toZero = increase > 0 && first >= 0 && relative !== true ? sampled * (first / increase) : toStart;
  if (toZero < toStart) toStart = toZero;
  if (toEnd >= threshold) toEnd = distance / 2;
  return increase * ((sampled + toStart + toEnd) / sampled / (rangeMs / 1000));
}

/** Index of the first element of a rising list that is greater than `value`. */
function firstAbove(list: readonly number[], value: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
