import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../test/kit/runs.ts';
import { Fault } from '../base/index.ts';
import { type Field, type Filter, fieldName, fieldNamed, intrinsics, type Literal } from '../stores/filter.ts';
import { parseQuery, printQuery } from './index.ts';
import { bareLiteral, quotedLiteral } from './literal.ts';

/** A filter in one line: `(a & b)`, `!a`, `any:key = 'text'`. Numbers and durations stand behind what they were read from. */
function drawn(filter: Filter): string {
  switch (filter.kind) {
    case 'all':
      return 'all';
    case 'and':
    case 'or':
      return `(${filter.of.map(drawn).join(filter.kind === 'and' ? ' & ' : ' | ')})`;
    case 'not':
      return `!${drawn(filter.of)}`;
    case 'text':
      return `'${filter.text}'`;
    case 'compare':
      return `${field(filter.field)} ${filter.op} ${literal(filter.value)}`;
    case 'in':
      return `${field(filter.field)} in ${filter.values.map(literal).join(' ')}`;
    case 'regex':
      return `${field(filter.field)} ~ ${filter.pattern}`;
    case 'exists':
      return `${field(filter.field)} exists`;
  }
}
const field = (f: Field) => (f.scope === 'intrinsic' ? `#${f.name}` : `${f.scope}:${f.key}`);
const literal = ({ text, number, durationNanos }: Literal) =>
  `'${text}'${number === undefined ? '' : `=${number}`}${durationNanos === undefined ? '' : `=${durationNanos}ns`}`;

describe('reads', () => {
  it.each([
    { query: '', filter: 'all' },
    { query: ' \t\n', filter: 'all' },
    { query: 'error', filter: "'error'" },
    { query: 'payment declined', filter: "('payment' & 'declined')" },
    { query: '"payment declined"', filter: "'payment declined'" },
    { query: '"a \\"b\\" \\\\ \\n \\u00e9"', filter: '\'a "b" \\ \n é\'' },
    {
      query: "don't /api/v1 a-b a.b 10% user@host wow!",
      filter: "('don't' & '/api/v1' & 'a-b' & 'a.b' & '10%' & 'user@host' & 'wow!')",
    },
    { query: 'späť 支付 🐈', filter: "('späť' & '支付' & '🐈')" },
    // Precedence: NOT, then AND and juxtaposition, then OR.
    { query: 'a OR b c', filter: "('a' | ('b' & 'c'))" },
    { query: 'a AND b OR c AND d', filter: "(('a' & 'b') | ('c' & 'd'))" },
    { query: '(a OR b) c', filter: "(('a' | 'b') & 'c')" },
    { query: 'NOT a b', filter: "(!'a' & 'b')" },
    { query: 'NOT (a b)', filter: "!('a' & 'b')" },
    { query: 'NOT NOT a', filter: "!!'a'" },
    { query: 'a NOT b', filter: "('a' & !'b')" },
    { query: 'a OR(b)AND(c)', filter: "('a' | ('b' & 'c'))" },
    { query: 'and or not Or ORDER', filter: "('and' & 'or' & 'not' & 'Or' & 'ORDER')" },
    { query: '"AND"', filter: "'AND'" },
    // Conditions.
    { query: 'http.response.status_code>=500', filter: "any:http.response.status_code >= '500'=500" },
    {
      query: 'k=v k!=v k>1 k>=1 k<1 k<=1',
      filter: "(any:k = 'v' & any:k != 'v' & any:k > '1'=1 & any:k >= '1'=1 & any:k < '1'=1 & any:k <= '1'=1)",
    },
    { query: 'k = v', filter: "any:k = 'v'" },
    { query: 'k="a b"', filter: "any:k = 'a b'" },
    { query: 'k=""', filter: "any:k = ''" },
    { query: 'k="5"', filter: "any:k = '5'" },
    { query: 'k=-5.5e3', filter: "any:k = '-5.5e3'=-5500" },
    { query: 'k=1e999', filter: "any:k = '1e999'" },
    { query: 'k=250ms', filter: "any:k = '250ms'=250000000ns" },
    { query: 'url=http://host:80/a,b', filter: "any:url = 'http://host:80/a,b'" },
    { query: 'k:*', filter: 'any:k exists' },
    { query: 'k~"^a\\.b\\d\\"$"', filter: 'any:k ~ ^a\\.b\\d"$' },
    { query: 'k ~ "x"', filter: 'any:k ~ x' },
    { query: 'k~"[(?=]\\\\1"', filter: 'any:k ~ [(?=]\\\\1' },
    { query: 'k in (a, "b c" , 3)', filter: "any:k in 'a' 'b c' '3'=3" },
    { query: 'k in(a)', filter: "any:k in 'a'" },
    { query: 'k IN (a)', filter: "any:k in 'a'" },
    { query: 'log in', filter: "('log' & 'in')" },
    { query: 'k=v(a)', filter: "(any:k = 'v' & 'a')" },
    // Keys.
    { query: 'resource.service.version=1', filter: "resource:service.version = '1'=1" },
    { query: 'span.http.route=/a', filter: "record:http.route = '/a'" },
    { query: 'log.order=1', filter: "record:order = '1'=1" },
    {
      query: 'log.file.path=/a log.iostream=stderr',
      filter: "(any:log.file.path = '/a' & any:log.iostream = 'stderr')",
    },
    { query: 'resource.=1', filter: "any:resource. = '1'=1" },
    { query: 'a/b-c_d@e=1', filter: "any:a/b-c_d@e = '1'=1" },
    { query: '"odd key"=1', filter: "any:odd key = '1'=1" },
    { query: '"odd key":*', filter: 'any:odd key exists' },
    { query: 'resource."odd key"~"x"', filter: 'resource:odd key ~ x' },
    { query: '"resource.a"=1', filter: "any:resource.a = '1'=1" },
    // Intrinsics; in quotes the same name is an attribute.
    { query: 'status=error', filter: "#status = 'error'" },
    { query: '"status"=error', filter: "any:status = 'error'" },
    { query: 'span.status=teapot', filter: "record:status = 'teapot'" },
    { query: 'status!=OK kind in (server, Client)', filter: "(#status != 'OK' & #kind in 'server' 'Client')" },
    { query: 'duration>1.5s', filter: "#duration > '1.5s'=1500000000ns" },
    { query: 'severity>=warn severity=17', filter: "(#severity >= 'warn' & #severity = '17'=17)" },
    {
      query: 'service=a name="b c" body~"d" trace_id=00 span_id:*',
      filter: "(#service = 'a' & #name = 'b c' & #body ~ d & #trace_id = '00'=0 & #span_id exists)",
    },
  ])('$query', ({ query, filter }) => {
    const read = parseQuery(query);
    expect(drawn(read)).toBe(filter);
    expect(parseQuery(printQuery(read))).toEqual(read);
  });
});

describe('refuses', () => {
  it.each([
    { query: 'a OR', message: 'expected a condition at position 5' },
    { query: 'AND a', message: 'expected a condition before AND at position 1; put it into quotes to search for it' },
    {
      query: 'a AND OR b',
      message: 'expected a condition before OR at position 7; put it into quotes to search for it',
    },
    { query: '(a', message: 'expected ) at position 3 for the ( at position 1' },
    { query: 'a)', message: 'expected a condition, found ) at position 2' },
    { query: '()', message: 'expected a condition, found ) at position 2' },
    { query: '"a', message: 'expected closing " at position 3 for the one at position 1' },
    { query: '""', message: 'expected text between the quotes at position 1' },
    {
      query: '"\\q"',
      message: 'expected one of \\" \\\\ \\n \\r \\t \\u0000 at position 2; a backslash itself is written \\\\',
    },
    { query: "k='a b'", message: 'expected double quotes around text at position 3' },
    { query: "'a b'", message: 'expected double quotes around text at position 1' },
    { query: '=5', message: 'expected a condition, found = at position 1' },
    { query: 'k=', message: 'expected a value at position 3' },
    { query: 'k=)', message: 'expected a value at position 3' },
    { query: 'k=*', message: 'expected a value; a key that exists is written key:* at position 3' },
    {
      query: 'k=a*',
      message: 'expected no * at position 4; write key~"regex" for a pattern, or put the value into quotes',
    },
    { query: 'a*', message: /^expected no \* at position 2;/ },
    {
      query: 'service:checkout',
      message: 'expected * after : at position 9; write service=value for equality, and text with : in quotes',
    },
    { query: 'k==v', message: 'expected a value at position 3' },
    { query: 'k~a', message: 'expected a regular expression in double quotes at position 3' },
    { query: 'k~"a', message: 'expected closing " at position 5 for the one at position 3' },
    { query: 'k~"(?=a)"', message: /lookahead/ },
    { query: 'k~"(?<!a)"', message: /lookbehind/ },
    { query: 'k~"(a)\\1"', message: /backreference/ },
    { query: 'k in ()', message: 'expected a value at position 7' },
    { query: 'k in (a', message: 'expected , or ) at position 8' },
    { query: 'k in (a,)', message: 'expected a value at position 9' },
    { query: '""=1', message: 'expected a key at position 1' },
    { query: 'resource."a b"', message: 'expected an operator such as = or :* after the key at position 15' },
    { query: 'k>abc', message: 'expected a number after > at position 3' },
    { query: 'k>"5"', message: 'expected a number after > at position 3; a number stands without quotes' },
    {
      query: 'k>5ms',
      message: 'expected a number after > at position 3; only the duration of a span is compared with a duration',
    },
    { query: 'duration>250', message: 'expected a duration such as 250ms or 1.5s at position 10' },
    { query: 'duration="1s"', message: 'expected a duration such as 250ms or 1.5s at position 10' },
    { query: 'duration~"1"', message: 'expected a comparison such as duration>=250ms at position 10' },
    { query: 'status=500', message: 'expected a status: unset, ok, error at position 8' },
    { query: 'status in (ok, bad)', message: 'expected a status: unset, ok, error at position 16' },
    { query: 'status>ok', message: 'expected = or != for status at position 8' },
    { query: 'kind=web', message: /^expected a kind: internal, server,/ },
    { query: 'severity>=loud', message: /^expected a severity: trace, debug,/ },
    { query: 'severity>=unset', message: /^expected a severity/ },
    { query: 'severity=25', message: /^expected a severity/ },
    { query: 'trace_id>5', message: 'expected = or != for trace_id at position 10' },
    { query: 'x'.repeat(8_193), message: 'expected at most 8192 characters, found 8193' },
    { query: `${'('.repeat(64)}a${')'.repeat(64)}`, message: /at most 64 levels/ },
    { query: 'NOT '.repeat(64).concat('a'), message: /at most 64 levels/ },
    { query: 'a '.repeat(257), message: /at most 256 conditions/ },
    { query: `k in (${'a,'.repeat(256)}a)`, message: /at most 256 values/ },
    { query: `k~"${'a'.repeat(1_001)}"`, message: /at most 1000 characters/ },
  ])('$query', ({ query, message }) => {
    const attempt = () => parseQuery(query);
    expect(attempt).toThrow(expect.objectContaining({ code: 'malformed', parameter: 'query' }));
    try {
      attempt();
    } catch (thrown) {
      if (typeof message === 'string') expect((thrown as Fault).message).toBe(message);
      else expect((thrown as Fault).message).toMatch(message);
    }
  });
});

const text = fc.oneof(
  fc.string({ minLength: 1, maxLength: 12 }),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 6 }),
  fc.constantFrom('AND', 'in', 'NOT', '5', '5ms', 'log.iostream', 'service'),
);
const key: fc.Arbitrary<Field> = fc.record({
  scope: fc.constantFrom('any' as const, 'record' as const, 'resource' as const),
  key: text,
});
const value: fc.Arbitrary<Literal> = fc.oneof(
  text.map(quotedLiteral),
  fc.oneof(fc.integer().map(String), fc.constantFrom('1h30m', '250ms', 'a', 'a/b', '1.5', '-2e-7')).map(bareLiteral),
);
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => bareLiteral(String(number)));
// What a pattern can be once it is read: `\"` has become `"`, and a backslash escapes something.
const pattern = fc
  .array(fc.constantFrom('a', '"', '\\d', '\\\\', '.*', '[x"]', ' ', 'é', '(b|c)'))
  .map((parts) => parts.join(''));
const leaf: fc.Arbitrary<Filter> = fc.oneof(
  text.map((text): Filter => ({ kind: 'text', text })),
  fc.record({
    kind: fc.constant('compare' as const),
    field: key,
    op: fc.constantFrom('=' as const, '!=' as const),
    value,
  }),
  fc.record({
    kind: fc.constant('compare' as const),
    field: key,
    op: fc.constantFrom('>' as const, '<=' as const),
    value: number,
  }),
  fc.record({ kind: fc.constant('in' as const), field: key, values: fc.array(value, { minLength: 1, maxLength: 4 }) }),
  fc.record({ kind: fc.constant('regex' as const), field: key, pattern }),
  fc.record({
    kind: fc.constant('exists' as const),
    field: fc.oneof(
      key,
      fc.constantFrom(...intrinsics).map((name): Field => ({ scope: 'intrinsic', name })),
    ),
  }),
);
const { filter } = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.record({
      kind: fc.constantFrom('and' as const, 'or' as const),
      of: fc.array(tie('filter'), { minLength: 2, maxLength: 4 }),
    }),
    fc.record({ kind: fc.constant('not' as const), of: tie('filter') }),
  ),
}));

describe('properties', () => {
  it('what is printed is read back the same', () => {
    fc.assert(
      fc.property(filter, (filter) => {
        expect(parseQuery(printQuery(filter))).toEqual(filter);
      }),
      { numRuns: runs(1_000) },
    );
  });

  it('any text is a filter that prints and reads back, or a Fault that says where', () => {
    const part = fc.constantFrom(
      ...[
        'a',
        'AND ',
        'OR ',
        'NOT ',
        '(',
        ')',
        '"',
        '\\',
        '=',
        '!',
        '>',
        '<',
        '~',
        ':',
        '*',
        ' in ',
        ',',
        '5ms',
        'duration',
        'resource.',
        ' ',
        'é',
      ],
    );
    const query = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(part, { maxLength: 30 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(query, (query) => {
        let read: Filter;
        try {
          read = parseQuery(query);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(Fault);
          expect(thrown).toMatchObject({
            code: 'malformed',
            parameter: 'query',
            message: expect.stringMatching(/at position \d+/),
          });
          return;
        }
        expect(parseQuery(printQuery(read))).toEqual(read);
      }),
      { numRuns: runs(5_000) },
    );
  });

  it('the name of a field is read back the same', () => {
    fc.assert(
      fc.property(key, (field) => {
        expect(fieldNamed(fieldName(field))).toEqual(field);
      }),
    );
  });
});

it.each([
  { name: 'http.route', field: 'any:http.route' },
  { name: 'resource.k8s.pod.name', field: 'resource:k8s.pod.name' },
  { name: 'severity', field: '#severity' },
  { name: '"severity"', field: 'any:severity' },
  { name: 'resource."a b"', field: 'resource:a b' },
  { name: 'a b', field: 'any:a b' },
  { name: 'a"b', field: 'any:a"b' },
  { name: '"a', field: 'any:"a' },
  { name: '"\\q"', field: 'any:"\\q"' },
  { name: 'log.file.path', field: 'any:log.file.path' },
  { name: 'log.order', field: 'record:order' },
  { name: 'resource.', field: 'any:resource.' },
])('reads the field $name', ({ name, field: expected }) => {
  expect(field(fieldNamed(name))).toBe(expected);
});
