import { expect, it } from 'vitest';
import { parseQuery } from '../../query/index.ts';
import { queryUrl } from './client.ts';
import { narrowingOf } from './plan.ts';

const none = { service: undefined, operation: undefined, durationMinNanos: undefined, durationMaxNanos: undefined };
const open = { service: undefined, operation: undefined, minDurationNanos: undefined, maxDurationNanos: undefined };

// Jaeger may be asked to leave out only what cannot match.
it.each([
  ['', none],
  ['service=cart', { ...none, service: 'cart' }],
  ['service=""', none],
  ['service!=cart', none],
  ['NOT service=cart', none],
  ['service=cart OR service=pay', none],
  ['resource.service.name=cart', none],
  ['name="GET /" AND (service=cart AND status=error)', { ...none, service: 'cart', operation: 'GET /' }],
  ['duration>1ms', { ...none, durationMinNanos: 1_000_000n }],
  ['duration>=1500ns', { ...none, durationMinNanos: 1_000n }],
  ['duration>=1ms duration>=3ms duration<9ms', { ...none, durationMinNanos: 3_000_000n, durationMaxNanos: 9_001_000n }],
  ['duration=2us', { ...none, durationMinNanos: 2_000n, durationMaxNanos: 3_000n }],
  ['duration>=0s', none],
])('%s', (query, narrowing) => {
  expect(narrowingOf({ ...open, filter: parseQuery(query) })).toEqual(narrowing);
});

it('what is asked for beside the query narrows, too', () => {
  const filter = parseQuery('duration<1s');
  expect(
    narrowingOf({ service: 'a', operation: 'b', minDurationNanos: 5_500n, maxDurationNanos: 2_000_000_000n, filter }),
  ).toEqual({ service: 'a', operation: 'b', durationMinNanos: 5_000n, durationMaxNanos: 1_000_001_000n });
});

it.each([
  ['http://jaeger:16686', 'http://jaeger:16686/'],
  ['jaeger:16686', 'http://jaeger:16686/'],
  ['https://jaeger.example.com/tracing', 'https://jaeger.example.com/tracing/'],
])('the endpoint %s', (endpoint, base) => {
  expect(queryUrl(endpoint).href).toBe(base);
});

it.each(['', 'ftp://jaeger', 'http://jaeger?x=1', 'http://'])('refuses the endpoint %j', (endpoint) => {
  expect(() => queryUrl(endpoint)).toThrow(/the Jaeger query endpoint/);
});
