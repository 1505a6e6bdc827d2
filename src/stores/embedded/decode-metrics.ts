import { hash } from 'node:crypto';
import {
  eachRecord,
  labelName,
  type MetricKind,
  metricName,
  plainAttributes,
  plainValue,
  promotedResourceAttributes,
  Reader,
  wireBytes,
  wireVarint,
} from '../../otlp/index.ts';
import type { Json } from '../contract.ts';
import type { Rows } from './columns.ts';
import { hourOf, received } from './decode.ts';
import type { GenerationDecoder } from './kind.ts';
import { identity, latin1 } from './origins.ts';
import type { RollUp } from './rollup.ts';

// Data points into narrow rows. Who a point belongs to (resource, scope, metric, attributes) is worked out once a generation.
// Sources: OTLP metrics.proto; the Prometheus OTLP translation; Prometheus 3 `otlp` settings for promoted attributes.

/** What a series' points are, as the read side needs to know. `gauge` and `counter` are plain numbers. */
export type SeriesType = 'gauge' | 'counter' | 'histogram' | 'exponential' | 'summary';

/** The bits of a StaleNaN: what Prometheus has where a series ended. Source: prometheus model/value. */
export const staleNanLow = 0x00000002;
export const staleNanHigh = 0x7ff00000;

interface Scope {
  readonly resource: Uint8Array;
  readonly scope: Uint8Array;
  readonly name: string;
  /** Its service's number in the roll-up. */
  readonly who: number;
}

interface Metric {
  readonly scope: Scope;
  /** Name, unit, type: what identifies it, with its scope. */
  readonly key: string;
  readonly otlpName: string;
  readonly name: string;
  readonly type: SeriesType;
  readonly unit: string;
  readonly description: string;
  readonly temporality: number;
  /** By a hash of the points' attributes. */
  readonly series: Map<number, SeriesEntry[]>;
}

interface SeriesEntry {
  readonly attributes: Uint8Array;
  readonly low: number;
  readonly high: number;
}

/** Fields of the oneof `data`, by number; and where a point of each has its attributes, count and flags. */
const shapes: {
  readonly [field: number]: {
    type: 'number' | 'histogram' | 'exponential' | 'summary';
    attributes: number;
    flags: number;
  };
} = {
  5: { type: 'number', attributes: 7, flags: 8 },
  7: { type: 'number', attributes: 7, flags: 8 },
  9: { type: 'histogram', attributes: 9, flags: 10 },
  10: { type: 'exponential', attributes: 1, flags: 10 },
  11: { type: 'summary', attributes: 7, flags: 8 },
};

export function metricDecoder(target: {
  buffer: Rows;
  series: Rows;
  rollUp: RollUp;
  retentionMs: number;
}): GenerationDecoder {
  const { buffer, rollUp } = target;
  const column = (name: string) => buffer.column(name);
  const hour = column('hour');
  const series = column('series');
  const time = column('time_unix_nano');
  const startTime = column('start_time_unix_nano');
  const value = column('value');
  const raw = column('record');
  const scopes = new Map<string, Scope>();
  const metrics = new Map<string, Metric>();
  const known = {
    find(resource: Uint8Array, scope: Uint8Array): Scope {
      const name = `${latin1(resource)}\0${latin1(scope)}`;
      let found = scopes.get(name);
      if (found === undefined) {
        const { service, namespace, environment } = identity(resource);
        const who = rollUp.who(service, namespace, environment);
        found = { resource: resource.slice(), scope: scope.slice(), name, who };
        scopes.set(name, found);
      }
      return found;
    },
  };
  /** Where the attributes of a point lie, in pairs. */
  const pairs: number[] = [];

  return {
    resourceKeys: () => undefined,
    decode(frame, index, refused) {
      const { body } = frame;
      const came = received(frame);
      let number = 0;
      eachRecord(body, known, (scope, start, end) => {
        const head = metricHead(body, start, end);
        const shape = shapes[head.field];
        if (shape === undefined) return;
        const metric = metricOf(metrics, scope, head, shape.type);
        const data = new Reader(body, head.dataStart, head.dataEnd);
        while (data.next()) {
          if (data.field !== 1 || data.wireType !== wireBytes) continue;
          const record = number++;
          if (metric.name === '') {
            const reason = 'a metric whose name has no character that Prometheus allows';
            refused.push({ frame: index, record, count: 1, reason });
            continue;
          }
          const { row } = buffer;
          pairs.length = 0;
          let low = came.low;
          let high = came.high;
          let startLow = 0;
          let startHigh = 0;
          let numberAt = -1;
          let integer = false;
          let flags = 0;
          let exemplars = false;
          const point = new Reader(body, data.valueStart, data.valueEnd);
          while (point.next()) {
            const { field } = point;
            if (field === shape.attributes && point.wireType === wireBytes)
              pairs.push(point.valueStart, point.valueEnd);
            else if (field === 3) {
              if (point.fixed64Low() !== 0 || point.fixed64High() !== 0) {
                low = point.fixed64Low();
                high = point.fixed64High();
              }
            } else if (field === 2) {
              startLow = point.fixed64Low();
              startHigh = point.fixed64High();
            } else if (field === shape.flags) flags = point.uint32();
            else if (shape.type === 'number') {
              if (field === 4 || field === 6) {
                numberAt = point.valueStart;
                integer = field === 6;
              } else if (field === 5) exemplars = true;
            }
          }
          const entry = seriesOf(metric, body, pairs, target.series);
          series.set64(row, entry.low, entry.high);
          time.set64(row, low, high);
          startTime.set64(row, startLow, startHigh);
          const ofHour = hourOf(low, high, came.ms, target.retentionMs);
          hour.set32(row, ofHour);
          // DataPointFlags.NO_RECORDED_VALUE_MASK: the series ended here, whatever the value says.
          if ((flags & 1) !== 0) value.set64(row, staleNanLow, staleNanHigh);
          else if (numberAt >= 0) {
            const bitsLow = fixed32(body, numberAt);
            const bitsHigh = fixed32(body, numberAt + 4);
            // A double's bits go as they are, so that every NaN and −0 stays what it was.
            if (integer)
              value.setDouble(row, Number(BigInt.asIntN(64, (BigInt(bitsHigh >>> 0) << 32n) | BigInt(bitsLow >>> 0))));
            else value.set64(row, bitsLow, bitsHigh);
          }
          if (shape.type !== 'number' || exemplars) {
            raw.setBytes(row, body, data.valueStart, data.valueEnd);
          }
          rollUp.add(scope.who, 0, 0, ofHour, low, high, 0, 0);
          buffer.endRow();
        }
      });
    },
  };
}

function fixed32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

interface Head {
  name: string;
  description: string;
  unit: string;
  field: number;
  dataStart: number;
  dataEnd: number;
  temporality: number;
  monotonic: boolean;
}

function metricHead(body: Uint8Array, start: number, end: number): Head {
  const head: Head = {
    name: '',
    description: '',
    unit: '',
    field: 0,
    dataStart: 0,
    dataEnd: 0,
    temporality: 0,
    monotonic: false,
  };
  const metric = new Reader(body, start, end);
  while (metric.next()) {
    if (metric.field === 1) head.name = metric.string();
    else if (metric.field === 2) head.description = metric.string();
    else if (metric.field === 3) head.unit = metric.string();
    else if (metric.field in shapes && metric.wireType === wireBytes) {
      head.field = metric.field;
      head.dataStart = metric.valueStart;
      head.dataEnd = metric.valueEnd;
    }
  }
  // Sum and the histograms: aggregation_temporality = 2, is_monotonic = 3, beside the points.
  const data = new Reader(body, head.dataStart, head.dataEnd);
  while (data.next()) {
    if (data.field === 2 && data.wireType === wireVarint) head.temporality = data.int32();
    else if (data.field === 3 && data.wireType === wireVarint) head.monotonic = data.bool();
  }
  return head;
}

function metricOf(metrics: Map<string, Metric>, scope: Scope, head: Head, shape: string): Metric {
  const { temporality, monotonic } = head;
  const key = `${head.name}\0${head.unit}\0${shape}\0${head.field}\0${temporality}\0${monotonic}`;
  const full = `${scope.name}\0${key}`;
  let metric = metrics.get(full);
  if (metric === undefined) {
    const kind: MetricKind =
      shape === 'histogram'
        ? 'histogram'
        : shape === 'exponential'
          ? 'exponentialHistogram'
          : shape === 'summary'
            ? 'summary'
            : head.field === 5
              ? 'gauge'
              : monotonic
                ? 'monotonicSum'
                : 'sum';
    const type: SeriesType =
      kind === 'monotonicSum'
        ? 'counter'
        : kind === 'histogram' || kind === 'summary'
          ? kind
          : kind === 'exponentialHistogram'
            ? 'exponential'
            : 'gauge';
    metric = {
      scope,
      key,
      otlpName: head.name,
      name: metricName(head.name, head.unit, kind),
      type,
      unit: head.unit,
      description: head.description,
      temporality,
      series: new Map(),
    };
    metrics.set(full, metric);
  }
  return metric;
}

/** The series of a point, made and written where it is new in this generation. */
function seriesOf(metric: Metric, body: Uint8Array, pairs: readonly number[], buffer: Rows): SeriesEntry {
  let hashed = pairs.length;
  for (let i = 0; i < pairs.length; i += 2) {
    for (let at = pairs[i]!; at < pairs[i + 1]!; at++) hashed = Math.imul(hashed ^ body[at]!, 0x01000193);
  }
  const chain = metric.series.get(hashed);
  if (chain !== undefined) for (const entry of chain) if (sameAttributes(entry.attributes, body, pairs)) return entry;
  // A message with the attributes as its field 1, like a Resource has them.
  const pieces: Uint8Array[] = [];
  for (let i = 0; i < pairs.length; i += 2) pieces.push(body.subarray(pairs[i]!, pairs[i + 1]!));
  const attributes = Buffer.concat(pieces);
  const identityText = `${metric.scope.resource.length} ${metric.scope.name}\0${metric.key}\0${latin1(attributes)}`;
  const digest = hash('sha256', Buffer.from(identityText, 'utf8'), 'buffer');
  const entry: SeriesEntry = { attributes, low: digest.readUInt32LE(0), high: digest.readUInt32LE(4) };
  if (chain === undefined) metric.series.set(hashed, [entry]);
  else chain.push(entry);
  writeSeries(buffer, metric, entry, labelsOf(metric.scope.resource, body, pairs));
  return entry;
}

function sameAttributes(attributes: Uint8Array, body: Uint8Array, pairs: readonly number[]): boolean {
  let i = 0;
  for (let pair = 0; pair < pairs.length; pair += 2) {
    for (let at = pairs[pair]!; at < pairs[pair + 1]!; at++, i++) if (attributes[i] !== body[at]) return false;
  }
  return i === attributes.length;
}

function writeSeries(buffer: Rows, metric: Metric, entry: SeriesEntry, labels: { [name: string]: string }): void {
  const { row } = buffer;
  const set = (name: string, text: string) => buffer.column(name).setString(row, text);
  const who = identity(metric.scope.resource);
  buffer.column('id').set64(row, entry.low, entry.high);
  set('name', metric.name);
  set('type', metric.type);
  set('unit', metric.unit);
  set('description', metric.description);
  set('labels', JSON.stringify(labels));
  set('otlp_name', metric.otlpName);
  buffer.column('temporality').set32(row, metric.temporality);
  set('service', who.service);
  set('namespace', who.namespace);
  set('environment', who.environment);
  const { resource, scope } = metric.scope;
  buffer.column('resource').setBytes(row, resource, 0, resource.length);
  buffer.column('scope').setBytes(row, scope, 0, scope.length);
  buffer.endRow();
}

/**
 * The labels of a series but `__name__`: the point's attributes, the promoted attributes of the resource where the point
 * does not have them, `job` and `instance`. Attributes that become the same label are joined by ';', in the order of their
 * keys. Source: prometheus storage/remote/otlptranslator.
 */
function labelsOf(resource: Uint8Array, body: Uint8Array, pairs: readonly number[]): { [name: string]: string } {
  const own: [string, string][] = [];
  for (let i = 0; i < pairs.length; i += 2) {
    const pair = new Reader(body, pairs[i]!, pairs[i + 1]!);
    let key = '';
    let value: Json = null;
    while (pair.next()) {
      if (pair.field === 1) key = pair.string();
      else if (pair.field === 2) value = plainValue(body, pair.valueStart, pair.valueEnd);
    }
    own.push([key, labelValue(value)]);
  }
  own.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const labels = new Map<string, string>();
  for (const [key, value] of own) {
    const name = labelName(key);
    if (name === '') continue;
    const before = labels.get(name);
    labels.set(name, before === undefined ? value : `${before};${value}`);
  }
  const of = plainAttributes(resource, 0, resource.length, 1);
  for (const key of promotedResourceAttributes) {
    const value = Object.hasOwn(of, key) ? of[key]! : null;
    const name = labelName(key);
    if (value !== null && !labels.has(name)) labels.set(name, labelValue(value));
  }
  const service = labelValue(of['service.name'] ?? null);
  const namespace = labelValue(of['service.namespace'] ?? null);
  if (service !== '') labels.set('job', namespace === '' ? service : `${namespace}/${service}`);
  const instance = labelValue(of['service.instance.id'] ?? null);
  if (instance !== '') labels.set('instance', instance);
  labels.delete('__name__');
  // A label that is empty is as if it were absent.
  return Object.fromEntries([...labels].filter(([, value]) => value !== ''));
}

function labelValue(value: Json): string {
  return value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value);
}
