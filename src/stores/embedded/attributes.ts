import { isUtf8 } from 'node:buffer';
import type { Column, Rows } from './columns.ts';
import { type Key, type KeyTable, sameBytes } from './keys.ts';
import { depthMax } from './limits.ts';

// Attributes from the wire into columns: promoted ones into columns of their own, the rest as one JSON object, bytes to bytes.
// JSON as the REST layer has it, except that integers beyond 2^53 are written as they are: NaN and ±Infinity as strings, bytes as base64.
// Sources: OTLP common.proto; Protocol Buffers "Encoding". The bytes were checked by the walk at the door.

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;

/** Where the last varint or tag ended; the varint's halves. Module state instead of an object for each value. */
let end = 0;
let low = 0;
let high = 0;

function varint(bytes: Uint8Array, at: number): void {
  let byte = bytes[at++]!;
  if (byte < 0x80) {
    low = byte;
    high = 0;
    end = at;
    return;
  }
  low = byte & 0x7f;
  high = 0;
  for (let shift = 7; shift < 70; shift += 7) {
    byte = bytes[at++]!;
    const bits = byte & 0x7f;
    if (shift < 28) low |= bits << shift;
    else if (shift === 28) {
      low |= bits << 28;
      high = bits >>> 4;
    } else high |= bits << (shift - 32);
    if (byte < 0x80) break;
  }
  end = at;
}

/** Passes over a value of this wire type at `at`; `valueStart` and `end` then enclose it. */
let valueStart = 0;
function value(bytes: Uint8Array, at: number, wireType: number): void {
  valueStart = at;
  switch (wireType) {
    case 0:
      varint(bytes, at);
      return;
    case 1:
      end = at + 8;
      return;
    case 2:
      varint(bytes, at);
      valueStart = end;
      end += low >>> 0;
      return;
    default:
      end = at + 4;
  }
}

/** Number of the AnyValue's field and where its value lies, after `anyValue`. 0: an empty value. */
let kind = 0;
let from = 0;
let to = 0;
let bitsLow = 0;
let bitsHigh = 0;
function anyValue(bytes: Uint8Array, start: number, limit: number): void {
  kind = 0;
  for (let at = start; at < limit; at = end) {
    varint(bytes, at);
    const tag = low >>> 0;
    value(bytes, end, tag & 7);
    kind = tag >>> 3;
    from = valueStart;
    to = end;
    bitsLow = low;
    bitsHigh = high;
  }
}

/** What attributes are written into. */
export interface AttributeSink {
  readonly buffer: Rows;
  readonly keys: KeyTable;
  /** Columns of the promoted attributes, by slot. */
  readonly promoted: readonly Column[];
}

/**
 * Writes attributes of one record, one call each: `begin`, `add` for each KeyValue, `finish`.
 * The overflow is written at the scratch's end, so nothing else may be put there in between.
 */
export class AttributeWriter {
  readonly #sink: AttributeSink;
  #jsonStart = 0;
  #stamp = 0;
  #row = 0;
  /** Where KeyValues of this record lie in pairs of start and end: needed again only where a key comes twice. */
  readonly #pairs: number[] = [];
  /** Numbers in it that count: emptying an array would give up its memory for each record. */
  #pairsUsed = 0;
  #twice = false;
  #last: Key | undefined;

  constructor(sink: AttributeSink) {
    this.#sink = sink;
  }

  begin(row: number): void {
    this.#row = row;
    this.#stamp++;
    this.#jsonStart = this.#sink.buffer.used;
    this.#pairsUsed = 0;
    this.#twice = false;
  }

  /** @param start first byte of a KeyValue message in `bytes`. */
  add(bytes: Uint8Array, start: number, limit: number): void {
    this.#pairs[this.#pairsUsed++] = start;
    this.#pairs[this.#pairsUsed++] = limit;
    let keyStart = start + 2;
    let keyEnd = keyStart + bytes[start + 1]!;
    let valueFrom = keyEnd + 2;
    let valueTo = limit;
    // As every encoder writes it: key, then value, each shorter than 128 bytes. It is looked at first, for 0.2 µs a span.
    const usual =
      bytes[start] === 0x0a &&
      bytes[start + 1]! < 0x80 &&
      valueFrom <= limit &&
      limit - valueFrom < 0x80 &&
      bytes[keyEnd] === 0x12 &&
      bytes[keyEnd + 1] === limit - valueFrom;
    if (!usual) {
      keyStart = keyEnd = valueFrom = valueTo = 0;
      for (let at = start; at < limit; at = end) {
        varint(bytes, at);
        const tag = low >>> 0;
        value(bytes, end, tag & 7);
        if (tag === 0x0a) {
          keyStart = valueStart;
          keyEnd = end;
        } else if (tag === 0x12) {
          valueFrom = valueStart;
          valueTo = end;
        }
      }
    }
    const size = valueTo - valueFrom - 2;
    if (bytes[valueFrom] === 0x0a && size >= 0 && size < 0x80 && bytes[valueFrom + 1] === size) {
      kind = 1;
      from = valueFrom + 2;
      to = valueTo;
    } else anyValue(bytes, valueFrom, valueTo);
    const { buffer, keys, promoted } = this.#sink;
    let key = this.#last?.next;
    if (key === undefined || !sameBytes(key, bytes, keyStart, keyEnd)) {
      key = keys.find(bytes, keyStart, keyEnd);
      if (this.#last !== undefined) this.#last.next = key;
    }
    this.#last = key;
    if (key !== undefined) {
      if (key.record === this.#stamp) {
        this.#twice = true;
        return;
      }
      key.record = this.#stamp;
      switch (kind) {
        case 1:
          key.texts++;
          if (key.kind === 'text' && promoted[key.slot]!.setIfText(this.#row, bytes, from, to)) return;
          break;
        case 2:
          key.bools++;
          if (key.kind === 'bool') {
            promoted[key.slot]!.setBool(this.#row, bitsLow !== 0);
            return;
          }
          break;
        case 3:
          key.ints++;
          if (key.kind === 'int') {
            promoted[key.slot]!.set64(this.#row, bitsLow, bitsHigh);
            return;
          }
          break;
        case 4:
          key.doubles++;
          if (key.kind === 'double' && (bytes[to - 1]! & 0x7f) !== 0x7f) {
            const column = promoted[key.slot]!;
            column.set64(this.#row, fixed32(bytes, from), fixed32(bytes, from + 4));
            return;
          }
          break;
        default:
          key.others++;
      }
      key.overflowed++;
    }
    buffer.reserve(64);
    if (buffer.used === this.#jsonStart) buffer.scratch[buffer.used++] = 0x7b;
    else buffer.scratch[buffer.used++] = comma;
    if (key !== undefined) buffer.copy(key.json, 0, key.json.length);
    else {
      writeString(buffer, bytes, keyStart, keyEnd);
      buffer.reserve(1);
      buffer.scratch[buffer.used++] = 0x3a;
    }
    writeAny(buffer, bytes, valueFrom, valueTo, 0);
  }

  /** Sets the overflow column. */
  finish(bytes: Uint8Array, overflow: Column): void {
    const { buffer } = this.#sink;
    if (this.#twice) this.#again(bytes);
    if (buffer.used === this.#jsonStart) return;
    buffer.reserve(1);
    buffer.scratch[buffer.used++] = 0x7d;
    overflow.setBytes(this.#row, buffer.scratch, this.#jsonStart, buffer.used);
  }

  /** A key came twice, which OTLP forbids: the last one counts, as in every map. Written anew without the earlier ones. */
  #again(bytes: Uint8Array): void {
    const last = new Map<string, [number, number]>();
    for (let i = 0; i < this.#pairsUsed; i += 2) {
      const start = this.#pairs[i]!;
      const limit = this.#pairs[i + 1]!;
      let name = '';
      for (let at = start; at < limit; at = end) {
        varint(bytes, at);
        const tag = low >>> 0;
        value(bytes, end, tag & 7);
        if (tag === 0x0a)
          name = Buffer.from(bytes.buffer, bytes.byteOffset + valueStart, end - valueStart).toString('latin1');
      }
      last.set(name, [start, limit]);
    }
    const { buffer, keys, promoted } = this.#sink;
    for (const column of promoted) column.clear(this.#row);
    for (const key of keys.all()) if (key.record === this.#stamp) key.record = -1;
    buffer.used = this.#jsonStart;
    const pairs = [...last.values()];
    this.#pairsUsed = 0;
    this.#twice = false;
    for (const [start, limit] of pairs) this.add(bytes, start, limit);
  }
}

/** Bytes of one AnyValue as JSON text at the scratch's end. */
export function writeAny(buffer: Rows, bytes: Uint8Array, start: number, limit: number, depth: number): void {
  anyValue(bytes, start, limit);
  buffer.reserve(48);
  switch (kind) {
    case 1:
      writeString(buffer, bytes, from, to);
      return;
    case 2:
      writeAscii(buffer, bitsLow !== 0 ? 'true' : 'false');
      return;
    case 3:
      writeInt(buffer, bitsLow, bitsHigh);
      return;
    case 4: {
      const number = double(bytes, from);
      writeAscii(buffer, Number.isFinite(number) ? String(number) : `"${number}"`);
      return;
    }
    case 5:
    case 6:
      writeNested(buffer, bytes, kind, from, to, depth + 1);
      return;
    case 7:
      writeAscii(buffer, '"');
      writeAscii(buffer, Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('base64'));
      writeAscii(buffer, '"');
      return;
    default:
      writeAscii(buffer, 'null');
  }
}

/** ArrayValue (5) or KeyValueList (6). */
function writeNested(
  buffer: Rows,
  bytes: Uint8Array,
  shape: number,
  start: number,
  limit: number,
  depth: number,
): void {
  if (depth > depthMax) {
    writeAscii(buffer, 'null');
    return;
  }
  buffer.scratch[buffer.used++] = shape === 5 ? 0x5b : 0x7b;
  let first = true;
  let at = start;
  while (at < limit) {
    varint(bytes, at);
    const tag = low >>> 0;
    value(bytes, end, tag & 7);
    const itemStart = valueStart;
    const itemEnd = end;
    at = end;
    if (tag !== 0x0a) continue;
    buffer.reserve(1);
    if (!first) buffer.scratch[buffer.used++] = comma;
    first = false;
    if (shape === 5) writeAny(buffer, bytes, itemStart, itemEnd, depth);
    else writeKeyValue(buffer, bytes, itemStart, itemEnd, depth);
  }
  buffer.reserve(1);
  buffer.scratch[buffer.used++] = shape === 5 ? 0x5d : 0x7d;
}

function writeKeyValue(buffer: Rows, bytes: Uint8Array, start: number, limit: number, depth: number): void {
  let keyStart = 0;
  let keyEnd = 0;
  let valueFrom = 0;
  let valueTo = 0;
  let at = start;
  while (at < limit) {
    varint(bytes, at);
    const tag = low >>> 0;
    value(bytes, end, tag & 7);
    if (tag === 0x0a) {
      keyStart = valueStart;
      keyEnd = end;
    } else if (tag === 0x12) {
      valueFrom = valueStart;
      valueTo = end;
    }
    at = end;
  }
  writeString(buffer, bytes, keyStart, keyEnd);
  buffer.reserve(1);
  buffer.scratch[buffer.used++] = 0x3a;
  writeAny(buffer, bytes, valueFrom, valueTo, depth);
}

/** Attributes of a resource, which are few and cached: a JSON object. @param fields where KeyValues lie, as pairs. */
export function writeObject(buffer: Rows, bytes: Uint8Array, fields: readonly number[]): void {
  buffer.reserve(1);
  buffer.scratch[buffer.used++] = 0x7b;
  for (let i = 0; i < fields.length; i += 2) {
    buffer.reserve(1);
    if (i > 0) buffer.scratch[buffer.used++] = comma;
    writeKeyValue(buffer, bytes, fields[i]!, fields[i + 1]!, 0);
  }
  buffer.reserve(1);
  buffer.scratch[buffer.used++] = 0x7d;
}

/** A JSON string; what is not UTF-8 becomes U+FFFD. */
function writeString(buffer: Rows, bytes: Uint8Array, start: number, limit: number): void {
  const size = limit - start;
  buffer.reserve(size + 2);
  let { used } = buffer;
  const { scratch } = buffer;
  scratch[used++] = quote;
  let at = start;
  let ascii = true;
  for (; at < limit; at++) {
    const byte = bytes[at]!;
    if (byte < 0x20 || byte === quote || byte === backslash) break;
    if (byte >= 0x80) ascii = false;
    scratch[used++] = byte;
  }
  if (at === limit && (ascii || isUtf8(bytes.subarray(start, limit)))) {
    scratch[used++] = quote;
    buffer.used = used;
    return;
  }
  // Seldom: something to escape or to repair.
  const json = Buffer.from(JSON.stringify(Buffer.from(bytes.buffer, bytes.byteOffset + start, size).toString('utf8')));
  buffer.copy(json, 0, json.length);
}

function writeAscii(buffer: Rows, text: string): void {
  buffer.reserve(text.length);
  const { scratch } = buffer;
  let { used } = buffer;
  for (let i = 0; i < text.length; i++) scratch[used++] = text.charCodeAt(i);
  buffer.used = used;
}

function writeInt(buffer: Rows, lowBits: number, highBits: number): void {
  if (highBits === 0 && lowBits >= 0) writeAscii(buffer, String(lowBits));
  else writeAscii(buffer, String((BigInt(highBits | 0) << 32n) | BigInt(lowBits >>> 0)));
}

function fixed32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

const scratch = new DataView(new ArrayBuffer(8));
function double(bytes: Uint8Array, at: number): number {
  scratch.setInt32(0, fixed32(bytes, at), true);
  scratch.setInt32(4, fixed32(bytes, at + 4), true);
  return scratch.getFloat64(0, true);
}
