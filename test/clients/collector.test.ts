import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Collector, startCollector } from '../kit/collector.ts';
import { type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { message } from './message.ts';
import { expectSent } from './sent.ts';

// An OpenTelemetry Collector that exports to us, with each compression that we promise and that its exporters offer.
// (Its otlp_grpc exporter knows no deflate; grpc.test.ts sends that.)

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let running: Running;

beforeAll(async () => {
  folder = await temporaryFolder();
  running = await startProcess({ dataDir: join(folder.path, 'data') });
});
afterAll(async () => {
  await running?.stop();
  await folder?.[Symbol.asyncDispose]();
});

describe('OpenTelemetry Collector', () => {
  it.each([
    ['otlp_grpc', 'none', undefined],
    ['otlp_grpc', 'gzip', undefined],
    ['otlp_grpc', 'zstd', undefined],
    ['otlp_grpc', 'snappy', undefined],
    ['otlp_http', 'none', undefined],
    ['otlp_http', 'gzip', undefined],
    ['otlp_http', 'deflate', undefined],
    ['otlp_http', 'zlib', undefined],
    ['otlp_http', 'zstd', undefined],
    ['otlp_http', 'snappy', undefined],
    ['otlp_http', 'none', 'json'],
    ['otlp_http', 'gzip', 'json'],
  ])('%s, compression %s, encoding %s: all is queryable, once', async (exporter, compression, encoding) => {
    const endpoint = exporter === 'otlp_grpc' ? running.otlpGrpc : running.otlpHttp;
    const options = [
      `endpoint: "${endpoint}", compression: ${compression}, tls: {insecure: true}`,
      'retry_on_failure: {enabled: false}, sending_queue: {enabled: false}',
      ...(encoding === undefined ? [] : [`encoding: ${encoding}`]),
    ].join(', ');
    const name = `${exporter}-${compression}-${encoding ?? 'proto'}`.replace('_', '-');
    await using collector = await startCollector({
      folder: join(folder.path, name),
      exporters: `{${exporter}: {${options}}}`,
      pipelines: { traces: [exporter], metrics: [exporter], logs: [exporter] },
    });
    const { sent, requests } = message(`collector-${name}`);
    for (const [signal, request] of Object.entries(requests)) await post(collector, signal, request);
    await expectSent(running.http, sent);
  });
});

/** Without a queue the Collector answers after its exporter was answered, so that a refusal shows here. */
async function post(collector: Collector, signal: string, request: unknown): Promise<void> {
  const answer = await fetch(`http://${collector.http}/v1/${signal}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  expect(`${answer.status} ${await answer.text()}`, collector.output()).toBe('200 {"partialSuccess":{}}');
}
