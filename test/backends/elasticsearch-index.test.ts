import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chartFile } from '../../scripts/chart/values.ts';
import { parseQuery } from '../../src/query/index.ts';
import { type Elasticsearch, startElasticsearch } from '../kit/backends.ts';
import { cluster, frameOf, never, nowNano, openStore, write, writeAll } from '../kit/elasticsearch.ts';

// The index: no number of keys hurts it, what it looks like to others, and how it begins and ends.

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

  it('shows Kubernetes events, and no other log, by an alias, also where it was there before the alias', async () => {
    const events = async () => {
      await api.hits();
      const { body } = await api.ask('GET', '/watchingcat-events/_search?sort=@timestamp');
      type Found = { hits: { hits: { _source: { k8s_event: { reason: string } } }[] } };
      return (body as Found).hits.hits.map(({ _source }) => _source.k8s_event.reason);
    };
    const given = (reason: string) =>
      frameOf([
        { body: 'Back-off restarting', values: { 'k8s.event.reason': reason } },
        { body: 'no event' },
        { body: { object: { reason, involvedObject: { kind: 'Node' } } }, values: { 'k8s.resource.name': 'events' } },
      ]);
    {
      await using store = openStore(elasticsearch.url);
      await writeAll(store.destination!, [given('Today')]);
    }
    expect(await events()).toEqual(['Today', 'Today']);
    // As a version without the alias left it.
    const [index] = await api.indices();
    await api.ask('DELETE', `/${index}/_alias/watchingcat-events`);
    const without = { index_patterns: ['watchingcat-logs-*'], version: 1, template: {} };
    await api.ask('PUT', '/_index_template/watchingcat-logs', without);
    await using store = openStore(elasticsearch.url);
    await writeAll(store.destination!, [given('Later')]);
    expect(await events()).toEqual(['Today', 'Today', 'Later', 'Later']);
    // Whoever reads the logs reads each of them once.
    expect(await api.hits()).toHaveLength(6);
    expect(await api.indices()).toEqual([index]);
  });

  it('is asked by dashboards for the Warning events of what they show', async () => {
    await using store = openStore(elasticsearch.url);
    const event = (kind: string, namespace: string, name: string, type: string, cluster?: string) =>
      frameOf(
        [
          {
            values: { 'k8s.event.reason': `${type} ${name}`, 'k8s.event.type': type, 'k8s.namespace.name': namespace },
          },
        ],
        {
          'k8s.object.kind': kind,
          'k8s.object.name': name,
          ...(cluster !== undefined && { 'k8s.cluster.name': cluster }),
        },
      );
    await writeAll(store.destination!, [
      event('Pod', 'shop', 'cart-1', 'Warning', 'east'),
      event('Pod', 'shop', 'cart-1', 'Normal', 'east'),
      event('Pod', 'shop', 'till-0', 'Warning', 'west'),
      event('Pod', 'bank', 'cart-1', 'Warning', 'east'),
      event('Node', '', 'node-1', 'Warning', 'west'),
      event('Node', '', 'node-2', 'Warning'),
    ]);
    await api.hits();
    /** As Grafana gives variables to a query. */
    const asked = async (dashboard: string, values: Readonly<Record<string, string>>) => {
      const { annotations } = JSON.parse(chartFile(`files/dashboards/${dashboard}.json`)) as {
        annotations: { list: [{ target: { query: string } }] };
      };
      const query = annotations.list[0].target.query.replaceAll(
        /\$\{([a-z]+):pipe\}/g,
        (_, name: string) => values[name]!,
      );
      const q = encodeURIComponent(query);
      const { status, body } = await api.ask('GET', `/watchingcat-events/_search?sort=record,request&q=${q}`);
      expect(status, JSON.stringify(body)).toBe(200);
      type Found = { hits: { hits: { _source: { k8s_event: { reason: string } } }[] } };
      return (body as Found).hits.hits.map(({ _source }) => _source.k8s_event.reason).sort();
    };
    const all = { cluster: '.*', namespace: '.*', node: '.*', pod: '.*' };
    const ofPods = ['Warning cart-1', 'Warning cart-1', 'Warning till-0'];
    const ofNodes = ['Warning node-1', 'Warning node-2'];
    expect(await asked('cluster', all)).toEqual([...ofPods, ...ofNodes].sort());
    expect(await asked('cluster', { cluster: 'east' })).toEqual(['Warning cart-1', 'Warning cart-1', 'Warning node-2']);
    expect(await asked('pods', all)).toEqual(ofPods);
    expect(await asked('pods', { ...all, namespace: 'shop|park' })).toEqual(['Warning cart-1', 'Warning till-0']);
    expect(await asked('pods', { ...all, cluster: 'east|north', pod: 'cart-1|till-0' })).toEqual(ofPods.slice(0, 2));
    expect(await asked('nodes', all)).toEqual(ofNodes);
    expect(await asked('nodes', { ...all, node: 'node-1' })).toEqual(['Warning node-1']);
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
      [0, 2],
      [2, 2],
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
