import { expect, it } from 'vitest';
import { encodeOtlp } from '../../../test/kit/otlp.ts';
import { eachRecord } from '../../otlp/index.ts';
import { asSent } from './sent.ts';

const warning = (was: string) =>
  `Negative duration detected, sanitizing end timestamp. Original end timestamp: ${was} +0000 UTC, adjusted to: 2026-11-25 03:25:00.000000001 +0000 UTC`;
const start = '1795577100000000000'; // 2026-11-25 03:25:00

function span(end: string, warnings?: readonly string[]): Uint8Array {
  const values = warnings?.map((stringValue) => ({ stringValue }));
  const attributes = [
    { key: 'a', value: { stringValue: 'b' } },
    ...(values === undefined ? [] : [{ key: '@jaeger@warnings', value: { arrayValue: { values } } }]),
  ];
  const body = encodeOtlp('traces', {
    resourceSpans: [
      { scopeSpans: [{ spans: [{ name: 'x', startTimeUnixNano: start, endTimeUnixNano: end, attributes }] }] },
    ],
  });
  let found = new Uint8Array(0);
  eachRecord(body, { find: () => undefined }, (_, from, to) => {
    found = new Uint8Array(body.subarray(from, to));
  });
  return found;
}

const oneLater = '1795577100000000001';

it.each([
  { name: 'no duration', was: '2026-11-25 03:25:00', end: start },
  { name: 'an end before the start', was: '2026-11-25 03:24:59.99900001', end: '1795577099999000010' },
  { name: 'no end at all', was: '1970-01-01 00:00:00', end: '0' },
])('$name', ({ was, end }) => {
  expect(Buffer.from(asSent(span(oneLater, [warning(was)])))).toEqual(Buffer.from(span(end)));
});

it('keeps what else is warned of', () => {
  const mended = asSent(span(oneLater, ['mine', warning('2026-11-25 03:25:00')]));
  expect(Buffer.from(mended)).toEqual(Buffer.from(span(start, ['mine'])));
});

it.each([
  ['a span that was left alone', span(oneLater)],
  ["a sender's own warning", span(oneLater, ['mine'])],
  ['a warning that is not as expected', span(oneLater, [warning('yesterday')])],
])('%s stays as it is', (_, bytes) => {
  expect(asSent(bytes)).toBe(bytes);
});
