import { readDouble, readFixed32 } from './wire.ts';

// Whether a histogram's counts, bounds and total agree, told while its fields pass. State of the module, as in scan.ts: of
// the data point that is being scanned; data points do not nest. 64-bit sums are kept as halves, exactly.

let bucketCount = 0;
let bucketSumHigh = 0;
let bucketSumLow = 0;
let boundCount = 0;
let lastBound = 0;
let boundsSorted = true;
let countHigh = 0;
let countLow = 0;
let sumIsNaN = false;

export function beginDataPoint(): void {
  bucketCount = 0;
  bucketSumHigh = 0;
  bucketSumLow = 0;
  boundCount = 0;
  lastBound = Number.NEGATIVE_INFINITY;
  boundsSorted = true;
  countHigh = 0;
  countLow = 0;
  sumIsNaN = false;
}

/** Buckets of the data point so far. */
export function countedBuckets(): number {
  return bucketCount;
}

/** One bucket's count, as halves. */
export function addCount(high: number, low: number): void {
  bucketCount++;
  bucketSumHigh += high;
  bucketSumLow += low;
}

/** Counts of buckets, eight bytes each. */
export function addCounts(bytes: Uint8Array, start: number, end: number): void {
  bucketCount += (end - start) / 8;
  for (let at = start; at < end; at += 8) {
    bucketSumLow += readFixed32(bytes, at);
    bucketSumHigh += readFixed32(bytes, at + 4);
  }
}

/** The count of what is zero: in the total, and no bucket. */
export function addZeroCount(bytes: Uint8Array, at: number): void {
  bucketSumHigh += readFixed32(bytes, at + 4);
  bucketSumLow += readFixed32(bytes, at);
}

export function addBounds(bytes: Uint8Array, start: number, end: number): void {
  for (let at = start; at < end; at += 8) {
    const bound = readDouble(bytes, at);
    // NaN is never greater. The first may be −Infinity: it is greater than nothing, yet in order.
    if (!(bound > lastBound) && !(boundCount === 0 && bound === Number.NEGATIVE_INFINITY)) boundsSorted = false;
    lastBound = bound;
    boundCount++;
  }
}

/** The total that the point itself tells. */
export function noteTotal(bytes: Uint8Array, at: number): void {
  countHigh = readFixed32(bytes, at + 4);
  countLow = readFixed32(bytes, at);
}

export function noteSum(bytes: Uint8Array, at: number): void {
  sumIsNaN = Number.isNaN(readDouble(bytes, at));
}

/** metrics.proto, HistogramDataPoint: no buckets at all, or one more than there are bounds, and bounds strictly increasing. */
export function isHistogramSound(): boolean {
  if (!boundsSorted) return false;
  if (bucketCount === 0) return boundCount === 0;
  return bucketCount === boundCount + 1 && isCountSound();
}

/**
 * `count` is the sum of the bucket counts. Where `sum` is NaN, observations of NaN are in the count and in no bucket
 * (Prometheus' histogram validation makes the same exception).
 */
export function isCountSound(): boolean {
  const carry = Math.floor(bucketSumLow / 0x100000000);
  const high = bucketSumHigh + carry;
  const low = bucketSumLow - carry * 0x100000000;
  if (high === countHigh && low === countLow) return true;
  return sumIsNaN && (high < countHigh || (high === countHigh && low < countLow));
}
