import type { FieldSummary, FieldValue, Json, LogRow, Page } from '../contract.ts';
import { type Field, fieldName, fieldNamed, type Intrinsic } from '../filter.ts';
import { textOf } from '../match.ts';
import { allOf, type Dsl, none, noneOf, valueTypes } from './compile.ts';
import { distinctMax, expressionCharsMax, longValuesMax } from './limits.ts';
import { literal } from './lucene.ts';
import { matched, type Source } from './rows.ts';
import type { Aggregation, Bucket } from './search.ts';
import { eachDoubtful, type Selection } from './select.ts';
import { severityName, severityNames } from './severity.ts';
import { keyTerm, parseTerm, type TermType, termKey } from './terms.ts';

// Which fields records have, and which values. Elasticsearch counts what it is sure of; what it doubts is looked at.

const intrinsicFields: readonly { readonly name: Intrinsic; readonly has: Dsl }[] = [
  { name: 'service', has: { exists: { field: 'service' } } },
  { name: 'severity', has: { bool: { must_not: [{ term: { severity_number: 0 } }] } } },
  { name: 'body', has: { exists: { field: 'body' } } },
  { name: 'name', has: { exists: { field: 'event_name' } } },
  { name: 'trace_id', has: { exists: { field: 'trace_id' } } },
  { name: 'span_id', has: { exists: { field: 'span_id' } } },
];

export async function readFields(selection: Selection, limit: number): Promise<Page<FieldSummary>> {
  const { asking } = selection;
  const fields = new Map<string, { type: FieldSummary['type']; count: number }>();
  const add = (name: string, type: FieldSummary['type'], count: number) => {
    if (count === 0) return;
    const field = fields.get(name);
    if (field === undefined) fields.set(name, { type, count });
    else {
      field.count += count;
      if (field.type !== type) field.type = 'mixed';
    }
  };
  const found = await asking.search({
    query: selection.condition.sure,
    size: 0,
    track_total_hits: false,
    aggs: {
      record: { terms: { field: 'keys', size: distinctMax } },
      resource: { terms: { field: 'resource_keys', size: distinctMax } },
      ...Object.fromEntries(intrinsicFields.map(({ name, has }) => [`has_${name}`, { filter: has }])),
    },
  });
  for (const { name } of intrinsicFields) add(name, 'string', found?.aggregations[`has_${name}`]?.doc_count ?? 0);
  for (const scope of ['record', 'resource'] as const) {
    const aggregation = found?.aggregations[scope];
    for (const { key, doc_count: count } of aggregation?.buckets ?? []) {
      const name = fieldName({ scope: scope === 'record' ? 'any' : 'resource', key: String(key).slice(2) });
      add(name, typeNames[String(key)[0] as TermType], count);
    }
    warnOfRest(selection, aggregation, 'keys');
  }
  await eachDoubtful(selection, (row) => {
    for (const { name } of intrinsicFields) if (intrinsicValue(row, name) !== undefined) add(name, 'string', 1);
    for (const [key, value] of Object.entries(row.attributes)) add(fieldName({ scope: 'any', key }), typeOf(value), 1);
    for (const [key, value] of Object.entries(row.resource)) {
      add(fieldName({ scope: 'resource', key }), typeOf(value), 1);
    }
  });
  const items = [...fields]
    .map(([name, { type, count }]) => ({ name, type, count }))
    .sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1))
    .slice(0, limit);
  return { items, next: undefined, incomplete: asking.warnings.length > 0, warnings: asking.warnings };
}

const typeNames: Readonly<Record<TermType, FieldSummary['type']>> = {
  s: 'string',
  n: 'number',
  b: 'boolean',
  z: 'mixed',
  o: 'mixed',
  a: 'mixed',
  e: 'mixed',
  f: 'mixed',
};

function typeOf(value: Json): FieldSummary['type'] {
  const type = typeof value;
  return type === 'string' || type === 'number' || type === 'boolean' ? type : 'mixed';
}

// ---------------------------------------------------------------------------------------------- values

export async function readFieldValues(selection: Selection, name: string, limit: number): Promise<Page<FieldValue>> {
  const { asking } = selection;
  const field = fieldNamed(name);
  const counts = new Map<string, number>();
  const add = (value: Json, count: number) => {
    const text = JSON.stringify(value);
    counts.set(text, (counts.get(text) ?? 0) + count);
  };
  const question = questionOf(field);
  if (question !== undefined) {
    const found = await asking.search({
      query: selection.condition.sure,
      size: 0,
      track_total_hits: false,
      aggs: question.aggs,
    });
    question.read(found?.aggregations ?? {}, add, (aggregation) => warnOfRest(selection, aggregation, 'values'));
  }
  const doubtful =
    question === undefined ? { ...selection, condition: { may: selection.condition.may, sure: none } } : selection;
  await eachDoubtful(doubtful, (row) => {
    const value = fieldValueOf(row, field);
    if (value !== undefined) add(value, 1);
  });
  const items = [...counts]
    .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
    .slice(0, limit)
    .map(([text, count]) => ({ value: JSON.parse(text) as Json, count }));
  return { items, next: undefined, incomplete: asking.warnings.length > 0, warnings: asking.warnings };
}

type Aggregations = { readonly [name: string]: Aggregation | undefined };

interface Question {
  readonly aggs: object;
  read(
    found: Aggregations,
    add: (value: Json, count: number) => void,
    warn: (aggregation: Aggregation | undefined) => void,
  ): void;
}

/** undefined: Elasticsearch keeps no values of it to count. */
function questionOf(field: Field): Question | undefined {
  if (field.scope !== 'intrinsic') {
    return literal(field.key).length * 2 > expressionCharsMax ? undefined : ofAttribute(field.scope, field.key);
  }
  switch (field.name) {
    case 'service':
    case 'name':
      return {
        aggs: { values: { terms: { field: field.name === 'name' ? 'event_name' : 'service', size: distinctMax } } },
        read({ values }, add, warn) {
          for (const { key, doc_count: count } of values?.buckets ?? []) add(String(key), count);
          warn(values);
        },
      };
    case 'severity': {
      const named = [...severityNames].map(([key, first]) => ({ key, from: first, to: first + 4 }));
      const ranges = [{ key: 'below', to: 0 }, ...named, { key: 'above', from: 25 }];
      return {
        aggs: { values: { range: { field: 'severity_number', ranges } } },
        read({ values }, add) {
          for (const { key, doc_count: count } of values?.buckets ?? []) {
            if (count > 0) add(severityNames.has(String(key)) ? key : 'unset', count);
          }
        },
      };
    }
    default:
      return undefined;
  }
}

/** Of an attribute. `any`: the record's own, and the resource's where the record has none. */
function ofAttribute(scope: 'any' | 'record' | 'resource', key: string): Question {
  const own = scope === 'resource' ? {} : termsOf('', key);
  const without = noneOf({ terms: { keys: valueTypes.map((type) => keyTerm(type, key)) } });
  const inherited =
    scope === 'record'
      ? {}
      : { rest: { filter: scope === 'any' ? without : allOf([]), aggs: termsOf('resource_', key) } };
  return {
    aggs: { ...own, ...inherited },
    read(found, add, warn) {
      for (const part of [found, (found['rest'] ?? {}) as Aggregations]) {
        for (const { key: term, doc_count: count } of part['values']?.buckets ?? []) add(valueIn(String(term)), count);
        warn(part['values']);
        const long = part['long'];
        for (const bucket of (long?.buckets ?? []) as readonly (Bucket & { one: Aggregation })[]) {
          const source = bucket.one.hits?.hits[0]?._source as Partial<Source> | undefined;
          const attributes = (part === found ? source?.attributes : source?.resource?.attributes) ?? {};
          if (Object.hasOwn(attributes, key)) add(attributes[key]!, bucket.doc_count);
        }
        warn(long);
      }
    },
  };
}

function termsOf(scope: '' | 'resource_', key: string): object {
  const field = `${scope}attrs`;
  const named = `:${literal(termKey(key))}=.*`;
  const one = { top_hits: { size: 1, _source: ['attributes', 'resource.attributes'] } };
  return {
    values: { terms: { field, size: distinctMax, include: `[${valueTypes.join('')}]${named}` } },
    // Of a long value the index has a hash: the value itself is in any of its records.
    long: { terms: { field, size: longValuesMax, include: `[SOA]${named}` }, aggs: { one } },
  };
}

/** The value that a term stands for. */
function valueIn(term: string): Json {
  const { type, value } = parseTerm(term);
  switch (type) {
    case 's':
      return value;
    case 'n': {
      const number = Number(value);
      return Number.isInteger(number) && !Number.isSafeInteger(number) && /^-?\d+$/.test(value) ? value : number;
    }
    default:
      return JSON.parse(value) as Json;
  }
}

function fieldValueOf(row: LogRow, field: Field): Json | undefined {
  switch (field.scope) {
    case 'intrinsic':
      return intrinsicValue(row, field.name);
    case 'record':
      return own(row.attributes, field.key);
    case 'resource':
      return own(row.resource, field.key);
    case 'any':
      return own(Object.hasOwn(row.attributes, field.key) ? row.attributes : row.resource, field.key);
  }
}

function intrinsicValue(row: LogRow, name: Intrinsic): Json | undefined {
  switch (name) {
    case 'severity':
      return row.severityNumber === 0 ? undefined : severityName(row.severityNumber);
    case 'body':
      return row.body === null ? undefined : textOf(row.body);
    case 'service':
      return matched(row).service;
    case 'name':
      return row.eventName || undefined;
    case 'trace_id':
      return row.traceId || undefined;
    case 'span_id':
      return row.spanId || undefined;
    default:
      return undefined;
  }
}

function own(object: { readonly [key: string]: Json }, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function warnOfRest({ asking }: Selection, aggregation: Aggregation | undefined, what: string): void {
  const rest = aggregation?.sum_other_doc_count ?? 0;
  if (rest > 0) asking.warn(`there are more ${what} than are counted; narrow the time range or the conditions`);
}
