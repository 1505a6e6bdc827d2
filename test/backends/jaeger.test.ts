import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startJaeger, startPrometheus } from '../kit/backends.ts';
import { eventually, getJson, type Running, runCommand, startProcess, temporaryFolder } from '../kit/process.ts';
import { exportRecord, storedTimes } from '../kit/records.ts';

// The whole process with a real Jaeger.

interface Service {
  readonly name: string;
  readonly spanCount: number | null;
  readonly errorCount: number | null;
  readonly durationNanos: object | null;
}
interface Health {
  readonly status: string;
  readonly destinations: Record<string, { status: string; lagSeconds: number; lastError: string | null }>;
}

/** A folder, and what starts the process over it; whatever runs at the end is ended. */
async function world(env: Record<string, string>) {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  return {
    async start(more: Record<string, string> = {}): Promise<Running> {
      const running = await startProcess({ dataDir: join(folder.path, 'data'), env: { ...env, ...more } });
      stack.defer(async () => void (await running.stop('SIGKILL')));
      return running;
    },
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}

async function services(running: Running): Promise<{ services: Service[]; warnings?: string[] }> {
  return (await getJson(running.http, '/api/v1/services')) as { services: Service[]; warnings?: string[] };
}

const spansIn = (list: readonly Service[]) => list.reduce((sum, { spanCount }) => sum + (spanCount ?? 0), 0);

it('what the demo sends is in Jaeger, found by the query language, and counted', async () => {
  await using jaeger = await startJaeger();
  await using at = await world({
    WATCHINGCAT_JAEGER_OTLP_ENDPOINT: jaeger.otlpEndpoint,
    WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
  });
  const running = await at.start();
  const args = ['demo', '--once', '--json', '--backfill', '10m', '--endpoint', running.http];
  const demo = await runCommand(args);
  expect([demo.code, demo.stderr]).toMatchObject([0, expect.anything()]);
  const sent = JSON.parse(demo.stdout) as { traces: number };

  const query = 'status=error AND http.response.status_code>=500';
  const search = async () =>
    (await getJson(running.http, '/api/v1/traces', { query, limit: '200' })) as {
      traces: { traceId: string; spanCount: number; errorCount: number; services: string[] }[];
      incomplete?: true;
    };
  const health = () => getJson(running.http, '/health') as Promise<Health>;
  await eventually(health, ({ destinations }) => destinations['jaeger']?.lagSeconds === 0);
  const found = await eventually(search, ({ traces }) => traces.length > 0);
  expect(found.incomplete).toBeUndefined();
  for (const { traceId, spanCount, services: names } of found.traces.slice(0, 5)) {
    // Jaeger's own answer has the same spans.
    const own = (await getJson(jaeger.queryUrl, `/api/v3/traces/${traceId}`)) as {
      result: { resourceSpans: { resource: object; scopeSpans: { spans: { status?: { code?: number } }[] }[] }[] };
    };
    const spans = own.result.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((each) => each.spans));
    expect(spans.length).toBe(spanCount);
    expect(spans.some(({ status }) => status?.code === 2)).toBe(true);
    expect(names.length).toBeGreaterThan(1);
  }

  // Names at once, counts with the first span metrics.
  const early = await services(running);
  expect(early.services.length).toBeGreaterThan(3);
  const counted = await eventually(
    () => services(running),
    ({ services: list }) => spansIn(list) >= sent.traces,
    40_000,
  );
  expect(spansIn(counted.services)).toBe(sent.traces);
  expect(counted.warnings).toBeUndefined();
  expect(counted.services.every(({ durationNanos }) => durationNanos !== null)).toBe(true);
  expect(counted.services.some(({ errorCount }) => (errorCount ?? 0) > 0)).toBe(true);
  const jaegers = (await getJson(jaeger.queryUrl, '/api/v3/services')) as { services: string[] };
  expect(counted.services.map(({ name }) => name).sort()).toEqual(jaegers.services.sort());
  const { operations } = (await getJson(running.http, '/api/v1/services/checkout/operations')) as {
    operations: Service[];
  };
  expect(spansIn(operations)).toBe(counted.services.find(({ name }) => name === 'checkout')!.spanCount);
  expect((await running.stop()).code).toBe(0);
});

it('with metrics in Prometheus, spans are counted there, and each service is one', async () => {
  await using jaeger = await startJaeger();
  await using prometheus = await startPrometheus();
  await using at = await world({
    WATCHINGCAT_JAEGER_OTLP_ENDPOINT: jaeger.otlpEndpoint,
    WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
    WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: prometheus.remoteWriteUrl,
    WATCHINGCAT_PROMETHEUS_QUERY_URL: prometheus.url,
  });
  const running = await at.start();
  const id = await exportRecord(running, 'traces', 'grpc');
  for (let more = 0; more < 4; more++) await exportRecord(running, 'traces', 'grpc');
  const counted = await eventually(
    () => services(running),
    ({ services: list }) => spansIn(list) >= 5,
    60_000,
  );
  expect(counted.services).toMatchObject([{ name: 'process-test', signals: ['traces'], spanCount: 5, errorCount: 0 }]);
  expect(counted.services[0]!.durationNanos).not.toBeNull();
  const query = 'sum by (service_name, span_name, span_kind) (traces_spanmetrics_calls_total)';
  const own = (await getJson(prometheus.url, '/api/v1/query', { query })) as {
    data: { result: { metric: object; value: [number, string] }[] };
  };
  expect(own.data.result).toMatchObject([
    {
      metric: { service_name: 'process-test', span_name: 'test', span_kind: 'SPAN_KIND_SERVER' },
      value: [expect.anything(), '5'],
    },
  ]);
  expect(await storedTimes(running, 'traces', id)).toBe(1);
});

it('each span is counted once over kill -9, at whatever moment', async () => {
  await using jaeger = await startJaeger();
  await using at = await world({
    WATCHINGCAT_JAEGER_OTLP_ENDPOINT: jaeger.otlpEndpoint,
    WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
  });
  const ids: string[] = [];
  let running = await at.start();
  for (let round = 0; round < 4; round++) {
    // Killed before the counts were ever on disk, and twice after.
    const untilMs = performance.now() + round * 6_000;
    do ids.push(await exportRecord(running, 'traces', 'grpc'));
    while (performance.now() < untilMs && ids.length < 2_000);
    if (performance.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, untilMs - performance.now()));
    if (round === 3) break;
    await running.stop('SIGKILL');
    running = await at.start();
  }
  const counted = await eventually(
    () => services(running),
    ({ services: list }) => spansIn(list) >= ids.length,
    40_000,
  );
  expect(spansIn(counted.services)).toBe(ids.length);
  for (const id of [ids[0]!, ids.at(-1)!]) {
    await eventually(
      () => storedTimes(running, 'traces', id),
      (times) => times === 1,
    );
  }
});

it('A10: while Jaeger is down everything is taken, and said; what waited is delivered when it is back', async () => {
  await using jaeger = await startJaeger();
  await using at = await world({
    WATCHINGCAT_JAEGER_OTLP_ENDPOINT: jaeger.otlpEndpoint,
    WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
  });
  let running = await at.start();
  await exportRecord(running, 'traces', 'grpc');
  await jaeger.stop();
  const waiting = [await exportRecord(running, 'traces', 'grpc'), await exportRecord(running, 'traces', 'http/json')];
  const health = () => getJson(running.http, '/health') as Promise<Health>;
  const down = await eventually(health, ({ status }) => status === 'degraded', 60_000);
  expect(down.destinations['jaeger']).toMatchObject({ lastError: expect.stringMatching(/ECONN/) });
  const asked = await fetch(`${running.http}/api/v1/traces`);
  expect([asked.status, asked.headers.has('retry-after')]).toEqual([503, true]);
  expect(await asked.text()).toContain('Jaeger does not answer');
  // A restart of ours meanwhile changes nothing.
  await running.stop('SIGKILL');
  running = await at.start();
  waiting.push(await exportRecord(running, 'traces', 'http/protobuf'));
  await jaeger.start();
  for (const id of waiting) {
    await eventually(
      () => storedTimes(running, 'traces', id),
      (times) => times === 1,
      60_000,
    );
  }
  await eventually(health, ({ status, destinations }) => status === 'ok' && destinations['jaeger']?.lastError === null);
});

it('A14: a Jaeger that stands still is noticed, and gets everything once when it goes on', async () => {
  await using jaeger = await startJaeger();
  await using at = await world({
    WATCHINGCAT_JAEGER_OTLP_ENDPOINT: jaeger.otlpEndpoint,
    WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
  });
  const running = await at.start();
  const ids = [await exportRecord(running, 'traces', 'grpc')];
  await eventually(
    () => storedTimes(running, 'traces', ids[0]!),
    (times) => times === 1,
  );
  jaeger.signal('SIGSTOP');
  ids.push(await exportRecord(running, 'traces', 'grpc'));
  const health = () => getJson(running.http, '/health') as Promise<Health>;
  await eventually(health, ({ destinations }) => destinations['jaeger']?.lastError !== null, 60_000);
  ids.push(await exportRecord(running, 'traces', 'grpc'));
  jaeger.signal('SIGCONT');
  for (const id of ids) {
    await eventually(
      () => storedTimes(running, 'traces', id),
      (times) => times === 1,
      60_000,
    );
  }
});
