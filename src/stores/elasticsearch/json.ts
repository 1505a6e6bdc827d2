import { isUtf8 } from 'node:buffer';

// JSON from bytes to bytes: a buffer that grows, and what is written into it. No object for a record or a value.

const quote = 0x22;
const backslash = 0x5c;

export class JsonBuffer {
  bytes: Buffer;
  used = 0;

  constructor(capacity = 1 << 16) {
    this.bytes = Buffer.allocUnsafeSlow(capacity);
  }

  reserve(size: number): void {
    const needed = this.used + size;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.used);
    this.bytes = grown;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.used++] = value;
  }

  /** @param text ASCII that needs no escaping, or is JSON already. */
  ascii(text: string): void {
    const { length } = text;
    this.reserve(length);
    const { bytes, used } = this;
    for (let index = 0; index < length; index++) bytes[used + index] = text.charCodeAt(index);
    this.used = used + length;
  }

  raw(source: Uint8Array, start = 0, end = source.length): void {
    const size = end - start;
    this.reserve(size);
    const { bytes, used } = this;
    // A call into the runtime costs as much as so many bytes one by one.
    if (size > 48) bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), used);
    else for (let index = 0; index < size; index++) bytes[used + index] = source[start + index]!;
    this.used = used + size;
  }

  /** Bytes of its own once more. */
  again(start: number, end: number): void {
    const size = end - start;
    this.reserve(size);
    const { bytes, used } = this;
    if (size > 48) bytes.copyWithin(used, start, end);
    else for (let index = 0; index < size; index++) bytes[used + index] = bytes[start + index]!;
    this.used = used + size;
  }

  /** UTF-8 as the content of a JSON string, without its quotes; what is invalid becomes U+FFFD. */
  content(source: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    const { bytes } = this;
    let { used } = this;
    let at = start;
    let ascii = true;
    for (; at < end; at++) {
      const byte = source[at]!;
      if (byte < 0x20 || byte === quote || byte === backslash) break;
      if (byte >= 0x80) ascii = false;
      bytes[used++] = byte;
    }
    if (at === end && (ascii || isUtf8(source.subarray(start, end)))) {
      this.used = used;
      return;
    }
    // Seldom: something to escape or to repair.
    const text = Buffer.from(source.buffer, source.byteOffset + start, end - start).toString('utf8');
    this.raw(Buffer.from(JSON.stringify(text)).subarray(1, -1));
  }

  string(source: Uint8Array, start: number, end: number): void {
    this.byte(quote);
    this.content(source, start, end);
    this.byte(quote);
  }

  /** Any text as a JSON string. */
  text(text: string): void {
    this.raw(Buffer.from(JSON.stringify(text)));
  }

  /** An integer of 64 bits in two halves, as text. */
  integer(low: number, high: number): void {
    if (high === 0 && low >= 0) this.ascii(String(low));
    else if (high === -1 && low < 0) this.ascii(String(low));
    else this.ascii(String((BigInt(high | 0) << 32n) | BigInt(low >>> 0)));
  }

  /** 32 bits as eight hex digits. */
  word(value: number): void {
    this.reserve(8);
    const { bytes, used } = this;
    for (let digit = 0; digit < 8; digit++) bytes[used + digit] = hexDigits[(value >>> (28 - digit * 4)) & 15]!;
    this.used = used + 8;
  }

  hex(source: Uint8Array, start: number, end: number): void {
    this.reserve((end - start) * 2);
    const { bytes } = this;
    let { used } = this;
    for (let at = start; at < end; at++) {
      const byte = source[at]!;
      bytes[used++] = hexDigits[byte >>> 4]!;
      bytes[used++] = hexDigits[byte & 15]!;
    }
    this.used = used;
  }
}

const hexDigits = Buffer.from('0123456789abcdef');
