import { decodeHuffman } from './huffman.ts';

/** The header fields of a request that a gRPC server looks at; all others are read over. */
export class RequestFields {
  method: string | undefined;
  scheme: string | undefined;
  path: string | undefined;
  contentType: string | undefined;
  grpcEncoding: string | undefined;
  grpcTimeout: string | undefined;
  contentLength: string | undefined;
  forwardedFor: string | undefined;
  /** RFC 9113, 8.1.1: such a request is answered with a stream error. */
  malformed = false;
  /** More or longer fields than the limit. */
  tooLarge = false;
}

/** The block cannot be read; what follows on the connection could not either. RFC 9113, 4.3: COMPRESSION_ERROR. */
export class CompressionError extends Error {}

/** What is known of a field once it has been read, so that a reference to it costs nothing to judge again. */
interface Field {
  readonly name: string;
  readonly value: string;
  /** RFC 7541, 4.1. */
  readonly sizeBytes: number;
  readonly kind: Kind;
}

const kinds = {
  other: 0,
  method: 1,
  scheme: 2,
  path: 3,
  authority: 4,
  contentType: 5,
  grpcEncoding: 6,
  grpcTimeout: 7,
  contentLength: 8,
  malformed: 9,
  forwardedFor: 10,
} as const;
type Kind = (typeof kinds)[keyof typeof kinds];

const kindOfName = new Map<string, Kind>([
  [':method', kinds.method],
  [':scheme', kinds.scheme],
  [':path', kinds.path],
  [':authority', kinds.authority],
  ['content-type', kinds.contentType],
  ['grpc-encoding', kinds.grpcEncoding],
  ['grpc-timeout', kinds.grpcTimeout],
  ['content-length', kinds.contentLength],
  ['x-forwarded-for', kinds.forwardedFor],
  // RFC 9113, 8.2.2: fields of HTTP/1 connections.
  ['connection', kinds.malformed],
  ['proxy-connection', kinds.malformed],
  ['keep-alive', kinds.malformed],
  ['transfer-encoding', kinds.malformed],
  ['upgrade', kinds.malformed],
]);

export interface HpackLimits {
  /** Of the list as it is when decoded, by the count of RFC 9113, 6.5.2. */
  readonly listBytesMax: number;
  readonly fieldsMax: number;
}

/** The reading half of HPACK, for the requests of one connection. @see RFC 7541. */
export class HpackDecoder {
  readonly #limits: HpackLimits;
  /** Oldest first, from `#first` on. */
  #table: Field[] = [];
  #first = 0;
  #tableBytes = 0;
  #tableBytesMax = tableBytesMax;
  #from: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;

  constructor(limits: HpackLimits) {
    this.#limits = limits;
  }

  /** Of the dynamic table. */
  get tableBytes(): number {
    return this.#tableBytes;
  }

  /**
   * Reads one whole header block. The table follows it to the end also where the request is malformed or too large.
   * @param visit Hears of each field; for tests.
   * @throws CompressionError.
   */
  decode(from: Uint8Array, start: number, end: number, visit?: (name: string, value: string) => void): RequestFields {
    this.#from = from;
    this.#at = start;
    this.#end = end;
    const request = new RequestFields();
    let listBytes = 0;
    let fields = 0;
    /** RFC 9113, 8.3: pseudo-header fields come first. */
    let regular = false;
    while (this.#at < end) {
      const first = from[this.#at] as number;
      let field: Field;
      if (first >= 0x80) field = this.#field(this.#integer(0x7f));
      else if (first >= 0x40) {
        field = this.#literal(0x3f, visit !== undefined);
        this.#insert(field);
      } else if (first >= 0x20) {
        if (fields > 0) throw new CompressionError('a table size update after a field');
        const size = this.#integer(0x1f);
        if (size > tableBytesMax) throw new CompressionError('a table larger than the limit');
        this.#tableBytesMax = size;
        this.#evict(size);
        continue;
      } else field = this.#literal(0x0f, visit !== undefined);
      listBytes += field.sizeBytes;
      fields += 1;
      if (listBytes > this.#limits.listBytesMax || fields > this.#limits.fieldsMax) {
        request.tooLarge = true;
        continue;
      }
      visit?.(field.name, field.value);
      const { kind, value } = field;
      if (kind >= kinds.method && kind <= kinds.authority) {
        if (regular) request.malformed = true;
      } else regular = true;
      switch (kind) {
        case kinds.other:
        case kinds.authority:
          break;
        case kinds.method:
          if (request.method !== undefined) request.malformed = true;
          request.method = value;
          break;
        case kinds.scheme:
          if (request.scheme !== undefined) request.malformed = true;
          request.scheme = value;
          break;
        case kinds.path:
          if (request.path !== undefined) request.malformed = true;
          request.path = value;
          break;
        case kinds.contentType:
          request.contentType ??= value;
          break;
        case kinds.grpcEncoding:
          request.grpcEncoding = joined(request.grpcEncoding, value);
          break;
        case kinds.grpcTimeout:
          request.grpcTimeout = joined(request.grpcTimeout, value);
          break;
        case kinds.contentLength:
          if (request.contentLength !== undefined && request.contentLength !== value) request.malformed = true;
          request.contentLength = value;
          break;
        case kinds.forwardedFor:
          request.forwardedFor = joined(request.forwardedFor, value);
          break;
        case kinds.malformed:
          request.malformed = true;
          break;
      }
    }
    return request;
  }

  #field(index: number): Field {
    if (index === 0) throw new CompressionError('index 0');
    if (index < staticTable.length) return staticTable[index] as Field;
    const at = this.#table.length - 1 - (index - staticTable.length);
    if (at < this.#first) throw new CompressionError('an index outside of the tables');
    return this.#table[at] as Field;
  }

  /** RFC 7541, 6.2. */
  #literal(mask: number, keepValue: boolean): Field {
    const index = this.#integer(mask);
    if (index !== 0) {
      const named = this.#field(index);
      const length = this.#string();
      return fieldOf(named.name, named.kind, length, keepValue);
    }
    const nameLength = this.#string();
    const name = text(nameLength);
    const kind = isName(name)
      ? (kindOfName.get(name) ?? (name[0] === ':' ? kinds.malformed : kinds.other))
      : kinds.malformed;
    return fieldOf(name, kind, this.#string(), keepValue);
  }

  #insert(field: Field): void {
    if (field.sizeBytes > this.#tableBytesMax) {
      // RFC 7541, 4.4: not an error; the table is empty afterwards.
      this.#evict(0);
      return;
    }
    this.#evict(this.#tableBytesMax - field.sizeBytes);
    this.#table.push(field);
    this.#tableBytes += field.sizeBytes;
  }

  #evict(bytesMax: number): void {
    while (this.#tableBytes > bytesMax) {
      this.#tableBytes -= (this.#table[this.#first] as Field).sizeBytes;
      this.#first += 1;
    }
    if (this.#first >= compactAfter) {
      this.#table = this.#table.slice(this.#first);
      this.#first = 0;
    }
  }

  /** RFC 7541, 5.1. */
  #integer(mask: number): number {
    let value = (this.#from[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let scale = 1; scale <= integerScaleMax; scale *= 128) {
      if (this.#at >= this.#end) throw new CompressionError('cut short');
      const byte = this.#from[this.#at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new CompressionError('an integer that is too large');
  }

  /** Reads a string into `scratch`; returns its length. RFC 7541, 5.2. */
  #string(): number {
    if (this.#at >= this.#end) throw new CompressionError('cut short');
    const huffman = (this.#from[this.#at] as number) >= 0x80;
    const length = this.#integer(0x7f);
    const from = this.#at;
    const end = from + length;
    if (end > this.#end) throw new CompressionError('cut short');
    this.#at = end;
    if (huffman) {
      const decoded = decodeHuffman(this.#from, from, end, scratch);
      if (decoded < 0) throw new CompressionError('a string that is not Huffman code');
      return decoded;
    }
    if (length > scratch.length) throw new CompressionError('a string that is too long');
    for (let i = 0; i < length; i++) scratch[i] = this.#from[from + i] as number;
    return length;
  }
}

/** SETTINGS_HEADER_TABLE_SIZE as it is unless announced otherwise: we do not. */
const tableBytesMax = 4096;
const compactAfter = 64;
const integerScaleMax = 128 ** 3;
/** Where strings are decoded to. Larger than any block that is read, decompressed. */
const scratch = Buffer.allocUnsafeSlow(256 * 1024);

/** Of the value in `scratch`; a value that nobody looks at is not made a string of. */
function fieldOf(name: string, kind: Kind, length: number, keepValue: boolean): Field {
  const sizeBytes = name.length + length + 32;
  if (!isValue(length)) return { name, value: '', sizeBytes, kind: kinds.malformed };
  return { name, value: kind === kinds.other && !keepValue ? '' : text(length), sizeBytes, kind };
}

/** RFC 9113, 8.2.1: no NUL, CR, LF; no space around. */
function isValue(length: number): boolean {
  for (let i = 0; i < length; i++) {
    const byte = scratch[i] as number;
    if (byte === 0 || byte === 10 || byte === 13) return false;
  }
  return true;
}

/** RFC 9113, 8.2.1, and no more: lower case, visible, a colon only in front. */
function isName(name: string): boolean {
  return /^:?[!-9;-@[-~]+$/.test(name);
}

function text(length: number): string {
  return length === 0 ? '' : scratch.toString('latin1', 0, length);
}

/** As of a list: RFC 9110, 5.3. */
function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}

/** RFC 7541, appendix A; index 0 is unused. */
const staticTable: readonly Field[] = [
  '',
  ':authority',
  ':method GET',
  ':method POST',
  ':path /',
  ':path /index.html',
  ':scheme http',
  ':scheme https',
  ':status 200',
  ':status 204',
  ':status 206',
  ':status 304',
  ':status 400',
  ':status 404',
  ':status 500',
  'accept-charset',
  'accept-encoding gzip, deflate',
  'accept-language',
  'accept-ranges',
  'accept',
  'access-control-allow-origin',
  'age',
  'allow',
  'authorization',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'etag',
  'expect',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'link',
  'location',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'range',
  'referer',
  'refresh',
  'retry-after',
  'server',
  'set-cookie',
  'strict-transport-security',
  'transfer-encoding',
  'user-agent',
  'vary',
  'via',
  'www-authenticate',
].map((line): Field => {
  const space = line.indexOf(' ');
  const [name, value] = space < 0 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)];
  const kind = kindOfName.get(name) ?? (name.startsWith(':') ? kinds.malformed : kinds.other);
  return { name, value, sizeBytes: name.length + value.length + 32, kind };
});

/**
 * A header block of literals that enter no table, so that it is the same on each connection and can be made once.
 * Source: RFC 7541, 6.2.2.
 */
export function encodeFields(fields: Readonly<Record<string, string | number>>): Buffer {
  const parts: number[] = [];
  const integer = (prefix: number, mask: number, value: number) => {
    if (value < mask) {
      parts.push(prefix | value);
      return;
    }
    parts.push(prefix | mask);
    let rest = value - mask;
    for (; rest >= 128; rest = Math.floor(rest / 128)) parts.push((rest % 128) | 0x80);
    parts.push(rest);
  };
  const string = (value: string) => {
    integer(0, 0x7f, value.length);
    for (let i = 0; i < value.length; i++) parts.push(value.charCodeAt(i) & 0xff);
  };
  for (const [name, given] of Object.entries(fields)) {
    const value = String(given);
    const whole = staticTable.findIndex((field) => field.name === name && field.value === value && value !== '');
    if (whole > 0) {
      integer(0x80, 0x7f, whole);
      continue;
    }
    const index = staticTable.findIndex((field) => field.name === name);
    if (index > 0) integer(0, 0x0f, index);
    else {
      parts.push(0);
      string(name);
    }
    string(value);
  }
  return Buffer.from(parts);
}
