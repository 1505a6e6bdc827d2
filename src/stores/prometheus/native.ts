import type { Writer } from '../../otlp/index.ts';

// Native histograms as remote write has them; the field numbers are the same in both versions. Pure. Source: prometheus
// storage/remote/otlptranslator/prometheusremotewrite/histograms.go (3.16), and Prometheus, "Native Histograms".

/** Least and greatest schema of an exponential histogram. A finer one is scaled down; a coarser one cannot be had. */
export const schemaMin = -4;
const schemaMax = 8;
const customBuckets = -53;
/** Where the point has none. */
const zeroThresholdDefault = 1e-128;
/** A gap of more empty buckets begins a new span. */
const gapMax = 2;

/** A StaleNaN's bits, which also stand for the count: the histogram ended here. */
export const staleLow = 0x00000002;
export const staleHigh = 0x7ff00000;
const staleBits = (BigInt(staleHigh) << 32n) | BigInt(staleLow);

interface Buckets {
  readonly offset: number;
  readonly counts: readonly number[];
}

export interface ExponentialPoint {
  readonly scale: number;
  readonly count: number;
  readonly sum: number;
  readonly zeroCount: number;
  readonly zeroThreshold: number;
  readonly positive: Buckets;
  readonly negative: Buckets;
  readonly stale: boolean;
}

/** Writes the fields of a Histogram but its times. @param point `scale` at least `schemaMin`. */
export function encodeExponential(writer: Writer, point: ExponentialPoint): void {
  const down = Math.max(0, point.scale - schemaMax);
  encodeHead(writer, point, point.scale - down);
  writer.double(5, point.zeroThreshold > 0 ? point.zeroThreshold : zeroThresholdDefault);
  writer.uint32(6, point.zeroCount);
  encodeBuckets(writer, 8, point.negative, down, true);
  encodeBuckets(writer, 11, point.positive, down, true);
}

/** Explicit bounds as a native histogram with custom buckets. */
export function encodeCustomBuckets(
  writer: Writer,
  point: {
    readonly count: number;
    readonly sum: number;
    readonly counts: readonly number[];
    readonly bounds: readonly number[];
    readonly stale: boolean;
  },
): void {
  encodeHead(writer, point, customBuckets);
  // Without bounds there is one bucket; a sender may leave its count out.
  const counts = point.counts.length === 0 && !point.stale ? [point.count] : point.counts;
  let offset = 0;
  while (offset < counts.length && counts[offset] === 0) offset++;
  encodeBuckets(writer, 11, { offset, counts: counts.slice(offset) }, 0, false);
  if (point.bounds.length === 0) return;
  const begun = writer.begin(16);
  for (const bound of point.bounds) writer.bareDouble(bound);
  writer.end(begun);
}

function encodeHead(writer: Writer, point: { count: number; sum: number; stale: boolean }, schema: number): void {
  if (point.stale) {
    writer.int64(1, staleBits);
    writer.doubleBits(3, staleLow, staleHigh);
  } else {
    writer.uint32(1, point.count);
    writer.double(3, point.sum);
  }
  writer.sint32(4, schema);
}

/** Writes spans as `field` and the differences of the counts as `field + 1`. */
function encodeBuckets(writer: Writer, field: number, buckets: Buckets, down: number, exponential: boolean): void {
  const { spans, deltas } = bucketLayout(buckets, down, exponential);
  for (const [offset, length] of spans) {
    const begun = writer.begin(field);
    writer.sint32(1, offset);
    writer.uint32(2, length);
    writer.end(begun);
  }
  if (deltas.length === 0) return;
  const begun = writer.begin(field + 1);
  for (const delta of deltas) writer.varint(delta >= 0 ? delta * 2 : -delta * 2 - 1);
  writer.end(begun);
}

/**
 * Dense buckets as spans and differences.
 * @param down        2^down neighbours become one bucket.
 * @param exponential OTLP's bucket 0 is (1, base], Prometheus' bucket 0 is (1/base, 1]: indexes go up by one.
 */
export function bucketLayout(
  { offset, counts }: Buckets,
  down: number,
  exponential: boolean,
): { readonly spans: readonly (readonly [offset: number, length: number])[]; readonly deltas: readonly number[] } {
  if (counts.length === 0) return { spans: [], deltas: [] };
  const deltas: number[] = [];
  let index = (offset >> down) + 1;
  let lastIndex = index - 1;
  const spans: [number, number][] = [[exponential ? index : offset, 0]];
  let count = 0;
  let before = 0;
  const append = (value: number) => {
    spans.at(-1)![1]++;
    deltas.push(value - before);
    before = value;
  };
  const appendBucket = () => {
    const gap = index - lastIndex - 1;
    if (gap > gapMax) spans.push([gap, 0]);
    else for (let empty = 0; empty < gap; empty++) append(0);
    append(count);
    lastIndex = index;
  };
  for (let at = 0; at < counts.length; at++) {
    const next = ((at + offset) >> down) + 1;
    if (next === index) {
      count += counts[at]!;
      continue;
    }
    if (count !== 0) appendBucket();
    count = counts[at]!;
    index = next;
  }
  appendBucket();
  return { spans, deltas };
}
