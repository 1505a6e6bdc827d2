/** Milliseconds that a reader waits for an answer; longer than the server's own budget for a query. */
export const answerBudgetMs = 45_000;
/** Milliseconds that `demo --clear` waits; longer than the server may take. */
export const clearBudgetMs = 270_000;
/** Bytes of one answer; what is larger is not read to its end. */
export const answerBytesMax = 256 * 2 ** 20;
/** Records that one page of a list asks for; the server's own bound. */
export const pageRecordsMax = 1000;
/** How far back `tail` looks again at each poll, for records that arrive later than their time says. */
export const tailOverlapMs = 10_000;
/** How far ahead of the server's clock `tail` looks, for senders and readers whose clocks differ. */
export const tailEnd = 'now+1m';
/** Records that `tail` remembers to show each once; past it, it looks back less far. */
export const tailIdsMax = 50_000;
/** Between two polls. */
export const pollMs = 1000;
/** Widest column of a table on a terminal that is not the last one. */
export const cellCharsMax = 60;
/** Milliseconds that `demo` and `send` give one export request, its retries aside. */
export const exportBudgetMs = 15_000;
/** Times that `demo` sends a request again that was refused for now. */
export const exportRetriesMax = 8;
/** Milliseconds that `send` looks for what was acknowledged. */
export const readBackBudgetMs = 10_000;
