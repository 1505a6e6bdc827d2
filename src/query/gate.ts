import { Fault } from '../base/index.ts';

export interface GateLimits {
  readonly atOnceMax: number;
  readonly waitingMax: number;
  /** Milliseconds from `run` to its answer. */
  readonly budgetMs: number;
}

/** Lets a bounded number of queries through at once, each for a bounded time. */
export interface Gate {
  /**
   * @param cancel  The client is gone. What it waited for is stopped, and its place is free once `work` has ended.
   * @param work    Is to end soon after its signal fires. Where it does not, the caller is answered all the same, and
   *                its place stays taken: a store that ignores signals is not given more work than it can hold.
   * @param askedMs Milliseconds that the caller grants; never more than `budgetMs`.
   * @throws Fault  `unavailable` with retryAfterMs when too many wait; `tooSlow` when the budget is used up.
   */
  run<T>(cancel: AbortSignal, work: (cancel: AbortSignal) => Promise<T>, askedMs?: number): Promise<T>;
}

export function createGate({ atOnceMax, waitingMax, budgetMs }: GateLimits): Gate {
  let underWay = 0;
  const waiting = new Set<() => void>();

  function leave(): void {
    underWay--;
    const [next] = waiting;
    if (next === undefined) return;
    waiting.delete(next);
    underWay++;
    next();
  }

  /** Resolves with a place taken; whoever stops waiting leaves the queue and takes none. */
  function enter(stop: AbortSignal): Promise<void> {
    stop.throwIfAborted();
    if (underWay < atOnceMax) {
      underWay++;
      return Promise.resolve();
    }
    if (waiting.size >= waitingMax) {
      throw new Fault('unavailable', `${atOnceMax} queries are under way and ${waitingMax} wait`, {
        retryAfterMs: 1_000,
      });
    }
    return new Promise((resolve, reject) => {
      const admitted = () => {
        stop.removeEventListener('abort', stopped);
        resolve();
      };
      const stopped = () => {
        waiting.delete(admitted);
        reject(stop.reason);
      };
      waiting.add(admitted);
      stop.addEventListener('abort', stopped, { once: true });
    });
  }

  async function run<T>(
    cancel: AbortSignal,
    work: (cancel: AbortSignal) => Promise<T>,
    askedMs = budgetMs,
  ): Promise<T> {
    const grantedMs = Math.min(askedMs, budgetMs);
    const budget = new AbortController();
    const stop = AbortSignal.any([cancel, budget.signal]);
    const slow = new Fault(
      'tooSlow',
      `the query took longer than ${grantedMs / 1000} s; ask for a shorter time or fewer records`,
    );
    const timer = setTimeout(() => budget.abort(slow), grantedMs);
    try {
      await enter(stop);
      // A store may fail in its own words once it is stopped: the reason of the signal is the answer then.
      const answer = (async () => work(stop))().finally(leave);
      return await Promise.race([answer, aborted(stop)]).catch((thrown: unknown) => {
        throw stop.aborted ? stop.reason : thrown;
      });
    } finally {
      clearTimeout(timer);
    }
  }

  return { run };
}

/** Rejects with the signal's reason; never resolves. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
