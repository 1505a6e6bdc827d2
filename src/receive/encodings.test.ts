import { deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { compressSync } from 'snappy';
import { describe, expect, it } from 'vitest';
import { snappyFramed } from '../../test/kit/receivers.ts';
import { Fault } from '../base/index.ts';
import { decompress, type Encoding, firstChunkBytes, grpcEncoding, httpEncoding } from './encodings.ts';

const compressors: readonly { name: string; encoding: Encoding; compress: (plain: Uint8Array) => Buffer }[] = [
  { name: 'gzip', encoding: 'gzip', compress: (plain) => gzipSync(plain) },
  { name: 'deflate (zlib)', encoding: 'deflate', compress: (plain) => deflateSync(plain) },
  { name: 'deflate (raw)', encoding: 'deflate', compress: (plain) => deflateRawSync(plain) },
  { name: 'zstd', encoding: 'zstd', compress: (plain) => zstdCompressSync(plain) },
  { name: 'snappy (block)', encoding: 'snappy', compress: (plain) => compressSync(plain) },
  { name: 'snappy (framed)', encoding: 'snappy', compress: (plain) => snappyFramed(plain) },
];
const text = Buffer.from('resource_spans scope_spans span '.repeat(5_000));

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'none';
  } catch (thrown) {
    return thrown instanceof Fault ? thrown.code : `not a Fault: ${thrown}`;
  }
}

describe.each(compressors)('$name', ({ encoding, compress, name }) => {
  it('gives back what was compressed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3_000 }), (plain) => {
        expect(Buffer.from(decompress(encoding, compress(plain), 10_000)).equals(plain)).toBe(true);
      }),
      { numRuns: 50 },
    );
    expect(Buffer.compare(decompress(encoding, compress(text), text.length), text)).toBe(0);
  });

  it('is refused one byte above the limit', () => {
    expect(codeOf(() => decompress(encoding, compress(text), text.length - 1))).toBe('tooLarge');
  });

  it('is refused when cut short', () => {
    const whole = compress(text);
    for (const kept of [1, 4, whole.length >> 1, whole.length - 5, whole.length - 1]) {
      expect({ kept, code: codeOf(() => decompress(encoding, whole.subarray(0, kept), text.length * 2)) }).toEqual({
        kept,
        code: 'malformed',
      });
    }
  });

  it('is refused with something behind it', () => {
    const junk = Buffer.concat([compress(text), Buffer.from('junk')]);
    expect(codeOf(() => decompress(encoding, junk, text.length * 2))).toBe('malformed');
  });

  it('never fails but with a Fault, whatever is flipped', () => {
    const whole = compress(text.subarray(0, 2_000));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
        const spoilt = Buffer.from(whole);
        spoilt[at] = (spoilt[at] as number) ^ bits;
        expect(['none', 'malformed', 'tooLarge']).toContain(codeOf(() => decompress(encoding, spoilt, 4_000)));
      }),
      { numRuns: 300 },
    );
  });

  it('of zeros stops at the limit', () => {
    const bomb = compress(Buffer.alloc(2 ** (name.startsWith('snappy') ? 21 : 24)));
    expect(codeOf(() => decompress(encoding, bomb, 2 ** 20))).toBe('tooLarge');
  });
});

describe('the size that a body declares', () => {
  const honest = gzipSync(text.subarray(0, 9_000));
  const lie = Buffer.from(honest);
  lie.writeUInt32LE(60_000_000, lie.length - 4);
  const many = Buffer.concat([gzipSync(text.subarray(0, 10)), honest]);
  it.each([
    ['gets room where it can be', 'gzip', honest, 9_001],
    ['gets no more than the limit', 'gzip', gzipSync(text), 50_001],
    ['gets no more than a body of its length can be', 'gzip', lie, lie.length * 256 + 1],
    ['is that of the last of several', 'gzip', many, 9_001],
    ['likewise by zstd', 'zstd', zstdCompressSync(text.subarray(0, 1_200)), 1_201],
    ['is guessed where there is none', 'deflate', deflateSync(text), deflateSync(text).length * 4 + 1],
  ] as const)('%s', (_, encoding, body, bytes) => expect(firstChunkBytes(encoding, body, 50_000)).toBe(bytes));

  it('is no bound for what is in it', () => {
    const zeros = Buffer.alloc(2 ** 20);
    expect(Buffer.compare(decompress('gzip', gzipSync(zeros), 2 ** 20), zeros)).toBe(0);
    expect(codeOf(() => decompress('gzip', lie, 2 ** 26))).toBe('malformed');
  });
});

describe('snappy', () => {
  it('that declares 4 GiB is refused before anything is allocated', () => {
    expect(codeOf(() => decompress('snappy', Buffer.from('ffffffff0f00', 'hex'), 2 ** 26))).toBe('tooLarge');
  });
  it('that declares what it cannot hold is refused', () => {
    expect(codeOf(() => decompress('snappy', Buffer.from('ffffff0f0000', 'hex'), 2 ** 26))).toBe('malformed');
  });
  it('with a wrong checksum is refused', () => {
    expect(codeOf(() => decompress('snappy', snappyFramed(text, 1), 2 ** 26))).toBe('malformed');
  });
  it.each([
    ['an unknown chunk that may be skipped', '80030000aabbcc', 'none'],
    ['padding', 'fe020000aabb', 'none'],
    ['the identifier again', 'ff060000734e61507059', 'none'],
    ['an unknown chunk that must not be skipped', '02030000aabbcc', 'malformed'],
    ['a chunk that ends early', '01ff0000aabb', 'malformed'],
    ['a chunk without a checksum', '01020000aabb', 'malformed'],
  ])('stream with %s', (_, chunk, code) => {
    const stream = Buffer.concat([snappyFramed(text), Buffer.from(chunk, 'hex')]);
    expect(codeOf(() => decompress('snappy', stream, 2 ** 26))).toBe(code);
  });
});

describe('names', () => {
  it.each([
    [undefined, 'identity'],
    ['', 'identity'],
    ['identity', 'identity'],
    ['GZIP', 'gzip'],
    [' gzip ', 'gzip'],
    ['zlib', 'deflate'],
    ['x-snappy-framed', 'snappy'],
  ])('Content-Encoding %j is %s', (value, encoding) => expect(httpEncoding(value)).toBe(encoding));

  it.each(['br', 'lz4', 'gzip, gzip', 'gzip,identity', '__proto__', 'constructor'])(
    'Content-Encoding %j is refused',
    (value) => expect(codeOf(() => httpEncoding(value))).toBe('unsupportedType'),
  );

  it.each([
    [undefined, 'identity'],
    ['snappy', 'snappy'],
    ['br', undefined],
    ['__proto__', undefined],
  ])('grpc-encoding %j is %s', (value, encoding) => expect(grpcEncoding(value)).toBe(encoding));
});
