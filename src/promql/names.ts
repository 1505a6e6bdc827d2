import type { Expression, Matcher, NumberLiteral } from './ast.ts';

/** Names of the metrics that an expression selects by `=`. */
export function metricNames(expression: Expression | NumberLiteral): readonly string[] {
  switch (expression.kind) {
    case 'number':
      return [];
    case 'vector':
    case 'matrix':
      return expression.matchers.filter(isName).map(({ value }) => value);
    case 'binary':
      return [...metricNames(expression.left), ...metricNames(expression.right)];
    case 'rate':
    case 'aggregation':
    case 'labelJoin':
      return metricNames(expression.of);
  }
}

function isName({ name, op }: Matcher): boolean {
  return name === '__name__' && op === '=';
}
