import { it } from 'vitest';
import { killUnderLoad } from '../faults/kill.ts';
import { startElasticsearch, startJaeger, startPrometheus } from '../kit/backends.ts';

const kills = Number(process.env['WATCHINGCAT_TEST_BACKEND_KILLS'] ?? 15);
const seed = Number(process.env['WATCHINGCAT_TEST_SEED'] ?? 2);

it(`A1 killed ${kills} times under load with Jaeger, Prometheus and Elasticsearch behind it, seed ${seed}: nothing is lost, nothing there twice`, async () => {
  await using jaeger = await startJaeger();
  await using prometheus = await startPrometheus();
  await using elasticsearch = await startElasticsearch();
  await killUnderLoad({
    kills,
    seed,
    env: {
      WATCHINGCAT_JAEGER_OTLP_ENDPOINT: jaeger.otlpEndpoint,
      WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
      WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: prometheus.remoteWriteUrl,
      WATCHINGCAT_PROMETHEUS_QUERY_URL: prometheus.url,
      WATCHINGCAT_ELASTICSEARCH_URL: elasticsearch.url,
    },
  });
});
