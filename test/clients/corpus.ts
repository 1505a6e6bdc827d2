import protobuf from 'protobufjs';
import type { Signal } from '../../src/base/index.ts';
import { encodeOtlp } from '../kit/otlp.ts';
import { randomFrom } from '../kit/random.ts';
import { message, withBytes } from './message.ts';

/** A body that is sent to the Collector and to us. `protobuf` goes over HTTP and over gRPC, `json` over HTTP. */
export interface Case {
  readonly name: string;
  readonly signal: Signal;
  readonly encoding: 'protobuf' | 'json';
  readonly body: Uint8Array;
}

const now = (): string => `${BigInt(Date.now()) * 1_000_000n}`;
const ids = { traceId: '0102030405060708090a0b0c0d0e0f10', spanId: '0102030405060708' };
const span = (fields: object): object => ({
  resourceSpans: [
    { scopeSpans: [{ spans: [{ ...ids, name: 'a', startTimeUnixNano: now(), endTimeUnixNano: now(), ...fields }] }] },
  ],
});
const log = (fields: object): object => ({
  resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: now(), ...fields }] }] }],
});
const metric = (fields: object): object => ({
  resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: 'm', ...fields }] }] }],
});
const nested = (depth: number): object =>
  depth === 0 ? { stringValue: 'deep' } : { arrayValue: { values: [nested(depth - 1)] } };
const many = (count: number): object[] =>
  Array.from({ length: count }, (_, index) => ({ key: `k${index}`, value: { intValue: `${index}` } }));

/** Good and bad messages by hand: what tables B of the reliability catalogue name. */
export function corpus(): Case[] {
  return [...protobufCases(), ...jsonCases()];
}

function protobufCases(): Case[] {
  const good = Buffer.from(encodeOtlp('traces', withBytes(message('corpus').requests.traces)));
  const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
  const rows: [name: string, signal: Signal, body: Uint8Array][] = [
    ['empty body', 'traces', bytes('')],
    ['empty envelope', 'traces', bytes('0a00')],
    ['empty envelope', 'metrics', bytes('0a00')],
    ['empty envelope', 'logs', bytes('0a00')],
    ['good', 'traces', good],
    ['good', 'metrics', encodeOtlp('metrics', withBytes(message('corpus').requests.metrics))],
    ['good', 'logs', encodeOtlp('logs', withBytes(message('corpus').requests.logs))],
    ['cut in the middle', 'traces', good.subarray(0, good.length >> 1)],
    ['one byte short', 'traces', good.subarray(0, -1)],
    ['field 0', 'traces', bytes('02 00')],
    ['field 0 inside', 'traces', bytes('0a 02 02 00')],
    ['wire type 6', 'traces', bytes('0e 00')],
    ['wire type 7', 'traces', bytes('0f 00')],
    ['wire type 7 inside', 'traces', bytes('0a 02 0f 00')],
    ['varint of 11 bytes', 'traces', bytes('08 ff ff ff ff ff ff ff ff ff ff 01')],
    ['length of 11 bytes', 'traces', bytes('0a ff ff ff ff ff ff ff ff ff ff 01')],
    ['length beyond the end', 'traces', bytes('0a 7f')],
    ['length beyond 2 GiB', 'traces', bytes('0a ff ff ff ff 0f')],
    ['negative length', 'traces', bytes('0a ff ff ff ff ff ff ff ff ff 01')],
    ['lone end group', 'traces', bytes('0c')],
    ['open group', 'traces', bytes('a3 06')],
    ['unknown group, closed', 'traces', bytes('a3 06 a4 06')],
    ['unknown group, closed by another', 'traces', bytes('a3 06 ac 06')],
    ['unknown field, varint', 'traces', bytes('a0 06 01')],
    ['unknown field, fixed64', 'traces', bytes('a1 06 0102030405060708')],
    ['unknown field, fixed32', 'traces', bytes('a5 06 01020304')],
    ['unknown field, fixed32, cut', 'traces', bytes('a5 06 0102')],
    ['known field, wrong wire type', 'traces', bytes('08 01')],
    ['known field inside, wrong wire type', 'traces', bytes('0a 02 08 01')],
    ['trace id of 15 bytes', 'traces', encodeSpan({ traceId: Buffer.alloc(15, 1) })],
    ['trace id all zero', 'traces', encodeSpan({ traceId: Buffer.alloc(16) })],
    ['no trace id', 'traces', encodeSpan({ traceId: Buffer.alloc(0) })],
    ['span id of 9 bytes', 'traces', encodeSpan({ spanId: Buffer.alloc(9, 1) })],
    ['span id all zero', 'traces', encodeSpan({ spanId: Buffer.alloc(8) })],
    ['parent span id of 4 bytes', 'traces', encodeSpan({ parentSpanId: Buffer.alloc(4, 1) })],
    ['log trace id of 15 bytes', 'logs', encodeLog({ traceId: Buffer.alloc(15, 1) })],
    ['invalid UTF-8 in a name', 'traces', spanWithRawName(bytes('c3 28'))],
    ['end before start', 'traces', encodeSpan({ startTimeUnixNano: '2000', endTimeUnixNano: '1000' })],
    ['times 0', 'traces', encodeSpan({ startTimeUnixNano: '0', endTimeUnixNano: '0' })],
    ['time at the end of u64', 'traces', encodeSpan({ endTimeUnixNano: '18446744073709551615' })],
    ['10,000 attributes', 'traces', encodeSpan({ attributes: many(10_000) })],
    [
      'attribute of 1 MiB',
      'traces',
      encodeSpan({ attributes: [{ key: 'k', value: { stringValue: 'x'.repeat(1 << 20) } }] }),
    ],
    ['empty and equal keys', 'logs', encodeLog({ attributes: [{ key: '' }, { key: '' }, { key: 'a' }, { key: 'a' }] })],
    ['attribute 64 deep', 'logs', deepLog(64)],
    ['attribute 1,000 deep', 'logs', deepLog(1000)],
    ['unknown kind and status', 'traces', encodeSpan({ kind: 99, status: { code: 77 } })],
    ['metric without data', 'metrics', encodeOtlp('metrics', metric({}))],
    [
      'metric without name',
      'metrics',
      encodeOtlp('metrics', metric({ name: '', gauge: { dataPoints: [{ asInt: '1' }] } })),
    ],
    [
      'point without value',
      'metrics',
      encodeOtlp('metrics', metric({ gauge: { dataPoints: [{ timeUnixNano: now() }] } })),
    ],
    [
      'sum of no temporality',
      'metrics',
      encodeOtlp('metrics', metric({ sum: { dataPoints: [{ asInt: '1', timeUnixNano: now() }] } })),
    ],
    [
      'NaN',
      'metrics',
      encodeOtlp('metrics', metric({ gauge: { dataPoints: [{ asDouble: Number.NaN, timeUnixNano: now() }] } })),
    ],
    ['histogram of too few counts', 'metrics', histogram({ bucketCounts: ['1'], explicitBounds: [1, 2, 3] })],
    ['histogram of unsorted bounds', 'metrics', histogram({ bucketCounts: ['1', '1', '1'], explicitBounds: [3, 2] })],
    [
      'histogram whose count is not the sum',
      'metrics',
      histogram({ count: '9', bucketCounts: ['1'], explicitBounds: [] }),
    ],
    ['exponential histogram of scale 100', 'metrics', exponential({ scale: 100, positive: { bucketCounts: ['1'] } })],
  ];
  return rows.map(([name, signal, body]) => ({ name, signal, encoding: 'protobuf', body }));
}

function jsonCases(): Case[] {
  const written = (value: object): string => JSON.stringify(value);
  const spanText = (from: string, to: string): string => written(span({ kind: 1, attributes: [] })).replace(from, to);
  const value = (text: string): string =>
    written(log({ attributes: [{ key: 'k', value: { v: 0 } }] })).replace('{"v":0}', text);
  const rows: [name: string, signal: Signal, body: string | Uint8Array][] = [
    ['empty object', 'traces', '{}'],
    ['empty body', 'traces', ''],
    ['white space', 'traces', '  \n'],
    ['good', 'traces', written(message('corpus').requests.traces as object)],
    ['good', 'metrics', written(message('corpus').requests.metrics as object)],
    ['good', 'logs', written(message('corpus').requests.logs as object)],
    ['null', 'traces', 'null'],
    ['array', 'traces', '[]'],
    ['number', 'traces', '1'],
    ['two objects', 'traces', '{}{}'],
    ['junk after it', 'traces', '{} x'],
    ['trailing comma', 'traces', '{"resourceSpans":[],}'],
    ['comment', 'traces', '{} // x'],
    ['cut', 'traces', spanText('', '').slice(0, 80)],
    ['single quotes', 'traces', "{'resourceSpans':[]}"],
    ['BOM', 'traces', '\uFEFF{"resourceSpans":[]}'],
    [
      'NaN literal',
      'metrics',
      written(metric({ gauge: { dataPoints: [{ asDouble: 0 }] } })).replace('"asDouble":0', '"asDouble":NaN'),
    ],
    ['NaN string', 'metrics', written(metric({ gauge: { dataPoints: [{ asDouble: 'NaN', timeUnixNano: now() }] } }))],
    [
      'Infinity string',
      'metrics',
      written(metric({ gauge: { dataPoints: [{ asDouble: '-Infinity', timeUnixNano: now() }] } })),
    ],
    ['500,000 brackets', 'logs', '['.repeat(500_000)],
    ['500,000 brackets in an unknown member', 'logs', `{"x":${'['.repeat(500_000)}${']'.repeat(500_000)}}`],
    ['unknown members', 'logs', written({ ...log({ x: { y: [1, null, 'z'] } }), extra: 1 })],
    ['__proto__ member', 'logs', '{"__proto__":{"a":1},"constructor":{"prototype":{}}}'],
    ['snake_case members', 'logs', '{"resource_logs":[{"scope_logs":[]}]}'],
    ['equal members', 'logs', '{"resourceLogs":[],"resourceLogs":[]}'],
    ['null list', 'logs', '{"resourceLogs":null}'],
    ['list that is a string', 'logs', '{"resourceLogs":"x"}'],
    ['list that is an object', 'logs', '{"resourceLogs":{}}'],
    ['null in a list', 'logs', '{"resourceLogs":[null]}'],
    ['enum as name', 'traces', spanText('"kind":1', '"kind":"SPAN_KIND_SERVER"')],
    ['enum as decimal string', 'traces', spanText('"kind":1', '"kind":"2"')],
    ['enum unknown', 'traces', spanText('"kind":1', '"kind":99')],
    ['trace id in upper case', 'traces', spanText(ids.traceId, ids.traceId.toUpperCase())],
    ['trace id short', 'traces', spanText(ids.traceId, '0102')],
    ['trace id of odd length', 'traces', spanText(ids.traceId, '010')],
    ['trace id in base64', 'traces', spanText(ids.traceId, 'AQIDBAUGBwgJCgsMDQ4PEA==')],
    ['trace id not hex', 'traces', spanText(ids.traceId, 'z'.repeat(32))],
    ['trace id empty', 'traces', spanText(ids.traceId, '')],
    ['trace id a number', 'traces', spanText(`"${ids.traceId}"`, '1')],
    ['name a number', 'traces', spanText('"name":"a"', '"name":1')],
    ['name null', 'traces', spanText('"name":"a"', '"name":null')],
    ['lone surrogate', 'traces', spanText('"name":"a"', '"name":"\\ud800"')],
    ['bad escape', 'traces', spanText('"name":"a"', '"name":"\\x"')],
    ['control character in a string', 'traces', spanText('"name":"a"', '"name":"a\nb"')],
    ['invalid UTF-8', 'traces', Buffer.from(spanText('"name":"a"', '"name":"\u0080"'), 'latin1')],
    ...(
      [
        ['i64 as string', '{"intValue":"-9223372036854775808"}'],
        ['i64 as number', '{"intValue":42}'],
        ['i64 too large', '{"intValue":"9223372036854775808"}'],
        ['i64 "1e3"', '{"intValue":"1e3"}'],
        ['i64 1e3', '{"intValue":1e3}'],
        ['i64 1.5', '{"intValue":1.5}'],
        ['i64 "abc"', '{"intValue":"abc"}'],
        ['i64 ""', '{"intValue":""}'],
        ['i64 true', '{"intValue":true}'],
        ['i64 null', '{"intValue":null}'],
        ['double as string', '{"doubleValue":"1.5"}'],
        ['double "abc"', '{"doubleValue":"abc"}'],
        ['bool as string', '{"boolValue":"true"}'],
        ['bool as number', '{"boolValue":1}'],
        ['bytes', '{"bytesValue":"AQID"}'],
        ['bytes, URL alphabet', '{"bytesValue":"-_-_"}'],
        ['bytes, no padding', '{"bytesValue":"AQI"}'],
        ['bytes, not base64', '{"bytesValue":"!"}'],
        ['value {}', '{}'],
        ['value null', 'null'],
        ['value of two kinds', '{"intValue":"1","stringValue":"a"}'],
        ['value a string', '"x"'],
      ] as const
    ).map(([name, text]): [string, Signal, string] => [name, 'logs', value(text)]),
    ['u64 at its end', 'logs', written(log({ timeUnixNano: '18446744073709551615' }))],
    ['u64 beyond its end', 'logs', written(log({ timeUnixNano: '18446744073709551616' }))],
    ['u64 -1', 'logs', written(log({ timeUnixNano: '-1' }))],
    ['u64 as number', 'logs', written(log({ timeUnixNano: 1_700_000_000_000_000_000 }))],
    ['severity as name', 'logs', written(log({ severityNumber: 'SEVERITY_NUMBER_INFO' }))],
    ['log trace id short', 'logs', written(log({ traceId: '01', spanId: '02' }))],
    ['attribute 64 deep', 'logs', written(log({ attributes: [{ key: 'k', value: nested(64) }] }))],
  ];
  return rows.map(([name, signal, body]) => ({ name, signal, encoding: 'json', body: Buffer.from(body) }));
}

/** `count` bodies for each signal, made of good ones by small damage; the same for the same seed. */
export function mutations(encoding: 'protobuf' | 'json', count: number, seed: number): Case[] {
  const random = randomFrom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  return (['traces', 'metrics', 'logs'] as const).flatMap((signal) => {
    const request = message('corpus').requests[signal];
    const good =
      encoding === 'protobuf' ? encodeOtlp(signal, withBytes(request)) : Buffer.from(JSON.stringify(request));
    return Array.from({ length: count }, (_, turn) => {
      let body = Buffer.from(good);
      for (let times = 1 + below(3); times > 0; times -= 1) body = damaged(body, below);
      return { name: `mutation ${seed}/${turn}`, signal, encoding, body };
    });
  });
}

function damaged(body: Buffer<ArrayBuffer>, below: (limit: number) => number): Buffer<ArrayBuffer> {
  const at = below(body.length);
  const rest = body.subarray(at + 1);
  switch (below(6)) {
    case 0: // a bit
      return Buffer.concat([body.subarray(0, at), Buffer.of((body[at] ?? 0) ^ (1 << below(8))), rest]);
    case 1: // a byte
      return Buffer.concat([body.subarray(0, at), Buffer.of(below(256)), rest]);
    case 2: // one less
      return Buffer.concat([body.subarray(0, at), rest]);
    case 3: // one more
      return Buffer.concat([body.subarray(0, at), Buffer.of(below(256)), body.subarray(at)]);
    case 4: // a piece twice
      return Buffer.concat([body.subarray(0, at), body.subarray(Math.max(0, at - 1 - below(40)))]);
    default: // the end is missing
      return body.subarray(0, Math.max(1, at));
  }
}

function encodeSpan(fields: object): Uint8Array {
  return encodeOtlp('traces', span({ traceId: Buffer.alloc(16, 1), spanId: Buffer.alloc(8, 2), ...fields }));
}

function encodeLog(fields: object): Uint8Array {
  return encodeOtlp('logs', log(fields));
}

function histogram(fields: object): Uint8Array {
  const dataPoints = [{ count: '1', sum: 1, timeUnixNano: now(), ...fields }];
  return encodeOtlp('metrics', metric({ histogram: { dataPoints, aggregationTemporality: 2 } }));
}

function exponential(fields: object): Uint8Array {
  const dataPoints = [{ count: '1', sum: 1, timeUnixNano: now(), ...fields }];
  return encodeOtlp('metrics', metric({ exponentialHistogram: { dataPoints, aggregationTemporality: 2 } }));
}

/** A log record with an attribute so deep: protobufjs stops before 64. */
function deepLog(depth: number): Uint8Array {
  let value = field(1, Buffer.from('deep')); // AnyValue.string_value
  for (let level = 0; level < depth; level += 1) value = field(5, field(1, value)); // array_value, values
  const attribute = Buffer.concat([field(1, Buffer.from('k')), field(2, value)]);
  return field(1, field(2, field(2, field(6, attribute)))); // resource_logs, scope_logs, log_records, attributes
}

function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([
    protobuf.Writer.create()
      .uint32((number << 3) | 2)
      .uint32(content.length)
      .finish(),
    content,
  ]);
}

/** A span whose name holds these bytes: protobufjs would not write what is not UTF-8. */
function spanWithRawName(name: Buffer): Uint8Array {
  const placeholder = '\u0001'.repeat(name.length);
  const encoded = Buffer.from(encodeSpan({ name: placeholder }));
  const at = encoded.indexOf(placeholder, encoded.indexOf(Buffer.from([0x2a, name.length])));
  name.copy(encoded, at);
  return encoded;
}
