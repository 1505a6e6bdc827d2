export type { Expression } from './ast.ts';
export { type AnswerSeries, evaluateInstant, evaluateRange, type Steps, type Surroundings } from './evaluate.ts';
export { formatValue } from './format.ts';
export { parse as parsePromql } from './parse.ts';
export type { Series, SeriesReader } from './series.ts';
