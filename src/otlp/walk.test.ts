import { describe, expect, it } from 'vitest';
import { oracleEncode } from '../../test/kit/otlp-oracle.ts';
import { Fault, type Signal, signals } from '../base/index.ts';
import { defaultLimits, type Limits, rewrite, Writer, walk } from './index.ts';

function refused(signal: Signal, bytes: Uint8Array, limits: Limits = defaultLimits): Fault {
  try {
    walk(signal, bytes, limits);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(Fault);
    return thrown as Fault;
  }
  throw new Error('was not refused');
}

function field(number: number, content: Uint8Array): Uint8Array {
  const writer = new Writer();
  writer.bytes(number, content);
  return writer.finish();
}

/** `count` times the same bytes. */
function times(count: number, bytes: readonly number[]): Uint8Array {
  return Buffer.alloc(count * bytes.length, Uint8Array.from(bytes));
}

describe.each(signals)('%s', (signal) => {
  it('B2 an empty body and empty envelopes are an empty request', () => {
    expect(walk(signal, new Uint8Array(0), defaultLimits)).toEqual({
      records: 0,
      resources: [],
      clean: true,
      hasTimestamp: signal !== 'logs',
    });
    expect(walk(signal, field(1, field(2, new Uint8Array(0))), defaultLimits)).toMatchObject({
      records: 0,
      clean: true,
    });
  });

  it.each([
    { name: 'field number 0', bytes: [0x02, 0x00], at: 0 },
    { name: 'wire type 3, a group', bytes: [0x0b, 0x0c], at: 0 },
    { name: 'wire type 4', bytes: [0x0c], at: 0 },
    { name: 'wire type 6', bytes: [0x0e], at: 0 },
    { name: 'wire type 7', bytes: [0x0f], at: 0 },
    { name: 'a length beyond the end', bytes: [0x0a, 0x05, 0x00], at: 1 },
    { name: 'a length that is cut off', bytes: [0x0a, 0x80], at: 1 },
    { name: 'a tag that is cut off', bytes: [0x80], at: 0 },
    { name: 'a varint of 11 bytes', bytes: [0x10, ...Array(10).fill(0x80), 0x01], at: 1 },
    { name: 'a varint beyond 64 bits', bytes: [0x10, ...Array(9).fill(0xff), 0x02], at: 1 },
    { name: 'a length of 2^35', bytes: [0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], at: 1 },
    { name: 'a tag of 2^35', bytes: [0x80, 0x80, 0x80, 0x80, 0x80, 0x01], at: 0 },
    { name: 'a resource that is no message', bytes: [0x08, 0x01], at: 0 },
    { name: 'an inner length beyond its message', bytes: [0x0a, 0x02, 0x12, 0x05, 0, 0, 0, 0, 0], at: 3 },
    { name: 'a record that is no message', bytes: [0x0a, 0x04, 0x12, 0x02, 0x10, 0x01], at: 4 },
    { name: 'a group in a record', bytes: [0x0a, 0x06, 0x12, 0x04, 0x12, 0x02, 0x0b, 0x0c], at: 6 },
    { name: 'a fixed64 that is cut off', bytes: [0x0a, 0x05, 0x12, 0x03, 0x12, 0x01, 0x39], at: 7 },
  ])('$name is malformed, and the message says where', ({ bytes, at }) => {
    const fault = refused(signal, Uint8Array.from(bytes));
    expect(fault.code).toBe('malformed');
    expect(fault.message).toContain(`at byte ${at}:`);
  });

  const group = (inner: readonly number[]) => [0xa3, 0x06, ...inner, 0xa4, 0x06]; // field 100
  const inAll = (unknown: readonly number[]) => [
    { name: 'the request', bytes: Uint8Array.from(unknown) },
    { name: 'a resource', bytes: field(1, field(1, Uint8Array.from(unknown))) },
    { name: 'a scope', bytes: field(1, field(2, Uint8Array.from(unknown))) },
  ];
  it.each([
    { name: 'empty', inner: [] },
    {
      name: 'with fields of each wire type',
      inner: [0x08, 0x01, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 0x01, 0xff, 0x25, 1, 2, 3, 4],
    },
    { name: 'with a group', inner: [0x0b, 0x13, 0x14, 0x0c] },
    { name: 'with what looks like its end, in a value', inner: [0x1a, 0x02, 0xa4, 0x06] },
    { name: 'nested 9,000 deep', inner: [...Array(9_000).fill(0x0b), ...Array(9_000).fill(0x0c)] },
  ])('B10 an unknown field that is a group, $name, is passed over and kept', ({ inner }) => {
    for (const { bytes } of inAll(group(inner))) {
      expect(walk(signal, bytes, defaultLimits)).toMatchObject({ records: 0, clean: true });
      expect(Buffer.compare(rewrite(signal, bytes, defaultLimits).bytes, bytes)).toBe(0);
    }
  });
  it.each([
    { name: 'that does not end', bytes: [0xa3, 0x06, 0x08, 0x01] },
    { name: "ended by another's tag", bytes: [0xa3, 0x06, 0x0c] },
    { name: 'with field 0', bytes: group([0x00, 0x00]) },
    { name: 'with wire type 7', bytes: group([0x0f]) },
    { name: 'with a value that is cut off', bytes: [0xa3, 0x06, 0x0a, 0x7f] },
    { name: 'nested a million deep', bytes: [...Array(1_000_000).fill(0x0b), ...Array(1_000_000).fill(0x0c)] },
  ])('B10 a group $name is malformed', ({ bytes }) => {
    for (const message of inAll(bytes)) expect(refused(signal, message.bytes).code, message.name).toBe('malformed');
  });

  it('B9 the record after the last one allowed is refused before it is read', () => {
    // What follows the fourth record is malformed; nobody gets that far.
    const emptyPoints = field(2, field(5, times(3, [0x0a, 0x00])));
    const records = signal === 'metrics' ? emptyPoints : times(3, [0x12, 0x00]);
    const one = signal === 'metrics' ? field(2, field(5, times(1, [0x0a, 0x00]))) : times(1, [0x12, 0x00]);
    const limits = { ...defaultLimits, recordsMax: 3 };
    expect(walk(signal, field(1, field(2, records)), limits).records).toBe(3);
    const fault = refused(signal, field(1, field(2, Buffer.concat([records, one, Buffer.from([0x0f])]))), limits);
    expect(fault.code).toBe('tooLarge');
    expect(fault.retryAfterMs).toBeUndefined();
  });

  it('B7 a request over 64 MiB is refused', () => {
    expect(refused(signal, new Uint8Array(64 * 1024 * 1024 + 1)).code).toBe('tooLarge');
  });
});

describe('B9 floods of 64 MiB are refused', () => {
  const mebibytes64 = 64 * 1024 * 1024 - 64;
  const headBytesMax = 64;
  // One for all: to make it takes as long as to walk through it.
  const flood = Buffer.alloc(headBytesMax + mebibytes64);
  it.each<{ name: string; signal: Signal; around: number[]; element: number[] }>([
    { name: 'resources', signal: 'traces', around: [], element: [0x0a, 0x00] },
    { name: 'scopes', signal: 'traces', around: [1], element: [0x12, 0x00] },
    { name: 'spans', signal: 'traces', around: [1, 2], element: [0x12, 0x00] },
    { name: 'log records', signal: 'logs', around: [1, 2], element: [0x12, 0x00] },
    { name: 'metrics', signal: 'metrics', around: [1, 2], element: [0x12, 0x00] },
    { name: 'data points', signal: 'metrics', around: [1, 2, 2, 5], element: [0x0a, 0x00] },
    { name: 'attributes of a span', signal: 'traces', around: [1, 2, 2], element: [0x4a, 0x00] },
    { name: 'attributes of a resource', signal: 'logs', around: [1, 1], element: [0x0a, 0x00] },
    { name: 'events', signal: 'traces', around: [1, 2, 2], element: [0x5a, 0x00] },
    { name: 'links', signal: 'traces', around: [1, 2, 2], element: [0x6a, 0x00] },
    { name: 'elements of an array', signal: 'logs', around: [1, 2, 2, 5, 5], element: [0x0a, 0x00] },
    { name: 'members of a map', signal: 'logs', around: [1, 2, 2, 5, 6], element: [0x0a, 0x00] },
    { name: 'exemplars', signal: 'metrics', around: [1, 2, 2, 5, 1], element: [0x2a, 0x00] },
    { name: 'packed bucket counts', signal: 'metrics', around: [1, 2, 2, 10, 1, 8, 2], element: [0x00] },
    { name: 'bucket counts one by one', signal: 'metrics', around: [1, 2, 2, 10, 1, 8], element: [0x10, 0x00] },
    { name: 'packed fixed64', signal: 'metrics', around: [1, 2, 2, 9, 1, 6], element: [0, 0, 0, 0, 0, 0, 0, 0] },
    { name: 'quantiles', signal: 'metrics', around: [1, 2, 2, 11, 1], element: [0x32, 0x00] },
    { name: 'entity keys', signal: 'logs', around: [1, 1, 3], element: [0x1a, 0x00] },
  ])('$name', ({ signal, around, element }) => {
    const end = headBytesMax + element.length * Math.floor(mebibytes64 / element.length);
    flood.fill(Uint8Array.from(element), headBytesMax, end);
    // The tags and lengths around it are written in front, from within.
    let start = headBytesMax;
    for (const number of around.toReversed()) {
      const head = new Writer();
      head.tag(number, 2);
      head.varint(end - start);
      const bytes = head.finish();
      start -= bytes.length;
      flood.set(bytes, start);
    }
    expect(refused(signal, flood.subarray(start, end)).code).toBe('tooLarge');
  });
});

describe('timestamps of log records', () => {
  const request = (...logRecords: object[]) =>
    oracleEncode('logs', { resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
  it.each([
    { name: 'none', records: [{}, { severityText: 'x' }], expected: false },
    { name: 'zero', records: [{ timeUnixNano: 0, observedTimeUnixNano: 0 }], expected: false },
    { name: 'time', records: [{}, { timeUnixNano: 1 }], expected: true },
    { name: 'observed time', records: [{ observedTimeUnixNano: '18446744073709551615' }], expected: true },
  ])('$name', ({ records, expected }) => {
    expect(walk('logs', request(...records), defaultLimits).hasTimestamp).toBe(expected);
  });
});

it('says where the resources lie, and how many records each has', () => {
  const bytes = oracleEncode('logs', {
    resourceLogs: [
      { resource: { attributes: [{ key: 'a' }] }, scopeLogs: [{ logRecords: [{}, {}] }] },
      { scopeLogs: [{ logRecords: [{ severityText: 'x' }] }] },
    ],
  });
  const { resources, records } = walk('logs', bytes, defaultLimits);
  expect(records).toBe(3);
  expect(resources.map((resource) => resource.records)).toEqual([2, 1]);
  expect(resources[0]!.start).toBe(0);
  expect(resources[1]!.end).toBe(bytes.length);
  expect(resources[1]!.start).toBe(resources[0]!.end);
  expect(Buffer.from(bytes.subarray(resources[0]!.resourceStart, resources[0]!.resourceEnd)).toString('hex')).toBe(
    '0a030a0161',
  );
  expect(resources[1]!.resourceStart).toBe(-1);
});
