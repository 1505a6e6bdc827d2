import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Signal, signals } from '../../src/base/index.ts';
import { startElasticsearch, startJaeger, startPrometheus } from '../kit/backends.ts';
import { eventually, getJson, type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { exportRecord, storedTimes } from '../kit/records.ts';

// The whole process with the real stores: what is sent is found by its own REST routes, which ask there.

it('each signal goes to its store and stays here as well, and is read from where it shall be', async () => {
  await using folder = await temporaryFolder();
  await using jaeger = await startJaeger();
  await using prometheus = await startPrometheus();
  await using elasticsearch = await startElasticsearch();
  const env = {
    WATCHINGCAT_JAEGER_OTLP_ENDPOINT: jaeger.otlpEndpoint,
    WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
    WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: prometheus.remoteWriteUrl,
    WATCHINGCAT_PROMETHEUS_QUERY_URL: prometheus.url,
    WATCHINGCAT_ELASTICSEARCH_URL: elasticsearch.url,
    WATCHINGCAT_EMBEDDED: 'traces,metrics,logs',
  };
  const dataDir = join(folder.path, 'data');
  const ids = new Map<Signal, string>();
  const once = async (running: Running, signal: Signal) =>
    eventually(
      // A day's index is made with its first record, and answers 503 until then.
      () => storedTimes(running, signal, ids.get(signal) ?? '').catch((thrown: Error) => thrown.message),
      (times) => times === 1,
      30_000,
    );

  const outside = await startProcess({ dataDir, env });
  try {
    for (const signal of signals) {
      ids.set(signal, await exportRecord(outside, signal, 'grpc', { times: 2 }));
      await once(outside, signal);
    }
    const services = await fetch(`${jaeger.queryUrl}/api/v3/services`);
    expect(await services.json()).toEqual({ services: ['process-test'] });
    const names = await fetch(`${prometheus.url}/api/v1/label/__name__/values`);
    expect(((await names.json()) as { data: string[] }).data).toContain('test_point');
    const found = await fetch(`${elasticsearch.url}/watchingcat-logs-*/_count`);
    expect(await found.json()).toMatchObject({ count: 1 });
    const { destinations } = (await getJson(outside.http, '/health')) as { destinations: object };
    expect(Object.keys(destinations)).toEqual(
      expect.arrayContaining(['elasticsearch', 'embedded', 'jaeger', 'prometheus']),
    );
    expect((await outside.stop()).code).toBe(0);
  } finally {
    await outside.stop('SIGKILL');
  }

  const read = {
    WATCHINGCAT_READ_TRACES: 'embedded',
    WATCHINGCAT_READ_METRICS: 'embedded',
    WATCHINGCAT_READ_LOGS: 'embedded',
  };
  const inside = await startProcess({ dataDir, env: { ...env, ...read } });
  try {
    // These answers come from here: nobody else is there.
    await Promise.all([jaeger.stop(), prometheus.stop(), elasticsearch.stop()]);
    for (const signal of signals) await once(inside, signal);
  } finally {
    await inside.stop('SIGKILL');
  }
});
