import type { TimeRange } from '../contract.ts';
import { keywordCharsMax } from './limits.ts';

// The index: one a day (UTC) of the records' own time, made from a template of ours. The fields of a document are at `template`.

const prefix = 'watchingcat-logs-';
export const indexPattern = `${prefix}*`;
export const templateName = 'watchingcat-logs';
/** Counts up with each change of the template; one that is newer than ours is left alone. */
export const templateVersion = 2;
/** An alias of every index that shows the Kubernetes events alone. It is outside `indexPattern`, which must not find them twice. */
export const eventsAlias = 'watchingcat-events';
export const eventsFilter = { exists: { field: 'k8s_event' } } as const;

const dayMs = 86_400_000;

/** @param day since 1970-01-01. @returns `watchingcat-logs-2026.01.31` */
export function indexName(day: number): string {
  return prefix + new Date(day * dayMs).toISOString().slice(0, 10).replaceAll('-', '.');
}

export function dayOf(ms: number): number {
  return Math.floor(ms / dayMs);
}

/** When the last record of an index may have happened, in Unix milliseconds; undefined for an index that is not ours. */
export function indexEndMs(name: string): number | undefined {
  const match = /^watchingcat-logs-(\d{4})\.(\d{2})\.(\d{2})$/.exec(name);
  if (match === null) return undefined;
  const startMs = Date.UTC(Number(match[1]), Number(match[2]) - 1, Number(match[3]));
  return indexName(dayOf(startMs)) === name ? startMs + dayMs : undefined;
}

/** Field that holds the time to the nanosecond; Elasticsearch's dates end here. */
export const dateNanosMax = 0x7fffffffffffffffn;

/** Fields that only the index needs: left out where records are read. */
export const termFields = ['attrs', 'keys', 'numbers', 'resource_attrs', 'resource_keys', 'resource_numbers'] as const;

const keyword = { type: 'keyword', ignore_above: keywordCharsMax };
/** Terms are within their bounds already. */
const terms = { type: 'keyword' };
const onlyFound = { type: 'keyword', doc_values: false };
const onlyStored = { type: 'object', enabled: false };

/** The template: `PUT _index_template/watchingcat-logs`. No attribute has a field of its own, so that no mapping can explode. */
export const template = {
  index_patterns: [indexPattern],
  priority: 500,
  version: templateVersion,
  _meta: {
    description: 'Logs and Kubernetes events. Written, and deleted when their retention is over, by WatchingCat',
  },
  template: {
    aliases: { [eventsAlias]: { filter: eventsFilter } },
    settings: {
      index: {
        number_of_shards: 1,
        auto_expand_replicas: '0-1',
        codec: 'best_compression',
        query: { default_field: ['body'] },
      },
    },
    mappings: {
      dynamic: false,
      properties: {
        '@timestamp': { type: 'date_nanos' },
        /** Name of the request: with `record` it is the record's id. */
        request: { type: 'keyword' },
        record: { type: 'integer' },
        severity_number: { type: 'integer' },
        body: { type: 'text', norms: false },
        event_name: keyword,
        trace_id: onlyFound,
        span_id: onlyFound,
        service: keyword,
        /** Name, namespace and environment, separated by U+001F; of an event without the name. */
        service_identity: keyword,
        attrs: terms,
        keys: terms,
        numbers: onlyFound,
        resource_attrs: terms,
        resource_keys: terms,
        resource_numbers: onlyFound,
        /** The object of a Kubernetes event. */
        k8s_event: {
          properties: {
            kind: keyword,
            namespace: keyword,
            name: keyword,
            uid: keyword,
            reason: keyword,
            type: keyword,
          },
        },
        /** `long_words`: the body has a token that is longer than the tokenizer takes. */
        flags: terms,
        resource: onlyStored,
        scope: onlyStored,
        attributes: onlyStored,
      },
    },
  },
} as const;

/** The condition that a record's time is in a range. */
export function timeQuery(range: TimeRange): object {
  const bounds: { gte?: string; lt?: string } = {};
  if (range.startUnixNano > 0n)
    bounds.gte = isoNanos(range.startUnixNano > dateNanosMax ? dateNanosMax : range.startUnixNano);
  if (range.endUnixNano <= dateNanosMax) bounds.lt = isoNanos(range.endUnixNano < 0n ? 0n : range.endUnixNano);
  return { range: { '@timestamp': { ...bounds, format: 'strict_date_optional_time_nanos' } } };
}

const nanosPerSecond = 1_000_000_000n;

/** `2026-01-31T12:00:00.000000001Z` */
export function isoNanos(unixNano: bigint): string {
  const seconds = unixNano / nanosPerSecond;
  const nanos = unixNano % nanosPerSecond;
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${String(nanos).padStart(9, '0')}Z`;
}

/** The other way. Also understands fewer digits, which Elasticsearch writes where the rest is 0. */
export function nanosOf(iso: string): bigint {
  const match = /^(.{19})(?:\.(\d{1,9}))?Z$/.exec(iso);
  const ms = match === null ? Number.NaN : Date.parse(`${match[1]}Z`);
  if (match === null || Number.isNaN(ms)) throw new Error('a time that is not in the form in which we write it');
  return BigInt(ms) * 1_000_000n + BigInt((match[2] ?? '').padEnd(9, '0'));
}
