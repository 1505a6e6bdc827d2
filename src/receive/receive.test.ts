import { describe, expect, it } from 'vitest';
import { exportPath, GrpcPeer, grpcFrame, openDoors, post, rawGrpc, rawHttp } from '../../test/kit/receivers.ts';
import { signals } from '../base/index.ts';
import { Admission } from './admission.ts';

describe('a good request', () => {
  it.each(signals)('of %s over gRPC reaches accept and gets an empty answer', async (signal) => {
    await using doors = await openDoors();
    using peer = new GrpcPeer(doors.grpc.port);
    const answer = await peer.call(exportPath[signal], Buffer.from([10, 0]));
    expect(answer).toMatchObject({ code: 0, message: Buffer.alloc(0) });
    expect(doors.accepted).toEqual([
      { signal, body: Buffer.from([10, 0]), sender: { address: '127.0.0.1', protocol: 'grpc' } },
    ]);
  });

  it.each(signals)('of %s over HTTP reaches accept and gets an empty answer', async (signal) => {
    await using doors = await openDoors();
    const response = await fetch(`http://127.0.0.1:${doors.http.port}/v1/${signal}`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf' },
      body: Buffer.from([10, 0]),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/x-protobuf');
    expect(await response.bytes()).toHaveLength(0);
    expect(doors.accepted).toEqual([
      { signal, body: Buffer.from([10, 0]), sender: { address: '127.0.0.1', protocol: 'http/protobuf' } },
    ]);
  });
});

it.each(['grpc', 'http'] as const)(
  '%s: what a request grows by counts with it, and is given back with it',
  async (door) => {
    const admission = new Admission({ bytesMax: 1_000 });
    const held: number[] = [];
    const refused: (string | undefined)[] = [];
    await using doors = await openDoors({
      admission,
      accept: async (_, body, __, room) => {
        refused.push(room?.reserve(1_001 - body.length)?.code, room?.reserve(900)?.code);
        held.push(admission.heldBytes);
        return { rejected: 0, message: '' };
      },
    });
    const body = Buffer.from([10, 0]);
    const send = async () =>
      door === 'grpc'
        ? (await rawGrpc(doors.grpc.port, [grpcFrame(body)])).grpcStatus
        : (await rawHttp(doors.http.port, post('/v1/logs', 'application/x-protobuf', body))).status;
    for (const _ of [1, 2]) expect(await send()).toBe(door === 'grpc' ? 0 : 200);
    expect(refused).toEqual(['unavailable', undefined, 'unavailable', undefined]);
    expect(held).toEqual([902, 902]);
    expect(admission.heldBytes).toBe(0);
  },
);
