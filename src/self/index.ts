export { PipelineCounters } from './counters.ts';
export { assessHealth, type DestinationState, type LoopState, type Report, type Status } from './health.ts';
export { type Drop, type Flow, PipelineLedger, type SettledThrough } from './ledger.ts';
export { createLogger } from './logger.ts';
export {
  createMetrics,
  type MetricSource,
  type OwnMetric,
  type OwnMetrics,
  ownMetrics,
  type Sample,
} from './metrics.ts';
export { RefusalAlarm } from './refusal-alarm.ts';
