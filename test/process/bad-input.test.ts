import { randomBytes } from 'node:crypto';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Signal, signals } from '../../src/base/index.ts';
import {
  type Answer,
  contentType,
  encoded,
  field,
  full,
  grpcAnswer,
  httpAnswer,
  inScope,
  jsonOf,
  logs,
  metrics,
  nested,
  nestedBytes,
  nestedValue,
  portOf,
  send,
  text,
  traces,
} from '../kit/bad-input.ts';
import { oracleDecode, type Plain, recordsOf } from '../kit/otlp-oracle.ts';
import { eventually, getJson, type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { exportPath, GrpcPeer, grpcFrame, post, rawGrpc, rawHttp } from '../kit/receivers.ts';
import { exportRecord, type Protocol, protocols } from '../kit/records.ts';

// One process is given all bad input that is known, row by row and protocol by protocol. Each row is answered as the
// protocol demands, costs nothing but what is bad of it, and leaves a process that answers the next request.

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let running: Running;
let startedSeconds: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  running = await startProcess({ dataDir: folder.path });
  startedSeconds = await ownStart();
});
afterAll(async () => {
  await running?.stop('SIGKILL');
  await folder?.[Symbol.asyncDispose]();
});

const binary = ['grpc', 'http/protobuf'] as const satisfies Protocol[];
const http = ['http/protobuf', 'http/json'] as const satisfies Protocol[];
const mebibyte = 1024 * 1024;

/** A test for each protocol; what it ends with is that a good request is answered well over the same. */
function over<P extends Protocol>(list: readonly P[], row: string, test: (protocol: P) => Promise<void>): void {
  for (const protocol of list) it(`${row} (${protocol})`, () => withGoodEnd(protocol, test));
}
/** As `over`, beside its like: most of such a test is waiting for what it stored. */
function atOnce<P extends Protocol>(list: readonly P[], row: string, test: (protocol: P) => Promise<void>): void {
  for (const protocol of list) it.concurrent(`${row} (${protocol})`, () => withGoodEnd(protocol, test));
}
async function withGoodEnd<P extends Protocol>(protocol: P, test: (protocol: P) => Promise<void>): Promise<void> {
  await test(protocol);
  await exportRecord(running, 'traces', protocol);
}

/** Refused, for good: in the status of the protocol, without a word of coming again. */
function expectRefused(answer: Answer, httpStatus: number, code: number, says: RegExp): void {
  expect(answer).toMatchObject({ code, retry: false, message: expect.stringMatching(says) });
  if (answer.http !== undefined) expect(answer.http).toBe(httpStatus);
}

const nowNanos = () => BigInt(Date.now()) * 1_000_000n;
const newId = () => randomBytes(16).toString('hex');

/** A span of a trace; ids as bytes. */
function spanOf(trace: string, members: Plain = {}): Plain {
  const now = nowNanos();
  return {
    traceId: Buffer.from(trace, 'hex'),
    spanId: randomBytes(8),
    name: 'span',
    startTimeUnixNano: String(now - 1_000_000n),
    endTimeUnixNano: String(now),
    ...members,
  };
}
function logOf(id: string, members: Plain = {}, more: Plain[] = []): Plain {
  return { timeUnixNano: String(nowNanos()), ...members, attributes: [text('test.id', id), ...more] };
}

interface Stored extends Plain {
  readonly attributes?: { key: string; value: Plain }[];
  readonly events?: Plain[];
}
/** The spans of a trace as OTLP JSON, when there are so many. */
async function spansOf(trace: string, count: number): Promise<Stored[]> {
  const ask = async () => {
    const answer = await fetch(`${running.http}/api/v1/traces/${trace}`);
    return answer.ok ? recordsOf('traces', (await answer.json()) as Plain) : [];
  };
  return (await eventually(ask, (found) => found.length === count)) as Stored[];
}
async function logsOf(id: string, count: number, range: Record<string, string> = {}): Promise<Plain[]> {
  const ask = async () => {
    const answer = await getJson(running.http, '/api/v1/logs', { query: `test.id="${id}"`, ...range });
    return (answer as { logs: Plain[] }).logs;
  };
  return eventually(ask, (found) => found.length === count);
}
interface Sample {
  metric: Record<string, string>;
  value: [number, string];
}
async function vector(query: string, count: number, time?: string): Promise<Sample[]> {
  const ask = async () => {
    const answer = await getJson(running.http, '/api/v1/metrics/query', {
      query,
      ...(time === undefined ? {} : { time }),
    });
    return (answer as { data: { result: Sample[] } }).data.result;
  };
  return eventually(ask, (found) => found.length === count);
}
/** A name that no other test has, as it is in OTLP and in Prometheus. */
const newName = () => `m${newId()}`;
const gauge = (name: string, ...dataPoints: Plain[]): Plain => ({ name, gauge: { dataPoints } });
const pointOf = (members: Plain): Plain => ({ timeUnixNano: String(nowNanos()), asDouble: 1, ...members });

async function ownStart(): Promise<string> {
  const metrics = await (await fetch(`${running.http}/metrics`)).text();
  return /^process_start_time_seconds(?:\{[^}]*\})? (\S+)$/m.exec(metrics)?.[1] ?? 'none';
}

// ------------------------------------------------------------------------------------------------- B1 to B9: the frame

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

// --------------------------------------------------------------------------------------- B10 to B14: nesting, JSON

const deepAttribute = (depth: number) => ({ key: 'deep', value: nestedValue(depth) });
/** By hand: protobufjs stops at half of that depth. */
function deepSpan(trace: string, depth: number): Uint8Array {
  const attribute = Buffer.concat([field(1, Buffer.from('deep')), field(2, nestedBytes(depth))]);
  return Buffer.concat([field(1, Buffer.from(trace, 'hex')), field(2, randomBytes(8)), field(9, attribute)]);
}
atOnce(protocols, 'B10 values nested 64 deep are kept exactly, deeper ones cost their record', async (protocol) => {
  const trace = newId();
  const body =
    protocol === 'http/json'
      ? encoded(
          protocol,
          'traces',
          traces(...[64, 65].map((depth) => spanOf(trace, { attributes: [deepAttribute(depth)] }))),
        )
      : inScope(Buffer.concat([64, 65].map((depth) => field(2, deepSpan(trace, depth)))));
  const answer = await send(running, protocol, 'traces', body);
  expect(answer).toMatchObject({ code: 0, rejected: 1, message: expect.stringMatching(/nested too deep.*spans\[1\]/) });
  expect((await spansOf(trace, 1))[0]?.attributes).toEqual([deepAttribute(64)]);
});

atOnce(
  binary,
  'B10 values nested 100,000 and 1,000,000 deep, in a record, a scope and a resource',
  async (protocol) => {
    for (const depth of [100_000, 1_000_000]) {
      const deep = field(2, nested(depth, depth === 100_000 ? 'map' : 'array'));
      const id = newId();
      const other = encoded('grpc', 'logs', logs(logOf(id)));
      const record = field(2, field(3, Buffer.from('shares it')));
      const inRecord = inScope(field(2, field(6, deep)));
      const inItsScope = inScope(Buffer.concat([field(1, field(3, deep)), record]));
      const inItsResource = field(
        1,
        Buffer.concat([field(1, field(1, deep)), field(2, Buffer.concat([record, record]))]),
      );
      const answer = await send(running, protocol, 'logs', Buffer.concat([inRecord, inItsScope, inItsResource, other]));
      expect(answer).toMatchObject({ code: 0, rejected: 4, message: expect.stringContaining('nested too deep') });
      await logsOf(id, 1);
    }
  },
);

atOnce(['http/json'], 'B10 JSON nested 100,000 deep', async (protocol) => {
  const deep = `${'{"arrayValue":{"values":['.repeat(25_000)}${']}}'.repeat(25_000)}`;
  const body = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":${deep}}]}]}]}`;
  expectRefused(await send(running, protocol, 'logs', Buffer.from(body)), 400, 3, /at byte \d+: nested deeper/);
});

atOnce(binary, 'B10 unknown fields that are groups are passed over', async (protocol) => {
  const id = newId();
  const group = Buffer.from([0xfb, 1, 0x0a, 1, 0x41, 0xfb, 1, 0xfc, 1, 0xfc, 1]);
  const body = Buffer.concat([group, encoded('grpc', 'logs', logs(logOf(id))), inScope(group)]);
  expect(await send(running, protocol, 'logs', body)).toMatchObject(full);
  await logsOf(id, 1);
});

const json = (body: string | Uint8Array, signal: Signal = 'logs') =>
  send(running, 'http/json', signal, typeof body === 'string' ? Buffer.from(body) : body);
const withSpan = (trace: string, members: string) =>
  `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"${trace}","spanId":"0102030405060708","name":"s",${members}}]}]}]}`;
const withPoint = (members: string) =>
  `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{${members}}]}}]}]}]}`;

for (const [name, body, says] of [
  ['500,000 brackets', `${'['.repeat(500_000)}${']'.repeat(500_000)}`, /at byte 0: the request must be an object/],
  [
    '500,000 brackets in a member that is ignored',
    `{"x":${'['.repeat(500_000)}${']'.repeat(500_000)}}`,
    /at byte 10\d\d: nested deeper than 1000/,
  ],
  ['the literal NaN', withPoint('"asDouble":NaN'), /at byte \d+: resourceMetrics\[0\].*asDouble must be a number/],
  ['the literal Infinity', withPoint('"asDouble":-Infinity'), /at byte \d+: /],
  ['a trailing comma', '{"resourceMetrics":[],}', /at byte 22: expected a member name/],
  ['an end that is missing', '{"resourceMetrics":[', /at byte 20: /],
  ['something after the end', '{} {}', /at byte 3: expected the end/],
] as const) {
  atOnce(['http/json'], `B11 JSON: ${name}`, async () => {
    expectRefused(await json(body, 'metrics'), 400, 3, says);
  });
}

atOnce(['http/json'], 'B11 JSON: a byte order mark, and a million members that nobody knows', async () => {
  const id = newId();
  const record = jsonOf(logs(logOf(id)));
  const members = Array.from({ length: million }, (_, index) => `"k${index}":0`).join(',');
  expect(await json(`\ufeff${record.slice(0, -1)},${members}}`)).toMatchObject(full);
  await logsOf(id, 1);
});

atOnce(['http/json'], 'B12 JSON: members named __proto__ and constructor are ignored', async () => {
  const id = newId();
  const evil = '"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}';
  const record = `{${evil},"timeUnixNano":"${nowNanos()}","attributes":[{${evil},"key":"test.id","value":{${evil},"stringValue":"${id}"}}]}`;
  expect(
    await json(`{${evil},"resourceLogs":[{${evil},"scopeLogs":[{${evil},"logRecords":[${record}]}]}]}`),
  ).toMatchObject(full);
  const [stored] = await logsOf(id, 1);
  expect(stored?.['attributes']).toEqual({ 'test.id': id });
  expect(JSON.stringify(stored)).not.toContain('polluted');
});

atOnce(protocols, 'B12 an attribute whose key is __proto__ is stored and comes back verbatim', async (protocol) => {
  const [trace, id] = [newId(), newId()];
  const nestedIn = { kvlistValue: { values: [text('__proto__', 'inner'), text('constructor', 'c')] } };
  const attributes = [text('__proto__', 'outer'), text('constructor', 'c'), { key: 'list', value: nestedIn }];
  const spans = encoded(protocol, 'traces', traces(spanOf(trace, { attributes })));
  expect(await send(running, protocol, 'traces', spans)).toMatchObject(full);
  const records = encoded(protocol, 'logs', logs(logOf(id, {}, attributes)));
  expect(await send(running, protocol, 'logs', records)).toMatchObject(full);
  const name = newName();
  const points = encoded(protocol, 'metrics', metrics(gauge(name, pointOf({ attributes: [text('__proto__', 'p')] }))));
  expect(await send(running, protocol, 'metrics', points)).toMatchObject(full);

  expect((await spansOf(trace, 1))[0]?.attributes).toEqual(attributes);
  const kept = (await logsOf(id, 1))[0]?.['attributes'] as Plain;
  expect(Object.entries(kept).sort()).toEqual([
    ['__proto__', 'outer'],
    ['constructor', 'c'],
    ['list', JSON.parse('{"__proto__":"inner","constructor":"c"}')],
    ['test.id', id],
  ]);
  expect(Object.keys(kept['list'] as Plain)).toEqual(['__proto__', 'constructor']);
  expect(Object.entries((await vector(name, 1))[0]!.metric)).toContainEqual(['__proto__', 'p']);
});

atOnce(
  ['http/json'],
  'B13 JSON: of members that come twice the last counts, snake_case is ignored, enums are numbers',
  async () => {
    const trace = newId();
    const twice = '"name":"first","name":"last","kind":3,"kind":2,"start_time_unix_nano":"5","trace_state":"ignored"';
    expect(await json(withSpan(trace, twice), 'traces')).toMatchObject(full);
    const [span] = await spansOf(trace, 1);
    expect(span).toMatchObject({ name: 'last', kind: 2 });
    expect(span?.['traceState'] ?? '').toBe('');
    expect(span?.['startTimeUnixNano'] ?? '0').toBe('0');
    for (const kind of ['"SPAN_KIND_SERVER"', '"2"'])
      expectRefused(
        await json(withSpan(newId(), `"kind":${kind}`), 'traces'),
        400,
        3,
        /spans\[0\]\.kind must be an integer/,
      );
  },
);

atOnce(['http/json'], 'B14 JSON: 64-bit integers as text and as numbers are exact', async () => {
  const trace = newId();
  const int = (key: string, value: string) => `{"key":"${key}","value":{"intValue":${value}}}`;
  const values = ['9223372036854775807', '"-9223372036854775808"', '9007199254740993', '"1e3"', '-1'];
  const members = `"startTimeUnixNano":1700000000123456789,"endTimeUnixNano":"18446744073709551615","attributes":[${values.map((value, index) => int(`k${index}`, value)).join(',')}]`;
  expect(await json(withSpan(trace, members), 'traces')).toMatchObject(full);
  const [span] = await spansOf(trace, 1);
  expect(span).toMatchObject({ startTimeUnixNano: '1700000000123456789', endTimeUnixNano: '18446744073709551615' });
  expect(span?.attributes?.map(({ value }) => value['intValue'])).toEqual([
    '9223372036854775807',
    '-9223372036854775808',
    '9007199254740993',
    '1000',
    '-1',
  ]);
});

for (const value of ['18446744073709551616', '"18446744073709551616"', '-1', '"-1"', '"abc"', '""', '1.5', 'true']) {
  atOnce(['http/json'], `B14 JSON: ${value} is no time`, async () => {
    const answer = await json(withSpan(newId(), `"startTimeUnixNano":${value}`), 'traces');
    expectRefused(
      answer,
      400,
      3,
      /at byte \d+: resourceSpans\[0\]\.scopeSpans\[0\]\.spans\[0\]\.startTimeUnixNano must be (an integer|a number)/,
    );
  });
}

atOnce(binary, 'B14 64-bit integers are exact', async (protocol) => {
  const trace = newId();
  const span = spanOf(trace, {
    startTimeUnixNano: '1700000000123456789',
    endTimeUnixNano: '18446744073709551615',
    attributes: ['9223372036854775807', '-9223372036854775808'].map((intValue) => ({ key: 'k', value: { intValue } })),
  });
  expect(await send(running, protocol, 'traces', encoded(protocol, 'traces', traces(span)))).toMatchObject(full);
  const { traceId, spanId, ...members } = span;
  expect((await spansOf(trace, 1))[0]).toMatchObject(members);
});

// --------------------------------------------------------------------------------------- B15 to B22: what records hold

const badIds: [name: string, members: Plain][] = [
  ['a trace id of 15 bytes', { traceId: Buffer.alloc(15, 1) }],
  ['a span id of 9 bytes', { spanId: Buffer.alloc(9, 1) }],
  ['no trace id', { traceId: Buffer.alloc(0) }],
  ['a trace id all zero', { traceId: Buffer.alloc(16) }],
  ['a span id all zero', { spanId: Buffer.alloc(8) }],
  ['a parent span id of 3 bytes', { parentSpanId: Buffer.alloc(3, 1) }],
];
atOnce(protocols, 'B15 span ids: wrong length, all zero; the other spans are stored', async (protocol) => {
  const trace = newId();
  const spans = [spanOf(trace), ...badIds.map(([, members]) => spanOf(trace, members)), spanOf(trace)];
  const answer = await send(running, protocol, 'traces', encoded(protocol, 'traces', traces(...spans)));
  const message = expect.stringMatching(
    /rejected 6 spans: trace id must be 16 bytes.*resourceSpans\[0\]\.scopeSpans\[0\]\.spans\[1\]/,
  );
  expect(answer).toMatchObject({ code: 0, rejected: badIds.length, message });
  await spansOf(trace, 2);
});

atOnce(['http/json'], 'B15 span ids: base64 and what is no hex are rejected, upper case is hex', async () => {
  const trace = newId();
  const span = (traceId: string, spanId = '0A0B0C0D0E0F0A0B') => ({ traceId, spanId, name: 'upper' });
  const base64 = Buffer.from(trace, 'hex').toString('base64');
  const spans = [span(base64), span(`${trace.slice(2)}zz`), span(trace, 'CgsMDQ4PCgs='), span(trace.toUpperCase())];
  const answer = await json(JSON.stringify(traces(...spans)), 'traces');
  expect(answer).toMatchObject({ code: 0, rejected: 3, message: expect.stringContaining('spans[0]') });
  expect(await spansOf(trace, 1)).toMatchObject([{ traceId: trace, spanId: '0a0b0c0d0e0f0a0b' }]);
});

atOnce(protocols, 'B15 ids on log records: the record is kept, the id is absent', async (protocol) => {
  const id = newId();
  const records = [
    logOf(id, { traceId: Buffer.alloc(4, 1), spanId: Buffer.alloc(9, 1) }),
    logOf(id, { traceId: Buffer.alloc(16), spanId: Buffer.alloc(8) }),
  ];
  const answer = await send(running, protocol, 'logs', encoded(protocol, 'logs', logs(...records)));
  expect(answer).toMatchObject({ code: 0, rejected: 0, message: expect.stringContaining('ids that are no ids') });
  for (const stored of await logsOf(id, 2)) expect(stored).toMatchObject({ traceId: '', spanId: '' });
});

atOnce(protocols, 'B16 invalid UTF-8 becomes U+FFFD in that value only', async (protocol) => {
  const id = newId();
  const record = logOf(id, { body: { stringValue: 'Ünverändert' } }, [text('bad', 'a~b'), text('good', 'ß')]);
  const body = Buffer.from(encoded(protocol, 'logs', logs(record)));
  body[body.indexOf('a~b') + 1] = 0xff;
  const answer = await send(running, protocol, 'logs', body);
  expect(answer).toMatchObject({ code: 0, rejected: 0, message: expect.stringContaining('not UTF-8') });
  expect(await logsOf(id, 1)).toMatchObject([
    { body: 'Ünverändert', attributes: { bad: 'a\ufffdb', good: 'ß', 'test.id': id } },
  ]);
});

atOnce(protocols, 'B17 NaN, ±Inf, −0 and the text "NaN" come back as they are', async (protocol) => {
  const [trace, name] = [newId(), newName()];
  const doubles = { nan: Number.NaN, inf: Infinity, minus: -Infinity, zero: -0 };
  const attributes = [
    ...Object.entries(doubles).map(([key, doubleValue]) => ({ key, value: { doubleValue } })),
    text('text', 'NaN'),
  ];
  const spans = encoded(protocol, 'traces', traces(spanOf(trace, { attributes })));
  expect(await send(running, protocol, 'traces', spans)).toMatchObject(full);
  const points = Object.entries(doubles).map(([key, asDouble]) =>
    pointOf({ asDouble, attributes: [text('which', key)] }),
  );
  expect(
    await send(running, protocol, 'metrics', encoded(protocol, 'metrics', metrics(gauge(name, ...points)))),
  ).toMatchObject(full);

  await spansOf(trace, 1);
  const bytes = await fetch(`${running.http}/api/v1/traces/${trace}`, {
    headers: { accept: 'application/x-protobuf' },
  });
  const [span] = recordsOf('traces', oracleDecode('traces', new Uint8Array(await bytes.arrayBuffer()))) as Stored[];
  expect(span?.attributes?.map(({ value }) => value)).toEqual([
    { doubleValue: 'NaN' },
    { doubleValue: 'Infinity' },
    { doubleValue: '-Infinity' },
    { doubleValue: -0 },
    { stringValue: 'NaN' },
  ]);
  const values = (await vector(name, 4)).map(({ metric, value }) => [metric['which'], value[1]]);
  expect(Object.fromEntries(values)).toEqual({ nan: 'NaN', inf: '+Inf', minus: '-Inf', zero: '-0' });
});

atOnce(binary, 'B17 the bits of a StaleNaN are kept, and end their series', async (protocol) => {
  const [trace, name] = [newId(), newName()];
  const stale = Buffer.from('020000000000f07f', 'hex');
  const sentinel = Buffer.alloc(8);
  sentinel.writeDoubleLE(12345.678);
  const withStale = (bytes: Uint8Array) => {
    const changed = Buffer.from(bytes);
    stale.copy(changed, changed.indexOf(sentinel));
    return changed;
  };
  const spans = traces(spanOf(trace, { attributes: [{ key: 'stale', value: { doubleValue: 12345.678 } }] }));
  expect(await send(running, protocol, 'traces', withStale(encoded(protocol, 'traces', spans)))).toMatchObject(full);
  const now = Date.now();
  const at = (ms: number, asDouble: number) => ({ timeUnixNano: String(BigInt(ms) * 1_000_000n), asDouble });
  const points = metrics(gauge(name, at(now - 20_000, 1), at(now - 10_000, 12345.678)));
  expect(await send(running, protocol, 'metrics', withStale(encoded(protocol, 'metrics', points)))).toMatchObject(full);

  await spansOf(trace, 1);
  const answer = await fetch(`${running.http}/api/v1/traces/${trace}`, {
    headers: { accept: 'application/x-protobuf' },
  });
  expect(Buffer.from(await answer.arrayBuffer()).includes(stale)).toBe(true);
  await vector(name, 1, String((now - 15_000) / 1000));
  await vector(name, 0, String(now / 1000));
});

atOnce(protocols, 'B18 too many attributes and events, too long a value: cut and counted', async (protocol) => {
  const trace = newId();
  const many = Array.from({ length: 10_000 }, (_, index) => text(`k${index}`, 'v'));
  const events = Array.from({ length: 10_000 }, (_, index) => ({ name: `e${index}` }));
  const spans = [
    spanOf(trace, { name: '1', attributes: many, events, droppedAttributesCount: 5 }),
    spanOf(trace, {
      name: '2',
      attributes: [text('long', 'é'.repeat(mebibyte / 2)), text('', 'empty'), text('a', '1'), text('a', '2')],
    }),
  ];
  const answer = await send(running, protocol, 'traces', encoded(protocol, 'traces', traces(...spans)));
  expect(answer).toMatchObject({ code: 0, rejected: 0, message: expect.stringContaining('beyond the limit') });
  const stored = (await spansOf(trace, 2)).toSorted((a, b) => String(a['name']).localeCompare(String(b['name'])));
  expect(stored[0]).toMatchObject({ droppedAttributesCount: 8981, droppedEventsCount: 8976 });
  expect([stored[0]?.attributes, stored[0]?.events?.length]).toEqual([many.slice(0, 1024), 1024]);
  expect(stored[1]?.attributes).toEqual([
    text('long', 'é'.repeat(32_768)),
    expect.objectContaining({ value: { stringValue: 'empty' } }),
    text('a', '1'),
    text('a', '2'),
  ]);
});

atOnce(['grpc'], 'B18 a hundred thousand distinct keys', async (protocol) => {
  const id = newId();
  const records = Array.from({ length: 100 }, (_, record) =>
    logOf(
      id,
      {},
      Array.from({ length: 1000 }, (_, key) => text(`${protocol}.${record}.${key}`, 'v')),
    ),
  );
  expect(await send(running, protocol, 'logs', encoded(protocol, 'logs', logs(...records)))).toMatchObject(full);
  const stored = await logsOf(id, 100);
  expect(new Set(stored.flatMap((log) => Object.keys(log['attributes'] as Plain))).size).toBe(100_001);
});

atOnce(protocols, 'B19 time 0 becomes the observed time, or that of receipt', async (protocol) => {
  const [id, trace, name] = [newId(), newId(), newName()];
  const observed = String(nowNanos() - 60_000_000_000n);
  const before = nowNanos();
  const records = logs(
    logOf(id, { timeUnixNano: '0', observedTimeUnixNano: observed, severityText: 'observed' }),
    logOf(id, { timeUnixNano: '0', severityText: 'received' }),
  );
  expect(await send(running, protocol, 'logs', encoded(protocol, 'logs', records))).toMatchObject(full);
  const spans = traces(spanOf(trace, { startTimeUnixNano: '0', endTimeUnixNano: '0', name: trace }));
  expect(await send(running, protocol, 'traces', encoded(protocol, 'traces', spans))).toMatchObject(full);
  const points = metrics(gauge(name, pointOf({ timeUnixNano: '0' })));
  expect(await send(running, protocol, 'metrics', encoded(protocol, 'metrics', points))).toMatchObject(full);
  const after = nowNanos() + 1_000_000_000n;

  const isReceipt = (nanos: unknown) => {
    expect(BigInt(String(nanos))).toBeGreaterThanOrEqual(before - 1_000_000_000n);
    expect(BigInt(String(nanos))).toBeLessThanOrEqual(after);
  };
  const stored = new Map((await logsOf(id, 2)).map((log) => [log['severityText'], log['timeUnixNano']]));
  expect(stored.get('observed')).toBe(observed);
  isReceipt(stored.get('received'));
  await spansOf(trace, 1);
  const list = (await getJson(running.http, '/api/v1/traces', { operation: trace })) as { traces: Plain[] };
  expect(list.traces).toHaveLength(1);
  isReceipt(list.traces[0]?.['startTimeUnixNano']);
  await vector(name, 1);
});

atOnce(protocols, 'B19 far ahead, the year 2554, an end before its start, two years ago', async (protocol) => {
  const [id, trace, name] = [newId(), newId(), newName()];
  const ahead = String(nowNanos() + 660_000_000_000n);
  const records = logs(logOf(id, { timeUnixNano: ahead }));
  expect(await send(running, protocol, 'logs', encoded(protocol, 'logs', records))).toMatchObject(full);
  const old = nowNanos() - 63_072_000_000_000_000n;
  const times = [
    ['18446744073709551614', '18446744073709551615'],
    [String(nowNanos()), String(nowNanos() - 5_000_000_000n)],
    [String(old), String(old + 1_000n)],
  ].map(([startTimeUnixNano, endTimeUnixNano]) => ({ startTimeUnixNano, endTimeUnixNano }));
  const spans = traces(...times.map((members) => spanOf(trace, members)));
  expect(await send(running, protocol, 'traces', encoded(protocol, 'traces', spans))).toMatchObject(full);
  const points = metrics(
    gauge(
      name,
      pointOf({ timeUnixNano: ahead }),
      pointOf({ asDouble: 7 }),
      pointOf({ timeUnixNano: '18446744073709551615' }),
    ),
  );
  expect(await send(running, protocol, 'metrics', encoded(protocol, 'metrics', points))).toMatchObject({
    code: 0,
    rejected: 2,
    message: expect.stringMatching(/too far in the future.*metrics\[0\]\.dataPoints\[0\]/),
  });

  expect(await logsOf(id, 1, { end: 'now+1h' })).toMatchObject([{ timeUnixNano: ahead }]);
  const stored = (await spansOf(trace, 3)).map(({ startTimeUnixNano, endTimeUnixNano }) => ({
    startTimeUnixNano,
    endTimeUnixNano,
  }));
  expect(stored).toHaveLength(3);
  for (const one of times) expect(stored).toContainEqual(one);
  expect((await vector(name, 1))[0]?.value[1]).toBe('7');
});

const histogram = (point: Plain, aggregationTemporality = 2): Plain => ({
  name: 'bad',
  histogram: { dataPoints: [pointOf2(point)], aggregationTemporality },
});
const exponential = (point: Plain): Plain => ({
  name: 'bad',
  exponentialHistogram: { dataPoints: [pointOf2(point)], aggregationTemporality: 2 },
});
function pointOf2(members: Plain): Plain {
  return { timeUnixNano: String(nowNanos()), ...members };
}
const badMetrics: [name: string, metric: Plain, says: string][] = [
  [
    'as many counts as bounds',
    histogram({ count: 3, bucketCounts: [1, 2], explicitBounds: [1, 2] }),
    'bucket counts be one more than bounds',
  ],
  ['unsorted bounds', histogram({ count: 3, bucketCounts: [1, 1, 1], explicitBounds: [2, 1] }), 'bounds must increase'],
  [
    'a count that is not the sum',
    histogram({ count: 4, bucketCounts: [1, 2], explicitBounds: [1] }),
    'the count be the sum',
  ],
  ['no temporality', histogram({ count: 1 }, 0), 'aggregation temporality'],
  ['a sum without temporality', { name: 'bad', sum: { dataPoints: [pointOf({})] } }, 'aggregation temporality'],
  ['no value', gauge('bad', pointOf2({})), 'there is no value'],
  ['exponential, scale 100', exponential({ scale: 100 }), 'scale or offset'],
  ['exponential, scale −100', exponential({ scale: -100 }), 'scale or offset'],
  ['exponential, offset 2^31 − 1', exponential({ positive: { offset: 2 ** 31 - 1 } }), 'scale or offset'],
  ['exponential, offset −2^31', exponential({ negative: { offset: -(2 ** 31) } }), 'scale or offset'],
];
for (const [what, metric, says] of badMetrics) {
  atOnce(protocols, `B20 histograms and points: ${what}`, async (protocol) => {
    const [first, second] = [newName(), newName()];
    const sound = (name: string) => ({
      ...histogram({ count: 3, sum: 4, bucketCounts: [1, 2], explicitBounds: [1] }),
      name,
    });
    const request = metrics(sound(first), metric, gauge(second, pointOf({})));
    const answer = await send(running, protocol, 'metrics', encoded(protocol, 'metrics', request));
    expect(answer).toMatchObject({ code: 0, rejected: 1, message: expect.stringContaining(says) });
    expect(answer.message).toContain('scopeMetrics[0].metrics[1]');
    expect((await vector(`${first}_count`, 1))[0]?.value[1]).toBe('3');
    await vector(second, 1);
  });
}

atOnce(protocols, 'B21 names: empty, 100 KB, foo{, unicode, __name__, labels that clash', async (protocol) => {
  const name = newName();
  const attributes = [text('__name__', 'other'), text('a.b', '1'), text('a_b', '2'), text('ü', '3')];
  const long = `${name}${'x'.repeat(100_000)}`;
  const request = metrics(
    gauge('', pointOf({})),
    gauge(long, pointOf({})),
    gauge(`${name}.foo{`, pointOf({ asDouble: 2, attributes })),
    gauge(`${name}.ünïcode`, pointOf({ asDouble: 3 })),
  );
  const answer = await send(running, protocol, 'metrics', encoded(protocol, 'metrics', request));
  expect(answer).toMatchObject({ code: 0, rejected: 1, message: expect.stringMatching(/no name.*metrics\[0\]/) });
  const [foo] = await vector(`${name}_foo`, 1);
  expect([foo?.metric['__name__'], foo?.metric['a_b'], foo?.value[1]]).toEqual([`${name}_foo`, '1;2', '2']);
  await vector(`${name}_n_code`, 1);
  const { metrics: list } = (await getJson(running.http, '/api/v1/metrics', { limit: '1000' })) as { metrics: Plain[] };
  expect(list.some((metric) => metric['name'] === long)).toBe(true);
});

atOnce(['http/protobuf'], 'B21 ten thousand series at once', async (protocol) => {
  const name = newName();
  const points = Array.from({ length: 10_000 }, (_, index) => pointOf({ attributes: [text('n', String(index))] }));
  expect(
    await send(running, protocol, 'metrics', encoded(protocol, 'metrics', metrics(gauge(name, ...points)))),
  ).toMatchObject(full);
  expect((await vector(`sum(${name})`, 1))[0]?.value[1]).toBe('10000');
});

atOnce(protocols, 'B22 a hundred thousand reasons are told in a short answer', async (protocol) => {
  const spans = Array.from({ length: 100_000 }, (_, index) => ({
    name: `n${index}`,
    traceId: Buffer.alloc(index % 16),
  }));
  const answer = await send(running, protocol, 'traces', encoded(protocol, 'traces', traces(...spans)));
  expect(answer).toMatchObject({
    code: 0,
    rejected: 100_000,
    message: expect.stringMatching(/^rejected 100000 spans/),
  });
  expect(answer.sizeBytes).toBeLessThan(16_384);
});

it('the process is the one that was started, and is well', async () => {
  const health = (await getJson(running.http, '/health')) as { status: string };
  expect(health.status).toBe('ok');
  expect(await ownStart()).toBe(startedSeconds);
  process.kill(running.pid, 0);
  expect(running.output()).not.toMatch(/"level":"?(?:error|fatal|50|60)\b/);
});
