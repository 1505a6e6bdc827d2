import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signals } from '../base/index.ts';
import { decodeHanded, encodeHanded, type Handed, isAuthorised, readAnswer } from './protocol.ts';

const handed: fc.Arbitrary<Handed> = fc.record({
  signal: fc.constantFrom(...signals),
  tenant: fc.string({ unit: 'grapheme' }),
  digest: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  receivedUnixNano: fc.bigInt(0n, 2n ** 63n - 1n),
  records: fc.nat(),
  rejected: fc.nat(),
  message: fc.string({ unit: 'grapheme' }),
  outstanding: fc.array(fc.stringMatching(/^[a-z/ ]{1,20}$/), { minLength: 1, maxLength: 5 }),
  body: fc.uint8Array({ maxLength: 300 }),
});
const messageOf = (frame: Handed) => Buffer.concat(encodeHanded(frame));
const malformed = expect.objectContaining({ code: 'malformed' });

describe('a frame as a message', () => {
  it('is the same frame at the other end', () => {
    fc.assert(
      fc.property(handed, (frame) => {
        expect(decodeHanded(messageOf(frame))).toEqual(frame);
      }),
    );
  });

  it('is malformed after every cut and with every bit that is turned', () => {
    fc.assert(
      fc.property(handed, fc.nat(), fc.nat(7), (frame, at, bit) => {
        const message = messageOf(frame);
        expect(() => decodeHanded(message.subarray(0, at % message.length))).toThrow(malformed);
        message[at % message.length]! ^= 1 << bit;
        expect(() => decodeHanded(message)).toThrow(malformed);
      }),
    );
  });

  it.each<[string, object]>([
    ['an unknown signal', { signal: 'profiles' }],
    ['owed to nobody', { outstanding: [] }],
    ['owed to two names in one', { outstanding: ['jaeger\nprometheus'] }],
    ['more names than a frame of the log has room for', { outstanding: ['a'.repeat(65_536)] }],
    ['a tenant that is too long', { tenant: 'ä'.repeat(40_000) }],
    ['a time that no log can hold', { receivedUnixNano: 2n ** 63n }],
    ['a count that no log can hold', { records: 2 ** 32 }],
    ['a negative count', { records: -1 }],
    ['a digest of another length', { digest: new Uint8Array(15) }],
  ])('%s is malformed', (_, odd) => {
    const [frame] = fc.sample(handed, 1) as [Handed];
    expect(() => decodeHanded(messageOf({ ...frame, ...odd }))).toThrow(malformed);
  });
});

it.each([
  { text: '{"kind":"taken","repeat":true,"without":[]}', answer: { kind: 'taken', repeat: true, without: [] } },
  { text: '{"kind":"later","reason":"full"}', answer: { kind: 'later', reason: 'full' } },
  { text: '{"kind":"never","reason":"no","without":["a"]}', answer: { kind: 'never', reason: 'no', without: ['a'] } },
  { text: '{"kind":"taken"}', answer: undefined },
  { text: '{"kind":"taken","repeat":true,"without":[1]}', answer: undefined },
  { text: '<html>200 OK</html>', answer: undefined },
  { text: 'null', answer: undefined },
])('$text is an answer or is none', ({ text, answer }) => expect(readAnswer(text)).toEqual(answer));

it('only the whole token is the token', () => {
  const token = 'correct-horse-battery';
  expect(isAuthorised(`Bearer ${token}`, token)).toBe(true);
  for (const other of [undefined, '', token, `Bearer ${token} `, `bearer ${token}`, `Bearer ${token.slice(1)}`])
    expect(isAuthorised(other, token)).toBe(false);
});
