/** A larger body is checked in a thread: at about 2 ms a MiB, 50 ms where it is made to take long. */
export const inlineBytesMax = 1024 * 1024;
/** A larger body in which something must be mended or rejected is: at up to 500 ms a MiB. */
export const inlineMendBytesMax = 128 * 1024;
/** Heap of such a thread; the bodies themselves are outside of it. Past it the request is answered as too large. */
export const workerHeapMegabytesMax = 768;
/**
 * From here on a request is named by the tag of AES-GMAC. Its cipher is an object with a finalizer, which costs the collector
 * of garbage: at 32 kB a request a million log records took 1.93 s of CPU with it and 1.56 without, at 320 kB 0.71 and 0.79.
 */
export const authenticatedBytesMin = 96 * 1024;
