import { join } from 'node:path';
import { uncompressSync } from 'snappy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Prometheus, startPrometheus } from '../kit/backends.ts';
import { type HttpProxy, startHttpProxy, startTcpProxy } from '../kit/fault-proxy.ts';
import { eventually, getJson, type Running, temporaryFolder } from '../kit/process.ts';
import {
  arrives,
  configured,
  drops,
  type Given,
  gauges,
  hourMs,
  ms,
  send,
  start,
  stored,
  withoutWindow,
  withWindow,
} from '../kit/prometheus-points.ts';
import { decodeWrite1, decodeWrite2 } from '../kit/remote-write.ts';
import { attributes } from '../stores/contract/given.ts';

// The whole process with a real Prometheus, and what goes wrong between them. Each data point has a value of its own in a
// series of its own, so that what is there can be held against what was acknowledged: nothing missing, nothing twice.

describe.each(['2.0', '1.0'] as const)('remote write %s', (protocol) => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let prometheus: Prometheus;
  let proxy: HttpProxy;
  let running: Running;
  const env = { WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_PROTOCOL: protocol };

  beforeAll(async () => {
    folder = await temporaryFolder();
    prometheus = await startPrometheus({ config: await configured(folder.path, withWindow) });
    proxy = await startHttpProxy(prometheus.url);
    running = await start(join(folder.path, 'data'), prometheus, env, proxy.url);
  });
  afterAll(async () => {
    await running?.stop('SIGKILL');
    await proxy?.[Symbol.asyncDispose]();
    await prometheus?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  it('every type of metric arrives and is answered from there, PromQL as a whole', async () => {
    const now = Date.now();
    const at = { timeUnixNano: String(BigInt(now) * ms), startTimeUnixNano: String(BigInt(now - 60_000) * ms) };
    await send(running, [
      gauges('type.gauge', [{ key: 'a', value: 1.5, timeMs: now }]),
      {
        name: 'type.counter',
        unit: 'By',
        description: 'Bytes',
        sum: { isMonotonic: true, aggregationTemporality: 2, dataPoints: [{ ...at, asInt: '7' }] },
      },
      {
        name: 'type.delta',
        sum: { isMonotonic: true, aggregationTemporality: 1, dataPoints: [{ ...at, asInt: '3' }] },
      },
      {
        name: 'type.histogram',
        unit: 's',
        histogram: {
          aggregationTemporality: 2,
          dataPoints: [{ ...at, count: '3', sum: 4, bucketCounts: ['1', '1', '1'], explicitBounds: [1, 2] }],
        },
      },
      {
        name: 'type.exponential',
        exponentialHistogram: {
          aggregationTemporality: 2,
          dataPoints: [{ ...at, count: '2', sum: 4, scale: 1, positive: { offset: 0, bucketCounts: ['2'] } }],
        },
      },
      {
        name: 'type.summary',
        summary: { dataPoints: [{ ...at, count: '2', sum: 3, quantileValues: [{ quantile: 0.5, value: 1 }] }] },
      },
    ]);
    // What is measured of a pod by others makes no service of it.
    await send(running, [gauges('k8s.pod.phase', [{ key: 'idle', value: 2, timeMs: now }])], 'idle');
    const query = async (promql: string) => {
      const { data } = (await getJson(running.http, '/api/v1/metrics/query', { query: promql })) as {
        data: { result: { value: [number, string] }[] };
      };
      return data.result.map(({ value }) => value[1]);
    };
    await eventually(
      () => query('type_summary_count'),
      (found) => found.length === 1,
    );
    await eventually(
      () => query('k8s_pod_phase{service_name="idle"}'),
      (found) => found.length === 1,
    );
    expect(await query('type_gauge')).toEqual(['1.5']);
    expect(await query('type_counter_bytes_total')).toEqual(['7']);
    expect(await query('type_delta_total')).toEqual(['3']);
    expect(await query('histogram_quantile(0.5, type_histogram_seconds_bucket)')).toEqual(['1.5']);
    expect(await query('histogram_count(type_exponential)')).toEqual(['2']);
    expect(await query('topk(1, type_summary)')).toEqual(['1']);
    const { metrics } = (await getJson(running.http, '/api/v1/metrics')) as { metrics: { name: string }[] };
    expect(metrics.filter(({ name }) => name.startsWith('type_'))).toEqual([
      {
        name: 'type_counter_bytes_total',
        type: 'counter',
        unit: 'By',
        description: 'Bytes',
        seriesCount: 1,
        recorded: false,
      },
      { name: 'type_delta_total', type: 'counter', unit: '', description: '', seriesCount: 1, recorded: false },
      { name: 'type_exponential', type: 'histogram', unit: '', description: '', seriesCount: 1, recorded: false },
      { name: 'type_gauge', type: 'gauge', unit: '', description: '', seriesCount: 1, recorded: false },
      {
        name: 'type_histogram_seconds',
        type: 'histogram',
        unit: 's',
        description: '',
        seriesCount: 1,
        recorded: false,
      },
      { name: 'type_summary', type: 'summary', unit: '', description: '', seriesCount: 1, recorded: false },
    ]);
    const { services } = (await getJson(running.http, '/api/v1/services')) as { services: { name: string }[] };
    expect(services.map(({ name }) => name)).toEqual(['faults']);
  });

  it('requests are as the specification of the version says', () => {
    const writes = proxy.requests.filter(({ path }) => path.endsWith('/write'));
    expect(writes.length).toBeGreaterThan(0);
    for (const { method, headers, body } of writes) {
      expect(method).toBe('POST');
      expect(headers).toMatchObject({
        'content-encoding': 'snappy',
        'content-type':
          protocol === '2.0' ? 'application/x-protobuf;proto=io.prometheus.write.v2.Request' : 'application/x-protobuf',
        'x-prometheus-remote-write-version': protocol === '2.0' ? '2.0.0' : '0.1.0',
        'user-agent': expect.stringMatching(/^watchingcat\/\d/),
      });
      const plain = uncompressSync(body) as Buffer; // block format, not framed
      const two = protocol === '2.0' ? decodeWrite2(plain) : undefined;
      if (two !== undefined) {
        expect(two.symbols[0]).toBe('');
        expect(new Set(two.symbols).size).toBe(two.symbols.length);
      }
      for (const series of two?.series ?? decodeWrite1(plain).series) {
        const names = series.labels.map(([name]) => name);
        expect(names).toContain('__name__');
        expect(names).toEqual([...new Set(names)].sort());
        for (const [name, value] of series.labels) expect([name, value].every((text) => text !== '')).toBe(true);
        expect(series.samples.length > 0).not.toBe(series.histograms.length > 0);
        const times = [...series.samples, ...series.histograms].map(({ timestamp }) => Number(timestamp));
        expect(times).toEqual([...new Set(times)].sort((a, b) => a - b));
      }
    }
  });

  it.each([
    ['no PromQL', 'sum(', 400, 'bad_data'],
    [
      'what it cannot evaluate',
      'type_gauge + on(key) group_left type_gauge + on() type_gauge{a="b"} * (type_gauge / on(key) {__name__=~"type_.*"})',
      422,
      'execution',
    ],
  ])('answers %s in Prometheus’ words', async (_, query, status, errorType) => {
    const answer = await fetch(`${running.http}/api/v1/metrics/query?${new URLSearchParams({ query })}`);
    expect(await answer.json()).toMatchObject({ status: 'error', errorType });
    expect(answer.status).toBe(status);
  });

  it.each([
    ['A12 429 with Retry-After', 2, { kind: 'answer', status: 429, headers: { 'retry-after': '1' } }],
    ['A13 500', 3, { kind: 'answer', status: 500, body: 'no' }],
    ['A13 503', 3, { kind: 'answer', status: 503 }],
    ['A13 reset before it arrives', 2, { kind: 'reset' }],
    ['A13 answer cut after it was stored', 2, { kind: 'cutAnswer', afterBytes: 0 }],
    ['A19 401, held until it is mended', 3, { kind: 'answer', status: 401 }],
    ['a wrong path', 2, { kind: 'answer', status: 404 }],
  ] as const)('%s: sent again, stored once', async (name, times, fault) => {
    const metric = `fault_${name.replace(/[^A-Za-z0-9]+/g, '_').toLowerCase()}`;
    const now = Date.now();
    proxy.spoil(times, fault, ({ path }) => path.endsWith('/write'));
    const points: Given[] = [];
    for (let request = 0; request < 5; request++) {
      const some = Array.from({ length: 20 }, (_, at) => ({
        key: `${at}`,
        value: request * 100 + at,
        timeMs: now - 5_000 + request * 1_000,
      }));
      points.push(...some);
      await send(running, [gauges(metric, some)]);
    }
    await arrives(prometheus, metric, points, 30_000);
    proxy.heal();
    expect(await drops(running)).toEqual([]);
  });

  it('A18 413: halved until it fits; a single one that does not is refused', async () => {
    const now = Date.now();
    proxy.decide(({ path, body }) =>
      path.endsWith('/write') && body.length > 1_500 ? { kind: 'answer', status: 413 } : undefined,
    );
    const points = Array.from({ length: 200 }, (_, at) => ({
      key: `${at}-${(at * 7919) % 1009}`,
      value: at,
      timeMs: now,
    }));
    await send(running, [gauges('too_large', points)]);
    await arrives(prometheus, 'too_large', points);
    const random = Array.from({ length: 2_000 }, () => Math.random().toString(36)).join('');
    await send(running, [gauges('too_large', [{ key: random, value: 1, timeMs: now }])]);
    const refused = await eventually(
      () => drops(running),
      (all) => all.length > 0,
    );
    expect(refused).toMatchObject([{ count: 1, reason: 'HTTP 413' }]);
    proxy.heal();
  });

  it('A17 one point that Prometheus refuses among many: it alone is refused, all others are there', async () => {
    const now = Date.now();
    // What a clock of ours that is ahead lets in: the door refuses what is ten minutes ahead, Prometheus the same, later.
    const points = Array.from({ length: 3_000 }, (_, at) => ({ key: `${at}`, value: at, timeMs: now }));
    const bad = { key: '1234', value: -1, timeMs: now };
    await send(running, [gauges('poison', points)]);
    await arrives(prometheus, 'poison', points);
    const before = (await drops(running)).reduce((sum, { count }) => sum + count, 0);
    // Another value at the same time: Prometheus keeps the first, and with a window says nothing of it; in one batch we do.
    const more = points.map((each) => ({ ...each, timeMs: now + 1 }));
    await send(running, [gauges('poison', [...more, { ...bad, timeMs: now + 1 }])]);
    await arrives(prometheus, 'poison', [...points, ...more]);
    const after = await eventually(
      () => drops(running),
      (all) => all.reduce((sum, { count }) => sum + count, 0) > before,
    );
    expect(after.map(({ reason }) => reason)).toContain(
      'another value of the series has the same time, in milliseconds',
    );
    expect(after.reduce((sum, { count }) => sum + count, 0)).toBe(before + 1);
  });

  it('A10 stopped under load and started again: the backlog drains, nothing is missing, nothing twice', async () => {
    const points: Given[] = [];
    const now = Date.now();
    const some = async (round: number) => {
      const each = Array.from({ length: 50 }, (_, at) => ({
        key: `${at}`,
        value: round * 1_000 + at,
        timeMs: now + round * 10,
      }));
      points.push(...each);
      await send(running, [gauges('outage', each)]);
    };
    for (let round = 0; round < 10; round++) await some(round);
    prometheus.signal('SIGKILL');
    for (let round = 10; round < 30; round++) await some(round);
    const { destinations } = (await eventually(
      () => getJson(running.http, '/health'),
      (health) => (health as Health).status === 'degraded',
    )) as Health;
    expect(destinations['prometheus']).toMatchObject({ status: 'unavailable', lastError: expect.any(String) });
    expect(destinations['prometheus']!.pendingBytes).toBeGreaterThan(0);
    await prometheus.start();
    await arrives(prometheus, 'outage', points, 40_000);
    await eventually(
      () => getJson(running.http, '/health'),
      (health) => (health as Health).status === 'ok',
    );
  });
});

interface Health {
  readonly status: string;
  readonly destinations: { readonly [name: string]: { status: string; lastError: string; pendingBytes: number } };
}

it('a Prometheus that takes 1.0 only is written to by 1.0', async () => {
  await using folder = await temporaryFolder();
  await using prometheus = await startPrometheus({
    config: await configured(folder.path, withWindow),
    args: ['--web.remote-write-receiver.accepted-protobuf-messages=prometheus.WriteRequest'],
  });
  await using proxy = await startHttpProxy(prometheus.url);
  const running = await start(join(folder.path, 'data'), prometheus, {}, proxy.url);
  try {
    const points = [{ key: 'a', value: 1, timeMs: Date.now() }];
    await send(running, [gauges('old', points)]);
    await arrives(prometheus, 'old', points);
    const versions = proxy.requests.map(({ headers }) => headers['x-prometheus-remote-write-version']);
    expect(versions).toEqual(['2.0.0', '0.1.0']);
  } finally {
    await running.stop('SIGKILL');
  }
});

describe.each(['2.0', '1.0'] as const)('late samples, remote write %s', (protocol) => {
  const env = { WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_PROTOCOL: protocol };

  it('are refused with their reason and an alarm where the window is short, one by one; all others are stored', async () => {
    await using folder = await temporaryFolder();
    await using prometheus = await startPrometheus({ config: await configured(folder.path, withoutWindow) });
    const running = await start(join(folder.path, 'data'), prometheus, env);
    try {
      const now = Date.now();
      const fresh = Array.from({ length: 30 }, (_, at) => ({ key: `${at}`, value: at, timeMs: now }));
      await send(running, [gauges('late', fresh)]);
      await arrives(prometheus, 'late', fresh);
      // Ten series with a sample of three days ago, ten with one a second too late, and twenty with a good one.
      const tooOld = fresh.slice(0, 10).map((each) => ({ ...each, timeMs: now - 72 * hourMs }));
      const outOfOrder = fresh.slice(10, 20).map((each) => ({ ...each, timeMs: now - 1_000 }));
      const good = fresh.map((each) => ({ ...each, timeMs: now + 1_000 }));
      await send(running, [gauges('late', [...tooOld, ...good, ...outOfOrder])]);
      await arrives(prometheus, 'late', [...fresh, ...good]);
      const refused = await eventually(
        () => drops(running),
        (all) => all.reduce((sum, { count }) => sum + count, 0) >= 20,
      );
      expect(refused.reduce((sum, { count }) => sum + count, 0)).toBe(20);
      for (const { reason } of refused) expect(reason).toMatch(/out of order|out of bounds|too old/);
      expect(running.output()).toContain('records were refused for good');
      const own = await (await fetch(`${running.http}/metrics`)).text();
      expect(own).toMatch(/^watchingcat_dead_letters 1$/m);

      // With a window they can be given again, and then are there.
      await configured(folder.path, withWindow);
      expect((await fetch(`${prometheus.url}/-/reload`, { method: 'POST' })).status).toBe(200);
      const replayed = await fetch(`${running.http}/api/v1/pipeline/dead-letters/replay`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
      });
      expect(await replayed.json()).toEqual({ replayed: 1, left: [], remaining: 0 });
      await arrives(prometheus, 'late', [...fresh, ...good, ...tooOld, ...outOfOrder]);
    } finally {
      await running.stop('SIGKILL');
    }
  });

  it('are stored where it is long', async () => {
    await using folder = await temporaryFolder();
    await using prometheus = await startPrometheus({ config: await configured(folder.path, withWindow) });
    const running = await start(join(folder.path, 'data'), prometheus, env);
    try {
      const now = Date.now();
      const fresh = [{ key: 'a', value: 1, timeMs: now }];
      await send(running, [gauges('late', fresh)]);
      await arrives(prometheus, 'late', fresh);
      const late = [1, 24, 72].map((hours) => ({ key: 'a', value: hours, timeMs: now - hours * hourMs }));
      for (const each of late) await send(running, [gauges('late', [each])]);
      await arrives(prometheus, 'late', [...fresh, ...late]);
      expect(await drops(running)).toEqual([]);
    } finally {
      await running.stop('SIGKILL');
    }
  });
});

// One sender was cut off for three days, another was not: once Prometheus has anything fresh, what the first one held is late,
// though its series are its own.
it.each([
  { window: 'short', config: withoutWindow },
  { window: 'long', config: withWindow },
])('A10 a backlog of three days, two senders, a $window window', async ({ window, config }) => {
  await using folder = await temporaryFolder();
  await using prometheus = await startPrometheus({ config: await configured(folder.path, config) });
  await using proxy = await startTcpProxy(Number(new URL(prometheus.url).port));
  proxy.set({ kind: 'refuse' });
  const cutOff = await start(join(folder.path, 'cut-off'), prometheus, {}, `http://127.0.0.1:${proxy.port}`);
  const other = await start(join(folder.path, 'other'), prometheus);
  try {
    const now = Date.now();
    // A point each half an hour, the oldest first, as they came; the last ones are of now.
    const backlog = Array.from({ length: 145 }, (_, at) => ({
      key: 'cut off',
      value: at,
      timeMs: now - (144 - at) * (hourMs / 2),
    }));
    for (const point of backlog) await send(cutOff, [gauges('backlog', [point])]);
    const fresh = [{ key: 'other', value: 1, timeMs: now }];
    await send(other, [gauges('backlog', fresh)]);
    await arrives(prometheus, 'backlog', fresh);

    proxy.set({ kind: 'none' });
    const count = async () => (await drops(cutOff)).reduce((sum, drop) => sum + drop.count, 0);
    if (window === 'long') {
      await arrives(prometheus, 'backlog', [...backlog, ...fresh], 60_000);
      expect(await count()).toBe(0);
    } else {
      // Each point is stored or a dead letter, or both, and there is an alarm.
      const there = async () => Object.values(await stored(prometheus, 'backlog').catch(() => ({}))).flat().length - 1;
      const ended = await eventually(
        async () => ({ there: await there(), dead: await count() }),
        (seen) => seen.there + seen.dead >= backlog.length,
        60_000,
      );
      // Without a window a few that are stored are called out of order when they are asked about: a dead letter that does no harm.
      expect(ended.dead).toBeLessThanOrEqual(backlog.length);
      expect(ended.there).toBeGreaterThan(0);
      expect(ended.dead).toBeGreaterThan(140);
      expect(cutOff.output()).toContain('records were refused for good');
      for (const { reason } of await drops(cutOff)) expect(reason).toMatch(/out of order|out of bounds|too old/);
    }
    expect(await drops(other)).toEqual([]);
  } finally {
    await cutOff.stop('SIGKILL');
    await other.stop('SIGKILL');
  }
});

it('A14 half-open: given up within the deadline, sent again, stored once, without a window', async () => {
  await using folder = await temporaryFolder();
  await using prometheus = await startPrometheus({ config: await configured(folder.path, withoutWindow) });
  const running = await start(join(folder.path, 'data'), prometheus);
  try {
    const now = Date.now();
    const round = (at: number) =>
      Array.from({ length: 20 }, (_, key) => ({ key: `${key}`, value: at, timeMs: now + at }));
    await send(running, [gauges('half', round(0))]);
    await arrives(prometheus, 'half', round(0));
    prometheus.signal('SIGSTOP');
    await send(running, [gauges('half', round(1))]);
    await send(running, [gauges('half', round(2))]);
    await eventually(
      () => getJson(running.http, '/health'),
      (health) => /no answer within/.test((health as Health).destinations['prometheus']?.lastError ?? ''),
      35_000,
    );
    // What it was sent before it stood still it stores now, and gets it again.
    prometheus.signal('SIGCONT');
    await arrives(prometheus, 'half', [...round(0), ...round(1), ...round(2)], 40_000);
    expect(await drops(running)).toEqual([]);
  } finally {
    prometheus.signal('SIGCONT');
    await running.stop('SIGKILL');
  }
});

it('A1 killed again and again while it sums up deltas: the sums are those of what was acknowledged', async () => {
  await using folder = await temporaryFolder();
  await using prometheus = await startPrometheus({ config: await configured(folder.path, withoutWindow) });
  const dataDir = join(folder.path, 'data');
  const keys = ['a', 'b', 'c'];
  const sums: Record<string, number> = { a: 0, b: 0, c: 0 };
  const began = Date.now() - 60_000;
  let tick = 0;
  for (let life = 0; life < 4; life++) {
    const running = await start(dataDir, prometheus);
    try {
      for (let request = 0; request < 25; request++) {
        const startMs = began + tick * 100;
        tick++;
        const dataPoints = keys.map((key, at) => {
          sums[key]! += tick + at;
          return {
            startTimeUnixNano: String(BigInt(startMs) * ms),
            timeUnixNano: String(BigInt(startMs + 100) * ms),
            asInt: String(tick + at),
            attributes: attributes({ key }),
          };
        });
        await send(running, [{ name: 'summed', sum: { isMonotonic: true, aggregationTemporality: 1, dataPoints } }]);
        // Some of them are delivered, some are not, when it dies.
        if (request % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 250 * life));
      }
    } finally {
      await running.stop('SIGKILL');
    }
  }
  const last = await start(dataDir, prometheus);
  try {
    const newest = (all: Record<string, [number, number][]>) =>
      Object.fromEntries(Object.entries(all).map(([key, samples]) => [key, samples.at(-1)?.[1]]));
    const found = await eventually(
      () => stored(prometheus, 'summed_total'),
      (all) => JSON.stringify(newest(all)) === JSON.stringify(sums),
      20_000,
    );
    for (const samples of Object.values(found)) {
      // Never back, and each step is what one request brought or several did together.
      expect(samples.map(([, value]) => value)).toEqual(samples.map(([, value]) => value).toSorted((a, b) => a - b));
    }
    expect(await drops(last)).toEqual([]);
    expect((await last.stop()).code).toBe(0);
  } finally {
    await last.stop('SIGKILL');
  }
});
