/** Bytes of a request's line and headers together; beyond it 431. A query of 8,192 characters, percent-encoded, fits. */
export const headerBytesMax = 65_536;
/** Characters of one decoded path parameter, such as a service name; beyond it 414. */
export const pathParameterCharsMax = 1_024;
/** Bytes of a form that a POST brings; beyond it 413. */
export const formBytesMax = 1_048_576;
/** Milliseconds for a request's headers and body to arrive; beyond it 408. */
export const requestTimeoutMs = 30_000;
/** Bytes of a trace in protobuf that are turned into JSON at once, in about 5 ms; beyond it a thread does it. */
export const traceInlineBytesMax = 65_536;
/** Heap of that thread; past it the trace is answered 503. */
export const traceThreadHeapMegabytesMax = 1_024;
