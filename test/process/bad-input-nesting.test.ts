import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { Signal } from '../../src/base/index.ts';
import {
  encoded,
  field,
  full,
  inScope,
  jsonOf,
  logs,
  metrics,
  nested,
  nestedBytes,
  nestedValue,
  send,
  text,
  traces,
} from '../kit/bad-input.ts';
import {
  badInputProcess,
  binary,
  expectRefused,
  gauge,
  logOf,
  newId,
  newName,
  nowNanos,
  pointOf,
  spanOf,
} from '../kit/bad-input-rows.ts';
import type { Plain } from '../kit/otlp-oracle.ts';
import { protocols } from '../kit/records.ts';

// B10 to B14: values within values, and JSON.

const { running, atOnce, spansOf, logsOf, vector } = badInputProcess();

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
  const members = Array.from({ length: 1_000_000 }, (_, index) => `"k${index}":0`).join(',');
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
