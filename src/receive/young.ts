import { setFlagsFromString } from 'node:v8';

/**
 * Keeps the young generation of this thread's heap at its first size. To be called once, at the start of the process that receives.
 *
 * Bodies lie outside the heap and die young, but V8 frees them only with a collection of the heap, which grows little meanwhile.
 * With a young generation that has grown to its 16 MiB, V8 sees 64 MiB of buffers before it and marks the whole heap instead, ten
 * times a second. Measured with 40 kB a call over gRPC: 263 µs of CPU a call with V8's own growth, 157 µs with this.
 */
export function keepYoungGenerationSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
