import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { Fault } from '../base/index.ts';
import { Reader, readDouble, readFixed64, varintSize, Writer } from './index.ts';

// protobufjs' own writer and reader are the second opinion.

const uint64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.integer({ min: 0, max: 63 }).map((shift) => 1n << BigInt(shift)),
);

/** Reads the one field that `write` writes. */
function field(write: (writer: Writer) => void): Reader {
  const writer = new Writer(1);
  write(writer);
  const reader = new Reader(writer.finish());
  expect(reader.next()).toBe(true);
  expect(reader.valueEnd).toBe(writer.length);
  return reader;
}

describe('what is written is read', () => {
  it('64-bit integers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 29 - 1 }), uint64, (number, value) => {
        const varint = field((writer) => writer.int64(number, value));
        expect([varint.field, varint.uint64(), varint.int64()]).toEqual([number, value, BigInt.asIntN(64, value)]);
        expect(varint.bool()).toBe(value !== 0n);
        expect(varint.uint32()).toBe(Number(value & 0xffffffffn));
        const fixed = field((writer) => writer.fixed64(number, value));
        expect([fixed.fixed64(), fixed.sfixed64()]).toEqual([value, BigInt.asIntN(64, value)]);
        expect((BigInt(fixed.fixed64High()) << 32n) | BigInt(fixed.fixed64Low())).toBe(value);
        expect(readFixed64(fixed.buffer, fixed.valueStart)).toBe(value);
      }),
    );
  });

  it('32-bit integers', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(0xffffffff), (signed, unsigned) => {
        expect(field((writer) => writer.int32(3, signed)).int32()).toBe(signed);
        expect(field((writer) => writer.sint32(3, signed)).sint32()).toBe(signed);
        expect(field((writer) => writer.uint32(3, unsigned)).uint32()).toBe(unsigned);
        expect(field((writer) => writer.fixed32(3, unsigned)).fixed32()).toBe(unsigned);
      }),
    );
  });

  it('doubles, to the bit', () => {
    fc.assert(
      fc.property(fc.double(), (value) => {
        const reader = field((writer) => writer.double(1, value));
        expect(Object.is(reader.double(), value)).toBe(true);
        expect(Object.is(readDouble(reader.buffer, reader.valueStart), value)).toBe(true);
      }),
    );
  });

  it('a short string, whatever room the buffer has left', () => {
    for (let capacity = 1; capacity < 40; capacity++) {
      for (const text of ['', 'a', 'é', 'ab', '世界', 'x'.repeat(43)]) {
        const writer = new Writer(capacity);
        writer.string(2, text);
        const reader = new Reader(writer.finish());
        reader.next();
        expect([capacity, reader.string()]).toEqual([capacity, text]);
      }
    }
  });

  it('strings of every length', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(300), (text, repeats) => {
        const long = text.repeat(repeats);
        expect(field((writer) => writer.string(2, long)).string()).toBe(long);
      }),
    );
  });

  it('messages in messages, as protobufjs reads them', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 70_000 }), { minLength: 1, maxLength: 4 }), (sizes) => {
        const writer = new Writer(16);
        const begun = sizes.map((size, index) => {
          const at = writer.begin(index + 1);
          writer.bytes(15, new Uint8Array(size).fill(7));
          return at;
        });
        for (const at of begun.toReversed()) writer.end(at);
        const reader = protobuf.Reader.create(writer.finish());
        sizes.forEach((size, index) => {
          expect(reader.uint32()).toBe((index + 1) * 8 + 2);
          reader.uint32();
          expect(reader.uint32()).toBe(15 * 8 + 2);
          expect(reader.bytes()).toHaveLength(size);
        });
        expect(reader.pos).toBe(writer.length);
      }),
      { numRuns: 50 },
    );
  });

  it('the size of a varint', () => {
    fc.assert(
      fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (value) => {
        const writer = new Writer();
        writer.varint(value);
        expect(varintSize(value)).toBe(writer.length);
      }),
    );
  });
});

it('a writer takes back and takes out', () => {
  const writer = new Writer();
  writer.string(1, 'a');
  const start = writer.length;
  writer.string(1, 'b');
  const end = writer.length;
  writer.string(1, 'c');
  writer.remove(start, end);
  writer.string(1, 'd');
  writer.truncate(writer.length - 3);
  const reader = new Reader(writer.finish());
  const texts: string[] = [];
  while (reader.next()) texts.push(reader.string());
  expect(texts).toEqual(['a', 'c']);
});

it('a byte order mark is part of a string', () => {
  expect(field((writer) => writer.string(1, '\u{feff}abc')).string()).toBe('\u{feff}abc');
});

it('B1 any bytes are read to their end, or are malformed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const reader = new Reader(bytes);
      try {
        while (reader.next()) expect(reader.valueEnd).toBeLessThanOrEqual(bytes.length);
        expect(reader.valueEnd).toBe(bytes.length);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(Fault);
        expect((thrown as Fault).code).toBe('malformed');
      }
    }),
    { numRuns: 1000 },
  );
});
