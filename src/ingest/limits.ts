/** A larger body is checked in a thread: at about 2 ms a MiB, and ten times that where records must be rejected. */
export const inlineBytesMax = 1024 * 1024;
/** Heap of such a thread; the bodies themselves are outside of it. Past it the request is answered as too large. */
export const workerHeapMegabytesMax = 768;
