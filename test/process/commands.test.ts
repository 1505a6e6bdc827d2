import { beforeAll, describe, expect, it } from 'vitest';
import { eventually, getJson, runCommand } from '../kit/process.ts';
import { sharedProcess } from '../kit/shared-process.ts';

// The commands against a real instance that holds the demo's story.

const running = sharedProcess();
const run = (...args: string[]) => runCommand(args, { env: { WATCHINGCAT_ENDPOINT: running.http } });

beforeAll(async () => {
  const demo = await run('demo', '--once', '--json');
  expect(demo.code, demo.stderr).toBe(0);
  const sent = JSON.parse(demo.stdout) as { traces: number; metrics: number; logs: number; rejected: number };
  expect(sent.rejected).toBe(0);
  // The last of it is queryable when everything is.
  await eventually(
    async () => (await getJson(running.http, '/api/v1/services')) as { services: { spanCount: number }[] },
    ({ services }) => services.reduce((sum, { spanCount }) => sum + spanCount, 0) >= sent.traces,
  );
});

describe('what a new user is told to try after the demo', () => {
  it('lists failing requests, shows one, and its logs', async () => {
    const query = 'status=error AND http.response.status_code>=500';
    const { traces } = (await getJson(running.http, '/api/v1/traces', { query })) as {
      traces: { traceId: string; errorCount: number; rootName: string }[];
    };
    expect(traces.length).toBeGreaterThan(10);
    for (const { errorCount, rootName } of traces) {
      expect(errorCount).toBeGreaterThan(0);
      expect(rootName).toBe('POST /checkout');
    }
    const { traceId } = traces[0]!;
    const trace = (await getJson(running.http, `/api/v1/traces/${traceId}`)) as { resourceSpans: unknown[] };
    expect(trace.resourceSpans.length).toBeGreaterThan(3);
    const { logs } = (await getJson(running.http, `/api/v1/traces/${traceId}/logs`)) as { logs: { traceId: string }[] };
    expect(logs.length).toBeGreaterThan(1);
    for (const log of logs) expect(log.traceId).toBe(traceId);
  });

  it('finds lines', async () => {
    const { logs } = (await getJson(running.http, '/api/v1/logs', { query: '"payment declined"' })) as {
      logs: { body: string }[];
    };
    expect(logs.length).toBeGreaterThan(10);
    for (const { body } of logs) expect(body).toContain('payment declined');
  });

  it('names the metrics and plots one', async () => {
    const { metrics } = (await getJson(running.http, '/api/v1/metrics')) as {
      metrics: { name: string; type: string }[];
    };
    expect(metrics).toContainEqual(
      expect.objectContaining({ name: 'http_server_request_duration_seconds', type: 'histogram' }),
    );
    const { data } = (await getJson(running.http, '/api/v1/metrics/query_range', {
      query: 'sum by (service_name) (rate(http_server_request_duration_seconds_count[5m]))',
      start: 'now-25m',
      step: '60s',
    })) as { data: { result: { metric: { service_name: string }; values: [number, string][] }[] } };
    expect(data.result.map(({ metric }) => metric.service_name).sort()).toEqual([
      'cart',
      'catalog',
      'checkout',
      'fraud-check',
      'payment',
      'storefront',
    ]);
    for (const { values } of data.result) expect(values.some(([, value]) => Number(value) > 0)).toBe(true);
  });
});

describe('readers', () => {
  it('services: a table with every service', async () => {
    const { code, stdout } = await run('services');
    expect(code).toBe(0);
    for (const name of ['storefront', 'catalog', 'cart', 'checkout', 'payment', 'fraud-check'])
      expect(stdout).toContain(name);
    expect(stdout).not.toContain('\u001b');
  });

  it('services --namespace: only those', async () => {
    // Kubernetes events may count as a service without a name.
    const { services } = JSON.parse((await run('services', '--namespace', 'payments', '--json')).stdout) as {
      services: { name: string }[];
    };
    const names = services.map(({ name }) => name).filter((name) => name !== '');
    expect(names.sort()).toEqual(['fraud-check', 'payment']);
  });

  it('traces: search, then one as a waterfall, as OTLP, as CSV', async () => {
    const { traces } = JSON.parse((await run('traces', 'status=error', '--limit', '3', '-o', 'json')).stdout);
    expect(traces).toHaveLength(3);
    const { traceId, spanCount } = traces[0];
    const waterfall = await run('traces', traceId);
    expect(waterfall.stdout).toMatch(/^storefront: (GET|POST) \//m);
    expect(waterfall.stdout.trim().split('\n')).toHaveLength(spanCount + 1);
    expect(JSON.parse((await run('traces', traceId, '--json')).stdout).resourceSpans).toBeDefined();
    expect((await run('traces', traceId, '-o', 'csv')).stdout.trim().split('\n')).toHaveLength(spanCount + 1);
  });

  it('traces: more than one page', async () => {
    const { stdout } = await run('traces', '--limit', '1500', '-o', 'ndjson');
    const ids = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).traceId);
    expect(ids).toHaveLength(1500);
    expect(new Set(ids).size).toBe(1500);
  });

  it('traces: an unknown id is a problem', async () => {
    const { code, stdout, stderr } = await run('traces', 'f'.repeat(32));
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('404');
  });

  it('logs: as CSV, of one service', async () => {
    const { stdout } = await run('logs', '"payment declined"', '--service', 'payment', '--limit', '5', '-o', 'csv');
    const [header, ...lines] = stdout.trim().split('\n');
    expect(header).toBe('time,severity,service,trace,body');
    expect(lines).toHaveLength(5);
    for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z,(WARN|ERROR),payment,[0-9a-f]{32},/);
  });

  it('logs: a query that cannot be read is wrong usage', async () => {
    const { code, stderr } = await run('logs', '"payment');
    expect(code).toBe(2);
    expect(stderr).toContain('expected closing "');
  });

  it('metrics, events', async () => {
    expect((await run('metrics', 'revenue')).stdout).toContain('shop_revenue');
    const { events } = JSON.parse((await run('events', '--json')).stdout);
    const reasons = events.map(
      ({ attributes }: { attributes: { [key: string]: string } }) => attributes['k8s.event.reason'],
    );
    expect(reasons).toContain('OOMKilling');
    expect((await run('events', '--namespace', 'payments')).stdout).toContain('Deployment/fraud-check');
  });

  it('query: at one time, over a range', async () => {
    const instant = JSON.parse((await run('query', 'sum(shop_orders_total)', '--json')).stdout);
    expect(instant.data.resultType).toBe('vector');
    const range = await run(
      'query',
      'sum by (service_name) (rate(http_server_request_duration_seconds_count[5m]))',
      '--since',
      '20m',
      '--step',
      '1m',
    );
    expect(range.stdout).toMatch(/LAST +MIN +MAX +POINTS/);
    expect(range.stdout).toContain('{service_name="checkout"}');
    expect((await run('query', 'quantile_over_time(')).code).toBe(2);
  });

  it('tail: what is there, then ends at its limit', async () => {
    const { code, stdout } = await run('tail', 'severity>=warn', '--since', '30m', '--limit', '40', '-o', 'ndjson');
    expect(code).toBe(0);
    const logs = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(logs).toHaveLength(40);
    const times = logs.map(({ timeUnixNano }) => BigInt(timeUnixNano));
    expect(times).toEqual(times.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
    expect(new Set(logs.map(({ id }) => id)).size).toBe(40);
  });

  it('tail: goes on behind more records of one moment than a page holds', async () => {
    const time = `${Date.now()}000000`;
    const record = (i: number) => ({ timeUnixNano: time, body: { stringValue: `tail-burst ${i}` } });
    const logRecords = Array.from({ length: 2500 }, (_, i) => record(i));
    const sent = await fetch(`${running.otlpHttp}/v1/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] }),
    });
    expect(sent.status).toBe(200);
    const { code, stdout } = await run('tail', 'tail-burst', '--since', '5m', '--limit', '2500', '-o', 'ndjson');
    expect(code).toBe(0);
    const bodies = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).body as string);
    expect(new Set(bodies).size).toBe(2500);
    expect(bodies).toHaveLength(2500);
  });

  it('is quiet when told so', async () => {
    const { code, stdout, stderr } = await run('logs', 'no-such-word-anywhere', '--quiet');
    expect({ code, stdout: stdout.trim(), stderr }).toEqual({
      code: 0,
      stdout: 'TIME  SEVERITY  SERVICE  TRACE  BODY',
      stderr: '',
    });
  });

  it('says so where nobody answers', async () => {
    const { code, stdout, stderr } = await run('services', '--endpoint', '127.0.0.1:1');
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toMatch(/127\.0\.0\.1:1 does not answer/);
  });
});

it('send: all nine come back', async () => {
  const { code, stdout, stderr } = await run('send', '--json');
  expect(code, stderr).toBe(0);
  const { trips } = JSON.parse(stdout) as { trips: { signal: string; protocol: string; problem?: string }[] };
  expect(new Set(trips.map(({ signal, protocol }) => `${signal} ${protocol}`)).size).toBe(9);
  expect(trips.filter(({ problem }) => problem !== undefined)).toEqual([]);
});
