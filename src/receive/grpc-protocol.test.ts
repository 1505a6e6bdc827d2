import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentKind, encodeMessage, readPrefix, timeoutMs } from './grpc-protocol.ts';

describe('grpc-timeout', () => {
  it.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['10S', 10_000],
    ['250m', 250],
    ['5000u', 5],
    ['99999999n', 99.999999],
  ])('%j is %s ms', (value, ms) => expect(timeoutMs(value)).toBeCloseTo(ms));

  it('may be missing', () => expect(timeoutMs(undefined)).toBeUndefined());

  it.each(['', '10', 'S', '123456789S', '-1S', '1.5S', '1s', '10 S'])('%j is refused', (value) =>
    expect(() => timeoutMs(value)).toThrow(/grpc-timeout/),
  );
});

it.each([
  ['application/grpc', 'proto'],
  ['application/grpc+proto', 'proto'],
  ['application/grpc; charset=utf-8', 'proto'],
  ['Application/GRPC+Proto', 'proto'],
  ['application/grpc+json', 'other'],
  ['application/grpc-web', 'not grpc'],
  ['application/grpcx', 'not grpc'],
  ['application/json', 'not grpc'],
  [undefined, 'not grpc'],
])('content-type %j is %s', (value, kind) => expect(contentKind(value)).toBe(kind));

it('writes any message so that a header can hold it and a client read it', () => {
  expect(encodeMessage('100% «naïve»\n')).toBe('100%25 %C2%ABna%C3%AFve%C2%BB%0A');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (message) => {
      const encoded = encodeMessage(message);
      expect(encoded).toMatch(/^[ -~]*$/);
      expect(decodeURIComponent(encoded)).toBe(message);
    }),
  );
});

it('reads the prefix of a message', () => {
  expect(readPrefix(Buffer.from('0100010203ff', 'hex'))).toEqual({ compressed: true, sizeBytes: 0x010203 });
  expect(readPrefix(Buffer.from('00ffffffff', 'hex'))).toEqual({ compressed: false, sizeBytes: 0xffffffff });
  expect(() => readPrefix(Buffer.from('0200000000', 'hex'))).toThrow(/compressed flag/);
});
