import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { api, asking, handOver, health } from '../../test/kit/api.ts';
import { markup, shop, shopNow, shopTraces } from '../../test/kit/shop.ts';
import { Fault } from '../base/index.ts';
import type { Eraser, Readers } from '../stores/contract.ts';

let app: Awaited<ReturnType<typeof api>>;
beforeAll(async () => {
  app = await api();
});
afterAll(() => app.close());
const { get, search } = asking(() => app);

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
        handOver: () => handOver,
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
    const none = { requests: 0, records: 0 };
    expect((await busy.inject('/api/v1/pipeline/status')).json().handOver).toEqual([
      { signal: 'traces', handedOver: none, takenOver: { requests: 2, records: 300 } },
      { signal: 'metrics', handedOver: none, takenOver: none },
      { signal: 'logs', handedOver: none, takenOver: none },
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
    const server = await api({ demo: { eraser, kept: [] } });
    const reply = await server.inject({ method: 'DELETE', url: '/api/v1/demo' });
    expect([reply.statusCode, reply.json()]).toEqual([200, { erased, left: [] }]);
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

  it('says what other destinations keep, and how it is removed there', async () => {
    const kept = [{ destination: 'jaeger', remove: 'they go with its retention' }];
    const server = await api({ demo: { eraser: { eraseByResource: async () => erased }, kept } });
    const { left } = (await server.inject({ method: 'DELETE', url: '/api/v1/demo' })).json();
    expect(left).toEqual(kept);
    const without = await api({ demo: { eraser: undefined, kept } });
    const refused = await without.inject({ method: 'DELETE', url: '/api/v1/demo' });
    expect([refused.statusCode, refused.json().detail]).toEqual([501, expect.stringContaining('jaeger: they go with')]);
    await server.close();
    await without.close();
  });

  it('says so where there is no embedded store, and where it is away', async () => {
    const none = await app.inject({ method: 'DELETE', url: '/api/v1/demo' });
    expect([none.statusCode, none.headers['content-type']]).toEqual([501, 'application/problem+json; charset=utf-8']);
    expect(none.json().detail).toContain('WATCHINGCAT_EMBEDDED');
    const away = new Fault('unavailable', 'the embedded store is being started again', { retryAfterMs: 1000 });
    const server = await api({ demo: { eraser: { eraseByResource: () => Promise.reject(away) }, kept: [] } });
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
