import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseQuery } from '../query/index.ts';
import { commands } from './program.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const language = read('docs/query-language.md');

describe('docs/query-language.md', () => {
  const table = [...language.matchAll(/^\| (`.*?) \| .* \|$/gm)].flatMap(([, cell = '']) => [
    ...cell.matchAll(/`([^`]+)`/g),
  ]);
  const examples = (/## Examples\n\n```\n([\s\S]*?)```/.exec(language)?.[1] ?? '').trim().split('\n');
  const queries = [...table.map(([, query = '']) => query), ...examples];

  it('has queries', () => expect(queries.length).toBeGreaterThan(20));
  it.each(queries)('%s can be read', (query) => expect(() => parseQuery(query)).not.toThrow());

  it('shows the message that a mistake gets', () => {
    const shown = JSON.parse(/```json\n([\s\S]*?)```/.exec(language)?.[1] ?? '');
    expect(() => parseQuery('"payment')).toThrow(shown.detail);
  });
});

it('README.md names commands that there are', () => {
  const named = [...read('README.md').matchAll(/(?:npx |`)watchingcat ([a-z-]+)/g)].map(([, name]) => name);
  expect(named.length).toBeGreaterThan(8);
  for (const name of named) expect(commands.map((command) => command.name)).toContain(name);
});
