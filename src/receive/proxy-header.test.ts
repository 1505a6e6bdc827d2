import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { proxyHeader2 } from '../../test/kit/proxy-header.ts';
import { readProxyHeader } from './proxy-header.ts';

const line = (text: string) => Buffer.from(`${text}\r\n`);

describe('version 1', () => {
  it.each([
    ['PROXY TCP4 10.1.2.3 10.0.0.1 56324 4317', '10.1.2.3'],
    ['PROXY TCP6 FD00:0::7 fd00::1 56324 4317', 'fd00::7'],
    ['PROXY TCP6 ::ffff:10.1.2.3 fd00::1 1 2', '10.1.2.3'],
    ['PROXY UNKNOWN', undefined],
    ['PROXY UNKNOWN whatever the proxy likes to add', undefined],
    ['PROXY TCP4 10.1.2.3 10.0.0.1 0 65535', '10.1.2.3'],
  ])('%s', (text, address) => {
    const bytes = Buffer.concat([line(text), Buffer.from('POST /v1/traces')]);
    expect(readProxyHeader(bytes)).toEqual({ kind: 'found', sizeBytes: text.length + 2, address });
  });

  it.each([
    'PROXY TCP5 10.1.2.3 10.0.0.1 1 2',
    'PROXY TCP4 10.1.2 10.0.0.1 1 2',
    'PROXY TCP4 fd00::1 fd00::2 1 2',
    'PROXY TCP6 10.1.2.3 10.0.0.1 1 2',
    'PROXY TCP4 10.1.2.3 host 1 2',
    'PROXY TCP4 10.1.2.3 10.0.0.1 1',
    'PROXY TCP4 10.1.2.3 10.0.0.1 1 65536',
    'PROXY TCP4 10.1.2.3 10.0.0.1 01 2',
    'PROXY TCP4 10.1.2.3 10.0.0.1 1 2 3',
    'PROXY  TCP4 10.1.2.3 10.0.0.1 1 2',
    'PROXY ',
    `PROXY TCP4 ${'1'.repeat(107)}`,
  ])('malformed: %s', (text) => {
    expect(readProxyHeader(line(text)).kind).toBe('malformed');
  });
});

describe('version 2', () => {
  const source = Buffer.from([10, 1, 2, 3, 10, 0, 0, 1, 0xdc, 4, 0x10, 0xdd]);
  const source6 = Buffer.concat([Buffer.from('fd000000000000000000000000000007', 'hex'), Buffer.alloc(20)]);
  it.each([
    ['TCP over IPv4', 0x21, 0x11, source, '10.1.2.3'],
    ['with what the proxy adds', 0x21, 0x11, Buffer.concat([source, Buffer.alloc(60, 4)]), '10.1.2.3'],
    ['TCP over IPv6', 0x21, 0x21, source6, 'fd00::7'],
    ['a unix socket', 0x21, 0x31, Buffer.alloc(216), undefined],
    ['UNSPEC', 0x21, 0x00, Buffer.alloc(0), undefined],
    ['LOCAL', 0x20, 0x11, source, undefined],
    ['LOCAL without anything', 0x20, 0x00, Buffer.alloc(0), undefined],
  ])('%s', (_, command, family, rest, address) => {
    const header = proxyHeader2(command, family, rest);
    expect(readProxyHeader(Buffer.concat([header, Buffer.from('PRI * HTTP/2.0')]))).toEqual({
      kind: 'found',
      sizeBytes: header.length,
      address,
    });
  });

  it.each([
    ['version 1 in the binary form', 0x11, 0x11, source],
    ['a command that does not exist', 0x22, 0x11, source],
    ['a family that does not exist', 0x21, 0x41, source],
    ['a transport that does not exist', 0x21, 0x13, source],
    ['addresses cut short', 0x21, 0x11, source.subarray(0, 11)],
    ['addresses of the other family', 0x21, 0x21, source],
    ['more than anybody adds', 0x21, 0x11, Buffer.alloc(60_000)],
  ])('malformed: %s', (_, command, family, rest) => {
    expect(readProxyHeader(proxyHeader2(command, family, rest)).kind).toBe('malformed');
  });

  it('each cut of a good header asks for more, and so does each of version 1', () => {
    for (const header of [proxyHeader2(0x21, 0x11, source), line('PROXY TCP4 10.1.2.3 10.0.0.1 56324 4317')])
      for (let end = 0; end < header.length; end += 1)
        expect(readProxyHeader(header.subarray(0, end))).toEqual({ kind: 'incomplete' });
  });
});

it.each([
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'POST /v1/traces HTTP/1.1\r\n',
  'PROPFIND / HTTP/1.1\r\n',
  '\x16\x03\x01',
  '\r\nGET',
])('leaves alone %j', (text) => {
  expect(readProxyHeader(Buffer.from(text, 'latin1'))).toEqual({ kind: 'none' });
});

it('any bytes have an answer, and one that is found lies within them', () => {
  const begun = fc.constantFrom(Buffer.from('PROXY TCP4 '), proxyHeader2(0x21, 0x11, Buffer.alloc(0)).subarray(0, 12));
  fc.assert(
    fc.property(begun, fc.uint8Array({ maxLength: 200 }), (start, more) => {
      const bytes = Buffer.concat([start, more]);
      const header = readProxyHeader(bytes);
      if (header.kind === 'found') expect(header.sizeBytes).toBeLessThanOrEqual(bytes.length);
      else expect(['incomplete', 'malformed']).toContain(header.kind);
    }),
  );
});
