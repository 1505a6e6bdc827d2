export { type ApiOptions, createApi } from './create.ts';
export type { HealthReport, HealthSource, PipelineSource } from './sources.ts';
