export { type Config, type ConfigSources, type Inspection, inspectConfig, loadConfig } from './load.ts';
export { nearest } from './nearest.ts';
export { configSchema, type LogLevel, type Setting, settings } from './schema.ts';
export { formatDurationMs, formatSizeBytes, readDurationMs, readSizeBytes } from './units.ts';
