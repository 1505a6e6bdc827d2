import { Fault } from '../base/index.ts';
import type { TimeRange } from '../stores/contract.ts';
import { unitNanos } from './duration.ts';
import { bucketsDefault, bucketsMax } from './limits.ts';

const { ms, s, m, h, d } = unitNanos;
/** Widths that read well on an axis. */
const round = [ms, 5n * ms, 10n * ms, 50n * ms, 100n * ms, 500n * ms].concat(
  [s, 2n * s, 5n * s, 10n * s, 15n * s, 30n * s],
  [m, 2n * m, 5n * m, 10n * m, 15n * m, 30n * m],
  [h, 2n * h, 3n * h, 6n * h, 12n * h, d, 2n * d, 7n * d, 30n * d],
);

/**
 * Width of a histogram's buckets.
 * @param wanted  What was asked for, in nanoseconds; undefined: the smallest round width that needs no more than 60.
 * @throws Fault  `malformed` with the parameter `interval` where `wanted` would give too many buckets.
 */
export function histogramInterval({ startUnixNano, endUnixNano }: TimeRange, wanted: bigint | undefined): bigint {
  const span = endUnixNano - startUnixNano;
  if (wanted === undefined) {
    const found = round.find((width) => span <= width * BigInt(bucketsDefault));
    if (found !== undefined) return found;
    const days = span / (d * BigInt(bucketsDefault)) + 1n;
    return days * d;
  }
  // One more than the quotient: buckets are aligned, so the first and the last may stick out.
  if (wanted <= 0n || span / wanted + 1n > BigInt(bucketsMax)) {
    throw new Fault('malformed', `expected an interval that gives at most ${bucketsMax} buckets`, {
      parameter: 'interval',
    });
  }
  return wanted;
}
