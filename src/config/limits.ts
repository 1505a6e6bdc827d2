/** Largest TCP port. */
export const portMax = 65_535;
/** Smallest bound of one signal's log: below it there is no room for a largest request beside the open segment. */
export const logSizeBytesMin = 128 * 2 ** 20;
/** Bytes of a configuration file, or of a file that holds a secret; a larger one is refused, unread. */
export const configFileBytesMax = 1024 * 1024;
/** Headers of the forwarded requests; more are refused. */
export const headersMax = 64;
/** A request that waits longer for its pod would meet its client's deadline: that of OTLP exporters is 10 s. */
export const holdSecondsMax = 8;
