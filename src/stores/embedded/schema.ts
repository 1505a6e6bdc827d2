import type { ColumnSpec } from './columns.ts';
import { type Promoted, promotedColumn } from './keys.ts';

// Columns as the hot tables and the Parquet files have them. Times are unsigned, as OTLP's are: the year 2554 fits.

/** A span. `hour` names the file that it goes to (hours since 1970); the rest is the record's own. */
export const spanColumns: readonly ColumnSpec[] = [
  { name: 'hour', type: 'i32' },
  { name: 'trace_id', type: 'uuid' },
  { name: 'span_id', type: 'u64', random: true },
  { name: 'parent_span_id', type: 'u64', random: true },
  { name: 'time_unix_nano', type: 'u64' },
  { name: 'duration_nanos', type: 'i64' },
  { name: 'kind', type: 'i32' },
  { name: 'status', type: 'i32' },
  { name: 'service', type: 'text', coded: true },
  { name: 'name', type: 'text', coded: true },
  { name: 'search_text', type: 'text' },
  { name: 'origin', type: 'u64' },
  { name: 'attributes', type: 'text' },
  { name: 'record', type: 'blob' },
];

/** A log record. `time_unix_nano`: its time, else its observed time, else when it was received. */
export const logColumns: readonly ColumnSpec[] = [
  { name: 'hour', type: 'i32' },
  { name: 'time_unix_nano', type: 'u64' },
  { name: 'digest', type: 'uuid' },
  { name: 'digest_index', type: 'i32' },
  { name: 'observed_time_unix_nano', type: 'u64' },
  { name: 'severity', type: 'i32' },
  { name: 'service', type: 'text', coded: true },
  { name: 'event_name', type: 'text', coded: true },
  { name: 'body', type: 'text' },
  { name: 'trace_id', type: 'uuid' },
  { name: 'span_id', type: 'u64', random: true },
  { name: 'origin', type: 'u64' },
  { name: 'attributes', type: 'text' },
  { name: 'record', type: 'blob' },
];

/** A resource with a scope, as many records share them. `id` is a hash of what it holds. */
export const originColumns: readonly ColumnSpec[] = [
  { name: 'id', type: 'u64' },
  { name: 'service', type: 'text' },
  { name: 'namespace', type: 'text' },
  { name: 'environment', type: 'text' },
  { name: 'resource_attributes', type: 'text' },
  { name: 'scope_name', type: 'text' },
  { name: 'resource_schema_url', type: 'text' },
  { name: 'scope_schema_url', type: 'text' },
  { name: 'resource', type: 'blob' },
  { name: 'scope', type: 'blob' },
];

/**
 * A data point. `value`: of a gauge or a sum. `record`: the point as it was sent, for histograms and summaries, and for
 * others that have exemplars.
 */
export const pointColumns: readonly ColumnSpec[] = [
  { name: 'hour', type: 'i32' },
  { name: 'series', type: 'u64' },
  { name: 'time_unix_nano', type: 'u64' },
  { name: 'start_time_unix_nano', type: 'u64' },
  { name: 'value', type: 'f64' },
  { name: 'record', type: 'blob' },
];

/**
 * A metric with its resource and the attributes of its points. `name` as Prometheus has it; `labels` those of the points,
 * `resource_labels` those of the resource (labels.ts). Many series share what is coded.
 */
export const seriesColumns: readonly ColumnSpec[] = [
  { name: 'id', type: 'u64', random: true },
  { name: 'name', type: 'text', coded: true },
  { name: 'type', type: 'text', coded: true },
  { name: 'unit', type: 'text', coded: true },
  { name: 'description', type: 'text', coded: true },
  { name: 'labels', type: 'text', coded: true },
  { name: 'resource_labels', type: 'text', coded: true },
  { name: 'otlp_name', type: 'text', coded: true },
  { name: 'temporality', type: 'i32' },
  { name: 'service', type: 'text', coded: true },
  { name: 'namespace', type: 'text', coded: true },
  { name: 'environment', type: 'text', coded: true },
  { name: 'resource', type: 'blob', coded: true },
  { name: 'scope', type: 'blob', coded: true },
];

export function promotedSpecs(promoted: readonly Promoted[]): ColumnSpec[] {
  return promoted.map(({ key, kind }) => ({
    name: promotedColumn(key),
    type: kind === 'text' ? 'text' : kind === 'int' ? 'i64' : kind === 'double' ? 'f64' : 'bool',
    coded: kind === 'text',
  }));
}

const rollUpWho = [
  { name: 'service', type: 'text' },
  { name: 'namespace', type: 'text' },
  { name: 'environment', type: 'text' },
] as const;
const rollUpCounts = [
  { name: 'records', type: 'i64' },
  { name: 'last_seen', type: 'u64' },
] as const;

/** Spans per minute, service, operation, kind and bucket of duration. `minute`: since 1970. */
export const spanRollUpColumns: readonly ColumnSpec[] = [
  ...rollUpWho,
  { name: 'name', type: 'text' },
  { name: 'kind', type: 'i32' },
  { name: 'minute', type: 'u64' },
  { name: 'bucket', type: 'i32' },
  { name: 'records', type: 'i64' },
  { name: 'errors', type: 'i64' },
  { name: 'last_seen', type: 'u64' },
];

/** Log records per minute, service and severity. */
export const logRollUpColumns: readonly ColumnSpec[] = [
  ...rollUpWho,
  { name: 'severity', type: 'i32' },
  { name: 'minute', type: 'u64' },
  ...rollUpCounts,
];

/** Data points per minute and service. */
export const pointRollUpColumns: readonly ColumnSpec[] = [
  ...rollUpWho,
  { name: 'minute', type: 'u64' },
  ...rollUpCounts,
];
