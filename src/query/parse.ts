import { Fault } from '../base/index.ts';
import { type Field, type Filter, fieldNamed, type Literal } from '../stores/filter.ts';
import { inValuesMax, queryCharsMax, queryDepthMax, queryTermsMax, regexCharsMax } from './limits.ts';
import { bareLiteral, quotedLiteral } from './literal.ts';
import { type Bare, Scanner } from './scan.ts';
import { checkComparison, checkRegex } from './values.ts';

// query     := [ or ]
// or        := and { "OR" and }
// and       := not { [ "AND" ] not }
// not       := "NOT" not | "(" or ")" | condition | text
// condition := key ( ":*" | "~" regex | op value | "in" "(" value { "," value } ")" )
// op        := "=" | "!=" | ">" | ">=" | "<" | "<="
// text      := word | quoted
// Contract, section 3. AND OR NOT are upper case, so that the words can be searched for in lower case.

const keywords: ReadonlySet<string> = new Set(['AND', 'OR', 'NOT']);
const scopes: ReadonlyMap<string, 'record' | 'resource'> = new Map([
  ['resource.', 'resource'],
  ['span.', 'record'],
  ['log.', 'record'],
]);
const comparisons = ['!=', '>=', '<=', '=', '>', '<'] as const;

/**
 * Reads a query.
 * @param text  What stands in the parameter `query`; blank: every record.
 * @throws Fault `malformed` with the parameter `query`: what was expected, at which position (counted from 1).
 */
export function parseQuery(text: string): Filter {
  if (text.length > queryCharsMax) {
    throw new Fault('malformed', `expected at most ${queryCharsMax} characters, found ${text.length}`, {
      parameter: 'query',
    });
  }
  return new Parser(text).query();
}

class Parser {
  readonly #scan: Scanner;
  #depth = 0;
  #terms = 0;

  constructor(text: string) {
    this.#scan = new Scanner(text);
  }

  query(): Filter {
    this.#scan.skipSpace();
    if (this.#scan.done) return { kind: 'all' };
    const filter = this.#or();
    if (!this.#scan.done) throw this.#unexpected();
    return filter;
  }

  #or(): Filter {
    const of = [this.#and()];
    while (this.#keyword('OR')) of.push(this.#and());
    return of.length === 1 ? of[0]! : { kind: 'or', of };
  }

  #and(): Filter {
    const of = [this.#not()];
    while (this.#keyword('AND') || this.#more()) of.push(this.#not());
    return of.length === 1 ? of[0]! : { kind: 'and', of };
  }

  #not(): Filter {
    if (this.#depth >= queryDepthMax) {
      throw this.#scan.expected(`at most ${queryDepthMax} levels of parentheses and NOT`);
    }
    this.#depth++;
    try {
      if (this.#keyword('NOT')) return { kind: 'not', of: this.#not() };
      this.#scan.skipSpace();
      const open = this.#scan.at;
      if (!this.#scan.take('(')) return this.#term();
      const inner = this.#or();
      this.#scan.skipSpace();
      if (!this.#scan.take(')')) throw this.#scan.expected(')', this.#scan.at, `for the ( at position ${open + 1}`);
      return inner;
    } finally {
      this.#depth--;
    }
  }

  #term(): Filter {
    if (++this.#terms > queryTermsMax) throw this.#scan.expected(`at most ${queryTermsMax} conditions`);
    const start = this.#scan.at;
    if (this.#scan.peek() === '"') {
      const text = this.#scan.quoted();
      const condition = this.#condition({ scope: 'any', key: text }, start);
      if (condition !== undefined) return condition;
      if (text === '') throw this.#scan.expected('text between the quotes', start);
      return { kind: 'text', text };
    }
    const word = this.#scan.bare('word');
    if (word === '') throw this.#unexpected();
    if (keywords.has(word))
      throw this.#scan.expected(`a condition before ${word}`, start, '; put it into quotes to search for it');
    if (word.startsWith("'")) throw this.#scan.expected('double quotes around text', start);
    const scope = this.#scan.peek() === '"' ? scopes.get(word) : undefined;
    const quoted = scope === undefined ? undefined : { scope, key: this.#scan.quoted() };
    const condition = this.#condition(quoted ?? fieldNamed(word), start);
    if (condition !== undefined) return condition;
    if (quoted !== undefined) throw this.#scan.expected('an operator such as = or :* after the key');
    if (this.#scan.peek() === ':') {
      throw this.#scan.expected(
        '* after :',
        this.#scan.at + 1,
        `; write ${word}=value for equality, and text with : in quotes`,
      );
    }
    if (this.#scan.peek() === '*') {
      throw this.#scan.expected(
        'no *',
        this.#scan.at,
        '; text is found anywhere in a record as it is; put a * to look for into quotes',
      );
    }
    return { kind: 'text', text: word };
  }

  /** What follows a key; undefined where nothing does, so that it is text. */
  #condition(field: Field, start: number): Filter | undefined {
    if (this.#scan.take(':*')) return { kind: 'exists', field: this.#named(field, start) };
    const before = this.#scan.at;
    this.#scan.skipSpace();
    if (this.#scan.take('~')) return this.#regex(this.#named(field, start));
    for (const op of comparisons) {
      if (!this.#scan.take(op)) continue;
      this.#scan.skipSpace();
      const at = this.#scan.at;
      const value = this.#value('value');
      checkComparison(this.#named(field, start), op, value, at, this.#scan);
      return { kind: 'compare', field, op, value };
    }
    const listed = this.#in(field, start);
    if (listed === undefined) this.#scan.at = before;
    return listed;
  }

  #in(field: Field, start: number): Filter | undefined {
    if (!this.#scan.take('in') && !this.#scan.take('IN')) return undefined;
    this.#scan.skipSpace();
    if (!this.#scan.take('(')) return undefined;
    this.#named(field, start);
    const values: Literal[] = [];
    do {
      this.#scan.skipSpace();
      const at = this.#scan.at;
      if (values.length >= inValuesMax) throw this.#scan.expected(`at most ${inValuesMax} values in a list`);
      const value = this.#value('listed');
      checkComparison(field, '=', value, at, this.#scan);
      values.push(value);
      this.#scan.skipSpace();
    } while (this.#scan.take(','));
    if (!this.#scan.take(')')) throw this.#scan.expected(', or )');
    return { kind: 'in', field, values };
  }

  #regex(field: Field): Filter {
    this.#scan.skipSpace();
    const at = this.#scan.at;
    if (this.#scan.peek() !== '"') throw this.#scan.expected('a regular expression in double quotes');
    const pattern = this.#scan.quotedRegex();
    if (pattern.length > regexCharsMax)
      throw this.#scan.expected(`a regular expression of at most ${regexCharsMax} characters`, at);
    checkRegex(field, pattern, at, this.#scan);
    return { kind: 'regex', field, pattern };
  }

  #value(kind: Bare): Literal {
    if (this.#scan.peek() === '"') return quotedLiteral(this.#scan.quoted());
    const at = this.#scan.at;
    const text = this.#scan.bare(kind);
    if (text === '')
      throw this.#scan.expected(this.#scan.peek() === '*' ? 'a value; a key that exists is written key:*' : 'a value');
    if (text.startsWith("'")) throw this.#scan.expected('double quotes around text', at);
    if (this.#scan.peek() === '*')
      throw this.#scan.expected(
        'no *',
        this.#scan.at,
        '; write key~"regex" for a pattern, or put the value into quotes',
      );
    return bareLiteral(text);
  }

  #named(field: Field, start: number): Field {
    if (field.scope !== 'intrinsic' && field.key === '') throw this.#scan.expected('a key', start);
    return field;
  }

  /** Takes a keyword that stands alone: `ORDER` is a word, `OR(` is a keyword. */
  #keyword(keyword: string): boolean {
    this.#scan.skipSpace();
    const before = this.#scan.at;
    if (this.#scan.bare('word') === keyword) return true;
    this.#scan.at = before;
    return false;
  }

  /** Whether another condition follows without AND. */
  #more(): boolean {
    this.#scan.skipSpace();
    if (this.#scan.done || this.#scan.peek() === ')') return false;
    const before = this.#scan.at;
    const next = this.#scan.bare('word');
    this.#scan.at = before;
    return next !== 'OR';
  }

  #unexpected(): Fault {
    return this.#scan.expected(
      this.#scan.done
        ? 'a condition'
        : this.#scan.peek() === ')'
          ? 'a condition, found )'
          : `a condition, found ${this.#scan.peek()}`,
    );
  }
}
