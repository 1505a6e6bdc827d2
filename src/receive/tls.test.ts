import { connect as connectSocket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ambiguousRows, grpcHeaderRows, httpHeaderRows } from '../../test/kit/bad-connection-rows.ts';
import { selfSigned } from '../../test/kit/certificate.ts';
import { floods, untilClosed } from '../../test/kit/floods.ts';
import {
  type Doors,
  exportPath,
  GrpcPeer,
  grpcFrame,
  openDoors,
  post,
  rawGrpc,
  rawHttp,
} from '../../test/kit/receivers.ts';

const protobuf = 'application/x-protobuf';
const message = Buffer.from([10, 0]);

describe('TLS', () => {
  it('serves gRPC and HTTPS, and outlives what is not TLS', async () => {
    const tls = selfSigned();
    await using doors = await openDoors({ tls });
    const trusting = grpc.credentials.createSsl(Buffer.from(tls.cert));
    using peer = new GrpcPeer(doors.grpc.port, {}, trusting);
    const send = async () => {
      expect((await peer.call(exportPath.metrics, message)).code).toBe(0);
      const answer = await new Promise<string>((resolve) => {
        const socket = connectTls(
          { port: doors.http.port, host: '127.0.0.1', servername: 'localhost', ca: tls.cert },
          () => socket.write(post('/v1/logs', protobuf, message)),
        );
        socket.on('data', (data) => {
          resolve(data.toString('latin1').split('\r\n')[0] as string);
          socket.destroy();
        });
        socket.on('error', (error) => resolve(error.message));
      });
      expect(answer).toBe('HTTP/1.1 200 OK');
      expect(doors.accepted.at(-1)?.sender).toEqual({ address: '127.0.0.1', protocol: 'http/protobuf' });
    };
    await send();
    // B28: clear text, the wrong protocol by ALPN, a client that does not trust us.
    for (const port of [doors.grpc.port, doors.http.port]) {
      await new Promise<void>((resolve) => {
        const socket = connectSocket(port, '127.0.0.1', () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
        socket
          .resume()
          .on('error', () => {})
          .on('close', () => resolve());
      });
    }
    await new Promise<void>((resolve) => {
      const options = {
        port: doors.grpc.port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: tls.cert,
        ALPNProtocols: ['http/1.1'],
      };
      const socket = connectTls(options);
      socket
        .on('secureConnect', () => socket.destroy())
        .on('error', () => {})
        .on('close', () => resolve());
    });
    using doubting = new GrpcPeer(doors.grpc.port, {}, grpc.credentials.createSsl());
    expect((await doubting.call(exportPath.logs, message)).code).toBe(grpc.status.UNAVAILABLE);
    await send();
    expect(doors.grpc.stats().connectionsFailedTotal).toBeGreaterThan(0);
  });

  it('takes new certificates without losing a connection', async () => {
    const [first, second] = [selfSigned(), selfSigned()];
    await using doors = await openDoors({ tls: first });
    using early = new GrpcPeer(doors.grpc.port, {}, grpc.credentials.createSsl(Buffer.from(first.cert)));
    expect((await early.call(exportPath.logs, message)).code).toBe(0);
    doors.grpc.setSecureContext(second);
    doors.http.setSecureContext(second);
    expect((await early.call(exportPath.logs, message)).code).toBe(0);
    using late = new GrpcPeer(doors.grpc.port, {}, grpc.credentials.createSsl(Buffer.from(second.cert)));
    expect((await late.call(exportPath.logs, message)).code).toBe(0);
  });
});

// Rows of table B that end, or could end, with the connection: over TLS the bytes come in other pieces, and its end in another way.
describe('over TLS', () => {
  const certificate = selfSigned();
  const trust = certificate.cert;
  const limits = { bodyBytesMax: 100_000, headerTimeoutMs: 500, bodyTimeoutMs: 500 };
  let doors: Doors;
  beforeAll(async () => {
    doors = await openDoors({ tls: certificate, limits });
  });
  afterAll(() => doors[Symbol.asyncDispose]());

  /** A good request over each door is taken. */
  async function expectWell(): Promise<void> {
    expect((await rawGrpc(doors.grpc.port, [grpcFrame(message)], {}, { trust })).grpcStatus).toBe(0);
    const bytes = post('/v1/traces', protobuf, message);
    expect((await rawHttp(doors.http.port, bytes, { trust })).status).toBe(200);
  }

  it.each(floods)('B25 %s ends the connection only', async (_, bytes) => {
    using other = new GrpcPeer(doors.grpc.port, {}, grpc.credentials.createSsl(Buffer.from(trust)));
    expect((await other.call(exportPath.traces, message)).code).toBe(0);
    const told = await Promise.all([1, 2, 3].map(() => untilClosed(doors.grpc.port, bytes, trust)));
    // It was heard as HTTP/2: the handshake was not what ended it.
    for (const each of told) expect(each.length).toBeGreaterThan(0);
    expect((await other.call(exportPath.traces, message)).code).toBe(0);
    await expectWell();
    await expect.poll(() => doors.grpc.stats().connections).toBe(1);
  });

  it.each(grpcHeaderRows)('B26 headers over gRPC: %s', async (_, headers, code) => {
    expect((await rawGrpc(doors.grpc.port, [grpcFrame(message)], headers, { trust })).grpcStatus).toBe(code);
    await expectWell();
  });

  it.each(httpHeaderRows)('B26 headers over HTTP: %s', async (_, headers, status) => {
    const bytes = post('/v1/traces', protobuf, message, headers);
    expect((await rawHttp(doors.http.port, bytes, { trust })).status).toBe(status);
    await expectWell();
  });

  it.each(ambiguousRows)('B27 %s: 400', async (_, bytes, closed) => {
    expect(await rawHttp(doors.http.port, bytes, { untilClosed: closed, trust })).toMatchObject({
      status: 400,
      closed,
    });
    await expectWell();
  });

  it('B1, B3, B4, B7: bad bodies are answered as in clear text', async () => {
    const call = (chunks: Uint8Array[], headers = {}) => rawGrpc(doors.grpc.port, chunks, headers, { trust });
    const large = Buffer.alloc(limits.bodyBytesMax + 1);
    const noGzip = { 'grpc-encoding': 'gzip' };
    expect((await call([grpcFrame(Buffer.of(1), 0, 9)])).grpcStatus).toBe(12);
    expect((await call([grpcFrame(message), grpcFrame(message)])).grpcStatus).toBe(12);
    expect([3, 13]).toContain((await call([grpcFrame(Buffer.from('no gzip'), 1)], noGzip)).grpcStatus);
    expect((await call([grpcFrame(large)])).grpcStatus).toBe(8);
    const send = (body: Uint8Array, headers = {}) =>
      rawHttp(doors.http.port, post('/v1/traces', protobuf, body, headers), { trust });
    expect((await send(Buffer.from('no gzip'), { 'Content-Encoding': 'gzip' })).status).toBe(400);
    expect((await send(large)).status).toBe(413);
    await expectWell();
  });

  it('B23: who never ends his headers or his message is let go', async () => {
    const start = post('/v1/traces', protobuf, message).toString('latin1');
    const slowHead = rawHttp(doors.http.port, start.slice(0, 20), { untilClosed: true, trust });
    const slowBody = rawHttp(doors.http.port, start.slice(0, -1), { untilClosed: true, trust });
    const call = rawGrpc(doors.grpc.port, [grpcFrame(Buffer.of(1), 0, 9)], {}, { end: false, trust });
    expect((await slowHead).closed).toBe(true);
    expect(await slowBody).toMatchObject({ status: 408, closed: true });
    expect((await call).grpcStatus).toBe(4);
    await expectWell();
  });

  it('B28: a client whose certificate is not wanted does not get in, others do', async () => {
    const [wanted, unwanted] = [selfSigned(), selfSigned()];
    const asked = { ...certificate, ca: wanted.cert, requestCert: true, rejectUnauthorized: true };
    await using asking = await openDoors({ tls: asked });
    const code = async (own: { cert: string; key: string } | undefined) => {
      const [key, cert] = own === undefined ? [null, null] : [Buffer.from(own.key), Buffer.from(own.cert)];
      using peer = new GrpcPeer(asking.grpc.port, {}, grpc.credentials.createSsl(Buffer.from(trust), key, cert));
      return (await peer.call(exportPath.logs, message)).code;
    };
    expect(await code(unwanted)).toBe(grpc.status.UNAVAILABLE);
    expect(await code(undefined)).toBe(grpc.status.UNAVAILABLE);
    expect(await code(wanted)).toBe(0);
    expect(asking.accepted).toHaveLength(1);
  });
});
