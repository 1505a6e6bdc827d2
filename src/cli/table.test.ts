import { expect, it } from 'vitest';
import { type Column, csvLines, printRows, tableLines } from './table.ts';
import type { Terminal } from './terminal.ts';
import { wantsColour } from './terminal.ts';

interface Row {
  readonly name: string;
  readonly count: number;
}
const columns: readonly Column<Row>[] = [
  { title: 'NAME', show: ({ name }) => name },
  { title: 'ALL OF THEM', align: 'right', show: ({ count }) => `${count}!`, exact: ({ count }) => String(count) },
  { title: 'END', show: ({ name }) => name.toUpperCase() },
];
const rows: readonly Row[] = [
  { name: 'cat', count: 12 },
  { name: 'longer name', count: 3 },
];
const plain = (_: unknown, text: string) => text;

it('lines columns up, numbers at the right', () =>
  expect(tableLines(columns, rows, plain, undefined)).toEqual([
    'NAME         ALL OF THEM  END',
    'cat                  12!  CAT',
    'longer name           3!  LONGER NAME',
  ]));

it('keeps each row on one line of the terminal, whatever it holds', () => {
  const long = [{ name: `${'x'.repeat(500)}\n\u001b[2J`, count: 1 }];
  for (const line of tableLines(columns, long, plain, 100)) {
    expect(line.length).toBeLessThanOrEqual(100);
    expect(line).not.toMatch(/\p{Cc}/u);
  }
});

it('writes CSV with exact values', () =>
  expect(csvLines(columns, rows)).toEqual(['name,all_of_them,end', 'cat,12,CAT', 'longer name,3,LONGER NAME']));

it.each([
  ['json', ['{\n  "whole": 1\n}']],
  ['ndjson', ['{"name":"cat","count":12}', '{"name":"longer name","count":3}']],
] as const)('prints %s', (format, expected) => {
  const printed: string[] = [];
  const terminal = {
    print: (line: string) => printed.push(line),
    paint: plain,
    columns: undefined,
  } as unknown as Terminal;
  printRows(terminal, format, columns, rows, { whole: 1 });
  expect(printed).toEqual(expected);
});

it.each([
  [{}, true, true],
  [{}, false, false],
  [{ NO_COLOR: '1' }, true, false],
  [{ NO_COLOR: '' }, true, true],
  [{ FORCE_COLOR: '1' }, false, true],
  [{ FORCE_COLOR: '0' }, false, false],
  [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
  [{ TERM: 'dumb' }, true, false],
])('colours with %j on a terminal: %j → %j', (env, isTerminal, coloured) =>
  expect(wantsColour(env, isTerminal)).toBe(coloured),
);
