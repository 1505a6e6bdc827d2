import { compressionAlgorithms } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { signals } from '../../src/base/index.ts';
import { encodeOtlp } from '../kit/otlp.ts';
import { exportPath, GrpcPeer } from '../kit/receivers.ts';
import { sharedProcess } from '../kit/shared-process.ts';
import { message, withBytes } from './message.ts';
import { expectSent } from './sent.ts';

// grpc-js with bytes of our own: the compressions that it offers, and many calls at once on one connection.

const running = sharedProcess();

const port = (): number => Number(running.otlpGrpc.split(':').at(-1));

describe('grpc-js', () => {
  it.each(['identity', 'deflate', 'gzip'] as const)('%s: all is queryable, once', async (compression) => {
    using peer = new GrpcPeer(port(), { 'grpc.default_compression_algorithm': compressionAlgorithms[compression] });
    const { sent, requests } = message(`grpc-js-${compression}`);
    for (const signal of signals) {
      const answer = await peer.call(exportPath[signal], encodeOtlp(signal, withBytes(requests[signal])));
      expect(answer).toMatchObject({ code: 0, message: Buffer.alloc(0) });
    }
    await expectSent(running.http, sent);
  });

  it('200 calls at once on one connection: each is answered, and all is queryable, once', async () => {
    using peer = new GrpcPeer(port());
    const made = Array.from({ length: 200 }, (_, turn) => message(`grpc-js-many-${turn % 4}`));
    const answers = await Promise.all(
      made.map(({ requests }) => peer.call(exportPath.logs, encodeOtlp('logs', withBytes(requests.logs)))),
    );
    expect(answers.map(({ code }) => code)).toEqual(Array(200).fill(0));
    const all = made.flatMap(({ sent }) => sent.logs);
    // A list answers 1,000 records at most: each of the four services has that many.
    for (let turn = 0; turn < 4; turn += 1) {
      const service = `grpc-js-many-${turn}`;
      const logs = all.filter(({ body }) => body.endsWith(service));
      expect(logs).toHaveLength(1000);
      await expectSent(running.http, { service, spans: [], logs }, { metrics: false });
    }
  });
});
