import { describe, expect, it } from 'vitest';
import { exportPath, GrpcPeer, openDoors } from '../../test/kit/receivers.ts';
import { signals } from '../base/index.ts';

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
