/** Bytes of a label's or annotation's value; a longer one is left out: half of it would be another value. */
export const attributeValueBytesMax = 4 * 1024;
/** Resources whose association is remembered; past it those go that were not seen lately, and are read again. */
export const resourcesRememberedMax = 2 * 2_048;
/** Bytes of such a resource. A longer one is read each time. */
export const resourceBytesRememberedMax = 4 * 1024;
/** Resources that are enriched before others get their turn: at up to 30 µs each. A request may hold 100,000. */
export const resourcesAtOnceMax = 128;
/** Bytes that what is known of pods may add to one request; its further resources go on without. */
export const addedBytesMax = 32 * 1024 * 1024;
/** Pods that one request waits for; it goes on when these are known. */
export const podsWaitedForMax = 1_000;
/** Bytes of all requests that wait for a pod; one that finds no room goes on without its attributes. */
export const heldBytesMax = 32 * 1024 * 1024;
/** Such requests. Likewise: a small one costs more than its bytes while it waits. */
export const heldRequestsMax = 10_000;
/** A pod that did not appear while a request waited for it is not waited for again for so long. */
export const missRememberedMs = 30_000;
/**
 * Requests of one sender that waited in vain, one after the other, after which its next ones do not wait for as long: it sends for
 * pods of another cluster, say, of which each is a new one.
 */
export const vainWaitsMax = 3;
/** Such pods, and such senders; past it the oldest is forgotten. */
export const missesRememberedMax = 10_000;
/** While the first list is under way: how often those that wait look whether it has come. */
export const firstListLookMs = 50;
