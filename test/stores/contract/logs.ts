import { parseQuery } from '../../../src/query/index.ts';
import { fieldNamed } from '../../../src/stores/filter.ts';
import { encodeOtlp } from '../../kit/otlp.ts';
import { anyValue, attributes, bytes, minute, resource, second, type Value, type Values, type World } from './given.ts';
import { allPages, type Cases, never, type Question } from './suite.ts';

const traceId = 'b1'.repeat(16);
const shop = resource({
  'service.name': 'checkout',
  'service.namespace': 'shop',
  'k8s.pod.name': 'checkout-1',
  zone: 'a',
});
const api = resource({ 'service.name': 'api', 'deployment.environment.name': 'test' });
const events = resource({ 'service.name': 'k8s-events', 'k8s.cluster.name': 'c1' });
/** A pod that an event is about, as enrichment completes it: it has sent nothing. */
const silent = resource({ 'k8s.object.kind': 'Pod', 'k8s.object.name': 'idle-1', 'service.name': 'idle' });

interface LogGiven {
  /** Absent: the record has no time, and its observed time counts. */
  readonly at?: bigint;
  readonly observed?: bigint;
  readonly severity?: number;
  readonly text?: string;
  readonly body?: Value;
  readonly values?: Values;
  readonly traced?: boolean;
  readonly event?: string;
}

function log(given: LogGiven): object {
  return {
    timeUnixNano: String(given.at ?? 0n),
    observedTimeUnixNano: String(given.observed ?? 0n),
    severityNumber: given.severity ?? 0,
    severityText: given.text ?? '',
    ...('body' in given ? { body: anyValue(given.body) } : {}),
    attributes: attributes(given.values ?? {}),
    eventName: given.event ?? '',
    ...(given.traced ? { traceId: bytes(traceId), spanId: bytes('00000000000000b1') } : {}),
  };
}

function requestsOf({ start }: World) {
  const request = (of: object, ...records: LogGiven[]) => ({
    body: encodeOtlp('logs', {
      resourceLogs: [{ resource: of, scopeLogs: [{ scope: { name: 'lib' }, logRecords: records.map(log) }] }],
    }),
    records: records.length,
  });
  return [
    request(
      shop,
      {
        at: start,
        severity: 17,
        text: 'ERROR',
        body: 'payment declined: card expired',
        values: { 'order.id': 'A-1042', attempt: 2n, ok: false, ratio: 0.25 },
        traced: true,
      },
      { at: start + 1n, severity: 9, text: 'INFO', body: 'payment accepted', values: { 'order.id': 'A-1043' } },
      { at: start + 2n, severity: 13, body: 'retrying 3 of 10', values: { attempt: 10n, tags: ['slow', 'retry'] } },
    ),
    request(
      api,
      { at: start + minute, severity: 9, body: 'GET /cart 200', values: { status: 200n, 'http.route': '/cart' } },
      { at: start + minute, severity: 9, body: 'GET /cart 200', values: { status: 200n, 'http.route': '/cart' } },
      { at: start + minute + second, severity: 5, body: 'ünïcödé "quotes" \\ and\nlines' },
      { observed: start + 2n * minute, severity: 21, body: 'only observed' },
    ),
    request(
      events,
      {
        at: start + 3n * minute,
        severity: 9,
        event: 'k8s.event',
        body: { reason: 'BackOff', count: 3n, involved: { kind: 'Pod', name: 'checkout-1' } },
        values: { 'k8s.event.reason': 'BackOff', 'k8s.object.kind': 'Pod' },
      },
      {
        at: start + 3n * minute + 1n,
        body: [1n, 'two', 2.5, true, undefined],
        values: { big: 2n ** 60n, raw: Buffer.from([0, 255]), nan: Number.NaN, nested: { a: { b: 1n } }, empty: '' },
      },
    ),
    request(
      api,
      ...Array.from({ length: 25 }, (_, index) => ({
        at: start + 5n * minute + BigInt(index),
        severity: 9,
        body: `line ${index}`,
        values: { index: BigInt(index) },
      })),
    ),
    request(silent, { at: start + 4n * minute, severity: 9, body: 'Pulled', values: { 'k8s.event.reason': 'Pulled' } }),
  ];
}

/** Records by time; ids are the store's own, but each its own. */
function search(name: string, query: string, order: 'asc' | 'desc' = 'asc', limit = 7): Question {
  return {
    name,
    ask: async (readers, { range }) => {
      const filter = parseQuery(query);
      const { items, incomplete } = await allPages(
        (page) => readers.logs!.search({ range, filter, order, ...page }, never),
        limit,
      );
      const distinct = new Set(items.map(({ id }) => id)).size;
      return { rows: [{ distinct }, ...items.map(({ id: _, ...row }) => row)], incomplete };
    },
  };
}

function histogram(name: string, query: string, intervalNanos: bigint): Question {
  return {
    name,
    ask: async (readers, { range }) => {
      const found = await readers.logs!.histogram({ range, filter: parseQuery(query), intervalNanos }, never);
      const buckets = found.buckets.map(({ startUnixNano, bySeverity }) => ({
        startUnixNano,
        bySeverity: Object.fromEntries(
          Object.entries(bySeverity)
            .filter(([, count]) => count > 0)
            .sort(),
        ),
      }));
      return { rows: buckets, incomplete: found.incomplete };
    },
  };
}

function values(name: string, field: string): Question {
  return {
    name,
    ask: async (readers, { range }) => {
      const page = await readers.logs!.fieldValues({ field, range, filter: { kind: 'all' }, limit: 100 }, never);
      const key = (row: object) => JSON.stringify(row);
      return { rows: page.items.toSorted((a, b) => (key(a) < key(b) ? -1 : 1)), incomplete: page.incomplete };
    },
  };
}

export const logCases: Cases = {
  requests: requestsOf,
  fill(memory, world) {
    for (const [index, { body }] of requestsOf(world).entries()) memory.add('logs', body, world.start + BigInt(index));
  },
  questions: [
    {
      name: 'services with their records and last sight',
      ask: async (readers, { range }) => ({
        rows: (await readers.logs!.services(range, never)).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
        incomplete: false,
      }),
    },
    search('all records, oldest first', ''),
    search('all records, newest first', '', 'desc'),
    search('one by one', 'service=api', 'desc', 1),
    search('a word', 'declined'),
    search('a word in other case', 'DECLINED'),
    search('a phrase', '"card expired"'),
    search('a part of a word', 'clin'),
    search('text in a structured body', '"BackOff"'),
    search('two words in any order', 'expired payment'),
    search('not a word', 'NOT line'),
    search('by service', 'service=checkout'),
    search('an event by the service of its pod', 'service=idle'),
    search('by severity', 'severity=error'),
    search('by severity and above', 'severity>=warn'),
    search('by no severity', 'severity=unset'),
    search('by an attribute', 'order.id="A-1042"'),
    search('by another, which absence fulfils', 'order.id!="A-1042"'),
    search('by a number', 'attempt>=3'),
    search('by a number as text', 'attempt="10"'),
    search('by a fraction', 'ratio<0.5'),
    search('by a boolean', 'ok=false'),
    search('by existence', 'http.route:*'),
    search('by absence', 'NOT index:*'),
    search('by one of several', 'index in (3, 7, 99)'),
    search('by an expression', 'order.id~"^A-10[0-9]+$"'),
    search('by an expression on the body', 'body~"line 1[0-4]"'),
    search('by a resource attribute', 'resource.k8s.pod.name="checkout-1"'),
    search('by any attribute', 'zone=a'),
    search('by trace', `trace_id=${traceId}`),
    search('by an element of an array', 'tags=slow'),
    search('by a large number', 'big=1152921504606846976'),
    search('by the name of an event', 'name="k8s.event"'),
    search('either of two', 'index<2 OR severity=fatal'),
    search('neither', 'NOT (index:* OR service=checkout)'),
    histogram('records by minute', '', minute),
    histogram('some of them, by ten seconds', 'service=checkout', 10n * second),
    {
      // Intrinsics are listed as far as a store finds it worth while; numbers that JSON lacks may count as text.
      name: 'fields and how many records have them',
      ask: async (readers, { range }) => {
        const page = await readers.logs!.fields({ range, filter: { kind: 'all' }, limit: 500 }, never);
        const rows = page.items
          .filter(({ name }) => fieldNamed(name).scope !== 'intrinsic')
          .map((row) => (row.name === 'big' || row.name === 'nan' ? { ...row, type: 'number' } : row));
        return { rows: rows.sort((a, b) => (a.name < b.name ? -1 : 1)), incomplete: page.incomplete };
      },
    },
    values('values of an attribute', 'order.id'),
    values('values that are numbers', 'attempt'),
    values('values of a resource attribute', 'resource.k8s.pod.name'),
    values('values of an intrinsic', 'severity'),
  ],
};
