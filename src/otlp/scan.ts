import { isUtf8 } from 'node:buffer';
import { Fault } from '../base/index.ts';
import {
  addBounds,
  addCount,
  addCounts,
  addZeroCount,
  beginDataPoint,
  countedBuckets,
  isCountSound,
  isHistogramSound,
  noteSum,
  noteTotal,
} from './histogram.ts';
import { exponentialIndexMax, exponentialScaleMax, exponentialScaleMin, type Limits } from './limits.ts';
import * as table from './ops.ts';
import { problem } from './problem.ts';
import { type MessageName, messageIndex } from './schema.ts';
import {
  groupEnd,
  malformed,
  readFixed32,
  wireBytes,
  wireFixed32,
  wireFixed64,
  wireGroup,
  wireVarint,
} from './wire.ts';

// The loop over the tags that `walk` and `rewrite` share. It checks the whole structure, counts, and notes as bits what is
// wrong with what it passed over; it builds nothing. Its state is the module's, since it never waits and allocations would
// cost more than the loop itself. Measured by walk.bench.ts.

// Names of this module's own for what the loop looks up: through an import each costs a load, and the walk a third more time.
const { children, messages, ops, wires } = table;
const {
  unknown: opUnknown,
  scalar: opScalar,
  string: opString,
  key: opKey,
  anyString: opAnyString,
  anyBytes: opAnyBytes,
  anyContainer: opAnyContainer,
  message: opMessage,
  element: opElement,
  attribute: opAttribute,
  record: opRecord,
  event: opEvent,
  link: opLink,
  exemplar: opExemplar,
  ownTraceId: opOwnTraceId,
  ownSpanId: opOwnSpanId,
  parentSpanId: opParentSpanId,
  traceId: opTraceId,
  spanId: opSpanId,
  packedFixed64: opPackedFixed64,
  packedVarint: opPackedVarint,
  body: opBody,
  logTime: opLogTime,
  pointTime: opPointTime,
  kept: opKept,
  flags: opFlags,
  count: opCount,
  sum: opSum,
  zeroCount: opZeroCount,
  scale: opScale,
  offset: opOffset,
  data: opData,
  present: opPresent,
  name: opName,
  quantile: opQuantile,
  entityKey: opEntityKey,
  bounds: opBounds,
} = table.op;

const anyValue = messageIndex.AnyValue;
const keyValue = messageIndex.KeyValue;
const span = messageIndex.Span;
const metric = messageIndex.Metric;
const sum = messageIndex.Sum;
const histogram = messageIndex.Histogram;
const exponentialHistogram = messageIndex.ExponentialHistogram;
const numberDataPoint = messageIndex.NumberDataPoint;
const histogramDataPoint = messageIndex.HistogramDataPoint;
const exponentialDataPoint = messageIndex.ExponentialHistogramDataPoint;
const buckets = messageIndex.Buckets;

// ------------------------------------------------------------------------------------ state of the current scan

let source: Uint8Array = new Uint8Array(0);
let sourceView = new DataView(source.buffer);
let problems = 0;
let records = 0;
let elements = 0;
let hasTimestamp = false;
/** Where a slow read ended, and the upper half of what it read. */
let cursor = 0;
let varintHigh = 0;

let recordsMax = 0;
let elementsMax = 0;
let anyValueDepthMax = 0;
let attributesMax = 0;
let valueBytesMax = 0;
let keyBytesMax = 0;
let eventsMax = 0;
let linksMax = 0;
let exemplarsMax = 0;
let bucketsMax = 0;
/** Halves of the latest time that a data point may have. */
let aheadHigh = 0;
let aheadLow = 0;

/** Begins a scan of `bytes`; what was counted before is forgotten. */
export function beginScan(bytes: Uint8Array, limits: Limits, nowUnixNano: bigint | undefined): void {
  source = bytes;
  sourceView = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  problems = 0;
  records = 0;
  elements = 0;
  hasTimestamp = false;
  recordsMax = limits.recordsMax;
  elementsMax = limits.elementsMax;
  anyValueDepthMax = limits.anyValueDepthMax;
  attributesMax = limits.attributesMax;
  valueBytesMax = limits.attributeValueBytesMax;
  keyBytesMax = limits.attributeKeyBytesMax;
  eventsMax = limits.eventsMax;
  linksMax = limits.linksMax;
  exemplarsMax = limits.exemplarsMax;
  bucketsMax = limits.bucketsMax;
  const latest =
    nowUnixNano === undefined ? 0xffffffffffffffffn : BigInt.asUintN(64, nowUnixNano + limits.metricsAheadNanosMax);
  aheadHigh = Number(latest >> 32n);
  aheadLow = Number(latest & 0xffffffffn);
}

/** Lets go of the bytes. */
export function endScan(): void {
  source = new Uint8Array(0);
  sourceView = new DataView(source.buffer);
}

/**
 * Scans one message of the bytes that `beginScan` was given.
 * @returns the bits of `problem` that hold somewhere in it.
 * @throws Fault `malformed` with the offset; `tooLarge` at the first record or element over the bound.
 */
export function scanMessage(message: MessageName, start: number, end: number): number {
  problems = 0;
  scan(messageIndex[message], start, end, 0);
  return problems;
}

export function scannedRecords(): number {
  return records;
}

/** Whether a log record with a time or an observed time was passed. */
export function scannedTimestamp(): boolean {
  return hasTimestamp;
}

/** Counts a repeated field that the caller walks itself. */
export function countElement(): void {
  if (++elements > elementsMax) throw tooManyElements();
}

function tooManyElements(): Fault {
  return new Fault('tooLarge', `the request holds more than ${elementsMax} attributes, events, buckets and the like`);
}

/**
 * @param depth AnyValues around this message; the AnyValue that an attribute holds has depth 1.
 */
function scan(message: number, start: number, end: number, depth: number): void {
  const bytes = source;
  const base = message << 5;
  let at = start;
  let attributes = 0;
  let others = 0; // events or exemplars
  let links = 0;
  let seen = 0; // singular fields, by number; for ids: those that are valid
  let kept = 0;
  let flags = 0;
  const recordsBefore = records;
  if (message === histogramDataPoint || message === exponentialDataPoint) beginDataPoint();
  while (at < end) {
    const tagAt = at;
    let tag = bytes[at++]!;
    if (tag >= 0x80) {
      tag = longVarint(tagAt, end);
      if (varintHigh !== 0) throw malformed('a tag beyond 32 bits', tagAt);
      at = cursor;
    }
    const field = tag >>> 3;
    const wire = tag & 7;
    let valueAt = at;
    let value = 0;
    if (wire === wireBytes) {
      if (at >= end) throw malformed('a length that is cut off', at);
      let length = bytes[at++]!;
      if (length >= 0x80) {
        length = longVarint(valueAt, end);
        if (varintHigh !== 0) throw malformed('a length beyond 32 bits', valueAt);
        at = cursor;
      }
      valueAt = at;
      at += length;
    } else if (wire === wireVarint) {
      if (at >= end) throw malformed('a varint that is cut off', at);
      value = bytes[at++]!;
      if (value >= 0x80) {
        value = longVarint(valueAt, end);
        at = cursor;
      } else varintHigh = 0;
    } else if (wire === wireFixed64) at += 8;
    else if (wire === wireFixed32) at += 4;
    else if (wire === wireGroup && field !== 0) at = groupEnd(bytes, field, at, end);
    else throw malformed(`wire type ${wire}`, tagAt);
    if (at > end) throw malformed('a value that ends after its message', valueAt);
    if (field === 0) throw malformed('field number 0', tagAt);

    const entry = base + field;
    const op = field < 32 ? ops[entry]! : opUnknown;
    if (op === opUnknown) continue; // a later version's field: kept as it is
    if (
      wire !== wires[entry]! &&
      !(wire === wireBytes && (op === opPackedFixed64 || op === opPackedVarint || op === opBounds))
    )
      throw malformed(`wire type ${wire} for field ${field} of ${messages[message]}`, tagAt);

    switch (op) {
      case opScalar:
        break;
      case opString:
        if (!isValidText(bytes, valueAt, at)) problems |= problem.badUtf8;
        break;
      case opKey:
        if (!isValidText(bytes, valueAt, at)) problems |= problem.badUtf8;
        if (at - valueAt > keyBytesMax) problems |= problem.keyTooLong;
        break;
      case opAnyString:
        if (!isValidText(bytes, valueAt, at)) problems |= problem.badUtf8;
        if (at - valueAt > valueBytesMax) problems |= problem.valueTooLong;
        break;
      case opAnyBytes:
        if (at - valueAt > valueBytesMax) problems |= problem.valueTooLong;
        break;
      case opAnyContainer:
        // A scalar may lie one level deeper: an SDK's limit, too, is about arrays and maps.
        if (depth > anyValueDepthMax) problems |= problem.tooDeep;
        else scan(children[entry]!, valueAt, at, depth);
        break;
      case opMessage: {
        const bit = 1 << field;
        if ((seen & bit) !== 0) problems |= problem.repeatedOnce;
        seen |= bit;
        const child = children[entry]!;
        scan(child, valueAt, at, child === anyValue ? depth + 1 : depth);
        break;
      }
      case opElement: {
        if (++elements > elementsMax) throw tooManyElements();
        const child = children[entry]!;
        scan(child, valueAt, at, child === anyValue ? depth + 1 : depth);
        break;
      }
      case opAttribute:
        attributes++;
        if (++elements > elementsMax) throw tooManyElements();
        if (!isPlainAttribute(bytes, valueAt, at)) scan(keyValue, valueAt, at, 0);
        break;
      case opRecord:
        if (++records > recordsMax) throw new Fault('tooLarge', `the request holds more than ${recordsMax} records`);
        if (++elements > elementsMax) throw tooManyElements();
        scan(children[entry]!, valueAt, at, 0);
        break;
      case opEvent:
      case opExemplar:
      case opQuantile:
        others++;
        if (++elements > elementsMax) throw tooManyElements();
        scan(children[entry]!, valueAt, at, 0);
        break;
      case opLink:
        links++;
        if (++elements > elementsMax) throw tooManyElements();
        scan(children[entry]!, valueAt, at, 0);
        break;
      case opOwnTraceId:
      case opOwnSpanId:
        if (isId(bytes, valueAt, at, op === opOwnTraceId ? 16 : 8)) seen |= 1 << field;
        else seen &= ~(1 << field);
        break;
      case opParentSpanId:
        if (at !== valueAt && !isId(bytes, valueAt, at, 8))
          problems |= at - valueAt === 8 ? problem.badOtherId : problem.badOwnId;
        break;
      case opTraceId:
        if (at !== valueAt && !isId(bytes, valueAt, at, 16)) problems |= problem.badOtherId;
        break;
      case opSpanId:
        if (at !== valueAt && !isId(bytes, valueAt, at, 8)) problems |= problem.badOtherId;
        break;
      case opPackedFixed64:
        countPacked(valueAt, at);
        addCounts(bytes, valueAt, at);
        break;
      case opBounds:
        countPacked(valueAt, at);
        addBounds(bytes, valueAt, at);
        break;
      case opPackedVarint:
        if (wire === wireBytes) scanPackedVarints(bytes, valueAt, at);
        else {
          countElement();
          addCount(varintHigh, value);
        }
        break;
      case opBody: {
        const bit = 1 << field;
        if ((seen & bit) !== 0) problems |= problem.repeatedOnce;
        seen |= bit;
        const valueBytesMaxOfAttributes = valueBytesMax;
        valueBytesMax = 0x7fffffff; // the limit is about attributes; a body is bounded by the request
        scan(anyValue, valueAt, at, 1);
        valueBytesMax = valueBytesMaxOfAttributes;
        break;
      }
      case opLogTime:
        if (!hasTimestamp && !isZero(bytes, valueAt, at)) hasTimestamp = true;
        break;
      case opPointTime: {
        const high = readFixed32(bytes, valueAt + 4);
        if (high > aheadHigh || (high === aheadHigh && readFixed32(bytes, valueAt) > aheadLow))
          problems |= problem.tooFarAhead;
        break;
      }
      case opKept:
        kept = value;
        break;
      case opFlags:
        flags = value;
        break;
      case opCount:
        noteTotal(bytes, valueAt);
        break;
      case opSum:
        noteSum(bytes, valueAt);
        break;
      case opZeroCount:
        addZeroCount(bytes, valueAt);
        break;
      case opScale: {
        const scale = (value >>> 1) ^ -(value & 1);
        if (varintHigh !== 0 || scale < exponentialScaleMin || scale > exponentialScaleMax)
          problems |= problem.badExponential;
        break;
      }
      case opOffset:
        // Kept until the number of buckets is known; more than 32 bits cannot be an offset.
        kept = (value >>> 1) ^ -(value & 1);
        if (varintHigh !== 0) problems |= problem.badExponential;
        break;
      case opData:
        if (links !== 0) problems |= problem.repeatedOnce;
        links = 1;
        scan(children[entry]!, valueAt, at, 0);
        break;
      case opPresent:
        seen |= 1 << field;
        break;
      case opName:
        if (!isValidText(bytes, valueAt, at)) problems |= problem.badUtf8;
        if (at > valueAt) seen |= 1 << field;
        else seen &= ~(1 << field);
        break;
      case opEntityKey:
        if (++elements > elementsMax) throw tooManyElements();
        if (!isValidText(bytes, valueAt, at)) problems |= problem.badUtf8;
        break;
    }
  }
  if (attributes > attributesMax) problems |= problem.tooManyAttributes;
  switch (message) {
    case span:
      if ((seen & 6) !== 6) problems |= problem.badOwnId;
      if (others > eventsMax) problems |= problem.tooManyEvents;
      if (links > linksMax) problems |= problem.tooManyLinks;
      break;
    case numberDataPoint:
      // DataPointFlags: bit 0 says that there is no value.
      if (seen === 0 && (flags & 1) === 0) problems |= problem.noValue;
      if (others > exemplarsMax) problems |= problem.tooManyExemplars;
      break;
    case histogramDataPoint:
      if (others > exemplarsMax) problems |= problem.tooManyExemplars;
      if (!isHistogramSound()) problems |= problem.badHistogram;
      if (countedBuckets() > bucketsMax) problems |= problem.tooManyBuckets;
      break;
    case exponentialDataPoint:
      if (others > exemplarsMax) problems |= problem.tooManyExemplars;
      if (!isCountSound()) problems |= problem.badHistogram;
      if (countedBuckets() > bucketsMax) problems |= problem.tooManyBuckets;
      break;
    case buckets:
      if (kept < -exponentialIndexMax || kept + countedBuckets() > exponentialIndexMax)
        problems |= problem.badExponential;
      break;
    case sum:
    case histogram:
    case exponentialHistogram:
      if (kept !== 1 && kept !== 2 && records !== recordsBefore) problems |= problem.noTemporality;
      break;
    case metric:
      if ((seen & 2) === 0 && records !== recordsBefore) problems |= problem.noName;
      if (links === 0) problems |= problem.noData;
      break;
    case messageIndex.SummaryDataPoint:
      if (others > bucketsMax) problems |= problem.tooManyBuckets;
      break;
  }
}

// ------------------------------------------------------------------------------------ what lies within a message

/**
 * The commonest attributes, a key and a string or a number, shorter than 128 bytes each and ASCII, without going down two
 * levels. False says only that it has to be scanned properly.
 */
function isPlainAttribute(bytes: Uint8Array, start: number, end: number): boolean {
  // 0a keyLength key… 12 valueLength, then 0a textLength text… or 18 varint…
  if (end - start < 7 || bytes[start] !== 0x0a) return false;
  const keyLength = bytes[start + 1]!;
  const valueTag = start + 2 + keyLength;
  if (keyLength >= 0x80 || keyLength > keyBytesMax || valueTag + 4 > end || bytes[valueTag] !== 0x12) return false;
  if (bytes[valueTag + 1] !== end - valueTag - 2) return false; // also where that does not fit one byte
  const kind = bytes[valueTag + 2];
  if (kind === 0x0a) {
    const length = bytes[valueTag + 3]!;
    if (valueTag + 4 + length !== end || length >= 0x80 || length > valueBytesMax) return false;
    return isAscii(bytes, start + 2, valueTag) && isAscii(bytes, valueTag + 4, end);
  }
  if (kind === 0x18) {
    const last = end - 1;
    if (last - valueTag > 11 || bytes[last]! >= 0x80) return false; // nine bytes and fewer cannot overflow
    for (let at = valueTag + 3; at < last; at++) if (bytes[at]! < 0x80) return false;
    return isAscii(bytes, start + 2, valueTag);
  }
  return false;
}

/**
 * Four bytes at a time, the last four overlapping those before: measured at 17 µs for 40 kB in strings of 20 bytes, where a
 * loop over bytes takes 44.
 */
function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < 4) {
    for (let at = start; at < end; at++) if (bytes[at]! >= 0x80) return false;
    return true;
  }
  const view = sourceView;
  const last = end - 4;
  let bits = view.getInt32(last, true);
  for (let at = start; at < last; at += 4) bits |= view.getInt32(at, true);
  return (bits & 0x80808080) === 0;
}

function isValidText(bytes: Uint8Array, start: number, end: number): boolean {
  if (isAscii(bytes, start, end)) return true;
  return isUtf8(bytes.subarray(start, end));
}

function isId(bytes: Uint8Array, start: number, end: number, size: number): boolean {
  return end - start === size && !isZero(bytes, start, end);
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] !== 0) return false;
  return true;
}

/** A varint of any length at `start`: the lower 32 bits, unsigned; `varintHigh` and `cursor` tell the rest. */
function longVarint(start: number, end: number): number {
  const bytes = source;
  let at = start;
  let low = 0;
  let high = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    if (at >= end) throw malformed('a varint that is cut off', start);
    const byte = bytes[at++]!;
    const bits = byte & 0x7f;
    if (shift < 28) low |= bits << shift;
    else if (shift === 28) {
      low |= bits << 28;
      high = bits >>> 4;
    } else if (shift === 63) {
      if (byte > 1) throw malformed('a varint of more than 64 bits', start);
      high |= bits << 31;
    } else high |= bits << (shift - 32);
    if (byte < 0x80) {
      varintHigh = high >>> 0;
      cursor = at;
      return low >>> 0;
    }
  }
  throw malformed('a varint of more than 10 bytes', start);
}

// ------------------------------------------------------------------------------------ histograms

/** Counts values of eight bytes each; one alone (not packed) is the same with a length of eight bytes. */
function countPacked(start: number, end: number): void {
  const count = (end - start) / 8;
  if (!Number.isInteger(count)) throw malformed('packed values of 8 bytes whose length is no multiple of 8', start);
  elements += count;
  if (elements > elementsMax) throw tooManyElements();
}

function scanPackedVarints(bytes: Uint8Array, start: number, end: number): void {
  let at = start;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte < 0x80) {
      at++;
      countElement();
      addCount(0, byte);
    } else {
      const low = longVarint(at, end);
      at = cursor;
      countElement();
      addCount(varintHigh, low);
    }
  }
}
