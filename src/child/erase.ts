import { Fault, type Signal } from '../base/index.ts';
import type { DeliveryStats } from '../deliver/index.ts';
import type { Eraser } from '../stores/contract.ts';
import { caughtUp } from './catch-up.ts';
import { catchUpTimeMaxMs } from './limits.ts';
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
    if (!(await caughtUp(stats, through, catchUpTimeMaxMs, cancel))) {
      const message = 'the store has not got yet what was received before; nothing was removed';
      throw new Fault('unavailable', message, { retryAfterMs: 30_000 });
    }
    return store.eraseByResource(key, value, cancel);
  };
}
