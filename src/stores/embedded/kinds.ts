import { eventObjectAttribute, watchedMetricPrefixes } from '../../otlp/index.ts';
import { logDecoder, traceDecoder } from './decode.ts';
import { metricDecoder } from './decode-metrics.ts';
import { promotedColumn } from './keys.ts';
import type { ShelfKind } from './kind.ts';
import { Origins } from './origins.ts';
import { bucketsPerOctave } from './rollup.ts';
import {
  logColumns,
  logRollUpColumns,
  originColumns,
  pointColumns,
  pointRollUpColumns,
  seriesColumns,
  spanColumns,
  spanRollUpColumns,
} from './schema.ts';
import { KnownSeries } from './series.ts';

// What is particular to each signal: its columns, its decoder, its roll-up.

export const nanosPerMinute = 60_000_000_000n;

/** What makes no service. */
const isEvent = `json_exists(o.resource_attributes, '$."${eventObjectAttribute}"')`;
const isWatched = watchedMetricPrefixes.map((prefix) => `starts_with(s.otlp_name, '${prefix}')`).join(' OR ');

const minute = `time_unix_nano // ${nanosPerMinute} AS minute`;

/** Per minute, service, operation, kind and bucket of duration. */
export const traceKind: ShelfKind = {
  signal: 'traces',
  columns: spanColumns,
  dictionaryColumns: originColumns,
  dictionaryId: 'origin',
  traceIds: true,
  promotes: true,
  sortBy: undefined,
  rollUpColumns: spanRollUpColumns,
  rollup: (facts, dictionary) =>
    `SELECT o.service, o.namespace, o.environment, f.name, f.kind, ${minute},
      CASE WHEN duration_nanos > 0 THEN CAST(floor(log2(duration_nanos) * ${bucketsPerOctave}) AS INTEGER) ELSE -1 END AS bucket,
      CAST(count(*) AS BIGINT) AS records, CAST(count(*) FILTER (status = 2) AS BIGINT) AS errors, max(time_unix_nano) AS last_seen
    FROM ${facts} f JOIN ${dictionary} o ON f.origin = o.id GROUP BY ALL`,
  mergeRollups: (rollups) =>
    `SELECT service, namespace, environment, name, kind, minute, bucket,
      CAST(sum(records) AS BIGINT) AS records, CAST(sum(errors) AS BIGINT) AS errors, max(last_seen) AS last_seen
    FROM ${rollups} GROUP BY ALL`,
  decoders:
    () =>
    ({ rows: buffer, dictionary, keys, promoted, rollUp, retentionMs }) => {
      const origins = new Origins(dictionary, rollUp);
      const columns = promoted.map(({ key }) => buffer.column(promotedColumn(key)));
      const decoder = traceDecoder({ buffer, keys, promoted: columns, origins, rollUp, retentionMs });
      return { ...decoder, resourceKeys: () => origins.resourceKeys() };
    },
};

/** Per minute, service and severity. */
export const logKind: ShelfKind = {
  signal: 'logs',
  columns: logColumns,
  dictionaryColumns: originColumns,
  dictionaryId: 'origin',
  traceIds: true,
  promotes: true,
  sortBy: undefined,
  rollUpColumns: logRollUpColumns,
  rollup: (facts, dictionary) =>
    `SELECT CASE WHEN ${isEvent} THEN '' ELSE o.service END AS service, o.namespace, o.environment, f.severity, ${minute},
      CAST(count(*) AS BIGINT) AS records, max(time_unix_nano) AS last_seen
    FROM ${facts} f JOIN ${dictionary} o ON f.origin = o.id GROUP BY ALL`,
  mergeRollups: (rollups) =>
    `SELECT service, namespace, environment, severity, minute, CAST(sum(records) AS BIGINT) AS records, max(last_seen) AS last_seen
    FROM ${rollups} GROUP BY ALL`,
  decoders:
    () =>
    ({ rows: buffer, dictionary, keys, promoted, rollUp, retentionMs }) => {
      const origins = new Origins(dictionary, rollUp);
      const columns = promoted.map(({ key }) => buffer.column(promotedColumn(key)));
      const decoder = logDecoder({ buffer, keys, promoted: columns, origins, rollUp, retentionMs });
      return { ...decoder, resourceKeys: () => origins.resourceKeys() };
    },
};

/** Per minute and service. */
export const metricKind: ShelfKind = {
  signal: 'metrics',
  columns: pointColumns,
  dictionaryColumns: seriesColumns,
  dictionaryId: 'series',
  traceIds: false,
  promotes: false,
  sortBy: ['series', 'time_unix_nano'],
  rollUpColumns: pointRollUpColumns,
  rollup: (facts, dictionary) =>
    `SELECT CASE WHEN ${isWatched} THEN '' ELSE s.service END AS service, s.namespace, s.environment, ${minute},
      CAST(count(*) AS BIGINT) AS records, max(time_unix_nano) AS last_seen
    FROM ${facts} f JOIN ${dictionary} s ON f.series = s.id GROUP BY ALL`,
  mergeRollups: (rollups) =>
    `SELECT service, namespace, environment, minute, CAST(sum(records) AS BIGINT) AS records, max(last_seen) AS last_seen
    FROM ${rollups} GROUP BY ALL`,
  decoders: () => {
    const known = new KnownSeries();
    return ({ rows: buffer, dictionary, rollUp, retentionMs }) =>
      metricDecoder({ buffer, series: dictionary, known, rollUp, retentionMs });
  },
};
