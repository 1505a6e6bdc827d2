import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Dictionary } from './dictionary.ts';

it('gives each value one number, whatever their hashes are', () => {
  // Words that the hash brings to the same number, in any of two places: 2^12 values that all collide.
  const pair = (bit: boolean): number[] => (bit ? [0x01, 0, 0, 0x80, 0, 0, 0x01, 0x80] : [0x01, 0, 0, 0, 0, 0, 0, 0]);
  const values = Array.from({ length: 4096 }, (_, number) =>
    Uint8Array.from(Array.from({ length: 12 }, (_, bit) => pair(((number >> bit) & 1) === 1)).flat()),
  );
  const dictionary = new Dictionary();
  const numbers = values.map((value) => dictionary.bytes(value, 0, value.length));
  expect(new Set(numbers).size).toBe(values.length);
  expect(values.map((value) => dictionary.bytes(value, 0, value.length))).toEqual(numbers);
});

it('finds what it was given', () =>
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 9 })), (values) => {
      const dictionary = new Dictionary();
      const known = new Map<string, number>();
      for (const value of values) {
        const name = Buffer.from(value).toString('hex');
        const number = dictionary.bytes(value, 0, value.length);
        expect(number).toBe(known.get(name) ?? known.size);
        known.set(name, number);
        const at = dictionary.starts[number]!;
        expect(Buffer.from(dictionary.heap.subarray(at, at + dictionary.lengths[number]!)).toString('hex')).toBe(name);
      }
    }),
  ));
