import type { Value } from './values.ts';

// The tables of values in the chart's README.

const defaultLengthMax = 60;

/** Puts the tables where the README has them: between two marks. @throws Error where a mark is missing. */
export function withReference(readme: string, values: readonly Value[]): string {
  const parts = /^(.*<!-- values: `npm run docs` -->\n).*(<!-- \/values -->.*)$/s.exec(readme);
  if (!parts) throw new Error('the README of the chart has no place for its values');
  return `${parts[1]}${valuesReference(values)}${parts[2]}`;
}

function valuesReference(values: readonly Value[]): string {
  const plain = values.filter(({ children }) => children === undefined);
  const sections = values.filter(({ children }) => children !== undefined);
  return [
    '\n',
    table(plain),
    ...sections.map((section) => `### \`${section.key}\`\n${section.comment}\n\n${table(leaves(section))}`),
  ].join('');
}

function table(values: readonly Value[]): string {
  const rows = values.map(
    ({ path, comment, default: value }) => `| \`${path}\` | ${shown(value)} | ${cell(comment)} |`,
  );
  return ['| value | default | means |', '| --- | --- | --- |', ...rows, '\n'].join('\n');
}

function leaves(value: Value): readonly Value[] {
  return value.children === undefined ? [value] : value.children.flatMap(leaves);
}

function shown(value: unknown): string {
  if (value === '') return '–';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > defaultLengthMax ? 'see values.yaml' : `\`${cell(text)}\``;
}

const cell = (text: string): string => text.replaceAll('|', '\\|');
