import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startElasticsearch, startJaeger } from '../kit/backends.ts';
import { eventually, getJson, startProcess, temporaryFolder } from '../kit/process.ts';
import { exportRecord, storedTimes } from '../kit/records.ts';

// The whole process with the real stores: what is sent is found by its own REST routes, which ask there.

it('traces go to Jaeger and logs to Elasticsearch, and are read from there', async () => {
  await using folder = await temporaryFolder();
  await using jaeger = await startJaeger();
  await using elasticsearch = await startElasticsearch();
  const running = await startProcess({
    dataDir: join(folder.path, 'data'),
    env: {
      WATCHINGCAT_JAEGER_OTLP_ENDPOINT: jaeger.otlpEndpoint,
      WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
      WATCHINGCAT_ELASTICSEARCH_URL: elasticsearch.url,
    },
  });
  try {
    for (const signal of ['traces', 'metrics', 'logs'] as const) {
      const id = await exportRecord(running, signal, 'grpc', { times: 2 });
      await eventually(
        // A day's index is made with its first record, and answers 503 until then.
        () => storedTimes(running, signal, id).catch((thrown: Error) => thrown.message),
        (times) => times === 1,
        30_000,
      );
    }
    const services = await fetch(`${jaeger.queryUrl}/api/v3/services`);
    expect(await services.json()).toEqual({ services: ['process-test'] });
    const { destinations } = (await getJson(running.http, '/health')) as { destinations: object };
    expect(Object.keys(destinations).sort()).toEqual(['elasticsearch', 'embedded', 'jaeger', 'spanmetrics']);
    expect((await running.stop()).code).toBe(0);
  } finally {
    await running.stop('SIGKILL');
  }
});
