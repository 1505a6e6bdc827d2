import { isUtf8 } from 'node:buffer';
import type { Signal } from '../base/index.ts';
import { type Limits, messageCharsMax } from './limits.ts';
import { problem, rejecting } from './problem.ts';
import { beginScan, endScan, scanMessage, scannedRecords } from './scan.ts';
import { type Field, isMessage, type MessageName, schema } from './schema.ts';
import { Reader, Writer, wireBytes, wireVarint } from './wire.ts';

// The slow path: what `walk` called unclean is made clean. Records that cannot be kept are left out, what can be repaired
// is repaired, and everything else is copied byte for byte, fields of later versions included.

export interface Rewritten {
  readonly bytes: Uint8Array;
  /** Records in `bytes`. */
  readonly records: number;
  /** Records that were left out. */
  readonly rejected: number;
  /** What was rejected, repaired or cut, why, and where it occurred first; at most 2,000 characters and never a payload. */
  readonly message: string;
  /** The same by reason, for counters: each reason one sentence that is the same for all of its records. */
  readonly rejections: readonly { readonly reason: string; readonly count: number; readonly first: string }[];
}

const names = {
  traces: { resource: 'resourceSpans', scope: 'scopeSpans', records: 'spans', record: 'Span', noun: 'span' },
  logs: {
    resource: 'resourceLogs',
    scope: 'scopeLogs',
    records: 'logRecords',
    record: 'LogRecord',
    noun: 'log record',
  },
  metrics: {
    resource: 'resourceMetrics',
    scope: 'scopeMetrics',
    records: 'metrics',
    record: 'Metric',
    noun: 'data point',
  },
} as const;

const rejections: readonly [bit: number, reason: string][] = [
  [problem.badOwnId, 'trace id must be 16 bytes and span id 8, not all zero (and a parent span id 8)'],
  [problem.tooDeep, 'a value is nested too deep'],
  [problem.noName, 'the metric has no name'],
  [problem.noTemporality, 'the aggregation temporality is neither delta nor cumulative'],
  [problem.noValue, 'there is no value'],
  [problem.tooManyBuckets, 'there are too many buckets or quantiles'],
  [problem.badExponential, 'scale or offset is out of range'],
  [
    problem.badHistogram,
    'bounds must increase, bucket counts be one more than bounds, and the count be the sum of the bucket counts',
  ],
  [problem.tooFarAhead, 'the time is too far in the future'],
];

/**
 * Rejects, repairs and cuts what `walk` has found; what is returned is clean.
 * - Rejected: spans with unusable ids, records with a value nested deeper than the limit (in a resource, scope or metric:
 *   all of its records), data points that make no sense or lie too far ahead of `nowUnixNano`.
 * - Repaired: invalid UTF-8 becomes U+FFFD in that string; ids on log records, links and exemplars that are no ids are removed.
 * - Cut: attributes, events and links beyond the limits, counted in `dropped_…_count`; too long values.
 * @param bytes  A request for which `walk` did not throw.
 * @throws Fault `malformed`
 * @see OTLP 1.11.0 "Partial Success"
 */
export function rewrite(signal: Signal, bytes: Uint8Array, limits: Limits, nowUnixNano?: bigint): Rewritten {
  return new Rewriter(signal, bytes, limits, nowUnixNano).run();
}

const mergedWarning = 'fields that must occur once occurred again and were merged';

interface Note {
  count: number;
  readonly first: string;
}

class Rewriter {
  readonly #signal: Signal;
  readonly #bytes: Uint8Array;
  readonly #limits: Limits;
  readonly #nowUnixNano: bigint | undefined;
  readonly #writer: Writer;
  readonly #rejections = new Map<string, Note>();
  readonly #warnings = new Map<string, Note>();
  #records = 0;
  #rejected = 0;
  /** Indexes of what is being written: resource, scope, record or metric, data point. */
  #place: number[] = [];

  constructor(signal: Signal, bytes: Uint8Array, limits: Limits, nowUnixNano: bigint | undefined) {
    this.#signal = signal;
    this.#bytes = bytes;
    this.#limits = limits;
    this.#nowUnixNano = nowUnixNano;
    this.#writer = new Writer(bytes.length + 1024);
  }

  run(): Rewritten {
    // `walk` has held the request to these two; here parts of it are scanned more than once.
    const limits = { ...this.#limits, recordsMax: Number.MAX_SAFE_INTEGER, elementsMax: Number.MAX_SAFE_INTEGER };
    beginScan(this.#bytes, limits, this.#nowUnixNano);
    try {
      let index = 0;
      const request = new Reader(this.#bytes);
      while (request.next()) {
        if (request.field !== 1 || request.wireType !== wireBytes) {
          this.#copy(request);
          continue;
        }
        this.#place = [index++];
        this.#resource(request);
      }
    } finally {
      endScan();
    }
    return {
      bytes: this.#writer.finish(),
      records: this.#records,
      rejected: this.#rejected,
      message: this.#message(),
      rejections: [...this.#rejections].map(([reason, { count, first }]) => ({ reason, count, first })),
    };
  }

  #copy(field: Reader): void {
    this.#writer.raw(field.buffer.subarray(field.tagStart, field.valueEnd));
  }

  /** ResourceSpans, ResourceMetrics or ResourceLogs. */
  #resource(at: Reader): void {
    const writer = this.#writer;
    const rejectedBefore = this.#rejected;
    const recordsBefore = this.#records;
    const begun = writer.length;
    const message = writer.begin(1);
    const resource = mergedField(at, 1);
    let problems = 0;
    const first = at.message();
    while (first.next())
      if (first.field === 1 && first.wireType === wireBytes)
        problems |= scanMessage('Resource', first.valueStart, first.valueEnd);
    if ((problems & rejecting) !== 0) {
      writer.truncate(begun);
      this.#rejectAll(capitalised(names[this.#signal].resource), at, problems);
      return;
    }
    let written = false;
    let scope = 0;
    const content = at.message();
    while (content.next()) {
      if (content.field === 1 && content.wireType === wireBytes) {
        if (written) {
          this.#warn(mergedWarning);
          continue; // merged into the first
        }
        written = true;
        if (problems === 0 && resource === undefined) this.#copy(content);
        else this.#submessage('Resource', 1, resource ?? content.message());
      } else if (content.field === 2 && content.wireType === wireBytes) {
        this.#place.length = 1;
        this.#place.push(scope++);
        this.#scope(content);
      } else if (content.field === 3 && content.wireType === wireBytes) this.#string(content, Number.POSITIVE_INFINITY);
      else this.#copy(content);
    }
    if (this.#rejected > rejectedBefore && this.#records === recordsBefore) writer.truncate(begun);
    else writer.end(message);
  }

  /** ScopeSpans, ScopeMetrics or ScopeLogs. */
  #scope(at: Reader): void {
    const writer = this.#writer;
    const rejectedBefore = this.#rejected;
    const recordsBefore = this.#records;
    const begun = writer.length;
    const message = writer.begin(2);
    const merged = mergedField(at, 1);
    let problems = 0;
    const first = at.message();
    while (first.next())
      if (first.field === 1 && first.wireType === wireBytes)
        problems |= scanMessage('InstrumentationScope', first.valueStart, first.valueEnd);
    if ((problems & rejecting) !== 0) {
      writer.truncate(begun);
      this.#rejectAll(capitalised(names[this.#signal].scope), at, problems);
      return;
    }
    let written = false;
    let record = 0;
    const content = at.message();
    while (content.next()) {
      if (content.field === 1 && content.wireType === wireBytes) {
        if (written) {
          this.#warn(mergedWarning);
          continue;
        }
        written = true;
        if (problems === 0 && merged === undefined) this.#copy(content);
        else this.#submessage('InstrumentationScope', 1, merged ?? content.message());
      } else if (content.field === 2 && content.wireType === wireBytes) {
        this.#place.length = 2;
        this.#place.push(record++);
        if (this.#signal === 'metrics') this.#metric(content);
        else this.#record(names[this.#signal].record, content);
      } else if (content.field === 3 && content.wireType === wireBytes) this.#string(content, Number.POSITIVE_INFINITY);
      else this.#copy(content);
    }
    if (this.#rejected > rejectedBefore && this.#records === recordsBefore) writer.truncate(begun);
    else writer.end(message);
  }

  /** A span, a log record or a data point. */
  #record(name: MessageName, at: Reader): void {
    const problems = scanMessage(name, at.valueStart, at.valueEnd);
    if ((problems & rejecting) !== 0) {
      this.#reject(1, problems);
      return;
    }
    this.#records++;
    if (problems === 0) this.#copy(at);
    else this.#submessage(name, at.field, at.message());
  }

  #metric(at: Reader): void {
    const writer = this.#writer;
    // Of the oneof, the last member on the wire counts.
    let dataAt = -1;
    let named = false;
    let problems = 0;
    const find = at.message();
    while (find.next()) {
      if (isData(find.field)) {
        if (dataAt >= 0) this.#warn(mergedWarning);
        dataAt = find.tagStart;
      } else if (find.field === 1) named = find.valueEnd > find.valueStart;
      else if (find.field === 12) problems |= scanMessage('KeyValue', find.valueStart, find.valueEnd);
    }
    if (dataAt < 0) {
      this.#warn('metrics without data were left out');
      return;
    }
    if ((problems & problem.tooDeep) !== 0) {
      this.#rejectAll('Metric', at, problems);
      return;
    }
    problems = named ? 0 : problem.noName;
    const rejectedBefore = this.#rejected;
    const recordsBefore = this.#records;
    const begun = writer.length;
    const message = writer.begin(2);
    this.#fields('Metric', at.message(), (field) => {
      if (!isData(field.field)) return false;
      if (field.tagStart === dataAt) this.#data(field, problems);
      return true;
    });
    if (this.#rejected > rejectedBefore && this.#records === recordsBefore) writer.truncate(begun);
    else writer.end(message);
  }

  /** Gauge, Sum, Histogram, ExponentialHistogram or Summary. */
  #data(at: Reader, metricProblems: number): void {
    const name = dataNames[at.field]!;
    const points = schema[name][0]!.kind as MessageName;
    let problems = metricProblems;
    if (name === 'Sum' || name === 'Histogram' || name === 'ExponentialHistogram') {
      let temporality = 0;
      const find = at.message();
      while (find.next()) if (find.field === 2 && find.wireType === wireVarint) temporality = find.int32();
      if (temporality !== 1 && temporality !== 2) problems |= problem.noTemporality;
    }
    const message = this.#writer.begin(at.field);
    let index = 0;
    const content = at.message();
    while (content.next()) {
      if (content.field !== 1 || content.wireType !== wireBytes) {
        this.#copy(content);
        continue;
      }
      this.#place.length = 3;
      this.#place.push(index++);
      if (problems !== 0) this.#reject(1, problems);
      else this.#record(points, content);
    }
    this.#place.length = 3;
    this.#writer.end(message);
  }

  #submessage(name: MessageName, field: number, content: Reader): void {
    const message = this.#writer.begin(field);
    this.#fields(name, content);
    this.#writer.end(message);
  }

  /**
   * Writes the fields of one message, mended.
   * @param instead Writes a field itself and returns true.
   */
  #fields(name: MessageName, content: Reader, instead?: (field: Reader) => boolean): void {
    const writer = this.#writer;
    const limits = this.#limits;
    const byNumber = fieldsByNumber.get(name)!;
    const counts = { attributes: 0, events: 0, links: 0, exemplars: 0 };
    const dropped = { attributes: 0, events: 0, links: 0 };
    let tooMany = 0; // attributes; there may be millions, so they are noted once
    const merged = new Set<number>();
    const begin = content.valueEnd;
    while (content.next()) {
      const field = byNumber.get(content.field);
      if (instead?.(content)) continue;
      if (field === undefined) {
        this.#copy(content);
        continue;
      }
      if (isMessage(field.kind)) {
        if (field.kind === 'KeyValue' && name !== 'KeyValueList') {
          if (++counts.attributes > limits.attributesMax) {
            dropped.attributes++;
            tooMany++;
          } else if (keySize(content) > limits.attributeKeyBytesMax) {
            dropped.attributes++;
            this.#warn('attributes with too long a key were dropped');
          } else this.#submessage(field.kind, content.field, content.message());
        } else if (field.kind === 'Event' && ++counts.events > limits.eventsMax) {
          dropped.events++;
          this.#warn('events beyond the limit of their number were dropped');
        } else if (field.kind === 'Link' && ++counts.links > limits.linksMax) {
          dropped.links++;
          this.#warn('links beyond the limit of their number were dropped');
        } else if (field.kind === 'Exemplar' && ++counts.exemplars > limits.exemplarsMax)
          this.#warn('exemplars beyond the limit of their number were dropped');
        else if (field.repeated || field.oneof !== undefined)
          this.#submessage(field.kind, content.field, content.message());
        else if (merged.has(content.field)) this.#warn(mergedWarning);
        else {
          merged.add(content.field);
          const whole = mergedField(new Enclosing(content.buffer, begin, content.end), content.field);
          this.#inBody(name === 'LogRecord' && field.name === 'body', () =>
            this.#submessage(field.kind as MessageName, content.field, whole ?? content.message()),
          );
        }
        continue;
      }
      switch (field.kind) {
        case 'string':
          this.#string(content, name === 'AnyValue' ? this.#valueBytesMax : Number.POSITIVE_INFINITY);
          break;
        case 'bytes':
          if (content.valueEnd - content.valueStart > this.#valueBytesMax) {
            this.#warn('values were cut to the limit of their size');
            writer.bytes(content.field, content.bytes().subarray(0, this.#valueBytesMax));
          } else this.#copy(content);
          break;
        case 'traceId':
        case 'spanId': {
          const bytes = content.bytes();
          const size = field.kind === 'traceId' ? 16 : 8;
          if (bytes.length === 0 || (bytes.length === size && bytes.some((byte) => byte !== 0))) this.#copy(content);
          else if (field.name !== 'parentSpanId') this.#warn('ids that are no ids were removed');
          break;
        }
        default: {
          const kind = droppedCounts[field.name];
          if (kind !== undefined && content.wireType === wireVarint) dropped[kind] += content.uint32();
          else this.#copy(content);
        }
      }
    }
    if (tooMany > 0) this.#warn('attributes beyond the limit of their number were dropped', tooMany);
    for (const field of schema[name]) {
      const kind = droppedCounts[field.name];
      if (kind !== undefined && dropped[kind] > 0) writer.uint32(field.number, Math.min(dropped[kind], 0xffffffff));
    }
  }

  /** Bytes that a string in an AnyValue may have; a log record's body is bounded by the request alone. */
  #valueBytesMaxNow: number | undefined;
  get #valueBytesMax(): number {
    return this.#valueBytesMaxNow ?? this.#limits.attributeValueBytesMax;
  }

  #inBody(isBody: boolean, write: () => void): void {
    if (isBody) this.#valueBytesMaxNow = Number.POSITIVE_INFINITY;
    write();
    if (isBody) this.#valueBytesMaxNow = undefined;
  }

  #string(at: Reader, bytesMax: number): void {
    let bytes = at.bytes();
    const valid = isUtf8(bytes);
    if (valid && bytes.length <= bytesMax) {
      this.#copy(at);
      return;
    }
    if (!valid) {
      this.#warn('strings were not UTF-8; their invalid bytes became U+FFFD');
      bytes = Buffer.from(at.string());
    }
    if (bytes.length > bytesMax) {
      this.#warn('values were cut to the limit of their size');
      let end = bytesMax;
      while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--; // not within a character
      bytes = bytes.subarray(0, end);
    }
    this.#writer.bytes(at.field, bytes);
  }

  /** Rejects every record within, since what they all share cannot be kept. */
  #rejectAll(name: MessageName, at: Reader, problems: number): void {
    const before = scannedRecords();
    scanMessage(name, at.valueStart, at.valueEnd);
    const count = scannedRecords() - before;
    if (count === 0)
      this.#warn('resources, scopes or metrics without records, but with too deep a value, were left out');
    else this.#reject(count, problems);
  }

  #reject(count: number, problems: number): void {
    this.#rejected += count;
    const reason = rejections.find(([bit]) => (problems & bit) !== 0)?.[1] ?? 'it is invalid';
    this.#note(this.#rejections, reason, count);
  }

  #warn(what: string, count = 1): void {
    this.#note(this.#warnings, what, count);
  }

  #note(notes: Map<string, Note>, text: string, count: number): void {
    const note = notes.get(text);
    if (note) note.count += count;
    else notes.set(text, { count, first: this.#where() });
  }

  /** Such as `resourceSpans[0].scopeSpans[1].spans[7]`. */
  #where(): string {
    const { resource, scope, records } = names[this.#signal];
    return [resource, scope, records, 'dataPoints']
      .slice(0, this.#place.length)
      .map((name, depth) => `${name}[${this.#place[depth]}]`)
      .join('.');
  }

  #message(): string {
    const { noun } = names[this.#signal];
    const sentences = [
      ...[...this.#rejections].map(
        ([reason, { count, first }]) =>
          `rejected ${count} ${noun}${count === 1 ? '' : 's'}: ${reason} (first: ${first})`,
      ),
      ...[...this.#warnings].map(([what, { count, first }]) => `${count} × ${what} (first: ${first})`),
    ];
    const message = sentences.join('; ');
    return message.length > messageCharsMax ? `${message.slice(0, messageCharsMax - 1)}…` : message;
  }
}

const fieldsByNumber = new Map(
  Object.entries(schema).map(([name, fields]) => [name, new Map(fields.map((field) => [field.number, field]))]),
) as ReadonlyMap<string, ReadonlyMap<number, Field>>;

function capitalised(name: string): MessageName {
  return (name[0]!.toUpperCase() + name.slice(1)) as MessageName;
}

const dataNames: { readonly [field: number]: MessageName } = Object.fromEntries(
  schema.Metric.filter((field) => field.oneof === 'data').map((field) => [field.number, field.kind as MessageName]),
);

function isData(field: number): boolean {
  return dataNames[field] !== undefined;
}

const droppedCounts: { readonly [name: string]: 'attributes' | 'events' | 'links' } = {
  droppedAttributesCount: 'attributes',
  droppedEventsCount: 'events',
  droppedLinksCount: 'links',
};

/** A message whose content is known by its bounds, for `mergedField`. */
class Enclosing {
  readonly #buffer: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  constructor(buffer: Uint8Array, start: number, end: number) {
    this.#buffer = buffer;
    this.#start = start;
    this.#end = end;
  }
  message(): Reader {
    return new Reader(this.#buffer, this.#start, this.#end);
  }
}

/**
 * A message field that occurs more than once where it should once means all of its occurrences together (Protocol
 * Buffers, "Last One Wins"). Undefined where it occurs at most once.
 */
function mergedField(at: { message(): Reader }, field: number): Reader | undefined {
  const parts: Uint8Array[] = [];
  const content = at.message();
  while (content.next()) if (content.field === field && content.wireType === wireBytes) parts.push(content.bytes());
  return parts.length < 2 ? undefined : new Reader(Buffer.concat(parts));
}

function keySize(attribute: Reader): number {
  let size = 0;
  const content = attribute.message();
  while (content.next()) if (content.field === 1) size = content.valueEnd - content.valueStart;
  return size;
}
