import { describe, expect, it } from 'vitest';
import { nested } from '../../test/kit/bad-input.ts';
import { oracleDecode, oracleEncode, type Plain, recordsOf } from '../../test/kit/otlp-oracle.ts';
import type { Signal } from '../base/index.ts';
import { defaultLimits, type Limits, type Rewritten, rewrite, Writer, walk } from './index.ts';

const traceId = Buffer.alloc(16, 1);
const spanId = Buffer.alloc(8, 2);
const goodSpan = { traceId, spanId, name: 'good' };
const now = 1_700_000_000_000_000_000n;

function traces(...spans: Plain[]): Uint8Array {
  return oracleEncode('traces', { resourceSpans: [{ scopeSpans: [{ spans }] }] });
}
function logs(...logRecords: Plain[]): Uint8Array {
  return oracleEncode('logs', { resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
}
function metrics(...list: Plain[]): Uint8Array {
  return oracleEncode('metrics', { resourceMetrics: [{ scopeMetrics: [{ metrics: list }] }] });
}

interface Result extends Rewritten {
  kept: Plain[];
}

/** Walks, expects that something is wrong, rewrites, and expects that nothing is wrong any more. */
function mended(signal: Signal, bytes: Uint8Array, limits: Limits = defaultLimits): Result {
  expect(walk(signal, bytes, limits, now).clean).toBe(false);
  const rewritten = rewrite(signal, bytes, limits, now);
  expect(walk(signal, rewritten.bytes, limits, now)).toMatchObject({ clean: true, records: rewritten.records });
  expect(rewritten.message.length).toBeLessThanOrEqual(2000);
  return { ...rewritten, kept: recordsOf(signal, oracleDecode(signal, rewritten.bytes)) };
}

/** A message field around bytes. */
function field(number: number, content: Uint8Array): Uint8Array {
  const writer = new Writer();
  writer.bytes(number, content);
  return writer.finish();
}

function attribute(value: Uint8Array): Uint8Array {
  return Buffer.concat([field(1, Buffer.from('deep')), field(2, value)]);
}

describe('B15 ids of spans', () => {
  it.each([
    { name: 'no ids', span: { name: 'x' } },
    { name: 'no span id', span: { traceId } },
    { name: 'short trace id', span: { traceId: traceId.subarray(1), spanId } },
    { name: 'long span id', span: { traceId, spanId: Buffer.alloc(9, 1) } },
    { name: 'trace id all zero', span: { traceId: Buffer.alloc(16), spanId } },
    { name: 'span id all zero', span: { traceId, spanId: Buffer.alloc(8) } },
    { name: 'parent span id of 7 bytes', span: { traceId, spanId, parentSpanId: Buffer.alloc(7, 1) } },
  ])('$name: that span is rejected, the others are kept', ({ span }) => {
    const result = mended('traces', traces(goodSpan, span, { ...goodSpan, name: 'too' }));
    expect(result).toMatchObject({ records: 2, rejected: 1 });
    expect(result.kept.map((kept) => kept['name'])).toEqual(['good', 'too']);
    expect(result.message).toContain('rejected 1 span: trace id must be 16 bytes');
    expect(result.message).toContain('resourceSpans[0].scopeSpans[0].spans[1]');
  });

  it('a parent span id that is all zero is none', () => {
    const { kept, rejected } = mended('traces', traces({ ...goodSpan, parentSpanId: Buffer.alloc(8) }));
    expect(rejected).toBe(0);
    expect(kept).toEqual(recordsOf('traces', oracleDecode('traces', traces(goodSpan))));
  });

  it('a link whose ids are none keeps everything else', () => {
    const links = [{ traceId: Buffer.alloc(3, 1), spanId, traceState: 'a=b' }];
    const { kept, rejected, message } = mended('traces', traces({ ...goodSpan, links }));
    expect(rejected).toBe(0);
    expect(kept[0]!['links']).toEqual([{ spanId: spanId.toString('base64'), traceState: 'a=b' }]);
    expect(message).toContain('ids that are no ids were removed');
  });

  it('leaves nothing behind where no record is left', () => {
    expect(mended('traces', traces({}, {}))).toMatchObject({ records: 0, rejected: 2, kept: [] });
  });
});

describe('B15 ids of log records', () => {
  it.each([
    { name: 'trace id all zero', record: { traceId: Buffer.alloc(16) } },
    { name: 'trace id of 4 bytes', record: { traceId: Buffer.alloc(4, 1) } },
    { name: 'span id of 9 bytes', record: { spanId: Buffer.alloc(9, 1) } },
  ])('$name: the record is kept, the id is absent', ({ record }) => {
    const { kept, rejected } = mended('logs', logs({ ...record, severityText: 'kept' }));
    expect(rejected).toBe(0);
    expect(kept).toEqual([{ severityText: 'kept' }]);
  });
});

describe('B10 depth of values', () => {
  const request = (value: Uint8Array): Uint8Array => {
    const record = Buffer.concat([field(6, attribute(value)), field(3, Buffer.from('text'))]);
    const records = Buffer.concat([field(2, record), field(2, field(3, Buffer.from('other')))]);
    return field(1, field(2, records));
  };

  it.each(['array', 'map'] as const)('64 of %s are kept exactly', (kind) => {
    const bytes = request(nested(64, kind));
    expect(walk('logs', bytes, defaultLimits)).toMatchObject({ clean: true, records: 2 });
    expect(Buffer.from(rewrite('logs', bytes, defaultLimits).bytes).equals(bytes)).toBe(true);
  });

  it.each([65, 1000, 100_000, 1_000_000])('%d: that record is rejected, the other is kept', (depth) => {
    for (const kind of ['array', 'map'] as const) {
      const { kept, rejected, message } = mended('logs', request(nested(depth, kind)));
      expect(rejected).toBe(1);
      expect(kept).toEqual([{ severityText: 'other' }]);
      expect(message).toContain('a value is nested too deep');
    }
  });

  it('too deep a body rejects its record', () => {
    const bytes = field(1, field(2, field(2, field(5, nested(65)))));
    expect(mended('logs', bytes)).toMatchObject({ rejected: 1, records: 0 });
  });

  it('too deep in a resource or a scope rejects all records that share it', () => {
    const deep = attribute(nested(65));
    const spans = Buffer.concat([
      field(2, Buffer.concat([field(1, traceId), field(2, spanId)])),
      field(2, Buffer.alloc(0)),
    ]);
    const other = traces(goodSpan);
    const inResource = Buffer.concat([field(1, Buffer.concat([field(1, field(1, deep)), field(2, spans)])), other]);
    expect(mended('traces', inResource)).toMatchObject({ rejected: 2, records: 1 });
    const inScope = Buffer.concat([field(1, field(2, Buffer.concat([field(1, field(3, deep)), spans]))), other]);
    expect(mended('traces', inScope)).toMatchObject({ rejected: 2, records: 1 });
  });
});

describe('B16 text that is not UTF-8', () => {
  it('becomes U+FFFD in that value only', () => {
    const bad = Buffer.from([0x61, 0xff, 0x62]);
    const keyValue = Buffer.concat([field(1, Buffer.from('key')), field(2, field(1, bad))]);
    const record = Buffer.concat([field(3, Buffer.from('Ünverändert')), field(6, keyValue)]);
    const { kept, rejected, message } = mended('logs', field(1, field(2, field(2, record))));
    expect(rejected).toBe(0);
    expect(kept).toEqual([
      { severityText: 'Ünverändert', attributes: [{ key: 'key', value: { stringValue: 'a\u{fffd}b' } }] },
    ]);
    expect(message).toContain('not UTF-8');
  });

  it.each([
    { name: 'cut off', bytes: [0xe2, 0x82] },
    { name: 'overlong', bytes: [0xc0, 0x80] },
    { name: 'a surrogate', bytes: [0xed, 0xa0, 0x80] },
    { name: 'beyond U+10FFFF', bytes: [0xf4, 0x90, 0x80, 0x80] },
  ])('$name, wherever a string can be', ({ bytes }) => {
    const bad = Buffer.from(bytes);
    const span = (extra: Uint8Array) => Buffer.concat([field(1, traceId), field(2, spanId), extra]);
    const inSpan = [
      field(5, bad),
      field(3, bad),
      field(15, field(2, bad)),
      field(11, field(2, bad)),
      field(13, field(3, bad)),
    ];
    for (const extra of inSpan) mended('traces', field(1, field(2, field(2, span(extra)))));
    const record = field(2, span(Buffer.alloc(0)));
    for (const resource of [field(3, bad), field(1, field(3, field(2, bad))), field(1, field(3, field(3, bad)))])
      mended('traces', field(1, Buffer.concat([resource, field(2, record)])));
    for (const scope of [field(3, bad), field(1, field(1, bad)), field(1, field(2, bad))])
      mended('traces', field(1, field(2, Buffer.concat([scope, record]))));
    const gauge = field(5, field(1, Buffer.from([0x31, 0, 0, 0, 0, 0, 0, 0, 0])));
    for (const metric of [field(1, bad), field(2, bad), field(3, bad)])
      mended('metrics', field(1, field(2, field(2, Buffer.concat([field(1, Buffer.from('m')), metric, gauge])))));
  });
});

describe('B18 caps', () => {
  const attributes = (count: number, value: Plain = { stringValue: 'v' }) =>
    Array.from({ length: count }, (_, index) => ({ key: `k${index}`, value }));

  it('1,024 attributes stay as they are; more are dropped and counted', () => {
    expect(walk('logs', logs({ attributes: attributes(1024) }), defaultLimits).clean).toBe(true);
    const { kept, rejected } = mended('logs', logs({ attributes: attributes(10_000), droppedAttributesCount: 5 }));
    expect(rejected).toBe(0);
    expect(kept[0]!['attributes']).toEqual(attributes(1024));
    expect(kept[0]!['droppedAttributesCount']).toBe(10_000 - 1024 + 5);
  });

  it('holds for spans, events, links, scopes, resources and data points', () => {
    const many = attributes(1025);
    const { kept } = mended(
      'traces',
      traces({
        ...goodSpan,
        attributes: many,
        events: [{ attributes: many }],
        links: [{ traceId, spanId, attributes: many }],
      }),
    );
    expect(kept[0]).toMatchObject({
      droppedAttributesCount: 1,
      events: [{ droppedAttributesCount: 1 }],
      links: [{ droppedAttributesCount: 1 }],
    });
    const bytes = oracleEncode('metrics', {
      resourceMetrics: [
        {
          resource: { attributes: many },
          scopeMetrics: [
            {
              scope: { attributes: many },
              metrics: [{ name: 'm', gauge: { dataPoints: [{ asInt: 1, attributes: many }] } }],
            },
          ],
        },
      ],
    });
    const decoded = oracleDecode('metrics', mended('metrics', bytes).bytes);
    expect(decoded).toMatchObject({
      resourceMetrics: [
        { resource: { droppedAttributesCount: 1 }, scopeMetrics: [{ scope: { droppedAttributesCount: 1 } }] },
      ],
    });
    expect(recordsOf('metrics', decoded)[0]!['attributes']).toHaveLength(1024);
  });

  it('10,000 events and links', () => {
    const events = Array.from({ length: 10_000 }, (_, index) => ({ name: `e${index}` }));
    const links = Array.from({ length: 2000 }, () => ({ traceId, spanId }));
    const { kept } = mended('traces', traces({ ...goodSpan, events, links }));
    expect(kept[0]!['events']).toHaveLength(1024);
    expect(kept[0]!['links']).toHaveLength(1024);
    expect(kept[0]).toMatchObject({ droppedEventsCount: 10_000 - 1024, droppedLinksCount: 2000 - 1024 });
  });

  it('a value of 1 MiB is cut at the end of a character', () => {
    const { kept, message } = mended(
      'logs',
      logs({ attributes: attributes(1, { stringValue: `a${'é'.repeat(512 * 1024)}` }) }),
    );
    expect(kept[0]!['attributes']).toEqual(attributes(1, { stringValue: `a${'é'.repeat(32 * 1024 - 1)}` }));
    expect(message).toContain('cut');
  });

  it('bytes, and values within values, are cut, too', () => {
    const long = Buffer.alloc(70_000, 7);
    const value = {
      arrayValue: { values: [{ kvlistValue: { values: [{ key: 'k', value: { bytesValue: long } }] } }] },
    };
    const cut = long.subarray(0, 65_536).toString('base64');
    expect(mended('logs', logs({ attributes: attributes(1, value) })).kept[0]!['attributes']).toEqual(
      attributes(1, {
        arrayValue: { values: [{ kvlistValue: { values: [{ key: 'k', value: { bytesValue: cut } }] } }] },
      }),
    );
  });

  it('a body is not an attribute: it is not cut', () => {
    expect(walk('logs', logs({ body: { stringValue: 'x'.repeat(1 << 20) } }), defaultLimits).clean).toBe(true);
  });

  it('an attribute with a key of 5,000 bytes is dropped and counted', () => {
    const list = [{ key: 'k'.repeat(5000), value: { boolValue: true } }, ...attributes(1)];
    expect(mended('logs', logs({ attributes: list })).kept).toEqual([
      { attributes: attributes(1), droppedAttributesCount: 1 },
    ]);
  });

  it('empty and duplicate keys are kept', () => {
    expect(walk('logs', logs({ attributes: [{}, {}, ...attributes(1), ...attributes(1)] }), defaultLimits).clean).toBe(
      true,
    );
  });
});

describe('B20 data points', () => {
  const good = { name: 'good', gauge: { dataPoints: [{ asInt: '1' }] } };
  const histogram = (point: Plain, aggregationTemporality = 2) => ({
    name: 'h',
    histogram: { dataPoints: [point], aggregationTemporality },
  });
  const exponential = (point: Plain) => ({
    name: 'e',
    exponentialHistogram: { dataPoints: [point], aggregationTemporality: 2 },
  });
  const reasons = {
    histogram: 'bounds must increase',
    exponential: 'scale or offset is out of range',
    temporality: 'the aggregation temporality',
    value: 'there is no value',
    name: 'the metric has no name',
    future: 'the time is too far in the future',
    buckets: 'too many buckets',
  };

  it.each([
    {
      name: 'as many counts as bounds',
      metric: histogram({ count: 3, bucketCounts: [1, 2], explicitBounds: [1, 2] }),
      reason: reasons.histogram,
    },
    {
      name: 'counts without bounds to match',
      metric: histogram({ count: 3, bucketCounts: [1, 1, 1], explicitBounds: [1] }),
      reason: reasons.histogram,
    },
    { name: 'bounds without counts', metric: histogram({ count: 3, explicitBounds: [1] }), reason: reasons.histogram },
    {
      name: 'bounds that fall',
      metric: histogram({ count: 3, bucketCounts: [1, 1, 1], explicitBounds: [2, 1] }),
      reason: reasons.histogram,
    },
    {
      name: 'a bound twice',
      metric: histogram({ count: 3, bucketCounts: [1, 1, 1], explicitBounds: [1, 1] }),
      reason: reasons.histogram,
    },
    {
      name: 'NaN as a bound',
      metric: histogram({ count: 2, bucketCounts: [1, 1], explicitBounds: [Number.NaN] }),
      reason: reasons.histogram,
    },
    {
      name: 'a count that is not the sum',
      metric: histogram({ count: 4, bucketCounts: [1, 2], explicitBounds: [1] }),
      reason: reasons.histogram,
    },
    { name: 'a histogram without temporality', metric: histogram({ count: 1 }, 0), reason: reasons.temporality },
    {
      name: 'a sum without temporality',
      metric: { name: 's', sum: { dataPoints: [{ asInt: 1 }] } },
      reason: reasons.temporality,
    },
    {
      name: 'a temporality that does not exist',
      metric: { name: 's', sum: { dataPoints: [{ asInt: 1 }], aggregationTemporality: 3 } },
      reason: reasons.temporality,
    },
    { name: 'no value', metric: { name: 'g', gauge: { dataPoints: [{ timeUnixNano: 1 }] } }, reason: reasons.value },
    { name: 'B21 no name', metric: { gauge: { dataPoints: [{ asInt: 1 }] } }, reason: reasons.name },
    { name: 'scale 100', metric: exponential({ scale: 100 }), reason: reasons.exponential },
    { name: 'scale −100', metric: exponential({ scale: -100 }), reason: reasons.exponential },
    {
      name: 'offset 2^31 − 1',
      metric: exponential({ positive: { offset: 2 ** 31 - 1 } }),
      reason: reasons.exponential,
    },
    { name: 'offset −2^31', metric: exponential({ negative: { offset: -(2 ** 31) } }), reason: reasons.exponential },
    {
      name: 'an exponential count that is not the sum',
      metric: exponential({ count: 4, zeroCount: 1, positive: { bucketCounts: [1] } }),
      reason: reasons.histogram,
    },
    {
      name: '20,000 buckets',
      metric: exponential({ positive: { bucketCounts: Array(20_000).fill(0) } }),
      reason: reasons.buckets,
    },
    {
      name: 'B19 11 minutes ahead',
      metric: { name: 'g', gauge: { dataPoints: [{ asInt: 1, timeUnixNano: String(now + 660_000_000_000n) }] } },
      reason: reasons.future,
    },
    {
      name: 'B19 the year 2554',
      metric: { name: 'q', summary: { dataPoints: [{ timeUnixNano: '18446744073709551615' }] } },
      reason: reasons.future,
    },
  ])('$name: rejected, the others kept', ({ metric, reason }) => {
    const { records, rejected, message } = mended('metrics', metrics(good, metric, good));
    expect({ records, rejected }).toEqual({ records: 2, rejected: 1 });
    expect(message).toContain(reason);
    expect(message).toContain('metrics[1]');
  });

  it.each([
    { name: 'no buckets at all', metric: histogram({ count: 7, sum: 3 }) },
    { name: 'one bucket without bounds', metric: histogram({ count: 7, bucketCounts: [7] }) },
    {
      name: 'infinite bounds',
      metric: histogram({ count: 3, bucketCounts: [1, 1, 1], explicitBounds: [-Infinity, Infinity] }),
    },
    {
      name: 'NaN observed: counted in no bucket',
      metric: histogram({ count: 4, sum: Number.NaN, bucketCounts: [1, 2], explicitBounds: [1] }),
    },
    {
      name: 'counts beyond 2^53',
      metric: histogram({
        count: '18446744073709551615',
        bucketCounts: ['9223372036854775807', '9223372036854775808'],
        explicitBounds: [1],
      }),
    },
    { name: 'a stale marker without value', metric: { name: 'g', gauge: { dataPoints: [{ flags: 1 }] } } },
    { name: 'NaN', metric: { name: 'g', gauge: { dataPoints: [{ asDouble: Number.NaN }] } } },
    {
      name: '9 minutes ahead',
      metric: { name: 'g', gauge: { dataPoints: [{ asInt: 1, timeUnixNano: String(now + 540_000_000_000n) }] } },
    },
    { name: 'B21 a name of 100 KB', metric: { name: 'x'.repeat(100_000), gauge: { dataPoints: [{ asInt: 1 }] } } },
    { name: 'a gauge without points', metric: { name: 'g', gauge: {} } },
    { name: 'a sum without points or temporality', metric: { name: 's', sum: {} } },
  ])('$name: kept', ({ metric }) => {
    expect(walk('metrics', metrics(metric), defaultLimits, now).clean).toBe(true);
  });

  it('rejects one point of a metric and keeps its neighbours', () => {
    const point = (count: number) => ({ count, bucketCounts: [1, 1], explicitBounds: [5] });
    const bytes = metrics({
      name: 'h',
      unit: 's',
      histogram: { dataPoints: [point(2), point(9), point(2)], aggregationTemporality: 1 },
    });
    const { kept, rejected, message } = mended('metrics', bytes);
    expect(rejected).toBe(1);
    expect(kept).toHaveLength(2);
    expect(message).toContain('metrics[0].dataPoints[1]');
  });

  it('a metric without data is left out with a warning', () => {
    expect(mended('metrics', metrics({ name: 'nothing' }, good))).toMatchObject({
      records: 1,
      rejected: 0,
      message: expect.stringContaining('without data'),
    });
  });

  it('without a clock, no time is too far ahead', () => {
    const bytes = metrics({ name: 'g', gauge: { dataPoints: [{ asInt: 1, timeUnixNano: '18446744073709551615' }] } });
    expect(walk('metrics', bytes, defaultLimits).clean).toBe(true);
  });
});

describe('what protobuf allows and nobody sends', () => {
  it('a Resource in two parts is merged', () => {
    const part = (key: string) => field(1, field(1, field(1, Buffer.from(key))));
    const bytes = field(1, Buffer.concat([part('a'), part('b'), field(2, field(2, field(3, Buffer.from('x'))))]));
    const { bytes: merged } = mended('logs', bytes);
    expect(oracleDecode('logs', merged)).toEqual(oracleDecode('logs', bytes));
    expect(walk('logs', merged, defaultLimits).resources).toHaveLength(1);
  });

  it('of two kinds of data the last one counts', () => {
    const point = Buffer.from([0x31, 1, 0, 0, 0, 0, 0, 0, 0]);
    const metric = Buffer.concat([field(1, Buffer.from('m')), field(5, field(1, point)), field(5, field(1, point))]);
    expect(mended('metrics', field(1, field(2, field(2, metric)))).records).toBe(1);
  });

  it('fields of later versions are kept, in what is mended and around it', () => {
    const unknown = field(2000, Buffer.from('later'));
    const record = Buffer.concat([unknown, field(9, Buffer.alloc(16)), field(3, Buffer.from('x'))]);
    const bytes = Buffer.concat([
      unknown,
      field(1, Buffer.concat([unknown, field(2, Buffer.concat([field(2, record), unknown]))])),
    ]);
    const expected = Buffer.concat([
      unknown,
      field(
        1,
        Buffer.concat([
          unknown,
          field(2, Buffer.concat([field(2, Buffer.concat([unknown, field(3, Buffer.from('x'))])), unknown])),
        ]),
      ),
    ]);
    expect(Buffer.from(mended('logs', bytes).bytes).equals(expected)).toBe(true);
  });
});

it('B22 a message about many things stays short', () => {
  const spans = Array.from({ length: 5000 }, () => ({}));
  const { message, rejected } = mended('traces', traces(...spans));
  expect(rejected).toBe(5000);
  expect(message).toMatch(/^rejected 5000 spans: /);
  expect(message.length).toBeLessThan(300);
});
