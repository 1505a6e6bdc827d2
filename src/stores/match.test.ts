import fc from 'fast-check';
import { expect, it } from 'vitest';
import { evaluateFilter } from '../../test/kit/evaluate-filter.ts';
import { runs } from '../../test/kit/runs.ts';
import type { Json } from './contract.ts';
import { type Field, type Filter, intrinsics, type Literal } from './filter.ts';
import { compileFilter, type MatchedRecord } from './match.ts';

const scalar = fc.oneof(
  fc.constantFrom('', 'error', 'GET', '5', '5.0', '1e3', 'a b', 'ÄB'),
  fc.constantFrom(0, 5, -3.5, 503, 9_007_199_254_740_991),
  fc.boolean(),
);
const value: fc.Arbitrary<Json> = fc.oneof(
  scalar,
  fc.constant(null),
  fc.array(scalar, { maxLength: 3 }),
  fc.dictionary(fc.constantFrom('x', 'y'), scalar, { maxKeys: 2 }),
);
const keys = ['k', 'http.status', '__proto__'] as const;
const attributes = fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 3 });
const intrinsic = {
  service: fc.option(fc.constantFrom('cart', ''), { nil: undefined }),
  name: fc.option(fc.constantFrom('GET /', 'error'), { nil: undefined }),
  kind: fc.constantFrom('server', 'unspecified', undefined),
  status: fc.constantFrom('unset', 'error', undefined),
  durationNanos: fc.constantFrom(undefined, 0n, 250_000_000n, 1n),
  severityNumber: fc.constantFrom(undefined, 0, 1, 13, 17, 20, 25),
  body: fc.option(value, { nil: undefined }),
  traceId: fc.constantFrom(undefined, '', '0af7651916cd43dd8448eb211c80319c'),
  spanId: fc.constantFrom(undefined, 'b7ad6b7169203331'),
};
const record = fc.record({
  ...intrinsic,
  attributes,
  resource: attributes,
  texts: fc.array(fc.constantFrom('Payment declined', 'x', ''), { maxLength: 2 }),
}) satisfies fc.Arbitrary<MatchedRecord>;
const field: fc.Arbitrary<Field> = fc.oneof(
  fc.constantFrom(...intrinsics).map((name) => ({ scope: 'intrinsic', name }) as const),
  fc.record({ scope: fc.constantFrom('any', 'record', 'resource'), key: fc.constantFrom(...keys, 'absent') }),
);
const literal: fc.Arbitrary<Literal> = fc.constantFrom(
  { text: '5', number: 5, durationNanos: undefined },
  { text: '1000', number: 1000, durationNanos: undefined },
  { text: '17', number: 17, durationNanos: undefined },
  { text: '250ms', number: undefined, durationNanos: 250_000_000n },
  { text: 'Error', number: undefined, durationNanos: undefined },
  { text: 'error', number: undefined, durationNanos: undefined },
  { text: 'warn', number: undefined, durationNanos: undefined },
  { text: 'unset', number: undefined, durationNanos: undefined },
  { text: 'cart', number: undefined, durationNanos: undefined },
  { text: 'true', number: undefined, durationNanos: undefined },
  { text: '', number: undefined, durationNanos: undefined },
  { text: '0AF7651916CD43DD8448EB211C80319C', number: undefined, durationNanos: undefined },
);
const { filter } = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3 },
    fc.constant<Filter>({ kind: 'all' }),
    fc.constantFrom('DECLINED', 'x', '').map((text): Filter => ({ kind: 'text', text })),
    fc.record({
      kind: fc.constant('compare' as const),
      field,
      op: fc.constantFrom('=', '!=', '>', '>=', '<', '<='),
      value: literal,
    }),
    fc.record({ kind: fc.constant('in' as const), field, values: fc.array(literal, { maxLength: 3 }) }),
    fc.record({ kind: fc.constant('regex' as const), field, pattern: fc.constantFrom('^err', '5', 'a.b$', '^$') }),
    fc.record({ kind: fc.constant('exists' as const), field }),
    tie('filter').map((of): Filter => ({ kind: 'not', of })),
    fc.record({ kind: fc.constantFrom('and', 'or'), of: fc.array(tie('filter'), { maxLength: 3 }) }),
  ),
}));

it('answers as the plainest form of the same rules does', () => {
  fc.assert(
    fc.property(filter, record, (given, { attributes, resource, texts, ...intrinsics }) => {
      const answer = compileFilter(given)({ attributes, resource, texts, ...intrinsics });
      expect(answer).toBe(evaluateFilter(given, { attributes, resource, texts, intrinsics }));
    }),
    { numRuns: runs(5_000) },
  );
});

it('reads only what a filter asks for', () => {
  const lazy = {
    get attributes(): never {
      throw new Error('not asked for');
    },
    status: 'error',
  } as unknown as MatchedRecord;
  const value = { text: 'error', number: undefined, durationNanos: undefined };
  const matches = compileFilter({
    kind: 'compare',
    field: { scope: 'intrinsic', name: 'status' },
    op: '=',
    value,
  });
  expect(matches(lazy)).toBe(true);
});
