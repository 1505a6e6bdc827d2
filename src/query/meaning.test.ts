import { expect, it } from 'vitest';
import { evaluateFilter, type FilteredRecord } from '../../test/kit/evaluate-filter.ts';
import type { Json } from '../stores/contract.ts';
import { parseQuery } from './index.ts';

// What a query finds, as src/stores/filter.ts says it: one record, one query, yes or no.

const none = {
  service: undefined,
  name: undefined,
  kind: undefined,
  status: undefined,
  durationNanos: undefined,
  severityNumber: undefined,
  body: undefined,
  traceId: undefined,
  spanId: undefined,
};
const traceId = '5b8efff798038103d269b633813fc60c';

const span: FilteredRecord = {
  intrinsics: {
    ...none,
    service: 'checkout',
    name: 'POST /pay',
    kind: 'client',
    status: 'error',
    durationNanos: 250_000_000n,
    traceId,
    spanId: 'eee19b7ec3c1b174',
  },
  attributes: {
    'http.response.status_code': 502,
    numeric: '502',
    both: 'span',
    flag: true,
    tags: ['a', 7],
    empty: '',
    nothing: null,
    big: '9223372036854775807',
    half: 0.5,
    nested: { a: 1 },
  },
  resource: { 'service.name': 'checkout', both: 'resource', only: 'x' },
  texts: ['POST /pay', 'Payment Declined', 'exception', 'card expired'],
};

function log(body: Json, severityNumber: number, attributes: { [key: string]: Json } = {}): FilteredRecord {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return {
    intrinsics: { ...none, severityNumber, body, traceId: '', spanId: '' },
    attributes,
    resource: {},
    texts: [text],
  };
}

it.each([
  { query: '', found: true },
  // Words: anywhere, whatever the case; each in any of the texts.
  { query: 'declined', found: true },
  { query: '"payment declined"', found: true },
  { query: 'declined EXPIRED', found: true },
  { query: '"declined expired"', found: false },
  { query: 'ecline', found: true },
  { query: 'checkout', found: false },
  // Equality: as text, or as numbers where both are.
  { query: 'http.response.status_code=502', found: true },
  { query: 'http.response.status_code=502.0', found: true },
  { query: 'http.response.status_code="502"', found: true },
  { query: 'http.response.status_code="502.0"', found: false },
  { query: 'numeric=502', found: true },
  { query: 'numeric=502.0', found: false },
  { query: 'flag=true', found: true },
  { query: 'half=0.5', found: true },
  { query: 'half=5e-1', found: true },
  { query: 'big=9223372036854775807', found: true },
  { query: 'empty=""', found: true },
  { query: 'absent=""', found: false },
  { query: 'tags=a', found: true },
  { query: 'tags=7', found: true },
  { query: 'tags=8', found: false },
  { query: 'nested="{\\"a\\":1}"', found: true },
  { query: 'numeric=50', found: false },
  // != is NOT =.
  { query: 'absent!=x', found: true },
  { query: 'tags!=a', found: false },
  { query: 'numeric!=1', found: true },
  // Order: numbers, and strings that are numbers.
  { query: 'http.response.status_code>=500', found: true },
  { query: 'http.response.status_code<502', found: false },
  { query: 'numeric>501', found: true },
  { query: 'both>1', found: false },
  { query: 'absent<1', found: false },
  { query: 'NOT absent<1', found: true },
  { query: 'flag>0', found: false },
  // Scopes.
  { query: 'both=span', found: true },
  { query: 'both=resource', found: false },
  { query: 'resource.both=resource', found: true },
  { query: 'span.both=span', found: true },
  { query: 'span.only=x', found: false },
  { query: 'only=x', found: true },
  { query: 'resource.numeric:*', found: false },
  // Existence and patterns.
  { query: 'empty:*', found: true },
  { query: 'nothing:*', found: true },
  { query: 'absent:*', found: false },
  { query: 'only~"X"', found: false },
  { query: 'numeric~"^50\\d$"', found: true },
  { query: 'http.response.status_code~"0"', found: true },
  { query: 'absent~".*"', found: false },
  { query: 'numeric in (1, 502)', found: true },
  { query: 'numeric in (1, 2)', found: false },
  // Intrinsics.
  { query: 'status=error kind=CLIENT service=checkout name="POST /pay"', found: true },
  { query: 'status!=error', found: false },
  { query: 'status in (ok, unset)', found: false },
  { query: 'duration=250ms', found: true },
  { query: 'duration>=0.25s duration<251ms', found: true },
  { query: 'duration>250ms', found: false },
  { query: 'name~"^POST"', found: true },
  { query: `trace_id=${traceId.toUpperCase()} span_id=EEE19B7EC3C1B174`, found: true },
  { query: 'severity>=trace', found: false },
  { query: 'severity!=error', found: true },
  { query: 'body:* OR severity:*', found: false },
  { query: 'status:* kind:* duration:* trace_id:*', found: true },
  { query: '"status"=error', found: false },
])('on a span: $query', ({ query, found }) => {
  expect(evaluateFilter(parseQuery(query), span)).toBe(found);
});

it.each([
  { severity: 17, query: 'severity=error', found: true },
  { severity: 20, query: 'severity=ERROR', found: true },
  { severity: 21, query: 'severity=error', found: false },
  { severity: 18, query: 'severity=17', found: false },
  { severity: 13, query: 'severity>=warn', found: true },
  { severity: 12, query: 'severity>=warn', found: false },
  { severity: 16, query: 'severity>warn', found: false },
  { severity: 17, query: 'severity>warn', found: true },
  { severity: 16, query: 'severity<=warn', found: true },
  { severity: 12, query: 'severity<warn', found: true },
  { severity: 13, query: 'severity<warn', found: false },
  { severity: 9, query: 'severity in (debug, info)', found: true },
  { severity: 9, query: 'severity!=info', found: false },
  { severity: 0, query: 'severity=unset', found: true },
  { severity: 9, query: 'severity=UNSET', found: false },
  { severity: 9, query: 'severity!=unset', found: true },
  { severity: 0, query: 'severity<warn', found: true },
  { severity: 0, query: 'severity:*', found: false },
  { severity: 5, query: 'severity:*', found: true },
])('on a log of severity $severity: $query', ({ severity, query, found }) => {
  expect(evaluateFilter(parseQuery(query), log('x', severity))).toBe(found);
});

it.each([
  { body: 'Timeout after 30s', query: 'timeout 30s', found: true },
  { body: 'Timeout after 30s', query: 'body="Timeout after 30s"', found: true },
  { body: 'Timeout after 30s', query: 'body~"after \\d+s$"', found: true },
  { body: 'a\nb', query: 'body~"a.b"', found: false }, // as RE2 has it, unless the pattern says (?s:…)
  { body: 'a\nb', query: 'body~"a(?s:.)b"', found: true },
  { body: { event: 'paid', amount: 5 }, query: 'paid', found: true },
  { body: { event: 'paid', amount: 5 }, query: '"\\"amount\\":5"', found: true },
  { body: 'x', query: 'status=ok', found: false },
  { body: 'x', query: 'duration>1ns', found: false },
  { body: 'x', query: 'name:* OR kind:* OR service:* OR trace_id:*', found: false },
])('on the body $body: $query', ({ body, query, found }) => {
  expect(evaluateFilter(parseQuery(query), log(body, 9))).toBe(found);
});
