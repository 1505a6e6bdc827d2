import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeOtlp } from '../../test/kit/otlp.ts';
import { markup, shop, shopNow, shopTraces } from '../../test/kit/shop.ts';
import { Fault } from '../base/index.ts';
import type { Eraser, Readers } from '../stores/contract.ts';
import { createApi } from './create.ts';
import type { ApiOptions, DeadLetterSource, HealthReport } from './index.ts';

const health: HealthReport = {
  status: 'ok',
  uptimeSeconds: 1.5,
  listeners: { http: '127.0.0.1:8090' },
  destinations: { embedded: { status: 'ok', lagSeconds: 0, pendingBytes: 0, lastError: null } },
  enrichment: { status: 'stale', pods: 7, ageSeconds: 90, lastError: 'pods: connection refused' },
};
const clock = { nowMs: () => Number(shopNow / 1_000_000n), nowUnixNano: () => shopNow, monotonicMs: () => 0 };

const letter = {
  id: 17,
  destination: 'prometheus',
  signal: 'metrics' as const,
  reason: 'out of bounds',
  addedUnixNano: shopNow,
  receivedUnixNano: shopNow - 5n,
  refusedRecords: 3,
  sizeBytes: 400,
};
const deadLetters: DeadLetterSource = {
  list: ({ destination }) => (destination === undefined || destination === 'prometheus' ? [letter] : []),
  stats: () => ({ letters: 1, sizeBytes: 400, maxBytes: 1000, droppedLetters: 2 }),
  replay: async ({ id }) => ({
    replayed: 1,
    left: [{ id: id ?? 0, destination: 'prometheus', reason: 'out of bounds', refused: true }],
    remaining: 0,
  }),
};

function api(options: Partial<ApiOptions> = {}) {
  return createApi({
    readers: shop(),
    version: '1.2.3',
    clock,
    health: { report: () => health, ready: () => true },
    pipeline: { destinations: () => [], status: () => [], drops: () => [] },
    deadLetters,
    metricsText: async () => ({ contentType: 'text/plain; version=0.0.4', text: 'watchingcat_up 1\n' }),
    ...options,
  });
}

let app: Awaited<ReturnType<typeof api>>;
beforeAll(async () => {
  app = await api();
});
afterAll(() => app.close());

async function get(path: string, headers: Record<string, string> = {}) {
  const reply = await app.inject({ url: path, headers });
  return { status: reply.statusCode, headers: reply.headers, body: reply.json() };
}
const search = (path: string, query: string) => get(`${path}?query=${encodeURIComponent(query)}`);

describe('dead letters', () => {
  it('lists them, filtered', async () => {
    const { status, body } = await get('/api/v1/pipeline/dead-letters?signal=metrics');
    expect(status).toBe(200);
    expect(body).toMatchObject({ total: 1, sizeBytes: 400, maxBytes: 1000, dropped: 2 });
    expect(body.deadLetters).toEqual([
      {
        id: 17,
        destination: 'prometheus',
        signal: 'metrics',
        reason: 'out of bounds',
        records: 3,
        sizeBytes: 400,
        added: '2026-01-31T08:00:00.000000000Z',
        received: '2026-01-31T07:59:59.999999995Z',
      },
    ]);
    expect((await get('/api/v1/pipeline/dead-letters?destination=jaeger')).body.deadLetters).toEqual([]);
    expect((await get('/api/v1/pipeline/dead-letters?age=1')).status).toBe(400);
  });

  it('replays them, but not for a page of another site', async () => {
    const replay = (headers: Record<string, string>, payload?: string) =>
      app.inject({
        method: 'POST',
        url: '/api/v1/pipeline/dead-letters/replay?id=17',
        headers,
        ...(payload === undefined ? {} : { payload }),
      });
    const good = await replay({ 'content-type': 'application/json' }, '{}');
    expect(good.json()).toEqual({
      replayed: 1,
      left: [{ id: 17, destination: 'prometheus', reason: 'out of bounds', refused: true }],
      remaining: 0,
    });
    // What a browser sends without asking first.
    expect((await replay({})).statusCode).toBe(415);
    expect((await replay({ 'content-type': 'text/plain' }, '{}')).statusCode).toBe(415);
  });
});

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
      metrics: [{ name: 'http_requests_total', type: 'counter', unit: '1', description: 'Requests', seriesCount: 2 }],
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
    { path: 'query?query=m%2Bm', status: 422, errorType: 'execution', error: 'operator' },
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

describe('process', () => {
  it('reports its health', async () => {
    expect((await get('/health')).body).toEqual({ ...health, version: '1.2.3' });
    expect((await get('/health/live')).status).toBe(200);
    expect((await get('/health/ready')).status).toBe(200);
  });

  it('is unavailable and not ready, but alive, when it cannot accept data', async () => {
    const stuck = await api({ health: { report: () => ({ ...health, status: 'unavailable' }), ready: () => false } });
    const status = async (url: string) => (await stuck.inject(url)).statusCode;
    expect([await status('/health'), await status('/health/ready'), await status('/health/live')]).toEqual([
      503, 503, 200,
    ]);
    await stuck.close();
  });

  it('exposes its metrics as they are', async () => {
    const reply = await app.inject('/metrics');
    expect([reply.headers['content-type'], reply.body]).toEqual(['text/plain; version=0.0.4', 'watchingcat_up 1\n']);
  });

  it('shows what arrives and what is dropped', async () => {
    const seen = (count: number) => ({ count, lastSeenUnixNano: count === 0 ? undefined : shopNow });
    const flow = { received: seen(3), rejected: seen(0), refused: seen(0), stored: { embedded: seen(3) } };
    const drop = {
      signal: 'logs' as const,
      stage: 'deliver/embedded',
      reason: 'too large',
      count: 1,
      sample: { service: 'checkout' },
    };
    const progress = {
      destination: 'jaeger',
      signal: 'traces' as const,
      state: 'retrying' as const,
      lagSeconds: 12.5,
      pendingRequests: 40,
      pendingRecords: 4000,
      pendingBytes: 1640000,
      batchesInFlight: 0,
      failures: 3,
      deadLetters: 1,
    };
    const busy = await api({
      pipeline: {
        destinations: () => [
          { ...progress, lastError: 'refused', failingSinceUnixMs: Number(shopNow / 1_000_000n) },
          { ...progress, lastError: undefined, failingSinceUnixMs: undefined },
        ],
        status: () => [
          { service: 'shop', signal: 'logs', ...flow },
          { service: 'cart', signal: 'traces', ...flow },
        ],
        drops: () => [
          { ...drop, lastSeenUnixNano: shopNow - 1n },
          { ...drop, stage: 'receive', lastSeenUnixNano: shopNow },
        ],
      },
    });
    const lastSeen = '2026-01-31T08:00:00.000000000Z';
    const stages = {
      received: { count: 3, lastSeen },
      rejected: { count: 0, lastSeen: null },
      refused: { count: 0, lastSeen: null },
      stored: { embedded: { count: 3, lastSeen } },
    };
    expect((await busy.inject('/api/v1/pipeline/status')).json().flows).toEqual([
      { service: 'cart', signal: 'traces', stages },
      { service: 'shop', signal: 'logs', stages },
    ]);
    expect((await busy.inject('/api/v1/pipeline/status')).json().destinations).toEqual([
      { ...progress, lastError: 'refused', failingSince: lastSeen },
      { ...progress, lastError: null, failingSince: null },
    ]);
    expect((await busy.inject('/api/v1/pipeline/drops')).json().drops).toEqual([
      { ...drop, stage: 'receive', lastSeen },
      { ...drop, lastSeen: '2026-01-31T07:59:59.999999999Z' },
    ]);
    await busy.close();
  });
});

describe('errors', () => {
  const json = 'application/problem+json; charset=utf-8';

  // B34 and the contract: what is wrong is said, and where. Nothing is ignored.
  it.each([
    { path: '/api/v1/traces?limit=1000000000', status: 400, parameter: 'limit' },
    { path: '/api/v1/traces?limit=-1', status: 400, parameter: 'limit' },
    { path: '/api/v1/traces?limit=0', status: 400, parameter: 'limit' },
    { path: '/api/v1/traces?limit=x', status: 400, parameter: 'limit' },
    { path: '/api/v1/traces?limit=1&limit=2', status: 400, parameter: 'limit' },
    { path: '/api/v1/traces?start=now&end=now-1h', status: 400, parameter: 'start' },
    { path: '/api/v1/traces?end=yesterday', status: 400, parameter: 'end' },
    { path: '/api/v1/traces?minDuration=5', status: 400, parameter: 'minDuration' },
    { path: '/api/v1/traces?cursor=forged', status: 400, parameter: 'cursor' },
    {
      path: `/api/v1/traces?cursor=${Buffer.from('["1","2","forged"]').toString('base64url')}`,
      status: 400,
      parameter: 'cursor',
    },
    { path: '/api/v1/traces?srvice=checkout', status: 400, parameter: 'srvice' },
    { path: '/api/v1/traces?query=status%3D', status: 400, parameter: 'query' },
    { path: `/api/v1/logs?query=${'x'.repeat(9_000)}`, status: 400, parameter: 'query' },
    { path: `/api/v1/logs?query=trace_id+in+(${'a,'.repeat(3_000)}a)`, status: 400, parameter: 'query' },
    { path: '/api/v1/logs?order=sideways', status: 400, parameter: 'order' },
    { path: '/api/v1/logs/histogram?interval=1ns', status: 400, parameter: 'interval' },
    { path: '/api/v1/traces/xyz', status: 400, parameter: 'traceId' },
    { path: `/api/v1/traces/${'0'.repeat(32)}`, status: 404, parameter: 'traceId' },
    { path: '/metrics?x=1', status: 400, parameter: 'x' },
    { path: '/?x=1', status: 400, parameter: 'x' },
    { path: '/health?verbose=1', status: 400, parameter: 'verbose' },
    { path: '/api/v1/nothing', status: 404, parameter: undefined },
    // B33: no path leads out of the routes.
    { path: '/api/v1/traces/..%2f..%2fetc%2fpasswd', status: 400, parameter: 'traceId' },
    { path: '/docs/static/..%2f..%2fpackage.json', status: 404, parameter: undefined },
    { path: '/docs/static/%2e%2e/%2e%2e/package.json', status: 404, parameter: undefined },
    { path: '/%00', status: 404, parameter: undefined },
    { path: '/%', status: 400, parameter: undefined },
  ])('$status $path', async ({ path, status, parameter }) => {
    const { body, headers, ...reply } = await get(path);
    expect([reply.status, headers['content-type']]).toEqual([status, json]);
    expect(body).toEqual({
      type: expect.stringMatching(/^urn:watchingcat:problem:\w+$/),
      title: expect.any(String),
      status,
      detail: expect.any(String),
      ...(parameter === undefined ? {} : { parameter }),
    });
  });

  it('names the position of a slip in a query', async () => {
    const { body } = await search('/api/v1/logs', 'status=error AND (a OR b');
    expect(body.detail).toBe('expected ) at position 25 for the ( at position 18');
  });

  // B32: the query language is the only way in, and its values are values.
  it.each(["'; COPY logs TO '/tmp/x'; --", "read_csv('/etc/passwd')", 'ATTACH "x"', 'INSTALL httpfs'])(
    'takes %s as text or refuses it',
    async (query) => {
      const { status } = await search('/api/v1/logs', query);
      expect([200, 400]).toContain(status);
    },
  );

  it('says which methods a route has', async () => {
    const reply = await app.inject({ method: 'DELETE', url: '/api/v1/traces' });
    expect([reply.statusCode, reply.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  it('keeps what it did not expect to itself', async () => {
    const readers = shop();
    const logged: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line) => logged.push(line) });
    const broken = await api({
      logger,
      readers: { ...readers, logs: { ...readers.logs, search: () => Promise.reject(new Error('secret at /var/lib')) } },
    });
    const reply = await broken.inject('/api/v1/logs');
    expect([reply.statusCode, reply.json().detail]).toEqual([500, 'internal error']);
    expect(reply.body).not.toContain('secret');
    expect(logged).toEqual([expect.stringContaining('secret')]);
    await broken.close();
  });

  it.each([
    '/api/v1/traces',
    `/api/v1/traces/${shopTraces.fast}`,
    '/api/v1/logs',
    '/api/v1/logs/fields',
    '/api/v1/metrics',
  ])('says what to set where no store answers %s', async (url) => {
    const empty = await api({ readers: {} });
    const reply = await empty.inject(url);
    expect([reply.statusCode, reply.headers['content-type']]).toEqual([501, json]);
    expect(reply.json().detail).toContain('WATCHINGCAT_EMBEDDED');
    await empty.close();
  });

  it('gives up at the time budget, and turns away when too many wait', async () => {
    const readers = shop();
    const hang = { ...readers, logs: { ...readers.logs, search: () => new Promise<never>(() => {}) } };
    const slow = await api({ readers: hang, queryLimits: { budgetMs: 50, atOnceMax: 1, waitingMax: 1 } });
    const replies = await Promise.all([1, 2, 3].map(() => slow.inject('/api/v1/logs')));
    expect(replies.map((reply) => reply.statusCode).sort()).toEqual([503, 504, 504]);
    expect(replies.find((reply) => reply.statusCode === 503)?.headers['retry-after']).toBe('1');
    await slow.close();
  });
});

describe('clearing the demo', () => {
  const erased = { traces: 3, metrics: 2, logs: 1 };

  it('removes by its attribute, and says how much', async () => {
    const asked: string[] = [];
    const eraser: Eraser = {
      async eraseByResource(key, value) {
        asked.push(`${key}=${value}`);
        return erased;
      },
    };
    const server = await api({ eraser });
    const reply = await server.inject({ method: 'DELETE', url: '/api/v1/demo' });
    expect([reply.statusCode, reply.json()]).toEqual([200, { erased }]);
    expect(asked).toEqual(['watchingcat.demo=true']);
    const headers = { 'content-type': 'application/json' };
    expect((await server.inject({ method: 'DELETE', url: '/api/v1/demo', headers })).statusCode).toBe(200);
    const unknown = await server.inject({ method: 'DELETE', url: '/api/v1/demo?all=true' });
    expect([unknown.statusCode, unknown.json().parameter]).toEqual([400, 'all']);
    // What a page of another site could send without asking first.
    for (const method of ['GET', 'POST', 'HEAD'] as const) {
      const simple = await server.inject({
        method,
        url: '/api/v1/demo',
        headers: { origin: 'https://elsewhere.example', 'x-http-method-override': 'DELETE' },
      });
      expect([simple.statusCode, simple.headers['allow']]).toEqual([405, 'DELETE']);
    }
    const preflight = await server.inject({
      method: 'OPTIONS',
      url: '/api/v1/demo',
      headers: { origin: 'https://elsewhere.example', 'access-control-request-method': 'DELETE' },
    });
    expect(preflight.statusCode).toBe(405);
    expect(Object.keys(preflight.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    expect(asked).toHaveLength(2);
    await server.close();
  });

  it('says so where there is no embedded store, and where it is away', async () => {
    const none = await app.inject({ method: 'DELETE', url: '/api/v1/demo' });
    expect([none.statusCode, none.headers['content-type']]).toEqual([501, 'application/problem+json; charset=utf-8']);
    expect(none.json().detail).toContain('WATCHINGCAT_EMBEDDED');
    const away = new Fault('unavailable', 'the embedded store is being started again', { retryAfterMs: 1000 });
    const server = await api({ eraser: { eraseByResource: () => Promise.reject(away) } });
    const reply = await server.inject({ method: 'DELETE', url: '/api/v1/demo' });
    expect([reply.statusCode, reply.headers['retry-after']]).toEqual([503, '1']);
    await server.close();
  });
});

describe('mistakes in parameters', () => {
  it.each([
    ['/api/v1/logs?limit=0', 'limit', 'expected a whole number from 1 to 1000, once'],
    ['/api/v1/logs?limit=1.5', 'limit', 'expected a whole number from 1 to 1000, once'],
    ['/api/v1/logs?limit=1&limit=2', 'limit', 'expected a whole number from 1 to 1000, once'],
    ['/api/v1/logs?order=up', 'order', 'expected asc or desc, once'],
    ['/api/v1/logs?query=a&query=b', 'query', 'expected this parameter once'],
  ])('%s', async (url, parameter, detail) => {
    expect(await get(url)).toMatchObject({ status: 400, body: { parameter, detail } });
  });
});

it('the first page names the ports that are in use', async () => {
  const listeners = { otlpGrpc: '127.0.0.1:14317', otlpHttp: '[::1]:14318', http: '127.0.0.1:18090' };
  const server = await api({ health: { report: () => ({ ...health, listeners }), ready: () => true } });
  expect((await server.inject('/')).body).toContain('Send OTLP to port 14317 (gRPC) or 14318 (HTTP).');
  await server.close();
});

describe('safety', () => {
  // C11, errors included.
  it.each([
    '/',
    '/health',
    '/api/v1/traces',
    '/api/v1/traces?limit=x',
    '/nothing',
    '/%',
    '/metrics',
    '/docs',
    '/docs/json',
  ])('sends security headers with %s', async (url) => {
    const { headers } = await app.inject(url);
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['referrer-policy']).toBe('no-referrer');
    expect(headers).not.toHaveProperty('access-control-allow-origin');
  });

  // B35: what was sent is shown as text, which its type and nosniff make of it.
  it('gives markup back as JSON, never as HTML', async () => {
    for (const url of ['/api/v1/traces', '/api/v1/logs', `/api/v1/traces?${encodeURIComponent(markup)}=1`]) {
      const reply = await app.inject(url);
      expect(reply.body).toContain(markup);
      expect(reply.headers['content-type']).toMatch(/^application\/(problem\+)?json/);
    }
  });

  it('serves the page of the docs without anything from elsewhere', async () => {
    const page = await app.inject('/docs');
    expect(page.body).not.toMatch(/(src|href)="(https?:)?\/\//);
    const scripts = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
    expect(scripts.length).toBeGreaterThan(3);
    for (const url of scripts) expect((await app.inject(new URL(url, 'http://x/docs').pathname)).statusCode).toBe(200);
  });

  it('stops a query whose client goes away', async () => {
    const readers = shop();
    const begun = Promise.withResolvers<AbortSignal>();
    const hang: Readers = {
      logs: {
        ...readers.logs,
        search: (_, cancel) => {
          begun.resolve(cancel);
          return new Promise((_, reject) => cancel.addEventListener('abort', () => reject(cancel.reason)));
        },
      },
    };
    const logged: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line) => logged.push(line) });
    const server = await api({ readers: hang, logger });
    const url = await server.listen({ port: 0, host: '127.0.0.1' });
    const client = new AbortController();
    const answer = fetch(`${url}/api/v1/logs`, { signal: client.signal }).catch(() => 'gone');
    const signal = await begun.promise;
    expect(signal.aborted).toBe(false);
    const stopped = new Promise((resolve) => signal.addEventListener('abort', resolve));
    client.abort();
    await stopped;
    expect(await answer).toBe('gone');
    await server.close();
    expect(logged).toEqual([]);
  });

  it('refuses a header that is too large, in the same shape', async () => {
    const server = await api();
    const url = await server.listen({ port: 0, host: '127.0.0.1' });
    const reply = await fetch(`${url}/health`, { headers: { 'x-long': 'x'.repeat(70_000) } });
    expect([reply.status, reply.headers.get('x-content-type-options')]).toEqual([431, 'nosniff']);
    expect(await reply.json()).toMatchObject({ status: 431 });
    await server.close();
  });
});
