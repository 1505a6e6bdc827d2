import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { floods, untilClosed } from '../../test/kit/floods.ts';
import {
  type Doors,
  exportPath,
  GrpcPeer,
  grpcFrame,
  openDoors,
  rawGrpc,
  snappyFramed,
} from '../../test/kit/receivers.ts';
import { Fault } from '../base/index.ts';
import { decodeExportResponse, decodeStatus } from '../otlp/index.ts';
import type { Accept } from './accept.ts';

const message = Buffer.from([10, 0]);
const gzip = { 'grpc-encoding': 'gzip' };
const limits = { bodyBytesMax: 1024 * 1024 };

let doors: Doors;
let accept: Accept;
const success: Accept = async () => ({ rejected: 0, message: '' });

beforeAll(async () => {
  doors = await openDoors({ limits, accept: (...request) => accept(...request) });
});
afterAll(() => doors[Symbol.asyncDispose]());

/** What every row ends with: the listener is well, and holds nothing of what was refused. */
async function expectWell(): Promise<void> {
  accept = success;
  const answer = await rawGrpc(doors.grpc.port, [grpcFrame(message)]);
  expect(answer).toMatchObject({ httpStatus: 200, grpcStatus: 0, body: grpcFrame(Buffer.alloc(0)) });
  await expect.poll(() => [doors.grpc.stats().inFlight, doors.admission.heldBytes]).toEqual([0, 0]);
}

interface Row {
  readonly name: string;
  readonly chunks?: readonly Uint8Array[];
  readonly headers?: Record<string, string | string[]>;
  readonly path?: string;
  readonly status: number;
  readonly says?: RegExp;
}

const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
const rows: readonly Row[] = [
  { name: 'B2 an empty message', chunks: [grpcFrame(Buffer.alloc(0))], status: 0 },
  { name: 'a message byte by byte', chunks: [...grpcFrame(message)].map((byte) => Buffer.of(byte)), status: 0 },
  { name: 'gzip', chunks: [grpcFrame(gzipSync(message), 1)], headers: gzip, status: 0 },
  { name: 'gzip announced, not used', chunks: [grpcFrame(message)], headers: gzip, status: 0 },
  { name: 'deflate', chunks: [grpcFrame(deflateSync(message), 1)], headers: { 'grpc-encoding': 'deflate' }, status: 0 },
  { name: 'zstd', chunks: [grpcFrame(zstdCompressSync(message), 1)], headers: { 'grpc-encoding': 'zstd' }, status: 0 },
  { name: 'snappy', chunks: [grpcFrame(snappyFramed(message), 1)], headers: { 'grpc-encoding': 'snappy' }, status: 0 },
  { name: 'B3 a frame shorter than declared', chunks: [grpcFrame(message, 0, 3)], status: 12, says: /cut short/ },
  { name: 'B3 half a prefix', chunks: [Buffer.of(0, 0)], status: 12, says: /cut short/ },
  { name: 'B3 two messages', chunks: [grpcFrame(message), grpcFrame(message)], status: 12, says: /more than one/ },
  { name: 'B3 no message', chunks: [], status: 12, says: /no message/ },
  { name: 'B3 a flag of 7', chunks: [grpcFrame(message, 7)], status: 12, says: /compressed flag/ },
  {
    name: 'B4 no gzip',
    chunks: [grpcFrame(Buffer.from('no gzip'), 1)],
    headers: gzip,
    status: 3,
    says: /not valid gzip/,
  },
  {
    name: 'B4 gzip cut short',
    chunks: [grpcFrame(gzipSync(Buffer.alloc(999)).subarray(0, -9), 1)],
    headers: gzip,
    status: 3,
  },
  {
    name: 'B4 junk after gzip',
    chunks: [grpcFrame(Buffer.concat([gzipSync(message), message]), 1)],
    headers: gzip,
    status: 3,
  },
  { name: 'compressed without saying how', chunks: [grpcFrame(gzipSync(message), 1)], status: 13 },
  {
    name: 'B5 unknown grpc-encoding',
    chunks: [grpcFrame(message, 1)],
    headers: { 'grpc-encoding': 'br' },
    status: 12,
    says: /gzip/,
  },
  { name: 'B5 two encodings', chunks: [grpcFrame(message, 1)], headers: { 'grpc-encoding': 'gzip, gzip' }, status: 12 },
  {
    name: 'B6 unknown method',
    chunks: [grpcFrame(message)],
    path: '/a.B/C%0a',
    status: 12,
    says: /unknown method \/a\.B\/C%0a$/,
  },
  { name: 'B6 json', chunks: [grpcFrame(message)], headers: { 'content-type': 'application/grpc+json' }, status: 12 },
  {
    name: 'B7 larger than the limit',
    chunks: [grpcFrame(Buffer.alloc(limits.bodyBytesMax + 1))],
    status: 8,
    says: /larger/,
  },
  { name: 'B7 as large as the limit', chunks: [grpcFrame(Buffer.alloc(limits.bodyBytesMax))], status: 0 },
  { name: 'B7 4 GiB declared', chunks: [grpcFrame(message, 0, 0xffff_ffff)], status: 8 },
  { name: 'B8 a gzip bomb', chunks: [grpcFrame(bomb, 1)], headers: gzip, status: 8 },
  {
    name: 'B8 a gzip bomb that hides its size',
    chunks: [grpcFrame(Buffer.concat([bomb, gzipSync('')]), 1)],
    headers: gzip,
    status: 8,
  },
  {
    name: 'B8 a zstd bomb',
    chunks: [grpcFrame(zstdCompressSync(Buffer.alloc(2 ** 26)), 1)],
    headers: { 'grpc-encoding': 'zstd' },
    status: 8,
  },
  {
    name: 'B8 snappy of 4 GiB',
    chunks: [grpcFrame(Buffer.from('ffffffff0f00', 'hex'), 1)],
    headers: { 'grpc-encoding': 'snappy' },
    status: 8,
  },
  {
    name: 'B26 bad grpc-timeout',
    chunks: [grpcFrame(message)],
    headers: { 'grpc-timeout': '10 seconds' },
    status: 3,
    says: /grpc-timeout/,
  },
  { name: 'B26 bad -bin header', chunks: [grpcFrame(message)], headers: { 'x-trace-bin': '%%%' }, status: 0 },
  { name: 'B26 header __proto__', chunks: [grpcFrame(message)], headers: { ['__proto__']: 'x' }, status: 0 },
];

describe('over gRPC', () => {
  it.each(rows)('$name is answered with $status', async ({ chunks = [], headers, path, status, says }) => {
    accept = success;
    const answer = await rawGrpc(doors.grpc.port, chunks, headers, path === undefined ? {} : { path });
    expect(answer).toMatchObject({ httpStatus: 200, grpcStatus: status });
    expect(answer.headers['content-type']).toBe('application/grpc');
    // None of these may be sent again as it is: no RetryInfo.
    expect(answer.headers['grpc-status-details-bin']).toBeUndefined();
    if (says !== undefined) expect(answer.grpcMessage).toMatch(says);
    await expectWell();
  });

  it.each([
    ['B6 no content-type', { 'content-type': '' }, 415],
    ['B6 protobuf', { 'content-type': 'application/x-protobuf' }, 415],
    ['B6 GET', { ':method': 'GET' }, 405],
  ])('%s is answered in HTTP with %s %i', async (_, headers, status) => {
    const answer = await rawGrpc(doors.grpc.port, [], headers);
    expect(answer).toMatchObject({ httpStatus: status, grpcStatus: undefined });
    await expectWell();
  });

  it('B6 names what it can decompress', async () => {
    const { headers } = await rawGrpc(doors.grpc.port, [grpcFrame(message, 1)], { 'grpc-encoding': 'br' });
    expect(headers['grpc-accept-encoding']).toBe('identity,gzip,deflate,zstd,snappy');
  });

  it('B26 header lists of 64 KiB and of 2,000 fields are refused', async () => {
    const large = await rawGrpc(doors.grpc.port, [grpcFrame(message)], { 'x-large': 'x'.repeat(64 * 1024) });
    expect(large.grpcStatus).not.toBe(0);
    const many = Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`x-${i}`, 'x']));
    expect((await rawGrpc(doors.grpc.port, [grpcFrame(message)], many)).grpcStatus).not.toBe(0);
    await expectWell();
  });

  it('does not take the body of a request that it refused', async () => {
    const answer = await rawGrpc(doors.grpc.port, [grpcFrame(Buffer.alloc(100), 0, 2 ** 27)], {}, { end: false });
    expect(answer).toMatchObject({ grpcStatus: 8, reset: undefined });
    await expectWell();
  });
});

describe('what accept says', () => {
  it('in part: is told in the response', async () => {
    accept = async () => ({ rejected: 3, message: 'span 7: no id' });
    const { grpcStatus, body } = await rawGrpc(doors.grpc.port, [grpcFrame(message)]);
    expect(grpcStatus).toBe(0);
    expect(decodeExportResponse('traces', body.subarray(5))).toEqual({ rejected: 3, message: 'span 7: no id' });
    await expectWell();
  });

  it('B22 at length: is shortened', async () => {
    accept = async () => ({ rejected: 1, message: 'ä'.repeat(5_000_000) });
    const { grpcStatus, body } = await rawGrpc(doors.grpc.port, [grpcFrame(message)]);
    expect(grpcStatus).toBe(0);
    expect(body.length).toBeLessThan(32 * 1024);
    expect(decodeExportResponse('traces', body.subarray(5)).message).toMatch(/^ä+ …$/);
    await expectWell();
  });

  it('with unavailable: carries RetryInfo', async () => {
    accept = async () => {
      throw new Fault('unavailable', 'the log is full: 100 %', { retryAfterMs: 1_500 });
    };
    using peer = new GrpcPeer(doors.grpc.port);
    const answer = await peer.call(exportPath.logs, message);
    expect(answer).toMatchObject({ code: grpc.status.UNAVAILABLE, details: 'the log is full: 100 %' });
    const [details] = answer.metadata.get('grpc-status-details-bin');
    expect(decodeStatus(details as Buffer)).toMatchObject({ code: 14, retryAfterMs: 1_500 });
    await expectWell();
  });

  it('with an error of ours: 13, and nothing of its text', async () => {
    accept = async () => {
      throw new TypeError('secret');
    };
    expect(await rawGrpc(doors.grpc.port, [grpcFrame(message)])).toMatchObject({
      grpcStatus: 13,
      grpcMessage: 'internal error',
    });
    await expectWell();
  });

  it('by throwing at once: is answered, too', async () => {
    accept = () => {
      throw new Fault('malformed', 'at offset 3');
    };
    expect(await rawGrpc(doors.grpc.port, [grpcFrame(message)])).toMatchObject({
      grpcStatus: 3,
      grpcMessage: 'at offset 3',
    });
    await expectWell();
  });

  it('too late for grpc-timeout: 4', async () => {
    let settle = (_: { rejected: number; message: string }) => {};
    accept = () =>
      new Promise((resolve) => {
        settle = resolve;
      });
    const answer = await rawGrpc(doors.grpc.port, [grpcFrame(message)], { 'grpc-timeout': '50m' });
    expect(answer.grpcStatus).toBe(4);
    // The body is still in accept's hands, and counts.
    expect(doors.admission.heldBytes).toBeGreaterThan(0);
    settle({ rejected: 0, message: '' });
    await expectWell();
  });

  it('after the client has gone: to nobody', async () => {
    let settle = (_: { rejected: number; message: string }) => {};
    const started = new Promise<void>((resolve) => {
      accept = () => {
        resolve();
        return new Promise((later) => {
          settle = later;
        });
      };
    });
    const session = connect(`http://127.0.0.1:${doors.grpc.port}`);
    session.on('error', () => {});
    const stream = session.request({ ':method': 'POST', ':path': exportPath.logs, 'content-type': 'application/grpc' });
    stream.on('error', () => {});
    stream.end(grpcFrame(message));
    await started;
    stream.close(constants.NGHTTP2_CANCEL);
    await expect.poll(() => doors.grpc.stats().inFlight).toBe(0);
    settle({ rejected: 0, message: '' });
    session.destroy();
    expect(doors.ended.at(-1)?.slice(0, 3)).toEqual(['logs', 'grpc', 'cancelled']);
    await expectWell();
  });
});

describe('health', () => {
  const check = '/grpc.health.v1.Health/Check';
  const asking = (service: string) => Buffer.concat([Buffer.of(10, service.length), Buffer.from(service)]);
  it.each([
    ['the server', Buffer.alloc(0), 0],
    ['a service', asking('opentelemetry.proto.collector.logs.v1.LogsService'), 0],
    ['an unknown service', asking('a.B'), 5],
  ])('of %s', async (_, request, status) => {
    const answer = await rawGrpc(doors.grpc.port, [grpcFrame(request)], {}, { path: check });
    expect(answer.grpcStatus).toBe(status);
    if (status === 0) expect(answer.body).toEqual(grpcFrame(Buffer.of(8, 1)));
  });
});

describe('admission', () => {
  it('refuses what there is no room for, retryably, and recovers', async () => {
    await using small = await openDoors({
      admission: new (await import('./admission.ts')).Admission({ bytesMax: 1_000 }),
    });
    const full = await rawGrpc(small.grpc.port, [grpcFrame(Buffer.alloc(2_000))]);
    expect(full.grpcStatus).toBe(14);
    expect(full.headers['grpc-status-details-bin']).toBeDefined();
    expect((await rawGrpc(small.grpc.port, [grpcFrame(Buffer.alloc(900))])).grpcStatus).toBe(0);
    // What it becomes when it is decompressed counts as well.
    const packed = await rawGrpc(small.grpc.port, [grpcFrame(gzipSync(Buffer.alloc(2_000)), 1)], gzip);
    expect(packed.grpcStatus).toBe(14);
    expect(small.admission.heldBytes).toBe(0);
  });
});

describe('B23 slow peers', () => {
  it('a body that does not end is answered with 4, a connection that says nothing is closed', async () => {
    await using slow = await openDoors({ limits: { bodyTimeoutMs: 300, headerTimeoutMs: 300 } });
    const silent = untilClosed(slow.grpc.port, Buffer.alloc(0));
    const [call] = await Promise.all([
      rawGrpc(slow.grpc.port, [Buffer.of(0, 0, 0, 0, 9, 1)], {}, { end: false }),
      silent,
    ]);
    expect(call).toMatchObject({ grpcStatus: 4, grpcMessage: 'the request did not end in time' });
    expect(slow.admission.heldBytes).toBe(0);
    expect((await rawGrpc(slow.grpc.port, [grpcFrame(message)])).grpcStatus).toBe(0);
  });

  it('an idle connection is asked to go', async () => {
    await using idle = await openDoors({ limits: { idleTimeoutMs: 200 } });
    const session = connect(`http://127.0.0.1:${idle.grpc.port}`);
    await new Promise((resolve) => session.on('close', resolve));
    expect(idle.grpc.stats().connections).toBe(0);
  });
});

describe('B24 connections over the limit', () => {
  it('are closed at once and counted; those within it work', async () => {
    await using few = await openDoors({ limits: { connectionsMax: 2 } });
    const sessions = [connect(`http://127.0.0.1:${few.grpc.port}`), connect(`http://127.0.0.1:${few.grpc.port}`)];
    await Promise.all(sessions.map((session) => new Promise((resolve) => session.once('remoteSettings', resolve))));
    const refused = await rawGrpc(few.grpc.port, [grpcFrame(message)]);
    expect(refused.httpStatus).toBe(0);
    expect(few.grpc.stats()).toMatchObject({ connections: 2, connectionsRefusedTotal: 1 });
    for (const session of sessions) session.destroy();
    await expect.poll(() => few.grpc.stats().connections).toBe(0);
    expect((await rawGrpc(few.grpc.port, [grpcFrame(message)])).grpcStatus).toBe(0);
  });
});

describe('B25 floods', () => {
  it.each(floods)('%s ends the connection only', async (_, bytes) => {
    await untilClosed(doors.grpc.port, bytes);
    await expectWell();
    await expect.poll(() => doors.grpc.stats().connections).toBe(0);
  });
});

describe('age', () => {
  it('a connection is replaced under load, and no call fails', async () => {
    await using aging = await openDoors({ limits: { connectionAgeMs: 500 } });
    using peer = new GrpcPeer(aging.grpc.port);
    const codes = new Set<number>();
    for (const until = Date.now() + 2_500; Date.now() < until; ) {
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => peer.call(exportPath.traces, Buffer.alloc(20_000))),
      );
      for (const { code } of answers) codes.add(code);
    }
    expect([...codes]).toEqual([0]);
    expect(aging.grpc.stats().connectionsTotal).toBeGreaterThan(1);
  });
});

it('serves many calls at once on one connection, each with its own answer', async () => {
  accept = async (_, body) => ({ rejected: body[0] as number, message: '' });
  const session: ClientHttp2Session = connect(`http://127.0.0.1:${doors.grpc.port}`);
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, i) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': exportPath.traces,
        'content-type': 'application/grpc',
      });
      stream.end(grpcFrame(Buffer.alloc(30_000 + i, i + 1)));
      return new Promise<Buffer>((resolve) => {
        const parts: Buffer[] = [];
        stream.on('data', (part) => parts.push(part));
        stream.on('end', () => resolve(Buffer.concat(parts)));
      });
    }),
  );
  session.close();
  expect(answers.map((answer) => decodeExportResponse('traces', answer.subarray(5)).rejected)).toEqual(
    Array.from({ length: 200 }, (_, i) => (i + 1) % 256),
  );
  await expectWell();
});
