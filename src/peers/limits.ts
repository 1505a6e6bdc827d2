// The numbers that bound what replicas say to each other. Sizes in bytes, times in milliseconds.

const MiB = 1024 * 1024;

/** What a frame says beside its body: destinations, tenant and message are bounded by the log. */
export const headBytesMax = MiB;
/** Tenant and message, each: what a frame of the log has room for. */
export const textBytesMax = 65_535;
/** A frame on its way: its body is a request of at most 64 MiB and what enrichment added. Past it 413. */
export const messageBytesMax = 128 * MiB;
/** Messages that are being received or written, all together; past it 503, and the giver asks the next replica. */
export const heldBytesMax = 192 * MiB;
/** Connections from other replicas; further ones are closed. */
export const connectionsMax = 128;
/** A message must have come in whole within this time. */
export const requestTimeoutMs = 30_000;
/** Its head within this. */
export const headTimeoutMs = 10_000;
/** What a replica that cannot take a frame now asks the giver to wait. */
export const retryAfterMs = 1_000;
/** Frames that are on their way to others at once. */
export const inFlightMax = 8;
/** Of the log, read at once before it is given. */
export const readBytesMax = 8 * MiB;
/** A replica that has not answered by then may have taken the frame: it is asked again, and recognises it. */
export const answerWithinMs = 10_000;
/** Pause after none could take a frame, and how long addresses are believed. */
export const roundPauseMs = 500;
/** A replica that is starting meanwhile is waited for this long; past it there is none. */
export const aloneMs = 20_000;
/** What nobody took is counted for this long, for the log of this process; the rest is told as a number of requests. */
export const countWithinMs = 3_000;
/** An address at which nobody is (a node that died) is given up after this; a round trip takes a few milliseconds. */
export const connectWithinMs = 3_000;
/** A question that a replica has not answered by then is answered without it. */
export const askWithinMs = 5_000;
/** An answer to a question: a list of dead letters. */
export const askedBytesMax = 16 * MiB;
/** One line of the log in this time about peers with a wrong token. */
export const strangerLogMs = 10_000;
/** Addresses that a name is believed to have. */
export const addressesMax = 256;
/** An answer of a peer. */
export const answerBytesMax = 64 * 1024;
