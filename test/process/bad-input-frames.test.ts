import { randomBytes } from 'node:crypto';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { type Signal, signals } from '../../src/base/index.ts';
import {
  contentType,
  encoded,
  field,
  full,
  grpcAnswer,
  httpAnswer,
  inScope,
  logs,
  metrics,
  portOf,
  send,
  traces,
} from '../kit/bad-input.ts';
import { badInputProcess, binary, expectRefused, http, logOf, mebibyte, newId, spanOf } from '../kit/bad-input-rows.ts';
import type { Plain } from '../kit/otlp-oracle.ts';
import { exportPath, GrpcPeer, grpcFrame, post, rawGrpc, rawHttp } from '../kit/receivers.ts';
import { exportRecord, protocols } from '../kit/records.ts';

// B1 to B9: what is wrong with a request as a whole: its bytes, its encoding, its size.

const { running, over } = badInputProcess();

const goodSpan = encoded('grpc', 'traces', traces(spanOf(newId())));
for (const [name, bytes, says] of [
  ['cut off', goodSpan.subarray(0, -3), /malformed protobuf at byte \d+: a value that ends after/],
  ['field number 0', inScope(field(2, Buffer.of(0, 0))), /at byte 6: field number 0/],
  ['wire type 6', inScope(Buffer.of(0x0e)), /at byte 4: wire type 6/],
  ['wire type 7', inScope(Buffer.of(0x0f)), /at byte 4: wire type 7/],
  ['another wire type than the field has', Buffer.of(8, 1), /at byte 0: wire type 0/],
  ['an overlong varint', Buffer.alloc(11, 0xff), /at byte 0: a varint of more than/],
  ['a group that begins and does not end', inScope(Buffer.of(0xfb, 1)), /malformed protobuf at byte \d+/],
  ['a group that ends and did not begin', Buffer.of(0xfc, 1), /malformed protobuf at byte 0/],
  ['a group where a message belongs', Buffer.of(0x0b, 0x0c), /malformed protobuf at byte 0/],
] as const) {
  over(binary, `B1 malformed protobuf: ${name}`, async (protocol) => {
    for (const signal of signals) expectRefused(await send(running, protocol, signal, bytes), 400, 3, says);
  });
}

const emptyEnvelopes: Record<Signal, Plain[]> = {
  traces: [{ resourceSpans: [{}] }, { resourceSpans: [{ resource: {}, scopeSpans: [{ scope: {}, spans: [] }] }] }],
  metrics: [{ resourceMetrics: [{}] }, metrics(), metrics({ name: 'no_points', gauge: {} })],
  logs: [{ resourceLogs: [{}] }, logs()],
};
over(protocols, 'B2 empty body, empty envelopes', async (protocol) => {
  for (const signal of signals) {
    const bodies = [Buffer.alloc(0), ...[{}, ...emptyEnvelopes[signal]].map((one) => encoded(protocol, signal, one))];
    const sizeBytes = { grpc: 5, 'http/protobuf': 0, 'http/json': 2 }[protocol];
    for (const body of bodies)
      expect(await send(running, protocol, signal, body)).toMatchObject({ ...full, sizeBytes });
  }
});

const message = Buffer.from([10, 0]);
for (const [name, chunks, says] of [
  ['a frame shorter than declared', [grpcFrame(message, 0, 9)], /cut short/],
  ['two messages', [grpcFrame(message), grpcFrame(message)], /more than one message/],
  ['no message', [], /no message/],
] as const) {
  over(['grpc'], `B3 ${name}`, async () => {
    for (const signal of signals) {
      const answer = await rawGrpc(portOf(running.otlpGrpc), chunks, {}, { path: exportPath[signal] });
      expectRefused(grpcAnswer(signal, answer), 0, 12, says);
    }
  });
}

over(protocols, 'B4 gzip that is corrupt, cut off, or followed by junk', async (protocol) => {
  const packed = gzipSync(encoded(protocol, 'traces', traces(spanOf(newId()))));
  const corrupt = Buffer.from(packed);
  corrupt[corrupt.length >> 1]! ^= 0xff;
  for (const body of [corrupt, packed.subarray(0, -5), Buffer.concat([packed, message]), message])
    expectRefused(await send(running, protocol, 'traces', body, 'gzip'), 400, 3, /not valid gzip/);
});

over(protocols, 'B5 an encoding that is unknown, or there twice', async (protocol) => {
  const body = encoded(protocol, 'logs', logs(logOf(newId())));
  for (const encoding of ['br', '__proto__', 'gzip, gzip', 'gzip, gzip, gzip, gzip']) {
    const answer = await send(running, protocol, 'logs', gzipSync(body), encoding);
    expectRefused(answer, 415, 12, /must be one of .*gzip/);
  }
});

it('B6 no, unknown or garbled Content-Type; another method; unknown path (http)', async () => {
  const ask = (bytes: string | Uint8Array) => rawHttp(portOf(running.otlpHttp), bytes);
  for (const type of [undefined, 'text/plain', 'application/json garbage', 'application/jsonx']) {
    const { status, headers, body } = await ask(post('/v1/traces', type, message));
    expect([status, headers['content-type']]).toEqual([415, contentType['http/json']]);
    expect(JSON.parse(body.toString())).toEqual({
      code: 12,
      message: expect.stringContaining('application/x-protobuf'),
    });
  }
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const { status, headers } = await ask(`${method} /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
    expect([status, headers['allow']]).toEqual([405, 'POST, OPTIONS']);
  }
  for (const protocol of http) {
    for (const path of ['/v1/trace', '/', '/__proto__', '/v1/traces/']) {
      const answer = await ask(post(path, contentType[protocol], message));
      expectRefused(httpAnswer('traces', protocol, answer), 404, 5, /\/v1\/traces/);
    }
    await exportRecord(running, 'logs', protocol);
  }
});

it('B6 no, unknown or garbled Content-Type; another method; unknown path (grpc)', async () => {
  const ask = (headers: Record<string, string>, path: string = exportPath.traces) =>
    rawGrpc(portOf(running.otlpGrpc), [grpcFrame(message)], headers, { path });
  for (const type of ['', 'text/plain', 'application/json', 'application/grpcx'])
    expect(await ask({ 'content-type': type })).toMatchObject({ httpStatus: 415, grpcStatus: undefined });
  expect(await ask({ ':method': 'PUT' })).toMatchObject({ httpStatus: 405, headers: { allow: 'POST' } });
  expectRefused(
    grpcAnswer('traces', await ask({ 'content-type': 'application/grpc+json' })),
    0,
    12,
    /application\/grpc/,
  );
  expectRefused(grpcAnswer('traces', await ask({}, '/a.B/Export')), 0, 12, /unknown method \/a\.B\/Export/);
  await exportRecord(running, 'traces', 'grpc');
});

over(protocols, 'B7 a body over the limit, by its length and by chunks', async (protocol) => {
  if (protocol === 'grpc') {
    const port = portOf(running.otlpGrpc);
    const lie = await rawGrpc(port, [grpcFrame(message, 0, 0xffff_ffff)]);
    expectRefused(grpcAnswer('traces', lie), 0, 8, /larger than 67108864 bytes/);
    using peer = new GrpcPeer(port);
    const { code, details, metadata } = await peer.call(exportPath.traces, Buffer.alloc(64 * mebibyte + 1));
    expect([code, metadata.get('grpc-status-details-bin')]).toEqual([8, []]);
    expect(details).toMatch(/larger than 67108864 bytes/);
    return;
  }
  const port = portOf(running.otlpHttp);
  const declared = await rawHttp(
    port,
    post('/v1/traces', contentType[protocol], message, { 'Content-Length': String(64 * mebibyte + 1) }),
  );
  expectRefused(httpAnswer('traces', protocol, declared), 413, 8, /larger than 67108864 bytes/);
  const head = `POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: ${contentType[protocol]}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(mebibyte), Buffer.from('\r\n')]);
  const answer = await rawHttp(port, [head, ...Array<Buffer>(65).fill(chunk)]);
  expectRefused(httpAnswer('logs', protocol, answer), 413, 8, /larger than 67108864 bytes/);
});

const zeros = Buffer.alloc(65 * mebibyte);
const bombs = {
  gzip: gzipSync(zeros),
  deflate: deflateSync(zeros),
  zstd: zstdCompressSync(zeros),
  snappy: Buffer.from('ffffffff0f00', 'hex'), // says that it becomes 4 GiB
};
for (const [encoding, bomb] of Object.entries(bombs)) {
  over(protocols, `B8 a ${encoding} bomb`, async (protocol) => {
    expectRefused(await send(running, protocol, 'traces', bomb, encoding), 413, 8, /larger than 67108864 bytes/);
  });
}

const million = 1_000_000;
const ids = Buffer.concat([field(1, randomBytes(16)), field(2, randomBytes(8))]);
/** `count` fields of no content. */
const empties = (number: number, count: number) => Buffer.alloc(2 * count, Buffer.of(number * 8 + 2, 0));
const gaugeAround = (points: Uint8Array) =>
  inScope(field(2, Buffer.concat([field(1, Buffer.from('m')), field(5, points)])));
const histogramAround = (point: Uint8Array) =>
  inScope(field(2, Buffer.concat([field(1, Buffer.from('m')), field(9, field(1, point))])));
const tooMany: [what: string, signal: Signal, protobuf: () => Uint8Array, json: () => string][] = [
  [
    'spans',
    'traces',
    () => inScope(empties(2, 33 * million)),
    () => manyIn('{"resourceSpans":[{"scopeSpans":[{"spans":[', ']}]}]}', 22 * million),
  ],
  [
    'data points',
    'metrics',
    () => gaugeAround(empties(1, 4 * million)),
    () =>
      manyIn(
        '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[',
        ']}}]}]}]}',
        4 * million,
      ),
  ],
  [
    'log records',
    'logs',
    () => inScope(empties(2, 4 * million)),
    () => manyIn('{"resourceLogs":[{"scopeLogs":[{"logRecords":[', ']}]}]}', 4 * million),
  ],
  [
    'attributes',
    'logs',
    () => inScope(field(2, empties(6, 4 * million + 1))),
    () => manyIn('{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[', ']}]}]}]}', 4 * million + 1),
  ],
  [
    'events',
    'traces',
    () => inScope(field(2, Buffer.concat([ids, empties(11, 4 * million + 1)]))),
    () => manyIn('{"resourceSpans":[{"scopeSpans":[{"spans":[{"events":[', ']}]}]}]}', 4 * million + 1),
  ],
  [
    'buckets',
    'metrics',
    () => histogramAround(field(6, Buffer.alloc(8 * (4 * million + 1)))),
    () =>
      manyIn(
        '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","histogram":{"dataPoints":[{"bucketCounts":[',
        ']}]}}]}]}]}',
        4 * million + 1,
        '0',
      ),
  ],
];
function manyIn(before: string, after: string, count: number, element = '{}'): string {
  return `${before}${`${element},`.repeat(count - 1)}${element}${after}`;
}
for (const [what, signal, asProtobuf, asJson] of tooMany) {
  const packed = { protobuf: gzipSync(asProtobuf()), json: gzipSync(asJson()) };
  over(
    protocols,
    `B9 more ${what} than a request may hold, in ${Math.ceil(packed.protobuf.length / 1024)} KiB`,
    async (protocol) => {
      const body = protocol === 'http/json' ? packed.json : packed.protobuf;
      expectRefused(await send(running, protocol, signal, body, 'gzip'), 413, 8, /more than \d+|needs more memory/);
    },
  );
}
