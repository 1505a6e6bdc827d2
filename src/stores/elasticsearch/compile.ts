import type { Field, Filter, Literal } from '../filter.ts';
import { compileRegex } from '../regex.ts';
import { automatonStatesMax } from './limits.ts';
import { literal, luceneRegex } from './lucene.ts';
import { severityNames } from './severity.ts';
import { keyTerm, numberTerm, type TermType, termKey, valueTerm } from './terms.ts';
import { fragmentsOf, literalIn } from './text.ts';

// A filter as a condition in Elasticsearch's query language. Not everything can be said there exactly, so a condition is two:
// `may` holds for every record that matches, `sure` for none that does not. Between the two lie the doubtful ones, of which
// each is looked at (read.ts). Where a condition is exact both are the same object.

export type Dsl = { readonly [key: string]: unknown };
export interface Condition {
  readonly may: Dsl;
  readonly sure: Dsl;
}

export interface CompileOptions {
  /** Whether expressions may be given to Lucene: not where it has refused one as too large. */
  readonly expressions: boolean;
}

const all: Dsl = { match_all: {} };
export const none: Dsl = { match_none: {} };

/** @param filter its expressions are valid. */
export function compile(filter: Filter, options: CompileOptions): Condition {
  switch (filter.kind) {
    case 'all':
      return exactly(all);
    case 'and':
      return and(filter.of.map((part) => compile(part, options)));
    case 'or':
      return or(filter.of.map((part) => compile(part, options)));
    case 'not':
      return not(compile(filter.of, options));
    case 'text':
      return bodyHas(filter.text, false);
    case 'exists':
      return onField(filter.field, { attribute: exists, intrinsic: intrinsicExists });
    case 'in':
      return or(filter.values.map((value) => equal(filter.field, value)));
    case 'regex':
      return onField(filter.field, {
        attribute: (scope, key) => regex(scope, key, filter.pattern, options),
        intrinsic: (name) => intrinsicRegex(name, filter.pattern, options),
      });
    case 'compare': {
      const { field, op, value } = filter;
      if (op === '=') return equal(field, value);
      if (op === '!=') return not(equal(field, value));
      return onField(field, {
        attribute: (scope, key) => ordered(scope, key, op, value),
        intrinsic: (name) => intrinsicOrdered(name, op, value),
      });
    }
  }
}

// ---------------------------------------------------------------------------------------------- conditions

function exactly(query: Dsl): Condition {
  return { may: query, sure: query };
}

export function isExact(condition: Condition): boolean {
  return condition.may === condition.sure;
}

function and(of: readonly Condition[]): Condition {
  const may = allOf(of.map((each) => each.may));
  return of.every(isExact) ? exactly(may) : { may, sure: allOf(of.map((each) => each.sure)) };
}

function or(of: readonly Condition[]): Condition {
  const may = anyOf(of.map((each) => each.may));
  return of.every(isExact) ? exactly(may) : { may, sure: anyOf(of.map((each) => each.sure)) };
}

function not(of: Condition): Condition {
  const may = noneOf(of.sure);
  return isExact(of) ? exactly(may) : { may, sure: noneOf(of.may) };
}

export function allOf(queries: readonly Dsl[]): Dsl {
  const needed = queries.filter((query) => query !== all);
  if (needed.includes(none)) return none;
  if (needed.length <= 1) return needed[0] ?? all;
  return { bool: { filter: needed } };
}

function anyOf(queries: readonly Dsl[]): Dsl {
  const possible = queries.filter((query) => query !== none);
  if (possible.includes(all)) return all;
  if (possible.length <= 1) return possible[0] ?? none;
  return { bool: { should: possible, minimum_should_match: 1 } };
}

export function noneOf(query: Dsl): Dsl {
  return query === all ? none : query === none ? all : { bool: { must_not: [query] } };
}

// ---------------------------------------------------------------------------------------------- attributes

/** Which of the two sets of fields. */
type Scope = '' | 'resource_';
type IntrinsicName = (Field & { scope: 'intrinsic' })['name'];

interface Test {
  attribute(scope: Scope, key: string): Condition;
  intrinsic(name: IntrinsicName): Condition;
}

function onField(field: Field, test: Test): Condition {
  switch (field.scope) {
    case 'intrinsic':
      return test.intrinsic(field.name);
    case 'record':
      return test.attribute('', field.key);
    case 'resource':
      return test.attribute('resource_', field.key);
    case 'any': {
      const own = test.attribute('', field.key);
      const ofResource = test.attribute('resource_', field.key);
      if (ofResource.may === none) return own;
      return or([own, and([not(exists('', field.key)), ofResource])]);
    }
  }
}

/** The types that a value has, without those of elements. */
export const valueTypes: readonly TermType[] = ['s', 'n', 'b', 'z', 'o', 'a'];
const longTypes = ['S', 'O', 'A'];

function exists(scope: Scope, key: string): Condition {
  return exactly({ terms: { [`${scope}keys`]: valueTypes.map((type) => keyTerm(type, key)) } });
}

function equal(field: Field, value: Literal): Condition {
  return onField(field, {
    attribute: (scope, key) => equals(scope, key, value),
    intrinsic: (name) => intrinsicEquals(name, value),
  });
}

function equals(scope: Scope, key: string, { text, number }: Literal): Condition {
  const terms = [valueTerm('s', key, text), valueTerm('e', key, text)];
  if (text === 'true' || text === 'false') terms.push(valueTerm('b', key, text));
  if (text === 'null') terms.push(valueTerm('z', key, text));
  if (text.startsWith('{')) terms.push(valueTerm('o', key, text));
  const numbers = new Set(/^-?\d/.test(text) ? [text] : []);
  if (number !== undefined) numbers.add(String(number));
  for (const each of numbers) terms.push(valueTerm('n', key, each), valueTerm('f', key, each));
  return exactly({ terms: { [`${scope}attrs`]: terms } });
}

type Order = '>' | '>=' | '<' | '<=';
const bounds = { '>': 'gt', '>=': 'gte', '<': 'lt', '<=': 'lte' } as const;

function ordered(scope: Scope, key: string, op: Order, { number }: Literal): Condition {
  if (number === undefined || Number.isNaN(number)) return exactly(none);
  const field = `${scope}numbers`;
  // All numbers of a key lie between `key=` and `key>`, since > follows on =.
  const edge = op.startsWith('>') ? { lt: `${termKey(key)}>` } : { gte: `${termKey(key)}=` };
  return exactly({ range: { [field]: { [bounds[op]]: numberTerm(key, number), ...edge } } });
}

function regex(scope: Scope, key: string, pattern: string, options: CompileOptions): Condition {
  const field = `${scope}attrs`;
  const translated = options.expressions ? luceneRegex(pattern) : undefined;
  if (translated === undefined) return { may: exists(scope, key).may, sure: none };
  const sure = expression(field, `[${valueTypes.join('')}]:${literal(termKey(key))}=(${translated})`);
  const long = longTypes.map((type): Dsl => ({ prefix: { [field]: { value: `${type}:${termKey(key)}=` } } }));
  return { may: anyOf([sure, ...long]), sure };
}

function expression(field: string, value: string): Dsl {
  return { regexp: { [field]: { value, flags: 'NONE', max_determinized_states: automatonStatesMax } } };
}

// ---------------------------------------------------------------------------------------------- intrinsics

const keywordOf = { service: 'service', name: 'event_name', trace_id: 'trace_id', span_id: 'span_id' } as const;
const has = (field: string): Dsl => ({ exists: { field } });

function intrinsicExists(name: IntrinsicName): Condition {
  switch (name) {
    case 'kind':
    case 'status':
    case 'duration':
      return exactly(none);
    case 'severity':
      return not(exactly({ term: { severity_number: 0 } }));
    case 'body':
      // A body that is '' has the field, and is none.
      return { may: has('body'), sure: none };
    default:
      return exactly(has(keywordOf[name]));
  }
}

function intrinsicEquals(name: IntrinsicName, value: Literal): Condition {
  switch (name) {
    case 'kind':
    case 'status':
    case 'duration':
      return exactly(none);
    case 'severity':
      return severityEquals(value);
    case 'body':
      return bodyHas(value.text, true);
    case 'trace_id':
    case 'span_id':
      return exactly({ term: { [name]: value.text.toLowerCase() } });
    default:
      return exactly({ term: { [keywordOf[name]]: value.text } });
  }
}

function intrinsicRegex(name: IntrinsicName, pattern: string, options: CompileOptions): Condition {
  switch (name) {
    case 'kind':
    case 'status':
    case 'duration':
      return exactly(none);
    case 'severity': {
      const matches = compileRegex(pattern);
      const names = [...severityNames.keys(), 'unset'].filter(matches);
      return or(names.map((text) => severityEquals({ text, number: undefined, durationNanos: undefined })));
    }
    case 'body': {
      const needed = fragmentsOf(literalIn(pattern)).fragments;
      return { may: allOf([has('body'), anyOf([withTokens(needed), cutWords])]), sure: none };
    }
    default: {
      const field = keywordOf[name];
      const translated = options.expressions ? luceneRegex(pattern) : undefined;
      return translated === undefined ? { may: has(field), sure: none } : exactly(expression(field, translated));
    }
  }
}

function intrinsicOrdered(name: IntrinsicName, op: Order, value: Literal): Condition {
  switch (name) {
    case 'severity':
      return severityOrdered(op, value);
    case 'body':
    case 'name':
    case 'service':
      // Text that is a number counts as one: seldom asked for, so it is looked at.
      if (value.number === undefined) return exactly(none);
      return { may: has(name === 'body' ? 'body' : keywordOf[name]), sure: none };
    default:
      return exactly(none);
  }
}

/** What the field can hold; Elasticsearch refuses to compare it with more. */
const severityMax = 0x7fffffff;

function severityBetween(first: number, last: number): Condition {
  return exactly({ range: { severity_number: { gte: first, lte: last } } });
}

function severityEquals({ text, number }: Literal): Condition {
  const name = text.toLowerCase();
  if (name === 'unset') return not(severityBetween(1, 24));
  const first = severityNames.get(name);
  if (first !== undefined) return severityBetween(first, first + 3);
  if (number === undefined || !Number.isInteger(number) || Math.abs(number) > severityMax) return exactly(none);
  return exactly({ term: { severity_number: number } });
}

function severityOrdered(op: Order, { text, number }: Literal): Condition {
  const first = severityNames.get(text.toLowerCase());
  // `>` is above the whole range of a name, `>=` from its beginning.
  const bound = first === undefined ? number : op === '>' || op === '<=' ? first + 3 : first;
  if (bound === undefined || Number.isNaN(bound)) return exactly(none);
  if (Math.abs(bound) > severityMax) return exactly(op.startsWith('<') === bound > 0 ? all : none);
  return exactly({ range: { severity_number: { [bounds[op]]: bound } } });
}

// ---------------------------------------------------------------------------------------------- body

/** Bodies that have a text, or are one. */
function bodyHas(text: string, isAll: boolean): Condition {
  const { fragments, whole } = fragmentsOf(text);
  const found = fragments.length === 0 ? has('body') : withTokens(fragments);
  return { may: anyOf([found, cutWords]), sure: whole && !isAll ? found : none };
}

/** A token that is longer than Lucene takes was cut, perhaps where a text lies. */
const cutWords: Dsl = { term: { flags: 'long_words' } };

function withTokens(
  fragments: readonly { readonly text: string; readonly begins: boolean; readonly ends: boolean }[],
): Dsl {
  return allOf(
    fragments.map(({ text, begins, ends }): Dsl => {
      if (begins && ends) return { term: { body: text } };
      if (begins) return { prefix: { body: { value: text } } };
      return { wildcard: { body: { value: `*${text}${ends ? '' : '*'}` } } };
    }),
  );
}
