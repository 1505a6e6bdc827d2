import type { Collected } from './collect.ts';
import { requestSamplesMax } from './limits.ts';
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

export type Step = { readonly kind: 'send' | 'probe'; readonly order: readonly number[] };

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
  readonly #steps: Step[] = [];
  #search: Search | undefined;
  readonly refused: RefusedSample[] = [];

  /** @param order Samples, those of a series together and in order of time. */
  constructor(samples: Collected['samples'], order: readonly number[]) {
    this.#samples = samples;
    for (let at = 0; at < order.length; at += requestSamplesMax) {
      this.#steps.push({ kind: 'send', order: order.slice(at, at + requestSamplesMax) });
    }
  }

  /** What to send now; undefined: all is settled. */
  get step(): Step | undefined {
    return this.#steps[0];
  }

  /** What became of `step`. Not for `retry`, after which the step stays, and `older`, which is about the server. */
  settle(verdict: Exclude<Verdict, { kind: 'retry' | 'older' }>): void {
    const step = this.#steps.shift();
    if (step === undefined) return;
    if (verdict.kind === 'tooLarge') {
      const [only] = step.order;
      if (step.order.length === 1 && only !== undefined) {
        this.refused.push({ sample: only, reason: verdict.reason, alreadyThere: false });
        this.#endProbe();
      } else this.#steps.unshift(...halves(step.order).map((order) => ({ kind: step.kind, order })));
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
      this.#steps.unshift(...byTime.map((half) => ({ kind: 'send' as const, order: half })));
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
    this.#steps.unshift(...(mixed ? halves(first) : [first]).map((each) => ({ kind: 'probe' as const, order: each })));
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
    } else this.#steps.unshift(...halves(order).map((each) => ({ kind: 'probe' as const, order: each })));
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
    this.#steps.unshift({ kind: 'probe', order: this.#grouped(this.#byTime(next)) });
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

function halves(order: readonly number[]): [readonly number[], readonly number[]] {
  const middle = order.length >> 1;
  return [order.slice(0, middle), order.slice(middle)];
}
