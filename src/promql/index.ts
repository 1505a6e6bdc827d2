export type { Expression } from './ast.ts';
export { evaluateInstant, evaluateRange, type Steps } from './evaluate.ts';
export { formatValue } from './format.ts';
export { metricNames } from './names.ts';
export { parse as parsePromql } from './parse.ts';
export { type Series, type SeriesReader, staleMarkerBits } from './series.ts';
