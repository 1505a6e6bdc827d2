import { Fault } from '../../base/index.ts';
import type { Series } from '../contract.ts';

type Labels = { readonly [name: string]: string };

/** Samples by series, with the bound on how many there may be. */
export class Collected {
  readonly #samplesMax: number;
  readonly #series = new Map<string, { labels: Labels; totals: Samples; deltas: Samples }>();
  #count = 0;

  constructor(samplesMax: number) {
    this.#samplesMax = samplesMax;
  }

  /** The deltas of a series of which there are some already. */
  deltasOf(labels: Labels): Samples | undefined {
    const deltas = this.#series.get(keyOf(labels))?.deltas;
    return deltas === undefined || deltas.length === 0 ? undefined : deltas;
  }

  /** @param delta Each sample is what came since the one before. */
  of(labels: Labels, delta: boolean): Samples {
    const key = keyOf(labels);
    let found = this.#series.get(key);
    if (found === undefined) {
      const counted = () => this.counted();
      found = { labels, totals: new Samples(counted), deltas: new Samples(counted) };
      this.#series.set(key, found);
    }
    return delta ? found.deltas : found.totals;
  }

  /** One more sample that takes memory. @throws Fault `unprocessable` past the bound. */
  counted(): void {
    if (++this.#count > this.#samplesMax) {
      throw new Fault(
        'unprocessable',
        `the query selects more than ${this.#samplesMax} samples; narrow its time range or its matchers`,
      );
    }
  }

  /** @param relative Deltas from before are missing. */
  series(relative: boolean): Series[] {
    const series: Series[] = [];
    for (const { labels, totals, deltas } of this.#series.values()) {
      if (totals.length + deltas.length === 0) continue;
      const marked = relative && deltas.length > 0 ? { relative: true } : {};
      totals.addRunning(deltas);
      series.push({ labels, ...totals.sorted(), ...marked });
    }
    return series;
  }
}

/** What names a series. */
export function keyOf(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Samples of one series, in any order. */
export class Samples {
  readonly #counted: () => void;
  #times = new Float64Array(0);
  /** As bits, so that each NaN stays what it is. */
  #bits = new BigUint64Array(0);
  #length = 0;
  #before = 0;

  constructor(counted: () => void) {
    this.#counted = counted;
  }

  get length(): number {
    return this.#length;
  }

  add(timeMs: number, bits: bigint): void {
    this.#counted();
    this.#push(timeMs, bits);
  }

  /** What deltas that are no samples here come to: the running totals begin above it. */
  addBefore(value: number): void {
    this.#before += value;
  }

  /** Adds the running totals of samples that are deltas; a NaN, the marker of an end among them, stays where it is. */
  addRunning(deltas: Samples): void {
    const value = new Float64Array(1);
    const bits = new BigUint64Array(value.buffer);
    let total = deltas.#before;
    for (const index of deltas.#order()) {
      bits[0] = deltas.#bits[index]!;
      if (!Number.isNaN(value[0]!)) {
        total += value[0]!;
        value[0] = total;
      }
      this.#push(deltas.#times[index]!, bits[0]);
    }
  }

  /** In time order; of samples with the same time the last one that came. */
  sorted(): { timestampsMs: Float64Array; values: Float64Array } {
    const order = this.#order();
    const kept = order.filter(
      (index, at) => at + 1 === order.length || this.#times[order[at + 1]!] !== this.#times[index],
    );
    const timestampsMs = new Float64Array(kept.length);
    const bits = new BigUint64Array(kept.length);
    for (const [at, index] of kept.entries()) {
      timestampsMs[at] = this.#times[index]!;
      bits[at] = this.#bits[index]!;
    }
    return { timestampsMs, values: new Float64Array(bits.buffer) };
  }

  #order(): number[] {
    const order = Array.from({ length: this.#length }, (_, index) => index);
    return order.sort((a, b) => this.#times[a]! - this.#times[b]! || a - b);
  }

  #push(timeMs: number, bits: bigint): void {
    if (this.#length === this.#times.length) {
      const length = Math.max(16, this.#length * 2);
      const times = new Float64Array(length);
      const bitsGrown = new BigUint64Array(length);
      times.set(this.#times);
      bitsGrown.set(this.#bits);
      this.#times = times;
      this.#bits = bitsGrown;
    }
    this.#times[this.#length] = timeMs;
    this.#bits[this.#length++] = bits;
  }
}
