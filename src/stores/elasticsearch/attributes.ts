import { isUtf8 } from 'node:buffer';
import { Reader, wireBytes, wireFixed64, wireVarint } from '../../otlp/index.ts';
import type { JsonBuffer } from './json.ts';
import { type Key, type KeyTable, sameBytes } from './keys.ts';
import { termValueBytesMax } from './limits.ts';
import { numberIn, orderedBits, type TermType, valueHash } from './terms.ts';

// Attributes from the wire into a document: once as JSON, for those who read it, and once as terms (terms.ts), for the index.
// Source: OTLP common.proto. The bytes were checked by the walk at the door.

const comma = 0x2c;
const quote = 0x22;

/** Names of the fields, with all that stands before their first term. */
export interface TermHeads {
  readonly attrs: string;
  readonly keys: string;
  readonly numbers: string;
}
export const recordHeads: TermHeads = { attrs: ',"attrs":["', keys: ',"keys":["', numbers: ',"numbers":["' };
export const resourceHeads: TermHeads = {
  attrs: ',"resource_attrs":["',
  keys: ',"resource_keys":["',
  numbers: ',"resource_numbers":["',
};

/** Kind of an AnyValue's content, as its field is numbered; 0: empty. After `content`. */
let kind = 0;
let from = 0;
let to = 0;
let low = 0;
let high = 0;
let double = 0;
const anyReader = new Reader(new Uint8Array(0));

/** What an AnyValue holds: the last of its fields counts. */
function content(bytes: Uint8Array, start: number, end: number): void {
  kind = 0;
  const any = anyReader.over(bytes, start, end);
  while (any.next()) {
    const { field, wireType } = any;
    if (field === 1 || field === 5 || field === 6 || field === 7) {
      if (wireType !== wireBytes) continue;
    } else if (field === 2 || field === 3) {
      if (wireType !== wireVarint) continue;
      low = any.varintLow();
      high = any.varintHigh();
    } else if (field === 4) {
      if (wireType !== wireFixed64) continue;
      double = any.double();
    } else if (field !== 8) continue;
    // 8, an index into the string table of profiles, has no meaning here: as if it were absent (common.proto).
    kind = field === 8 ? 0 : field;
    from = any.valueStart;
    to = any.valueEnd;
  }
}

/** Of int64, whether a JSON number holds it. */
function isSafe(lowBits: number, highBits: number): boolean {
  return highBits >= -0x200000 && highBits <= 0x1fffff && !(highBits === -0x200000 && lowBits === 0);
}

/** An AnyValue as the REST layer shows it: integers beyond 2^53, NaN and ±Infinity as strings, bytes as base64. */
function writeAny(out: JsonBuffer, bytes: Uint8Array, start: number, end: number): void {
  content(bytes, start, end);
  writeContent(out, bytes);
}

function writeContent(out: JsonBuffer, bytes: Uint8Array): void {
  switch (kind) {
    case 1:
      out.string(bytes, from, to);
      return;
    case 2:
      out.ascii((low | high) !== 0 ? 'true' : 'false');
      return;
    case 3:
      if (isSafe(low, high)) out.integer(low, high);
      else {
        out.byte(quote);
        out.integer(low, high);
        out.byte(quote);
      }
      return;
    case 4:
      if (Object.is(double, -0)) out.ascii('-0');
      else out.ascii(Number.isFinite(double) ? String(double) : `"${double}"`);
      return;
    case 5:
      writeArray(out, bytes, from, to);
      return;
    case 6:
      writeList(out, bytes, from, to);
      return;
    case 7:
      out.byte(quote);
      out.ascii(base64(bytes, from, to));
      out.byte(quote);
      return;
    default:
      out.ascii('null');
  }
}

function writeArray(out: JsonBuffer, bytes: Uint8Array, start: number, end: number): void {
  out.byte(0x5b);
  let first = true;
  const array = new Reader(bytes, start, end);
  while (array.next()) {
    if (array.field !== 1 || array.wireType !== wireBytes) continue;
    if (!first) out.byte(comma);
    first = false;
    writeAny(out, bytes, array.valueStart, array.valueEnd);
  }
  out.byte(0x5d);
}

/** KeyValueList. Where a key comes twice the last one counts; Elasticsearch refuses an object in which one does. */
function writeList(out: JsonBuffer, bytes: Uint8Array, start: number, end: number): void {
  const pairs = new Map<string, readonly [number, number]>();
  const list = new Reader(bytes, start, end);
  const pair = new Reader(bytes, start, start);
  while (list.next()) {
    if (list.field !== 1 || list.wireType !== wireBytes) continue;
    let key = '';
    let valueStart = 0;
    let valueEnd = 0;
    pair.over(bytes, list.valueStart, list.valueEnd);
    while (pair.next()) {
      if (pair.wireType !== wireBytes) continue;
      if (pair.field === 1) key = pair.string();
      else if (pair.field === 2) {
        valueStart = pair.valueStart;
        valueEnd = pair.valueEnd;
      }
    }
    pairs.set(key, [valueStart, valueEnd]);
  }
  out.byte(0x7b);
  let first = true;
  for (const [key, [valueStart, valueEnd]] of pairs) {
    if (!first) out.byte(comma);
    first = false;
    out.text(key);
    out.byte(0x3a);
    writeAny(out, bytes, valueStart, valueEnd);
  }
  out.byte(0x7d);
}

function base64(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('base64');
}

/**
 * The attributes of one record or resource: `begin`, `add` for each KeyValue, `writeObject`, `writeTerms`.
 * Nothing is allocated for a scalar value whose key is known.
 */
export class Attributes {
  readonly #table: KeyTable;
  readonly #pair = new Reader(new Uint8Array(0));
  readonly #keys: Key[] = [];
  /** Bounds of the AnyValue of each key, and of its JSON in the buffer. */
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #jsonStarts: number[] = [];
  readonly #jsonEnds: number[] = [];
  /** What `writeObject` learnt of each: kind of its content, its bounds, and the number that it counts as, else NaN. */
  readonly #kinds: number[] = [];
  readonly #froms: number[] = [];
  readonly #tos: number[] = [];
  readonly #numbers: number[] = [];
  #unkept: Map<string, number> | undefined;
  #stamp = 0;
  #last: Key | undefined;
  /** Whether a key has a role in a Kubernetes event that only events have. */
  hasEventKey = false;

  constructor(table: KeyTable) {
    this.#table = table;
  }

  get size(): number {
    return this.#keys.length;
  }

  begin(): void {
    this.#keys.length = 0;
    this.#unkept = undefined;
    this.#stamp = ++this.#table.stamp;
    this.hasEventKey = false;
  }

  /** @param start bounds of a KeyValue message in `bytes`. */
  add(bytes: Uint8Array, start: number, end: number): void {
    let keyStart = 0;
    let keyEnd = 0;
    let valueStart = 0;
    let valueEnd = 0;
    const pair = this.#pair.over(bytes, start, end);
    while (pair.next()) {
      if (pair.wireType !== wireBytes) continue;
      if (pair.field === 1) {
        keyStart = pair.valueStart;
        keyEnd = pair.valueEnd;
      } else if (pair.field === 2) {
        valueStart = pair.valueStart;
        valueEnd = pair.valueEnd;
      }
    }
    let key = this.#last?.next;
    if (key === undefined || !sameBytes(key.bytes, bytes, keyStart, keyEnd)) {
      key = this.#table.find(bytes, keyStart, keyEnd);
      if (this.#last !== undefined && key.kept) this.#last.next = key;
    }
    if (key.kept) this.#last = key;
    if (key.role === 'reason' || key.role === 'objects') this.hasEventKey = true;
    const place = this.#placeOf(key);
    this.#keys[place] = key;
    this.#starts[place] = valueStart;
    this.#ends[place] = valueEnd;
  }

  /** Where its value belongs: that of the same key before, so that the last one counts, else a new place. */
  #placeOf(key: Key): number {
    const next = this.#keys.length;
    if (key.kept) {
      if (key.stamp === this.#stamp) return key.place;
      key.stamp = this.#stamp;
      key.place = next;
      return next;
    }
    this.#unkept ??= new Map();
    const name = Buffer.from(key.bytes).toString('latin1');
    const place = this.#unkept.get(name) ?? next;
    this.#unkept.set(name, place);
    return place;
  }

  /** The attributes as a JSON object. */
  writeObject(out: JsonBuffer, bytes: Uint8Array): void {
    const keys = this.#keys;
    out.byte(0x7b);
    for (let index = 0; index < keys.length; index++) {
      if (index > 0) out.byte(comma);
      out.raw(keys[index]!.json);
      this.#jsonStarts[index] = out.used;
      content(bytes, this.#starts[index]!, this.#ends[index]!);
      this.#kinds[index] = kind;
      this.#froms[index] = from;
      this.#tos[index] = to;
      this.#numbers[index] = numberNow(bytes);
      writeContent(out, bytes);
      this.#jsonEnds[index] = out.used;
    }
    out.byte(0x7d);
  }

  /** The attributes as terms; after `writeObject` into the same buffer, whose JSON is used again. */
  writeTerms(out: JsonBuffer, bytes: Uint8Array, heads: TermHeads): void {
    const keys = this.#keys;
    if (keys.length === 0) return;
    out.ascii(heads.keys);
    for (let index = 0; index < keys.length; index++) {
      if (index > 0) out.ascii('","');
      out.byte(this.#type(index, out));
      out.byte(0x3a);
      out.raw(keys[index]!.content);
    }
    out.ascii('"]');
    this.#writeValues(out, bytes, heads.attrs);
    this.#writeNumbers(out, heads.numbers);
  }

  /** First character of its terms. */
  #type(index: number, out: JsonBuffer): number {
    switch (this.#kinds[index]) {
      case 1:
      case 7:
        return 0x73; // s
      case 2:
        return 0x62; // b
      case 3:
        return 0x6e; // n
      case 4:
        // NaN and ±Infinity are text in JSON.
        return out.bytes[this.#jsonStarts[index]!] === quote ? 0x73 : 0x6e;
      case 5:
        return 0x61; // a
      case 6:
        return 0x6f; // o
      default:
        return 0x7a; // z
    }
  }

  #writeValues(out: JsonBuffer, bytes: Uint8Array, head: string): void {
    out.ascii(head);
    for (let index = 0; index < this.#keys.length; index++) {
      if (index > 0) out.ascii('","');
      const key = this.#keys[index]!;
      const jsonStart = this.#jsonStarts[index]!;
      const jsonEnd = this.#jsonEnds[index]!;
      switch (this.#kinds[index]) {
        case 1: {
          const start = this.#froms[index]!;
          const end = this.#tos[index]!;
          const size = end - start;
          // What is repaired may take three bytes for one.
          if (size <= termValueBytesMax / 3 || (size <= termValueBytesMax && isUtf8(bytes.subarray(start, end)))) {
            out.byte(0x73); // s
            out.raw(key.valueHead);
            out.again(jsonStart + 1, jsonEnd - 1);
          } else writeLong(out, 's', key, JSON.parse(out.bytes.toString('utf8', jsonStart, jsonEnd)) as string);
          break;
        }
        case 2:
        case 3:
        case 4: {
          const quoted = out.bytes[jsonStart] === quote;
          out.byte(this.#type(index, out));
          out.raw(key.valueHead);
          if (!quoted && this.#numbers[index] === 0)
            out.byte(0x30); // -0 is 0
          else out.again(quoted ? jsonStart + 1 : jsonStart, quoted ? jsonEnd - 1 : jsonEnd);
          break;
        }
        case 5:
          writeLong(out, 'a', key, out.bytes.toString('utf8', jsonStart, jsonEnd));
          writeElements(out, key, bytes, this.#froms[index]!, this.#tos[index]!);
          break;
        case 6:
          writeLong(out, 'o', key, out.bytes.toString('utf8', jsonStart, jsonEnd));
          break;
        case 7:
          writeLong(out, 's', key, out.bytes.toString('utf8', jsonStart + 1, jsonEnd - 1));
          break;
        default:
          out.byte(0x7a); // z
          out.raw(key.valueHead);
          out.ascii('null');
      }
    }
    out.ascii('"]');
  }

  #writeNumbers(out: JsonBuffer, head: string): void {
    let first = true;
    for (let index = 0; index < this.#keys.length; index++) {
      const number = this.#numbers[index]!;
      if (Number.isNaN(number)) continue;
      out.ascii(first ? head : '","');
      first = false;
      out.raw(this.#keys[index]!.numberHead);
      writeOrdered(out, number);
    }
    if (!first) out.ascii('"]');
  }

  /** The first value of a text that has this role in a Kubernetes event. */
  roleText(role: Key['role'], bytes: Uint8Array): string | undefined {
    const index = this.#keys.findIndex((key) => key.role === role);
    if (index < 0) return undefined;
    content(bytes, this.#starts[index]!, this.#ends[index]!);
    return kind === 1 ? Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8') : undefined;
  }
}

function typeNow(): TermType {
  switch (kind) {
    case 1:
    case 7:
      return 's';
    case 2:
      return 'b';
    case 3:
      return 'n';
    case 4:
      return Number.isFinite(double) ? 'n' : 's';
    case 5:
      return 'a';
    case 6:
      return 'o';
    default:
      return 'z';
  }
}

/** The number that a value counts as where it is compared: a number, or a text that is one; else NaN. */
function numberNow(bytes: Uint8Array): number {
  switch (kind) {
    case 1: {
      const first = bytes[from]!;
      // Digits, a sign or a point: few texts begin like this.
      if (to === from || to - from > 64 || first < 0x2b || first > 0x39 || first === 0x2c || first === 0x2f)
        return Number.NaN;
      return numberIn(Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1')) ?? Number.NaN;
    }
    case 3:
      return high * 4294967296 + (low >>> 0);
    case 4:
      return Number.isFinite(double) ? double : Number.NaN;
    default:
      return Number.NaN;
  }
}

/** As `orderedHex` in terms.ts, without a string. */
function writeOrdered(out: JsonBuffer, number: number): void {
  const { high, low } = orderedBits(number);
  out.word(high);
  out.word(low);
}

/** A term from a text, with its hash where it is long. */
function writeLong(out: JsonBuffer, type: TermType, key: Key, text: string): void {
  const long = Buffer.byteLength(text) > termValueBytesMax;
  out.ascii(long ? type.toUpperCase() : type);
  out.raw(key.valueHead);
  if (long) out.ascii(valueHash(text));
  else out.raw(Buffer.from(JSON.stringify(text)).subarray(1, -1));
}

/** An array equals where one of its elements does. */
function writeElements(out: JsonBuffer, key: Key, bytes: Uint8Array, start: number, end: number): void {
  const array = new Reader(bytes, start, end);
  while (array.next()) {
    if (array.field !== 1 || array.wireType !== wireBytes) continue;
    const at = out.used;
    writeAny(out, bytes, array.valueStart, array.valueEnd);
    const json = out.bytes.toString('utf8', at, out.used);
    out.used = at;
    content(bytes, array.valueStart, array.valueEnd);
    const isText = json.charCodeAt(0) === quote;
    out.ascii('","');
    writeLong(
      out,
      typeNow() === 'n' ? 'f' : 'e',
      key,
      isText ? (JSON.parse(json) as string) : json === '-0' ? '0' : json,
    );
  }
}
