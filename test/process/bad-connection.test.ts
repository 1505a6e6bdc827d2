import { describe, expect, it } from 'vitest';
import { ambiguousRows, grpcHeaderRows, httpHeaderRows } from '../kit/bad-connection-rows.ts';
import { contentType, full, portOf, send } from '../kit/bad-input.ts';
import { floods, untilClosed } from '../kit/floods.ts';
import { grpcFrame, post, rawGrpc, rawHttp } from '../kit/receivers.ts';
import { sharedProcess } from '../kit/shared-process.ts';

// Rows B25 to B27: what is wrong below the request. Each in a few; in thousands: test/faults/connections.test.ts.

const running = sharedProcess();

const empty = Buffer.of(10, 0);
/** The process goes on: a good request over each door is taken. */
async function expectWell(): Promise<void> {
  for (const protocol of ['grpc', 'http/protobuf'] as const) {
    expect(await send(running, protocol, 'traces', empty)).toMatchObject(full);
  }
  expect(running.output()).not.toMatch(/"level":"(error|fatal)"/);
}

describe('B25', () => {
  it.each(floods)('%s ends the connection only', async (_, bytes) => {
    await Promise.all([1, 2, 3].map(() => untilClosed(portOf(running.otlpGrpc), bytes)));
    await expectWell();
  });
});

describe('B26 headers', () => {
  it.each(grpcHeaderRows)('over gRPC: %s', async (_, headers, code) => {
    const answer = await rawGrpc(portOf(running.otlpGrpc), [grpcFrame(empty)], headers);
    expect(answer.grpcStatus).toBe(code);
    await expectWell();
  });

  it.each(httpHeaderRows)('over HTTP: %s', async (_, headers, status) => {
    const bytes = post('/v1/traces', contentType['http/protobuf'], empty, headers);
    expect((await rawHttp(portOf(running.otlpHttp), bytes)).status).toBe(status);
    await expectWell();
  });
});

describe('B27 requests that two servers would read differently', () => {
  it.each(ambiguousRows)('%s: 400, and the connection is closed', async (_, bytes, closed) => {
    const answer = await rawHttp(portOf(running.otlpHttp), bytes, { untilClosed: closed });
    expect(answer).toMatchObject({ status: 400, closed });
    await expectWell();
  });
});
