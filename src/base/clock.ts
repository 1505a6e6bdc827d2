/** Where the time comes from, so that a test can turn it. */
export interface Clock {
  /** Wall clock, Unix milliseconds. May jump: never measure a duration with it. */
  nowMs(): number;
  /** Wall clock, Unix nanoseconds. */
  nowUnixNano(): bigint;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  nowUnixNano: () => BigInt(Date.now()) * 1_000_000n,
  monotonicMs: () => performance.now(),
};
