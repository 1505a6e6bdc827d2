import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { ApiServer } from '../kit/api-server.ts';
import { eventually, getJson, type Running, runCommand, startProcess } from '../kit/process.ts';
import { proxyTo } from '../kit/proxy-header.ts';
import { putShopPod, startShopCluster, writeKubeconfig } from '../kit/shop-cluster.ts';

// The whole process beside an API server that tells of one pod: what a request becomes on its way to a question's answer.

const stack: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of stack.splice(0).reverse()) await end();
});

const podUid = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const podsPath = '/api/v1/pods';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'watchingcat-kubernetes-'));
  stack.push(async () => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function cluster(): Promise<ApiServer> {
  const api = await startShopCluster();
  stack.push(() => api.stop());
  return api;
}

/** The pod `cart` at 10.244.1.5. */
function putPod(api: ApiServer): void {
  putShopPod(api, {
    uid: podUid,
    name: 'cart-6d5f-x2x',
    address: '10.244.1.5',
    image: 'registry.example.com/cart:1.4.2',
  });
}

async function start(server: string, env: { [name: string]: string } = {}): Promise<Running> {
  const running = await startProcess({
    dataDir: join(folder(), 'data'),
    env: { WATCHINGCAT_K8S_ENRICHMENT: writeKubeconfig(folder(), server), ...env },
  });
  stack.push(() => running.stop());
  return running;
}

interface Health {
  status: string;
  enrichment: { status: string; pods: number; lastError: string | null };
}
const health = async ({ http }: Running) => (await getJson(http, '/health')) as Health;
const synced = (running: Running) =>
  eventually(
    () => health(running),
    ({ enrichment }) => enrichment.status === 'synced',
  );

async function metric({ http }: Running, series: string): Promise<number> {
  const text = await (await fetch(`${http}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? 0);
}

/** Sends one log line of a resource with these attributes. */
async function sendLog(to: string, body: string, attributes: { [key: string]: string } = {}): Promise<number> {
  const resource = {
    attributes: Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } })),
  };
  const timeUnixNano = String(BigInt(Date.now()) * 1_000_000n);
  const logRecords = [{ timeUnixNano, body: { stringValue: body } }];
  const answer = await fetch(`${to}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] }),
  });
  await answer.arrayBuffer();
  return answer.status;
}

interface Line {
  body: string;
  resource: { [key: string]: unknown };
}
async function stored({ http }: Running, body: string): Promise<{ [key: string]: unknown }> {
  const lines = await eventually(
    async () => ((await getJson(http, '/api/v1/logs', { query: `body="${body}"` })) as { logs: Line[] }).logs,
    (found) => found.length === 1,
  );
  return lines[0]?.resource ?? {};
}

describe('in a cluster', () => {
  it('a pod that sends nothing but a line of log is a service, with all that the cluster knows of it', async () => {
    const api = await cluster();
    putPod(api);
    const running = await start(String(api.url), {
      WATCHINGCAT_TRUSTED_PROXIES: '127.0.0.0/8',
      WATCHINGCAT_K8S_LABELS: 'team',
      WATCHINGCAT_CLUSTER_NAME: 'blue',
    });
    expect((await synced(running)).enrichment).toMatchObject({ pods: 1, lastError: null });
    const port = Number(new URL(running.otlpHttp).port);
    using proxy = await proxyTo(port, Buffer.from('PROXY TCP4 10.244.1.5 10.0.0.1 4711 4318\r\n'));
    expect(await sendLog(`http://127.0.0.1:${proxy.port}`, 'by its connection')).toBe(200);
    expect(await sendLog(running.otlpHttp, 'by its UID', { 'k8s.pod.uid': podUid, 'k8s.container.name': 'app' })).toBe(
      200,
    );
    const known = {
      'k8s.namespace.name': 'shop',
      'k8s.pod.name': 'cart-6d5f-x2x',
      'k8s.pod.uid': podUid,
      'k8s.pod.ip': '10.244.1.5',
      'k8s.node.name': 'node-1',
      'k8s.node.uid': 'node-uid',
      'k8s.cluster.uid': 'cluster-uid',
      'k8s.deployment.name': 'cart',
      'k8s.deployment.uid': 'd',
      'k8s.container.name': 'app',
      'k8s.pod.label.team': 'blue',
      'k8s.cluster.name': 'blue',
      'service.name': 'cart',
      'service.version': '1.4.2',
    };
    expect(await stored(running, 'by its connection')).toMatchObject(known);
    expect(await stored(running, 'by its UID')).toMatchObject(known);

    const { services } = (await getJson(running.http, '/api/v1/services')) as { services: object[] };
    expect(services).toEqual([expect.objectContaining({ name: 'cart', namespace: 'shop', signals: ['logs'] })]);
    const { flows } = (await getJson(running.http, '/api/v1/pipeline/status')) as {
      flows: { service: string; stages: { received: { count: number } } }[];
    };
    expect(flows.map(({ service, stages }) => [service, stages.received.count])).toEqual([['cart', 2]]);
    expect(await metric(running, 'watchingcat_enrichment_matched_total{signal="logs",source="connection"}')).toBe(1);
    expect(await metric(running, 'watchingcat_enrichment_matched_total{signal="logs",source="pod_uid"}')).toBe(1);
  });

  it('a record that is faster than the news of its pod has its attributes', async () => {
    const api = await cluster();
    const running = await start(String(api.url), { WATCHINGCAT_K8S_WAIT: '8s' });
    await synced(running);
    const sent = sendLog(running.otlpHttp, 'first words', { 'k8s.pod.uid': podUid });
    await eventually(
      () => metric(running, 'watchingcat_enrichment_held_requests'),
      (held) => held === 1,
    );
    // Whose pod is of no interest does not wait.
    expect(await sendLog(running.otlpHttp, 'of another', { 'service.name': 'other' })).toBe(200);
    expect(await metric(running, 'watchingcat_enrichment_held_requests')).toBe(1);
    putPod(api);
    expect(await sent).toBe(200);
    expect(await stored(running, 'first words')).toMatchObject({
      'k8s.deployment.name': 'cart',
      'service.name': 'cart',
    });
    expect(await metric(running, 'watchingcat_enrichment_held_total')).toBe(1);
  });

  it('what waits when the process is asked to stop is acknowledged and there after it', async () => {
    const api = await cluster();
    const running = await start(String(api.url), { WATCHINGCAT_K8S_WAIT: '8s' });
    await synced(running);
    const sent = sendLog(running.otlpHttp, 'last words', { 'k8s.pod.uid': podUid });
    await eventually(
      () => metric(running, 'watchingcat_enrichment_held_requests'),
      (held) => held === 1,
    );
    const stopped = running.stop();
    expect(await sent).toBe(200);
    expect(await stopped).toMatchObject({ code: 0 });
    const again = await startProcess({ dataDir: running.dataDir });
    stack.push(() => again.stop());
    expect(await stored(again, 'last words')).toEqual({ 'k8s.pod.uid': podUid });
  });
});

describe('without the API server', () => {
  it.each([
    ['away', () => Promise.resolve('http://127.0.0.1:1'), 'starting', 'ECONNREFUSED'],
    [
      'that does not let us read pods',
      async () => {
        const api = await cluster();
        api.denied.add(podsPath);
        return String(api.url);
      },
      'denied',
      'forbidden',
    ],
  ])('%s: telemetry is taken at once, as it came, and the process is well', async (_, server, status, lastError) => {
    const running = await start(await server());
    await eventually(
      () => health(running),
      ({ enrichment }) => enrichment.status === status && enrichment.lastError !== null,
    );
    expect(await sendLog(running.otlpHttp, 'all the same', { 'k8s.pod.uid': podUid })).toBe(200);
    expect(await stored(running, 'all the same')).toEqual({ 'k8s.pod.uid': podUid });
    expect(await health(running)).toMatchObject({
      status: 'ok',
      enrichment: { status, lastError: expect.stringContaining(lastError) },
    });
    expect((await fetch(`${running.http}/health/ready`)).status).toBe(200);
    expect(await metric(running, 'watchingcat_enrichment_missed_total{signal="logs",reason="no_view"}')).toBe(1);
    expect(await metric(running, 'watchingcat_enrichment_held_total')).toBe(0);
    expect(running.output()).not.toContain('canary-f00d');
  });

  it('that went away: what was known last is used', async () => {
    const api = await cluster();
    putPod(api);
    const running = await start(String(api.url));
    await synced(running);
    await api.stop();
    await eventually(
      () => health(running),
      ({ enrichment }) => enrichment.status === 'stale',
    );
    expect(await sendLog(running.otlpHttp, 'known', { 'k8s.pod.uid': podUid })).toBe(200);
    expect(await stored(running, 'known')).toMatchObject({ 'k8s.deployment.name': 'cart' });
  });
});

it('a kubeconfig that cannot be used stops the start and is named', async () => {
  const file = join(folder(), 'kubeconfig');
  writeFileSync(file, 'current-context: nowhere\nusers: [{name: u, user: {token: canary-f00d}}]');
  const env = {
    WATCHINGCAT_K8S_ENRICHMENT: file,
    WATCHINGCAT_DATA_DIR: join(folder(), 'data'),
    WATCHINGCAT_HTTP_PORT: '0',
    WATCHINGCAT_OTLP_HTTP_PORT: '0',
    WATCHINGCAT_OTLP_GRPC_PORT: '0',
  };
  const { code, stdout, stderr } = await runCommand(['start'], { env });
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/WATCHINGCAT_K8S_ENRICHMENT: .*no context nowhere/);
  expect(`${stdout}${stderr}`).not.toContain('canary-f00d');
});
