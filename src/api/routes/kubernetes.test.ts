import { afterAll, beforeAll, expect, it } from 'vitest';
import { handOver, health } from '../../../test/kit/api.ts';
import { embeddedStore, recordedEndUnixNano, recordedEvents, recordedMetrics } from '../../../test/kit/kubernetes.ts';
import { createApi } from '../create.ts';

const clock = { nowMs: () => 0, nowUnixNano: () => recordedEndUnixNano, monotonicMs: () => 0 };
let store: Awaited<ReturnType<typeof embeddedStore>>;
let app: Awaited<ReturnType<typeof createApi>>;
beforeAll(async () => {
  store = await embeddedStore();
  await store.metrics(recordedMetrics('east'));
  await store.logs(recordedEvents('east'));
  app = await createApi({
    readers: store.readers,
    version: '0',
    clock,
    health: { report: () => health, ready: () => true },
    pipeline: { destinations: () => [], status: () => [], drops: () => [], handOver: () => handOver },
    deadLetters: {
      list: () => [],
      stats: () => ({ letters: 0, sizeBytes: 0, maxBytes: 0, droppedLetters: 0 }),
      replay: async () => ({ replayed: 0, left: [], remaining: 0 }),
    },
    metricsText: async () => ({ contentType: 'text/plain', text: '' }),
  });
});
afterAll(async () => {
  await app?.close();
  await store?.[Symbol.asyncDispose]();
});

async function get(path: string) {
  const reply = await app.inject({ url: `/api/v1/k8s/${path}` });
  return { status: reply.statusCode, body: reply.json() };
}

it('a pod as it is shown', async () => {
  const { status, body } = await get('pods?namespace=shop&limit=1');
  expect(status).toBe(200);
  expect(body.pods).toEqual([
    {
      cluster: 'east',
      namespace: 'shop',
      name: 'crasher',
      node: 'node1',
      phase: 'Running',
      status: 'Error',
      ready: '0/1',
      restarts: 3,
      owner: null,
      cpuCores: { usage: null, request: 0.02, limit: 0.2 },
      memoryBytes: { usage: null, request: 16777216, limit: 67108864 },
      containers: [
        {
          name: 'app',
          ready: false,
          restarts: 3,
          reason: 'Error',
          lastTerminatedReason: 'Error',
          cpuCores: { usage: null, request: 0.02, limit: 0.2 },
          memoryBytes: { usage: null, request: 16777216, limit: 67108864 },
        },
      ],
      lastSeen: expect.stringMatching(/^2026-11-25T09:32:24\.\d{9}Z$/),
    },
  ]);
  const next = await get(`pods?namespace=shop&limit=1&cursor=${encodeURIComponent(body.nextCursor)}`);
  expect(next.body.pods.map(({ name }: { name: string }) => name)).toEqual(['hungry']);
});

it.each([
  { path: 'overview', found: { clusters: ['east'], nodes: { count: 1, ready: 1 }, namespaces: 5 } },
  { path: 'overview?namespace=shop', found: { nodes: null, namespaces: 1, pods: { count: 7 } } },
  { path: 'nodes', found: { nodes: [{ name: 'node1', status: 'Ready', unschedulable: null }], nextCursor: null } },
  { path: 'namespaces?namespace=shop', found: { namespaces: [{ phase: 'Active', restarts: 3 }] } },
  { path: 'workloads?limit=1', found: { workloads: [{ kind: 'Deployment', name: 'coredns', failed: null }] } },
  { path: 'events?limit=1&kind=Job', found: { events: [{ reason: 'Completed', count: 1, timeUnixNano: /\d+/ }] } },
  { path: 'pods?cluster=west', found: { pods: [], nextCursor: null } },
])('$path', async ({ path, found }) => {
  const { status, body } = await get(path);
  expect(status).toBe(200);
  const shaped = JSON.parse(JSON.stringify(found), (key, value) =>
    key === 'timeUnixNano' ? expect.any(String) : value,
  );
  expect(body).toMatchObject(shaped);
});

it.each(['overview', 'nodes', 'pods', 'namespaces', 'workloads', 'events'])(
  '%s refuses what it does not know',
  async (view) => {
    const { status, body } = await get(`${view}?nmespace=shop`);
    expect([status, body.parameter]).toEqual([400, 'nmespace']);
    expect((await get(`${view}?start=then`)).body).toMatchObject({ status: 400, parameter: 'start' });
  },
);

it.each(['nodes?namespace=shop', 'events?type=Bad', 'overview?limit=5', 'pods?cursor=x', 'pods?limit=0'])(
  'refuses %s',
  async (path) => expect((await get(path)).status).toBe(400),
);
