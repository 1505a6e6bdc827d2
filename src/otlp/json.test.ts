import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { descriptors, oracleDecode, oracleEncode, type Plain, recordsOf } from '../../test/kit/otlp-oracle.ts';
import { Fault, type Signal, signals } from '../base/index.ts';
import { defaultLimits, jsonToProtobuf, protobufToJson, rewrite, walk } from './index.ts';
import { schema } from './schema.ts';

function transcoded(signal: Signal, json: string | Uint8Array): Plain {
  return oracleDecode(signal, jsonToProtobuf(signal, typeof json === 'string' ? Buffer.from(json) : json));
}

function refused(signal: Signal, json: string): Fault {
  try {
    jsonToProtobuf(signal, Buffer.from(json));
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(Fault);
    return thrown as Fault;
  }
  throw new Error('was not refused');
}

const ids = '"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708"';
/** A request with one span that has these members besides its ids. */
const withSpan = (members: string) => `{"resourceSpans":[{"scopeSpans":[{"spans":[{${ids},${members}}]}]}]}`;
const withLog = (members: string) => `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{${members}}]}]}]}`;
const withPoint = (members: string) =>
  `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{${members}}]}}]}]}]}`;
const span = (json: string): Plain => recordsOf('traces', transcoded('traces', json))[0]!;
const log = (json: string): Plain => recordsOf('logs', transcoded('logs', json))[0]!;
const point = (json: string): Plain => recordsOf('metrics', transcoded('metrics', json))[0]!;

describe('every field of the protocol', () => {
  const types = descriptors();

  it('is in the schema with its number, kind and name, and nothing else is', () => {
    const expected: Record<string, unknown[]> = {};
    for (const type of types)
      expected[type.name] = type.fieldsArray
        .map((field) => ({
          number: field.id,
          name: field.name,
          repeated: field.repeated,
          // `optional` makes a oneof of one member, which needs no care.
          oneof: field.partOf && field.partOf.fieldsArray.length > 1 ? field.partOf.name : undefined,
          wire:
            field.resolvedType instanceof protobuf.Type
              ? field.resolvedType.name
              : field.resolvedType === null
                ? field.type
                : 'enum',
        }))
        .sort((left, right) => left.number - right.number);
    const actual: Record<string, unknown[]> = {};
    for (const [name, fields] of Object.entries(schema))
      actual[name] = fields.map(({ number, name, repeated, oneof, kind }) => ({
        number,
        name,
        repeated,
        oneof,
        wire: kind === 'traceId' || kind === 'spanId' ? 'bytes' : kind,
      }));
    expect(actual).toEqual(expected);
  });

  // A sample for each field, put at a place where its message can be, shown as JSON and read back.
  const roots: Readonly<Record<string, Signal>> = { TracesData: 'traces', MetricsData: 'metrics', LogsData: 'logs' };
  const scalars: Readonly<Record<string, unknown>> = {
    string: 'text',
    bool: true,
    double: 1.5,
    bytes: Buffer.from('bytes'),
  };

  it.each(
    types.flatMap((type) => type.fieldsArray.map((field) => [`${type.name}.${field.name}`, type, field] as const)),
  )('%s goes to JSON and back', (_, type, field) => {
    const ownSample =
      field.resolvedType instanceof protobuf.Type
        ? {}
        : field.type === 'bytes' && field.name.endsWith('Id')
          ? Buffer.alloc(8, 7)
          : (scalars[field.type] ?? 3);
    let value: Plain = { [field.name]: field.repeated ? [ownSample] : ownSample };
    let at = type;
    const seen = new Set([type]);
    while (roots[at.name] === undefined) {
      const parent = types
        .flatMap((owner) => owner.fieldsArray.map((via) => ({ owner, via })))
        .find(({ owner, via }) => via.resolvedType === at && !seen.has(owner));
      expect(parent, `${at.name} is in some message`).toBeDefined();
      value = { [parent!.via.name]: parent!.via.repeated ? [value] : value };
      at = parent!.owner;
      seen.add(at);
    }
    const signal = roots[at.name]!;
    const bytes = oracleEncode(signal, value);
    const json = protobufToJson(signal, bytes);
    expect(json).toContain(`"${field.name}":`);
    expect(transcoded(signal, json)).toEqual(oracleDecode(signal, bytes));
  });
});

describe('B14 64-bit integers are exact', () => {
  it.each([
    { text: '"18446744073709551615"', value: '18446744073709551615' },
    { text: '18446744073709551615', value: '18446744073709551615' },
    { text: '1700000000123456789', value: '1700000000123456789' },
    { text: '"0"', value: '0' },
    { text: '1e3', value: '1000' },
    { text: '"1e3"', value: '1000' },
    { text: '17.0e18', value: '17000000000000000000' },
    { text: '-0', value: '0' },
  ])('$text', ({ text, value }) => {
    expect(span(withSpan(`"startTimeUnixNano":${text}`))['startTimeUnixNano'] ?? '0').toBe(value);
  });

  it.each([
    '18446744073709551616',
    '"18446744073709551616"',
    '-1',
    '"-1"',
    '1.5',
    '"abc"',
    '""',
    '" 1"',
    '"0x10"',
    '01',
    '+1',
    '.5',
    '1.',
    '1e400',
    `1${'0'.repeat(5000)}`,
    'true',
    '{}',
    '[]',
  ])('%s is no uint64', (text) =>
    expect(refused('traces', withSpan(`"startTimeUnixNano":${text}`)).code).toBe('malformed'),
  );

  it.each([
    { text: '"-9223372036854775808"', value: '-9223372036854775808' },
    { text: '9223372036854775807', value: '9223372036854775807' },
    { text: '-1', value: '-1' },
  ])('$text as an int64', ({ text, value }) => {
    expect(log(withLog(`"body":{"intValue":${text}}`))['body']).toEqual({ intValue: value });
    expect(point(withPoint(`"asInt":${text}`))['asInt']).toBe(value);
  });

  it('9223372036854775808 is no int64', () => {
    expect(refused('logs', withLog('"body":{"intValue":9223372036854775808}')).code).toBe('malformed');
  });
});

describe('B17 doubles', () => {
  it.each([
    { text: '"NaN"', value: 'NaN' },
    { text: '"Infinity"', value: 'Infinity' },
    { text: '"-Infinity"', value: '-Infinity' },
    { text: '-0', value: -0 },
    { text: '"1.25"', value: 1.25 },
    { text: '5e-324', value: 5e-324 },
  ])('$text', ({ text, value }) => {
    const json = withPoint(`"asDouble":${text}`);
    expect(point(json)['asDouble']).toEqual(value);
    expect(protobufToJson('metrics', jsonToProtobuf('metrics', Buffer.from(json)))).toContain(
      `"asDouble":${text.replace('"1.25"', '1.25')}`,
    );
  });
  it.each(['NaN', 'Infinity', '1e999', '"1e999"', '"x"', 'true'])('%s is none', (text) => {
    expect(refused('metrics', withPoint(`"asDouble":${text}`)).code).toBe('malformed');
  });
});

describe('names', () => {
  it.each([
    { name: 'snake_case', members: '"start_time_unix_nano":"7"' },
    { name: 'unknown members of every kind', members: '"x":1,"y":[{"z":[null,true,false,"\\u0000"]}],"w":{}' },
    {
      name: '__proto__ and constructor',
      members: '"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}',
    },
    { name: 'null', members: '"name":null,"attributes":null,"status":null,"startTimeUnixNano":null' },
  ])('$name are ignored', ({ members }) => {
    expect(Object.keys(span(withSpan(members))).sort()).toEqual(['spanId', 'traceId']);
    expect('polluted' in {}).toBe(false);
  });

  it('B12 an attribute may have any key', () => {
    const attributes = ['__proto__', 'constructor', '', 'ключ'].map((key) => ({ key, value: { stringValue: key } }));
    const json = withLog(`"attributes":${JSON.stringify(attributes)}`);
    const bytes = jsonToProtobuf('logs', Buffer.from(json));
    expect(JSON.parse(protobufToJson('logs', bytes))).toEqual(JSON.parse(json));
  });

  it('written with escapes is the same name', () => {
    expect(span(withSpan('"n\\u0061me":"x"'))['name']).toBe('x');
  });
});

describe('B13 duplicate members: the last one counts', () => {
  it.each([
    { name: 'scalars', members: '"name":"first","kind":1,"name":"last"', expected: { name: 'last', kind: 1 } },
    { name: 'null at last', members: '"name":"first","name":null', expected: {} },
    {
      name: 'arrays',
      members: '"events":[{"name":"a"},{"name":"b"}],"kind":2,"events":[{"name":"c"}]',
      expected: { kind: 2, events: [{ name: 'c' }] },
    },
    {
      name: 'messages',
      members: '"status":{"message":"a","code":2},"status":{"code":1}',
      expected: { status: { code: 1 } },
    },
    {
      name: 'thrice, among others',
      members: '"name":"a","kind":1,"traceState":"t","name":"b","kind":2,"name":"c"',
      expected: { traceState: 't', kind: 2, name: 'c' },
    },
    {
      name: 'within an unlike value',
      members: '"attributes":[{"key":"k","value":{"stringValue":"s","intValue":"1"}}]',
      expected: { attributes: [{ key: 'k', value: { intValue: '1' } }] },
    },
  ])('$name', ({ members, expected }) => {
    const { traceId, spanId, ...rest } = span(withSpan(members));
    expect(rest).toEqual(expected);
  });
});

describe('B15 ids', () => {
  it('are hex of any case', () => {
    const upper =
      '{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"ABCDEF0123456789abcdef0123456789","spanId":"FEDCBA9876543210"}]}]}]}';
    const bytes = jsonToProtobuf('traces', Buffer.from(upper));
    expect(walk('traces', bytes, defaultLimits).clean).toBe(true);
    expect(protobufToJson('traces', bytes)).toBe(
      upper
        .toLowerCase()
        .replace(
          /resourcespans|scopespans|traceid|spanid/g,
          (name) =>
            ({ resourcespans: 'resourceSpans', scopespans: 'scopeSpans', traceid: 'traceId', spanid: 'spanId' })[name]!,
        ),
    );
  });

  it.each([
    '',
    '00',
    '0102030405060708',
    '00000000000000000000000000000000',
    'AQIDBAUGBwgJCgsMDQ4PEA==',
    'zz02030405060708090a0b0c0d0e0f10',
    '102030405060708090a0b0c0d0e0f10',
  ])('trace id %j: that span is rejected, the others are kept; on a log record it is absent', (id) => {
    const spans = `{${ids},"name":"good"},{"traceId":"${id}","spanId":"0102030405060708"}`;
    const json = `{"resourceSpans":[{"scopeSpans":[{"spans":[${spans}]}]}]}`;
    const bytes = jsonToProtobuf('traces', Buffer.from(json));
    expect(rewrite('traces', bytes, defaultLimits)).toMatchObject({ records: 1, rejected: 1 });
    const logBytes = jsonToProtobuf('logs', Buffer.from(withLog(`"traceId":"${id}","severityText":"x"`)));
    const kept = rewrite('logs', logBytes, defaultLimits);
    expect(kept).toMatchObject({ records: 1, rejected: 0 });
    const [record] = recordsOf('logs', oracleDecode('logs', kept.bytes));
    expect(record).toEqual({ severityText: 'x' });
  });
});

describe('text', () => {
  it.each([
    { text: '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC"', value: '"\\/\b\f\n\r\té€' },
    { text: '"\\ud83d\\ude00 und 😀"', value: '😀 und 😀' },
    { text: '"\\ud83d"', value: '\u{fffd}' },
    { text: '"\\ude00\\ud83dx"', value: '\u{fffd}\u{fffd}x' },
    { text: '"\\ud83d\\ud83d\\ude00"', value: '\u{fffd}😀' },
    { text: `"${'x'.repeat(300)}\\n"`, value: `${'x'.repeat(300)}\n` },
  ])('$text', ({ text, value }) => expect(span(withSpan(`"name":${text}`))['name']).toBe(value));

  it('bytes are base64, standard or URL-safe', () => {
    for (const text of ['+/8=', '-_8=', '-_8', '+/8'])
      expect(log(withLog(`"body":{"bytesValue":"${text}"}`))['body']).toEqual({ bytesValue: '+/8=' });
    for (const text of ['+', '+/8=x', 'a b=', '===='])
      expect(refused('logs', withLog(`"body":{"bytesValue":"${text}"}`)).code).toBe('malformed');
  });

  it('B16 that is not UTF-8 is left for the slow path to repair', () => {
    const json = Buffer.concat([
      Buffer.from('{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"a'),
      Buffer.from([0xff]),
      Buffer.from('\\n"}]}]}]}'),
    ]);
    const bytes = jsonToProtobuf('logs', json);
    expect(walk('logs', bytes, defaultLimits).clean).toBe(false);
    const { bytes: repaired, message } = rewrite('logs', bytes, defaultLimits);
    expect(recordsOf('logs', oracleDecode('logs', repaired))).toEqual([{ severityText: 'a\u{fffd}\n' }]);
    expect(message).toContain('not UTF-8');
  });
});

describe.each(signals)('B11 %s: the text as a whole', (signal) => {
  it.each(['', '{}', ' {} \n', 'null', '\u{feff}{}', '{"x":1}'])('%j is an empty request', (json) => {
    expect(transcoded(signal, json)).toEqual({});
  });

  it.each([
    '[]',
    '"x"',
    '1',
    '{',
    '}',
    '{}x',
    '{} {}',
    '{,}',
    '{"a":1,}',
    '{"a"}',
    '{a:1}',
    "{'a':1}",
    '{"a":NaN}',
    '{"a":[1,]}',
    '{"a":[1 2]}',
    '{"a":tru}',
    '{"a":"\u{1}"}',
    '{"a":"\\x"}',
    '{"a":"\\u12g4"}',
    '{"a":"',
    '{"a',
    '{"a":1',
    ' ',
    '\u{feff}',
    '{}\u{feff}',
    '{"a":01}',
    '// x\n{}',
  ])('%j is malformed, and the message says where', (json) => {
    const fault = refused(signal, json);
    expect(fault.code).toBe('malformed');
    expect(fault.message).toMatch(/at byte \d+: /);
  });

  it.each([
    { name: 'brackets', json: (count: number) => '['.repeat(count) },
    { name: 'brackets in a member', json: (count: number) => `{"x":${'['.repeat(count)}` },
    { name: 'braces', json: (count: number) => '{"a":'.repeat(count) },
    { name: 'values', json: (count: number) => withLog(`"body":${'{"arrayValue":{"values":['.repeat(count)}`) },
  ])('500,000 $name are malformed', ({ json }) => {
    expect(refused('logs', json(500_000)).code).toBe('malformed');
  });
});

it('B11 a million members are one request', () => {
  const members = Array.from({ length: 1_000_000 }, (_, index) => `"k${index}":0`).join(',');
  expect(transcoded('logs', `{${members}}`)).toEqual({});
});

it('B10 a value nested 64 deep is kept; one nested deeper costs only its own record', () => {
  const nested = (depth: number) => '{"arrayValue":{"values":['.repeat(depth) + ']}}'.repeat(depth);
  const maps = (depth: number) =>
    `${'{"kvlistValue":{"values":[{"key":"k","value":'.repeat(depth)}null${'}]}}'.repeat(depth)}`;
  for (const value of [nested, maps]) {
    const records = `{"body":${value(65)}},{"body":${value(64)}}`;
    const bytes = jsonToProtobuf('logs', Buffer.from(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[${records}]}]}]}`));
    expect(rewrite('logs', bytes, defaultLimits)).toMatchObject({ records: 1, rejected: 1 });
  }
});

describe('a value of the wrong type is malformed, and the message names its place', () => {
  it.each<{ signal: Signal; json: string; path: string }>([
    { signal: 'traces', json: '{"resourceSpans":{}}', path: 'resourceSpans' },
    { signal: 'traces', json: '{"resourceSpans":[{},7]}', path: 'resourceSpans[1]' },
    {
      signal: 'traces',
      json: withSpan('"kind":"SPAN_KIND_SERVER"'),
      path: 'resourceSpans[0].scopeSpans[0].spans[0].kind',
    },
    { signal: 'traces', json: withSpan('"kind":2147483648'), path: 'resourceSpans[0].scopeSpans[0].spans[0].kind' },
    { signal: 'traces', json: withSpan('"name":7'), path: 'resourceSpans[0].scopeSpans[0].spans[0].name' },
    { signal: 'traces', json: withSpan('"flags":4294967296'), path: 'resourceSpans[0].scopeSpans[0].spans[0].flags' },
    {
      signal: 'traces',
      json: withSpan('"droppedEventsCount":-1'),
      path: 'resourceSpans[0].scopeSpans[0].spans[0].droppedEventsCount',
    },
    {
      signal: 'traces',
      json: '{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":7}]}]}]}',
      path: 'resourceSpans[0].scopeSpans[0].spans[0].traceId',
    },
    { signal: 'logs', json: withLog('"body":"text"'), path: 'resourceLogs[0].scopeLogs[0].logRecords[0].body' },
    {
      signal: 'logs',
      json: withLog('"body":{"boolValue":"true"}'),
      path: 'resourceLogs[0].scopeLogs[0].logRecords[0].body.boolValue',
    },
    {
      signal: 'logs',
      json: withLog('"body":{"arrayValue":{"values":[{},{"intValue":"x"}]}}'),
      path: 'resourceLogs[0].scopeLogs[0].logRecords[0].body.arrayValue.values[1].intValue',
    },
  ])('$path', ({ signal, json, path }) => {
    const fault = refused(signal, json);
    expect(fault.parameter).toBe(path);
    expect(fault.message).toContain(`${path} must be `);
  });
});
