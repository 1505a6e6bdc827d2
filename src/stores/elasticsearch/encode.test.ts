import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeOtlp } from '../../../test/kit/otlp.ts';
import { runs } from '../../../test/kit/runs.ts';
import type { Frame } from '../../base/index.ts';
import { plainAttributes, plainValue, Reader } from '../../otlp/index.ts';
import type { Json, Refusal } from '../contract.ts';
import { bulkEncoder, clearBulk, hasLongWord, newBulk } from './encode.ts';
import { logRow, type Source } from './rows.ts';
import { orderedHex, parseTerm } from './terms.ts';

const noon = 1_769_860_800_000_000_000n; // 2026-01-31T12:00:00Z
const weekMs = 7 * 86_400_000;
const text = (value: string) => ({ stringValue: value });
const attribute = (key: string, value: object) => ({ key, value });

function frameOf(records: object[], given: { resource?: object[]; receivedUnixNano?: bigint } = {}): Frame {
  const body = encodeOtlp('logs', {
    resourceLogs: [
      { resource: { attributes: given.resource ?? [] }, scopeLogs: [{ scope: { name: 'lib' }, logRecords: records }] },
    ],
  });
  return {
    seq: 1,
    tenant: '',
    digest: createHash('sha256').update(body).digest().subarray(0, 16),
    receivedUnixNano: given.receivedUnixNano ?? noon,
    records: records.length,
    body,
  };
}

interface Item {
  readonly index: string;
  readonly id: string;
  readonly source: Source & { readonly [field: string]: unknown };
}

function itemsOf(frames: Frame[], encoder = bulkEncoder(weekMs), bytesMax = Number.POSITIVE_INFINITY): Item[] {
  const bulk = newBulk();
  const items: Item[] = [];
  const refused: Refusal[] = [];
  let place: ReturnType<typeof encoder.encode> = { frame: 0, record: 0 };
  while (place !== undefined) {
    clearBulk(bulk);
    place = encoder.encode(frames, place, bytesMax, bulk, () => undefined, refused);
    const lines = bulk.body.bytes.toString('utf8', 0, bulk.body.used).split('\n');
    expect(lines.pop()).toBe('');
    expect(lines).toHaveLength(bulk.starts.length * 2);
    for (let at = 0; at < lines.length; at += 2) {
      const { create } = JSON.parse(lines[at]!) as { create: { _index: string; _id: string } };
      items.push({ index: create._index, id: create._id, source: JSON.parse(lines[at + 1]!) as Item['source'] });
    }
  }
  expect(refused).toEqual([]);
  return items;
}

const sourceOf = (record: object, given?: Parameters<typeof frameOf>[1]) =>
  itemsOf([frameOf([record], given)])[0]!.source;

const value: fc.Arbitrary<object> = fc.letrec<{ value: object }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.string({ unit: 'binary', maxLength: 30 }).map((stringValue) => ({ stringValue })),
    fc
      .constantFrom('5', '-1.5e3', '', 'é'.repeat(700), 'x'.repeat(1_024), 'x'.repeat(1_025))
      .map((stringValue) => ({ stringValue })),
    fc.boolean().map((boolValue) => ({ boolValue })),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((each) => ({ intValue: String(each) })),
    fc.integer().map((each) => ({ intValue: String(each) })),
    fc.double().map((doubleValue) => ({ doubleValue })),
    fc.uint8Array({ maxLength: 10 }).map((bytesValue) => ({ bytesValue })),
    fc.constant({}),
    fc.array(tie('value'), { maxLength: 4 }).map((values) => ({ arrayValue: { values } })),
    fc
      .array(fc.tuple(fc.constantFrom('a', 'b', '', '__proto__', '"'), tie('value')), { maxLength: 4 })
      .map((pairs) => ({ kvlistValue: { values: pairs.map(([key, each]) => ({ key, value: each })) } })),
  ),
})).value;
/** Keys may come twice. None has a backslash: V8 (Node 24.21) takes one with an escape for it when it parses both. */
const attributes = fc.array(
  fc
    .tuple(fc.constantFrom('k', 'a=b', '', '"q"', '__proto__', 'http.route', 'ключ'), value)
    .map(([key, each]) => attribute(key, each)),
  { maxLength: 8 },
);

describe('a record comes back as it was sent', () => {
  it('every attribute and body, nested, empty, bytes, NaN and beyond 2^53', () => {
    const encoder = bulkEncoder(weekMs);
    fc.assert(
      fc.property(attributes, attributes, value, (own, ofResource, body) => {
        const frame = frameOf([{ timeUnixNano: String(noon), attributes: own, body }], { resource: ofResource });
        const row = logRow(itemsOf([frame], encoder)[0]!.source);
        const [record, resource] = messagesOf(frame.body);
        expect(row.attributes).toEqual(plainAttributes(record, 0, record.length, 6));
        expect(row.resource).toEqual(plainAttributes(resource, 0, resource.length, 1));
        const any = encodeOtlp('logs', { resourceLogs: [{ scopeLogs: [{ logRecords: [{ body }] }] }] });
        expect(row.body).toEqual(withoutNegativeZero(bodyOf(any)));
      }),
      { numRuns: runs(300) },
    );
  });

  it('times, ids, names and counts', () => {
    const frame = frameOf([
      {
        timeUnixNano: String(noon + 123_456_789n),
        observedTimeUnixNano: String(noon + 1n),
        severityNumber: 17,
        severityText: 'ERROR "x"',
        eventName: 'ünï',
        droppedAttributesCount: 3,
        flags: 1,
        traceId: Buffer.alloc(16, 0xab),
        spanId: Buffer.alloc(8, 0xcd),
      },
    ]);
    const { source } = itemsOf([frame])[0]!;
    expect(logRow(source)).toMatchObject({
      id: `${Buffer.from(frame.digest).toString('hex')}-0`,
      timeUnixNano: noon + 123_456_789n,
      observedTimeUnixNano: noon + 1n,
      severityNumber: 17,
      severityText: 'ERROR "x"',
      eventName: 'ünï',
      traceId: 'ab'.repeat(16),
      spanId: 'cd'.repeat(8),
      scopeName: 'lib',
    });
    expect(source).toMatchObject({ dropped_attributes_count: 3, trace_flags: 1 });
  });

  it.each([
    [0n, 5n, 5n],
    [0n, 0n, noon],
    [1n, 0n, 1n],
    [999_999_999n, 0n, 999_999_999n],
    [2n ** 63n - 1n, 0n, 2n ** 63n - 1n],
    [2n ** 64n - 1n, 2n ** 63n, 2n ** 64n - 1n],
  ])('time %d, observed %d', (time, observed, expected) => {
    const row = logRow(sourceOf({ timeUnixNano: String(time), observedTimeUnixNano: String(observed) }));
    expect([row.timeUnixNano, row.observedTimeUnixNano]).toEqual([expected, observed]);
  });

  it('any time at all, to the nanosecond', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), (time) => {
        expect(logRow(sourceOf({ timeUnixNano: String(time) })).timeUnixNano).toBe(time);
      }),
    );
  });
});

describe('terms', () => {
  it('tell the type and value of each attribute once, elements of arrays too, and order its number', () => {
    const encoder = bulkEncoder(weekMs);
    fc.assert(
      fc.property(attributes, (own) => {
        const [item] = itemsOf([frameOf([{ attributes: own }])], encoder);
        const source = item!.source as unknown as { [field: string]: string[] | undefined };
        const plain = logRow(item!.source).attributes;
        const keys = (source['keys'] ?? []).map((term) => term.slice(2));
        expect(keys.toSorted()).toEqual(Object.keys(plain).toSorted());
        const terms = (source['attrs'] ?? []).map(parseTerm);
        expect(terms.filter(({ type }) => type !== 'e' && type !== 'f').map(({ key }) => key)).toEqual(keys);
        for (const { type, key, value: found, long } of terms) {
          if (long || type === 'e' || type === 'f') continue;
          const json = plain[key]!;
          expect(found).toBe(typeof json === 'string' ? json : JSON.stringify(json));
        }
        for (const [key, json] of Object.entries(plain)) {
          if (Array.isArray(json)) {
            expect(terms.filter((term) => term.key === key && (term.type === 'e' || term.type === 'f'))).toHaveLength(
              json.length,
            );
          }
          if (typeof json === 'number') {
            expect(source['numbers']).toContain(`${key.replaceAll(/[\\=]/g, '\\$&')}=${orderedHex(json)}`);
          }
        }
      }),
      { numRuns: runs(300) },
    );
  });
});

describe('where a record goes', () => {
  it.each([
    ['its day', '2026-01-30T23:59:59.999Z', '2026.01.30'],
    ['the day of its receipt, from the future', '2026-02-01T12:00:00Z', '2026.01.31'],
    ['the day of its receipt, older than it would be kept', '2026-01-23T12:00:00Z', '2026.01.31'],
  ])('%s', (_, time, day) => {
    const [item] = itemsOf([frameOf([{ timeUnixNano: String(BigInt(Date.parse(time)) * 1_000_000n) }])]);
    expect(item!.index).toBe(`watchingcat-logs-${day}`);
  });

  it('the same id each time, another one for each record, alike for neighbours in time', () => {
    const frame = frameOf(Array.from({ length: 300 }, () => ({ timeUnixNano: String(noon) })));
    const ids = itemsOf([frame]).map(({ id }) => id);
    expect(new Set(ids).size).toBe(300);
    expect(itemsOf([frame]).map(({ id }) => id)).toEqual(ids);
    expect(new Set(ids.map((id) => id.slice(0, 20))).size).toBe(1);
    expect(ids[0]).toMatch(/^[\w-]{26}$/);
  });
});

describe('a request', () => {
  it('is cut where it is full, and nothing is missing or twice', () => {
    const frames = [3, 0, 40, 1].map((count) =>
      frameOf(Array.from({ length: count }, (_, n) => ({ body: text(`line ${n}`) }))),
    );
    const whole = itemsOf(frames).map(({ source }) => source.body);
    expect(whole).toHaveLength(44);
    for (const bytesMax of [1, 500, 5_000]) {
      expect(itemsOf(frames, bulkEncoder(weekMs), bytesMax).map(({ source }) => source.body)).toEqual(whole);
    }
  });

  it('leaves out what is stored already', () => {
    const bulk = newBulk();
    const frame = frameOf([{}, {}, {}]);
    bulkEncoder(weekMs).encode([frame], { frame: 0, record: 0 }, 1e9, bulk, () => Uint8Array.of(1, 0, 1), []);
    expect(bulk.records).toEqual([1]);
  });

  it('refuses a frame that is none, and takes the others', () => {
    const refused: Refusal[] = [];
    const bulk = newBulk();
    const bad = { ...frameOf([{}]), body: Uint8Array.of(0x0a, 0x05, 0x12) };
    bulkEncoder(weekMs).encode(
      [frameOf([{}]), bad, frameOf([{}])],
      { frame: 0, record: 0 },
      1e9,
      bulk,
      () => undefined,
      refused,
    );
    expect(bulk.frames).toEqual([0, 2]);
    expect(refused).toMatchObject([{ frame: 1, record: undefined, count: 1 }]);
  });
});

describe('Kubernetes events', () => {
  it('of the k8s_events receiver', () => {
    const resource = [attribute('k8s.object.kind', text('Pod')), attribute('k8s.object.name', text('cart-1'))];
    const record = {
      severityText: 'Warning',
      attributes: [attribute('k8s.event.reason', text('BackOff')), attribute('k8s.namespace.name', text('shop'))],
    };
    expect(sourceOf(record, { resource })['k8s_event']).toEqual({
      kind: 'Pod',
      name: 'cart-1',
      namespace: 'shop',
      reason: 'BackOff',
      type: 'Warning',
    });
  });

  it.each([
    ['involvedObject', false],
    ['regarding', true],
  ])('of the k8s_objects receiver, %s', (about, watched) => {
    const map = (pairs: object) => ({
      kvlistValue: { values: Object.entries(pairs).map(([key, each]) => attribute(key, each as object)) },
    });
    const event = map({
      [about]: map({ kind: text('Node'), name: text('ünï'), uid: text('u1') }),
      reason: text('NodeNotReady'),
      type: text('Warning'),
      metadata: map({ namespace: text('default') }),
    });
    const record = {
      attributes: [attribute('k8s.resource.name', text('events'))],
      body: watched ? map({ type: text('ADDED'), object: event }) : event,
    };
    expect(sourceOf(record)['k8s_event']).toEqual({
      kind: 'Node',
      name: 'ünï',
      namespace: 'default',
      uid: 'u1',
      reason: 'NodeNotReady',
      type: 'Warning',
    });
  });

  it('not of what only looks like one', () => {
    const record = { attributes: [attribute('k8s.resource.name', text('pods'))], body: text('x') };
    expect(sourceOf(record)['k8s_event']).toBeUndefined();
    expect(sourceOf({ attributes: [attribute('k8s.object.kind', text('Pod'))] })['k8s_event']).toBeUndefined();
  });
});

it.each([
  ['a'.repeat(255), false],
  ['a'.repeat(256), true],
  [`${'a'.repeat(200)} ${'a'.repeat(200)}`, false],
  [`${'a'.repeat(200)}.${'a'.repeat(200)}`, true],
  [`{"${'a'.repeat(200)}":"${'a'.repeat(200)}"}`, false],
  ['漢'.repeat(300), false],
  ['가'.repeat(300), true],
])('a word that the tokenizer would cut: %s', (body, expected) => {
  const bytes = Buffer.from(body);
  expect(hasLongWord(bytes, 0, bytes.length)).toBe(expected);
});

// ---------------------------------------------------------------------------------------------- what is expected

/** The first LogRecord and the Resource of a request. */
function messagesOf(body: Uint8Array): [Uint8Array, Uint8Array] {
  const find = (bytes: Uint8Array, field: number): Uint8Array => {
    const reader = new Reader(bytes);
    while (reader.next()) if (reader.field === field) return reader.bytes().slice();
    return new Uint8Array(0);
  };
  const resourceLogs = find(body, 1);
  return [find(find(resourceLogs, 2), 2), find(resourceLogs, 1)];
}

function bodyOf(request: Uint8Array): Json {
  const [record] = messagesOf(request);
  const reader = new Reader(record);
  while (reader.next()) if (reader.field === 5) return plainValue(record, reader.valueStart, reader.valueEnd);
  return null;
}

/** JSON text has none, and a structured body is kept as its text. */
function withoutNegativeZero(json: Json): Json {
  return typeof json === 'string' ? json : (JSON.parse(JSON.stringify(json)) as Json);
}
