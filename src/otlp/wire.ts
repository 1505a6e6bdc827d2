import { Fault } from '../base/index.ts';

// Protocol Buffers "Encoding", read and written without objects.
// The reader's state is a position that the caller holds; functions return what they read, and `varintEnd` tells where it ended.

/** Wire types. 3 begins a group and 4 ends it: no OTLP message has one, but an unknown field may be one. 6 and 7 do not exist. */
export const wireVarint = 0;
export const wireFixed64 = 1;
export const wireBytes = 2;
export const wireGroup = 3;
export const wireFixed32 = 5;
/** Groups within groups; deeper nesting is malformed. */
const groupDepthMax = 10_000;

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true }); // a leading U+FEFF is part of the value
const utf8Encoder = new TextEncoder();

export function malformed(message: string, offset: number): Fault {
  return new Fault('malformed', `malformed protobuf at byte ${offset}: ${message}`);
}

/**
 * One past the tag that ends a group: what a parser must pass over in an unknown field, whatever is in it. Not recursive,
 * since a group may hold groups.
 * @param start First byte after the tag that begins it.
 * @throws Fault `malformed`: not ended before `end`, ended by another's tag, nested too deep.
 * @see Protocol Buffers "Encoding", "Groups"
 */
export function groupEnd(bytes: Uint8Array, field: number, start: number, end: number): number {
  const open = [field];
  const reader = new Reader(bytes, start, end);
  let at = start;
  while (open.length > 0) {
    if (at >= end) throw malformed('a group that does not end in its message', start);
    const tagAt = at;
    const wireType = bytes[at]! & 7;
    if (wireType !== wireGroup && wireType !== 4) {
      reader.valueEnd = at;
      reader.next();
      at = reader.valueEnd;
      continue;
    }
    at = reader.tagAt(at);
    if (wireType === wireGroup) {
      if (open.length >= groupDepthMax) throw malformed(`more than ${groupDepthMax} groups in one another`, tagAt);
      open.push(reader.field);
    } else if (open.pop() !== reader.field) throw malformed("the end of another field's group", tagAt);
  }
  return at;
}

/**
 * A cursor over one message. Fields are visited by `next`; the reader never goes past `end`.
 * ```ts
 * const reader = new Reader(bytes, start, end);
 * while (reader.next()) {
 *   if (reader.field === 1 && reader.wireType === wireBytes) use(reader.valueStart, reader.valueEnd);
 * }
 * ```
 * `next` also passes over a value that was not asked for. Values are read from where they lie: nothing is copied, except
 * by `bytes()` and `string()`.
 * @throws Fault `malformed` with the offset, from `next`; on bytes that `walk` has passed it never happens.
 */
export class Reader {
  buffer: Uint8Array;
  end: number;
  /** Number of the field that `next` stopped at. */
  field = 0;
  wireType = 0;
  /** Where the field's tag begins. */
  tagStart = 0;
  /** First byte of the value; for wire type 2 the byte after the length. */
  valueStart: number;
  /** One past the value's last byte. */
  valueEnd: number;
  #low = 0;
  #high = 0;

  constructor(buffer: Uint8Array, start = 0, end: number = buffer.length) {
    this.buffer = buffer;
    this.end = end;
    this.valueStart = start;
    this.valueEnd = start;
  }

  /** The same reader over another message: for loops that would otherwise make one for each value. */
  over(buffer: Uint8Array, start: number, end: number): this {
    this.buffer = buffer;
    this.end = end;
    this.field = 0;
    this.valueStart = start;
    this.valueEnd = start;
    return this;
  }

  /** Goes to the next field; false at the end of the message. */
  next(): boolean {
    const start = this.valueEnd;
    if (start >= this.end) return false;
    const first = this.buffer[start]!;
    let position: number;
    // Fields 1 to 15, and lengths below 128, are all that most messages have.
    if (first >= 8 && first < 0x80) {
      this.tagStart = start;
      this.field = first >>> 3;
      this.wireType = first & 7;
      position = start + 1;
    } else position = this.tagAt(start);
    this.valueStart = position;
    switch (this.wireType) {
      case wireVarint:
        this.#varint(position);
        break;
      case wireFixed64:
        this.valueEnd = position + 8;
        break;
      case wireFixed32:
        this.valueEnd = position + 4;
        break;
      case wireBytes: {
        const size = position < this.end ? this.buffer[position]! : 0x80;
        if (size < 0x80) {
          this.valueStart = position + 1;
          this.valueEnd = position + 1 + size;
          break;
        }
        this.#varint(position);
        if (this.#high !== 0) throw malformed('a length beyond 32 bits', position);
        this.valueStart = this.valueEnd;
        this.valueEnd = this.valueStart + (this.#low >>> 0);
        break;
      }
      case wireGroup:
        this.valueEnd = groupEnd(this.buffer, this.field, position, this.end);
        break;
      default:
        throw malformed(`wire type ${this.wireType}`, start);
    }
    if (this.valueEnd > this.end) throw malformed('a value that ends after its message', position);
    return true;
  }

  /** Reads the tag at `start` into `field` and `wireType`; one past its last byte. */
  tagAt(start: number): number {
    this.tagStart = start;
    this.#varint(start);
    if (this.#high !== 0) throw malformed('a tag beyond 32 bits', start);
    const tag = this.#low >>> 0;
    this.field = tag >>> 3;
    this.wireType = tag & 7;
    if (this.field === 0) throw malformed('field number 0', start);
    return this.valueEnd;
  }

  /** A reader of the message that the current value holds. */
  message(): Reader {
    return new Reader(this.buffer, this.valueStart, this.valueEnd);
  }

  /** Varint as uint32; a longer one is truncated, as the specification of protobuf says for parsers. */
  uint32(): number {
    return this.#low >>> 0;
  }

  /** Varint as int32 or as an enum's value. */
  int32(): number {
    return this.#low | 0;
  }

  /** Varint as sint32 (zigzag). */
  sint32(): number {
    const value = this.#low >>> 0;
    return (value >>> 1) ^ -(value & 1);
  }

  bool(): boolean {
    return (this.#low | this.#high) !== 0;
  }

  /** The halves of a varint of 64 bits, signed; for loops in which a bigint is too slow. */
  varintLow(): number {
    return this.#low | 0;
  }
  varintHigh(): number {
    return this.#high | 0;
  }

  /** Varint as uint64. */
  uint64(): bigint {
    return (BigInt(this.#high >>> 0) << 32n) | BigInt(this.#low >>> 0);
  }

  /** Varint as int64. */
  int64(): bigint {
    return BigInt.asIntN(64, this.uint64());
  }

  fixed32(): number {
    return readFixed32(this.buffer, this.valueStart);
  }

  /** fixed64, exact. */
  fixed64(): bigint {
    return readFixed64(this.buffer, this.valueStart);
  }

  /** The upper and the lower half of a fixed64, unsigned; for loops in which a bigint is too slow. */
  fixed64High(): number {
    return readFixed32(this.buffer, this.valueStart + 4);
  }
  fixed64Low(): number {
    return readFixed32(this.buffer, this.valueStart);
  }

  sfixed64(): bigint {
    return BigInt.asIntN(64, readFixed64(this.buffer, this.valueStart));
  }

  double(): number {
    return readDouble(this.buffer, this.valueStart);
  }

  /** A view, not a copy. */
  bytes(): Uint8Array {
    return this.buffer.subarray(this.valueStart, this.valueEnd);
  }

  string(): string {
    return readString(this.buffer, this.valueStart, this.valueEnd);
  }

  /** Reads a varint at `position` into the two halves, and leaves `valueEnd` after it. */
  #varint(position: number): void {
    const { buffer, end } = this;
    let at = position;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) throw malformed('a varint that is cut off', position);
      const byte = buffer[at++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift === 63) {
        if (byte > 1) throw malformed('a varint of more than 64 bits', position);
        high |= bits << 31;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#low = low;
        this.#high = high;
        this.valueEnd = at;
        return;
      }
    }
    throw malformed('a varint of more than 10 bytes', position);
  }
}

/** Four bytes, little endian, unsigned. */
export function readFixed32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** Eight bytes, little endian, unsigned. */
export function readFixed64(bytes: Uint8Array, at: number): bigint {
  return (BigInt(readFixed32(bytes, at + 4)) << 32n) | BigInt(readFixed32(bytes, at));
}

const scratch = new DataView(new ArrayBuffer(8));

export function readDouble(bytes: Uint8Array, at: number): number {
  scratch.setUint32(0, readFixed32(bytes, at), true);
  scratch.setUint32(4, readFixed32(bytes, at + 4), true);
  return scratch.getFloat64(0, true);
}

/** UTF-8; what is invalid becomes U+FFFD. Short ASCII, which most names and keys are, does not reach the decoder. */
export function readString(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 24) return utf8.decode(bytes.subarray(start, end));
  let text = '';
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte >= 0x80) return utf8.decode(bytes.subarray(start, end));
    text += String.fromCharCode(byte);
  }
  return text;
}

/** Bytes that a varint takes. @param value below 2^53. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value < 0x10000000) return 4;
  let size = 5;
  for (let rest = Math.floor(value / 0x800000000); rest > 0; rest = Math.floor(rest / 128)) size++;
  return size;
}

/**
 * Writes messages into one growing buffer. A submessage is begun and ended, and its length put in front of it afterwards:
 * ```ts
 * const writer = new Writer();
 * const at = writer.begin(1);
 * writer.string(1, 'key');
 * writer.end(at);
 * const bytes = writer.finish();
 * ```
 */
export class Writer {
  #buffer: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 256) {
    this.#buffer = new Uint8Array(capacity);
    this.#view = new DataView(this.#buffer.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written, as a view; the writer must not be used afterwards. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Part of what was written, as a view that holds until more is written. */
  view(start: number, end: number): Uint8Array {
    return this.#buffer.subarray(start, end);
  }

  /** Takes back everything after `length`. */
  truncate(length: number): void {
    this.#length = length;
  }

  /** Takes out what lies from `start` to `end`; what follows moves up. */
  remove(start: number, end: number): void {
    this.#buffer.copyWithin(start, end, this.#length);
    this.#length -= end - start;
  }

  tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  /** A bare varint. @param value integer, 0 ≤ value < 2^53. */
  varint(value: number): void {
    this.#reserve(10);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#length++] = rest;
  }

  /** A bare varint of 64 bits; a negative value is written as its two's complement. */
  varint64(value: bigint): void {
    this.#reserve(10);
    let rest = BigInt.asUintN(64, value);
    while (rest >= 0x80n) {
      this.#buffer[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#buffer[this.#length++] = Number(rest);
  }

  uint32(field: number, value: number): void {
    this.tag(field, wireVarint);
    this.varint(value);
  }

  /** int32 or an enum's value. A negative one takes ten bytes, as protobuf says. */
  int32(field: number, value: number): void {
    this.tag(field, wireVarint);
    if (value >= 0) this.varint(value);
    else this.varint64(BigInt(value));
  }

  sint32(field: number, value: number): void {
    this.tag(field, wireVarint);
    this.varint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  bool(field: number, value: boolean): void {
    this.tag(field, wireVarint);
    this.varint(value ? 1 : 0);
  }

  /** int64 or uint64 as a varint. */
  int64(field: number, value: bigint): void {
    this.tag(field, wireVarint);
    this.varint64(value);
  }

  fixed32(field: number, value: number): void {
    this.tag(field, wireFixed32);
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  /** fixed64 or sfixed64. */
  fixed64(field: number, value: bigint): void {
    this.tag(field, wireFixed64);
    this.bareFixed64(value);
  }

  double(field: number, value: number): void {
    this.tag(field, wireFixed64);
    this.bareDouble(value);
  }

  /** Without a tag: an element of a packed field. */
  bareFixed64(value: bigint): void {
    this.#reserve(8);
    this.#view.setBigUint64(this.#length, BigInt.asUintN(64, value), true);
    this.#length += 8;
  }

  /** A double by its bits, so that each NaN stays what it is. */
  doubleBits(field: number, low: number, high: number): void {
    this.tag(field, wireFixed64);
    this.#reserve(8);
    this.#view.setUint32(this.#length, low, true);
    this.#view.setUint32(this.#length + 4, high, true);
    this.#length += 8;
  }

  bareDouble(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  string(field: number, value: string): void {
    this.tag(field, wireBytes);
    // Most strings are shorter than 128 bytes: their length is then one byte, known to fit before they are encoded.
    const bytesMax = value.length * 3;
    // Room for the length as `varint` asks for it: if it grew the buffer, the text behind would not move with it.
    this.#reserve(bytesMax + 10);
    const lengthSize = varintSize(bytesMax);
    const { written } = utf8Encoder.encodeInto(value, this.#buffer.subarray(this.#length + lengthSize));
    const actualSize = varintSize(written);
    if (actualSize !== lengthSize) {
      this.#buffer.copyWithin(
        this.#length + actualSize,
        this.#length + lengthSize,
        this.#length + lengthSize + written,
      );
    }
    this.varint(written);
    this.#length += written;
  }

  bytes(field: number, value: Uint8Array): void {
    this.tag(field, wireBytes);
    this.varint(value.length);
    this.raw(value);
  }

  /** Bytes as they are: fields that are encoded already. */
  raw(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /** Bytes from within others; short ones without making a view of them, which costs more than they do. */
  rawRange(bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    this.#reserve(size);
    if (size > 64) this.#buffer.set(bytes.subarray(start, end), this.#length);
    else for (let index = 0; index < size; index++) this.#buffer[this.#length + index] = bytes[start + index]!;
    this.#length += size;
  }

  /** Begins a submessage or a packed field; what `end` wants is returned. */
  begin(field: number): number {
    this.tag(field, wireBytes);
    this.#reserve(1);
    return ++this.#length; // one byte for the length; `end` makes room where it takes more
  }

  end(begun: number): void {
    const size = this.#length - begun;
    const extra = varintSize(size) - 1;
    if (extra > 0) {
      this.#reserve(extra);
      this.#buffer.copyWithin(begun + extra, begun, this.#length);
    }
    this.#length = begun - 1;
    this.varint(size);
    this.#length += size;
  }

  #reserve(size: number): void {
    const needed = this.#length + size;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer);
  }
}
