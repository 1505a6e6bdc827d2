import { Agent, request as httpRequest } from 'node:http';
import * as grpc from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
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
