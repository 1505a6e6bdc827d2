import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '../../src/base/index.ts';
import { parseQuery } from '../../src/query/index.ts';
import type { Json, LogRow } from '../../src/stores/contract.ts';
import { type Field, type Filter, intrinsics, type Literal } from '../../src/stores/filter.ts';
import { compileFilter, textOf } from '../../src/stores/match.ts';
import { type Elasticsearch, startElasticsearch } from '../kit/backends.ts';
import { cluster, frameOf, type GivenLog, never, nowNano, openStore, write, writeAll } from '../kit/elasticsearch.ts';
import type { Values } from '../stores/contract/given.ts';

// What the contract's suite does not show: that any filter finds exactly what it means, that no number of keys hurts, what the
// index looks like to others, and how it ends.

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

describe('100,000 distinct attribute keys', () => {
  it('are all found by their exact value, as numbers where they are, and add no field to the index', async () => {
    await using store = openStore(elasticsearch.url);
    const at = nowNano() - minute;
    const frames = Array.from({ length: 10 }, (_, f) =>
      frameOf(
        Array.from({ length: 100 }, (_, r) => ({
          at: at + BigInt(f * 100 + r),
          values: Object.fromEntries(
            Array.from({ length: 100 }, (_, k) => {
              const n = (f * 100 + r) * 100 + k;
              return [`key.${n}`, n % 2 === 0 ? `value ${n}` : BigInt(n)];
            }),
          ),
        })),
      ),
    );
    expect(await writeAll(store.destination!, frames)).toEqual([]);
    expect(await api.hits()).toHaveLength(1000);
    const logs = store.readers.logs!;
    const range = { startUnixNano: at, endUnixNano: at + 1000n };
    for (let n = 0; n < 100_000; n += 2_111) {
      const queries =
        n % 2 === 0
          ? [`key.${n}="value ${n}"`, `key.${n}:*`]
          : [`key.${n}=${n}`, `key.${n}>${n - 1} AND key.${n}<${n + 1}`];
      for (const query of queries) {
        const page = await logs.search(
          { range, filter: parseQuery(query), order: 'asc', limit: 10, cursor: undefined },
          never,
        );
        expect(page.items.map(({ timeUnixNano }) => timeUnixNano - at)).toEqual([BigInt(Math.floor(n / 100))]);
        expect(page.items[0]!.attributes[`key.${n}`]).toBe(n % 2 === 0 ? `value ${n}` : n);
      }
    }
    const [index] = await api.indices();
    const { body } = await api.ask('GET', `/${index}/_mapping`);
    expect(JSON.stringify(body)).not.toContain('key.');
    const fields = await logs.fields({ range, filter: { kind: 'all' }, limit: 10 }, never);
    expect(fields.incomplete).toBe(true); // there are more than are counted, and it says so
  });
});

describe('the index', () => {
  it('is one a day, of the records’ own time, and each record is there once, however often it comes', async () => {
    await using store = openStore(elasticsearch.url);
    const now = nowNano();
    const day = 86_400n * second;
    const logs = frameOf([{ at: now }, { at: now - day }, { at: now - 2n * day }]);
    for (let times = 0; times < 3; times++)
      expect(await write(store.destination!, [logs])).toEqual({ kind: 'settled', refused: [] });
    await using another = openStore(elasticsearch.url);
    expect(await write(another.destination!, [logs])).toEqual({ kind: 'settled', refused: [] });
    const name = (at: bigint) =>
      `watchingcat-logs-${new Date(Number(at / 1_000_000n)).toISOString().slice(0, 10).replaceAll('-', '.')}`;
    expect(await api.indices()).toEqual([name(now - 2n * day), name(now - day), name(now)]);
    expect(await api.hits()).toHaveLength(3);
  });

  it('holds times later than its own dates go, and finds them by their range', async () => {
    await using store = openStore(elasticsearch.url);
    const times = [nowNano(), 2n ** 63n - 1n, 2n ** 63n + 5n, 2n ** 64n - 1n];
    await writeAll(store.destination!, [frameOf(times.map((at) => ({ at })))]);
    await api.hits();
    const found = async (startUnixNano: bigint, endUnixNano: bigint) => {
      const search = { range: { startUnixNano, endUnixNano }, filter: { kind: 'all' } } as const;
      const logs = store.readers.logs!;
      const page = await logs.search({ ...search, order: 'asc', limit: 10, cursor: undefined }, never);
      const values = await logs.fieldValues({ ...search, field: 'severity', limit: 10 }, never);
      expect(values.items.reduce((sum, { count }) => sum + count, 0)).toBe(page.items.length);
      return page.items.map(({ timeUnixNano }) => timeUnixNano);
    };
    expect((await found(0n, 2n ** 64n)).sort()).toEqual(times.toSorted());
    expect(await found(2n ** 63n, 2n ** 64n - 1n)).toEqual([2n ** 63n + 5n]);
    expect(await found(0n, 2n ** 63n - 1n)).toEqual([times[0]]);
    expect((await found(0n, 2n ** 63n)).sort()).toEqual(times.slice(0, 2).sort());
  });

  it('shows Kubernetes events by their object', async () => {
    await using store = openStore(elasticsearch.url);
    const event = { 'k8s.event.reason': 'BackOff', 'k8s.namespace.name': 'shop' };
    const watched = {
      type: 'ADDED',
      object: { reason: 'OOMKilling', involvedObject: { kind: 'Node', name: 'node-1' }, type: 'Warning' },
    };
    await writeAll(store.destination!, [
      frameOf([{ body: 'Back-off restarting', values: event }], {
        'k8s.object.kind': 'Pod',
        'k8s.object.name': 'cart-1',
      }),
      frameOf([{ body: watched, values: { 'k8s.resource.name': 'events' } }]),
      frameOf([{ body: 'no event' }]),
    ]);
    const found = async (query: object) => (await api.hits(query)).map(({ _source }) => _source['k8s_event']);
    expect(await found({ term: { 'k8s_event.name': 'cart-1' } })).toEqual([
      { kind: 'Pod', name: 'cart-1', namespace: 'shop', reason: 'BackOff' },
    ]);
    expect(await found({ term: { 'k8s_event.reason': 'OOMKilling' } })).toEqual([
      { kind: 'Node', name: 'node-1', reason: 'OOMKilling', type: 'Warning' },
    ]);
    expect(await found({ exists: { field: 'k8s_event.kind' } })).toHaveLength(2);
    expect(await found({ match: { body: 'restarting' } })).toHaveLength(1);
  });

  it('ends when its retention is over; what is not ours stays', async () => {
    const dayMs = 86_400_000;
    const name = (daysAgo: number) =>
      `watchingcat-logs-${new Date(Date.now() - daysAgo * dayMs).toISOString().slice(0, 10).replaceAll('-', '.')}`;
    const foreign = ['watchingcat-logs-2020.13.01', 'watchingcat-logs-2020.01.01-copy', 'other-2020.01.01'];
    for (const index of [name(9), name(8), name(7), ...foreign]) await api.ask('PUT', `/${index}`);
    const { promise, resolve } = Promise.withResolvers<readonly string[]>();
    await using store = openStore(elasticsearch.url, { onUpkeep: ({ deleted }) => resolve(deleted) });
    await writeAll(store.destination!, [frameOf([{}])]);
    expect([...(await promise)].sort()).toEqual([name(9), name(8)].sort());
    expect(await api.indices()).toEqual([...foreign, name(7), name(0)].sort());
  });

  it('is made from our template, which a newer one replaces and an older one does not', async () => {
    const template = async () => {
      const { body } = await api.ask('GET', '/_index_template/watchingcat-logs');
      return (body as { index_templates: { index_template: { version: number } }[] }).index_templates[0]!
        .index_template;
    };
    const put = (version: number) =>
      api.ask('PUT', '/_index_template/watchingcat-logs', {
        index_patterns: ['watchingcat-logs-*'],
        version,
        template: {},
      });
    for (const [there, expected] of [
      [0, 1],
      [1, 1],
      [9, 9],
    ] as const) {
      await put(there);
      await using store = openStore(elasticsearch.url);
      await writeAll(store.destination!, [frameOf([{}])]);
      expect((await template()).version).toBe(expected);
      await api.clear();
    }
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
