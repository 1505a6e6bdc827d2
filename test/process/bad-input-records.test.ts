import { expect } from 'vitest';
import { encoded, full, logs, metrics, send, text, traces } from '../kit/bad-input.ts';
import {
  badInputProcess,
  binary,
  gauge,
  logOf,
  mebibyte,
  newId,
  newName,
  nowNanos,
  pointOf,
  type Stored,
  spanOf,
} from '../kit/bad-input-rows.ts';
import { oracleDecode, type Plain, recordsOf } from '../kit/otlp-oracle.ts';
import { getJson } from '../kit/process.ts';
import { protocols } from '../kit/records.ts';

// B15 to B22: what records hold.

const { running, atOnce, spansOf, logsOf, vector } = badInputProcess();

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
  const answer = await send(running, 'http/json', 'traces', Buffer.from(JSON.stringify(traces(...spans))));
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
