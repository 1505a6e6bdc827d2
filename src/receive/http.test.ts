import { Agent, request as httpRequest } from 'node:http';
import { connect as connectSocket } from 'node:net';
import { deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { compressSync } from 'snappy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Doors, openDoors, post, rawHttp, snappyFramed } from '../../test/kit/receivers.ts';
import { Fault } from '../base/index.ts';
import { decodeExportResponse, decodeStatus } from '../otlp/index.ts';
import type { Accept } from './accept.ts';
import { Admission } from './admission.ts';

const protobuf = 'application/x-protobuf';
const json = 'application/json';
const message = Buffer.from([10, 0]);
const jsonMessage = Buffer.from('{"resourceSpans":[{}]}');
const limits = { bodyBytesMax: 1024 * 1024 };
const success: Accept = async () => ({ rejected: 0, message: '' });

let doors: Doors;
let accept: Accept;
beforeAll(async () => {
  doors = await openDoors({ limits, accept: (...request) => accept(...request) });
});
afterAll(() => doors[Symbol.asyncDispose]());

/** What every row ends with: the listener is well, and holds nothing of what was refused. */
async function expectWell(): Promise<void> {
  accept = success;
  const answer = await rawHttp(doors.http.port, post('/v1/traces', protobuf, message));
  expect(answer).toMatchObject({ status: 200, headers: { 'content-type': protobuf, 'content-length': '0' } });
  await expect.poll(() => [doors.http.stats().inFlight, doors.admission.heldBytes]).toEqual([0, 0]);
}

/** google.rpc.Status of an error, in the encoding that its Content-Type tells. */
function statusOf(answer: { headers: Readonly<Record<string, string>>; body: Buffer }): {
  code: number;
  message: string;
} {
  if (answer.headers['content-type'] === protobuf) return decodeStatus(answer.body);
  expect(answer.headers['content-type']).toBe(json);
  return JSON.parse(answer.body.toString());
}

const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
const encoded = (encoding: string, more: Record<string, string> = {}) => ({ 'Content-Encoding': encoding, ...more });

describe('accepted', () => {
  it.each([
    ['B2 an empty body', post('/v1/traces', protobuf, Buffer.alloc(0)), 0],
    ['B2 an empty JSON body', post('/v1/logs', json, Buffer.alloc(0)), 0],
    ['B2 an empty JSON object', post('/v1/logs', json, Buffer.from('{}')), 0],
    ['B11 a BOM', post('/v1/traces', json, Buffer.concat([Buffer.from('\ufeff'), jsonMessage])), 2],
    ['a charset', post('/v1/traces', `${json}; charset=utf-8`, jsonMessage), 2],
    ['capitals and spaces', post('/v1/traces', 'Application/X-Protobuf ; a=b', message), 2],
    ['a query', post('/v1/traces?source=a', protobuf, message), 2],
    ['gzip', post('/v1/traces', protobuf, gzipSync(message), encoded('gzip')), 2],
    ['gzip of JSON', post('/v1/traces', json, gzipSync(jsonMessage), encoded('gzip')), 2],
    ['deflate', post('/v1/traces', protobuf, deflateSync(message), encoded('deflate')), 2],
    ['raw deflate', post('/v1/traces', protobuf, deflateRawSync(message), encoded('deflate')), 2],
    ['zstd', post('/v1/traces', protobuf, zstdCompressSync(message), encoded('zstd')), 2],
    ['snappy', post('/v1/traces', protobuf, compressSync(message), encoded('snappy')), 2],
    ['framed snappy', post('/v1/traces', protobuf, snappyFramed(message), encoded('x-snappy-framed')), 2],
    ['identity', post('/v1/traces', protobuf, message, encoded('identity')), 2],
    ['as large as the limit', post('/v1/traces', protobuf, Buffer.alloc(limits.bodyBytesMax)), limits.bodyBytesMax],
    ['large JSON', post('/v1/traces', json, Buffer.concat([jsonMessage, Buffer.alloc(900_000, ' ')])), 2],
    ['large gzip', post('/v1/traces', protobuf, gzipSync(Buffer.alloc(1_000_000)), encoded('gzip')), 1_000_000],
    ['B12 __proto__ in JSON', post('/v1/traces', json, Buffer.from('{"__proto__":{"x":1},"constructor":2}')), 0],
    [
      'B26 200 headers',
      post('/v1/traces', protobuf, message, Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`x-${i}`, 'y']))),
      2,
    ],
  ])('%s', async (_, bytes, size) => {
    accept = success;
    doors.accepted.length = 0;
    const answer = await rawHttp(doors.http.port, bytes);
    expect(answer.status).toBe(200);
    expect(doors.accepted.map(({ body }) => body.length)).toEqual([size]);
    expect(answer.body.toString()).toBe(answer.headers['content-type'] === json ? '{}' : '');
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
    await expectWell();
  });
});

interface Row {
  readonly name: string;
  readonly bytes: Uint8Array | string;
  readonly status: number;
  /** google.rpc.Code of the body. */
  readonly code: number;
  readonly type?: string;
  readonly says?: RegExp;
}

const deep = Buffer.from('['.repeat(250_000) + ']'.repeat(250_000));
const head = (lines: string) => `POST /v1/traces HTTP/1.1\r\nHost: x\r\n${lines}\r\n\r\n`;
const refused: readonly Row[] = [
  { name: 'B4 no gzip', bytes: post('/v1/traces', protobuf, message, encoded('gzip')), status: 400, code: 3 },
  {
    name: 'B4 gzip cut short',
    bytes: post('/v1/logs', json, gzipSync(jsonMessage).subarray(0, -4), encoded('gzip')),
    status: 400,
    code: 3,
  },
  {
    name: 'B4 junk after gzip',
    bytes: post('/v1/traces', protobuf, Buffer.concat([gzipSync(message), message]), encoded('gzip')),
    status: 400,
    code: 3,
  },
  {
    name: 'B5 unknown encoding',
    bytes: post('/v1/traces', protobuf, message, encoded('br')),
    status: 415,
    code: 12,
    says: /gzip, deflate, zstd, snappy/,
  },
  { name: 'B5 two layers', bytes: post('/v1/traces', json, message, encoded('gzip, gzip')), status: 415, code: 12 },
  { name: 'B6 no Content-Type', bytes: post('/v1/traces', undefined, message), status: 415, code: 12, type: json },
  { name: 'B6 text/plain', bytes: post('/v1/traces', 'text/plain', message), status: 415, code: 12, type: json },
  {
    name: 'B6 application/jsonx',
    bytes: post('/v1/traces', 'application/jsonx', message),
    status: 415,
    code: 12,
    type: json,
  },
  {
    name: 'B6 application/json garbage',
    bytes: post('/v1/traces', 'application/json garbage', message),
    status: 415,
    code: 12,
    type: json,
  },
  {
    name: 'B6 JSON that is none',
    bytes: post('/v1/traces', json, Buffer.from('{"resourceSpans":')),
    status: 400,
    code: 3,
  },
  { name: 'B6 GET', bytes: 'GET /v1/traces HTTP/1.1\r\nHost: x\r\n\r\n', status: 405, code: 12, type: json },
  { name: 'B6 unknown path', bytes: post('/v1/trace', protobuf, message), status: 404, code: 5 },
  { name: 'B6 __proto__ as path', bytes: post('/__proto__', protobuf, message), status: 404, code: 5 },
  { name: 'B6 path traversal', bytes: post('/v1/traces/../../etc/passwd', json, message), status: 404, code: 5 },
  {
    name: 'B7 larger than the limit',
    bytes: post('/v1/traces', protobuf, Buffer.alloc(limits.bodyBytesMax + 1)),
    status: 413,
    code: 8,
  },
  { name: 'B8 a gzip bomb', bytes: post('/v1/traces', protobuf, bomb, encoded('gzip')), status: 413, code: 8 },
  {
    name: 'B8 a gzip bomb that hides its size',
    bytes: post('/v1/traces', protobuf, Buffer.concat([bomb, gzipSync('')]), encoded('gzip')),
    status: 413,
    code: 8,
  },
  {
    name: 'B8 a deflate bomb',
    bytes: post('/v1/traces', protobuf, deflateSync(Buffer.alloc(2 ** 26)), encoded('deflate')),
    status: 413,
    code: 8,
  },
  {
    name: 'B8 a zstd bomb',
    bytes: post('/v1/traces', json, zstdCompressSync(Buffer.alloc(2 ** 26)), encoded('zstd')),
    status: 413,
    code: 8,
  },
  {
    name: 'B8 snappy of 4 GiB',
    bytes: post('/v1/traces', protobuf, Buffer.from('ffffffff0f00', 'hex'), encoded('snappy')),
    status: 413,
    code: 8,
  },
  { name: 'B11 500,000 brackets', bytes: post('/v1/traces', json, deep), status: 400, code: 3 },
  { name: 'B11 NaN', bytes: post('/v1/traces', json, Buffer.from('{"resourceSpans":[NaN]}')), status: 400, code: 3 },
  {
    name: 'B11 a trailing comma',
    bytes: post('/v1/traces', json, Buffer.from('{"resourceSpans":[],}')),
    status: 400,
    code: 3,
  },
  {
    name: 'B26 headers of 20 KiB',
    bytes: post('/v1/traces', protobuf, message, { 'X-Large': 'x'.repeat(20_000) }),
    status: 431,
    code: 8,
    type: json,
  },
  {
    name: 'B27 CL and TE',
    bytes: `${head(`Content-Type: ${json}\r\nContent-Length: 2\r\nTransfer-Encoding: chunked`)}0\r\n\r\n`,
    status: 400,
    code: 3,
    type: json,
  },
  {
    name: 'B27 two CL',
    bytes: `${head(`Content-Type: ${json}\r\nContent-Length: 2\r\nContent-Length: 3`)}{}`,
    status: 400,
    code: 3,
    type: json,
  },
  { name: 'B27 bare LF', bytes: 'POST /v1/traces HTTP/1.1\nHost: x\n\n', status: 400, code: 3, type: json },
  {
    name: 'B27 absolute form',
    bytes: `POST http://evil/v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: ${json}\r\nContent-Length: 2\r\n\r\n{}`,
    status: 400,
    code: 3,
    type: json,
  },
  { name: 'B27 bad percent sign', bytes: post('/v1/%zz', protobuf, message), status: 400, code: 3 },
  { name: 'no HTTP', bytes: Buffer.alloc(1_000, 0xa5), status: 400, code: 3, type: json },
];

describe('refused', () => {
  it.each(refused)('$name: $status', async ({ bytes, status, code, type, says }) => {
    accept = success;
    const answer = await rawHttp(doors.http.port, bytes);
    expect(answer.status).toBe(status);
    const sent = /content-type: ([\w/-]+)/i.exec(Buffer.from(bytes).toString('latin1'))?.[1];
    expect(answer.headers['content-type']).toBe(type ?? sent);
    const told = statusOf(answer);
    expect(told.code).toBe(code);
    expect(told.message).toMatch(says ?? /./);
    expect(answer.headers['retry-after']).toBeUndefined();
    await expectWell();
  });

  it('B6 with what is allowed instead', async () => {
    const wrongMethod = await rawHttp(doors.http.port, 'PUT /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
    expect(wrongMethod).toMatchObject({ status: 405, headers: { allow: 'POST, OPTIONS' } });
    const encoding = await rawHttp(doors.http.port, post('/v1/logs', json, message, encoded('lz4')));
    expect(encoding.headers['accept-encoding']).toMatch(/^gzip, deflate, zstd, snappy/);
  });

  it('B7 by chunks: stops reading at the limit and lets the client read the answer', async () => {
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    const answer = await rawHttp(
      doors.http.port,
      [head(`Content-Type: ${protobuf}\r\nTransfer-Encoding: chunked`), ...Array.from({ length: 40 }, () => chunk)],
      { untilClosed: true },
    );
    expect(answer).toMatchObject({ status: 413, closed: true, headers: { connection: 'close' } });
    await expectWell();
  });

  it('B27 closes the connection', async () => {
    const answer = await rawHttp(doors.http.port, 'POST /v1/traces HTTP/1.1\nHost: x\n\n', { untilClosed: true });
    expect(answer).toMatchObject({ status: 400, closed: true });
  });
});

describe('what accept says', () => {
  it.each([
    [protobuf, message],
    [json, jsonMessage],
  ])('in part: is told in the response, as %s', async (type, body) => {
    accept = async () => ({ rejected: 3, message: 'span 7: no id' });
    const answer = await rawHttp(doors.http.port, post('/v1/traces', type, body));
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': type } });
    if (type === json) {
      expect(JSON.parse(answer.body.toString())).toEqual({
        partialSuccess: { rejectedSpans: '3', errorMessage: 'span 7: no id' },
      });
    } else {
      expect(decodeExportResponse('traces', answer.body)).toEqual({ rejected: 3, message: 'span 7: no id' });
    }
    await expectWell();
  });

  it('B22 at length: is shortened', async () => {
    accept = async () => ({ rejected: 1, message: 'ä'.repeat(5_000_000) });
    const answer = await rawHttp(doors.http.port, post('/v1/traces', protobuf, message));
    expect(answer.body.length).toBeLessThan(32 * 1024);
    expect(decodeExportResponse('traces', answer.body).message).toMatch(/^ä+ …$/);
    await expectWell();
  });

  it.each([
    ['unavailable', 503, 1_500, '2'],
    ['overQuota', 429, 200, '1'],
  ] as const)('%s: %i with Retry-After', async (code, status, retryAfterMs, seconds) => {
    accept = async () => {
      throw new Fault(code, 'later', { retryAfterMs });
    };
    const answer = await rawHttp(doors.http.port, post('/v1/traces', protobuf, message));
    expect(answer).toMatchObject({ status, headers: { 'retry-after': seconds } });
    expect(decodeStatus(answer.body)).toMatchObject({ message: 'later', retryAfterMs });
    await expectWell();
  });

  it('malformed, by throwing at once: 400', async () => {
    accept = () => {
      throw new Fault('malformed', 'at offset 3');
    };
    const answer = await rawHttp(doors.http.port, post('/v1/metrics', json, Buffer.from('{}')));
    expect(answer.status).toBe(400);
    expect(statusOf(answer)).toMatchObject({ code: 3, message: 'at offset 3' });
    await expectWell();
  });

  it('an error of ours: 500, and nothing of its text', async () => {
    accept = async () => {
      throw new TypeError('secret');
    };
    const answer = await rawHttp(doors.http.port, post('/v1/traces', protobuf, message));
    expect(answer.status).toBe(500);
    expect(statusOf(answer)).toMatchObject({ code: 13, message: 'internal error' });
    await expectWell();
  });
});

describe('admission', () => {
  it('refuses what there is no room for, retryably, and recovers', async () => {
    await using small = await openDoors({ admission: new Admission({ bytesMax: 1_000 }) });
    const full = await rawHttp(small.http.port, post('/v1/traces', protobuf, Buffer.alloc(2_000)));
    expect(full).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    expect((await rawHttp(small.http.port, post('/v1/traces', protobuf, Buffer.alloc(900)))).status).toBe(200);
    expect(small.admission.heldBytes).toBe(0);
  });
});

describe('B23 slow peers', () => {
  it('slow headers and slow bodies end with 408, silence with the end of the connection', async () => {
    await using slow = await openDoors({ limits: { bodyTimeoutMs: 400, headerTimeoutMs: 200 } });
    const { port } = slow.http;
    const [headers, body, silent] = await Promise.all([
      rawHttp(port, 'POST /v1/traces HTTP/1.1\r\nHost:', { untilClosed: true }),
      rawHttp(port, `${head(`Content-Type: ${protobuf}\r\nContent-Length: 9`)}x`),
      rawHttp(port, [], { untilClosed: true }),
    ]);
    expect(headers).toMatchObject({ status: 408, closed: true });
    expect(body).toMatchObject({ status: 408, headers: { 'content-type': protobuf, connection: 'close' } });
    expect(decodeStatus(body.body)).toMatchObject({ code: 4 });
    expect(silent.closed).toBe(true);
    expect(slow.admission.heldBytes).toBe(0);
    expect((await rawHttp(port, post('/v1/traces', protobuf, message))).status).toBe(200);
  });
});

describe('B24 connections over the limit', () => {
  it('are closed at once and counted; those within it work', async () => {
    await using few = await openDoors({ limits: { connectionsMax: 2 } });
    const sockets = [connectSocket(few.http.port, '127.0.0.1'), connectSocket(few.http.port, '127.0.0.1')];
    await expect.poll(() => few.http.stats().connections).toBe(2);
    expect((await rawHttp(few.http.port, post('/v1/traces', protobuf, message))).status).toBe(0);
    expect(few.http.stats().connectionsRefusedTotal).toBe(1);
    for (const socket of sockets) socket.destroy();
    await expect.poll(() => few.http.stats().connections).toBe(0);
    expect((await rawHttp(few.http.port, post('/v1/traces', protobuf, message))).status).toBe(200);
  });
});

describe('CORS', () => {
  const preflight = (origin: string) =>
    `OPTIONS /v1/traces HTTP/1.1\r\nHost: x\r\nOrigin: ${origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n`;

  it.each([
    ['http://localhost:3000', true],
    ['https://app.localhost', true],
    ['http://127.0.0.1:8080', true],
    ['http://[::1]:5173', true],
    ['https://shop.example', false],
    ['http://localhost.evil.example', false],
    ['http://localhost:3000.evil.example', false],
    ['null', false],
  ])('a page of %s may send: %s', async (origin, may) => {
    const before = await rawHttp(doors.http.port, preflight(origin));
    expect(before.status).toBe(204);
    expect(before.headers['access-control-allow-origin']).toBe(may ? origin : undefined);
    expect(before.headers['access-control-allow-methods']).toBe(may ? 'POST' : undefined);
    const answer = await rawHttp(doors.http.port, post('/v1/traces', json, jsonMessage, { Origin: origin }));
    expect(answer.headers['access-control-allow-origin']).toBe(may ? origin : undefined);
    expect(answer.headers['vary']).toBe('Origin');
    await expectWell();
  });

  it('takes exact origins instead, and none', async () => {
    await using exact = await openDoors({ corsOrigins: ['https://shop.example'] });
    const allowed = await rawHttp(exact.http.port, preflight('https://shop.example'));
    expect(allowed.headers['access-control-allow-origin']).toBe('https://shop.example');
    const local = await rawHttp(exact.http.port, preflight('http://localhost:3000'));
    expect(local.headers['access-control-allow-origin']).toBeUndefined();
  });
});

it('keeps a connection for the next request, also after a refusal', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const before = doors.http.stats().connectionsTotal;
  for (const [path, status] of [
    ['/v1/traces', 200],
    ['/nothing', 404],
    ['/v1/logs', 200],
  ] as const) {
    const answered = await new Promise<number | undefined>((resolve, reject) => {
      const request = httpRequest(
        {
          agent,
          port: doors.http.port,
          host: '127.0.0.1',
          method: 'POST',
          path,
          headers: { 'content-type': protobuf },
        },
        (response) => response.resume().on('end', () => resolve(response.statusCode)),
      );
      request.on('error', reject).end(message);
    });
    expect(answered).toBe(status);
  }
  expect(doors.http.stats().connectionsTotal).toBe(before + 1);
  agent.destroy();
});

it('tells the observer what became of each request', async () => {
  doors.ended.length = 0;
  await expectWell();
  await rawHttp(doors.http.port, post('/v1/logs', json, Buffer.from('nothing')));
  expect(doors.ended).toEqual([
    ['traces', 'http/protobuf', 'ok', 2],
    ['logs', 'http/json', 'malformed', 7],
  ]);
});
