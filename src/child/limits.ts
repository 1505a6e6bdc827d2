/** Calls that may wait for the child at once; a further one is answered `unavailable`. */
export const callsMax = 256;
/** How long an erasure may take, which writes files again; past it Fault `tooSlow`, and what is removed stays removed. */
export const eraseTimeMaxMs = 240_000;
/** How long of that it waits for what was received before it to be in the store; past it Fault `unavailable`. */
export const catchUpTimeMaxMs = 60_000;
/**
 * How long after its start the store lets questions wait for the records that were there before to be in it again; past it
 * answers are made of what there is, and say so.
 */
export const backlogWaitMs = 4_000;
/** How often it looks. */
export const catchUpCheckMs = 20;
/** How often the child is told what is durable, at most. */
export const durableEveryMs = 20;
/** How often the child reports what it delivered, while there is something new. */
export const reportEveryMs = 200;
/** Restarts: 250 ms, doubled by each that follows within `healthyMs` of its start, up to 30 s. */
export const restartBaseMs = 250;
export const restartMaxMs = 30_000;
export const healthyMs = 60_000;
/** Start answers after so long even where the child is still opening its store: receiving does not wait for it. */
export const startWaitMs = 5_000;
/** What the child wrote to its standard error is kept up to here, for the line that reports its end. */
export const stderrCharsMax = 4_096;
/** How long a child waits for the one before it, which lost its parent, to let go of the store's folder. */
export const takeOverMs = 5_000;
/** A child that is well is heard of at least so often. */
export const aliveEveryMs = 5_000;
/** One that was not heard of in so many checks in a row hangs, and is ended and started again: after a minute. */
export const silentCheckMs = 10_000;
export const silentChecksMax = 6;
/** Heap of the thread of one store; past it the thread ends and is started again. */
export const threadHeapMiB = 256;
/** A host whose options change gets this long to finish what is under way. */
export const replaceWithinMs = 5_000;
/**
 * Of the child's JavaScript, MiB: below it V8 does not collect what is old. Hot rows are outside of its heap but count, so
 * that it would else mark everything several times a second, for a third of the child's CPU at full speed.
 */
export const heapInitialMiB = 160;
