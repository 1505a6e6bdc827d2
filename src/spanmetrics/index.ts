export { withSpanMetrics } from './read.ts';
export { openSpanMetrics, type SpanMetricsOptions } from './write.ts';
