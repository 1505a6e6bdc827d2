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
  /** Symbols of its labels, name and value by turns, sorted by name. */
  readonly labels: Int32Array;
  /** 53 bits. */
  readonly fingerprint: number;
  /** Present batch: its samples are a list in order of time, from `first` through `last`, and hold for `stamp` only. */
  stamp = 0;
  first = -1;
  last = -1;
  /** Of `SeriesLimit`. */
  epoch = -1;

  constructor(family: Family, labels: Int32Array, fingerprint: number) {
    this.family = family;
    this.labels = labels;
    this.fingerprint = fingerprint;
  }
}

/** All series that are known, each once, whatever bytes they came from. */
export class SeriesTable {
  readonly symbols = new Symbols();
  readonly #series = new Map<number, Series[]>();
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
    const ids = new Int32Array(sorted.length * 2);
    let low = 0x811c9dc5;
    let high = 0x01000193;
    for (const [index, [name, value]] of sorted.entries()) {
      ids[index * 2] = this.symbols.id(name);
      ids[index * 2 + 1] = this.symbols.id(value);
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
    const known = chain?.find((series) => sameIds(series.labels, ids));
    if (known !== undefined) return known;
    const series = new Series(family, ids, fingerprint);
    if (chain === undefined) this.#series.set(fingerprint, [series]);
    else chain.push(series);
    this.#count++;
    return series;
  }
}

function sameIds(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
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
