// The Thrift compact protocol, as far as Parquet's metadata need it. Pure.
// Source: apache/thrift doc/specs/thrift-compact-protocol.md. Parquet's structures: apache/parquet-format, parquet.thrift.

/** A value by its type in the protocol. A number is an integer of any width; structs have their fields by number. */
export type Thrift =
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'i8' | 'i16' | 'i32' | 'i64' | 'double'; readonly value: bigint }
  | { readonly type: 'binary'; readonly value: Uint8Array }
  | { readonly type: 'list'; readonly of: number; readonly value: readonly Thrift[] }
  | { readonly type: 'struct'; readonly value: ReadonlyMap<number, Thrift> };

const codes = { true: 1, false: 2, i8: 3, i16: 4, i32: 5, i64: 6, double: 7, binary: 8, list: 9, struct: 12 } as const;

export const i32 = (value: number): Thrift => ({ type: 'i32', value: BigInt(value) });
export const i64 = (value: number): Thrift => ({ type: 'i64', value: BigInt(value) });
export const binary = (value: Uint8Array | string): Thrift => ({
  type: 'binary',
  value: typeof value === 'string' ? Buffer.from(value) : value,
});
export const list = (of: 'i32' | 'binary' | 'struct', value: readonly Thrift[]): Thrift => ({
  type: 'list',
  of: codes[of],
  value,
});
/** Fields that are undefined are left out. */
export function struct(fields: { readonly [id: number]: Thrift | undefined }): Thrift {
  const value = new Map<number, Thrift>();
  for (const [id, field] of Object.entries(fields)) if (field !== undefined) value.set(Number(id), field);
  return { type: 'struct', value };
}

export function fieldOf(value: Thrift | undefined, id: number): Thrift | undefined {
  return value?.type === 'struct' ? value.value.get(id) : undefined;
}
export function numberOf(value: Thrift | undefined): number {
  return value !== undefined && typeof value.value === 'bigint' ? Number(value.value) : 0;
}
export function itemsOf(value: Thrift | undefined): readonly Thrift[] {
  return value?.type === 'list' ? value.value : [];
}
/** A copy of a struct with some fields set. */
export function withFields(value: Thrift, fields: { readonly [id: number]: Thrift }): Thrift {
  const next = new Map(value.type === 'struct' ? value.value : []);
  for (const [id, field] of Object.entries(fields)) next.set(Number(id), field);
  return { type: 'struct', value: next };
}

export function encodeThrift(value: Thrift): Buffer {
  const writer = new ThriftWriter();
  writer.value(value);
  return Buffer.from(writer.bytes.subarray(0, writer.used));
}

class ThriftWriter {
  bytes = new Uint8Array(1024);
  used = 0;

  #byte(byte: number): void {
    if (this.used === this.bytes.length) this.#room(1);
    this.bytes[this.used++] = byte;
  }

  #room(size: number): void {
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.used + size));
    grown.set(this.bytes);
    this.bytes = grown;
  }

  #varint(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    if (rest < 0x80n) {
      this.#byte(Number(rest));
      return;
    }
    while (rest >= 0x80n) {
      this.#byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.#byte(Number(rest));
  }

  value(given: Thrift): void {
    switch (given.type) {
      case 'bool':
        this.#byte(given.value ? codes.true : codes.false);
        return;
      case 'i8':
        this.#byte(Number(BigInt.asUintN(8, given.value)));
        return;
      case 'i16':
      case 'i32':
      case 'i64':
        this.#varint((given.value << 1n) ^ (given.value >> 63n));
        return;
      case 'double':
        for (let shift = 0n; shift < 64n; shift += 8n) this.#byte(Number((given.value >> shift) & 0xffn));
        return;
      case 'binary':
        this.#varint(BigInt(given.value.length));
        if (this.used + given.value.length > this.bytes.length) this.#room(given.value.length);
        this.bytes.set(given.value, this.used);
        this.used += given.value.length;
        return;
      case 'list':
        if (given.value.length < 15) this.#byte((given.value.length << 4) | given.of);
        else {
          this.#byte(0xf0 | given.of);
          this.#varint(BigInt(given.value.length));
        }
        for (const item of given.value) this.value(item);
        return;
      case 'struct':
        this.#struct(given.value);
    }
  }

  #struct(fields: ReadonlyMap<number, Thrift>): void {
    let last = 0;
    for (const [id, field] of [...fields].sort(([a], [b]) => a - b)) {
      const code = field.type === 'bool' ? (field.value ? codes.true : codes.false) : codes[field.type];
      if (id - last >= 1 && id - last <= 15) this.#byte(((id - last) << 4) | code);
      else {
        this.#byte(code);
        this.#varint(BigInt(id) << 1n);
      }
      last = id;
      if (field.type !== 'bool') this.value(field);
    }
    this.#byte(0);
  }
}

/** @throws RangeError where the bytes end too soon, Error where they have what Parquet's metadata do not. */
export function decodeThrift(bytes: Uint8Array, at = 0): Thrift {
  return new ThriftReader(bytes, at).value(codes.struct);
}

class ThriftReader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new RangeError(`Thrift ends at byte ${this.#at}`);
    return byte;
  }

  #varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new RangeError(`a number that does not end at byte ${this.#at}`);
  }

  #signed(): bigint {
    const value = this.#varint();
    return (value >> 1n) ^ -(value & 1n);
  }

  value(code: number): Thrift {
    switch (code) {
      case codes.true:
      case codes.false: {
        // In a list each has a byte; as a field the type says it.
        return { type: 'bool', value: this.#byte() === codes.true };
      }
      case codes.i8:
        return { type: 'i8', value: BigInt.asIntN(8, BigInt(this.#byte())) };
      case codes.i16:
        return { type: 'i16', value: this.#signed() };
      case codes.i32:
        return { type: 'i32', value: this.#signed() };
      case codes.i64:
        return { type: 'i64', value: this.#signed() };
      case codes.double: {
        let value = 0n;
        for (let shift = 0n; shift < 64n; shift += 8n) value |= BigInt(this.#byte()) << shift;
        return { type: 'double', value };
      }
      case codes.binary: {
        const length = Number(this.#varint());
        const start = this.#at;
        if (start + length > this.#bytes.length) throw new RangeError(`Thrift ends at byte ${start}`);
        this.#at += length;
        return { type: 'binary', value: this.#bytes.subarray(start, start + length) };
      }
      case codes.list: {
        const head = this.#byte();
        const size = head >>> 4 === 15 ? Number(this.#varint()) : head >>> 4;
        const value: Thrift[] = [];
        for (let i = 0; i < size; i++) value.push(this.value(head & 15));
        return { type: 'list', of: head & 15, value };
      }
      case codes.struct: {
        const value = new Map<number, Thrift>();
        for (let id = 0; ; ) {
          const head = this.#byte();
          if (head === 0) return { type: 'struct', value };
          const delta = head >>> 4;
          id = delta === 0 ? Number(this.#signed()) : id + delta;
          const type = head & 15;
          if (type === codes.true || type === codes.false) value.set(id, { type: 'bool', value: type === codes.true });
          else value.set(id, this.value(type));
        }
      }
      default:
        throw new Error(`a Thrift type ${code} at byte ${this.#at}`);
    }
  }
}
