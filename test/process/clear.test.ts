import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually, getJson, type Running, runCommand, startProcess, temporaryFolder } from '../kit/process.ts';

// What a person does who has seen enough of the demo: it goes, and nothing else does.

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let running: Running;
const run = (...args: string[]) => runCommand(args, { env: { WATCHINGCAT_ENDPOINT: running.http } });

beforeAll(async () => {
  folder = await temporaryFolder();
  running = await startProcess({ dataDir: folder.path });
});
afterAll(async () => {
  await running?.stop('SIGKILL');
  await folder?.[Symbol.asyncDispose]();
});

const attributes = [{ key: 'service.name', value: { stringValue: 'mine' } }];
const timeUnixNano = String(BigInt(Date.now() - 60_000) * 1_000_000n);
const traceId = 'ab'.repeat(16);
const mine = {
  traces: {
    resourceSpans: [
      {
        resource: { attributes },
        scopeSpans: [
          {
            spans: [
              {
                traceId,
                spanId: 'cd'.repeat(8),
                name: 'my work',
                startTimeUnixNano: timeUnixNano,
                endTimeUnixNano: timeUnixNano,
              },
            ],
          },
        ],
      },
    ],
  },
  metrics: {
    resourceMetrics: [
      {
        resource: { attributes },
        scopeMetrics: [{ metrics: [{ name: 'my.jobs', gauge: { dataPoints: [{ timeUnixNano, asInt: '7' }] } }] }],
      },
    ],
  },
  logs: {
    resourceLogs: [
      { resource: { attributes }, scopeLogs: [{ logRecords: [{ timeUnixNano, body: { stringValue: 'my line' } }] }] },
    ],
  },
};

/** All that the routes tell of whom. */
async function told() {
  const get = (path: string, query: Record<string, string> = {}) => getJson(running.http, path, query);
  const { services } = (await get('/api/v1/services')) as { services: { name: string; signals: string[] }[] };
  const { traces } = (await get('/api/v1/traces')) as { traces: { traceId: string }[] };
  const { logs } = (await get('/api/v1/logs')) as { logs: { body: string }[] };
  const { fields } = (await get('/api/v1/logs/fields')) as { fields: { name: string }[] };
  const { metrics } = (await get('/api/v1/metrics')) as { metrics: { name: string }[] };
  return {
    services: services.map(({ name, signals }) => `${name}: ${signals.join(', ')}`),
    traces: traces.map((trace) => trace.traceId),
    logs: logs.map(({ body }) => body),
    marks: fields.filter(({ name }) => name.includes('demo')).map(({ name }) => name),
    metrics: metrics.map(({ name }) => name),
  };
}

it('demo --clear removes what the demo sent and leaves the rest, also after kill -9', async () => {
  const demo = await run('demo', '--once', '--json');
  expect(demo.code, demo.stderr).toBe(0);
  const { traces, metrics, logs } = JSON.parse(demo.stdout);
  for (const [signal, body] of Object.entries(mine)) {
    const answer = await fetch(`${running.otlpHttp}/v1/${signal}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(answer.status).toBe(200);
  }
  // At once: what was acknowledged goes, whether it is in the store yet or not.
  const clear = await run('demo', '--clear', '--json');
  expect([clear.code, clear.stderr]).toEqual([0, '']);
  expect(JSON.parse(clear.stdout)).toEqual({ erased: { traces, metrics, logs }, left: [] });

  const left = {
    services: ['mine: traces, metrics, logs'],
    traces: [traceId],
    logs: ['my line'],
    marks: [],
    metrics: ['my_jobs'],
  };
  expect(await told()).toEqual(left);

  await running.stop('SIGKILL');
  running = await startProcess({ dataDir: folder.path });
  await eventually(told, (answer) => answer.services.length > 0);
  expect(await told()).toEqual(left);
  // Nothing that was on its way comes late.
  const again = await run('demo', '--clear');
  expect(again.stderr + again.stdout).toContain('Removed what demos had sent: 0 spans, 0 data points, 0 log records.');
  expect(await told()).toEqual(left);
});

it('says so where there is no embedded store', async () => {
  await using other = await temporaryFolder();
  const env = {
    WATCHINGCAT_EMBEDDED: 'off',
    WATCHINGCAT_FORWARD_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    WATCHINGCAT_JAEGER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: 'http://127.0.0.1:1/api/v1/write',
    WATCHINGCAT_ELASTICSEARCH_URL: 'http://127.0.0.1:1',
  };
  const without = await startProcess({ dataDir: other.path, env });
  try {
    const { code, stderr } = await runCommand(['demo', '--clear', '--endpoint', without.http]);
    expect(code).toBe(1);
    expect(stderr).toContain('WATCHINGCAT_EMBEDDED');
    for (const said of [
      'otlp: removed where it was forwarded to',
      'jaeger: Jaeger removes no single traces',
      `elasticsearch: curl -X POST '<Elasticsearch>/watchingcat-logs-*/_delete_by_query'`,
      `delete_series?match[]={k8s_cluster_name="watchingcat-demo"}'`,
    ]) {
      expect(stderr).toContain(said);
    }
  } finally {
    await without.stop('SIGKILL');
  }
});
