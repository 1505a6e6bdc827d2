import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, type Signal, signals } from '../base/index.ts';
import type { DeliveryStats } from '../deliver/index.ts';
import type { Eraser } from '../stores/contract.ts';
import { catchUpCheckMs, catchUpTimeMaxMs } from './limits.ts';
import type { Through } from './protocol.ts';

/**
 * Removes records from a store, those too that were received before and that its delivery has not got to yet.
 * @param stats Of the delivery; undefined while there is none.
 * @returns a method that throws Fault `unavailable` where the delivery does not get to them in time.
 */
export function eraseThrough(store: Eraser, stats: () => DeliveryStats | undefined) {
  return async (
    key: string,
    value: string,
    through: Through,
    cancel: AbortSignal,
  ): Promise<Readonly<Record<Signal, number>>> => {
    const end = performance.now() + catchUpTimeMaxMs;
    while (isBehind(stats(), through)) {
      cancel.throwIfAborted();
      if (performance.now() > end) {
        const message = 'the store has not got yet what was received before; nothing was removed';
        throw new Fault('unavailable', message, { retryAfterMs: 30_000 });
      }
      await sleep(catchUpCheckMs);
    }
    return store.eraseByResource(key, value, cancel);
  };
}

function isBehind(stats: DeliveryStats | undefined, through: Through): boolean {
  if (stats === undefined) return true;
  return signals.some((signal) => (stats[signal]?.settledSeq ?? Number.POSITIVE_INFINITY) < (through[signal] ?? 0));
}
