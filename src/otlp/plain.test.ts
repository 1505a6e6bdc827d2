import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyValue, oracleEncode } from '../../test/kit/otlp-oracle.ts';
import { type Json, plainAttributes, plainValue, Reader } from './index.ts';

/** The content of the one log record that a request holds. */
function recordOf(record: object): Reader {
  const bytes = oracleEncode('logs', { resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] });
  let reader = new Reader(bytes);
  for (const field of [1, 2, 2]) {
    while (reader.next() && reader.field !== field);
    reader = reader.message();
  }
  return reader;
}

function plain(body: object): Json {
  const record = recordOf({ body });
  while (record.next() && record.field !== 5);
  return plainValue(record.buffer, record.valueStart, record.valueEnd);
}

describe('a value as plain JSON', () => {
  it.each([
    { value: {}, expected: null },
    { value: { stringValue: 'text' }, expected: 'text' },
    { value: { stringValue: '' }, expected: '' },
    { value: { boolValue: false }, expected: false },
    { value: { intValue: '9007199254740991' }, expected: 9007199254740991 },
    { value: { intValue: '9007199254740992' }, expected: '9007199254740992' },
    { value: { intValue: '-9223372036854775808' }, expected: '-9223372036854775808' },
    { value: { doubleValue: 1.5 }, expected: 1.5 },
    { value: { doubleValue: Number.NaN }, expected: 'NaN' },
    { value: { doubleValue: -Infinity }, expected: '-Infinity' },
    { value: { bytesValue: Buffer.from([255, 254]) }, expected: '//4=' },
    { value: { stringValueStrindex: 3 }, expected: null },
    { value: { arrayValue: { values: [{}, { intValue: 1 }, { arrayValue: {} }] } }, expected: [null, 1, []] },
    {
      value: { kvlistValue: { values: [{ key: 'a', value: { intValue: 1 } }, { key: 'b' }] } },
      expected: { a: 1, b: null },
    },
  ])('$value', ({ value, expected }) => expect(plain(value)).toEqual(expected));

  it('B12 keeps a key named __proto__ as a member', () => {
    const value = plain({
      kvlistValue: { values: [{ key: '__proto__', value: { kvlistValue: { values: [{ key: 'polluted' }] } } }] },
    });
    expect(JSON.stringify(value)).toBe('{"__proto__":{"polluted":null}}');
    expect('polluted' in (value as object)).toBe(false);
  });

  it('is JSON, whatever the value', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const json = plain(value);
        expect(JSON.parse(JSON.stringify(json), (_, member) => member)).toEqual(JSON.parse(JSON.stringify(json)));
        // −0 is the one number whose text is another's.
        expect(JSON.stringify(JSON.parse(JSON.stringify(json)))).toBe(JSON.stringify(json));
      }),
      { numRuns: 100 },
    );
  });
});

it('attributes are an object; of a key that occurs twice the last one counts', () => {
  const attributes = [
    { key: 'a', value: { intValue: 1 } },
    { key: '', value: { stringValue: 'empty' } },
    { key: 'a', value: { intValue: 2 } },
  ];
  const record = recordOf({ attributes, severityText: 'not an attribute' });
  expect(plainAttributes(record.buffer, record.valueStart, record.end, 6)).toEqual({ a: 2, '': 'empty' });
});
