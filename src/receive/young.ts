import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Frees the buffers of bodies that are done with, by a collection of the young generation: about a millisecond.
 *
 * Bodies lie outside the heap and die young, but V8 frees them only with a collection of the heap, which hardly grows meanwhile.
 * Left alone it sees 64 MiB of buffers first and marks the whole heap instead, ten times a second under load.
 * Measured as CPU a gRPC call: 40 kB 263 → 150 µs, 400 kB 1,000 → 400 µs.
 */
export function collectYoung(): void {
  collect ??= prepare();
  collect({ type: 'minor' });
}

type Collect = (options: { type: 'minor' }) => void;
let collect: Collect | undefined;

function prepare(): Collect {
  // Not on the command line: whoever starts the process, as a test or in a container, need not know of it.
  setFlagsFromString('--expose-gc');
  // A young generation that stays at its first size is collected faster, and more often by itself.
  setFlagsFromString('--semi-space-growth-factor=1');
  const gc: unknown = runInNewContext('gc');
  return typeof gc === 'function' ? (gc as Collect) : () => {};
}
