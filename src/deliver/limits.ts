/** Full jitter lies between 0 and `backoffBaseMs` · 2^failures, up to `backoffMaxMs`. */
export const backoffBaseMs = 200;
export const backoffMaxMs = 30_000;
/** What a destination may ask us to wait; it is held to this, however absurd its Retry-After is. */
export const retryAfterMaxMs = 300_000;
/** One read of the log at least, so that small batches do not cost a file operation each. */
export const readBytesMin = 1 << 20;
/** A destination that turns out to take less than its `batchBytesMax` is never held to less than this. */
export const learnedBytesMin = 64 << 10;
/** After so many batches without a split, the learned size doubles again. */
export const learnedBatches = 256;
