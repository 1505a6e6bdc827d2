import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attributes } from '../../src/cli/otlp/json.ts';
import { audit, settled } from '../faults/audit.ts';
import { choosePorts, Load, portVariables } from '../faults/driver.ts';
import { Ledger } from '../faults/ledger.ts';
import { startAuthProxy } from '../kit/auth-proxy.ts';
import { startElasticsearch, startJaeger, startPrometheus } from '../kit/backends.ts';
import { selfSigned } from '../kit/certificate.ts';
import {
  type GrpcProxy,
  type HttpProxy,
  startGrpcProxy,
  startHttpProxy,
  startTcpProxy,
  type TcpProxy,
} from '../kit/fault-proxy.ts';
import { eventually, getJson, type Running, runCommand, startProcess, temporaryFolder } from '../kit/process.ts';
import { randomFrom } from '../kit/random.ts';
import { exportRecord, isStored, storedTimes } from '../kit/records.ts';

// What is the same for every destination: the whole process under load of all three signals, the real stores behind proxies,
// and the ledger rule at the end. Each store's own faults are beside this file.

const parts = new AsyncDisposableStack();
let jaeger: Awaited<ReturnType<typeof startJaeger>>;
let prometheus: Awaited<ReturnType<typeof startPrometheus>>;
let elasticsearch: Awaited<ReturnType<typeof startElasticsearch>>;
beforeAll(async () => {
  jaeger = parts.use(await startJaeger());
  prometheus = parts.use(await startPrometheus());
  elasticsearch = parts.use(await startElasticsearch());
});
afterAll(() => parts.disposeAsync());

const names = ['jaeger', 'prometheus', 'elasticsearch'] as const;
type Name = (typeof names)[number];

interface Health {
  readonly status: string;
  readonly destinations: Readonly<
    Record<
      string,
      {
        readonly status: string;
        readonly lagSeconds: number;
        readonly pendingBytes: number;
        readonly lastError: string | null;
      }
    >
  >;
}
const health = async (running: Running) => (await getJson(running.http, '/health')) as Health;

describe('under load of all signals', () => {
  const own = new AsyncDisposableStack();
  /** Connections are spoilt by these, single requests by the ones behind. */
  const tcp = {} as Record<Name, TcpProxy>;
  const http = {} as Record<'prometheus' | 'elasticsearch', HttpProxy>;
  let grpc: GrpcProxy;
  let options: Parameters<typeof startProcess>[0];
  let running: Running;
  let ledger: Ledger;
  let ports: Awaited<ReturnType<typeof choosePorts>>;
  let round = 0;

  beforeAll(async () => {
    const folder = own.use(await temporaryFolder());
    grpc = own.use(await startGrpcProxy(jaeger.otlpEndpoint));
    http.prometheus = own.use(await startHttpProxy(prometheus.url));
    http.elasticsearch = own.use(await startHttpProxy(elasticsearch.url));
    tcp.jaeger = own.use(await startTcpProxy(Number(new URL(grpc.endpoint).port)));
    tcp.prometheus = own.use(await startTcpProxy(http.prometheus.port));
    tcp.elasticsearch = own.use(await startTcpProxy(http.elasticsearch.port));
    ports = await choosePorts();
    const at = (name: Name) => `http://127.0.0.1:${tcp[name].port}`;
    options = {
      dataDir: join(folder.path, 'data'),
      env: {
        ...portVariables(ports),
        WATCHINGCAT_JAEGER_OTLP_ENDPOINT: at('jaeger'),
        WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
        WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: `${at('prometheus')}/api/v1/write`,
        WATCHINGCAT_PROMETHEUS_QUERY_URL: prometheus.url,
        WATCHINGCAT_ELASTICSEARCH_URL: at('elasticsearch'),
      },
    };
    running = await startProcess(options);
    own.defer(async () => void (await running.stop('SIGKILL')));
    ledger = new Ledger(join(folder.path, 'ledger'));
    own.defer(() => ledger.close());
  });
  afterAll(() => own.disposeAsync());

  /** Sends for so long. What was acknowledged is in the ledger. */
  async function loaded(ms: number): Promise<void> {
    await using load = new Load(ledger, ports, randomFrom(round), round++);
    await sleep(ms);
    await load.stop();
    expect(load.unexpected).toEqual([]);
  }

  /** Spoils, waits until each destination has told so, heals, and waits until each is well and has everything. */
  async function spoilt(spoil: () => void, heal: () => void, forMs = 0): Promise<void> {
    await loaded(500);
    spoil();
    await loaded(1_500);
    await eventually(
      () => health(running),
      ({ destinations }) => names.every((name) => destinations[name]?.lastError !== null),
      45_000,
    );
    await sleep(forMs);
    heal();
    await eventually(
      () => health(running),
      ({ destinations }) => names.every((name) => destinations[name]?.lastError === null),
      60_000,
    );
  }
  const eachTcp = (set: (proxy: TcpProxy) => void) => () => {
    for (const name of names) set(tcp[name]);
  };
  const whole = eachTcp((proxy) => proxy.set({ kind: 'none' }));

  // `OUTAGE_SECONDS=600` makes it what a bad night is.
  const outageMs = Number(process.env['OUTAGE_SECONDS'] ?? 1.5) * 1_000;
  it(
    'A10 all are away for a while: health is degraded, and says who and why; then the backlog drains',
    async () => {
      eachTcp((proxy) => proxy.set({ kind: 'refuse' }))();
      await loaded(outageMs);
      const told = await eventually(
        () => health(running),
        ({ status, destinations }) =>
          status === 'degraded' && names.every((name) => destinations[name]?.status === 'unavailable'),
        45_000,
      );
      for (const name of names) {
        expect(told.destinations[name]).toMatchObject({ lastError: expect.stringMatching(/\w/) });
        expect(told.destinations[name]!.pendingBytes).toBeGreaterThan(0);
        expect(told.destinations[name]!.lagSeconds).toBeGreaterThan(0);
      }
      whole();
      await eventually(
        () => health(running),
        ({ destinations }) => names.every((name) => destinations[name]?.status === 'ok'),
        60_000 + outageMs,
      );
    },
    outageMs + 180_000,
  );

  it('A13 connections are reset in the middle of requests', () =>
    spoilt(
      eachTcp((proxy) => proxy.set({ kind: 'reset', direction: 'forth', afterBytes: 300 })),
      whole,
    ));

  it('A13 connections are reset after the store has it, before it says so', () =>
    spoilt(
      eachTcp((proxy) => {
        proxy.drop('reset');
        proxy.set({ kind: 'reset', direction: 'back', afterBytes: 60 });
      }),
      whole,
    ));

  it('A14 half-open: nothing is answered and nothing closed; then a NAT forgets the connections', () =>
    spoilt(
      eachTcp((proxy) => proxy.set({ kind: 'blackhole' })),
      eachTcp((proxy) => {
        proxy.drop('silent');
        proxy.set({ kind: 'none' });
      }),
    ));

  it('A12 told to come again in two seconds: comes no sooner, and not all at once', async () => {
    const before = {
      http: http.elasticsearch.requests.length,
      write: http.prometheus.requests.length,
      grpc: grpc.calls.length,
    };
    const from = performance.now();
    await spoilt(
      () => {
        const busy = { kind: 'answer', status: 429, headers: { 'retry-after': '2' }, body: 'slow down' } as const;
        http.elasticsearch.spoil(Number.POSITIVE_INFINITY, busy);
        http.prometheus.spoil(Number.POSITIVE_INFINITY, busy);
        grpc.spoil(Number.POSITIVE_INFINITY, { kind: 'status', code: 14, message: 'slow down', retryAfterMs: 2_000 });
      },
      () => {
        http.elasticsearch.heal();
        http.prometheus.heal();
        grpc.heal();
      },
      6_000,
    );
    const seconds = (performance.now() - from) / 1000;
    // From half a second before it began, when all was well, to its end.
    const during = (atMs: number) => atMs > from + 700 && atMs < from + 6_700;
    const counts = [
      http.elasticsearch.requests.slice(before.http).filter(({ atMs }) => during(atMs)).length,
      http.prometheus.requests.slice(before.write).filter(({ atMs }) => during(atMs)).length,
      grpc.calls.slice(before.grpc).filter(({ atMs }) => during(atMs)).length,
    ];
    // What was in flight when it began, then one attempt every two seconds (a shard each at Prometheus).
    for (const count of counts) expect(count).toBeLessThan(30);
    expect(seconds).toBeGreaterThan(6);
  });

  it('A13 errors, empty answers and endless ones', async () => {
    const kinds = [
      { kind: 'answer', status: 500, body: 'no' },
      { kind: 'answer', status: 502, body: '' },
      { kind: 'cutAnswer', afterBytes: 1 },
      { kind: 'pad', bytes: 100 << 20 },
    ] as const;
    for (const kind of kinds) {
      for (const proxy of [http.prometheus, http.elasticsearch]) proxy.spoil(2, kind);
      grpc.spoil(2, { kind: 'loseAnswer' });
      await loaded(1_000);
    }
    for (const proxy of [http.prometheus, http.elasticsearch]) proxy.heal();
    await eventually(
      () => health(running),
      ({ destinations }) => names.every((name) => destinations[name]?.lastError === null),
      60_000,
    );
  });

  it.each(names)('A11 %s stands still: the others go on', async (name) => {
    tcp[name].set({ kind: 'blackhole' });
    const others = { jaeger: 'traces', prometheus: 'metrics', elasticsearch: 'logs' } as const;
    for (const other of names) {
      if (other === name) continue;
      const id = await exportRecord(running, others[other], 'grpc');
      await eventually(() => isStored(running, others[other], id), Boolean, 20_000);
    }
    tcp[name].drop('reset');
    tcp[name].set({ kind: 'none' });
    await eventually(
      () => health(running),
      ({ destinations }) => destinations[name]?.lastError === null,
      60_000,
    );
  });

  it('A20 stops well while all stand still, and goes on where it was when it starts again', async () => {
    eachTcp((proxy) => proxy.set({ kind: 'blackhole' }))();
    await loaded(1_000);
    expect(await running.stop()).toMatchObject({ code: 0, signal: null });
    eachTcp((proxy) => {
      proxy.drop('reset');
      proxy.set({ kind: 'none' });
    })();
    running = await startProcess(options);
  });

  it(
    'and after all that everything that was acknowledged is there, once',
    async () => {
      await eventually(() => settled(running.http), Boolean, 60_000 + outageMs);
      const result = await eventually(
        () => audit(running.http, ledger),
        ({ lost }) => lost.length === 0,
        20_000,
      ).catch(() => audit(running.http, ledger));
      console.log(`${result.sent} records sent, ${result.acknowledged} acknowledged, ${result.lost.length} lost`);
      expect({ lost: result.lost, phantom: result.phantom, duplicates: result.duplicates }).toEqual({
        lost: [],
        phantom: [],
        duplicates: [],
      });
      const letters = (await getJson(running.http, '/api/v1/pipeline/dead-letters')) as { total: number };
      expect(letters.total).toBe(0);
    },
    180_000 + outageMs,
  );
});

it('A19 wrong credentials hold everything back and tell so; SIGHUP brings the right ones', async () => {
  await using folder = await temporaryFolder();
  const { cert, key } = selfSigned();
  const demands = () => ({ authorization: 'Bearer right', 'x-scope-orgid': 'team' });
  await using jaegerDoor = await startAuthProxy({ target: jaeger.otlpEndpoint, cert, key, demands });
  await using prometheusDoor = await startAuthProxy({ target: prometheus.url, cert, key, demands });
  await using elasticsearchDoor = await startAuthProxy({ target: elasticsearch.url, cert, key, demands });
  const ca = join(folder.path, 'ca.pem');
  await writeFile(ca, cert);
  const config = join(folder.path, 'watchingcat.yaml');
  const configured = (token: string) => {
    const access = { bearerToken: token, headers: { 'x-scope-orgid': 'team' }, tls: { caFile: ca } };
    return writeFile(
      config,
      // JSON is YAML.
      JSON.stringify({
        jaeger: { otlpEndpoint: jaegerDoor.url, ...access },
        prometheus: { remoteWriteUrl: `${prometheusDoor.url}/api/v1/write`, ...access },
        elasticsearch: { url: elasticsearchDoor.url, ...access },
      }),
    );
  };
  await configured('wrong');
  const running = await startProcess({ dataDir: join(folder.path, 'data'), flags: ['--config', config] });
  // Who asks the stores without a door before them.
  const reader = await startProcess({
    dataDir: join(folder.path, 'reader'),
    env: {
      WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
      WATCHINGCAT_PROMETHEUS_QUERY_URL: prometheus.url,
      WATCHINGCAT_ELASTICSEARCH_URL: elasticsearch.url,
    },
  });
  try {
    const ids = {
      traces: await exportRecord(running, 'traces', 'grpc'),
      metrics: await exportRecord(running, 'metrics', 'grpc'),
      logs: await exportRecord(running, 'logs', 'grpc'),
    };
    const held = await eventually(
      () => health(running),
      ({ destinations }) => names.every((name) => destinations[name]?.lastError !== null),
      30_000,
    );
    expect(JSON.stringify(held)).not.toContain('wrong');
    for (const name of names) expect(held.destinations[name]!.pendingBytes).toBeGreaterThan(0);
    await configured('right');
    process.kill(running.pid, 'SIGHUP');
    for (const signal of ['traces', 'metrics', 'logs'] as const) {
      await eventually(
        () => storedTimes(reader, signal, ids[signal]).catch(() => 0),
        (times) => times === 1,
        45_000,
      );
    }
    expect(running.output()).toContain('"destinations":["jaeger","prometheus","elasticsearch"]');
    const letters = (await getJson(running.http, '/api/v1/pipeline/dead-letters')) as { total: number };
    expect(letters.total).toBe(0);
    expect(running.output()).not.toMatch(/Bearer|"right"/);
  } finally {
    await running.stop('SIGKILL');
    await reader.stop('SIGKILL');
  }
});

it('dead letters are replayed once what refused them takes them: each record is there once, and the letters are gone', async () => {
  await using folder = await temporaryFolder();
  const config = join(folder.path, 'prometheus.yml');
  await writeFile(config, 'storage: {tsdb: {out_of_order_time_window: 0s}}\n');
  await using own = await startPrometheus({ config });
  const running = await startProcess({
    dataDir: join(folder.path, 'data'),
    env: { WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: own.remoteWriteUrl, WATCHINGCAT_PROMETHEUS_QUERY_URL: own.url },
  });
  const run = (...args: string[]) => runCommand(args, { env: { WATCHINGCAT_ENDPOINT: running.http } });
  try {
    const nowMs = Date.now();
    const send = async (points: readonly { key: string; agoMs: number }[]) => {
      const dataPoints = points.map(({ key, agoMs }) => ({
        attributes: attributes({ key }),
        timeUnixNano: `${BigInt(nowMs - agoMs) * 1_000_000n}`,
        asDouble: agoMs,
      }));
      const metrics = [{ name: 'replayed', gauge: { dataPoints } }];
      const resource = { attributes: attributes({ 'service.name': 'replay' }) };
      const answer = await fetch(`${running.otlpHttp}/v1/metrics`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ resourceMetrics: [{ resource, scopeMetrics: [{ metrics }] }] }),
      });
      expect(answer.status).toBe(200);
    };
    const samples = async () => {
      const answer = await fetch(
        `${own.url}/api/v1/query?query=${encodeURIComponent('replayed[1d]')}&time=${nowMs / 1000 + 1}`,
      );
      const { data } = (await answer.json()) as {
        data: { result: { metric: { key: string }; values: [number, string][] }[] };
      };
      return data.result.flatMap(({ metric, values }) => values.map(([, value]) => `${metric.key} ${value}`)).sort();
    };
    await send([{ key: 'a', agoMs: 0 }]);
    await eventually(samples, (found) => found.length === 1);
    // Of this request one is taken, and two are too late for a Prometheus without a window.
    await send([
      { key: 'b', agoMs: 0 },
      { key: 'a', agoMs: 60_000 },
      { key: 'a', agoMs: 120_000 },
    ]);
    const total = async () =>
      ((await getJson(running.http, '/api/v1/pipeline/dead-letters')) as { total: number }).total;
    await eventually(total, (letters) => letters === 1);
    const refused = await run('dead-letters', 'replay');
    expect(refused).toMatchObject({ code: 1, stdout: expect.stringContaining('refused again') });
    expect(await total()).toBe(1);

    await own.stop();
    const away = await run('dead-letters', 'replay');
    expect(away).toMatchObject({ code: 1, stdout: expect.stringContaining('not now') });
    await writeFile(config, 'storage: {tsdb: {out_of_order_time_window: 1d}}\n');
    await own.start();
    await eventually(
      () => run('dead-letters', 'replay'),
      ({ code }) => code === 0,
    );
    expect(await total()).toBe(0);
    expect(await samples()).toEqual(['a 0', 'a 120000', 'a 60000', 'b 0']);
    // Asked again there is nothing to do.
    expect((await run('dead-letters', 'replay')).stderr).toContain('0 replayed, 0 stay');
  } finally {
    await running.stop('SIGKILL');
  }
});
