import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { attributes, resource } from '../stores/contract/given.ts';
import type { Prometheus } from './backends.ts';
import { encodeOtlp } from './otlp.ts';
import { eventually, getJson, type Running, startProcess } from './process.ts';
import { samplesIn } from './prometheus-query.ts';

// Data points that can be told from all others, on their way into a real Prometheus.

export const ms = 1_000_000n;
export const hourMs = 3_600_000;

export async function configured(folder: string, lines: string): Promise<string> {
  const path = join(folder, 'prometheus.yml');
  await writeFile(path, lines);
  return path;
}
export const withWindow = 'storage: { tsdb: { out_of_order_time_window: 7d } }';
export const withoutWindow = 'global: { scrape_interval: 15s }';

/** The process writing to `url`, and asking `prometheus`. */
export function start(dataDir: string, prometheus: Prometheus, env: Record<string, string> = {}, url = prometheus.url) {
  return startProcess({
    dataDir,
    env: {
      WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: `${url}/api/v1/write`,
      WATCHINGCAT_PROMETHEUS_QUERY_URL: prometheus.url,
      ...env,
    },
  });
}

export interface Given {
  readonly key: string;
  readonly value: number;
  readonly timeMs: number;
}

/** Resolves when it is acknowledged. */
export async function send(to: Running, metrics: readonly object[], service = 'faults'): Promise<void> {
  const body = encodeOtlp('metrics', {
    resourceMetrics: [{ resource: resource({ 'service.name': service }), scopeMetrics: [{ metrics }] }],
  });
  const answer = await fetch(`${to.otlpHttp}/v1/metrics`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-protobuf' },
    body,
  });
  expect(answer.status).toBe(200);
  expect((await answer.arrayBuffer()).byteLength).toBe(0); // no partial success
}

export const gauges = (name: string, points: readonly Given[]) => ({
  name,
  gauge: {
    dataPoints: points.map(({ key, value, timeMs }) => ({
      timeUnixNano: String(BigInt(timeMs) * ms),
      asDouble: value,
      attributes: attributes({ key }),
    })),
  },
});

/** What Prometheus has of a gauge, by key: [milliseconds, value][]. */
export async function stored(prometheus: Prometheus, name: string): Promise<Record<string, [number, number][]>> {
  const found = await samplesIn(prometheus.url, name);
  return Object.fromEntries(
    [...found].map(([labels, samples]) => [
      /key="([^"]*)"/.exec(labels)?.[1] ?? labels,
      (samples as [number, string][]).map(([at, value]) => [Math.round(at * 1000), Number(value)]),
    ]),
  );
}

function right(points: readonly Given[]): Record<string, [number, number][]> {
  const all: Record<string, [number, number][]> = {};
  for (const { key, value, timeMs } of points) {
    all[key] = [...(all[key] ?? []), [timeMs, value] as [number, number]].sort(([a], [b]) => a - b);
  }
  return all;
}

/** Waits until Prometheus has exactly these. */
export async function arrives(prometheus: Prometheus, name: string, points: readonly Given[], withinMs = 20_000) {
  const want = right(points);
  const count = (all: object) => Object.values(all).flat().length;
  const found = await eventually(
    () => stored(prometheus, name).catch(() => ({})),
    (now) => count(now) >= count(want),
    withinMs,
  );
  expect(found).toEqual(want);
}

interface Drop {
  readonly stage: string;
  readonly reason: string;
  readonly count: number;
}
export async function drops(of: Running): Promise<Drop[]> {
  const { drops: all } = (await getJson(of.http, '/api/v1/pipeline/drops')) as { drops: Drop[] };
  return all.filter(({ stage }) => stage === 'deliver/prometheus');
}
