import { hash } from 'node:crypto';
import type { Batch, Frame } from '../../base/index.ts';
import { eachRecord, Reader, wireBytes } from '../../otlp/index.ts';
import type { Refusal } from '../contract.ts';
import { hashBytes, sameAttributes, sameBytes, sameNumbers } from './bytes.ts';
import type { Total, Totals } from './delta.ts';
import { readExemplar } from './exemplars.ts';
import { describeHead, type Head, headScan, isHead, scanHead } from './head.ts';
import {
  type Labels,
  labelNumber,
  type Naming,
  pointLabels,
  type ResourceLabels,
  resourceLabels,
  scopeLabels,
} from './labels.ts';
import { infoStepsMax, partSamplesMax, symbolBytesMax } from './limits.ts';
import { encodeCustomBuckets, encodeExponential, schemaMin, staleHigh, staleLow } from './native.ts';
import { Point } from './point.ts';
import { type Added, type Exemplar, Samples } from './samples.ts';
import { type Family, type Series, type SeriesLimit, SeriesTable } from './series.ts';

export interface CollectOptions {
  readonly naming: Naming;
  /** Explicit histograms as native ones with custom buckets, instead of `_bucket`, `_sum` and `_count`. */
  readonly customBuckets: boolean;
  /** undefined: points of delta temporality are refused. */
  readonly totals: Totals | undefined;
  /** A label for what this process itself sums up; undefined where it is the only one that does. */
  readonly replica: string | undefined;
  readonly limit: SeriesLimit;
  /** Known series past which all are forgotten, and found again as they come. */
  readonly seriesCachedMax: number;
}

/** One batch as samples of series. */
export interface Collected {
  readonly samples: Samples;
  /** Of records that Prometheus could not take however often they came. */
  readonly refused: readonly Refusal[];
  /** Where to go on: the batch holds more than one part may. */
  readonly next: Place | undefined;
}

/** Indexes of a frame in its batch and of a record in its frame. */
export interface Place {
  readonly frame: number;
  readonly record: number;
}

interface Origin {
  /** Resource and, where it becomes labels, scope. */
  readonly bytes: readonly Uint8Array[];
  readonly resource: ResourceLabels;
  readonly scope: Labels;
  readonly info: Series | undefined;
  readonly metrics: Map<number, Metric[]>;
}

interface Metric extends Head {
  /** '' where no name is left of it. */
  readonly name: string;
  readonly family: Family;
  readonly members: Map<number, Member[]>;
}

/** Points of a metric with the same attributes, and the same bounds. */
interface Member {
  readonly attributes: Uint8Array;
  readonly bounds: readonly number[];
  readonly hasSum: boolean;
  /** number, exponential: one; histogram: count, buckets, +Inf, sum; summary: sum, count, quantiles. */
  readonly series: readonly Series[];
  /** Names it for ever, where it is summed up. */
  readonly identity: string;
}

const infoFamily = { name: 'target_info', type: 'gauge', help: 'Target metadata', unit: '', otlpUnit: '' } as const;
/** Half of the time for which PromQL looks back, so that it finds one at any time between. */
const infoStepMs = 150_000;
const deltaReason =
  'a delta: Prometheus takes cumulative points only; convert it on the way here, or set prometheus.deltaToCumulative';

/** Turns batches into samples. Holds what is known of series; one for a destination. */
export class Collector {
  readonly #options: CollectOptions;
  readonly #samples = new Samples();
  readonly #point = new Point();
  #table = new SeriesTable();
  #origins = new Map<number, Origin[]>();
  /** Resources, metrics and sets of attributes that are known. */
  #known = 0;
  /** Since `newFamilies` was asked. */
  #newFamilies: Family[] = [];
  #refused: Refusal[] = [];
  #frame: Frame | undefined;
  #frameIndex = 0;
  #record = 0;
  #receivedMs = 0;
  /** Records of the frame that the part before has. */
  #skip = 0;
  #next: Place | undefined;
  #lastBounds: readonly number[] = [];
  /** Reason of the present record's refusal; it is refused once, whatever is wrong with it. */
  #reason: string | undefined;

  constructor(options: CollectOptions) {
    this.#options = options;
  }

  get table(): SeriesTable {
    return this.#table;
  }

  /** Metrics that were met for the first time since the last call. */
  newFamilies(): readonly Family[] {
    const families = this.#newFamilies;
    this.#newFamilies = [];
    return families;
  }

  /**
   * A batch, or as much of it as fits into a part. What it returns holds until the next call.
   * @param from Where to begin: `next` of the part before.
   */
  collect(batch: Batch, from: Place = { frame: 0, record: 0 }): Collected {
    const samples = this.#samples;
    samples.begin();
    this.#refused = [];
    if (this.#isFull()) {
      this.#known = 0;
      this.#table = new SeriesTable();
      this.#origins = new Map();
    }
    this.#next = undefined;
    for (let index = from.frame; index < batch.frames.length && this.#next === undefined; index++) {
      this.#skip = index === from.frame ? from.record : 0;
      this.#collectFrame(batch.frames[index]!, index);
    }
    return { samples, refused: this.#refused, next: this.#next };
  }

  /** Many resources may make the same series, so that what leads to series is counted, too. */
  #isFull(): boolean {
    const { seriesCachedMax } = this.#options;
    return (
      this.#table.count > seriesCachedMax ||
      this.#known > 2 * seriesCachedMax ||
      this.#table.symbols.sizeBytes > symbolBytesMax
    );
  }

  #collectFrame(frame: Frame, index: number): void {
    this.#frame = frame;
    this.#frameIndex = index;
    this.#record = 0;
    this.#receivedMs = Number(frame.receivedUnixNano / 1_000_000n);
    // target_info spans the time of a resource's points: least and greatest, by resource in wire order.
    let lastResource: Uint8Array | undefined;
    let info: Series | undefined;
    const span = { from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY };
    const flush = () => {
      if (info !== undefined && span.to >= span.from) this.#addInfo(info, span.from, span.to);
      span.from = Number.POSITIVE_INFINITY;
      span.to = Number.NEGATIVE_INFINITY;
    };
    const find = (resource: Uint8Array, scope: Uint8Array, _: string, scopeSchemaUrl: string): Origin => {
      const origin = this.#origin(resource, scope, scopeSchemaUrl);
      if (resource.byteOffset !== lastResource?.byteOffset) {
        flush();
        lastResource = resource;
        info = origin.info;
      }
      return origin;
    };
    eachRecord(frame.body, { find }, (origin: Origin, start, end) => {
      this.#collectMetric(origin, frame.body, start, end, span);
    });
    flush();
  }

  #addInfo(info: Series, from: number, to: number): void {
    if (!this.#options.limit.admits(this.#frame!.tenant, info)) return;
    // Of points that lie years apart Prometheus makes as many samples as there are steps between.
    const first = Math.max(from, to - infoStepsMax * infoStepMs);
    for (let timeMs = first; timeMs < to; timeMs += infoStepMs) this.#addOne(info, timeMs);
    this.#addOne(info, to);
  }

  #addOne(info: Series, timeMs: number): void {
    // 1 as a double. Of no record: what becomes of it is nobody's dead letter.
    this.#samples.addDouble(info, timeMs, 0, 0, 0x3ff00000, -1, -1);
  }

  #origin(resource: Uint8Array, scope: Uint8Array, scopeSchemaUrl: string): Origin {
    const { naming } = this.#options;
    const bytes = naming.promoteScopeMetadata ? [resource, scope, Buffer.from(scopeSchemaUrl)] : [resource];
    let hashed = 0;
    for (const each of bytes) hashed = hashBytes(each, 0, each.length, hashed);
    const chain = this.#origins.get(hashed);
    const known = chain?.find((origin) => bytes.every((each, at) => sameBytes(origin.bytes[at]!, each)));
    if (known !== undefined) return known;
    const labels = resourceLabels(resource, naming);
    const origin: Origin = {
      bytes: bytes.map((each) => each.slice()),
      resource: labels,
      scope: scopeLabels(scope, scopeSchemaUrl, naming),
      info:
        labels.targetInfo === undefined
          ? undefined
          : this.#table.find(this.#family(infoFamily), new Map(labels.targetInfo)),
      metrics: new Map(),
    };
    this.#known++;
    if (chain === undefined) this.#origins.set(hashed, [origin]);
    else chain.push(origin);
    return origin;
  }

  #family(family: Omit<Family, 'helpId' | 'unitId'>): Family {
    const made = this.#table.family(family);
    this.#newFamilies.push(made);
    return made;
  }

  #collectMetric(origin: Origin, body: Uint8Array, start: number, end: number, span: { from: number; to: number }) {
    const metric = this.#metric(origin, body, start, end);
    if (metric === undefined) return;
    const { shape } = metric;
    const point = this.#point;
    const data = new Reader(body, headScan.dataStart, headScan.dataEnd);
    while (data.next()) {
      if (data.field !== 1 || data.wireType !== wireBytes) continue;
      if (this.#record < this.#skip || this.#isPartFull()) {
        this.#record++;
        continue;
      }
      this.#reason = undefined;
      point.read(shape, body, data.valueStart, data.valueEnd);
      if (point.timeMs === 0) point.timeMs = this.#receivedMs;
      if (this.#collectPoint(origin, metric, body)) {
        if (point.timeMs < span.from) span.from = point.timeMs;
        if (point.timeMs > span.to) span.to = point.timeMs;
      }
      if (this.#reason !== undefined) {
        this.#refused.push({ frame: this.#frameIndex, record: this.#record, count: 1, reason: this.#reason });
      }
      this.#record++;
    }
  }

  /** From the first record on that no longer fits. */
  #isPartFull(): boolean {
    if (this.#next === undefined && this.#samples.count < partSamplesMax) return false;
    this.#next ??= { frame: this.#frameIndex, record: this.#record };
    return true;
  }

  /** @returns whether the point became samples. */
  #collectPoint(origin: Origin, metric: Metric, body: Uint8Array): boolean {
    const point = this.#point;
    if (metric.name === '') return this.#refuse('a metric whose name has no character that Prometheus allows');
    if (metric.delta && this.#options.totals === undefined) return this.#refuse(deltaReason);
    if (metric.shape === 'exponential' && point.scale < schemaMin) {
      return this.#refuse(`an exponential histogram of scale ${point.scale}; Prometheus' least is ${schemaMin}`);
    }
    const member = this.#member(origin, metric, body);
    if (typeof member === 'string') return this.#refuse(member);
    const { limit, totals } = this.#options;
    const { tenant } = this.#frame!;
    for (const series of member.series) {
      if (!limit.admits(tenant, series)) return this.#refuse('the limit of series is reached');
    }
    if (metric.delta) {
      const added = totals!.add(member.identity, metric.shape as Total['shape'], point, this.#receivedMs);
      if (added === 'full') return this.#refuse('there are too many series of delta temporality to sum up');
      if (added === 'late') return false;
    }
    // A gauge has no beginning.
    const startMs = metric.field === 5 ? 0 : point.startMs;
    const exemplars = point.exemplars.length === 0 ? [] : readExemplars(point, body);
    switch (metric.shape) {
      case 'number':
        this.#double(member.series[0]!, startMs, point.low, point.high, exemplars);
        break;
      case 'histogram':
        if (this.#options.customBuckets) this.#native(member.series[0]!, metric, exemplars);
        else this.#classic(member, startMs, exemplars);
        break;
      case 'exponential':
        this.#native(member.series[0]!, metric, exemplars);
        break;
      case 'summary':
        this.#number(member.series[0]!, startMs, point.sum);
        this.#number(member.series[1]!, startMs, point.count);
        for (const [at, value] of point.counts.entries()) this.#number(member.series[at + 2]!, startMs, value);
        break;
    }
    return true;
  }

  #classic(member: Member, startMs: number, exemplars: readonly Exemplar[]): void {
    const point = this.#point;
    const { series, bounds } = member;
    this.#number(series[0]!, startMs, point.count);
    if (member.hasSum) this.#number(series.at(-1)!, startMs, point.sum);
    let cumulative = 0;
    let exemplar = 0;
    // A bound of +Inf is told from the count; so is what lies past the last bound.
    const bucketCount = Math.min(bounds.length, point.counts.length);
    let at = 1;
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      cumulative += point.counts[bucket]!;
      const bound = bounds[bucket]!;
      if (bound === Number.POSITIVE_INFINITY) continue;
      const from = exemplar;
      while (exemplar < exemplars.length && exemplars[exemplar]!.value <= bound) exemplar++;
      this.#number(series[at++]!, startMs, cumulative, from === exemplar ? [] : exemplars.slice(from, exemplar));
    }
    this.#number(series[at]!, startMs, point.count, exemplars.slice(exemplar));
  }

  #native(series: Series, metric: Metric, exemplars: readonly Exemplar[]): void {
    const point = this.#point;
    const { samples } = this;
    const writer = samples.histograms;
    const start = writer.length;
    const head = { count: point.count, sum: point.hasSum ? point.sum : 0, stale: point.stale };
    if (metric.shape === 'histogram')
      encodeCustomBuckets(writer, { ...head, counts: point.counts, bounds: point.bounds });
    else {
      encodeExponential(writer, {
        ...head,
        scale: point.scale,
        zeroCount: point.zeroCount,
        zeroThreshold: point.zeroThreshold,
        positive: { offset: point.positiveOffset, counts: point.positive },
        negative: { offset: point.negativeOffset, counts: point.negative },
      });
    }
    const { timeMs, startMs } = point;
    this.#settle(samples.addHistogram(series, timeMs, startMs, start, this.#frameIndex, this.#record), exemplars);
  }

  #number(series: Series, startMs: number, value: number, exemplars: readonly Exemplar[] = []): void {
    const scratch = this.#scratch;
    scratch[0] = value;
    this.#double(series, startMs, this.#scratchBits[0]!, this.#scratchBits[1]!, exemplars);
  }

  #double(series: Series, startMs: number, low: number, high: number, exemplars: readonly Exemplar[]): void {
    const { timeMs, stale } = this.#point;
    const added = this.#samples.addDouble(
      series,
      timeMs,
      startMs,
      stale ? staleLow : low,
      stale ? staleHigh : high,
      this.#frameIndex,
      this.#record,
    );
    this.#settle(added, exemplars);
  }

  #settle(added: Added, exemplars: readonly Exemplar[]): void {
    if (added === 'added') this.#samples.addExemplars(exemplars);
    else if (added === 'conflict') this.#refuse('another value of the series has the same time, in milliseconds');
  }

  #refuse(reason: string): false {
    this.#reason ??= reason;
    return false;
  }

  readonly #scratch = new Float64Array(1);
  readonly #scratchBits = new Uint32Array(this.#scratch.buffer);

  private get samples(): Samples {
    return this.#samples;
  }

  /** Finds the metric of a Metric message, and leaves in `headScan` where its data lie. */
  #metric(origin: Origin, body: Uint8Array, start: number, end: number): Metric | undefined {
    const hashed = scanHead(body, start, end);
    if (headScan.field === 0) return undefined;
    const chain = origin.metrics.get(hashed);
    if (chain !== undefined) for (const metric of chain) if (isHead(metric, body)) return metric;
    const metric = this.#makeMetric(body, start, end);
    this.#known++;
    if (chain === undefined) origin.metrics.set(hashed, [metric]);
    else chain.push(metric);
    return metric;
  }

  #makeMetric(body: Uint8Array, start: number, end: number): Metric {
    const { family, ...rest } = describeHead(body, start, end, this.#options.naming.strategy);
    return { ...rest, name: family.name, family: this.#family(family), members: new Map() };
  }

  /** A copy, the same for as long as they are: most histograms have one of a few rows of bounds. */
  #shared(bounds: readonly number[]): readonly number[] {
    if (!sameNumbers(this.#lastBounds, bounds)) this.#lastBounds = [...bounds];
    return this.#lastBounds;
  }

  /** @returns the reason where there can be none. */
  #member(origin: Origin, metric: Metric, body: Uint8Array): Member | string {
    const { pairs, bounds, hasSum } = this.#point;
    const bounded = metric.shape === 'histogram' || metric.shape === 'summary';
    let hashed = hasSum ? 1 : 0;
    for (let at = 0; at < pairs.length; at += 2) hashed = hashBytes(body, pairs[at]!, pairs[at + 1]!, hashed);
    if (bounded) for (const bound of bounds) hashed = Math.imul(hashed ^ (bound * 1e6), 0x01000193);
    const chain = metric.members.get(hashed);
    if (chain !== undefined) {
      for (const member of chain) {
        if (
          sameAttributes(member.attributes, body, pairs) &&
          (!bounded || (member.hasSum === hasSum && sameNumbers(member.bounds, bounds)))
        ) {
          return member;
        }
      }
    }
    const member = this.#makeMember(origin, metric, body);
    if (typeof member === 'string') return member;
    this.#known++;
    if (chain === undefined) metric.members.set(hashed, [member]);
    else chain.push(member);
    return member;
  }

  #makeMember(origin: Origin, metric: Metric, body: Uint8Array): Member | string {
    const { pairs, bounds, hasSum } = this.#point;
    const { naming, customBuckets, replica } = this.#options;
    const { labels, nameless } = pointLabels(body, pairs, origin.resource, origin.scope, naming);
    if (nameless !== undefined) return 'an attribute whose key has no character that Prometheus allows';
    if (metric.delta && replica !== undefined) labels.set('watchingcat_replica', replica);
    const series = (suffix: string, extra?: readonly [name: string, value: string]) => {
      const all = new Map(labels);
      if (extra !== undefined) all.set(extra[0], extra[1]);
      all.set('__name__', metric.name + suffix);
      return this.#table.find(metric.family, all);
    };
    const found: Series[] = [];
    if (metric.shape === 'histogram' && !customBuckets) {
      found.push(series('_count'));
      for (const bound of bounds) {
        if (bound !== Number.POSITIVE_INFINITY) found.push(series('_bucket', ['le', labelNumber(bound)]));
      }
      found.push(series('_bucket', ['le', '+Inf']));
      if (hasSum) found.push(series('_sum'));
    } else if (metric.shape === 'summary') {
      found.push(series('_sum'), series('_count'));
      for (const quantile of bounds) found.push(series('', ['quantile', labelNumber(quantile)]));
    } else found.push(series(''));
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < pairs.length; at += 2) pieces.push(body.subarray(pairs[at]!, pairs[at + 1]!));
    const identity = metric.delta ? identityOf(metric, labels, bounds) : '';
    return {
      attributes: Buffer.concat(pieces),
      bounds: this.#shared(bounds),
      hasSum,
      series: found,
      identity,
    };
  }
}

function identityOf(metric: Metric, labels: Labels, bounds: readonly number[]): string {
  const sorted = [...labels].sort(([a], [b]) => (a < b ? -1 : 1));
  return hash('sha256', JSON.stringify([metric.name, metric.shape, sorted, bounds]), 'base64url').slice(0, 22);
}

function readExemplars(point: Point, body: Uint8Array): Exemplar[] {
  const exemplars: Exemplar[] = [];
  for (let at = 0; at < point.exemplars.length; at += 2) {
    const exemplar = readExemplar(body, point.exemplars[at]!, point.exemplars[at + 1]!);
    if (exemplar !== undefined) exemplars.push(exemplar);
  }
  return exemplars;
}
