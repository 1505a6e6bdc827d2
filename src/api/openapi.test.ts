import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { shop, shopNow, shopTraces } from '../../test/kit/shop.ts';
import { createApi } from './index.ts';

type Api = Awaited<ReturnType<typeof createApi>>;
interface Operation {
  readonly summary?: string;
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
}
type Schema = Parameters<typeof z.fromJSONSchema>[0] & { readonly example?: unknown };

/** What contract.md promises of this part of the API, so that a route that is lost is missed. */
const promised = [
  'GET /',
  'GET /health',
  'GET /health/live',
  'GET /health/ready',
  'GET /metrics',
  'GET /api/v1/services',
  'GET /api/v1/services/{name}/operations',
  'GET /api/v1/traces',
  'GET /api/v1/traces/{traceId}',
  'GET /api/v1/traces/{traceId}/logs',
  'GET /api/v1/logs',
  'GET /api/v1/logs/fields',
  'GET /api/v1/logs/fields/{name}/values',
  'GET /api/v1/logs/histogram',
  'GET /api/v1/metrics',
  'GET /api/v1/metrics/query',
  'POST /api/v1/metrics/query',
  'GET /api/v1/metrics/query_range',
  'POST /api/v1/metrics/query_range',
  'GET /api/v1/k8s/overview',
  'GET /api/v1/k8s/nodes',
  'GET /api/v1/k8s/pods',
  'GET /api/v1/k8s/namespaces',
  'GET /api/v1/k8s/workloads',
  'GET /api/v1/k8s/events',
  'GET /api/v1/pipeline/status',
  'GET /api/v1/pipeline/drops',
  'GET /api/v1/pipeline/dead-letters',
  'POST /api/v1/pipeline/dead-letters/replay',
  'DELETE /api/v1/demo',
];

let app: Api;
let operations: Map<string, Operation>;
beforeAll(async () => {
  const seen = { count: 1, lastSeenUnixNano: shopNow };
  const never = { count: 0, lastSeenUnixNano: undefined };
  app = await createApi({
    readers: shop(),
    version: '1.2.3',
    clock: { nowMs: () => Number(shopNow / 1_000_000n), nowUnixNano: () => shopNow, monotonicMs: () => 0 },
    health: {
      report: () => ({
        status: 'ok',
        uptimeSeconds: 1,
        listeners: { http: '127.0.0.1:8090' },
        destinations: { embedded: { status: 'ok', lagSeconds: 0, pendingBytes: 0, lastError: null } },
        enrichment: { status: 'stale', pods: 7, ageSeconds: 90, lastError: 'pods: connection refused' },
      }),
      ready: () => true,
    },
    pipeline: {
      handOver: () => {
        const counts = { handedOver: { requests: 1, records: 2 }, takenOver: { requests: 3, records: 4 } };
        return { traces: counts, metrics: counts, logs: counts };
      },
      destinations: () => [
        {
          destination: 'embedded',
          signal: 'logs',
          state: 'retrying',
          lagSeconds: 1.5,
          pendingRequests: 1,
          pendingRecords: 2,
          pendingBytes: 3,
          batchesInFlight: 0,
          failures: 4,
          lastError: 'why',
          failingSinceUnixMs: Number(shopNow / 1_000_000n),
          deadLetters: 5,
        },
      ],
      status: () => [
        {
          service: 'shop',
          signal: 'logs',
          received: seen,
          rejected: never,
          refused: never,
          stored: { embedded: seen },
        },
      ],
      drops: () => [
        {
          signal: 'logs',
          stage: 'receive',
          reason: 'why',
          count: 1,
          lastSeenUnixNano: shopNow,
          sample: { service: 'x' },
        },
      ],
    },
    deadLetters: {
      list: () => [
        {
          id: 1,
          destination: 'embedded',
          signal: 'logs',
          reason: 'why',
          addedUnixNano: shopNow,
          receivedUnixNano: shopNow,
          refusedRecords: 1,
          sizeBytes: 10,
        },
      ],
      stats: () => ({ letters: 1, sizeBytes: 10, maxBytes: 100, droppedLetters: 0 }),
      replay: async () => ({ replayed: 1, left: [], remaining: 0 }),
    },
    metricsText: async () => ({ contentType: 'text/plain', text: 'watchingcat_up 1\n' }),
  });
  const document = (await app.inject('/docs/json')).json();
  expect(document.openapi).toBe('3.1.0');
  operations = new Map(
    Object.entries<Record<string, Operation>>(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
    ),
  );
});
afterAll(() => app.close());

it('has every route that is promised', () => {
  expect([...operations.keys()]).toEqual(expect.arrayContaining(promised));
});

it('describes every route that is served', async () => {
  const routes: string[] = [];
  const lines = app.printRoutes({ commonPrefix: false, includeHooks: false }).split('\n');
  const path: string[] = [];
  for (const line of lines) {
    const [, indent, part, methods] = /^([│ ]*)[├└]── (\S*) \(([A-Z, ]+)\)/.exec(line) ?? [];
    if (indent === undefined || part === undefined || methods === undefined) continue;
    path.length = indent.length / 4;
    path.push(part);
    for (const method of methods.split(', ')) routes.push(`${method} ${path.join('').replace(/^\/\//, '/')}`);
  }
  const served = routes
    .filter((route) => !route.startsWith('HEAD ') && !route.includes(' /docs'))
    .map((route) => route.replaceAll(/:(\w+)/g, '{$1}').replace('//', '/'));
  expect(served.length).toBeGreaterThanOrEqual(promised.length);
  for (const route of served) expect([...operations.keys()], route).toContain(route);
});

it('says of every route what it is for, what errors look like, and gives an example that fits', () => {
  for (const [name, { summary, responses }] of operations) {
    expect(summary, name).toMatch(/\w/);
    expect(responses, name).toHaveProperty('default');
    for (const [type, { schema }] of Object.entries(responses['200']?.content ?? {})) {
      if (type === 'application/x-protobuf') continue;
      expect(schema.example, `${name} ${type}`).toBeDefined();
      expect(() => z.fromJSONSchema(schema).parse(schema.example), `${name} ${type}`).not.toThrow();
    }
  }
});

it('answers as it says', async () => {
  const checked: string[] = [];
  for (const [name, operation] of operations) {
    const [method = '', path = ''] = name.split(' ');
    if (method !== 'GET') continue;
    const url = path
      .replace('{traceId}', shopTraces.declined)
      .replace('services/{name}', 'services/checkout')
      .replace('{name}', 'order.id');
    const reply = await app.inject(path.includes('metrics/query') ? `${url}?query=http_requests_total` : url);
    expect(reply.statusCode, name).toBe(200);
    const type = String(reply.headers['content-type']).split(';', 1)[0]!;
    const described = operation.responses['200']?.content?.[type];
    expect(described, `${name} ${type}`).toBeDefined();
    if (type !== 'application/json') continue;
    expect(() => z.fromJSONSchema(described!.schema).parse(reply.json()), name).not.toThrow();
    checked.push(name);
  }
  expect(checked.length).toBeGreaterThan(15);
});
