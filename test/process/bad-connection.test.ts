import { describe, expect, it } from 'vitest';
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
  const many = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`x-${i}`, 'x']));
  it.each<[name: string, headers: Record<string, string>, code: number | undefined]>([
    ['of 64 KiB', { 'x-large': 'x'.repeat(64 * 1024) }, undefined],
    ['2,000 of them', many, undefined],
    ['named __proto__', { ['__proto__']: 'x' }, 0],
    ['-bin that is not base64', { 'x-trace-bin': '%%%' }, 0],
    ['grpc-timeout that is none', { 'grpc-timeout': '10 seconds' }, 3],
  ])('over gRPC: %s', async (_, headers, code) => {
    const answer = await rawGrpc(portOf(running.otlpGrpc), [grpcFrame(empty)], headers);
    expect(answer.grpcStatus).toBe(code);
    await expectWell();
  });

  it.each<[name: string, headers: Record<string, string>, status: number]>([
    ['of 20 KiB', { 'X-Large': 'x'.repeat(20_000) }, 431],
    ['2,000 of 10 bytes', Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`x-${i}`, '0123456789'])), 431],
    ['named __proto__', { ['__proto__']: 'x' }, 200],
  ])('over HTTP: %s', async (_, headers, status) => {
    const bytes = post('/v1/traces', contentType['http/protobuf'], empty, headers);
    expect((await rawHttp(portOf(running.otlpHttp), bytes)).status).toBe(status);
    await expectWell();
  });
});

describe('B27 requests that two servers would read differently', () => {
  const head = (fields: string) => `POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${fields}`;
  it.each([
    ['CL and TE', `${head('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n')}0\r\n\r\n`],
    ['two CL', `${head('Content-Length: 2\r\nContent-Length: 3\r\n\r\n')}{}`],
    ['a CL that is no number', `${head('Content-Length: +2\r\n\r\n')}{}`],
    ['bare LF', 'POST /v1/traces HTTP/1.1\nHost: x\n\n'],
    ['absolute form', head('Content-Length: 2\r\n\r\n{}').replace('/v1/traces', 'http://evil/v1/traces')],
    ['a percent sign and no digits', head('Content-Length: 2\r\n\r\n{}').replace('/v1/traces', '/v1/%zz')],
  ])('%s: 400, and the connection is closed', async (name, bytes) => {
    const untilClosed = !name.startsWith('a percent');
    const answer = await rawHttp(portOf(running.otlpHttp), bytes, { untilClosed });
    expect(answer).toMatchObject({ status: 400, closed: untilClosed });
    await expectWell();
  });
});
