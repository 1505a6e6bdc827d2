/** Services that are counted one by one, for each signal; those that come later are counted together under ''. */
export const servicesMax = 2_000;
/** Groups of dropped records; past it the group that was seen least recently goes. */
export const dropGroupsMax = 200;
/** Frames whose services are counted together on their way to the destinations: the grain of `stored`. */
export const framesPerChunk = 128;
/** Chunks on their way; past it the two oldest become one, and `stored` lags by as much. */
export const chunksMax = 4_000;
/** A destination that has been failing for longer makes the process degraded. */
export const failingDegradedMs = 10_000;
/** A destination that refuses records is named in the log at most so often, for each signal. */
export const refusalAlarmEveryMs = 60_000;
