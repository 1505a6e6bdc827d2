import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTcpProxy, type TcpProxy } from '../kit/fault-proxy.ts';
import { eventually, getJson, type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { KubernetesApi, resources } from './kit/kubernetes-api.ts';

// Telemetry is taken whatever the API server does, with what is known of its pod.

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let api: KubernetesApi;
let proxy: TcpProxy;
let running: Running;
let known: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  api = await KubernetesApi.start(folder.path);
  proxy = await startTcpProxy(api.port);
  await api.allow(resources);
  known = await addPod('cart');
  running = await start('data');
  await health('synced');
}, 180_000);
afterAll(async () => {
  await running?.stop();
  await proxy?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
}, 60_000);

async function start(name: string): Promise<Running> {
  return startProcess({
    dataDir: `${folder.path}/${name}`,
    env: { WATCHINGCAT_K8S_ENRICHMENT: await api.writeKubeconfig(proxy.port) },
  });
}

/** @returns Its UID. */
async function addPod(name: string): Promise<string> {
  const made = (await api.request('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name },
    spec: { nodeName: 'node-1', containers: [{ name: 'app', image: 'app:1' }] },
  })) as { metadata: { uid: string } };
  return made.metadata.uid;
}

/** Sends a log of a pod; resolves when it is acknowledged. */
async function send(uid: string, body: string): Promise<void> {
  const resource = { attributes: [{ key: 'k8s.pod.uid', value: { stringValue: uid } }] };
  const logRecords = [{ timeUnixNano: String(BigInt(Date.now()) * 1_000_000n), body: { stringValue: body } }];
  const answer = await fetch(`${running.otlpHttp}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] }),
    // What clients wait at most.
    signal: AbortSignal.timeout(10_000),
  });
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({});
}

async function stored(body: string): Promise<Record<string, unknown>> {
  const { logs } = await eventually(
    () =>
      getJson(running.http, '/api/v1/logs', { query: `body="${body}"` }) as Promise<{
        logs: { resource: Record<string, unknown> }[];
      }>,
    (answer) => answer.logs.length > 0,
  );
  return logs[0]!.resource;
}

interface Health {
  readonly status: string;
  readonly enrichment: { readonly status: string; readonly pods: number; readonly lastError: string | null };
}
const health = (status: string) =>
  eventually(
    () => getJson(running.http, '/health') as Promise<Health>,
    ({ enrichment }) => enrichment.status === status,
    100_000,
  );

const ofCart = () => ({
  'k8s.pod.name': 'cart',
  'k8s.pod.uid': known,
  'k8s.namespace.name': 'default',
  'k8s.node.name': 'node-1',
});

describe('telemetry of a pod', () => {
  it('has what the API server says of it', async () => {
    await send(known, 'all well');
    expect(await stored('all well')).toMatchObject(ofCart());
  });

  it('while the API server is away has what was known last, and that of another pod is taken too', async () => {
    await api.killServer();
    expect(await health('stale')).toMatchObject({
      status: 'ok',
      enrichment: { pods: 1, lastError: expect.any(String) },
    });
    await send(known, 'away');
    await send('00000000-0000-4000-8000-000000000000', 'of nobody');
    expect(await stored('away')).toMatchObject(ofCart());
    expect(await stored('of nobody')).not.toHaveProperty('k8s.pod.name');
    await api.startServer();
    await health('synced');
    const uid = await addPod('young');
    await send(uid, 'young');
    expect(await stored('young')).toMatchObject({ 'k8s.pod.name': 'young' });
  });

  it('while the API server is stopped', async () => {
    api.signal('SIGSTOP');
    try {
      await send(known, 'stopped');
      await send('00000000-0000-4000-8000-000000000001', 'of nobody, stopped');
      expect(await stored('stopped')).toMatchObject(ofCart());
    } finally {
      api.signal('SIGCONT');
    }
  });

  it('when the right to ask was taken away', async () => {
    await api.allow([]);
    proxy.drop('reset');
    expect(await health('denied')).toMatchObject({
      status: 'ok',
      enrichment: { lastError: expect.stringContaining('403') },
    });
    await send(known, 'denied');
    expect(await stored('denied')).toMatchObject(ofCart());
    await api.allow(resources);
  });

  it('from the start, when there never was an API server: it is taken, and enriched when there is one', async () => {
    proxy.set({ kind: 'refuse' });
    await running.stop();
    running = await start('other-data');
    expect((await health('starting')).status).toBe('ok');
    await send(known, 'early');
    expect(await stored('early')).not.toHaveProperty('k8s.pod.name');
    proxy.set({ kind: 'none' });
    await health('synced');
    await send(known, 'late');
    expect(await stored('late')).toMatchObject(ofCart());
  });
});
