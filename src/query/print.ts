import { type Filter, fieldName, isPlain } from '../stores/filter.ts';
import { printLiteral } from './literal.ts';

/**
 * Writes a filter in the query language; `parseQuery` reads the same filter back.
 * @param filter  As `parseQuery` gives it: `all` only at the top, `and` and `or` of at least two.
 */
export function printQuery(filter: Filter): string {
  switch (filter.kind) {
    case 'all':
      return '';
    case 'and':
    case 'or':
      return filter.of
        .map((part) => (part.kind === 'or' || part.kind === 'and' ? `(${printQuery(part)})` : printQuery(part)))
        .join(filter.kind === 'and' ? ' AND ' : ' OR ');
    case 'not':
      return filter.of.kind === 'and' || filter.of.kind === 'or'
        ? `NOT (${printQuery(filter.of)})`
        : `NOT ${printQuery(filter.of)}`;
    case 'text':
      // `in` is a word except before a parenthesis; a reader should not have to know.
      return isPlain(filter.text) && !/^in$/i.test(filter.text) ? filter.text : JSON.stringify(filter.text);
    case 'compare':
      return `${fieldName(filter.field)}${filter.op}${printLiteral(filter.value)}`;
    case 'in':
      return `${fieldName(filter.field)} in (${filter.values.map(printLiteral).join(', ')})`;
    case 'regex':
      return `${fieldName(filter.field)}~"${filter.pattern.replaceAll(/\\.|"/gsu, (part) => (part === '"' ? '\\"' : part))}"`;
    case 'exists':
      return `${fieldName(filter.field)}:*`;
  }
}
