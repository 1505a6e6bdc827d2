import { setImmediate } from 'node:timers/promises';

/** Milliseconds that a computation may hold the thread on which requests are received. */
const holdMs = 5;
/** Calls between two looks at the clock: a look costs more than what is done in between. */
const callsPerLook = 256;

/**
 * Makes a function that a long computation calls often: it returns a promise to await when others are due, and throws
 * the reason once `cancel` has fired.
 */
export function pace(cancel: AbortSignal): () => Promise<void> | undefined {
  let calls = 0;
  let since = performance.now();
  return () => {
    if (++calls % callsPerLook !== 0) return undefined;
    cancel.throwIfAborted();
    if (performance.now() - since < holdMs) return undefined;
    return setImmediate().then(() => {
      since = performance.now();
      cancel.throwIfAborted();
    });
  };
}
