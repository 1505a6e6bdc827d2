import { connectTo, exportPath } from './receivers.ts';

// B25: what a client can send over HTTP/2 to keep a server busy or make it fall over. Frames by hand (RFC 9113).

const frame = (type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)) => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};
const greeting = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0)]);
// HPACK: literals without indexing; :method POST and :scheme http of the static table.
const literal = (index: readonly number[], text: string) => Buffer.of(...index, text.length, ...Buffer.from(text));
const call = Buffer.concat([
  Buffer.of(0x83, 0x86),
  literal([0x01], 'localhost'),
  literal([0x04], exportPath.traces),
  literal([0x0f, 0x10], 'application/grpc'),
]);
const headers = (stream: number, flags: number) => frame(1, flags, stream, call);
const repeated = (times: number, make: (i: number) => Buffer) =>
  Buffer.concat(Array.from({ length: times }, (_, i) => make(i)));
const greeted = (...parts: readonly Buffer[]) => Buffer.concat([greeting, ...parts]);

/** Each as the bytes of one connection, at the end of which a server has closed it. */
export const floods: readonly (readonly [name: string, bytes: Buffer])[] = [
  [
    'rapid reset',
    greeted(
      repeated(4_000, (i) => Buffer.concat([headers(2 * i + 1, 4), frame(3, 0, 2 * i + 1, Buffer.of(0, 0, 0, 8))])),
    ),
  ],
  ['PING', greeted(repeated(5_000, () => frame(6, 0, 0, Buffer.alloc(8))))],
  ['SETTINGS', greeted(repeated(5_000, () => frame(4, 0, 0)))],
  [
    'CONTINUATION',
    greeted(
      headers(1, 0),
      repeated(5_000, () => frame(9, 0, 1, Buffer.from('400161', 'hex'))),
    ),
  ],
  [
    'empty DATA',
    greeted(
      headers(1, 4),
      repeated(5_000, () => frame(0, 0, 1)),
    ),
  ],
  ['WINDOW_UPDATE past 2^31', greeted(repeated(2, () => frame(8, 0, 0, Buffer.of(0x7f, 0xff, 0xff, 0xff))))],
  ['malformed HEADERS', greeted(frame(1, 5, 1, Buffer.from('ffffffffffffffffff', 'hex')))],
  ['an HTTP/1 request', Buffer.from('POST /v1/traces HTTP/1.1\r\nHost: x\r\n\r\n')],
  ['noise', Buffer.alloc(100_000, 0xa5)],
];

/** TLS: a ClientHello as far as its cipher suites. */
export const halfHello = Buffer.from(
  `16030100c8010000c40303${'5a'.repeat(32)}20${'11'.repeat(32)}00061301130213030100`,
  'hex',
);

/** A call whose message never comes to its end. */
export const endlessCall = greeted(headers(1, 4), frame(0, 0, 1, Buffer.of(0, 0, 0, 0, 9, 1)));

/**
 * Sends bytes on a connection of its own and waits until the server closes it; answers what it said.
 * @param trust Certificate that is trusted, where the door speaks TLS.
 */
export function untilClosed(port: number, bytes: Uint8Array, trust?: string): Promise<Buffer> {
  return new Promise((resolve) => {
    const told: Buffer[] = [];
    const socket = connectTo(port, trust, () => socket.write(bytes), ['h2']);
    socket
      .on('data', (part) => told.push(part))
      .on('error', () => undefined)
      .on('close', () => resolve(Buffer.concat(told)));
  });
}
