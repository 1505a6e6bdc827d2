import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operatorRows, operatorSeries } from '../../src/promql/operators.fixture.ts';
import { createQueries } from '../../src/query/index.ts';
import type { PromqlAnswer } from '../../src/stores/contract.ts';
import { openPrometheusStore } from '../../src/stores/prometheus/index.ts';
import { type Prometheus, startPrometheus } from '../kit/backends.ts';
import { embeddedStore, later, recordedEndUnixNano, recordedMetrics, write } from '../kit/kubernetes.ts';
import { metricNames } from '../kit/metric-names.ts';
import { temporaryFolder } from '../kit/process.ts';
import { backendProgram } from '../kit/program.ts';

// The rules by Prometheus itself: its own checker takes the file, it records from it what our engine computes, and where it
// has not loaded it the names answer all the same.

const rules = fileURLToPath(new URL('../../k8s/helm/k8s-infra/files/recording-rules.yaml', import.meta.url));
const never = new AbortController().signal;
/** The last sample is a minute old: whenever a rule was evaluated last, it has seen it. */
const byNanos = (BigInt(Date.now()) - 60_000n) * 1_000_000n - recordedEndUnixNano;
const nowMs = () => Date.now();

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let withRules: Opened;
let withoutRules: Opened;
let embedded: Awaited<ReturnType<typeof embeddedStore>>;
type Opened = Awaited<ReturnType<typeof open>>;

async function open(name: string, options: Parameters<typeof startPrometheus>[0]) {
  const prometheus: Prometheus = await startPrometheus(options);
  const store = openPrometheusStore({
    remoteWriteUrl: prometheus.remoteWriteUrl,
    queryUrl: prometheus.url,
    folder: join(folder.path, name),
    access: { headers: {}, tls: undefined },
    version: '0',
  });
  await write(store.destination!, 'metrics', { resourceMetrics: later(recordedMetrics('east'), byNanos) });
  return {
    prometheus,
    store,
    queries: await createQueries(store.readers),
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await prometheus[Symbol.asyncDispose]();
    },
  };
}

beforeAll(async () => {
  folder = await temporaryFolder();
  const config = join(folder.path, 'prometheus.yml');
  await writeFile(config, `rule_files: [${rules}]\nstorage: { tsdb: { out_of_order_time_window: 7d } }\n`);
  withRules = await open('with', { config });
  withoutRules = await open('without', {});
  embedded = await embeddedStore();
  await embedded.metrics(later(recordedMetrics('east'), byNanos));
});
afterAll(async () => {
  await withRules?.[Symbol.asyncDispose]();
  await withoutRules?.[Symbol.asyncDispose]();
  await embedded?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

interface Answer {
  readonly data: { readonly result: readonly { metric: Record<string, string>; value: [number, string] }[] };
}

/** A vector of whoever answers, as `{labels} value`, sorted. */
async function ask(
  queries: Awaited<ReturnType<typeof createQueries>>,
  query: string,
  timeMs = nowMs(),
): Promise<string[]> {
  const answer = await queries.metricsInstant({ query, timeMs, budgetMs: undefined }, never);
  if ('series' in answer) return answer.series.map(({ labels, values }) => drawn(labels, values[0]!)).sort();
  return shown(answer);
}

/** What Prometheus itself has. */
async function recordedBy({ store }: Opened, query: string): Promise<string[]> {
  return shown(await store.readers.metrics!.promqlInstant!({ query, timeMs: nowMs() }, never));
}

function shown({ json }: PromqlAnswer): string[] {
  const { data } = JSON.parse(Buffer.from(json).toString('utf8')) as Answer;
  return data.result.map(({ metric, value }) => drawn(metric, Number(value[1].replace('Inf', 'Infinity')))).sort();
}

function drawn(labels: Readonly<Record<string, string>>, value: number): string {
  const names = Object.keys(labels).sort();
  const shown = Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : String(value);
  return `{${names.map((name) => `${name}=${JSON.stringify(labels[name])}`).join(',')}} ${shown}`;
}

it('promtool takes the file', async () => {
  const { stdout } = await promisify(execFile)(backendProgram('promtool'), ['check', 'rules', rules]);
  expect(stdout).toMatch(/SUCCESS: \d+ rules found/);
});

/** The recorded data has no utilization of a node's CPU in this time, and no word of the API server about cordoned nodes. */
const untold: readonly string[] = ['node_cpu_utilization', 'kube_node_spec_unschedulable'];
const names = metricNames
  .filter((name) => !untold.includes(name))
  .map((name) => (name === 'container_memory_working_set_bytes' ? `${name}{container!=""}` : name));

describe('each name', () => {
  it('is recorded by Prometheus as our engine computes it, and computed where Prometheus does not record', async () => {
    const recorded = new Map<string, string[]>();
    // Rules are evaluated each 30 s, the groups at different times.
    for (let attempt = 0; attempt < 90; attempt++) {
      for (const name of names) recorded.set(name, await recordedBy(withRules, name));
      if ([...recorded.values()].every((series) => series.length > 0)) break;
      await sleep(1_000);
    }
    for (const name of names) {
      expect(recorded.get(name), name).not.toEqual([]);
      expect(await ask(await createQueries(embedded.readers), name), `${name}, embedded`).toEqual(recorded.get(name));
      expect(await ask(withoutRules.queries, name), `${name}, over Prometheus`).toEqual(recorded.get(name));
    }
  }, 150_000);

  it('answers as a whole where Prometheus records it, and else says what would let it', async () => {
    const query = 'topk(1, kube_pod_container_status_restarts_total)';
    expect(await ask(withRules.queries, query)).toMatchObject([expect.stringContaining('pod="crasher"')]);
    await expect(ask(withoutRules.queries, query)).rejects.toMatchObject({
      code: 'unprocessable',
      message: expect.stringContaining('has not loaded the recording rules'),
    });
    // Of other metrics Prometheus answers everything.
    expect(await ask(withoutRules.queries, 'topk(1, k8s_container_restarts)')).toHaveLength(1);
  });

  it('is listed as recorded in either case', async () => {
    const end = BigInt(nowMs()) * 1_000_000n;
    const range = { startUnixNano: end - 3_600_000_000_000n, endUnixNano: end };
    for (const { queries } of [withRules, withoutRules]) {
      const { items } = await queries.metrics({ range, limit: 1_000 }, never);
      expect(items.find(({ name }) => name === 'kube_pod_status_phase')).toEqual({
        name: 'kube_pod_status_phase',
        type: 'gauge',
        unit: '',
        description: 'Recorded from k8s_pod_phase',
        seriesCount: 45,
        recorded: true,
      });
    }
  });
});

it('views are the same over Prometheus as over the embedded store', async () => {
  const end = BigInt(nowMs()) * 1_000_000n;
  const range = { startUnixNano: end - 3_600_000_000_000n, endUnixNano: end };
  const all = { range, cluster: undefined, namespace: undefined, limit: 100, cursor: undefined };
  const [over, own] = [
    withoutRules.queries.kubernetes,
    (await createQueries({ metrics: embedded.readers.metrics! })).kubernetes,
  ];
  expect((await over.pods(all, never)).items).toHaveLength(9);
  expect(await over.pods(all, never)).toEqual(await own.pods(all, never));
  expect(await over.nodes(all, never)).toEqual(await own.nodes(all, never));
  expect(await over.namespaces(all, never)).toEqual(await own.namespaces(all, never));
  expect(await over.workloads(all, never)).toEqual(await own.workloads(all, never));
});

describe('operators', () => {
  const end = Math.floor(nowMs() / 60_000) * 60_000;

  beforeAll(async () => {
    const metrics = operatorSeries.map((line) => {
      const [, name, inside = '', samples = ''] = /^(\w+)\{(.*?)\}\s+(.*)$/.exec(line)!;
      const attributes = [...inside.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, stringValue]) => ({
        key,
        value: { stringValue },
      }));
      const dataPoints = samples.split(' ').map((sample, index, all) => ({
        timeUnixNano: String(BigInt(end - (all.length - 1 - index) * 60_000) * 1_000_000n),
        asDouble: Number(sample),
        attributes,
      }));
      return { name, gauge: { dataPoints } };
    });
    await write(withoutRules.store.destination!, 'metrics', { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] });
  });

  it.each(operatorRows)('Prometheus agrees on $query', async ({ query, found }) => {
    expect(await ask(withoutRules.queries, query, end)).toEqual([...found].sort());
  });
});
