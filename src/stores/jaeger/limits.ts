// What bounds a question to Jaeger. Writing has the bounds of stores/otlp.

/** Bytes of one answer; more is not read on, and the question is asked again for less. */
export const answerBytesMax = 48 << 20;
/** Bytes of an error's answer that are kept. */
export const errorBytesMax = 4 << 10;
/** Milliseconds without a byte from Jaeger. Passed: Fault `unavailable`. The budget of a query is the query layer's. */
export const silenceMs = 25_000;
export const connectionsMax = 8;

/** Traces that one request asks for at least and at most; all of their spans come with them. */
export const depthMin = 50;
export const depthMax = 500;
/** What one search may read of Jaeger before it answers with what it has found, `incomplete`. */
export const scanTracesMax = 20_000;
export const scanBytesMax = 256 << 20;
export const scanMs = 12_000;
export const scanRequestsMax = 400;
/** Nanoseconds: as fine as Jaeger's stores keep a start. More traces than a request may ask for in less: the search is `incomplete`. */
export const windowNanosMin = 1_000n;
/** Names of services that are asked one by one where Jaeger wants a service; the rest is left out, and said. */
export const servicesMax = 200;

/** Answers up to this are taken apart where they are; larger ones in a thread. 50 kB of JSON take 2 ms. */
export const inlineBytesMax = 64 << 10;
export const threadHeapMegabytesMax = 1_024;
