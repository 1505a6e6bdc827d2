import { Fault, type Signal } from '../base/index.ts';
import { defaultLimits, jsonDepthMax, type Limits } from './limits.ts';
import { type Field, isMessage, type MessageName, requestMessage, schema } from './schema.ts';
import { readString, Writer, wireBytes } from './wire.ts';

// OTLP JSON → protobuf in one pass over the text, without building an object for a value: 64 MiB of `{},{},…` would
// otherwise be 20 million of them. Strings are copied as bytes, so that 64-bit numbers stay exact and a member named
// `__proto__` is a name like any other.

/**
 * Transcodes an export request. What the specification of protobuf's JSON form leaves open is as in the Collector.
 * - Only lowerCamelCase names count; others are ignored, whatever they hold. Enums are integers.
 * - `null` is the same as an absent member. Of duplicate members the last one counts.
 * - Ids are hex of any case. One that is no hex comes out as an id that `walk` calls unclean and `rewrite` rejects.
 * - Invalid UTF-8 is left for `rewrite` to repair. A byte order mark at the start is skipped. An empty body is an empty request.
 * @throws Fault `malformed` with the position or the JSON path; `tooLarge` where the protobuf form would be over `requestBytesMax`.
 * @see OTLP 1.11.0 "JSON Protobuf Encoding"; Protocol Buffers "ProtoJSON Format"
 */
export function jsonToProtobuf(signal: Signal, json: Uint8Array, limits: Limits = defaultLimits): Uint8Array {
  return new Transcoder(json, limits).run(requestMessage[signal]);
}

interface Member {
  readonly field: Field;
  /** Members of a oneof share a slot, as the last of them counts. */
  readonly slot: number;
}

const members = new Map(
  Object.entries(schema).map(([name, fields]) => [
    name,
    new Map<string, Member>(
      fields.map((field) => [
        field.name,
        {
          field,
          slot: fields.find((other) => other === field || (field.oneof !== undefined && other.oneof === field.oneof))!
            .number,
        },
      ]),
    ),
  ]),
) as ReadonlyMap<string, ReadonlyMap<string, Member>>;

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

class Transcoder {
  readonly #json: Uint8Array;
  readonly #end: number;
  readonly #limits: Limits;
  readonly #writer: Writer;
  #at = 0;
  #depth = 0;
  /** Messages around the value at hand. */
  #messages = -1;
  /** Members and indexes that lead to the value at hand. */
  readonly #path: (string | number)[] = [];
  /** Bounds of the current string's content in `#text`; decoded where it held escapes. */
  #text: Uint8Array = new Uint8Array(0);
  #textStart = 0;
  #textEnd = 0;

  constructor(json: Uint8Array, limits: Limits) {
    this.#json = json;
    this.#end = json.length;
    this.#limits = limits;
    this.#writer = new Writer(Math.max(256, json.length >> 1));
  }

  run(name: MessageName): Uint8Array {
    if (this.#end === 0) return new Uint8Array(0);
    if (this.#json[0] === 0xef && this.#json[1] === 0xbb && this.#json[2] === 0xbf) this.#at = 3;
    this.#space();
    if (!this.#isNull()) this.#message(name);
    this.#space();
    if (this.#at < this.#end) throw this.#unexpected('the end');
    return this.#writer.finish();
  }

  // ---------------------------------------------------------------------------------- messages

  #message(name: MessageName): void {
    if (this.#json[this.#at] !== openBrace) throw this.#wrongType('an object');
    const byName = members.get(name)!;
    const writer = this.#writer;
    let seen = 0; // slots that were written, as bits
    const written = 32 * ++this.#messages;
    this.#enter();
    for (let first = true; this.#nextMember(first); first = false) {
      const member = byName.get(readString(this.#text, this.#textStart, this.#textEnd));
      this.#space();
      if (member === undefined) {
        this.#skip();
        continue;
      }
      const { field, slot } = member;
      this.#path.push(field.name);
      const bit = 1 << slot;
      if ((seen & bit) !== 0) {
        takeOut(writer, written, slot, seen);
        seen &= ~bit;
      }
      if (!this.#isNull()) {
        const start = writer.length;
        if (field.repeated) this.#array(field);
        else this.#value(field);
        seen |= bit;
        starts[written + slot] = start;
        ends[written + slot] = writer.length;
      }
      this.#path.pop();
    }
    this.#depth--;
    this.#messages--;
  }

  #array(field: Field): void {
    if (this.#json[this.#at] !== openBracket) throw this.#wrongType('an array');
    const packed = !isMessage(field.kind) && field.kind !== 'string';
    const begun = packed ? this.#writer.begin(field.number) : 0;
    this.#enter();
    const index = this.#path.length;
    this.#path.push(0);
    let count = 0;
    for (; this.#nextElement(count === 0); count++) {
      this.#path[index] = count;
      if (packed) this.#packedElement(field);
      else if (this.#isNull()) this.#emptyElement(field);
      else this.#value(field);
      if (this.#writer.length > this.#limits.requestBytesMax)
        throw new Fault('tooLarge', `the request holds more than ${this.#limits.requestBytesMax} bytes`);
    }
    this.#path.pop();
    this.#depth--;
    if (packed) this.#writer.end(begun);
  }

  /** `null` among messages is an empty one, as the Collector has it. */
  #emptyElement(field: Field): void {
    if (!isMessage(field.kind)) throw this.#wrongType('a string');
    this.#writer.tag(field.number, wireBytes);
    this.#writer.varint(0);
  }

  #packedElement(field: Field): void {
    switch (field.kind) {
      case 'double':
        this.#writer.bareDouble(this.#double());
        break;
      case 'fixed64':
        this.#writer.bareFixed64(this.#integer(0n, uint64Max));
        break;
      case 'uint64':
        this.#writer.varint64(this.#integer(0n, uint64Max));
        break;
      default:
        throw new TypeError(`no message has a repeated ${field.kind}`);
    }
  }

  #value(field: Field): void {
    const { number, kind } = field;
    const writer = this.#writer;
    switch (kind) {
      case 'string':
        this.#expectString();
        writer.tag(number, wireBytes);
        writer.varint(this.#textEnd - this.#textStart);
        writer.rawRange(this.#text, this.#textStart, this.#textEnd);
        break;
      case 'bytes':
        writer.bytes(number, this.#base64());
        break;
      case 'traceId':
      case 'spanId':
        writer.bytes(number, this.#id());
        break;
      case 'bool':
        writer.bool(number, this.#bool());
        break;
      case 'enum':
        if (this.#json[this.#at] === quote) throw this.#wrongType('an integer: enums are not named');
        writer.int32(number, Number(this.#integer(int32Min, int32Max)));
        break;
      case 'int32':
        writer.int32(number, Number(this.#integer(int32Min, int32Max)));
        break;
      case 'sint32':
        writer.sint32(number, Number(this.#integer(int32Min, int32Max)));
        break;
      case 'uint32':
        writer.uint32(number, Number(this.#integer(0n, uint32Max)));
        break;
      case 'fixed32':
        writer.fixed32(number, Number(this.#integer(0n, uint32Max)));
        break;
      case 'int64':
        writer.int64(number, this.#integer(int64Min, int64Max));
        break;
      case 'uint64':
        writer.int64(number, this.#integer(0n, uint64Max));
        break;
      case 'fixed64':
        writer.fixed64(number, this.#integer(0n, uint64Max));
        break;
      case 'sfixed64':
        writer.fixed64(number, this.#integer(int64Min, int64Max));
        break;
      case 'double':
        writer.double(number, this.#double());
        break;
      default: {
        const begun = writer.begin(number);
        this.#message(kind);
        writer.end(begun);
      }
    }
  }

  // ---------------------------------------------------------------------------------- scalars

  #bool(): boolean {
    if (this.#literal('true')) return true;
    if (this.#literal('false')) return false;
    throw this.#wrongType('true or false');
  }

  /** Hex of any case. Anything else becomes one byte, which is an id of no kind: its record is judged later, alone. */
  #id(): Uint8Array {
    this.#expectString();
    const text = readString(this.#text, this.#textStart, this.#textEnd);
    if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) return new Uint8Array(1);
    return Buffer.from(text, 'hex');
  }

  /** Standard or URL-safe, with or without padding. */
  #base64(): Uint8Array {
    this.#expectString();
    const text = Buffer.from(
      this.#text.buffer,
      this.#text.byteOffset + this.#textStart,
      this.#textEnd - this.#textStart,
    ).toString('latin1');
    if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text) || text.replace(/=+$/, '').length % 4 === 1)
      throw this.#wrongType('base64');
    return Buffer.from(text, 'base64');
  }

  #double(): number {
    if (this.#json[this.#at] === quote) {
      this.#expectString();
      const text = readString(this.#text, this.#textStart, this.#textEnd);
      if (text === 'NaN') return Number.NaN;
      if (text === 'Infinity') return Number.POSITIVE_INFINITY;
      if (text === '-Infinity') return Number.NEGATIVE_INFINITY;
      if (!numberSyntax.test(text)) throw this.#wrongType('a number');
      return this.#finite(Number(text));
    }
    return this.#finite(Number(this.#number()));
  }

  #finite(value: number): number {
    if (!Number.isFinite(value)) throw this.#wrongType('a number that a double can hold');
    return value;
  }

  /** As a number or as a string, exact; with an exponent or a fraction only where it is an integer all the same. */
  #integer(min: bigint, max: bigint): bigint {
    let text: string;
    if (this.#json[this.#at] === quote) {
      this.#expectString();
      text = readString(this.#text, this.#textStart, this.#textEnd);
      if (!numberSyntax.test(text)) throw this.#wrongType('an integer');
    } else text = this.#number();
    const value = exactInteger(text);
    if (value === undefined) throw this.#wrongType('an integer');
    if (value < min || value > max) throw this.#wrongType(`an integer from ${min} to ${max}`);
    return value;
  }

  /** The text of the number at hand. */
  #number(): string {
    const json = this.#json;
    const start = this.#at;
    let at = start;
    while (at < this.#end && isNumberByte(json[at]!)) at++;
    if (at === start) throw this.#wrongType('a number');
    const text = readString(json, start, at);
    if (!numberSyntax.test(text)) throw this.#unexpected('a number');
    this.#at = at;
    return text;
  }

  // ---------------------------------------------------------------------------------- syntax

  #enter(): void {
    if (++this.#depth > jsonDepthMax)
      throw new Fault('malformed', `malformed JSON at byte ${this.#at}: nested deeper than ${jsonDepthMax}`);
    this.#at++;
  }

  /** Reads a member's name and colon; false after the last member, the brace being passed. */
  #nextMember(first: boolean): boolean {
    this.#space();
    const byte = this.#json[this.#at];
    if (byte === closeBrace) {
      this.#at++;
      return false;
    }
    if (!first) {
      if (byte !== comma) throw this.#unexpected("',' or '}'");
      this.#at++;
      this.#space();
    }
    if (this.#json[this.#at] !== quote) throw this.#unexpected('a member name');
    this.#string();
    this.#space();
    if (this.#json[this.#at] !== colon) throw this.#unexpected("':'");
    this.#at++;
    return true;
  }

  /** Goes to the next element; false after the last one, the bracket being passed. */
  #nextElement(first: boolean): boolean {
    this.#space();
    const byte = this.#json[this.#at];
    if (byte === closeBracket) {
      this.#at++;
      return false;
    }
    if (!first) {
      if (byte !== comma) throw this.#unexpected("',' or ']'");
      this.#at++;
      this.#space();
    }
    return true;
  }

  #space(): void {
    const json = this.#json;
    let at = this.#at;
    while (at < this.#end) {
      const byte = json[at]!;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
      at++;
    }
    this.#at = at;
  }

  #isNull(): boolean {
    return this.#literal('null');
  }

  #literal(word: string): boolean {
    for (let index = 0; index < word.length; index++)
      if (this.#json[this.#at + index] !== word.charCodeAt(index)) return false;
    this.#at += word.length;
    return true;
  }

  /** Passes over a value of any kind, checking its syntax. */
  #skip(): void {
    this.#space();
    switch (this.#json[this.#at]) {
      case openBrace:
        this.#enter();
        for (let first = true; this.#nextMember(first); first = false) this.#skip();
        this.#depth--;
        break;
      case openBracket:
        this.#enter();
        for (let first = true; this.#nextElement(first); first = false) this.#skip();
        this.#depth--;
        break;
      case quote:
        this.#string();
        break;
      default:
        if (this.#literal('true') || this.#literal('false') || this.#isNull()) return;
        this.#number();
    }
  }

  #expectString(): void {
    if (this.#json[this.#at] !== quote) throw this.#wrongType('a string');
    this.#string();
  }

  /** Reads the string at hand into `#text`. */
  #string(): void {
    const json = this.#json;
    const start = this.#at + 1;
    let at = start;
    for (;;) {
      if (at >= this.#end) throw this.#cutOff();
      const byte = json[at]!;
      if (byte === quote) break;
      if (byte === backslash) {
        this.#escapedString(start, at);
        return;
      }
      if (byte < 0x20) throw this.#controlCharacter(at);
      at++;
    }
    this.#text = json;
    this.#textStart = start;
    this.#textEnd = at;
    this.#at = at + 1;
  }

  /** The rest of a string from its first escape on. Bytes that are no escape are kept as they are, valid UTF-8 or not. */
  #escapedString(start: number, firstEscape: number): void {
    const json = this.#json;
    const text = new Writer(Math.max(64, 2 * (firstEscape - start)));
    let copied = start;
    let at = firstEscape;
    for (;;) {
      if (at >= this.#end) throw this.#cutOff();
      const byte = json[at]!;
      if (byte < 0x20) throw this.#controlCharacter(at);
      if (byte !== quote && byte !== backslash) {
        at++;
        continue;
      }
      text.raw(json.subarray(copied, at));
      if (byte === quote) break;
      const escaped = json[at + 1];
      const simple = escaped === undefined ? undefined : simpleEscapes.get(escaped);
      if (simple !== undefined) {
        text.varint(simple); // one byte, as it is below 128
        at += 2;
      } else {
        let unit = this.#unicodeEscape(at);
        at += 6;
        if (unit >= 0xd800 && unit < 0xe000) {
          const low = unit < 0xdc00 && json[at] === backslash && json[at + 1] === 0x75 ? this.#unicodeEscape(at) : 0;
          if (low >= 0xdc00 && low < 0xe000) {
            unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            at += 6;
          } else unit = 0xfffd; // half of a pair
        }
        text.raw(Buffer.from(String.fromCodePoint(unit)));
      }
      copied = at;
    }
    this.#text = text.finish();
    this.#textStart = 0;
    this.#textEnd = this.#text.length;
    this.#at = at + 1;
  }

  #unicodeEscape(at: number): number {
    const digits = readString(this.#json, at + 2, Math.min(at + 6, this.#end));
    if (this.#json[at + 1] !== 0x75 || !/^[0-9a-fA-F]{4}$/.test(digits)) {
      this.#at = at;
      throw this.#unexpected('an escape');
    }
    return Number.parseInt(digits, 16);
  }

  // ---------------------------------------------------------------------------------- errors

  #unexpected(expected: string): Fault {
    const found = this.#at < this.#end ? `byte 0x${this.#json[this.#at]!.toString(16).padStart(2, '0')}` : 'the end';
    return new Fault('malformed', `malformed JSON at byte ${this.#at}: expected ${expected}, found ${found}`);
  }

  #cutOff(): Fault {
    return new Fault('malformed', `malformed JSON at byte ${this.#end}: a string that is cut off`);
  }

  #controlCharacter(at: number): Fault {
    return new Fault('malformed', `malformed JSON at byte ${at}: a control character in a string`);
  }

  /** The value at hand is not what its member wants; where it is no value at all, that is what is said. */
  #wrongType(expected: string): Fault {
    const at = this.#at;
    const path = this.#path
      .map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`))
      .join('');
    return new Fault('malformed', `malformed JSON at byte ${at}: ${path || 'the request'} must be ${expected}`, {
      ...(path === '' ? {} : { parameter: path }),
    });
  }
}

/**
 * Where the members of each object that is open were written, by 32 × its depth + slot, so that a duplicate can take the
 * place of the earlier one. Shared by all calls, as none waits.
 */
const starts = new Float64Array(32 * (jsonDepthMax + 1));
const ends = new Float64Array(32 * (jsonDepthMax + 1));

function takeOut(writer: Writer, written: number, slot: number, seen: number): void {
  const start = starts[written + slot]!;
  const size = ends[written + slot]! - start;
  writer.remove(start, start + size);
  for (let other = 0; other < 32; other++) {
    if ((seen & (1 << other)) === 0 || starts[written + other]! <= start) continue;
    starts[written + other]! -= size;
    ends[written + other]! -= size;
  }
}

const int32Min = -(2n ** 31n);
const int32Max = 2n ** 31n - 1n;
const uint32Max = 2n ** 32n - 1n;
const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;
const uint64Max = 2n ** 64n - 1n;

const numberSyntax = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

function isNumberByte(byte: number): boolean {
  // 0-9 + - . e E
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2b || byte === 0x2d || byte === 0x2e || (byte | 0x20) === 0x65;
}

const simpleEscapes: ReadonlyMap<number, number> = new Map(
  Object.entries({ '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }).map(
    ([letter, meant]) => [letter.charCodeAt(0), meant.charCodeAt(0)],
  ),
);

/** The integer that a JSON number is; undefined where it is none, or so long that no 64-bit one is meant. */
function exactInteger(text: string): bigint | undefined {
  if (text.length <= 15 && /^-?[0-9]+$/.test(text)) return BigInt(Number(text));
  const match = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(text);
  if (match === null || text.length > 100) return undefined;
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const shift = Number(exponent) - fraction.length;
  if (Math.abs(shift) > 100) return undefined;
  let value = BigInt(whole + fraction);
  if (shift >= 0) value *= 10n ** BigInt(shift);
  else {
    const divisor = 10n ** BigInt(-shift);
    if (value % divisor !== 0n) return undefined;
    value /= divisor;
  }
  return sign === '-' ? -value : value;
}
