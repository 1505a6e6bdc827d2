import { expect, it } from 'vitest';
import { parseQuery } from '../query/index.ts';
import { nextStart, SeenIds } from './commands/tail.ts';
import type { LogRecord } from './log-rows.ts';
import { fullQuery, pages } from './reader-options.ts';

it.each([
  [{ query: undefined }, undefined],
  [{ query: '  ' }, undefined],
  [{ query: 'a OR b', service: 'x' }, '(a OR b) AND service="x"'],
  [{ query: undefined, service: 'a "b" \\' }, 'service="a \\"b\\" \\\\"'],
  [
    { query: undefined, namespace: 'n', also: 'k8s.event.reason:*' },
    '(k8s.namespace.name="n" OR service.namespace="n") AND k8s.event.reason:*',
  ],
])('%j asks %s', (parts, query) => {
  expect(fullQuery(parts)).toBe(query);
  expect(() => parseQuery(query ?? '')).not.toThrow();
});

it('follows the cursor up to the limit', async () => {
  const asked: [number, string | undefined][] = [];
  const fetchPage = async (limit: number, cursor: string | undefined) => {
    asked.push([limit, cursor]);
    return { items: Array.from({ length: limit }, (_, i) => i), nextCursor: `after ${asked.length}` };
  };
  const found = await pages(25, 10, fetchPage);
  expect(found.items).toHaveLength(25);
  expect(found.more).toBe(true);
  expect(asked).toEqual([
    [10, undefined],
    [10, 'after 1'],
    [5, 'after 2'],
  ]);
});

it('stops at the last page', async () => {
  const found = await pages(25, 10, async () => ({ items: [1, 2], warnings: ['slow'] }));
  expect(found).toEqual({ items: [1, 2], more: false, warnings: ['slow'] });
});

const at = (seconds: number) => ({ timeUnixNano: String(BigInt(seconds) * 1_000_000_000n) }) as LogRecord;
it.each([
  ['nothing came', '5000000000', [], false, '5000000000'],
  ['a full page: from its last record', '5000000000', [at(6), at(7)], true, '7000000000'],
  ['the end: a little back, for what comes late', '5000000000', [at(100)], false, '90000000000'],
  ['but never before where it began', '95000000000', [at(100)], false, '95000000000'],
] as const)('tail goes on where %s', (_, start, records, more, next) =>
  expect(nextStart(start, records, more)).toBe(next),
);

it('tail shows a record once, and forgets the oldest', () => {
  const seen = new SeenIds(2);
  expect(['a', 'b', 'a', 'c', 'b', 'a'].map((id) => seen.add(id))).toEqual([true, true, false, true, false, true]);
  expect(seen.size).toBe(2);
});
