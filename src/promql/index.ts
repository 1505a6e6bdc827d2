export { evaluateInstant, evaluateRange, type Steps } from './evaluate.ts';
export { formatValue } from './format.ts';
export { parse as parsePromql } from './parse.ts';
export type { Series } from './series.ts';
