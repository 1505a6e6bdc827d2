import { expect, it } from 'vitest';
import { parseQuery } from '../query/index.ts';
import { nextStart, SeenRecords } from './commands/tail.ts';
import { fullQuery, pages } from './reader-options.ts';

it.each([
  [{ query: undefined }, undefined],
  [{ query: '  ' }, undefined],
  [{ query: 'a OR b' }, 'a OR b'],
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

it.each([
  { query: 'a AND (b', service: 'x' },
  { query: 'a)', also: 'k8s.event.reason:*' },
])('%j is refused with the positions of what was written', (parts) => {
  const said = (ask: () => unknown): string => {
    try {
      ask();
      return '';
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  expect(said(() => parseQuery(parts.query))).toMatch(/position \d/);
  expect(said(() => fullQuery(parts))).toBe(`query: ${said(() => parseQuery(parts.query))}`);
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

const second = 1_000_000_000n;
const at = (seconds: number, id = String(seconds)) => ({ id, timeUnixNano: String(BigInt(seconds) * second) });
it.each([
  ['where it began, when nothing came', '5000000000', [], 200n, '5000000000'],
  ['where it began, in words of the API', 'now-10m', [], 200n, 'now-10m'],
  ['a little back, for what comes late', 'now-10m', [at(100)], 200n, '90000000000'],
  ['but never before where it began', '95000000000', [at(100)], 200n, '95000000000'],
  ['a little before now, when a record is from the future', '5000000000', [at(300)], 200n, '190000000000'],
  ['after what it no longer remembers', '5000000000', [at(97), at(98), at(99), at(100)], 200n, '98000000001'],
] as const)('tail goes on %s', (_, first, records, now, next) => {
  const seen = new SeenRecords(2);
  for (const record of records) seen.add(record);
  expect(nextStart(first, seen, now * second)).toBe(next);
});

it('tail shows a record once, and forgets the oldest', () => {
  const seen = new SeenRecords(2);
  const added = ['a', 'b', 'a', 'c', 'b', 'a'].map((id, i) => seen.add(at(i, id)));
  expect(added).toEqual([true, true, false, true, false, true]);
  expect(seen.newest).toBe(5n * second);
  expect(seen.forgotten).toBe(second);
});
