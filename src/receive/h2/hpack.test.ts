import { connect, createServer, type IncomingHttpHeaders } from 'node:http2';
import { type AddressInfo, connect as connectSocket, createServer as createRelay } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CompressionError, encodeFields, HpackDecoder } from './hpack.ts';

const roomy = { listBytesMax: 1 << 20, fieldsMax: 10_000 };

function read(decoder: HpackDecoder, block: Uint8Array): string[] {
  const fields: string[] = [];
  decoder.decode(block, 0, block.length, (name, value) => fields.push(`${name}: ${value}`));
  return fields;
}

const first = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'];
const second = [...first, 'cache-control: no-cache'];
const third = [
  ':method: GET',
  ':scheme: https',
  ':path: /index.html',
  ':authority: www.example.com',
  'custom-key: custom-value',
];

describe('RFC 7541, appendix C', () => {
  it.each([
    ['C.2.1', '400a637573746f6d2d6b65790d637573746f6d2d686561646572', 'custom-key: custom-header', 55],
    ['C.2.2', '040c2f73616d706c652f70617468', ':path: /sample/path', 0],
    ['C.2.3', '100870617373776f726406736563726574', 'password: secret', 0],
    ['C.2.4', '82', ':method: GET', 0],
  ])('%s', (_, block, field, tableBytes) => {
    const decoder = new HpackDecoder(roomy);
    expect(read(decoder, Buffer.from(block, 'hex'))).toEqual([field]);
    expect(decoder.tableBytes).toBe(tableBytes);
  });

  it.each([
    [
      'C.3, without Huffman',
      [
        '828684410f7777772e6578616d706c652e636f6d',
        '828684be58086e6f2d6361636865',
        '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
      ],
    ],
    [
      'C.4, with Huffman',
      [
        '828684418cf1e3c2e5f23a6ba0ab90f4ff',
        '828684be5886a8eb10649cbf',
        '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
      ],
    ],
  ])('%s: three requests on one connection', (_, blocks) => {
    const decoder = new HpackDecoder(roomy);
    const answers = blocks.map((block) => [read(decoder, Buffer.from(block, 'hex')), decoder.tableBytes]);
    expect(answers).toEqual([
      [first, 57],
      [second, 110],
      [third, 164],
    ]);
  });
});

describe('a block that cannot be read ends the connection', () => {
  it.each([
    ['index 0', '80'],
    ['an index past the tables', 'be'],
    ['a name past the tables', '7e0161'],
    ['an integer without its end', 'ff80'],
    ['an integer of 40 bits', 'ffffffffffff0f'],
    ['a string cut short', '400a6375'],
    ['a literal without its value', '400161'],
    ['a table of 4,097 bytes', '3fe21f'],
    ['a table size update after a field', '8220'],
    ['Huffman padding of 8 bits', '400161821fff'],
    ['Huffman padding of zeros', '4001618118'],
    ['Huffman with the end of a string in it', '40016184ffffffff'],
  ])('%s', (_, block) => {
    expect(() => read(new HpackDecoder(roomy), Buffer.from(block, 'hex'))).toThrow(CompressionError);
  });

  it('noise is read or refused, and the table stays within its bound', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), (blocks) => {
        const decoder = new HpackDecoder(roomy);
        for (const block of blocks) {
          try {
            decoder.decode(block, 0, block.length);
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(CompressionError);
            return;
          }
          expect(decoder.tableBytes).toBeLessThanOrEqual(4096);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('bounds', () => {
  it('a table is emptied by a field larger than it, and keeps the newest fields otherwise', () => {
    const decoder = new HpackDecoder(roomy);
    const literal = (name: string, value: string) =>
      Buffer.concat([Buffer.of(0x40, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)]);
    for (let i = 0; i < 500; i++) {
      read(decoder, literal(`k${i % 10}`, 'v'.repeat(i % 100)));
      expect(decoder.tableBytes).toBeLessThanOrEqual(4096);
    }
    expect(read(decoder, Buffer.of(0xbe, 0xbf))).toEqual([`k9: ${'v'.repeat(99)}`, `k8: ${'v'.repeat(98)}`]);
    read(decoder, Buffer.from('3f01', 'hex')); // 32 bytes: no field is as small
    expect(decoder.tableBytes).toBe(0);
    expect(() => read(decoder, Buffer.of(0xbe))).toThrow(CompressionError);
  });

  it('a block that decodes to more than the limit is too large, and the table follows it all the same', () => {
    const decoder = new HpackDecoder({ listBytesMax: 10_000, fieldsMax: 128 });
    const large = Buffer.concat([Buffer.from('4001617f8120', 'hex'), Buffer.alloc(4224, 0x62)]);
    expect(() => decoder.decode(large, 0, large.length)).not.toThrow();
    const entry = Buffer.concat([Buffer.from('4001617f811e', 'hex'), Buffer.alloc(3968, 0x62)]);
    const bomb = Buffer.concat([entry, Buffer.alloc(16_000, 0xbe)]);
    expect(decoder.decode(bomb, 0, bomb.length).tooLarge).toBe(true);
    expect(decoder.tableBytes).toBe(4001);
    const many = Buffer.alloc(129, 0x82);
    expect(decoder.decode(many, 0, many.length).tooLarge).toBe(true);
    expect(decoder.decode(Buffer.of(0x83), 0, 1)).toMatchObject({ method: 'POST', tooLarge: false });
  });
});

it.each([
  ['upper case', { A: 'b' }],
  ['a space in a name', { 'a b': 'c' }],
  ['a line in a value', { a: 'b\r\nc: d' }],
  ['a field of the connection', { connection: 'close' }],
  ['an unknown pseudo-header field', { ':other': 'x' }],
  ['a pseudo-header field of answers', { ':status': '200' }],
  ['a pseudo-header field after others', { a: 'b', ':path': '/' }],
])('%s makes a request malformed', (_, fields) => {
  const block = encodeFields(fields);
  expect(new HpackDecoder(roomy).decode(block, 0, block.length).malformed).toBe(true);
});

it('a pseudo-header field twice makes a request malformed', () => {
  expect(new HpackDecoder(roomy).decode(Buffer.of(0x83, 0x83), 0, 2).malformed).toBe(true);
});

it('reads what it writes', () => {
  const text = fc.string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    maxLength: 300,
  });
  const name = fc.stringMatching(/^[a-z-]{1,150}$/);
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, text), { selector: ([key]) => key }), (pairs) => {
      const usable = pairs.filter(([key]) => !hopByHop.has(key));
      const block = encodeFields(Object.fromEntries(usable));
      expect(read(new HpackDecoder(roomy), block)).toEqual(
        Object.entries(Object.fromEntries(usable)).map(([key, value]) => `${key}: ${value}`),
      );
    }),
  );
});
const hopByHop = new Set(['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade', '__proto__']);

describe('against nghttp2', () => {
  let server: ReturnType<typeof createServer>;
  let sent: Buffer[] = [];
  let expected: string[][] = [];
  beforeAll(async () => {
    server = createServer();
    server.on('stream', (stream, _: IncomingHttpHeaders, __, raw: string[]) => {
      expected.push(Array.from({ length: raw.length / 2 }, (___, i) => `${raw[2 * i]}: ${raw[2 * i + 1]}`));
      stream.respond({}, { endStream: true });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => server.close());

  it('the blocks of 60 requests on one connection mean the same', async () => {
    // A relay between the two, which sees the frames.
    sent = [];
    expected = [];
    const relay = createRelay((socket) => {
      const onward = connectSocket((server.address() as AddressInfo).port, '127.0.0.1');
      socket.on('data', (chunk: Buffer) => sent.push(chunk));
      socket.pipe(onward).pipe(socket);
      onward.on('error', () => {});
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const client = connect(`http://127.0.0.1:${(relay.address() as AddressInfo).port}`);
    const values = fc.sample(fc.string({ maxLength: 60 }), { numRuns: 60, seed: 7 });
    for (const [i, value] of values.entries()) {
      const stream = client.request({
        ':path': `/${i % 3}`,
        'x-value': encodeURIComponent(value),
        [`x-${i % 7}`]: `${i}`,
      });
      await new Promise((resolve) => stream.resume().on('close', resolve));
    }
    client.destroy();
    relay.close();
    const bytes = Buffer.concat(sent).subarray(24);
    const decoder = new HpackDecoder(roomy);
    const decoded: string[][] = [];
    for (let at = 0; at < bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
      const priority = (bytes.readUInt8(at + 4) & 0x20) === 0 ? 0 : 5;
      if (bytes[at + 3] === 1) {
        decoded.push(read(decoder, bytes.subarray(at + 9 + priority, at + 9 + bytes.readUIntBE(at, 3))));
      }
    }
    expect(decoded).toHaveLength(60);
    expect(decoded).toEqual(expected);
  });
});
