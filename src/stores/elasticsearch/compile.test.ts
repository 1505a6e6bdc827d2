import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frameOf, type GivenLog } from '../../../test/kit/elasticsearch.ts';
import { runs } from '../../../test/kit/runs.ts';
import { parseQuery } from '../../query/index.ts';
import { type Field, type Filter, intrinsics, type Literal } from '../filter.ts';
import { compileFilter } from '../match.ts';
import { baseUrl } from './client.ts';
import { compile, type Dsl, isExact } from './compile.ts';
import { bulkEncoder, newBulk } from './encode.ts';
import { logRow, matched, type Source } from './rows.ts';

const compiled = (query: string) => compile(parseQuery(query), { expressions: true });

describe('a query as Elasticsearch is asked', () => {
  it.each<[string, Dsl]>([
    ['', { match_all: {} }],
    ['severity>=warn', { range: { severity_number: { gte: 13 } } }],
    ['severity=error', { range: { severity_number: { gte: 17, lte: 20 } } }],
    ['trace_id=ABCDEF', { term: { trace_id: 'abcdef' } }],
    ['span.k:*', { terms: { keys: ['s:k', 'n:k', 'b:k', 'z:k', 'o:k', 'a:k'] } }],
    ['span.k="a=b"', { terms: { attrs: ['s:k=a=b', 'e:k=a=b'] } }],
    ['span.k=5.0', { terms: { attrs: ['s:k=5.0', 'e:k=5.0', 'n:k=5.0', 'f:k=5.0', 'n:k=5', 'f:k=5'] } }],
    ['resource.k>5', { range: { resource_numbers: { gt: 'k=c014000000000000', lt: 'k>' } } }],
    ['resource.k<=5', { range: { resource_numbers: { lte: 'k=c014000000000000', gte: 'k=' } } }],
    ['status=error', { match_none: {} }],
    ['declined', { wildcard: { body: { value: '*declined*' } } }],
  ])('%s', (query, expected) => expect(compiled(query).sure).toEqual(expected));

  it.each<[string, boolean]>([
    ['a=1 AND NOT b=2 OR c:*', true],
    ['name~"^k8s"', true],
    ['declined', false], // a token that is longer than Lucene takes is looked at
    ['"card expired"', false],
    ['NOT "card expired"', false],
    ['k~"^a"', false], // of a long value there is only a hash
    ['k~"\\bword"', false],
    ['body="x"', false],
  ])('%s: decided there alone: %s', (query, exact) => expect(isExact(compiled(query))).toBe(exact));
});

describe('of every record, whatever is asked', () => {
  const value = fc.oneof(
    fc.constantFrom('5', '-0.5', 'x', '', 'true', 'null', '{"a":1}', 'ü'.repeat(600)),
    fc.constantFrom(5n, -3n, 2n ** 60n),
    fc.constantFrom(5, -0.5, 0, -0, Number.NaN, 1e300),
    fc.boolean(),
    fc.constant(undefined),
    fc.constantFrom([5n, 'x'], [true, undefined, 0.5], { a: 1n }),
  );
  const values = fc.dictionary(fc.constantFrom('k', 'l', 'a=b\\c'), value, { maxKeys: 3 });
  const given: fc.Arbitrary<GivenLog> = fc.record({
    severity: fc.constantFrom(0, 1, 13, 17, 24, 25),
    body: fc.constantFrom('Payment declined', '', 'x-y', undefined),
    values,
  });
  const field: fc.Arbitrary<Field> = fc.oneof(
    fc.record({
      scope: fc.constantFrom('any', 'record', 'resource'),
      key: fc.constantFrom('k', 'l', 'a=b\\c', 'none'),
    }),
    fc
      .constantFrom(...intrinsics.filter((name) => name !== 'body'))
      .map((name) => ({ scope: 'intrinsic', name }) as const),
  );
  const literal: fc.Arbitrary<Literal> = fc
    .constantFrom(
      '5',
      '5.0',
      '-0.5',
      '0',
      'x',
      '',
      'true',
      'null',
      '{"a":1}',
      'ü'.repeat(600),
      'error',
      'unset',
      'cart',
      String(2n ** 60n),
    )
    .chain((text) =>
      fc
        .constantFrom(undefined, Number.isNaN(Number(text)) || text === '' ? undefined : Number(text))
        .map((number) => ({ text, number, durationNanos: undefined })),
    );
  const { filter } = fc.letrec<{ filter: Filter }>((tie) => ({
    filter: fc.oneof(
      { maxDepth: 3 },
      fc
        .record({ field, op: fc.constantFrom('=', '!=', '>', '>=', '<', '<='), value: literal })
        .map((each) => ({ kind: 'compare', ...each }) as const),
      fc
        .record({ field, values: fc.array(literal, { maxLength: 3 }) })
        .map((each) => ({ kind: 'in', ...each }) as const),
      field.map((each) => ({ kind: 'exists', field: each }) as const),
      fc.constant({ kind: 'exists', field: { scope: 'intrinsic', name: 'body' } } as const),
      fc.record({ kind: fc.constantFrom('and', 'or'), of: fc.array(tie('filter'), { maxLength: 3 }) }),
      tie('filter').map((of) => ({ kind: 'not', of }) as const),
    ),
  }));

  it('what matches may match, and what surely matches does', () => {
    const encoder = bulkEncoder(7 * 86_400_000);
    fc.assert(
      fc.property(given, values, filter, (log, resource, asked) => {
        const bulk = newBulk();
        encoder.encode(
          [frameOf([log], { 'service.name': 'cart', ...resource })],
          { frame: 0, record: 0 },
          1e9,
          bulk,
          () => undefined,
          [],
        );
        const source = JSON.parse(bulk.body.bytes.toString('utf8', 0, bulk.body.used).split('\n')[1]!) as Source;
        const { may, sure } = compile(asked, { expressions: true });
        const matches = compileFilter(asked)(matched(logRow(source)));
        if (matches) expect(holds(may, source)).toBe(true);
        if (holds(sure, source)) expect(matches).toBe(true);
        if (may === sure) expect(holds(may, source)).toBe(matches);
      }),
      { numRuns: runs(2_000) },
    );
  });
});

it.each([
  ['http://u:p@elasticsearch:9200', /must not hold credentials/],
  ['ftp://elasticsearch', /must begin with http/],
  ['http://elasticsearch:9200/?q', /must end with its path/],
  ['http://', /not one such as/],
])('%s is no base URL', (text, reason) => expect(() => baseUrl(text)).toThrow(reason));

/** What Elasticsearch does with the part of its query language that filters over terms need. */
function holds(query: Dsl, document: object): boolean {
  const [[kind, about]] = Object.entries(query) as [[string, { [name: string]: never }]];
  if (kind === 'match_all') return true;
  if (kind === 'match_none') return false;
  if (kind === 'bool') {
    const { filter = [], should, must_not: mustNot = [] } = about as unknown as { [part: string]: Dsl[] };
    return (
      filter.every((part) => holds(part, document)) &&
      !mustNot.some((part) => holds(part, document)) &&
      (should === undefined || should.some((part) => holds(part, document)))
    );
  }
  const has = (field: string): (string | number)[] => {
    const found = (document as { [field: string]: string | number | (string | number)[] | undefined })[field];
    return found === undefined ? [] : Array.isArray(found) ? found : [found];
  };
  if (kind === 'exists') return has(about['field']!).length > 0;
  const [[field, wanted]] = Object.entries(about) as [[string, never]];
  switch (kind) {
    case 'term':
      return has(field).includes(wanted);
    case 'terms':
      return (wanted as string[]).some((term) => has(field).includes(term));
    case 'range': {
      const { gt, gte, lt, lte } = wanted as { [bound: string]: string | number | undefined };
      return has(field).some(
        (each) =>
          (gt === undefined || each > gt) &&
          (gte === undefined || each >= gte) &&
          (lt === undefined || each < lt) &&
          (lte === undefined || each <= lte),
      );
    }
    default:
      throw new Error(`no filter over terms needs ${kind}`);
  }
}
