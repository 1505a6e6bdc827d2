import { Writer } from '../../otlp/index.ts';
import type { Series } from './series.ts';

/** An exemplar, as remote write has it. */
export interface Exemplar {
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly value: number;
  readonly timeMs: number;
}

/** What became of adding a sample. `same`: it is there already. `conflict`: another value is there at that time. */
export type Added = 'added' | 'same' | 'conflict';

/**
 * The samples of a batch, in columns, in a list for each series. Used again for the next batch, so that its memory is
 * allocated once. A sample is a double, by its bits, or a native histogram, encoded.
 */
export class Samples {
  count = 0;
  /** The series that have samples, in the order in which they came. */
  readonly touched: Series[] = [];
  owners: Series[] = [];
  timesMs = new Float64Array(1024);
  startsMs = new Float64Array(1024);
  /** Halves of the double, low first. */
  bits = new Uint32Array(2048);
  /** Of a native histogram in `histograms`; -1: a double. */
  histogramStarts = new Int32Array(1024);
  histogramEnds = new Int32Array(1024);
  /** Index of the frame in the batch, and of the record in the frame; -1: of no record (target_info). */
  frames = new Int32Array(1024);
  records = new Int32Array(1024);
  /** Next sample of the series; -1: the last. */
  next = new Int32Array(1024);
  readonly exemplars = new Map<number, readonly Exemplar[]>();
  histograms = new Writer(1024);
  #stamp = 0;

  begin(): void {
    this.count = 0;
    this.touched.length = 0;
    this.owners.length = 0;
    this.exemplars.clear();
    this.histograms.truncate(0);
    this.#stamp++;
  }

  addDouble(
    owner: Series,
    timeMs: number,
    startMs: number,
    low: number,
    high: number,
    frame: number,
    record: number,
  ): Added {
    const at = this.#next();
    this.bits[at * 2] = low;
    this.bits[at * 2 + 1] = high;
    this.histogramStarts[at] = -1;
    return this.#link(at, owner, timeMs, startMs, frame, record);
  }

  /** @param start Where in `histograms` it was begun; it ends where that ends. */
  addHistogram(owner: Series, timeMs: number, startMs: number, start: number, frame: number, record: number): Added {
    const at = this.#next();
    this.histogramStarts[at] = start;
    this.histogramEnds[at] = this.histograms.length;
    return this.#link(at, owner, timeMs, startMs, frame, record);
  }

  /** To the sample that was added last. */
  addExemplars(exemplars: readonly Exemplar[]): void {
    if (exemplars.length > 0) this.exemplars.set(this.count - 1, exemplars);
  }

  #next(): number {
    if (this.count === this.timesMs.length) this.#grow();
    return this.count;
  }

  #link(at: number, owner: Series, timeMs: number, startMs: number, frame: number, record: number): Added {
    this.timesMs[at] = timeMs;
    let before = -1;
    if (owner.stamp !== this.#stamp) {
      owner.stamp = this.#stamp;
      owner.first = -1;
      owner.last = -1;
      this.touched.push(owner);
    } else if (timeMs > this.timesMs[owner.last]!) before = owner.last;
    else {
      // Rare: out of order within the batch, or twice. The first that came wins, as in Prometheus.
      for (let each = owner.first; each >= 0 && this.timesMs[each]! <= timeMs; each = this.next[each]!) {
        if (this.timesMs[each] === timeMs) return this.#same(each, at) ? 'same' : 'conflict';
        before = each;
      }
    }
    this.owners[at] = owner;
    this.startsMs[at] = startMs;
    this.frames[at] = frame;
    this.records[at] = record;
    if (before < 0) {
      this.next[at] = owner.first;
      owner.first = at;
    } else {
      this.next[at] = this.next[before]!;
      this.next[before] = at;
    }
    if (this.next[at]! < 0) owner.last = at;
    this.count++;
    return 'added';
  }

  #same(a: number, b: number): boolean {
    const start = this.histogramStarts[a]!;
    const other = this.histogramStarts[b]!;
    if (start < 0 || other < 0) {
      if (start !== other) return false;
      return this.bits[a * 2] === this.bits[b * 2] && this.bits[a * 2 + 1] === this.bits[b * 2 + 1];
    }
    const { histograms } = this;
    return (
      Buffer.compare(histograms.view(start, this.histogramEnds[a]!), histograms.view(other, this.histogramEnds[b]!)) ===
      0
    );
  }

  #grow(): void {
    const size = this.timesMs.length * 2;
    this.timesMs = grown(this.timesMs, new Float64Array(size));
    this.startsMs = grown(this.startsMs, new Float64Array(size));
    this.bits = grown(this.bits, new Uint32Array(size * 2));
    this.histogramStarts = grown(this.histogramStarts, new Int32Array(size));
    this.histogramEnds = grown(this.histogramEnds, new Int32Array(size));
    this.frames = grown(this.frames, new Int32Array(size));
    this.records = grown(this.records, new Int32Array(size));
    this.next = grown(this.next, new Int32Array(size));
  }
}

function grown<T extends Float64Array | Uint32Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
