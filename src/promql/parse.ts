import { Fault } from '../base/index.ts';
import {
  type Aggregator,
  aggregators,
  type Binary,
  type Expression,
  type Matcher,
  type Matching,
  type NumberLiteral,
  type VectorExpression,
} from './ast.ts';
import { ofNumbers } from './binary.ts';
import { durationMs } from './duration.ts';
import { binaryOperators, functions, offered, otherAggregators } from './known.ts';
import { lex, malformed, type Token } from './lex.ts';
import { depthMax, expressionCharsMax } from './limits.ts';

const matcherOps: ReadonlySet<string> = new Set(['=', '!=', '=~', '!~']);

/** A number is part of an expression; alone it is none that is offered. */
type Operand = Expression | NumberLiteral;

/** The higher binds the tighter. `^` binds to the right. */
const precedence: ReadonlyMap<string, number> = new Map([
  ['or', 1],
  ['and', 2],
  ['unless', 2],
  ...['==', '!=', '<=', '<', '>=', '>'].map((op) => [op, 3] as const),
  ['+', 4],
  ['-', 4],
  ['*', 5],
  ['/', 5],
  ['%', 5],
  ['^', 6],
]);
/** A sign binds as `*` does: `-a ^ 2` is `-(a ^ 2)`. */
const signBinds = 5;
const setOperators: ReadonlySet<string> = new Set(['and', 'or', 'unless']);
const wholeMatching: Matching = { on: false, labels: [], many: undefined, include: [] };

/**
 * Reads a PromQL expression.
 * @throws Fault `malformed` with the position for what is not PromQL; `unprocessable` with the construct's name for
 *         what is, but is not offered.
 */
export function parse(text: string): Expression {
  if (text.length > expressionCharsMax) {
    throw new Fault('malformed', `expected at most ${expressionCharsMax} characters, found ${text.length}`, {
      parameter: 'query',
    });
  }
  return new Parser(lex(text)).expression();
}

class Parser {
  readonly #tokens: readonly Token[];
  #index = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  expression(): Expression {
    const first = this.#peek();
    const expression = this.#expression();
    this.#refuseContinuation();
    const rest = this.#peek();
    if (rest.kind !== 'end') throw malformed(`unexpected ${named(rest)}`, rest.at);
    if (expression.kind === 'number') throw notOffered('a number', first);
    return expression;
  }

  #expression(atLeast = 1): Operand {
    if (++this.#depth > depthMax) throw malformed(`expected at most ${depthMax} levels of nesting`, this.#peek().at);
    const start = this.#peek();
    let left = this.#primary(this.#next());
    for (;;) {
      const token = this.#peek();
      const op = token.text.toLowerCase();
      const binds = token.kind === 'string' ? undefined : precedence.get(op);
      if (binds === undefined || binds < atLeast) break;
      this.#next();
      left = this.#binary(op as Binary['op'], binds, left, start, token);
    }
    this.#depth--;
    return left;
  }

  #binary(op: Binary['op'], binds: number, left: Operand, start: Token, token: Token): Operand {
    const isComparison = binds === 3;
    const bool = this.#takeWord('bool');
    if (bool && !isComparison) throw malformed('expected bool after a comparison only', token.at);
    const matching = this.#matching(op);
    const at = this.#peek();
    const right = this.#expression(op === '^' ? binds : binds + 1);
    if (left.kind === 'matrix')
      throw malformed(`expected an instant vector before ${op}, found a range vector`, start.at);
    if (right.kind === 'matrix') throw malformed(`expected an instant vector after ${op}, found a range vector`, at.at);
    const hasNumber = left.kind === 'number' || right.kind === 'number';
    if (hasNumber && setOperators.has(op)) throw malformed(`expected instant vectors around ${op}`, token.at);
    if (hasNumber && matching !== undefined) throw malformed('expected on and ignoring between vectors only', at.at);
    if (left.kind === 'number' && right.kind === 'number') {
      if (isComparison && !bool) throw malformed('expected bool after a comparison of numbers', token.at);
      return { kind: 'number', value: ofNumbers(op, left.value, right.value) };
    }
    return { kind: 'binary', op, bool, left, right, matching: matching ?? wholeMatching };
  }

  #matching(op: string): Matching | undefined {
    const word = this.#peek();
    const on = this.#takeWord('on');
    if (!on && !this.#takeWord('ignoring')) return undefined;
    const labels = this.#labels();
    const many = this.#takeWord('group_left') ? 'left' : this.#takeWord('group_right') ? 'right' : undefined;
    if (many !== undefined && setOperators.has(op)) throw malformed(`expected no grouping with ${op}`, word.at);
    const include = many !== undefined && this.#peek().text === '(' ? this.#labels() : [];
    const twice = include.find((label) => on && labels.includes(label));
    if (twice !== undefined) throw malformed(`expected ${twice} in one of the two lists`, word.at);
    return { on, labels, many, include };
  }

  #takeWord(word: string): boolean {
    const token = this.#peek();
    if (token.kind !== 'identifier' || token.text.toLowerCase() !== word) return false;
    this.#index++;
    return true;
  }

  #primary(token: Token): Operand {
    switch (token.kind) {
      case 'number':
        return { kind: 'number', value: Number(token.text) };
      case 'duration':
        throw notOffered('a number', token);
      case 'string':
        throw notOffered('a string as an expression', token);
      case 'end':
        throw malformed('expected an expression', token.at);
      case 'punctuation':
        if (token.text === '(') {
          const inner = this.#expression();
          this.#refuseContinuation();
          this.#expect(')');
          return inner;
        }
        if (token.text === '{') {
          this.#index--;
          return this.#selector(undefined, token);
        }
        if (token.text === '-' || token.text === '+') return this.#signed(token.text, token);
        throw malformed(`unexpected ${named(token)}`, token.at);
      case 'identifier':
        return this.#named(token);
    }
  }

  /** `+` gives what it stands before as it is, with its name. */
  #signed(sign: '-' | '+', token: Token): Operand {
    const of = this.#expression(signBinds + 1);
    if (of.kind === 'matrix') {
      throw malformed(`expected an instant vector or a number after ${sign}, found a range vector`, token.at + 1);
    }
    if (sign === '+') return of;
    if (of.kind === 'number') return { kind: 'number', value: -of.value };
    const left = { kind: 'number', value: -1 } as const;
    return { kind: 'binary', op: '*', bool: false, left, right: of, matching: wholeMatching };
  }

  #named(token: Token): Operand {
    const name = token.text.toLowerCase();
    if (name === 'nan') return { kind: 'number', value: Number.NaN };
    if (name === 'inf') return { kind: 'number', value: Number.POSITIVE_INFINITY };
    const next = this.#peek();
    const grouped = next.kind === 'identifier' && /^(by|without)$/i.test(next.text);
    if (next.text === '(' || grouped) {
      if (isAggregator(name)) return this.#aggregation(name);
      if (otherAggregators.has(name)) throw notOffered(`the aggregation ${name}`, token);
    }
    if (next.text === '(' && next.kind === 'punctuation') {
      if (token.text === 'rate') return this.#rate();
      if (token.text === 'label_join') return this.#labelJoin();
      if (functions.has(token.text)) throw notOffered(`the function ${token.text}()`, token);
      throw malformed(`unknown function ${token.text}`, token.at);
    }
    return this.#selector(token.text, token);
  }

  #aggregation(op: Aggregator): Expression {
    let grouping = this.#grouping();
    const open = this.#expect('(');
    const of = this.#expression();
    this.#refuseContinuation();
    this.#expect(')');
    grouping ??= this.#grouping();
    return {
      kind: 'aggregation',
      op,
      ...(grouping ?? { grouping: 'by', labels: [] }),
      of: this.#instant(of, op, open),
    };
  }

  #grouping(): { grouping: 'by' | 'without'; labels: readonly string[] } | undefined {
    const token = this.#peek();
    const grouping = token.text.toLowerCase();
    if (token.kind !== 'identifier' || (grouping !== 'by' && grouping !== 'without')) return undefined;
    this.#next();
    return { grouping, labels: this.#labels() };
  }

  #labels(): readonly string[] {
    this.#expect('(');
    const labels: string[] = [];
    while (!this.#take(')')) {
      const label = this.#next();
      if (label.kind !== 'string' && (label.kind !== 'identifier' || label.text.includes(':'))) {
        throw malformed(`expected a label name, found ${named(label)}`, label.at);
      }
      labels.push(label.text);
      if (this.#take(')')) break;
      this.#expect(',');
    }
    return labels;
  }

  #labelJoin(): Expression {
    const open = this.#expect('(');
    const of = this.#instant(this.#expression(), 'label_join', open);
    const texts: string[] = [];
    while (!this.#take(')')) {
      this.#expect(',');
      const text = this.#next();
      if (text.kind !== 'string') throw malformed(`expected a string, found ${named(text)}`, text.at);
      texts.push(text.text);
    }
    const [target, separator, ...sources] = texts;
    if (target === undefined || separator === undefined) {
      throw malformed('expected a label and a separator in label_join()', open.at + 1);
    }
    if (target === '') throw malformed('expected the name of a label in label_join()', open.at + 1);
    return { kind: 'labelJoin', of, target, separator, sources };
  }

  #rate(): Expression {
    const open = this.#expect('(');
    const of = this.#expression();
    this.#refuseContinuation();
    this.#expect(')');
    if (of.kind !== 'matrix') {
      throw malformed('expected a range vector such as metric[5m] in rate(), found an instant vector', open.at + 1);
    }
    return { kind: 'rate', of };
  }

  #instant(of: Operand, where: string, at: Token): VectorExpression {
    if (of.kind === 'matrix')
      throw malformed(`expected an instant vector in ${where}(), found a range vector`, at.at + 1);
    if (of.kind === 'number') throw malformed(`expected an instant vector in ${where}(), found a number`, at.at + 1);
    return of;
  }

  #selector(name: string | undefined, start: Token): Expression {
    const matchers: Matcher[] = name === undefined ? [] : [{ name: '__name__', op: '=', value: name }];
    if (this.#take('{')) this.#matchers(matchers);
    if (!matchers.some(matchesSomething)) {
      throw malformed('expected at least one matcher that does not match the empty string, in the selector', start.at);
    }
    if (!this.#take('[')) return { kind: 'vector', matchers };
    const range = this.#next();
    if (range.kind !== 'duration' && range.kind !== 'number') {
      throw malformed(`expected a range such as 5m, found ${named(range)}`, range.at);
    }
    if (this.#peek().text.startsWith(':')) throw notOffered('a subquery', this.#peek());
    // A bare number is seconds, as in Prometheus 3.
    const rangeMs = range.kind === 'duration' ? durationMs(range.text) : Number(range.text) * 1000;
    if (!(rangeMs >= 1) || rangeMs > Number.MAX_SAFE_INTEGER) throw malformed('expected a range above zero', range.at);
    if (!this.#take(']')) {
      const found = this.#peek();
      if (binaryOperators.has(found.text)) throw notOffered('arithmetic on durations', found);
      throw malformed(`expected ], found ${named(found)}`, found.at);
    }
    return { kind: 'matrix', matchers, rangeMs: Math.round(rangeMs) };
  }

  #matchers(matchers: Matcher[]): void {
    while (!this.#take('}')) {
      const label = this.#next();
      if (label.kind !== 'identifier' && label.kind !== 'string') {
        throw malformed(`expected a label name, found ${named(label)}`, label.at);
      }
      const op = this.#peek();
      if (label.kind === 'string' && (op.text === ',' || op.text === '}') && op.kind === 'punctuation') {
        // {"http.server.duration"}: the name of a metric that needs quotes.
        this.#addName(matchers, label);
      } else {
        if (label.kind === 'identifier' && label.text.includes(':')) {
          throw malformed('expected a label name without :', label.at);
        }
        if (label.text === '__name__' && hasName(matchers))
          throw malformed('expected the name of the metric once', label.at);
        matchers.push(this.#matcher(label.text));
      }
      if (this.#take('}')) return;
      this.#expect(',');
    }
  }

  #matcher(name: string): Matcher {
    const op = this.#next();
    if (op.kind !== 'punctuation' || !matcherOps.has(op.text)) {
      throw malformed(`expected one of = != =~ !~, found ${named(op)}`, op.at);
    }
    const value = this.#next();
    if (value.kind !== 'string') throw malformed(`expected a quoted string, found ${named(value)}`, value.at);
    return { name, op: op.text as Matcher['op'], value: value.text };
  }

  #addName(matchers: Matcher[], token: Token): void {
    if (hasName(matchers)) throw malformed('expected the name of the metric once', token.at);
    matchers.push({ name: '__name__', op: '=', value: token.text });
  }

  /** Names what PromQL allows after an expression and this engine does not offer. */
  #refuseContinuation(): void {
    const token = this.#peek();
    const text = token.text.toLowerCase();
    if (token.kind === 'string' || token.kind === 'end') return;
    if (binaryOperators.has(text)) throw notOffered(`the operator ${text}`, token);
    if (token.kind === 'identifier' && text === 'offset') throw notOffered('offset', token);
    if (token.kind === 'identifier' && (text === 'smoothed' || text === 'anchored')) throw notOffered(text, token);
    if (text === '@') throw notOffered('the @ modifier', token);
    if (text === '[') throw notOffered('a subquery', token);
  }

  #peek(): Token {
    return this.#tokens[this.#index]!;
  }

  /** The next token; the last one, `end`, for ever. */
  #next(): Token {
    const token = this.#peek();
    if (token.kind !== 'end') this.#index++;
    return token;
  }

  #take(punctuation: string): boolean {
    const token = this.#peek();
    if (token.kind !== 'punctuation' || token.text !== punctuation) return false;
    this.#index++;
    return true;
  }

  #expect(punctuation: string): Token {
    const token = this.#peek();
    if (!this.#take(punctuation)) throw malformed(`expected ${punctuation}, found ${named(token)}`, token.at);
    return token;
  }
}

function hasName(matchers: readonly Matcher[]): boolean {
  return matchers.some(({ name, op }) => name === '__name__' && op === '=');
}

function isAggregator(name: string): name is Aggregator {
  return (aggregators as readonly string[]).includes(name);
}

/** Prometheus refuses a selector that every series satisfies. */
function matchesSomething({ op, value }: Matcher): boolean {
  switch (op) {
    case '=':
      return value !== '';
    case '!=':
      return value === '';
    case '=~':
      return !matchesEmpty(value);
    case '!~':
      return matchesEmpty(value);
  }
}

function matchesEmpty(pattern: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`, 'su').test('');
  } catch {
    return pattern === ''; // RE2 has syntax that JavaScript has not; whether it is valid is the store's to say
  }
}

function named(token: Token): string {
  switch (token.kind) {
    case 'end':
      return 'the end';
    case 'string':
      return 'a string';
    default:
      return token.text;
  }
}

function notOffered(construct: string, token: Token): Fault {
  return new Fault('unprocessable', `${construct} at position ${token.at + 1} is not offered; offered are ${offered}`, {
    parameter: 'query',
  });
}
