import type { Json, LogRow } from '../contract.ts';
import { type MatchedRecord, textOf } from '../match.ts';
import { nanosOf } from './schema.ts';

// Documents as records.

/** A document as we wrote it (encode.ts); what it does not have is undefined. */
export interface Source {
  readonly '@timestamp': string;
  readonly time?: string;
  readonly request: string;
  readonly record: number;
  readonly severity_number: number;
  readonly severity_text?: string;
  readonly observed_timestamp?: string;
  readonly event_name?: string;
  readonly trace_id?: string;
  readonly span_id?: string;
  readonly body?: string;
  readonly body_json?: boolean;
  readonly attributes?: { [key: string]: Json };
  readonly resource: { readonly attributes: { [key: string]: Json } };
  readonly scope: { readonly name: string };
  readonly service?: string;
}

export function logRow(source: Source): LogRow {
  return {
    id: `${source.request}-${source.record}`,
    timeUnixNano: nanosOf(source.time ?? source['@timestamp']),
    observedTimeUnixNano: source.observed_timestamp === undefined ? 0n : nanosOf(source.observed_timestamp),
    severityNumber: source.severity_number,
    severityText: source.severity_text ?? '',
    eventName: source.event_name ?? '',
    body: source.body === undefined ? null : source.body_json ? (JSON.parse(source.body) as Json) : source.body,
    attributes: source.attributes ?? {},
    resource: source.resource.attributes,
    scopeName: source.scope.name,
    traceId: source.trace_id ?? '',
    spanId: source.span_id ?? '',
  };
}

/** What a filter can ask of a row. */
export function matched(row: LogRow): MatchedRecord {
  const service = row.resource['service.name'];
  return {
    service: service === undefined || service === null ? undefined : textOf(service) || undefined,
    name: row.eventName || undefined,
    kind: undefined,
    status: undefined,
    durationNanos: undefined,
    severityNumber: row.severityNumber,
    body: row.body === null ? undefined : row.body,
    traceId: row.traceId || undefined,
    spanId: row.spanId || undefined,
    attributes: row.attributes,
    resource: row.resource,
    texts: row.body === null ? [] : [textOf(row.body)],
  };
}
