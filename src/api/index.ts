export { type ApiOptions, createApi } from './create.ts';
export type { DeadLetterSource, HealthReport, HealthSource, PipelineSource } from './sources.ts';
