import { connect as connectSocket } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { selfSigned } from '../../test/kit/certificate.ts';
import { proxyHeader2, proxyTo } from '../../test/kit/proxy-header.ts';
import { type Doors, exportPath, GrpcPeer, openDoors } from '../../test/kit/receivers.ts';

const loopback = ['127.0.0.0/8'];
const message = Buffer.from([10, 0]);
const text = Buffer.from('PROXY TCP4 10.1.2.3 127.0.0.1 4711 4317\r\n');
const binary = proxyHeader2(0x21, 0x11, Buffer.from([10, 1, 2, 3, 127, 0, 0, 1, 0x12, 0x67, 0x10, 0xdd]));

/** Sends one request, returns the sender's address as `accept` hears it, or why there was none. */
const senders = {
  async grpc(doors: Doors, port: number, headers: { readonly [name: string]: string }) {
    using peer = new GrpcPeer(port);
    const { code, details } = await peer.call(exportPath.traces, message, { deadline: Date.now() + 5_000 }, headers);
    return code === 0 ? doors.accepted.at(-1)?.sender.address : `${code}: ${details}`;
  },
  async http(doors: Doors, port: number, headers: { readonly [name: string]: string }) {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/traces`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf', ...headers },
      body: message,
    });
    return answer.status === 200 ? doors.accepted.at(-1)?.sender.address : `${answer.status}`;
  },
};

describe.each(['grpc', 'http'] as const)('%s: X-Forwarded-For', (door) => {
  it.each([
    ['of a proxy that is not trusted', [], '10.1.2.3', ''],
    ['of a trusted one', loopback, '10.1.2.3', '10.1.2.3'],
    ['with a port', loopback, '10.1.2.3:4711', '10.1.2.3'],
    ['IPv6', loopback, 'FD00:0::7', 'fd00::7'],
    ['IPv6 with a port', loopback, '[fd00::7]:4711', 'fd00::7'],
    ['IPv4 in IPv6', loopback, '::ffff:10.1.2.3', '10.1.2.3'],
    [
      'of several: whom the first trusted one heard it from',
      [...loopback, '10.9.0.0/16'],
      '1.1.1.1, 10.1.2.3, 10.9.0.1',
      '10.1.2.3',
    ],
    ['made up by the client, in front of what is trusted', loopback, '10.1.2.3, 192.0.2.1', '192.0.2.1'],
    ['all of them trusted', ['127.0.0.0/8', '10.0.0.0/8'], '10.1.2.3, 10.9.0.1', '10.1.2.3'],
    ['that names nobody', loopback, 'unknown', ''],
  ])('%s', async (_, trustedProxies, header, sender) => {
    await using doors = await openDoors({ trustedProxies });
    expect(await senders[door](doors, doors[door].port, { 'x-forwarded-for': header })).toBe(sender);
  });
});

describe.each(['grpc', 'http'] as const)('%s: PROXY protocol', (door) => {
  it.each([
    ['version 1', [text]],
    ['version 2', [binary]],
    ['in two pieces', [binary.subarray(0, 5), binary.subarray(5)]],
    ['byte by byte', [...text].map((byte) => Buffer.from([byte]))],
  ])('%s', async (_, pieces) => {
    await using doors = await openDoors({ trustedProxies: loopback });
    using proxy = await proxyTo(doors[door].port, ...pieces);
    expect(await senders[door](doors, proxy.port, {})).toBe('10.1.2.3');
    expect(doors[door].stats().connectionsFailedTotal).toBe(0);
  });

  it('a connection of a trusted proxy without it', async () => {
    await using doors = await openDoors({ trustedProxies: loopback });
    expect(await senders[door](doors, doors[door].port, {})).toBe('127.0.0.1');
  });

  it('the address that it tells, behind another proxy’s X-Forwarded-For', async () => {
    await using doors = await openDoors({ trustedProxies: [...loopback, '10.1.2.3'] });
    using proxy = await proxyTo(doors[door].port, text);
    expect(await senders[door](doors, proxy.port, { 'x-forwarded-for': '10.7.7.7' })).toBe('10.7.7.7');
  });

  it.each([
    ['malformed', Buffer.from('PROXY TCP4 somewhere\r\n')],
    ['malformed, version 2', proxyHeader2(0x2f, 0x11, Buffer.alloc(12))],
    ['cut short', text.subarray(0, 20)],
  ])('%s: closed and counted', async (_, bytes) => {
    await using doors = await openDoors({ trustedProxies: loopback });
    const socket = connectSocket(doors[door].port, '127.0.0.1');
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()).on('error', () => {}));
    socket.resume().end(bytes);
    await closed;
    await expect.poll(() => doors[door].stats().connectionsFailedTotal).toBe(1);
    expect(doors[door].stats().connections).toBe(0);
    expect(doors.accepted).toEqual([]);
  });

  it('whoever says nothing is closed in time', async () => {
    await using doors = await openDoors({ trustedProxies: loopback, limits: { headerTimeoutMs: 100 } });
    const socket = connectSocket(doors[door].port, '127.0.0.1');
    await new Promise<void>((resolve) =>
      socket
        .on('close', () => resolve())
        .on('error', () => {})
        .resume(),
    );
    expect(doors[door].stats().connectionsFailedTotal).toBe(1);
  });

  it('whoever only looks whether the port is open is no failure', async () => {
    await using doors = await openDoors({ trustedProxies: loopback });
    const socket = connectSocket(doors[door].port, '127.0.0.1');
    await new Promise<void>((resolve) =>
      socket
        .on('connect', () => socket.end())
        .on('close', () => resolve())
        .resume(),
    );
    await expect.poll(() => doors[door].stats().connections).toBe(0);
    expect(doors[door].stats()).toMatchObject({ connectionsTotal: 1, connectionsFailedTotal: 0 });
  });

  it('does not hold up the stop', async () => {
    const doors = await openDoors({ trustedProxies: loopback });
    const socket = connectSocket(doors[door].port, '127.0.0.1').on('error', () => {});
    socket.write('PROXY ');
    await expect.poll(() => doors[door].stats().connectionsTotal).toBe(1);
    const gone = new Promise<void>((resolve) => socket.on('close', () => resolve()).resume());
    await doors[Symbol.asyncDispose]();
    await gone;
  });

  it('from whom is not trusted is no way to be somebody else', async () => {
    await using doors = await openDoors({ trustedProxies: ['10.0.0.0/8'] });
    using proxy = await proxyTo(doors[door].port, text);
    await senders[door](doors, proxy.port, {}).catch(() => 'no answer');
    expect(doors.accepted).toEqual([]);
    expect(doors[door].stats().connectionsFailedTotal).toBeGreaterThan(0);
  });
});

it('comes before the handshake of TLS', async () => {
  const { cert, key } = selfSigned();
  await using doors = await openDoors({ trustedProxies: loopback, tls: { cert, key } });
  using proxy = await proxyTo(doors.grpc.port, binary);
  using peer = new GrpcPeer(
    proxy.port,
    { 'grpc.ssl_target_name_override': 'localhost' },
    grpc.credentials.createSsl(Buffer.from(cert), null, null, { checkServerIdentity: () => undefined }),
  );
  expect(await peer.call(exportPath.traces, message)).toMatchObject({ code: 0 });
  expect(doors.accepted[0]?.sender.address).toBe('10.1.2.3');
});

it('counts for all requests on its connection', async () => {
  await using doors = await openDoors({ trustedProxies: loopback });
  using proxy = await proxyTo(doors.grpc.port, binary);
  using peer = new GrpcPeer(proxy.port);
  for (let request = 0; request < 3; request += 1) await peer.call(exportPath.traces, Buffer.alloc(100_000));
  expect(doors.accepted.map(({ sender }) => sender.address)).toEqual(['10.1.2.3', '10.1.2.3', '10.1.2.3']);
  expect(doors.grpc.stats().connectionsTotal).toBe(1);
});
