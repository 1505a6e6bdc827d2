import type { Collected } from './collect.ts';
import { blamesMax, failuresMax, piecesMax, requestSamplesMax, suspectMsMin, suspectsMax } from './limits.ts';
import type { Series } from './series.ts';
import type { Verdict } from './verdict.ts';

// What a shard has left to send of a batch, and what the answers make of it. Pure: it asks for requests and is told verdicts,
// so that it can go on where it stopped when a request has to wait.
//
// One request at a time, so that the samples of a series arrive in order. Refused samples are found by halving:
// - 1.0 stores nothing of a request with a bad sample: its halves are sent instead, the older first;
// - 2.0 has stored what it takes, and says how many it did not. Repeating the newest sample of a series is harmless and
//   answers whether it is there, while an older one would be called out of order. So the newest are asked about first, and
//   the one before where the newest was refused. Older ones come last, and only if the count leaves some of them unfound: with
//   a window for late samples their answers are right, too; without one all of them are refused, and of those that were
//   stored a dead letter is made that does no harm.

//
// A request over which the far side fails (500) again and again may hold one sample that makes it fail, for ever. It is halved,
// between series so that each stays in order, and what passes shows that the far side is well. Nothing is dropped for a
// failure alone: see `isSuspect`.

export type Step = { readonly kind: 'send' | 'probe'; readonly order: readonly number[] };

/** A step, and how often the far side failed over it. */
interface Tried extends Step {
  failures: number;
  /** When that began, with the request that it was a part of. */
  failingSinceMs: number;
  /** `#passes` at the last failure. */
  passesSeen: number;
  /** Failures in a row, after each of which the far side took something else. */
  blames: number;
}

interface Search {
  /** Samples not yet known to be stored or refused that 2.0 did not write. */
  missing: number;
  /** The sample of the same series before this one, in the request. */
  readonly before: ReadonlyMap<number, number>;
  /** Whose turn it is after the probes: the ones before refused ones. */
  next: number[];
  /** A newer one of the series is there. Asked about last, where the count says that one of them is missing. */
  shadowed: number[];
  asksShadowed: boolean;
}

export interface RefusedSample {
  readonly sample: number;
  readonly reason: string;
  /** It may be that it is there already, if it was sent before. */
  readonly alreadyThere: boolean;
}

export class Shard {
  readonly #samples: Collected['samples'];
  readonly #steps: Tried[] = [];
  /** How many of the first steps were one request over which the far side failed. */
  #pieces = 0;
  /** Requests that were stored. */
  #passes = 0;
  /** Of which a sample was given up. */
  readonly #blamed = new Set<Series>();
  /** Failures since something passed, or since `begin`. */
  #failuresNow = 0;
  /** It stored nothing else either, since `begin`: there is no need to ask again. */
  #isDown = false;
  #search: Search | undefined;
  readonly refused: RefusedSample[] = [];

  /** @param order Samples, those of a series together and in order of time. */
  constructor(samples: Collected['samples'], order: readonly number[]) {
    this.#samples = samples;
    for (let at = 0; at < order.length; at += requestSamplesMax) {
      this.#steps.push(tried({ kind: 'send', order: order.slice(at, at + requestSamplesMax) }));
    }
  }

  /** What to send now; undefined: all is settled. */
  get step(): Step | undefined {
    return this.#steps[0];
  }

  /** Another try begins. */
  begin(): void {
    this.#failuresNow = 0;
    this.#isDown = false;
  }

  /**
   * The far side failed over `step`, and may be well otherwise.
   * @param nowMs Monotonic.
   * @returns whether to go on with what is `step` now; else it has to wait.
   */
  failed(nowMs: number): boolean {
    const step = this.#steps[0]!;
    if (step.kind === 'probe') return false;
    const passed = this.#passes > step.passesSeen;
    step.passesSeen = this.#passes;
    step.failures++;
    step.failingSinceMs = Math.min(step.failingSinceMs, nowMs);
    this.#failuresNow++;
    const halves = step.order.length > 1 && (step.failures >= failuresMax || (this.#pieces > 0 && passed));
    if (halves && this.#pieces < piecesMax) {
      const parts = this.#parted(step.order).map((order) => ({
        ...tried({ kind: 'send', order }),
        failingSinceMs: step.failingSinceMs,
        passesSeen: this.#passes,
      }));
      this.#steps.splice(0, 1, ...parts);
      this.#pieces = Math.max(this.#pieces, 1) + 1;
    }
    if (step.order.length === 1 && step.failures >= failuresMax) this.#pieces = Math.max(this.#pieces, 1);
    // Two a try: the far side shall not be hammered while it is broken.
    return this.#pieces > 1 && this.#failuresNow < 2 && this.#moveOn();
  }

  /**
   * Whether all else of the request is stored but a little, so that it is worth asking whether the far side is well. Where
   * much of it fails, it is the far side.
   */
  get isSuspect(): boolean {
    return this.#pieces > 0 && !this.#isDown && this.#heads().length <= suspectsMax;
  }

  /**
   * After `step`, a suspect, has failed.
   * @param alive Whether the far side stored something else right after.
   * @param nowMs Monotonic.
   */
  blame(alive: boolean, nowMs: number, reason: string): void {
    const step = this.#steps[0]!;
    if (!alive) {
      step.blames = 0;
      this.#isDown = true;
      return;
    }
    this.#passes++;
    const [sample] = step.order;
    if (sample === undefined || this.#heads().some(({ order }) => order.length > 1)) return;
    if (nowMs - step.failingSinceMs < suspectMsMin) return;
    const owner = this.#samples.owners[sample]!;
    if (++step.blames < blamesMax && !this.#blamed.has(owner)) return;
    this.#blamed.add(owner);
    this.#steps.shift();
    this.#pieces--;
    this.refused.push({ sample, reason: `${reason}, again and again, while others are stored`, alreadyThere: false });
  }

  /** Pieces that wait for no earlier one with samples of the same series. */
  #heads(): Tried[] {
    const met = new Set<Series>();
    return this.#steps.slice(0, this.#pieces).filter(({ order }) => {
      const owners = order.map((sample) => this.#samples.owners[sample]!);
      const waits = owners.some((owner) => met.has(owner));
      for (const owner of owners) met.add(owner);
      return !waits;
    });
  }

  /** What became of `step`. Not for `retry`, after which the step stays, and `older`, which is about the server. */
  settle(verdict: Exclude<Verdict, { kind: 'retry' | 'older' }>): void {
    const before = this.#steps.length;
    this.#settle(verdict);
    this.#failuresNow = 0;
    if (verdict.kind === 'stored') this.#passes++;
    if (this.#pieces > 0) this.#pieces = Math.max(0, this.#pieces + this.#steps.length - before);
  }

  #settle(verdict: Exclude<Verdict, { kind: 'retry' | 'older' }>): void {
    const step = this.#steps.shift();
    if (step === undefined) return;
    if (verdict.kind === 'tooLarge') {
      const [only] = step.order;
      if (step.order.length === 1 && only !== undefined) {
        this.refused.push({ sample: only, reason: verdict.reason, alreadyThere: false });
        this.#endProbe();
      } else this.#next(step.kind, halves(step.order));
      return;
    }
    if (step.kind === 'send') this.#settleSend(step.order, verdict);
    else this.#settleProbe(step.order, verdict);
  }

  #settleSend(order: readonly number[], verdict: Exclude<Verdict, { kind: 'retry' | 'older' | 'tooLarge' }>): void {
    if (verdict.kind === 'stored') return;
    const { reason, alreadyThere } = verdict;
    if (verdict.kind === 'refused' || order.length === 1) {
      for (const sample of order) this.refused.push({ sample, reason, alreadyThere });
      return;
    }
    if (verdict.missing === undefined) {
      const byTime = halves(this.#byTime(order)).map((half) => this.#grouped(half));
      this.#next('send', byTime);
      return;
    }
    const before = new Map<number, number>();
    const newest: number[] = [];
    for (const [at, sample] of order.entries()) {
      if (at > 0 && this.#samples.owners[order[at - 1]!] === this.#samples.owners[sample]) {
        before.set(sample, order[at - 1]!);
        newest.pop();
      }
      newest.push(sample);
    }
    this.#search = { missing: verdict.missing, before, next: [], shadowed: [], asksShadowed: false };
    // The whole is known to be mixed unless it held one sample a series and no more.
    const mixed = newest.length === order.length;
    const first = this.#byTime(newest);
    this.#next('probe', mixed ? halves(first) : [first]);
  }

  #settleProbe(order: readonly number[], verdict: Exclude<Verdict, { kind: 'retry' | 'older' | 'tooLarge' }>): void {
    const search = this.#search!;
    if (verdict.kind === 'stored') {
      if (!search.asksShadowed) {
        for (const sample of order) {
          for (let at = search.before.get(sample); at !== undefined; at = search.before.get(at))
            search.shadowed.push(at);
        }
      }
    } else if (verdict.kind === 'refused' || order.length === 1) {
      for (const sample of order) {
        this.refused.push({ sample, reason: verdict.reason, alreadyThere: verdict.alreadyThere });
        const before = search.before.get(sample);
        if (before !== undefined && !search.asksShadowed) search.next.push(before);
      }
      search.missing -= order.length;
    } else this.#next('probe', halves(order));
    this.#endProbe();
  }

  /** When the last probe is answered: the samples before those that were refused, then the shadowed. */
  #endProbe(): void {
    const search = this.#search;
    if (search === undefined) return;
    // Found all that are missing: nothing more to ask.
    if (search.missing <= 0) while (this.#steps[0]?.kind === 'probe') this.#steps.shift();
    if (this.#steps[0]?.kind === 'probe') return;
    const next = search.next.length > 0 ? search.next : search.asksShadowed ? [] : search.shadowed;
    if (search.missing <= 0 || next.length === 0) {
      this.#search = undefined;
      return;
    }
    search.asksShadowed = search.next.length === 0;
    search.next = [];
    this.#next('probe', [this.#grouped(this.#byTime(next))]);
  }

  #next(kind: Step['kind'], orders: readonly (readonly number[])[]): void {
    this.#steps.unshift(...orders.map((order) => tried({ kind, order })));
  }

  /** In two, between series; where it is one series, the older and the newer half. */
  #parted(order: readonly number[]): readonly (readonly number[])[] {
    const { owners } = this.#samples;
    const middle = order.length >> 1;
    for (let off = 0; off <= middle; off++) {
      for (const at of [middle - off, middle + off]) {
        if (at > 0 && at < order.length && owners[order[at - 1]!] !== owners[order[at]!])
          return [order.slice(0, at), order.slice(at)];
      }
    }
    return halves(order);
  }

  /** Puts `step`, with what holds later samples of its series, behind the other pieces. @returns false where there are none. */
  #moveOn(): boolean {
    const { owners } = this.#samples;
    const pieces = this.#steps.slice(0, this.#pieces);
    const own = new Set(pieces[0]!.order.map((sample) => owners[sample]!));
    const isOwn = ({ order }: Step) => order.some((sample) => own.has(owners[sample]!));
    const count = pieces.findIndex((piece) => !isOwn(piece));
    // One that shares only some of its series would have to stay where it is, too.
    if (count < 0 || pieces.slice(count).some(isOwn)) return false;
    if (pieces.slice(1, count).some(({ order }) => order.some((sample) => !own.has(owners[sample]!)))) return false;
    this.#steps.splice(0, this.#pieces, ...pieces.slice(count), ...pieces.slice(0, count));
    return true;
  }

  #byTime(order: readonly number[]): number[] {
    const { timesMs } = this.#samples;
    return [...order].sort((a, b) => timesMs[a]! - timesMs[b]! || a - b);
  }

  /** Those of a series together again, in order of time. */
  #grouped(byTime: readonly number[]): number[] {
    return [...Map.groupBy(byTime, (sample) => this.#samples.owners[sample]!).values()].flat();
  }
}

function tried(step: Step): Tried {
  return { ...step, failures: 0, failingSinceMs: Number.POSITIVE_INFINITY, passesSeen: 0, blames: 0 };
}

function halves(order: readonly number[]): [readonly number[], readonly number[]] {
  const middle = order.length >> 1;
  return [order.slice(0, middle), order.slice(middle)];
}
