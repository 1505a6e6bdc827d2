// What bounds a question. Passing a bound of the text or of a parameter is Fault `malformed` (400).

/** Characters of a `query`. */
export const queryCharsMax = 8_192;
/** Nesting of parentheses and NOT. */
export const queryDepthMax = 64;
/** Conditions and words of one query. */
export const queryTermsMax = 256;
/** Values of one `key in (…)`. */
export const inValuesMax = 256;
/** Characters of one regular expression; RE2's own bound on its program is the store's. */
export const regexCharsMax = 1_000;

/** Rows of one page, of each list. */
export const limitMax = 1_000;
/** Rows of a page for which no limit was asked. */
export const limitDefault = 100;
/** Characters of a cursor; a longer one was not made by us. */
export const cursorCharsMax = 4_096;
/** Buckets of a histogram, and how many one without an interval aims at. */
export const bucketsMax = 2_000;
export const bucketsDefault = 60;

/** Milliseconds that a query may take, its waiting for a place included. Passed: Fault `tooSlow` (504). */
export const queryBudgetMs = 30_000;
/** Queries under way at once. */
export const queriesAtOnceMax = 8;
/** Queries that wait for a place; the next one is told to come again: Fault `unavailable` (503). */
export const queriesWaitingMax = 100;
/**
 * Samples that one PromQL query may load: Fault `unprocessable` (422). Prometheus allows 50 million and 20 queries; here
 * a sample takes 16 bytes, so that 8 queries hold 256 MB at most.
 */
export const samplesMax = 2_000_000;
/** How far before and after a trace's spans its logs are looked for: clocks differ, and batches come late. */
export const traceLogsMarginNanos = 300_000_000_000n;

/** Evaluations of a recording rule for one question; of a longer time there is one each few intervals. */
export const recordedStepsMax = 2_000;
/** Milliseconds between two of them at most: less than an instant vector looks back. A time of more than 11,000 is refused. */
export const recordedStepMsMax = 270_000;
/** Minutes of which is remembered whether Prometheus had loaded the rules; past it the one that was asked first goes. */
export const recordedMinutesMax = 100;
