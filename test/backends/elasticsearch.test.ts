import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '../../src/base/index.ts';
import { parseQuery } from '../../src/query/index.ts';
import type { Json, LogRow } from '../../src/stores/contract.ts';
import { type Field, type Filter, intrinsics, type Literal } from '../../src/stores/filter.ts';
import { compileFilter, textOf } from '../../src/stores/match.ts';
import { type Elasticsearch, startElasticsearch } from '../kit/backends.ts';
import { cluster, frameOf, type GivenLog, never, nowNano, openStore, writeAll } from '../kit/elasticsearch.ts';
import type { Values } from '../stores/contract/given.ts';

// What the contract's suite does not show of questions: any filter finds exactly what it means, and what goes wrong is told.

let elasticsearch: Elasticsearch;
let api: ReturnType<typeof cluster>;
beforeAll(async () => {
  elasticsearch = await startElasticsearch();
  api = cluster(elasticsearch.url);
});
afterAll(() => elasticsearch?.[Symbol.asyncDispose]());
beforeEach(() => api.clear());

const minute = 60_000_000_000n;
const second = 1_000_000_000n;

describe('any filter', () => {
  const resources: Values[] = [
    { 'service.name': 'cart', both: 'resource', pod: 'cart-1', port: 80n },
    { 'service.name': 'pay', pod: 'pay-1', tags: ['x', 'y'], 'deployment.environment.name': 'test' },
    {},
  ];
  const bodies = [
    'Payment DECLINED: card expired',
    'payment-declined; retry=3',
    'ünïcode Straße größer',
    'GET /api/v1/pay?id=17 200 12.5ms',
    '支払い done',
    `${'x'.repeat(300)}declined${'y'.repeat(20)}`,
    'a "quoted" % _ \\ *?',
    '',
  ];
  const given: (GivenLog & { resource: number })[] = Array.from({ length: 160 }, (_, n) => ({
    resource: n % 3,
    severity: [0, 1, 8, 9, 13, 17, 20, 24, 25][n % 9]!,
    ...(n % 11 === 0 ? {} : { body: n % 13 === 0 ? { reason: 'BackOff', n: BigInt(n) } : bodies[n % bodies.length]! }),
    values: {
      n: BigInt(n % 20) - 5n,
      ...(n % 3 === 0 ? { both: 'record' } : {}),
      mixed: [
        BigInt(n),
        String(n),
        n + 0.5,
        [BigInt(n), 'x', n % 8 === 3],
        { a: BigInt(n) },
        undefined,
        Number.NaN,
        -0,
      ][n % 8],
      ...(n % 5 === 0 ? { flag: n % 2 === 0 } : {}),
      ...(n % 7 === 0 ? { rare: `r${n}\nline` } : {}),
      'odd/key~"1"=\\': n % 2 === 0 ? 'x' : '200',
      code: n % 6 === 0 ? 500n : n % 6 === 1 ? '200' : 200n,
      big: 2n ** 60n + BigInt(n % 3),
      ...(n % 4 === 0 ? { long: `${'long '.repeat(300)}${n % 8}` } : {}),
      small: 10 ** -(n % 5) * (n % 2 === 0 ? 1 : -1),
    },
  }));

  const key = fc.constantFrom(
    'n',
    'both',
    'mixed',
    'flag',
    'rare',
    'odd/key~"1"=\\',
    'code',
    'big',
    'long',
    'small',
    'pod',
    'port',
    'tags',
    'nowhere',
  );
  const field: fc.Arbitrary<Field> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ scope: fc.constantFrom('any', 'record', 'resource'), key }) },
    { weight: 1, arbitrary: fc.constantFrom(...intrinsics).map((name) => ({ scope: 'intrinsic', name }) as const) },
  );
  const texts = [
    'record',
    'resource',
    'x',
    'y',
    'true',
    'null',
    'cart',
    'error',
    'unset',
    'NaN',
    '{"a":12}',
    'Payment DECLINED: card expired',
    `${'long '.repeat(300)}4`,
    '1152921504606846977',
    '',
  ];
  const literal: fc.Arbitrary<Literal> = fc.oneof(
    fc.constantFrom(...texts).map((text) => ({ text, number: undefined, durationNanos: undefined })),
    fc
      .oneof(fc.integer({ min: -6, max: 170 }), fc.constantFrom(200, 500, 0.1, -0.01, 6.5, 17, 1e18, -1e19))
      .chain((number) =>
        fc
          .constantFrom(String(number), number.toExponential())
          .map((text) => ({ text, number, durationNanos: undefined })),
      ),
  );
  const words = fc.constantFrom(
    'declined',
    'DECLINED',
    'clin',
    'card expired',
    'payment-declined',
    'payment declined',
    'größer',
    'straße',
    '支払い',
    'xdeclined',
    '200 12.5',
    '% _',
    'backoff',
    '/api/v1',
    '*',
    'zzz',
  );
  const patterns = fc.constantFrom(
    '^r[0-9]+',
    'r\\d\\d',
    'line$',
    'r.*line',
    '(?s)r.*line',
    '^5..$',
    'cart-\\d',
    '(?i)RECORD',
    'o(ur|so)',
    '\\bx\\b',
    'long 4$',
    '^$',
    'card|retry',
    'decl.ned',
    '^(true|x)$',
    'NaN',
    '^-?[0-9]+$',
    'error|warn',
  );
  const { filter } = fc.letrec<{ filter: Filter }>((tie) => ({
    filter: fc.oneof(
      { maxDepth: 3 },
      words.map((text) => ({ kind: 'text', text }) as const),
      fc
        .record({ field, op: fc.constantFrom('=', '!=', '>', '>=', '<', '<='), value: literal })
        .map((each) => ({ kind: 'compare', ...each }) as const),
      fc
        .record({ field, values: fc.array(literal, { maxLength: 3 }) })
        .map((each) => ({ kind: 'in', ...each }) as const),
      fc.record({ field, pattern: patterns }).map((each) => ({ kind: 'regex', ...each }) as const),
      field.map((each) => ({ kind: 'exists', field: each }) as const),
      fc.record({ kind: fc.constantFrom('and', 'or'), of: fc.array(tie('filter'), { maxLength: 3 }) }),
      tie('filter').map((of) => ({ kind: 'not', of }) as const),
    ),
  }));

  it('finds what it means, and counts it, whatever is asked', async () => {
    await using store = openStore(elasticsearch.url);
    const start = (nowNano() / minute - 30n) * minute;
    const frames = resources.map((of, index) =>
      frameOf(
        given.flatMap((log, n) => (log.resource === index ? [{ ...log, at: start + BigInt(n) * second }] : [])),
        of,
      ),
    );
    expect(await writeAll(store.destination!, frames)).toEqual([]);
    await api.hits();
    const logs = store.readers.logs!;
    const range = { startUnixNano: start, endUnixNano: start + 10n * minute };
    const all = await logs.search(
      { range, filter: { kind: 'all' }, order: 'asc', limit: 1000, cursor: undefined },
      never,
    );
    expect(all.items.map(({ timeUnixNano }) => Number((timeUnixNano - start) / second))).toEqual(
      given.map((_, n) => n),
    );

    await fc.assert(
      fc.asyncProperty(filter, field, async (asked, of) => {
        const matches = compileFilter(severityByName(asked));
        const expected = all.items.filter((row) => matches(recordOf(row)));
        const [page, histogram, values] = await Promise.all([
          logs.search({ range, filter: asked, order: 'asc', limit: 1000, cursor: undefined }, never),
          logs.histogram({ range, filter: asked, intervalNanos: minute }, never),
          logs.fieldValues({ range, filter: asked, field: nameOf(of), limit: 1000 }, never),
        ]);
        expect(page).toMatchObject({ incomplete: false, next: undefined });
        expect(page.items.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
        const counted = histogram.buckets
          .flatMap(({ bySeverity }) => Object.values(bySeverity))
          .reduce((a, b) => a + b, 0);
        expect([counted, histogram.incomplete]).toEqual([expected.length, false]);
        if (of.scope === 'intrinsic') return;
        const found = expected.flatMap((row) => valuesIn(row, of));
        const groups = Map.groupBy(found, (value) => JSON.stringify(value));
        expect(new Map(values.items.map(({ value, count }) => [JSON.stringify(value), count]))).toEqual(
          new Map([...groups].map(([value, group]) => [value, group.length])),
        );
      }),
      { numRuns: 150 },
    );
  });

  it('gives a page of records that are too large for one answer', async () => {
    await using store = openStore(elasticsearch.url);
    const at = nowNano() - minute;
    const body = (n: number) => `${n} ${'word '.repeat(150_000)}`;
    const frames = Array.from({ length: 20 }, (_, n) => frameOf([{ at: at + BigInt(n), body: body(n) }]));
    expect(await writeAll(store.destination!, frames)).toEqual([]);
    await api.ask('POST', '/watchingcat-logs-*/_refresh');
    const range = { startUnixNano: at, endUnixNano: at + 20n };
    const search = { range, filter: { kind: 'all' }, order: 'asc', limit: 18, cursor: undefined } as const;
    const first = await store.readers.logs!.search(search, never);
    expect(first.items.map((row) => row.body === body(Number(row.timeUnixNano - at)))).toEqual(Array(18).fill(true));
    const second = await store.readers.logs!.search({ ...search, cursor: first.next }, never);
    expect([...first.items, ...second.items].map(({ timeUnixNano }) => Number(timeUnixNano - at))).toEqual([
      ...frames.keys(),
    ]);
    expect(second).toMatchObject({ next: undefined, incomplete: false });
  });

  it('pages through records of the same moment, both ways', async () => {
    await using store = openStore(elasticsearch.url);
    const at = nowNano() - minute;
    const frames = Array.from({ length: 5 }, (_, n) =>
      frameOf(Array.from({ length: 30 }, () => ({ at, body: `same ${n}` }))),
    );
    await writeAll(store.destination!, frames);
    await api.hits();
    const range = { startUnixNano: at, endUnixNano: at + 1n };
    for (const query of ['', 'same', '"same 3"']) {
      for (const order of ['asc', 'desc'] as const) {
        const ids: string[] = [];
        let cursor: string | undefined;
        do {
          const page = await store.readers.logs!.search(
            { range, filter: parseQuery(query), order, limit: 7, cursor },
            never,
          );
          ids.push(...page.items.map(({ id }) => id));
          cursor = page.next;
        } while (cursor !== undefined);
        expect(new Set(ids).size).toBe(query === '"same 3"' ? 30 : 150);
        expect(ids).toHaveLength(new Set(ids).size);
      }
    }
  });
});

describe('a question that goes wrong', () => {
  const range = { startUnixNano: 0n, endUnixNano: nowNano() };
  const search = { range, order: 'asc', limit: 10, cursor: undefined } as const;

  it('is the asker’s fault where an expression is none, or a cursor is not ours', async () => {
    await using store = openStore(elasticsearch.url);
    const logs = store.readers.logs!;
    const filter: Filter = { kind: 'regex', field: { scope: 'any', key: 'k' }, pattern: '(' };
    await expect(logs.search({ ...search, filter }, never)).rejects.toMatchObject({
      code: 'malformed',
      parameter: 'query',
    });
    await expect(logs.search({ ...search, filter: { kind: 'all' }, cursor: 'x' }, never)).rejects.toMatchObject({
      code: 'malformed',
      parameter: 'cursor',
    });
  });

  it('has an empty answer before the first record', async () => {
    await using store = openStore(elasticsearch.url);
    const logs = store.readers.logs!;
    const filter = parseQuery('k~"x" AND word');
    expect(await logs.search({ ...search, filter }, never)).toMatchObject({
      items: [],
      next: undefined,
      incomplete: false,
    });
    expect(await logs.fields({ range, filter, limit: 10 }, never)).toMatchObject({ items: [], incomplete: false });
    expect(await logs.services(range, never)).toEqual([]);
  });

  it('says that Elasticsearch is away', async () => {
    await using store = openStore('http://127.0.0.1:9');
    await expect(store.readers.logs!.services(range, never)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('ends when it is cancelled', async () => {
    await using store = openStore(elasticsearch.url);
    const cancel = new AbortController();
    const asked = store.readers.logs!.search({ ...search, filter: { kind: 'all' } }, cancel.signal);
    cancel.abort(new Fault('timeout', 'nobody waits'));
    await expect(asked).rejects.toMatchObject({ code: 'timeout' });
  });

  it('is answered by looking at the records where its expression is too large for Lucene', async () => {
    await using store = openStore(elasticsearch.url);
    await writeAll(store.destination!, [frameOf([{ values: { k: 'aab'.repeat(20) } }])]);
    await api.hits();
    const filter: Filter = {
      kind: 'regex',
      field: { scope: 'any', key: 'k' },
      pattern: '(a|b){1,50}(a|b){1,50}a.{40}b',
    };
    const page = await store.readers.logs!.search(
      { ...search, range: { ...range, endUnixNano: nowNano() + minute }, filter },
      never,
    );
    expect(page.incomplete).toBe(false);
    const { items } = await store.readers.logs!.search(
      { ...search, range: { ...range, endUnixNano: nowNano() + minute }, filter: { kind: 'all' } },
      never,
    );
    expect(page.items).toEqual(items.filter((row) => compileFilter(filter)(recordOf(row))));
  });
});

// ---------------------------------------------------------------------------------------------- what is expected

function recordOf(row: LogRow) {
  const service = row.resource['service.name'];
  return {
    service: service === undefined ? undefined : textOf(service!),
    name: row.eventName || undefined,
    kind: undefined,
    status: undefined,
    durationNanos: undefined,
    severityNumber: row.severityNumber,
    body: row.body ?? undefined,
    traceId: row.traceId || undefined,
    spanId: row.spanId || undefined,
    attributes: row.attributes,
    resource: row.resource,
    texts: row.body === null ? [] : [textOf(row.body)],
  };
}

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'unset'];

/** An expression is matched against the name of a severity. */
function severityByName(filter: Filter): Filter {
  if (filter.kind === 'and' || filter.kind === 'or') return { kind: filter.kind, of: filter.of.map(severityByName) };
  if (filter.kind === 'not') return { kind: 'not', of: severityByName(filter.of) };
  if (filter.kind !== 'regex' || filter.field.scope !== 'intrinsic' || filter.field.name !== 'severity') return filter;
  const pattern = filter.pattern.startsWith('(?i)')
    ? new RegExp(filter.pattern.slice(4), 'i')
    : new RegExp(filter.pattern.replace('(?s)', ''));
  const values = levels
    .filter((name) => pattern.test(name))
    .map((text) => ({ text, number: undefined, durationNanos: undefined }));
  return { kind: 'in', field: filter.field, values };
}

function nameOf(field: Field): string {
  if (field.scope === 'intrinsic') return field.name;
  const prefix = { any: '', record: 'span.', resource: 'resource.' }[field.scope];
  return `${prefix}${JSON.stringify(field.key)}`;
}

function valuesIn(row: LogRow, field: Exclude<Field, { scope: 'intrinsic' }>): Json[] {
  const own = (object: { readonly [key: string]: Json }) =>
    Object.hasOwn(object, field.key) ? [object[field.key]!] : [];
  if (field.scope === 'resource') return own(row.resource);
  if (field.scope === 'record' || Object.hasOwn(row.attributes, field.key)) return own(row.attributes);
  return own(row.resource);
}
