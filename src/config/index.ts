export { configJsonSchema, configReference, type Effective, effectiveSettings } from './explain.ts';
export { type Config, type Inspection, inspectConfig, loadConfig } from './load.ts';
export { settings } from './schema.ts';
export { formatDurationMs, formatSizeBytes, readDurationMs } from './units.ts';
