import { hash } from 'node:crypto';
import { type MetricKind, metricName, Reader, watchedMetricPrefixes, wireBytes, wireVarint } from '../../otlp/index.ts';
import type { Column, Rows } from './columns.ts';
import { Dictionary } from './dictionary.ts';
import { pointLabels, resourceLabels } from './labels.ts';
import { seriesKnownBytesMax, seriesKnownMax } from './limits.ts';
import { identity } from './origins.ts';
import type { RollUp } from './rollup.ts';

// Which series a point belongs to, found by the bytes of its resource, scope, metric and attributes. What is known of them is
// kept from one generation to the next, as senders send the same series again and again: a known one then costs a hash of
// its attributes, and a row of numbers where a generation first meets it.

/** What a series' points are, as the read side needs to know. `gauge` and `counter` are plain numbers. */
export type SeriesType = 'gauge' | 'counter' | 'histogram' | 'exponential' | 'summary';

type PointShape = 'number' | 'histogram' | 'exponential' | 'summary';

/** Fields of the oneof `data`, by number; and where a point of each has its attributes and its flags. */
export const shapes: {
  readonly [field: number]: { readonly type: PointShape; readonly attributes: number; readonly flags: number };
} = {
  5: { type: 'number', attributes: 7, flags: 8 },
  7: { type: 'number', attributes: 7, flags: 8 },
  9: { type: 'histogram', attributes: 9, flags: 10 },
  10: { type: 'exponential', attributes: 1, flags: 10 },
  11: { type: 'summary', attributes: 7, flags: 8 },
};

/** Columns that say of a series what it shares with others, in the order of `Metric.values`. */
const sharedColumns = [
  'name',
  'type',
  'unit',
  'description',
  'otlp_name',
  'service',
  'namespace',
  'environment',
  'resource_labels',
  'resource',
  'scope',
] as const;

export interface Scope {
  readonly number: number;
  readonly digest: Uint8Array;
  readonly service: string;
  readonly namespace: string;
  readonly environment: string;
  /** Values of the last of `sharedColumns`, from `service` on. */
  readonly values: readonly Uint8Array[];
  readonly metrics: Map<string, Metric>;
  /** Its service's number in the roll-up of this generation. */
  who: number;
  /** The same without the service's name. */
  whoWatched: number;
  generation: number;
}

export interface Metric {
  readonly number: number;
  /** Of the scope and what identifies the metric there. */
  readonly digest: Uint8Array;
  /** Under which Prometheus has it; '' where nothing is left of it. */
  readonly name: string;
  /** Measured of the resource by another: it makes no service. */
  readonly isWatched: boolean;
  readonly attributesField: number;
  readonly temporality: number;
  readonly values: readonly Uint8Array[];
  /** Numbers of `values` in the dictionaries of this generation's columns; −1: its bytes. */
  readonly codes: Int32Array;
  generation: number;
}

/** Where the parts of a Metric message are. */
export class MetricHead {
  field = 0;
  dataStart = 0;
  dataEnd = 0;
  /** The fields that are not `data`: from `start` to here where they are one piece, else 0. */
  headEnd = 0;
  start = 0;
  end = 0;
  temporality = 0;
  monotonic = false;

  read(body: Uint8Array, start: number, end: number): void {
    this.start = start;
    this.end = end;
    this.field = 0;
    this.dataStart = 0;
    this.dataEnd = 0;
    this.headEnd = 0;
    this.temporality = 0;
    this.monotonic = false;
    const metric = new Reader(body, start, end);
    while (metric.next()) {
      if (metric.field in shapes && metric.wireType === wireBytes) {
        this.field = metric.field;
        this.headEnd = metric.tagStart;
        this.dataStart = metric.valueStart;
        this.dataEnd = metric.valueEnd;
      }
    }
    if (this.dataEnd !== end) this.headEnd = 0;
    // Sum and the histograms: aggregation_temporality = 2, is_monotonic = 3, beside the points.
    const data = new Reader(body, this.dataStart, this.dataEnd);
    while (data.next()) {
      if (data.field === 2 && data.wireType === wireVarint) this.temporality = data.int32();
      else if (data.field === 3 && data.wireType === wireVarint) this.monotonic = data.bool();
    }
  }
}

/** A column of the series' rows in this generation, and the dictionary that it began with. */
interface Target {
  readonly column: Column;
  readonly dictionary: Dictionary | undefined;
}

/** The series of one shelf. */
export class KnownSeries {
  #generation = 0;
  #scopes = new Dictionary();
  #scopeOf: Scope[] = [];
  /** Heads of metrics as they were sent, with their scope; several may be the same metric. */
  #heads = new Dictionary();
  #metricOf: Metric[] = [];
  #metricCount = 0;
  /** Attributes of points as they were sent, tags and all; by number: their labels. */
  #sets = new Dictionary();
  #labels = new Dictionary();
  #labelsOf = new Uint32Array(1024);
  #labelsCode = new Int32Array(1024);
  #labelsGeneration = new Uint32Array(1024);
  /** By number of metric and of attributes: number of the series + 1; 0: free. */
  #table = new Int32Array(4096);
  #seriesCount = 0;
  #metricNumber = new Uint32Array(1024);
  #setNumber = new Uint32Array(1024);
  /** Halves of the id by which points name their series. */
  idLow = new Uint32Array(1024);
  idHigh = new Uint32Array(1024);
  /** The generation that has last written it. */
  #writtenIn = new Uint32Array(1024);
  #scratch = new Uint8Array(4096);
  #rows!: Rows;
  #rollUp!: RollUp;
  #targets: Target[] = [];
  #labelTarget!: Target;
  #id!: Column;
  #temporality!: Column;

  /** A new generation, whose rows of series go into `rows`. Points of the one before come no more. */
  begin(rows: Rows, rollUp: RollUp): void {
    this.#generation++;
    if (this.#seriesCount > seriesKnownMax || this.#sizeBytes > seriesKnownBytesMax) this.#forget();
    this.#rows = rows;
    this.#rollUp = rollUp;
    const target = (name: string): Target => {
      const column = rows.column(name);
      return { column, dictionary: column.dictionary };
    };
    this.#targets = sharedColumns.map(target);
    this.#labelTarget = target('labels');
    this.#id = rows.column('id');
    this.#temporality = rows.column('temporality');
  }

  get #sizeBytes(): number {
    return this.#scopes.used * 2 + this.#heads.used * 2 + this.#sets.used + this.#labels.used;
  }

  #forget(): void {
    this.#scopes = new Dictionary();
    this.#scopeOf = [];
    this.#heads = new Dictionary();
    this.#metricOf = [];
    this.#metricCount = 0;
    this.#sets = new Dictionary();
    this.#labels = new Dictionary();
    this.#labelsOf = new Uint32Array(1024);
    this.#labelsCode = new Int32Array(1024);
    this.#labelsGeneration = new Uint32Array(1024);
    this.#table = new Int32Array(4096);
    this.#seriesCount = 0;
    this.#metricNumber = new Uint32Array(1024);
    this.#setNumber = new Uint32Array(1024);
    this.idLow = new Uint32Array(1024);
    this.idHigh = new Uint32Array(1024);
    this.#writtenIn = new Uint32Array(1024);
  }

  /** Bytes are copied where they are kept. */
  scope(resource: Uint8Array, scope: Uint8Array): Scope {
    const size = 4 + resource.length + scope.length;
    const key = this.#room(size);
    write32(key, 0, resource.length); // so that no two different pairs are the same bytes
    key.set(resource, 4);
    key.set(scope, 4 + resource.length);
    const number = this.#scopes.bytes(key, 0, size);
    let found = this.#scopeOf[number];
    if (found === undefined) {
      const { service, namespace, environment } = identity(resource);
      found = {
        number,
        digest: hash('sha256', key.subarray(0, size), 'buffer'),
        service,
        namespace,
        environment,
        values: [
          ...[service, namespace, environment, JSON.stringify(resourceLabels(resource))].map((text) =>
            Buffer.from(text),
          ),
          resource.slice(),
          scope.slice(),
        ],
        metrics: new Map(),
        who: 0,
        whoWatched: 0,
        generation: 0,
      };
      this.#scopeOf[number] = found;
    }
    if (found.generation !== this.#generation) {
      found.who = this.#rollUp.who(found.service, found.namespace, found.environment);
      found.whoWatched = this.#rollUp.who('', found.namespace, found.environment);
      found.generation = this.#generation;
    }
    return found;
  }

  metric(scope: Scope, body: Uint8Array, head: MetricHead): Metric {
    const { start, headEnd } = head;
    if (headEnd === 0) return this.#named(scope, body, head);
    const size = 7 + headEnd - start;
    const key = this.#room(size);
    write32(key, 0, scope.number);
    key[4] = head.field;
    key[5] = head.temporality;
    key[6] = head.monotonic ? 1 : 0;
    copyInto(key, 7, body, start, headEnd);
    const number = this.#heads.bytes(key, 0, size);
    const known = this.#metricOf[number];
    if (known !== undefined) return known;
    const metric = this.#named(scope, body, head);
    this.#metricOf[number] = metric;
    return metric;
  }

  /** By what identifies it: a metric may come with another description. */
  #named(scope: Scope, body: Uint8Array, head: MetricHead): Metric {
    const { field, temporality, monotonic } = head;
    let [otlpName, description, unit] = ['', '', ''];
    const reader = new Reader(body, head.start, head.end);
    while (reader.next()) {
      if (reader.field === 1) otlpName = reader.string();
      else if (reader.field === 2) description = reader.string();
      else if (reader.field === 3) unit = reader.string();
    }
    const key = `${otlpName}\0${unit}\0${field}\0${temporality}\0${monotonic}`;
    let metric = scope.metrics.get(key);
    if (metric === undefined) {
      const { kind, type } = kindOf(field, monotonic);
      const name = metricName(otlpName, unit, kind);
      metric = {
        number: this.#metricCount++,
        digest: hash('sha256', Buffer.concat([scope.digest, Buffer.from(key)]), 'buffer'),
        name,
        isWatched: watchedMetricPrefixes.some((prefix) => otlpName.startsWith(prefix)),
        attributesField: shapes[field]!.attributes,
        temporality,
        values: [...[name, type, unit, description, otlpName].map((text) => Buffer.from(text)), ...scope.values],
        codes: new Int32Array(sharedColumns.length),
        generation: 0,
      };
      scope.metrics.set(key, metric);
    }
    return metric;
  }

  /**
   * The number of a series, written into the rows of this generation where it is new there.
   * @param fields Where the point's attributes lie, each with its tag: start, end, start, end, …
   */
  find(metric: Metric, body: Uint8Array, fields: readonly number[], length: number): number {
    let set: number;
    if (length === 0) set = this.#sets.bytes(body, 0, 0);
    else if (isOnePiece(fields, length)) set = this.#sets.bytes(body, fields[0]!, fields[length - 1]!);
    else {
      let size = 0;
      for (let i = 0; i < length; i += 2) size += fields[i + 1]! - fields[i]!;
      const together = this.#room(size);
      let at = 0;
      for (let i = 0; i < length; i += 2) {
        copyInto(together, at, body, fields[i]!, fields[i + 1]!);
        at += fields[i + 1]! - fields[i]!;
      }
      set = this.#sets.bytes(together, 0, size);
    }
    const series = this.#series(metric, set);
    if (this.#writtenIn[series] !== this.#generation) this.#write(series, metric, set);
    return series;
  }

  #series(metric: Metric, set: number): number {
    const mask = this.#table.length - 1;
    let place = mixed(metric.number, set) & mask;
    for (; ; place = (place + 1) & mask) {
      const series = this.#table[place]! - 1;
      if (series < 0) break;
      if (this.#setNumber[series] === set && this.#metricNumber[series] === metric.number) return series;
    }
    const series = this.#seriesCount++;
    if (series === this.idLow.length) {
      this.idLow = doubled(this.idLow);
      this.idHigh = doubled(this.idHigh);
      this.#metricNumber = doubled(this.#metricNumber);
      this.#setNumber = doubled(this.#setNumber);
      this.#writtenIn = doubled(this.#writtenIn);
    }
    const from = this.#sets.starts[set]!;
    const size = this.#sets.lengths[set]!;
    const named = this.#room(metric.digest.length + size);
    named.set(metric.digest);
    copyInto(named, metric.digest.length, this.#sets.heap, from, from + size);
    const digest = hash('sha256', named.subarray(0, metric.digest.length + size), 'buffer');
    this.idLow[series] = digest.readUInt32LE(0);
    this.idHigh[series] = digest.readUInt32LE(4);
    this.#metricNumber[series] = metric.number;
    this.#setNumber[series] = set;
    this.#table[place] = series + 1;
    if (this.#seriesCount * 2 > this.#table.length) this.#rehash();
    return series;
  }

  #rehash(): void {
    this.#table = new Int32Array(this.#table.length * 4);
    const mask = this.#table.length - 1;
    for (let series = 0; series < this.#seriesCount; series++) {
      let place = mixed(this.#metricNumber[series]!, this.#setNumber[series]!) & mask;
      while (this.#table[place] !== 0) place = (place + 1) & mask;
      this.#table[place] = series + 1;
    }
  }

  #write(series: number, metric: Metric, set: number): void {
    const rows = this.#rows;
    const { row } = rows;
    const labels = this.#labelsNumber(metric, set);
    if (metric.generation !== this.#generation) {
      for (const [index, target] of this.#targets.entries())
        metric.codes[index] = codeOf(target, metric.values[index]!, 0, metric.values[index]!.length);
      metric.generation = this.#generation;
    }
    this.#id.set64(row, this.idLow[series]!, this.idHigh[series]!);
    this.#temporality.set32(row, metric.temporality);
    for (let index = 0; index < this.#targets.length; index++) {
      const { column, dictionary } = this.#targets[index]!;
      const code = metric.codes[index]!;
      const value = metric.values[index]!;
      if (code >= 0) column.setFrom(row, dictionary!, code);
      else column.setBytes(row, value, 0, value.length);
    }
    const start = this.#labels.starts[labels]!;
    const end = start + this.#labels.lengths[labels]!;
    if (this.#labelsGeneration[labels] !== this.#generation) {
      this.#labelsCode[labels] = codeOf(this.#labelTarget, this.#labels.heap, start, end);
      this.#labelsGeneration[labels] = this.#generation;
    }
    const { column, dictionary } = this.#labelTarget;
    const code = this.#labelsCode[labels]!;
    if (code >= 0) column.setFrom(row, dictionary!, code);
    else column.setBytes(row, this.#labels.heap, start, end);
    rows.endRow();
    this.#writtenIn[series] = this.#generation;
  }

  /** The number of the labels that a set of attributes becomes. */
  #labelsNumber(metric: Metric, set: number): number {
    if (set >= this.#labelsOf.length) {
      let length = this.#labelsOf.length;
      while (length <= set) length *= 2;
      this.#labelsOf = grown(this.#labelsOf, length);
      this.#labelsGeneration = grown(this.#labelsGeneration, length);
      this.#labelsCode = new Int32Array(grown(new Uint32Array(this.#labelsCode.buffer), length).buffer);
    }
    const known = this.#labelsOf[set]!;
    if (known !== 0) return known - 1;
    const from = this.#sets.starts[set]!;
    const labels = pointLabels(this.#sets.heap, from, from + this.#sets.lengths[set]!, metric.attributesField);
    const text = Buffer.from(JSON.stringify(labels));
    const number = this.#labels.bytes(text, 0, text.length);
    this.#labelsOf[set] = number + 1;
    return number;
  }

  #room(size: number): Uint8Array {
    if (size > this.#scratch.length) this.#scratch = new Uint8Array(size * 2);
    return this.#scratch;
  }
}

/** −1 where the column has gone over to bytes: its dictionary must not grow any more. */
function codeOf({ column, dictionary }: Target, bytes: Uint8Array, start: number, end: number): number {
  return dictionary !== undefined && column.dictionary === dictionary ? dictionary.bytes(bytes, start, end) : -1;
}

function kindOf(field: number, monotonic: boolean): { kind: MetricKind; type: SeriesType } {
  switch (field) {
    case 9:
      return { kind: 'histogram', type: 'histogram' };
    case 10:
      return { kind: 'exponentialHistogram', type: 'exponential' };
    case 11:
      return { kind: 'summary', type: 'summary' };
    case 7:
      return monotonic ? { kind: 'monotonicSum', type: 'counter' } : { kind: 'sum', type: 'gauge' };
    default:
      return { kind: 'gauge', type: 'gauge' };
  }
}

function isOnePiece(fields: readonly number[], length: number): boolean {
  for (let i = 2; i < length; i += 2) if (fields[i] !== fields[i - 1]) return false;
  return true;
}

function mixed(metric: number, set: number): number {
  let hashed = Math.imul(metric ^ 0x9e3779b9, 0x85ebca6b) ^ set;
  hashed = Math.imul(hashed ^ (hashed >>> 15), 0xc2b2ae35);
  return hashed ^ (hashed >>> 13);
}

function copyInto(target: Uint8Array, at: number, source: Uint8Array, start: number, end: number): void {
  target.set(source.subarray(start, end), at);
}

function write32(bytes: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i++) bytes[at + i] = value >>> (i * 8);
}

function doubled(from: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  return grown(from, from.length * 2);
}

function grown(from: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  const to = new Uint32Array(length);
  to.set(from);
  return to;
}
