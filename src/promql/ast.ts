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

export interface NumberLiteral {
  readonly kind: 'number';
  readonly value: number;
}

/** `label_join(of, target, separator, sources…)`. */
export interface LabelJoin {
  readonly kind: 'labelJoin';
  readonly of: VectorExpression;
  readonly target: string;
  readonly separator: string;
  readonly sources: readonly string[];
}

type ArithmeticOperator = '+' | '-' | '*' | '/' | '%' | '^';
type ComparisonOperator = '==' | '!=' | '>' | '<' | '>=' | '<=';
type SetOperator = 'and' | 'or' | 'unless';

/** Which labels two series must share; all but the name where nothing is said. */
export interface Matching {
  readonly on: boolean;
  readonly labels: readonly string[];
  /** The side of which many series may meet one of the other. */
  readonly many: 'left' | 'right' | undefined;
  /** Labels that the many take from the one. */
  readonly include: readonly string[];
}

export interface Binary {
  readonly kind: 'binary';
  readonly op: ArithmeticOperator | ComparisonOperator | SetOperator;
  /** A comparison that gives 0 or 1 instead of leaving out. */
  readonly bool: boolean;
  readonly left: VectorExpression | NumberLiteral;
  readonly right: VectorExpression | NumberLiteral;
  readonly matching: Matching;
}

/** What gives an instant vector at each step. */
export type VectorExpression = VectorSelector | Rate | Aggregation | LabelJoin | Binary;
export type Expression = VectorExpression | MatrixSelector;
