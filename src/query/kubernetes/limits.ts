/** Milliseconds after which what no receiver repeats is gone, and a pod that only writes logs where receivers tell of others. Receivers send each 10 to 60 s. */
export const staleAfterMs = 300_000;
/** Series of which a view reads the last sample, for each of its questions; past it `unprocessable`. A pod has up to 12. */
export const seriesMax = 500_000;
/** How far back events tell why a pod is not ready. */
export const reasonsAfterNanos = 900_000_000_000n;
/** Events that are read for that; with more, older ones say nothing, and `warnings` says so. */
export const reasonEventsMax = 1_000;
/** How far back a node's last word on being cordoned is looked for: with what keeps logs for a shorter time, so far. */
export const cordonsAfterNanos = 7n * 86_400_000_000_000n;
/** Pods of which logs alone are known: as many are looked up. `warnings` says so when there are more. */
export const logPodsMax = 20;
/** Names of pods that are asked of the logs. */
export const logPodNamesMax = 1_000;
/** Pods in trouble that the overview names. */
export const troublesMax = 20;
