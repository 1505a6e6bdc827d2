import { describe, expect, it } from 'vitest';
import { chartDocuments } from './documents.ts';
import { valuesSchema } from './schema.ts';
import { chartFile, movedValues, readValues } from './values.ts';

it.each([...chartDocuments().keys()])('%s of the chart is what values.yaml says (npm run docs)', (name) => {
  expect(chartFile(name)).toBe(chartDocuments().get(name));
});

it('each key that moved leads to a value that is there', () => {
  const paths = new Set<string>();
  const add = (values: ReturnType<typeof readValues>): void => {
    for (const { path, children } of values) {
      paths.add(path);
      add(children ?? []);
    }
  };
  add(readValues(chartFile('values.yaml')));
  for (const [from, to] of movedValues()) {
    expect(paths, `${from} → ${to}`).not.toContain(from);
    // What every part takes is described once, under `pods`.
    expect(paths.has(to) || paths.has(to.replace(/^\w+\./, 'pods.')), `${from} → ${to}`).toBe(true);
  }
});

describe('values.yaml', () => {
  it('gives comment, default and hint of each value', () => {
    const text = '# A part.\npart:\n  # Its number,\n  # in pieces.\n  # @schema {minimum: 1}\n  count: 2\n';
    expect(readValues(text)).toEqual([
      {
        key: 'part',
        path: 'part',
        comment: 'A part.',
        hint: {},
        default: { count: 2 },
        children: [
          {
            key: 'count',
            path: 'part.count',
            comment: 'Its number, in pieces.',
            hint: { minimum: 1 },
            default: 2,
            children: undefined,
          },
        ],
      },
    ]);
  });
  it.each([
    ['a value without a comment', 'part:\n  count: 2\n', 'part.count has no comment'],
    ['a hint that is no map', '# A.\n# @schema minimum\na: 1\n', '`@schema minimum` is no map'],
  ])('refuses %s', (_, text, message) => expect(() => readValues(text)).toThrow(message));
  it.each(['null', '[]', '{}'])('a default of %s needs a hint', (value) => {
    expect(() => valuesSchema(readValues(`# A.\na: ${value}\n`), new Map())).toThrow('a: its default does not show');
  });
});
