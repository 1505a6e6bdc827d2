import fc from 'fast-check';
import { expect, test } from 'vitest';
import { copyBytes, isAsciiIn, sameIn } from './views.ts';

const bytes = fc.uint8Array({ maxLength: 400 });
const places = fc.record({ bytes, before: fc.nat(20), after: fc.nat(20), at: fc.nat(20) });

/** The bytes somewhere in a larger array that is itself a view. */
function within(bytes: Uint8Array, before: number, after: number, filling: number): Uint8Array {
  const whole = new Uint8Array(3 + before + bytes.length + after).fill(filling);
  whole.set(bytes, 3 + before);
  return whole.subarray(3);
}

test('what is copied is what was there, and nothing beside it changes', () => {
  fc.assert(
    fc.property(places, ({ bytes, before, after, at }) => {
      const source = within(bytes, before, after, 0xaa);
      const target = new Uint8Array(at + bytes.length + after).fill(0x55);
      copyBytes(target, new DataView(target.buffer), at, source, before, before + bytes.length);
      const wanted = new Uint8Array(target.length).fill(0x55);
      wanted.set(bytes, at);
      expect(target).toEqual(wanted);
    }),
  );
});

test('ASCII is told wherever the one other byte lies', () => {
  fc.assert(
    fc.property(fc.nat(200), fc.nat(20), fc.nat(), fc.integer({ min: 128, max: 255 }), (size, before, where, other) => {
      const text = new Uint8Array(size).fill(0x61);
      const around = within(text, before, 9, other);
      expect(isAsciiIn(around, before, before + size)).toBe(true);
      if (size === 0) return;
      around[before + (where % size)] = other;
      expect(isAsciiIn(around, before, before + size)).toBe(false);
    }),
  );
});

test('bytes are the same where each is, and only there', () => {
  fc.assert(
    fc.property(places, fc.nat(), ({ bytes, before, after, at }, where) => {
      const one = within(bytes, at, 0, 1);
      const other = within(bytes, before, after, 2);
      const view = new DataView(one.buffer, one.byteOffset, one.byteLength);
      expect(sameIn(view, at, other, before, bytes.length)).toBe(true);
      if (bytes.length === 0) return;
      other[before + (where % bytes.length)]! ^= 1 << (where % 8);
      expect(sameIn(view, at, other, before, bytes.length)).toBe(false);
    }),
  );
});
