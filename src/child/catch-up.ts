import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, type Signal, signals } from '../base/index.ts';
import type { DeliveryStats } from '../deliver/index.ts';
import type { Readers } from '../stores/contract.ts';
import { backlogWaitMs, catchUpCheckMs } from './limits.ts';
import type { Through } from './protocol.ts';

// What was only in memory when the last process ended comes again from the log, while questions are already asked.

/**
 * Waits until the delivery has brought everything up to `through`.
 * @param stats of the delivery; undefined while there is none.
 * @returns false where it has not in `timeMs`.
 */
export async function caughtUp(
  stats: () => DeliveryStats | undefined,
  through: Through,
  timeMs: number,
  cancel: AbortSignal,
): Promise<boolean> {
  const end = performance.now() + timeMs;
  while (isBehind(stats(), through)) {
    cancel.throwIfAborted();
    if (performance.now() > end) return false;
    await sleep(catchUpCheckMs);
  }
  return true;
}

function isBehind(stats: DeliveryStats | undefined, through: Through): boolean {
  return signals.some((signal) => {
    const last = through[signal] ?? 0;
    return last > 0 && (stats?.[signal]?.settledSeq ?? 0) < last;
  });
}

type Ask = (...args: unknown[]) => Promise<unknown>;

/**
 * Readers that know of the records which were there at the start: a question waits for those of its signal, and where
 * that takes too long the answer says that it lacks some.
 * @param through last sequence number of each log at the start.
 */
export function awaitingBacklog(readers: Readers, stats: () => DeliveryStats | undefined, through: Through): Readers {
  const whole = new Set<Signal>();
  const end = performance.now() + backlogWaitMs;
  const wrapped = Object.entries(readers).map(([signal, reader]) => {
    const last = { [signal]: through[signal as Signal] ?? 0 };
    const methods = Object.entries(reader as Record<string, Ask>).map(([name, ask]): [string, Ask] => [
      name,
      async (...args) => {
        const cancel = args.at(-1) as AbortSignal;
        if (!whole.has(signal as Signal) && (await caughtUp(stats, last, end - performance.now(), cancel)))
          whole.add(signal as Signal);
        const answer = await ask.apply(reader, args);
        return whole.has(signal as Signal) ? answer : lacking(answer);
      },
    ]);
    return [signal, Object.fromEntries(methods)];
  });
  return Object.fromEntries(wrapped) as Readers;
}

/** A page says that it is incomplete; what has no place for that is as complete as it can be, but nothing is not known to be nothing. */
function lacking(answer: unknown): unknown {
  if (answer === undefined) {
    const message = 'the store still reads what was received before its start';
    throw new Fault('unavailable', message, { retryAfterMs: 2_000 });
  }
  if (typeof answer !== 'object' || answer === null || !('incomplete' in answer) || !('warnings' in answer))
    return answer;
  const warnings = [...(answer.warnings as string[]), 'the store still reads what was received before its start'];
  return { ...answer, incomplete: true, warnings };
}
