import fc from 'fast-check';
import { expect, it } from 'vitest';
import { keyTerm, numberIn, numberTerm, orderedHex, parseTerm, termKey, valueTerm } from './terms.ts';

const key = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('', '=', '\\', 'a=b', 'a\\=', 'http.route'),
);

it('numbers as text sort as the numbers do', () => {
  const number = fc.oneof(
    fc.double({ noNaN: true }),
    fc.integer(),
    fc.constantFrom(0, -0, 1, -1, Number.MAX_VALUE, Number.MIN_VALUE),
  );
  fc.assert(
    fc.property(number, number, (a, b) => {
      const left = orderedHex(a);
      const right = orderedHex(b);
      expect(left < right).toBe(a < b);
      expect(left === right).toBe(a === b);
      expect(left).toMatch(/^[0-9a-f]{16}$/);
    }),
  );
});

it('a term tells its type, key and value, whatever is in them', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('s', 'n', 'o', 'e'),
      key,
      fc.string({ unit: 'binary', maxLength: 40 }),
      (type, name, value) => {
        expect(parseTerm(valueTerm(type, name, value))).toEqual({ type, key: name, value, long: false });
      },
    ),
  );
});

it('no term of a key begins as those of another do', () => {
  fc.assert(
    fc.property(key, key, fc.string(), (a, b, value) => {
      fc.pre(a !== b);
      expect(valueTerm('s', a, value).startsWith(`s:${termKey(b)}=`)).toBe(false);
      expect(numberTerm(a, 1).startsWith(`${termKey(b)}=`)).toBe(false);
      expect(keyTerm('s', a)).not.toBe(keyTerm('s', b));
    }),
  );
});

it('a long value is a hash, of a length that an index takes', () => {
  const long = 'ü'.repeat(40_000);
  const term = valueTerm('s', 'k'.repeat(4_096), long);
  expect(Buffer.byteLength(term)).toBeLessThan(32_766);
  expect(parseTerm(term)).toMatchObject({ type: 's', long: true });
  expect(valueTerm('s', 'k', long)).not.toBe(valueTerm('s', 'k', `${long}x`));
});

it.each([
  ['5', 5],
  ['-5.5e3', -5500],
  ['.5', 0.5],
  ['5.', 5],
  ['', undefined],
  ['5 ', undefined],
  ['0x10', undefined],
  ['Infinity', undefined],
  ['1_000', undefined],
])('the number in %j is %j', (text, number) => {
  expect(numberIn(text)).toBe(number);
});
