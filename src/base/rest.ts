import { performance } from 'node:perf_hooks';
import { collectAll } from './young.ts';

// V8 gives memory back when it marks the heap, and marks it when it has grown to four times what lives in it (`main.ts`). What
// stops short of that stays resident for as long as nobody comes: 50 to 100 MiB of a minute of floods, of large bodies, of a
// start. V8's own look at an idle heap happens after a marking only, and does not see the pages that it keeps for later.

/** More than this since the last time is worth a collection: a tenth of a second, and what V8 has compiled is compiled anew. */
const grownBytes = 8 * 1024 * 1024;
/** Share of the time that the event loop is at work, below which the process is at rest: nobody sends anything then. */
const restUtilization = 0.02;

/**
 * Collects the whole heap and gives back what was free in it, when a process that has grown is at rest. A pause between two
 * bursts is none: the first million spans after a collection cost a second of CPU more.
 * @param options.checkMs Between two looks. @param options.restMs How long it must have rested.
 */
export function collectAtRest({ checkMs = 5_000, restMs = 30_000 } = {}): Disposable {
  let atRestBytes = 0;
  let busyMs = performance.now();
  let before = performance.eventLoopUtilization();
  const check = () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    if (utilization >= restUtilization) busyMs = performance.now();
    const residentBytes = process.memoryUsage.rss();
    atRestBytes = Math.min(atRestBytes, residentBytes);
    if (performance.now() - busyMs < restMs || residentBytes < atRestBytes + grownBytes) return;
    collectAll();
    atRestBytes = process.memoryUsage.rss();
  };
  const timer = setInterval(check, checkMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
