/** What bounds the receivers. Sizes in bytes, times in milliseconds; each says what happens when it is passed. */
export interface ReceiveLimits {
  /** One request, as received and again after decompression. Past it: 413, RESOURCE_EXHAUSTED without RetryInfo. */
  readonly bodyBytesMax: number;
  /** Request headers together. Past it: 431, or the stream is reset. */
  readonly headerBytesMax: number;
  /** Connections a listener holds. Past it a new one is closed at once, and counted. */
  readonly connectionsMax: number;
  /** Calls at once on one HTTP/2 connection; announced in SETTINGS. Past it: the stream is refused, which clients retry. */
  readonly streamsPerConnectionMax: number;
  /** From the first byte of a connection to the end of the first headers. Past it the connection is closed. */
  readonly headerTimeoutMs: number;
  /** From the headers of a request to the end of its body. Past it: 408, DEADLINE_EXCEEDED. */
  readonly bodyTimeoutMs: number;
  /** A connection without any request. Past it: closed, over HTTP/2 with GOAWAY. */
  readonly idleTimeoutMs: number;
  /**
   * Age at which an HTTP/2 connection is asked to go (±10 %), so that the load spreads over new replicas.
   * What is under way on it is answered, for `connectionAgeGraceMs` at most.
   */
  readonly connectionAgeMs: number;
  readonly connectionAgeGraceMs: number;
  /** An HTTP/2 connection that was silent for so long is pinged, and closed if the answer takes `pingTimeoutMs`. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** PING and SETTINGS frames a second from one peer. Past it: GOAWAY with ENHANCE_YOUR_CALM. */
  readonly controlFramesPerSecondMax: number;
}

export const defaultReceiveLimits: ReceiveLimits = {
  bodyBytesMax: 64 * 1024 * 1024, // OTLP 1.11.0, "Request size limit": recommended
  headerBytesMax: 16 * 1024,
  connectionsMax: 8192,
  streamsPerConnectionMax: 256,
  headerTimeoutMs: 9_000, // checked each second: closed within ten
  bodyTimeoutMs: 29_000, // likewise: within thirty
  idleTimeoutMs: 300_000,
  connectionAgeMs: 60_000,
  connectionAgeGraceMs: 30_000,
  pingIntervalMs: 30_000,
  pingTimeoutMs: 20_000,
  controlFramesPerSecondMax: 500,
};

/** Bytes of all requests that are being received or processed, over all listeners. Past it: UNAVAILABLE, 503. */
export const inFlightBytesMax = 256 * 1024 * 1024;
/** What one peer address may hold of them, so that its big bodies leave room for the others. */
export const inFlightBytesPerSenderMax = 160 * 1024 * 1024;
/** After a moment without requests the memory of their bodies is kept for this long. */
export const blocksIdleMs = 10_000;
/** Bytes of bodies in buffers of their own after whose end the memory is given back: see `base/young.ts`. */
export const collectEveryBytes = 8 * 1024 * 1024;
/** When a request that found no room may come again. */
export const retryAfterMs = 1_000;

/** A compressed body that stays below this when decompressed is decompressed on the main thread: a millisecond or two. */
export const inlineDecompressedBytesMax = 256 * 1024;
/** JSON up to this size is converted on the main thread: as above. */
export const inlineJsonBytesMax = 32 * 1024;
/** Heap of one such thread. Past it the thread dies, and the request that it worked on is answered as too large. */
export const workerHeapMegabytesMax = 768;
/** Text in an answer. The specification allows 4 MiB for the whole answer; nobody reads more than this. */
export const messageCharactersMax = 8 * 1024;
/** Header of the PROXY protocol, version 2, with what a proxy adds to it; 65,551 are possible. Past it the connection is closed. */
export const proxyHeaderBytesMax = 4 * 1024;
/** How long what a refused client still sends is read and thrown away, so that it gets to read the answer. */
export const lingerMs = 2_000;
