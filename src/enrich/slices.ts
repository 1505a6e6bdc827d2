import { setImmediate } from 'node:timers/promises';
import { resourcesAtOnceMax } from './limits.ts';

/**
 * Does a piece of work for each of many resources: at once where they are few, as they nearly always are, and else in
 * slices between which others get their turn.
 * @param work Is told from which index on, and up to which one, exclusive.
 * @returns    A promise only where it took more than one slice.
 */
export function inSlices(count: number, work: (from: number, to: number) => void): Promise<void> | undefined {
  if (count > resourcesAtOnceMax) return slowly(count, work);
  work(0, count);
  return undefined;
}

async function slowly(count: number, work: (from: number, to: number) => void): Promise<void> {
  for (let from = 0; from < count; from += resourcesAtOnceMax) {
    if (from > 0) await setImmediate();
    work(from, Math.min(count, from + resourcesAtOnceMax));
  }
}
