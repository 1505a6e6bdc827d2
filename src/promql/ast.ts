/** As in a selector; a missing label equals ''. Regular expressions are anchored, RE2 syntax. */
export interface Matcher {
  readonly name: string;
  readonly op: '=' | '!=' | '=~' | '!~';
  readonly value: string;
}

export interface VectorSelector {
  readonly kind: 'vector';
  readonly matchers: readonly Matcher[];
}

/** A range vector: samples of the last `rangeMs`. */
export interface MatrixSelector {
  readonly kind: 'matrix';
  readonly matchers: readonly Matcher[];
  readonly rangeMs: number;
}

export interface Rate {
  readonly kind: 'rate';
  readonly of: MatrixSelector;
}

export const aggregators = ['sum', 'avg', 'max'] as const;
export type Aggregator = (typeof aggregators)[number];

export interface Aggregation {
  readonly kind: 'aggregation';
  readonly op: Aggregator;
  /** `by` nothing is one group of all. */
  readonly grouping: 'by' | 'without';
  readonly labels: readonly string[];
  readonly of: VectorExpression;
}

/** What gives an instant vector at each step. */
export type VectorExpression = VectorSelector | Rate | Aggregation;
export type Expression = VectorExpression | MatrixSelector;
