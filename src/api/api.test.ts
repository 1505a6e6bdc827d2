import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { api, asking, clock } from '../../test/kit/api.ts';
import { decodeOtlp } from '../../test/kit/otlp.ts';
import { shop, shopNow, shopTraces } from '../../test/kit/shop.ts';
import type { Readers } from '../stores/contract.ts';

let app: Awaited<ReturnType<typeof api>>;
beforeAll(async () => {
  app = await api();
});
afterAll(() => app.close());
const { get, search } = asking(() => app);

describe('services', () => {
  it('merges what each signal knows', async () => {
    const { body } = await get('/api/v1/services');
    expect(body).toEqual({
      services: [
        {
          name: 'checkout',
          namespace: '',
          environment: '',
          signals: ['metrics'],
          spanCount: 0,
          errorCount: 0,
          durationNanos: null,
          lastSeen: expect.any(String),
        },
        {
          name: 'checkout',
          namespace: 'shop',
          environment: '',
          signals: ['traces', 'logs'],
          spanCount: 1,
          errorCount: 1,
          durationNanos: { p50: '800000000', p95: '800000000', p99: '800000000' },
          lastSeen: '2026-01-31T07:59:03.000000000Z',
        },
        expect.objectContaining({ name: 'frontend', environment: 'test', signals: ['traces'], spanCount: 3 }),
      ],
    });
  });

  it('lists operations', async () => {
    const { body } = await get('/api/v1/services/checkout/operations');
    expect(body.operations).toEqual([expect.objectContaining({ name: 'POST /pay', kind: 'client', errorCount: 1 })]);
  });

  it('answers without the store that fails, and says so', async () => {
    const readers = shop();
    const failing: Readers = {
      ...readers,
      logs: { ...readers.logs, services: () => Promise.reject(new Error('disk on fire')) },
    };
    const partial = await api({ readers: failing });
    const body = (await partial.inject('/api/v1/services')).json();
    expect(body.incomplete).toBe(true);
    expect(body.warnings).toEqual([expect.stringContaining('logs')]);
    expect(JSON.stringify(body)).not.toContain('fire');
    expect(body.services).toHaveLength(3);
    await partial.close();
  });
});

describe('traces', () => {
  it('needs no parameter and has the newest first', async () => {
    const { body } = await get('/api/v1/traces');
    expect(body.traces.map((trace: { traceId: string }) => trace.traceId)).toEqual([
      shopTraces.markup,
      shopTraces.fast,
      shopTraces.declined,
    ]);
    expect(body.traces[2]).toEqual({
      traceId: shopTraces.declined,
      rootService: 'frontend',
      rootName: 'GET /cart',
      startTimeUnixNano: String(shopNow - 60_000_000_000n),
      durationNanos: '900000000',
      spanCount: 2,
      errorCount: 1,
      services: ['checkout', 'frontend'],
    });
    expect(body.nextCursor).toBeNull();
    expect(body).not.toHaveProperty('incomplete');
  });

  it.each([
    { parameters: 'query=status%3Derror+AND+http.response.status_code%3E%3D500', found: [shopTraces.declined] },
    { parameters: 'query=%22card+expired%22', found: [shopTraces.declined] },
    { parameters: 'service=checkout', found: [shopTraces.declined] },
    { parameters: 'service=checkout&operation=GET+/cart', found: [] },
    { parameters: 'operation=GET+/', found: [shopTraces.fast] },
    { parameters: 'minDuration=100ms', found: [shopTraces.declined] },
    { parameters: 'maxDuration=10ms', found: [shopTraces.fast] },
    { parameters: 'start=now-20s', found: [shopTraces.markup] },
    { parameters: `end=${shopNow / 1_000_000_000n - 45n}`, found: [shopTraces.declined] },
    { parameters: 'start=2026-01-31T07:59:25Z&end=2026-01-31T09:59:45%2B02:00', found: [shopTraces.fast] },
  ])('$parameters', async ({ parameters, found }) => {
    const { body } = await get(`/api/v1/traces?${parameters}`);
    expect(body.traces.map((trace: { traceId: string }) => trace.traceId)).toEqual(found);
  });

  it('pages by cursor, through the range of the first page', async () => {
    const found: string[] = [];
    let cursor = '';
    let pages = 0;
    do {
      const { body } = await get(`/api/v1/traces?limit=1&start=now-45s${cursor}`);
      found.push(...body.traces.map((trace: { traceId: string }) => trace.traceId));
      cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`;
      pages++;
    } while (cursor !== '' && pages < 10);
    expect(found).toEqual([shopTraces.markup, shopTraces.fast]);
  });

  it('gives a trace as OTLP JSON, ids in hex', async () => {
    const { body, headers } = await get(`/api/v1/traces/${shopTraces.declined.toUpperCase()}`);
    const spans = body.resourceSpans.flatMap((group: { scopeSpans: { spans: object[] }[] }) =>
      group.scopeSpans.flatMap(({ spans }) => spans),
    );
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(spans).toEqual([
      expect.objectContaining({ traceId: shopTraces.declined, spanId: '0000000000000001', name: 'GET /cart' }),
      expect.objectContaining({ name: 'POST /pay', startTimeUnixNano: String(shopNow - 60_000_000_000n) }),
    ]);
  });

  it('gives a trace as protobuf by Accept', async () => {
    const reply = await app.inject({
      url: `/api/v1/traces/${shopTraces.fast}`,
      headers: { accept: 'application/x-protobuf' },
    });
    expect(reply.headers['content-type']).toBe('application/x-protobuf');
    expect(decodeOtlp('traces', reply.rawPayload)).toMatchObject({
      resourceSpans: [{ scopeSpans: [{ spans: [{ name: 'GET /' }] }] }],
    });
  });

  it('finds the logs of a trace without a range, long after', async () => {
    const later = await api({ clock: { ...clock, nowUnixNano: () => shopNow + 864_000_000_000_000n } });
    const body = (await later.inject(`/api/v1/traces/${shopTraces.declined}/logs`)).json();
    expect(body.logs.map((log: { body: string }) => log.body)).toEqual(['payment declined: card expired']);
    await later.close();
  });
});

describe('logs', () => {
  it('gives rows of plain JSON', async () => {
    const { body } = await search('/api/v1/logs', '"payment declined"');
    expect(body.logs).toEqual([
      {
        id: expect.any(String),
        timeUnixNano: String(shopNow - 59_000_000_000n),
        observedTimeUnixNano: String(shopNow),
        severityNumber: 17,
        severityText: 'ERROR',
        eventName: '',
        body: 'payment declined: card expired',
        attributes: { 'order.id': 'A-1042', 'a/b.c': 'slash' },
        resource: { 'service.name': 'checkout', 'service.namespace': 'shop', 'k8s.pod.name': 'checkout-1' },
        scopeName: 'checkout.payment',
        traceId: shopTraces.declined,
        spanId: '0000000000000002',
      },
    ]);
  });

  it.each([
    { query: 'severity>=warn', count: 1 },
    { query: 'severity=info', count: 2 },
    { query: 'NOT severity=info', count: 1 },
    { query: 'order.id in (A-1042, A-1043)', count: 2 },
    { query: 'order.id:*', count: 2 },
    { query: 'order.id!=A-1042', count: 2 },
    { query: 'resource.k8s.pod.name~"^checkout-\\d$"', count: 3 },
    { query: '"a/b.c"=slash', count: 1 },
    { query: 'PAID OR declined', count: 2 },
    { query: `trace_id=${shopTraces.declined.toUpperCase()}`, count: 1 },
    { query: 'service=frontend', count: 0 },
  ])('$query', async ({ query, count }) => {
    expect((await search('/api/v1/logs', query)).body.logs).toHaveLength(count);
  });

  it('keeps 64-bit integers whole, as strings', async () => {
    const { body } = await search('/api/v1/logs', 'paid');
    expect(body.logs[0].body).toEqual({ event: 'paid', big: String(2n ** 60n) });
  });

  it('orders by time', async () => {
    const times = async (order: string) =>
      (await get(`/api/v1/logs?order=${order}`)).body.logs.map((log: { timeUnixNano: string }) => log.timeUnixNano);
    const ascending = await times('asc');
    expect(ascending).toEqual(ascending.toSorted());
    expect(await times('desc')).toEqual(ascending.toReversed());
  });

  it('counts by time and severity', async () => {
    const { body } = await get('/api/v1/logs/histogram?interval=1m&start=now-2m');
    expect(body).toEqual({
      intervalNanos: '60000000000',
      buckets: [
        { startUnixNano: String(shopNow - 120_000_000_000n), count: 0, bySeverity: {} },
        { startUnixNano: String(shopNow - 60_000_000_000n), count: 3, bySeverity: { error: 1, info: 2 } },
      ],
    });
  });

  it('names fields, and values of a field with dots and slashes', async () => {
    const fields = (await get('/api/v1/logs/fields')).body.fields;
    expect(fields).toContainEqual({ name: 'a/b.c', type: 'string', count: 1 });
    expect(fields).toContainEqual({ name: 'resource.k8s.pod.name', type: 'string', count: 3 });
    const { body } = await get(`/api/v1/logs/fields/${encodeURIComponent('a/b.c')}/values`);
    expect(body).toEqual({ field: 'a/b.c', values: [{ value: 'slash', count: 1 }] });
  });
});

describe('metrics', () => {
  const range = `start=${shopNow / 1_000_000_000n - 60n}&end=${shopNow / 1_000_000_000n}&step=30`;
  const most = encodeURIComponent('max by (route) (http_requests_total{route="/pay"})');

  it('lists them by name', async () => {
    expect((await get('/api/v1/metrics')).body).toEqual({
      metrics: [
        {
          name: 'http_requests_total',
          type: 'counter',
          unit: '1',
          description: 'Requests',
          seriesCount: 2,
          recorded: false,
        },
      ],
    });
  });

  it("answers one time in Prometheus' shape", async () => {
    const { body } = await get('/api/v1/metrics/query?query=http_requests_total');
    expect(body).toEqual({
      status: 'success',
      data: {
        resultType: 'vector',
        result: [
          { metric: { __name__: 'http_requests_total', job: 'checkout', route: '/cart' }, value: [1769846400, '900'] },
          { metric: { __name__: 'http_requests_total', job: 'checkout', route: '/pay' }, value: [1769846400, '1800'] },
        ],
      },
    });
  });

  it('answers a range vector with its samples', async () => {
    const { body } = await get(
      `/api/v1/metrics/query?query=${encodeURIComponent('http_requests_total{route="/pay"}[30s]')}`,
    );
    expect(body.data).toMatchObject({
      resultType: 'matrix',
      result: [
        {
          values: [
            [1769846385, '1770'],
            [1769846400, '1800'],
          ],
        },
      ],
    });
  });

  it("answers a range in Prometheus' shape, by GET and by form", async () => {
    const expected = {
      status: 'success',
      data: {
        resultType: 'matrix',
        result: [
          {
            metric: { route: '/pay' },
            values: [
              [1769846340, '1680'],
              [1769846370, '1740'],
              [1769846400, '1800'],
            ],
          },
        ],
      },
    };
    expect((await get(`/api/v1/metrics/query_range?query=${most}&${range}`)).body).toEqual(expected);
    const post = (url: string, payload: string) =>
      app.inject({ method: 'POST', url, payload, headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    expect((await post('/api/v1/metrics/query_range', `query=${most}&${range}`)).json()).toEqual(expected);
    expect((await post(`/api/v1/metrics/query_range?${range}`, `query=${most}`)).json()).toEqual(expected);
  });

  it('needs neither times nor a step', async () => {
    const { body } = await get(`/api/v1/metrics/query_range?query=${most}`);
    expect(body.data.result[0].values.length).toBeGreaterThan(30);
  });

  it.each([
    { path: 'query?query=m{', status: 400, errorType: 'bad_data', error: 'position 3' },
    { path: 'query', status: 400, errorType: 'bad_data', error: 'query' },
    { path: 'query?query=m&time=then', status: 400, errorType: 'bad_data', error: 'time' },
    { path: 'query?query=m&tme=1', status: 400, errorType: 'bad_data', error: 'tme' },
    { path: 'query?query=topk(5,m)', status: 422, errorType: 'execution', error: 'topk' },
    { path: 'query?query=m%20offset%205m', status: 422, errorType: 'execution', error: 'offset' },
    {
      path: `query?query=${'m'.repeat(60_000)}x`.padEnd(66_000, 'm'),
      status: 400,
      errorType: 'bad_data',
      error: 'query',
    },
    { path: 'query_range?query=m&step=0', status: 400, errorType: 'bad_data', error: 'step' },
    { path: 'query_range?query=m&step=-5', status: 400, errorType: 'bad_data', error: 'step' },
    { path: 'query_range?query=m&step=1s&start=now-1d', status: 400, errorType: 'bad_data', error: 'step' },
    { path: 'query_range?query=m&start=now&end=now-5m', status: 400, errorType: 'bad_data', error: 'start' },
    { path: 'query_range?query=m[5m]', status: 400, errorType: 'bad_data', error: 'range vector' },
  ])('$status $path', async ({ path, status, errorType, error }) => {
    const { body, ...reply } = await get(`/api/v1/metrics/${path}`);
    expect([reply.status, body.status, body.errorType]).toEqual([status, 'error', errorType]);
    expect(body.error).toContain(error);
  });

  it('refuses a body that is not a form, and a field that comes twice', async () => {
    const post = async (type: string, payload: string) =>
      (
        await app.inject({ method: 'POST', url: '/api/v1/metrics/query', payload, headers: { 'content-type': type } })
      ).json();
    expect(await post('application/json', '{}')).toMatchObject({ status: 'error', errorType: 'bad_data' });
    expect(await post('application/x-www-form-urlencoded', 'query=a&query=b')).toMatchObject({ errorType: 'bad_data' });
    expect(await post('application/x-www-form-urlencoded', '__proto__=a')).toMatchObject({ errorType: 'bad_data' });
  });

  it('stops at the timeout that is asked for', async () => {
    const readers = shop();
    const hang = { metrics: { ...readers.metrics, select: () => new Promise<never>(() => {}) } };
    const slow = await api({ readers: hang });
    const reply = await slow.inject('/api/v1/metrics/query?query=m&timeout=20ms');
    expect([reply.statusCode, reply.json().errorType]).toEqual([503, 'timeout']);
    await slow.close();
  });

  it('says what to set where no store answers', async () => {
    const empty = await api({ readers: {} });
    const reply = await empty.inject('/api/v1/metrics/query?query=m');
    expect([reply.statusCode, reply.json().status]).toEqual([501, 'error']);
    expect(reply.json().error).toContain('WATCHINGCAT_EMBEDDED');
    await empty.close();
  });
});
