import type { TraceSearch } from '../contract.ts';
import type { Filter } from '../filter.ts';
import { depthMax, depthMin, windowNanosMin } from './limits.ts';

// How a search becomes requests. Pure.
//
// Jaeger answers by service, operation, duration and time, with at most so many traces, and says neither whether there are
// more nor in which order they come (its memory: by when they arrived). So time is gone through in windows, from the newest:
// a window is known when it gave fewer traces than were asked for, else it is asked again, narrower. What it cannot
// answer is looked for in what it gives.

/** What Jaeger is asked to leave out. Never leaves out a trace that has a span which matches. */
export interface Narrowing {
  readonly service: string | undefined;
  readonly operation: string | undefined;
  readonly durationMinNanos: bigint | undefined;
  readonly durationMaxNanos: bigint | undefined;
}

const microsecond = 1_000n;

/** Jaeger looks for one span that fulfils all of it, as a search does; its stores cut durations to microseconds. */
export function narrowingOf(search: Omit<TraceSearch, 'range' | 'limit' | 'cursor'>): Narrowing {
  let { service, operation } = search;
  let min = search.minDurationNanos ?? 0n;
  let max = search.maxDurationNanos;
  const atMost = (nanos: bigint) => {
    if (max === undefined || nanos < max) max = nanos;
  };
  for (const part of conjuncts(search.filter)) {
    if (part.kind !== 'compare' || part.field.scope !== 'intrinsic') continue;
    const { op, value } = part;
    if (part.field.name === 'service' && op === '=') service ??= value.text;
    else if (part.field.name === 'name' && op === '=') operation ??= value.text;
    else if (part.field.name === 'duration' && value.durationNanos !== undefined) {
      const nanos = value.durationNanos;
      if ((op === '=' || op === '>' || op === '>=') && nanos > min) min = nanos;
      if (op === '=' || op === '<' || op === '<=') atMost(nanos);
    }
  }
  min -= min % microsecond;
  if (max !== undefined) max += microsecond;
  return {
    // '' means any to Jaeger.
    service: service === '' ? undefined : service,
    operation: operation === '' ? undefined : operation,
    durationMinNanos: min > 0n ? min : undefined,
    durationMaxNanos: max !== undefined && max > 0n ? max : undefined,
  };
}

/** Conditions of which each must hold. */
function conjuncts(filter: Filter): readonly Filter[] {
  return filter.kind === 'and' ? filter.of.flatMap(conjuncts) : [filter];
}

/** Half-open, as ranges are. */
export interface Window {
  readonly startUnixNano: bigint;
  readonly endUnixNano: bigint;
}

/** Traces to ask for at once where a page wants so many. */
export function depthFor(limit: number): number {
  return Math.max(depthMin, Math.min(depthMax, limit * 2));
}

/** How much wider at most a window gets than one that gave little. */
const widerMax = 8n;

/** The windows of a search, each from what the one before gave. */
export class Windows {
  readonly #startUnixNano: bigint;
  /** All from here on is known. */
  #knownFrom: bigint;
  #width: bigint;
  /** Start of the last window that was too full; undefined once it is all known. */
  #crowdFrom: bigint | undefined;

  constructor({ startUnixNano, endUnixNano }: Window) {
    this.#startUnixNano = startUnixNano;
    this.#knownFrom = endUnixNano;
    this.#width = endUnixNano - startUnixNano;
  }

  get knownFrom(): bigint {
    return this.#knownFrom;
  }

  /** undefined: all is known. */
  next(): Window | undefined {
    if (this.#knownFrom <= this.#startUnixNano) return undefined;
    const left = this.#knownFrom - this.#startUnixNano;
    const startUnixNano = left <= this.#width ? this.#startUnixNano : this.#knownFrom - this.#width;
    return { startUnixNano, endUnixNano: this.#knownFrom };
  }

  /**
   * @param share  Of what may be given at once, 0 to 1: so much a known window gave.
   * @param starts When the traces that it gave began, in any order. Their spread says more than the window, which may be empty
   *   for the most part.
   */
  known(window: Window, share: number, starts: readonly bigint[]): void {
    this.#knownFrom = window.startUnixNano;
    const crowd = this.#crowdFrom === undefined ? 0n : this.#knownFrom - this.#crowdFrom;
    if (crowd <= 0n) this.#crowdFrom = undefined;
    const whole = window.endUnixNano - window.startUnixNano;
    if (starts.length === 0) {
      // Nothing here, so all that was too much is before: its newer half next.
      this.#width = atLeastOne(crowd > 0n ? crowd / 2n : whole * widerMax);
      return;
    }
    const sorted = starts.toSorted(byTime);
    const spread = sorted.at(-1)! - sorted[0]!;
    const width = spread > 0n && spread < whole ? spread : whole;
    // Aims at half of what may be given.
    const times = Math.min(Number(widerMax), 0.5 / share);
    this.#width = atLeastOne((width * BigInt(Math.round(times * 1024))) / 1024n);
  }

  /**
   * @param starts When the traces that it gave began. The next window is the newer half of this one, or less where the newer
   *   half of the traces is in less: so it is for a store that gives the newest first.
   * @returns False where it cannot be narrower: then there is more in it than can be known.
   */
  narrow(window: Window, starts: readonly bigint[] = []): boolean {
    const width = window.endUnixNano - window.startUnixNano;
    if (width <= windowNanosMin) return false;
    this.#crowdFrom = window.startUnixNano;
    const middle = starts.toSorted(byTime)[starts.length >> 1];
    const told = middle === undefined ? 0n : window.endUnixNano - middle;
    this.#width = atLeastOne(told > 0n && told < width / 2n ? told : width / 2n);
    return true;
  }
}

function byTime(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function atLeastOne(width: bigint): bigint {
  return width < windowNanosMin ? windowNanosMin : width;
}
