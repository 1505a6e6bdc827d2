import { Reader, readDouble, readFixed64 } from '../../otlp/index.ts';

// Histograms, exponential histograms and summaries as Prometheus' series see them. Pure. Source: OTLP metrics.proto.

export interface HistogramPoint {
  readonly count: number;
  readonly sum: number | undefined;
  /** Upper bounds, ascending, and how many observations were at or below each; +Inf is `count`. */
  readonly cumulative: readonly (readonly [le: number, count: number])[];
  /** How many are below all buckets: in an exponential histogram at zero or negative, else none. */
  readonly least: number;
  readonly stale: boolean;
}

export interface SummaryPoint {
  readonly count: number;
  readonly sum: number;
  readonly quantiles: readonly (readonly [quantile: number, value: number])[];
  readonly stale: boolean;
}

/** Reads what both kinds of histogram have in the same fields, and hands on the others. */
function histogramHead(
  bytes: Uint8Array,
  other: (point: Reader) => void,
): { count: number; sum: number | undefined; stale: boolean } {
  let count = 0;
  let sum: number | undefined;
  let stale = false;
  const point = new Reader(bytes);
  while (point.next()) {
    if (point.field === 4) count = Number(point.fixed64());
    else if (point.field === 5) sum = point.double();
    else if (point.field === 10) stale = (point.uint32() & 1) !== 0;
    else other(point);
  }
  return { count, sum, stale };
}

export function histogramPoint(bytes: Uint8Array): HistogramPoint {
  const counts: number[] = [];
  const bounds: number[] = [];
  const { count, sum, stale } = histogramHead(bytes, ({ field, valueStart, valueEnd }) => {
    if (field !== 6 && field !== 7) return;
    for (let at = valueStart; at + 8 <= valueEnd; at += 8) {
      if (field === 6) counts.push(Number(readFixed64(bytes, at)));
      else bounds.push(readDouble(bytes, at));
    }
  });
  let below = 0;
  const cumulative = bounds.map((bound, index): [number, number] => {
    below += counts[index] ?? 0;
    return [bound, below];
  });
  return { count, sum, cumulative, least: 0, stale };
}

/**
 * An exponential histogram with the buckets of a classic one: bounds are powers of two (coarser where its own scale is
 * coarser), so that they are the same whatever scale a point came with. Negative observations are below the least bound.
 */
export function exponentialPoint(bytes: Uint8Array): HistogramPoint {
  let scale = 0;
  let zero = 0;
  let negative = 0;
  let offset = 0;
  let counts: number[] = [];
  const { count, sum, stale } = histogramHead(bytes, (point) => {
    if (point.field === 6) scale = point.sint32();
    else if (point.field === 7) zero = Number(point.fixed64());
    else if (point.field === 8) ({ offset, counts } = buckets(point.message()));
    else if (point.field === 9) negative = buckets(point.message()).counts.reduce((total, each) => total + each, 0);
  });
  const byBound = new Map<number, number>();
  for (const [index, each] of counts.entries()) {
    const at = offset + index;
    const bound = scale >= 0 ? 2 ** (Math.floor(at / 2 ** scale) + 1) : 2 ** ((at + 1) * 2 ** -scale);
    byBound.set(bound, (byBound.get(bound) ?? 0) + each);
  }
  const least = zero + negative;
  let below = least;
  const cumulative = [...byBound]
    .filter(([bound]) => Number.isFinite(bound))
    .sort(([a], [b]) => a - b)
    .map(([bound, each]): [number, number] => {
      below += each;
      return [bound, below];
    });
  return { count, sum, cumulative, least, stale };
}

/**
 * Points of one exponential histogram, each at the bounds that any of them has: a point comes with the buckets that it
 * needs, and what it counts below a bound it counts for each higher one, too.
 */
export function atAllBounds(points: readonly HistogramPoint[]): HistogramPoint[] {
  const bounds = [...new Set(points.flatMap(({ cumulative }) => cumulative.map(([le]) => le)))].sort((a, b) => a - b);
  return points.map((point) => {
    let at = 0;
    let below = point.least;
    const cumulative = bounds.map((bound): [number, number] => {
      while (at < point.cumulative.length && point.cumulative[at]![0] <= bound) below = point.cumulative[at++]![1];
      return [bound, below];
    });
    return { ...point, cumulative };
  });
}

/** What two points of one series that are deltas come to. */
export function sumOf(a: HistogramPoint, b: HistogramPoint): HistogramPoint {
  const [left, right] = atAllBounds([a, b]);
  return {
    count: a.count + b.count,
    sum: a.sum === undefined ? b.sum : a.sum + (b.sum ?? 0),
    cumulative: left!.cumulative.map(([le, count], index) => [le, count + right!.cumulative[index]![1]]),
    least: a.least + b.least,
    stale: false,
  };
}

function buckets(message: Reader): { offset: number; counts: number[] } {
  let offset = 0;
  const counts: number[] = [];
  while (message.next()) {
    if (message.field === 1) offset = message.sint32();
    else if (message.field === 2 && message.wireType === 2) {
      let at = message.valueStart;
      while (at < message.valueEnd) {
        let value = 0;
        let factor = 1;
        let byte: number;
        do {
          byte = message.buffer[at++]!;
          value += (byte & 0x7f) * factor;
          factor *= 128;
        } while (byte >= 0x80 && at < message.valueEnd);
        counts.push(value);
      }
    } else if (message.field === 2) counts.push(Number(message.uint64()));
  }
  return { offset, counts };
}

export function summaryPoint(bytes: Uint8Array): SummaryPoint {
  let count = 0;
  let sum = 0;
  let stale = false;
  const quantiles: [number, number][] = [];
  const point = new Reader(bytes);
  while (point.next()) {
    switch (point.field) {
      case 4:
        count = Number(point.fixed64());
        break;
      case 5:
        sum = point.double();
        break;
      case 6: {
        const each = point.message();
        let quantile = 0;
        let value = 0;
        while (each.next()) {
          if (each.field === 1) quantile = each.double();
          else if (each.field === 2) value = each.double();
        }
        quantiles.push([quantile, value]);
        break;
      }
      case 8:
        stale = (point.uint32() & 1) !== 0;
        break;
      default:
    }
  }
  return { count, sum, quantiles, stale };
}

/** A bound or a quantile as a label's value: Go's shortest form, as Prometheus writes it. */
export function labelNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  if (Number.isNaN(value)) return 'NaN';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  // strconv.FormatFloat(v, 'g', -1, 64): an exponent below −4 or from 21 on, of two digits at least.
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  if (exponent >= -5 && exponent < 21) {
    const plain = String(value);
    if (!plain.includes('e') && Math.abs(value) >= 1e-4) return plain;
  }
  return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}
