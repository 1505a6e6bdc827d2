import type { Matcher } from './ast.ts';

/** One series, samples in time order; `__name__` is among the labels. */
export interface Series {
  readonly labels: { readonly [name: string]: string };
  readonly timestampsMs: Float64Array;
  readonly values: Float64Array;
  /** True: only differences between values mean something. See `select`. */
  readonly relative?: boolean;
}

/** Where samples come from. */
export interface SeriesReader {
  /**
   * @param select  `startMs` and `endMs` inclusive; `samplesMax`: Fault `unprocessable` when passed. `deltasFrom`: whether
   *                points that are deltas are summed up from the first one stored, or of the range (`relative`).
   */
  select(
    select: {
      readonly matchers: readonly Matcher[];
      readonly startMs: number;
      readonly endMs: number;
      readonly samplesMax: number;
      readonly deltasFrom: 'stored' | 'range';
    },
    cancel: AbortSignal,
  ): Promise<readonly Series[]>;
}

// Prometheus' staleness marker: a NaN of this very bit pattern says that the series ended. Source: model/value in Prometheus.
export const staleMarkerBits = 0x7ff0000000000002n;

/**
 * Indexes of the staleness markers among `values`. By their bits: as a number a marker is any NaN.
 */
export function staleAt(values: Float64Array): (index: number) => boolean {
  const bits = new BigUint64Array(values.buffer, values.byteOffset, values.length);
  return (index) => bits[index] === staleMarkerBits;
}

/** Without the staleness markers, as range vectors are. */
export function withoutStale(series: Series): Series {
  const isStale = staleAt(series.values);
  let stale = 0;
  for (let index = 0; index < series.values.length; index++) if (isStale(index)) stale++;
  if (stale === 0) return series;
  const timestampsMs = new Float64Array(series.values.length - stale);
  const values = new Float64Array(timestampsMs.length);
  for (let index = 0, to = 0; index < series.values.length; index++) {
    if (isStale(index)) continue;
    timestampsMs[to] = series.timestampsMs[index]!;
    values[to++] = series.values[index]!;
  }
  return { ...series, timestampsMs, values };
}
