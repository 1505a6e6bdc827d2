import { Agent, request as httpRequest } from 'node:http';
import { connect as connectSocket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { selfSigned } from '../../test/kit/certificate.ts';
import { exportPath, GrpcPeer, grpcFrame, openDoors, post, rawGrpc, rawHttp } from '../../test/kit/receivers.ts';

const protobuf = 'application/x-protobuf';
const message = Buffer.from([10, 0]);

describe('A20 stopping under load', () => {
  it('gRPC: calls under way are answered, new ones fail retryably', async () => {
    const doors = await openDoors({
      accept: () => new Promise((resolve) => setTimeout(resolve, 20, { rejected: 0, message: '' })),
    });
    using peer = new GrpcPeer(doors.grpc.port);
    let stopping = false;
    const before: number[] = [];
    const after: number[] = [];
    const load = Array.from({ length: 16 }, async () => {
      while (after.length < 50) {
        const late = stopping;
        const { code } = await peer.call(exportPath.traces, Buffer.alloc(20_000));
        (late ? after : before).push(code);
        if (late) await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
    await expect.poll(() => before.length).toBeGreaterThan(50);
    const closed = doors.grpc.close(5_000);
    stopping = true;
    await closed;
    await Promise.all(load);
    expect(new Set(before)).toEqual(new Set([grpc.status.OK]));
    for (const code of after) expect([grpc.status.OK, grpc.status.UNAVAILABLE]).toContain(code);
    expect(doors.grpc.stats()).toMatchObject({ connections: 0, inFlight: 0 });
    expect(doors.admission.heldBytes).toBe(0);
    await doors[Symbol.asyncDispose]();
  });

  it('HTTP: requests under way are answered, then the connection closes', async () => {
    const doors = await openDoors({
      accept: () => new Promise((resolve) => setTimeout(resolve, 20, { rejected: 0, message: '' })),
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const send = () =>
      new Promise<number | string>((resolve) => {
        const { port } = doors.http;
        const headers = { 'content-type': protobuf };
        const request = httpRequest(
          { agent, port, host: '127.0.0.1', method: 'POST', path: '/v1/traces', headers },
          (response) => response.resume().on('end', () => resolve(response.statusCode as number)),
        );
        request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code as string)).end(Buffer.alloc(20_000));
      });
    let stopping = false;
    const before: (number | string)[] = [];
    const after: (number | string)[] = [];
    const load = Array.from({ length: 16 }, async () => {
      while (after.length < 50) {
        const late = stopping;
        const answer = await send();
        (late ? after : before).push(answer);
        if (late) await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
    await expect.poll(() => before.length).toBeGreaterThan(50);
    const closed = doors.http.close(5_000);
    stopping = true;
    await closed;
    await Promise.all(load);
    expect(new Set(before)).toEqual(new Set([200]));
    for (const answer of after) expect([200, 503, 'ECONNREFUSED', 'ECONNRESET']).toContain(answer);
    expect(doors.http.stats()).toMatchObject({ connections: 0, inFlight: 0 });
    agent.destroy();
    await doors[Symbol.asyncDispose]();
  });

  it('after stopAccepting what comes on open connections is served, new connections are refused', async () => {
    await using doors = await openDoors();
    using peer = new GrpcPeer(doors.grpc.port);
    expect((await peer.call(exportPath.logs, message)).code).toBe(0);
    const agent = new Agent({ keepAlive: true });
    const send = () =>
      new Promise<[number | undefined, string | undefined]>((resolve, reject) => {
        httpRequest(
          {
            agent,
            port: doors.http.port,
            host: '127.0.0.1',
            method: 'POST',
            path: '/v1/logs',
            headers: { 'content-type': protobuf },
          },
          (response) => response.resume().on('end', () => resolve([response.statusCode, response.headers.connection])),
        )
          .on('error', reject)
          .end(message);
      });
    expect(await send()).toEqual([200, 'keep-alive']);
    doors.grpc.stopAccepting();
    doors.http.stopAccepting();
    expect(await send()).toEqual([200, 'close']);
    expect(await rawHttp(doors.http.port, post('/v1/logs', protobuf, message))).toMatchObject({ status: 0 });
    expect((await rawGrpc(doors.grpc.port, [grpcFrame(message)])).httpStatus).toBe(0);
    agent.destroy();
  });

  it('what is not done at the deadline gets a retryable answer', async () => {
    const doors = await openDoors({ accept: () => new Promise(() => {}) });
    const call = rawGrpc(doors.grpc.port, [grpcFrame(message)]);
    const request = rawHttp(doors.http.port, post('/v1/logs', protobuf, message));
    await expect.poll(() => doors.accepted.length).toBe(2);
    await Promise.all([doors.grpc.close(100), doors.http.close(100), doors.grpc.close(100)]);
    expect((await call).grpcStatus).toBe(14);
    expect(await request).toMatchObject({ status: 503, headers: { 'retry-after': '1', connection: 'close' } });
    await doors.pool.close();
  });
});

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
