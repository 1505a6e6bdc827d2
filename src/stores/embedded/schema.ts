import type { ColumnSpec } from './columns.ts';
import { type Promoted, promotedColumn } from './keys.ts';

// Columns as the hot tables and the Parquet files have them. Times are unsigned, as OTLP's are: the year 2554 fits.

/** A span. `hour` names the file that it goes to (hours since 1970); the rest is the record's own. */
export const spanColumns: readonly ColumnSpec[] = [
  { name: 'hour', type: 'i32' },
  { name: 'trace_id', type: 'uuid' },
  { name: 'span_id', type: 'u64' },
  { name: 'parent_span_id', type: 'u64' },
  { name: 'time_unix_nano', type: 'u64' },
  { name: 'duration_nanos', type: 'i64' },
  { name: 'kind', type: 'i32' },
  { name: 'status', type: 'i32' },
  { name: 'service', type: 'text' },
  { name: 'name', type: 'text' },
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
  { name: 'service', type: 'text' },
  { name: 'event_name', type: 'text' },
  { name: 'body', type: 'text' },
  { name: 'trace_id', type: 'uuid' },
  { name: 'span_id', type: 'u64' },
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

/** A metric with its resource and the attributes of its points. `name` and `labels` as Prometheus has them. */
export const seriesColumns: readonly ColumnSpec[] = [
  { name: 'id', type: 'u64' },
  { name: 'name', type: 'text' },
  { name: 'type', type: 'text' },
  { name: 'unit', type: 'text' },
  { name: 'description', type: 'text' },
  { name: 'labels', type: 'text' },
  { name: 'otlp_name', type: 'text' },
  { name: 'temporality', type: 'i32' },
  { name: 'service', type: 'text' },
  { name: 'namespace', type: 'text' },
  { name: 'environment', type: 'text' },
  { name: 'resource', type: 'blob' },
  { name: 'scope', type: 'blob' },
];

export function promotedSpecs(promoted: readonly Promoted[]): ColumnSpec[] {
  return promoted.map(({ key, kind }) => ({
    name: promotedColumn(key),
    type: kind === 'text' ? 'text' : kind === 'int' ? 'i64' : kind === 'double' ? 'f64' : 'bool',
  }));
}
