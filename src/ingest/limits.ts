/** A larger body is checked in a thread: at about 2 ms a MiB, 50 ms where it is made to take long. */
export const inlineBytesMax = 1024 * 1024;
/** A larger body in which something must be mended or rejected is: at up to 500 ms a MiB. */
export const inlineMendBytesMax = 128 * 1024;
/** Heap of such a thread; the bodies themselves are outside of it. Past it the request is answered as too large. */
export const workerHeapMegabytesMax = 768;
