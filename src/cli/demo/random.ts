/** Numbers that look random and repeat with the same seed. */
export interface Random {
  /** 0 ≤ x < 1. */
  next(): number;
  /** Lower-case hex, of so many bytes; never all zero. */
  hex(bytes: number): string;
  /** In the form of a UUID. */
  uuid(): string;
  /** A duration around `typical`, long-tailed as latencies are. */
  latencyMs(typical: number): number;
  pick<T>(from: readonly [T, ...T[]]): T;
  chance(probability: number): boolean;
}

/** mulberry32: small and good enough for a shop that does not exist. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const hex = (bytes: number): string => {
    const text = Array.from({ length: bytes }, () =>
      Math.floor(next() * 256)
        .toString(16)
        .padStart(2, '0'),
    ).join('');
    return /^0+$/.test(text) ? hex(bytes) : text;
  };
  return {
    next,
    hex,
    uuid: () => hex(16).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    // Log-normal: most are near the typical value, a few take several times as long.
    latencyMs: (typical) =>
      typical * Math.exp(0.45 * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())),
    pick: (from) => from[Math.floor(next() * from.length)] ?? from[0],
    chance: (probability) => next() < probability,
  };
}
