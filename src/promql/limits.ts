/** Characters of an expression. Passed: Fault `malformed`. */
export const expressionCharsMax = 65_536;
/** Nesting of parentheses and aggregations. Passed: Fault `malformed`. */
export const depthMax = 64;
/** Points of one series in a range query, as Prometheus has it. Passed: Fault `malformed` with the parameter `step`. */
export const pointsMax = 11_000;
/** Points of a whole answer: what many series times many steps would come to. Passed: Fault `unprocessable`. */
export const answerPointsMax = 1_000_000;
/** How far back an instant vector looks for a sample, exclusive. Prometheus' default. */
export const lookbackMs = 300_000;
