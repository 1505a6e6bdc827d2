import { Reader, readDouble, wireBytes, wireFixed64 } from '../../otlp/index.ts';

// One data point of any kind, read into an object that is used again for the next. Source: OTLP metrics.proto.

export type Shape = 'number' | 'histogram' | 'exponential' | 'summary';

/** Of the oneof `data` of a Metric, by field number. */
export const shapes: { readonly [field: number]: Shape } = {
  5: 'number', // gauge
  7: 'number', // sum
  9: 'histogram',
  10: 'exponential',
  11: 'summary',
};

export class Point {
  /** Where each KeyValue of the attributes lies: start, end, … */
  readonly pairs: number[] = [];
  /** Where each Exemplar lies: start, end, … */
  readonly exemplars: number[] = [];
  /** 0: not given. */
  timeMs = 0;
  startMs = 0;
  /** DataPointFlags.NO_RECORDED_VALUE_MASK: the series ended here, whatever the values say. */
  stale = false;
  /** A number's value, as a double's bits. */
  low = 0;
  high = 0;
  /** Histograms and summaries. Counts are exact below 2^53. */
  count = 0;
  sum = 0;
  hasSum = false;
  readonly counts: number[] = [];
  /** Bounds of a histogram; quantiles of a summary, with their values in `counts`. */
  readonly bounds: number[] = [];
  scale = 0;
  zeroCount = 0;
  zeroThreshold = 0;
  positiveOffset = 0;
  readonly positive: number[] = [];
  negativeOffset = 0;
  readonly negative: number[] = [];

  get value(): number {
    return doubleOf(this.low, this.high);
  }

  set value(value: number) {
    scratch.setFloat64(0, value, true);
    this.low = scratch.getUint32(0, true);
    this.high = scratch.getUint32(4, true);
  }

  read(shape: Shape, bytes: Uint8Array, start: number, end: number): void {
    this.pairs.length = 0;
    this.exemplars.length = 0;
    this.timeMs = 0;
    this.startMs = 0;
    this.stale = false;
    if (shape === 'number') this.#readNumber(bytes, start, end);
    else this.#readOther(shape, bytes, start, end);
    // What the tolerance adds shall not make a beginning of what has none before it.
    if (this.startMs === this.timeMs + 1) this.startMs = this.timeMs;
  }

  #readNumber(bytes: Uint8Array, start: number, end: number): void {
    const reader = new Reader(bytes, start, end);
    while (reader.next()) {
      switch (reader.field) {
        case 7:
          this.pairs.push(reader.valueStart, reader.valueEnd);
          break;
        case 3:
          this.timeMs = millis(reader);
          break;
        case 2:
          this.startMs = millis(reader, startErrorNanos);
          break;
        case 4:
          this.low = reader.fixed64Low();
          this.high = reader.fixed64High();
          break;
        case 6:
          this.value = integer(reader.fixed64Low(), reader.fixed64High() | 0);
          break;
        case 5:
          this.exemplars.push(reader.valueStart, reader.valueEnd);
          break;
        case 8:
          this.stale = (reader.uint32() & 1) !== 0;
          break;
      }
    }
  }

  #readOther(shape: Shape, bytes: Uint8Array, start: number, end: number): void {
    this.count = 0;
    this.sum = 0;
    this.hasSum = shape === 'summary';
    this.counts.length = 0;
    this.bounds.length = 0;
    this.scale = 0;
    this.zeroCount = 0;
    this.zeroThreshold = 0;
    this.positiveOffset = 0;
    this.positive.length = 0;
    this.negativeOffset = 0;
    this.negative.length = 0;
    const exponential = shape === 'exponential';
    const histogram = shape === 'histogram';
    const attributes = exponential ? 1 : histogram ? 9 : 7;
    const exemplars = exponential ? 11 : histogram ? 8 : -1;
    const flags = shape === 'summary' ? 8 : 10;
    const reader = new Reader(bytes, start, end);
    while (reader.next()) {
      const { field } = reader;
      if (field === attributes) this.pairs.push(reader.valueStart, reader.valueEnd);
      else if (field === exemplars) this.exemplars.push(reader.valueStart, reader.valueEnd);
      else if (field === flags) this.stale = (reader.uint32() & 1) !== 0;
      else if (field === 3) this.timeMs = millis(reader);
      else if (field === 2) this.startMs = millis(reader, startErrorNanos);
      else if (field === 4) this.count = integer(reader.fixed64Low(), reader.fixed64High());
      else if (field === 5) {
        this.sum = reader.double();
        this.hasSum = true;
      } else if (histogram) {
        if (field === 6) eachFixed64(reader, (at) => this.counts.push(count(bytes, at)));
        else if (field === 7) eachFixed64(reader, (at) => this.bounds.push(readDouble(bytes, at)));
      } else if (exponential) {
        if (field === 6) this.scale = reader.sint32();
        else if (field === 7) this.zeroCount = integer(reader.fixed64Low(), reader.fixed64High());
        else if (field === 14) this.zeroThreshold = reader.double();
        else if (field === 8) this.positiveOffset = readBuckets(reader.message(), this.positive);
        else if (field === 9) this.negativeOffset = readBuckets(reader.message(), this.negative);
      } else if (field === 6) {
        const quantile = reader.message();
        let which = 0;
        let value = 0;
        while (quantile.next()) {
          if (quantile.field === 1) which = quantile.double();
          else if (quantile.field === 2) value = quantile.double();
        }
        this.bounds.push(which);
        this.counts.push(value);
      }
    }
  }
}

const scratch = new DataView(new ArrayBuffer(8));

function doubleOf(low: number, high: number): number {
  scratch.setUint32(0, low, true);
  scratch.setUint32(4, high, true);
  return scratch.getFloat64(0, true);
}

/**
 * What is told in seconds as a double, as `_created` of OpenMetrics is, comes as up to a quarter of a microsecond less than it
 * was: cut to milliseconds it would be one less, and another one than Prometheus' own scraper sends.
 */
const startErrorNanos = 500;

/**
 * Milliseconds of a fixed64 of nanoseconds, exact: 2^32 = 4294 · 10^6 + 967,296, so that no number passes 2^53.
 * Measured: 8 ns; by bigint 110.
 * @param more Nanoseconds that are added before the rest is cut off.
 */
function millis(reader: Reader, more = 0): number {
  const low = reader.fixed64Low();
  const high = reader.fixed64High();
  return high * 4294 + Math.floor((high * 967_296 + low + more) / 1e6);
}

/** @param high signed for sfixed64. */
function integer(low: number, high: number): number {
  // Beyond 2^53 the sum of two rounded halves would be rounded twice.
  if (high >= 0x200000 || high < -0x200000) return Number((BigInt(high) << 32n) | BigInt(low));
  return high * 0x100000000 + low;
}

function count(bytes: Uint8Array, at: number): number {
  const low = (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
  const high = (bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24)) >>> 0;
  return integer(low, high);
}

/** A repeated fixed64 or double, packed or not. */
function eachFixed64(reader: Reader, use: (at: number) => void): void {
  if (reader.wireType === wireFixed64) use(reader.valueStart);
  else for (let at = reader.valueStart; at + 8 <= reader.valueEnd; at += 8) use(at);
}

/** @returns the offset; the counts go into `counts`. */
function readBuckets(reader: Reader, counts: number[]): number {
  let offset = 0;
  while (reader.next()) {
    if (reader.field === 1) offset = reader.sint32();
    else if (reader.field !== 2) continue;
    else if (reader.wireType === wireBytes) readVarints(reader.buffer, reader.valueStart, reader.valueEnd, counts);
    else counts.push(Number(reader.uint64()));
  }
  return offset;
}

/** Packed varints; numbers beyond 2^53 are rounded. */
function readVarints(bytes: Uint8Array, start: number, end: number, into: number[]): void {
  for (let at = start; at < end; ) {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80 || at >= end) break;
    }
    into.push(value);
  }
}
