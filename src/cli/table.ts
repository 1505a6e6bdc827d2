import { escapeForCsv, escapeForTerminal, escapeJson } from './escape.ts';
import { cellCharsMax } from './limits.ts';
import type { Paint, Style, Terminal } from './terminal.ts';

export const outputFormats = ['table', 'json', 'ndjson', 'csv'] as const;
export type OutputFormat = (typeof outputFormats)[number];

/** One column: what a person sees in a table, and what a machine gets in CSV. */
export interface Column<Row> {
  readonly title: string;
  /** For a table. */
  show(row: Row): string;
  /** For CSV, exact; `show` where absent. */
  exact?(row: Row): string;
  readonly align?: 'right';
  style?(row: Row): Style | undefined;
}

/**
 * Prints rows in the format that was asked for.
 * @param whole What `-o json` prints: the answer as the API gave it. `-o ndjson` prints the rows.
 */
export function printRows<Row>(
  terminal: Terminal,
  format: OutputFormat,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  whole: unknown,
): void {
  if (format === 'json') terminal.print(escapeJson(JSON.stringify(whole, null, 2)));
  else if (format === 'ndjson') for (const row of rows) terminal.print(escapeJson(JSON.stringify(row)));
  else if (format === 'csv') for (const line of csvLines(columns, rows)) terminal.print(line);
  else for (const line of tableLines(columns, rows, terminal.paint, terminal.columns)) terminal.print(line);
}

/** RFC 4180, with a header line. Line ends are LF, as pipes want them. */
export function csvLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const header = columns.map((column) => escapeForCsv(column.title.toLowerCase().replaceAll(' ', '_'))).join(',');
  return [
    header,
    ...rows.map((row) => columns.map((column) => escapeForCsv((column.exact ?? column.show)(row))).join(',')),
  ];
}

/** A table as wide as its content; on a terminal long cells are cut, so that a row is a line. */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  paint: Paint,
  terminalColumns: number | undefined,
): string[] {
  const cells = rows.map((row) => columns.map((column) => escapeForTerminal(column.show(row))));
  const widths = columns.map(({ title }, index) => {
    const widest = Math.max(title.length, ...cells.map((row) => width(row[index] ?? '')));
    return terminalColumns === undefined || index === columns.length - 1 ? widest : Math.min(widest, cellCharsMax);
  });
  const before = widths.slice(0, -1).reduce((sum, cell) => sum + cell + 2, 0);
  const last = widths.length - 1;
  // The last column takes what is left of the line, but never less than is worth reading.
  if (terminalColumns !== undefined) widths[last] = Math.min(widths[last] ?? 0, Math.max(20, terminalColumns - before));
  const line = (texts: readonly string[], styleOf: (index: number) => Style | undefined) =>
    texts
      .map((text, index) => {
        const fitted = cut(text, widths[index] ?? 0);
        const space = ' '.repeat(Math.max(0, (widths[index] ?? 0) - width(fitted)));
        const style = styleOf(index);
        const painted = style === undefined ? fitted : paint(style, fitted);
        if (columns[index]?.align === 'right') return space + painted;
        return index === last ? painted : painted + space;
      })
      .join('  ');
  const header = line(
    columns.map(({ title }) => title),
    () => 'dim',
  );
  return [header, ...rows.map((row, at) => line(cells[at] ?? [], (index) => columns[index]?.style?.(row)))];
}

function cut(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  return `${[...text].slice(0, Math.max(0, columns - 1)).join('')}…`;
}

/** Code points; wide scripts come out ragged, which a terminal library of its own would not be worth. */
function width(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
