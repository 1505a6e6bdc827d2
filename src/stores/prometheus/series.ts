import type { Labels } from './labels.ts';
import { Symbols } from './symbols.ts';

// Who a data point belongs to is worked out once; after that it is found by the bytes of its attributes.

/** Numbers of remote write's `MetricType`; the same in both versions. */
export const metricTypes = { unknown: 0, counter: 1, gauge: 2, histogram: 3, summary: 5 } as const;

/** A metric as remote write's metadata has it. */
export interface Family {
  readonly name: string;
  readonly type: keyof typeof metricTypes;
  readonly help: string;
  /** As Prometheus names it, and as it was sent. */
  readonly unit: string;
  readonly otlpUnit: string;
  /** Symbols. */
  readonly helpId: number;
  readonly unitId: number;
}

/** A series of Prometheus. */
export class Series {
  readonly family: Family;
  /** Where its labels are in `SeriesTable.labels`. */
  readonly labelsStart: number;
  readonly labelsEnd: number;
  /** 53 bits. */
  readonly fingerprint: number;
  /** Present batch: its samples are a list in order of time, from `first` through `last`, and hold for `stamp` only. */
  stamp = 0;
  first = -1;
  last = -1;
  /** Of `SeriesLimit`. */
  epoch = -1;

  constructor(family: Family, labelsStart: number, labelsEnd: number, fingerprint: number) {
    this.family = family;
    this.labelsStart = labelsStart;
    this.labelsEnd = labelsEnd;
    this.fingerprint = fingerprint;
  }
}

/** All series that are known, each once, whatever bytes they came from. */
export class SeriesTable {
  readonly symbols = new Symbols();
  /**
   * Symbols of the labels of all series, one after the other: names and values by turns, sorted by name. One array, for an
   * array of its own takes more memory than what it holds.
   */
  labels = new Int32Array(1024);
  #labelsEnd = 0;
  /** By fingerprint; a list where two have the same. */
  readonly #series = new Map<number, Series | Series[]>();
  #count = 0;

  constructor() {
    this.symbols.id(''); // the first symbol of every request
  }

  get count(): number {
    return this.#count;
  }

  family(family: Omit<Family, 'helpId' | 'unitId'>): Family {
    return { ...family, helpId: this.symbols.id(family.help), unitId: this.symbols.id(family.unit) };
  }

  /** @param labels With `__name__`. Empty values are as if they were absent. */
  find(family: Family, labels: Labels): Series {
    const sorted = [...labels].filter(([, value]) => value !== '').sort(([a], [b]) => (a < b ? -1 : 1));
    const start = this.#labelsEnd;
    const end = start + sorted.length * 2;
    if (end > this.labels.length) {
      const grown = new Int32Array(Math.max(end, this.labels.length * 2));
      grown.set(this.labels);
      this.labels = grown;
    }
    let low = 0x811c9dc5;
    let high = 0x01000193;
    for (const [index, [name, value]] of sorted.entries()) {
      this.labels[start + index * 2] = this.symbols.id(name);
      this.labels[start + index * 2 + 1] = this.symbols.id(value);
      for (const text of [name, '\0', value, '\0']) {
        for (let at = 0; at < text.length; at++) {
          const code = text.charCodeAt(at);
          low = Math.imul(low ^ code, 0x01000193);
          high = Math.imul(high ^ code, 0x85ebca6b) + 0x27d4eb2f;
        }
      }
    }
    const fingerprint = (high & 0x1fffff) * 0x100000000 + (low >>> 0);
    const chain = this.#series.get(fingerprint);
    const candidates = chain === undefined ? [] : Array.isArray(chain) ? chain : [chain];
    const known = candidates.find((series) => this.#isSame(series, start, end));
    if (known !== undefined) return known; // what was written is written over by the next
    const series = new Series(family, start, end, fingerprint);
    this.#labelsEnd = end;
    this.#series.set(fingerprint, chain === undefined ? series : [...candidates, series]);
    this.#count++;
    return series;
  }

  #isSame({ labelsStart, labelsEnd }: Series, start: number, end: number): boolean {
    if (labelsEnd - labelsStart !== end - start) return false;
    for (let at = 0; at < end - start; at++) {
      if (this.labels[labelsStart + at] !== this.labels[start + at]) return false;
    }
    return true;
  }
}

/**
 * How many series a tenant may have that got a sample of late. Two generations: one is forgotten after a whole generation
 * in which nothing came for it.
 */
export class SeriesLimit {
  readonly #max: number;
  readonly #tenants = new Map<string, { now: Set<number>; before: Set<number> }>();
  readonly #generationMs: number;
  #epoch = 0;
  #epochEndMs = Number.NEGATIVE_INFINITY;

  constructor(max: number, generationMs: number) {
    this.#max = max;
    this.#generationMs = generationMs;
  }

  /** Before each batch. */
  turn(nowMs: number): void {
    if (nowMs < this.#epochEndMs) return;
    this.#epochEndMs = nowMs + this.#generationMs;
    this.#epoch++;
    for (const tenant of this.#tenants.values()) {
      tenant.before = tenant.now;
      tenant.now = new Set();
    }
  }

  /** Whether samples of it may be stored. */
  admits(tenant: string, series: Series): boolean {
    if (this.#max === 0 || series.epoch === this.#epoch) return true;
    let known = this.#tenants.get(tenant);
    if (known === undefined) {
      known = { now: new Set(), before: new Set() };
      this.#tenants.set(tenant, known);
    }
    if (!known.now.has(series.fingerprint)) {
      const isNew = !known.before.delete(series.fingerprint);
      if (isNew && known.now.size + known.before.size >= this.#max) return false;
      known.now.add(series.fingerprint);
    }
    series.epoch = this.#epoch;
    return true;
  }
}
