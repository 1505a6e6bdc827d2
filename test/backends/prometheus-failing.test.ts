import { join } from 'node:path';
import { uncompressSync } from 'snappy';
import { expect, it } from 'vitest';
import { type Batch, type Clock, systemClock } from '../../src/base/index.ts';
import { openPrometheusStore } from '../../src/stores/prometheus/index.ts';
import { startPrometheus } from '../kit/backends.ts';
import { startHttpProxy } from '../kit/fault-proxy.ts';
import { encodeOtlp } from '../kit/otlp.ts';
import { temporaryFolder } from '../kit/process.ts';
import { configured, type Given, gauges, stored, withWindow } from '../kit/prometheus-points.ts';
import { decodeWrite1, decodeWrite2 } from '../kit/remote-write.ts';
import { frame, resource } from '../stores/contract/given.ts';

// A17 by 500: the proxy fails over each request that holds certain samples, as a server does that has a mistake of its own;
// what it passes on is judged by a real Prometheus. Half a minute passes between two tries, by the clock that is handed over.

it.each(['2.0', '1.0'] as const)('a sample over which Prometheus always fails, remote write %s', async (protocol) => {
  await using folder = await temporaryFolder();
  await using prometheus = await startPrometheus({ config: await configured(folder.path, withWindow) });
  await using proxy = await startHttpProxy(prometheus.url);
  let passedMs = 0;
  const clock: Clock = {
    nowMs: () => systemClock.nowMs(),
    nowUnixNano: () => systemClock.nowUnixNano(),
    monotonicMs: () => passedMs,
  };
  await using store = openPrometheusStore({
    remoteWriteUrl: `${proxy.url}/api/v1/write`,
    folder: join(folder.path, 'store'),
    access: { headers: {}, tls: undefined },
    version: '0',
    protocol,
    clock,
  });
  const now = Date.now();
  const points: Given[] = Array.from({ length: 2_000 }, (_, at) => ({ key: `${at}`, value: at, timeMs: now - 1_000 }));
  const metrics = [gauges('failing', points)];
  const body = encodeOtlp('metrics', {
    resourceMetrics: [{ resource: resource({ 'service.name': 'failing' }), scopeMetrics: [{ metrics }] }],
  });
  const frames = [frame(1, body, points.length, BigInt(now) * 1_000_000n)];
  const batch: Batch = {
    signal: 'metrics',
    logId: 'd1'.repeat(16),
    frames,
    records: points.length,
    sizeBytes: body.length,
  };
  const write = () => store.destination!.write(batch, new AbortController().signal);

  // Away for an hour, in the same words: nothing is given up, and a shard makes three requests a try at most.
  const failure = { kind: 'answer', status: 500, body: 'an error of mine' } as const;
  proxy.decide(() => failure);
  for (let attempt = 0; attempt < 120; attempt++, passedMs += 30_000) {
    const before = proxy.requests.length;
    expect(await write()).toMatchObject({ kind: 'retry', pending: 'all', refused: [], reason: /an error of mine/ });
    expect(proxy.requests.length - before).toBeLessThanOrEqual(3 * 4);
  }

  const decode = protocol === '2.0' ? decodeWrite2 : decodeWrite1;
  const poison = new Set(['17', '1234']);
  proxy.decide(({ body: sent }) => {
    const { series } = decode(uncompressSync(sent) as Buffer);
    return series.some(({ labels }) => poison.has(new Map(labels).get('key') ?? '')) ? failure : undefined;
  });
  let result = await write();
  for (let attempt = 0; attempt < 100 && result.kind !== 'settled'; attempt++, passedMs += 30_000) {
    result = await write();
  }
  expect(result).toMatchObject({ kind: 'settled' });
  const refused = result.kind === 'settled' ? result.refused : [];
  expect(refused.map(({ record }) => record).sort()).toEqual([1234, 17]);
  for (const { reason } of refused) expect(reason).toMatch(/^HTTP 500: an error of mine, again and again/);
  const there = await stored(prometheus, 'failing');
  expect(Object.keys(there)).toHaveLength(points.length - poison.size);
  for (const { key, value, timeMs } of points)
    expect([key, there[key]]).toEqual([key, poison.has(key) ? undefined : [[timeMs, value]]]);
});
