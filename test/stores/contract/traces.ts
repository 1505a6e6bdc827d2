import { parseQuery } from '../../../src/query/index.ts';
import type { Readers, TraceSearch } from '../../../src/stores/contract.ts';
import { decodeOtlp, encodeOtlp } from '../../kit/otlp.ts';
import { attributes, bytes, minute, resource, second, type Values, type World } from './given.ts';
import { type Answer, allPages, type Cases, never, type Question } from './suite.ts';

const ids = {
  order: 'a1'.repeat(16),
  refund: 'a2'.repeat(16),
  orphan: 'a3'.repeat(16),
  batch: 'a4'.repeat(16),
  odd: 'a5'.repeat(16),
} as const;

const front = resource({
  'service.name': 'front',
  'service.namespace': 'shop',
  'deployment.environment.name': 'test',
  region: 'eu',
});
const pay = resource({ 'service.name': 'pay', 'service.namespace': 'shop', 'k8s.pod.name': 'pay-0', replicas: 3n });
const worker = resource({ 'service.name': 'worker' });

interface SpanGiven {
  readonly trace: string;
  readonly id: number;
  readonly parent?: number;
  readonly name: string;
  readonly kind?: number;
  readonly at: bigint;
  readonly ms: number;
  readonly status?: number;
  readonly message?: string;
  readonly values?: Values;
  readonly events?: readonly { readonly name: string; readonly values?: Values }[];
  readonly links?: readonly string[];
}

function span(given: SpanGiven): object {
  const end = given.at + BigInt(given.ms * 1e6);
  return {
    traceId: bytes(given.trace),
    spanId: bytes(spanId(given.id)),
    parentSpanId: given.parent === undefined ? bytes('') : bytes(spanId(given.parent)),
    traceState: 'vendor=1',
    name: given.name,
    kind: given.kind ?? 1,
    startTimeUnixNano: String(given.at),
    endTimeUnixNano: String(end),
    attributes: attributes(given.values ?? {}),
    events: (given.events ?? []).map(({ name, values }) => ({
      timeUnixNano: String(given.at + 1000n),
      name,
      attributes: attributes(values ?? {}),
    })),
    links: (given.links ?? []).map((trace) => ({ traceId: bytes(trace), spanId: bytes(spanId(1)) })),
    ...(given.status === undefined ? {} : { status: { code: given.status, message: given.message ?? '' } }),
  };
}

function spanId(id: number): string {
  return id.toString(16).padStart(16, '0');
}

/** The same trace in several requests, spans before their parents, one whose parent never comes. */
function requestsOf({ start }: World) {
  const scope = { name: 'lib', version: '1.2' };
  const request = (of: object, ...spans: SpanGiven[]) => ({
    body: encodeOtlp('traces', { resourceSpans: [{ resource: of, scopeSpans: [{ scope, spans: spans.map(span) }] }] }),
    records: spans.length,
  });
  return [
    request(
      pay,
      {
        trace: ids.order,
        id: 2,
        parent: 1,
        name: 'POST /pay',
        kind: 2,
        at: start + 10n * second,
        ms: 800.5,
        status: 2,
        message: 'card declined',
        values: { 'http.response.status_code': 502n, 'order.total': 9.5, 'url.path': '/pay', region: 'us' },
        events: [{ name: 'exception', values: { 'exception.message': 'Card expired' } }],
      },
      {
        trace: ids.refund,
        id: 12,
        parent: 11,
        name: 'POST /pay',
        kind: 2,
        at: start + minute,
        ms: 40,
        status: 1,
        values: { 'http.response.status_code': 200n, 'order.total': 100 },
      },
    ),
    request(
      front,
      {
        trace: ids.order,
        id: 1,
        name: 'GET /cart',
        kind: 3,
        at: start,
        ms: 1000,
        values: { 'http.response.status_code': 500n, 'user.vip': true, tags: ['a', 'b'] },
      },
      {
        trace: ids.refund,
        id: 11,
        name: 'GET /refund',
        kind: 3,
        at: start + minute,
        ms: 50,
        links: [ids.order],
        values: { 'http.response.status_code': 200n, 'user.vip': false },
      },
      { trace: ids.orphan, id: 21, parent: 99, name: 'GET /cart', kind: 3, at: start + 2n * minute, ms: 5 },
    ),
    request(
      worker,
      ...Array.from({ length: 12 }, (_, index) => ({
        trace: ids.batch,
        id: 100 + index,
        ...(index === 0 ? {} : { parent: 100 }),
        name: index === 0 ? 'batch' : `step ${index}`,
        at: start + 3n * minute + BigInt(index) * second,
        ms: 500,
        values: { step: BigInt(index), ratio: index / 8 },
      })),
    ),
    request(worker, {
      trace: ids.odd,
      id: 201,
      name: 'odd "values" \\ ünïcödé',
      at: start + 5n * minute,
      ms: 0,
      values: {
        big: 2n ** 60n,
        negative: -7n,
        empty: '',
        raw: Buffer.from([0, 255, 16]),
        nested: { list: [1n, 'two', { three: 3 }], flag: false },
        'dots.and/slashes': 'x',
      },
    }),
  ];
}

/** A search, newest first, by pages of two. */
function search(name: string, query: string, more: Partial<TraceSearch> = {}): Question {
  return {
    name,
    ask: async (readers, world) => {
      const base = {
        range: world.range,
        service: undefined,
        operation: undefined,
        filter: parseQuery(query),
        minDurationNanos: undefined,
        maxDurationNanos: undefined,
        ...more,
      };
      const { items, incomplete } = await allPages((page) => readers.traces!.search({ ...base, ...page }, never), 2);
      return { rows: items, incomplete };
    },
  };
}

/** Every span with its resource and scope; attributes are a map. */
function whole(name: string, traceId: string): Question {
  return {
    name,
    ask: async (readers) => {
      const found = await readers.traces!.trace(traceId, never);
      return { rows: found === undefined ? [] : spansIn(found), incomplete: false };
    },
  };
}

function spansIn(found: Uint8Array): unknown[] {
  const { resourceSpans } = decodeOtlp('traces', found) as {
    resourceSpans: {
      resource: unknown;
      scopeSpans: { scope: unknown; spans: { spanId: Uint8Array; status: unknown }[] }[];
    }[];
  };
  const spans = resourceSpans.flatMap((group) =>
    group.scopeSpans.flatMap((inner) =>
      inner.spans.map((each) => ({
        resource: group.resource,
        scope: inner.scope,
        // An empty status and none are the same.
        span: { ...each, status: each.status ?? { code: 0, message: '' } },
      })),
    ),
  );
  const key = (one: (typeof spans)[number]) => Buffer.from(one.span.spanId).toString('hex');
  return spans.sort((a, b) => (key(a) < key(b) ? -1 : 1)).map(plain);
}

/** Bytes as hex, so that a Buffer and a Uint8Array are the same; attributes by key. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) {
    const items = value.map(plain) as { key?: string }[];
    return items.every((item) => typeof item?.key === 'string')
      ? items.sort((a, b) => (a.key! < b.key! ? -1 : 1))
      : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}

const services: Question = {
  name: 'services with their spans, errors and last sight',
  ask: async (readers, world) => byName(await readers.traces!.services(world.range, never)),
};

const operations: Question = {
  name: 'operations of a service',
  ask: async (readers, world) => byName(await readers.traces!.operations('front', world.range, never)),
};

/** Durations are estimates, and by as much as a store's own sketch allows. */
function byName(rows: readonly { readonly name: string; readonly durationNanos: unknown }[]): Answer {
  const kept = rows.map(({ durationNanos, ...row }) => ({ ...row, hasDurations: durationNanos !== undefined }));
  return { rows: kept.sort((a, b) => (a.name < b.name ? -1 : 1)), incomplete: false };
}

export const traceCases: Cases = {
  requests: requestsOf,
  fill(memory, world) {
    for (const { body } of requestsOf(world)) memory.add('traces', body, world.start);
  },
  questions: [
    services,
    operations,
    whole('a trace of two services, in two requests', ids.order),
    whole('a trace with a link', ids.refund),
    whole('a trace whose root never came', ids.orphan),
    whole('a trace of twelve spans', ids.batch),
    whole('every kind of value', ids.odd),
    whole('a trace that is not there', 'ff'.repeat(16)),
    search('all traces, page by page', ''),
    search('of a service', '', { service: 'pay' }),
    search('of an operation', '', { service: 'front', operation: 'GET /cart' }),
    search('of a service that is not there', '', { service: 'nobody' }),
    search('by duration', '', { minDurationNanos: 40_000_000n, maxDurationNanos: 600_000_000n }),
    search('by a duration in the query', 'duration>=800ms'),
    search('by status', 'status=error'),
    search('by kind', 'kind=server'),
    search('by a number', 'http.response.status_code>=500'),
    search('by a fraction', 'order.total<10'),
    search('by a boolean', 'user.vip=true'),
    search('by two conditions on one span', 'status=error AND http.response.status_code=500'),
    search('by existence', 'order.total:*'),
    search('by absence', 'NOT http.response.status_code:*'),
    search('by inequality, which absence fulfils', 'http.response.status_code!=200'),
    search('by one of several', 'http.response.status_code in (200, 502)'),
    search('by an expression', 'url.path~"^/p.y$"'),
    search('by a resource attribute', 'resource.k8s.pod.name=pay-0'),
    search('where span and resource have the key', 'region=us'),
    search('where the resource has it', 'resource.region=eu'),
    search('by text in an event', '"card EXPIRED"'),
    search('by text in the name', 'refund'),
    search('either of two', 'name=batch OR user.vip=false'),
    search('by an element of an array', 'tags=b'),
    search('by a large number', 'big=1152921504606846976'),
    search('by trace id', `trace_id=${ids.orphan}`),
    {
      name: 'in a part of the time',
      ask: async (readers: Readers, world) => {
        const range = { startUnixNano: world.start + minute, endUnixNano: world.start + 3n * minute };
        return search('', '', { range }).ask(readers, world);
      },
    },
  ],
};
