import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startCollector } from '../kit/collector.ts';
import { eventually, getJson, startProcess, temporaryFolder } from '../kit/process.ts';
import { putShopPod, startShopCluster, writeKubeconfig } from '../kit/shop-cluster.ts';

const application = '127.0.0.2';

/** Sends one log line, whose resource says nothing, from the application's address. */
function sendLog(to: string, body: string): Promise<number | undefined> {
  const logRecords = [{ timeUnixNano: String(BigInt(Date.now()) * 1_000_000n), body: { stringValue: body } }];
  return new Promise((resolve, reject) => {
    httpRequest(
      `http://${to}/v1/logs`,
      { method: 'POST', localAddress: application, headers: { 'content-type': 'application/json' } },
      (answer) => answer.resume().on('end', () => resolve(answer.statusCode)),
    )
      .on('error', reject)
      .end(JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] }));
  });
}

it.each([
  ['passes on who sent it: it is the application’s', ['k8s_attributes: {passthrough: true}'], application, 'cart'],
  ['does not: it is nobody’s, and not the Collector’s own', [], undefined, undefined],
])('a Collector in between that %s', async (_, processors, podIp, service) => {
  await using folder = await temporaryFolder();
  await using parts = new AsyncDisposableStack();
  const api = await startShopCluster();
  parts.defer(() => api.stop());
  const image = 'registry.example.com/cart:1.4.2';
  putShopPod(api, { uid: 'application', name: 'cart-6d5f-x2x', address: application, image });
  const collectorImage = 'otel/opentelemetry-collector-contrib:0.152.0';
  putShopPod(api, { uid: 'collector', name: 'gateway-1', address: '127.0.0.1', image: collectorImage });
  const running = await startProcess({
    dataDir: join(folder.path, 'data'),
    env: { WATCHINGCAT_K8S_ENRICHMENT: writeKubeconfig(folder.path, String(api.url)) },
  });
  parts.defer(async () => {
    await running.stop();
  });
  await eventually(
    async () => (await getJson(running.http, '/health')) as { enrichment: { pods: number } },
    ({ enrichment }) => enrichment.pods === 2,
  );
  const collector = await startCollector({
    folder: join(folder.path, 'collector'),
    processors,
    exporters: `{otlp_grpc: {endpoint: "${running.otlpGrpc}", tls: {insecure: true}}}`,
    pipelines: { logs: ['otlp_grpc'] },
  });
  parts.defer(() => collector.stop());

  expect(await sendLog(collector.http, 'through a Collector')).toBe(200);
  const logs = await eventually(
    async () => ((await getJson(running.http, '/api/v1/logs')) as { logs: { resource: object }[] }).logs,
    (found) => found.length === 1,
  );
  const { resource } = logs[0] ?? {};
  expect(resource).toEqual(podIp === undefined ? {} : expect.objectContaining({ 'k8s.pod.ip': podIp }));
  expect((resource as { [key: string]: unknown })['service.name']).toBe(service);
  expect((resource as { [key: string]: unknown })['k8s.pod.uid']).toBe(podIp && 'application');
});
