/** Nanoseconds of each unit of time that a query may name. */
export const unitNanos = {
  ns: 1n,
  us: 1_000n,
  // MICRO SIGN and GREEK SMALL LETTER MU: keyboards give one, Go prints the other.
  '\u00b5s': 1_000n,
  '\u03bcs': 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
  w: 604_800_000_000_000n,
} as const satisfies Record<string, bigint>;

const int64Max = (1n << 63n) - 1n;
const units = Object.keys(unitNanos).sort((a, b) => b.length - a.length);
const part = new RegExp(`(\\d{1,19})(?:\\.(\\d{1,18}))?(${units.join('|')})`, 'y');

/**
 * Reads `250ms`, `1.5s`, `1h30m`: decimal numbers, each with a unit, without a sign. Exact; what is below one
 * nanosecond is cut off.
 * @returns Nanoseconds, 0 to 2^63-1; undefined when `text` is not a duration or is larger.
 */
export function durationNanos(text: string): bigint | undefined {
  if (text === '') return undefined;
  let total = 0n;
  part.lastIndex = 0;
  for (let at = 0; at < text.length; at = part.lastIndex) {
    const match = part.exec(text);
    if (match === null) return undefined;
    const [, whole = '', fraction = '', unit = 'ns'] = match;
    const nanos = unitNanos[unit as keyof typeof unitNanos];
    total += BigInt(whole) * nanos + (BigInt(`0${fraction}`) * nanos) / 10n ** BigInt(fraction.length);
    if (total > int64Max) return undefined;
  }
  return total;
}
