import { expect, it } from 'vitest';
import { traceRows } from './waterfall.ts';

// 'b<a 10-20' is a span b below a from 10 to 20.
function trace(text: string) {
  const spans = text.split(', ').map((part) => {
    const [, spanId = '', parentSpanId, start, end] = /^(\w+)(?:<(\w+))? (\d+)-(\d+)$/.exec(part) ?? [];
    return {
      spanId,
      ...(parentSpanId === undefined ? {} : { parentSpanId }),
      name: spanId,
      startTimeUnixNano: start ?? '0',
      endTimeUnixNano: end ?? '0',
    };
  });
  return { resourceSpans: [{ scopeSpans: [{ spans }] }] };
}

it.each([
  ['children below their parents, in time order', 'c<a 5-6, b<a 2-4, a 1-9, d<b 3-4', 'a .b ..d .c'],
  ['a missing parent', 'b<x 2-3, a 1-4', 'a b'],
  ['a span that is its own parent', 'a<a 1-2', 'a'],
  ['two that are each other’s parents', 'a<b 1-2, b<a 2-3', 'a .b'],
  ['the same span twice', 'a 1-5, b<a 2-3, b<a 2-3', 'a .b .b'],
  ['nothing', '', ''],
])('%s', (_, written, drawn) => {
  const rows = traceRows(written === '' ? {} : trace(written));
  expect(rows.map(({ depth, name }) => `${'.'.repeat(depth)}${name}`).join(' ')).toBe(drawn);
});

it('is as deep as a trace may be', () => {
  const deep = Array.from({ length: 20_000 }, (_, i) => (i === 0 ? 's0 1-2' : `s${i}<s${i - 1} 1-2`)).join(', ');
  expect(traceRows(trace(deep)).at(-1)?.depth).toBe(19_999);
});
