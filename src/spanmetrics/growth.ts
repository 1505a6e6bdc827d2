import { Fault } from '../base/index.ts';
import type { LabelMatcher, MetricReader, Series, TimeRange } from '../stores/contract.ts';
import { flushMs, lookbackMs, momentMs, samplesMax } from './limits.ts';

/** How much a counter grew in a range. */
export interface Growth {
  readonly labels: Series['labels'];
  grown: number;
  /** Of the sample that showed its last growth. */
  grownUnixMs: number;
}

/** Spans of time in which samples are read, in order, both ends included. */
interface Look {
  readonly startMs: number;
  readonly endMs: number;
}

/** How closely a range is read: whole up to `exactRangeMs`, else at so many moments. */
export interface Detail {
  readonly exactRangeMs: number;
  readonly momentsMax: number;
}

/**
 * How much each counter of a name grew in a range: what its last sample at or before the range's end says, less the last at
 * or before its start. A counter that fell began again at 0. One that appears within the range began at its first sample,
 * which is 0 for a new one.
 * @throws Fault as the store does; `unprocessable` where there are more series than can be read.
 */
export async function growthOf(
  metrics: MetricReader,
  matchers: readonly LabelMatcher[],
  range: TimeRange,
  { exactRangeMs, momentsMax }: Detail,
  cancel: AbortSignal,
): Promise<Growth[]> {
  const startMs = Number(range.startUnixNano / 1_000_000n);
  const endMs = Number(range.endUnixNano / 1_000_000n);
  const whole: Look = { startMs: startMs - lookbackMs, endMs };
  if (endMs - startMs <= exactRangeMs) {
    try {
      return await grow(metrics, matchers, [whole], startMs, cancel);
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.code !== 'unprocessable') throw thrown;
    }
  }
  return grow(metrics, matchers, looks(startMs, endMs, momentsMax), startMs, cancel);
}

async function grow(
  metrics: MetricReader,
  matchers: readonly LabelMatcher[],
  at: readonly Look[],
  startMs: number,
  cancel: AbortSignal,
): Promise<Growth[]> {
  const counters = new Map<string, Growth & { last: number; seenMs: number }>();
  for (const [index, { startMs: from, endMs }] of at.entries()) {
    for (const { labels, timestampsMs, values } of await metrics.select(
      { matchers, startMs: from, endMs, samplesMax, deltasFrom: 'range' },
      cancel,
    )) {
      const key = JSON.stringify(Object.entries(labels).sort());
      let counter = counters.get(key);
      for (let i = 0; i < values.length; i++) {
        const [timeMs, value] = [timestampsMs[i]!, values[i]!];
        if (Number.isNaN(value)) continue; // a marker: the series was stale
        if (counter === undefined) {
          // Between two looks a new counter may have grown past its first sample.
          const last = index === 0 ? value : 0;
          counter = { labels, grown: 0, grownUnixMs: 0, last, seenMs: timeMs };
          counters.set(key, counter);
        }
        if (timeMs < counter.seenMs) continue;
        const more = value >= counter.last ? value - counter.last : value;
        counter.last = value;
        counter.seenMs = timeMs;
        if (timeMs <= startMs || more === 0) continue;
        counter.grown += more;
        counter.grownUnixMs = timeMs;
      }
    }
  }
  return [...counters.values()];
}

/** Moments at the start, at the end, evenly between, and the closer to the end the denser, so that the last growth is known well. */
function looks(startMs: number, endMs: number, momentsMax: number): Look[] {
  const moments = new Set([startMs, endMs]);
  for (let back = flushMs; back < endMs - startMs && moments.size < momentsMax / 4; back *= 2)
    moments.add(endMs - back);
  const step = (endMs - startMs) / Math.max(1, momentsMax - moments.size);
  for (let at = startMs + step; at < endMs && moments.size < momentsMax; at += step) moments.add(Math.round(at));
  return [...moments]
    .sort((a, b) => a - b)
    .map((at, index) => ({ startMs: at - (index === 0 ? lookbackMs : momentMs), endMs: at }));
}
