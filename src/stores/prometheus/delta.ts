import type { Point, Shape } from './point.ts';

// Points of delta temporality become cumulative ones: what came before is added. Correct only where this process is the one
// writer of the series. A function of the frames in log order alone, so that frames that come again after a crash give
// the same samples again. Source: OpenTelemetry, "Metrics Data Model", "Sums: Delta-to-Cumulative".

/** What one series has summed up. Plain, for it is written as JSON. */
export interface Total {
  readonly shape: Exclude<Shape, 'summary'>;
  startMs: number;
  /** Of the newest sample that was made. */
  lastMs: number;
  /** When a point came last, by the time its request was received: the series is forgotten after that, not by a clock. */
  receivedMs: number;
  /** A number's value, or the sum of a histogram. */
  sum: number;
  count: number;
  /** By bucket, for explicit bounds. */
  counts: number[];
  scale: number;
  zeroCount: number;
  zeroThreshold: number;
  positiveOffset: number;
  positive: number[];
  negativeOffset: number;
  negative: number[];
}

/** Rows of buckets that would be wider are scaled down. The same as the most of one data point at the door. */
const bucketsMax = 16_384;

export interface DeltaLimits {
  /** More series than that are refused. */
  readonly seriesMax: number;
  /** A series for which nothing came that long begins again at 0. */
  readonly forgetMs: number;
}

export class Totals {
  readonly #totals: Map<string, Total>;
  readonly #limits: DeltaLimits;
  #forgetAtMs = 0;
  /** As they were before the batch that is open. */
  readonly #undo = new Map<string, Total | undefined>();

  constructor(totals: Map<string, Total>, limits: DeltaLimits) {
    this.#totals = totals;
    this.#limits = limits;
  }

  get size(): number {
    return this.#totals.size;
  }

  entries(): IterableIterator<[string, Total]> {
    return this.#totals.entries();
  }

  /**
   * Adds a point, and turns it into the cumulative one.
   * @param identity Of the series, the same after a restart.
   * @returns `sum`: the point now holds the total. `late`: added, to be told with the next one, since a sample of its
   *          time or later is out already. `full`: there are too many series.
   */
  add(identity: string, shape: Total['shape'], point: Point, receivedMs: number): 'sum' | 'late' | 'full' {
    let total = this.#totals.get(identity);
    if (total !== undefined && receivedMs - total.receivedMs > this.#limits.forgetMs) total = undefined;
    if (total === undefined && this.#isFull(receivedMs) && !this.#totals.has(identity)) return 'full';
    if (!this.#undo.has(identity)) {
      const before = this.#totals.get(identity);
      this.#undo.set(identity, before === undefined ? undefined : copyOf(before));
    }
    if (total === undefined) {
      total = emptyTotal(shape, point.startMs === 0 ? point.timeMs : point.startMs);
      this.#totals.set(identity, total);
    }
    total.receivedMs = Math.max(total.receivedMs, receivedMs);
    if (!point.stale) addTo(total, point);
    if (point.timeMs <= total.lastMs) return 'late';
    total.lastMs = point.timeMs;
    toPoint(total, point);
    return 'sum';
  }

  /** What the open batch added holds. @returns the series that it changed. */
  commit(): string[] {
    const changed = [...this.#undo.keys()];
    this.#undo.clear();
    return changed;
  }

  /** Takes back what the open batch added. */
  rollback(): void {
    for (const [identity, before] of this.#undo) {
      if (before === undefined) this.#totals.delete(identity);
      else this.#totals.set(identity, before);
    }
    this.#undo.clear();
  }

  get(identity: string): Total | undefined {
    return this.#totals.get(identity);
  }

  /** Where it is, what would begin again at 0 anyhow makes room; looked for now and then, since it costs a walk over all. */
  #isFull(receivedMs: number): boolean {
    if (this.#totals.size < this.#limits.seriesMax) return false;
    if (receivedMs < this.#forgetAtMs) return true;
    this.#forgetAtMs = receivedMs + this.#limits.forgetMs / 60;
    for (const [identity, total] of this.#totals) {
      if (receivedMs - total.receivedMs > this.#limits.forgetMs) this.#totals.delete(identity);
    }
    return this.#totals.size >= this.#limits.seriesMax;
  }
}

function emptyTotal(shape: Total['shape'], startMs: number): Total {
  return {
    shape,
    startMs,
    lastMs: -1,
    receivedMs: 0,
    sum: 0,
    count: 0,
    counts: [],
    scale: 0,
    zeroCount: 0,
    zeroThreshold: 0,
    positiveOffset: 0,
    positive: [],
    negativeOffset: 0,
    negative: [],
  };
}

function copyOf(total: Total): Total {
  return { ...total, counts: [...total.counts], positive: [...total.positive], negative: [...total.negative] };
}

function addTo(total: Total, point: Point): void {
  if (total.shape === 'number') {
    total.sum += point.value;
    return;
  }
  total.sum += point.sum;
  total.count += point.count;
  if (total.shape === 'histogram') {
    for (let at = 0; at < point.counts.length; at++) total.counts[at] = (total.counts[at] ?? 0) + point.counts[at]!;
    return;
  }
  const isFirst = total.positive.length === 0 && total.negative.length === 0 && total.zeroCount === 0;
  if (isFirst) total.scale = point.scale;
  let scale = Math.min(total.scale, point.scale);
  while (widthAt(scale, total, point) > bucketsMax) scale--;
  const totalDown = total.scale - scale;
  const pointDown = point.scale - scale;
  total.scale = scale;
  total.zeroCount += point.zeroCount;
  total.zeroThreshold = Math.max(total.zeroThreshold, point.zeroThreshold);
  const positive = merged(
    total.positiveOffset,
    total.positive,
    totalDown,
    point.positiveOffset,
    point.positive,
    pointDown,
  );
  total.positiveOffset = positive.offset;
  total.positive = positive.counts;
  const negative = merged(
    total.negativeOffset,
    total.negative,
    totalDown,
    point.negativeOffset,
    point.negative,
    pointDown,
  );
  total.negativeOffset = negative.offset;
  total.negative = negative.counts;
}

/** Buckets that the wider of the two rows would need. */
function widthAt(scale: number, total: Total, point: Point): number {
  const width = (
    aOffset: number,
    a: readonly number[],
    bOffset: number,
    b: readonly number[],
    aDown = total.scale - scale,
    bDown = point.scale - scale,
  ) => {
    if (a.length === 0 || b.length === 0) return 0;
    const start = Math.min(aOffset >> aDown, bOffset >> bDown);
    return Math.max((aOffset + a.length - 1) >> aDown, (bOffset + b.length - 1) >> bDown) - start + 1;
  };
  return Math.max(
    width(total.positiveOffset, total.positive, point.positiveOffset, point.positive),
    width(total.negativeOffset, total.negative, point.negativeOffset, point.negative),
  );
}

/** The sum of two rows of dense buckets, each scaled down so far: 2^down neighbours are one bucket. */
function merged(
  aOffset: number,
  a: readonly number[],
  aDown: number,
  bOffset: number,
  b: readonly number[],
  bDown: number,
): { offset: number; counts: number[] } {
  if (a.length === 0 && b.length === 0) return { offset: 0, counts: [] };
  const rows = [
    { offset: aOffset, counts: a, down: aDown },
    { offset: bOffset, counts: b, down: bDown },
  ].filter(({ counts }) => counts.length > 0);
  const start = Math.min(...rows.map(({ offset, down }) => offset >> down));
  const end = Math.max(...rows.map(({ offset, counts, down }) => (offset + counts.length - 1) >> down));
  const counts = new Array<number>(end - start + 1).fill(0);
  for (const row of rows) {
    for (let at = 0; at < row.counts.length; at++) counts[((row.offset + at) >> row.down) - start]! += row.counts[at]!;
  }
  return { offset: start, counts };
}

function toPoint(total: Total, point: Point): void {
  point.startMs = total.startMs;
  if (total.shape === 'number') {
    point.value = total.sum;
    return;
  }
  point.sum = total.sum;
  point.count = total.count;
  if (total.shape === 'histogram') {
    refill(point.counts, total.counts);
    return;
  }
  point.scale = total.scale;
  point.zeroCount = total.zeroCount;
  point.zeroThreshold = total.zeroThreshold;
  point.positiveOffset = total.positiveOffset;
  refill(point.positive, total.positive);
  point.negativeOffset = total.negativeOffset;
  refill(point.negative, total.negative);
}

function refill(to: number[], from: readonly number[]): void {
  to.length = 0;
  for (const each of from) to.push(each);
}
