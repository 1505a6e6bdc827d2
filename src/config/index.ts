export { configJsonSchema, configReference, type Effective, effectiveSettings } from './explain.ts';
export { type Config, type ConfigSources, type Inspection, inspectConfig, loadConfig } from './load.ts';
export { type LogLevel, settings } from './schema.ts';
export { formatDurationMs, formatSizeBytes, readDurationMs } from './units.ts';
