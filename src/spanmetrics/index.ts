export { withSpanMetrics } from './read.ts';
export { openSpanMetrics, type SpanMetrics, type SpanMetricsOptions } from './write.ts';
