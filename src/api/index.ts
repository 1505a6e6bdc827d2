export { type ApiOptions, createApi } from './create.ts';
export type { MetricsText } from './parts.ts';
export type {
  DestinationHealth,
  DropGroup,
  HealthReport,
  HealthSource,
  PipelineFlow,
  PipelineSource,
  StageCount,
} from './sources.ts';
