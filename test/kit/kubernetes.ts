import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Signal } from '../../src/base/index.ts';
import type { Destination } from '../../src/stores/contract.ts';
import { openEmbeddedStore } from '../../src/stores/embedded/index.ts';
import { frame } from '../stores/contract/given.ts';
import { encodeOtlp } from './otlp.ts';
import { temporaryFolder } from './process.ts';

// What the receivers of a real Collector sent of a real cluster: test/kubernetes/recorded, one resource a line as OTLP JSON.
// Not among it, to be recorded with the next cluster: an evicted pod, a node that is cordoned and uncordoned, a DaemonSet, a
// StatefulSet, an init container that fails, a pod of several containers.

interface Point {
  timeUnixNano: string;
  asDouble?: number;
  asInt?: string;
  attributes?: Attribute[];
}
interface Attribute {
  key: string;
  value: { stringValue: string };
}
interface ResourceMetrics {
  resource: { attributes?: Attribute[] };
  scopeMetrics: {
    scope: { name: string };
    metrics: {
      name: string;
      unit?: string;
      gauge?: { dataPoints: Point[] };
      sum?: { dataPoints: Point[]; isMonotonic?: boolean };
    }[];
  }[];
}
interface ResourceLogs {
  resource: { attributes?: Attribute[] };
  scopeLogs: { logRecords: { timeUnixNano: string; observedTimeUnixNano: string }[] }[];
}

/** After the last point, before the last event: as of this time the cluster is looked at. */
export const recordedEndUnixNano = lastTime(recordedMetrics()) + 1_000_000_000n;

/** The same, later: a Prometheus records from now on. */
export function later<T>(resources: readonly T[], byNanos: bigint): readonly T[] {
  const text = JSON.stringify(resources).replace(
    /"((?:startT|observedT|t)imeUnixNano)":"(\d+)"/g,
    (_, key: string, time: string) => `"${key}":"${BigInt(time) + byNanos}"`,
  );
  return JSON.parse(text) as readonly T[];
}

/** @param clusterName What the deployment's Collector stamps. */
export function recordedMetrics(clusterName = ''): readonly ResourceMetrics[] {
  return lines<ResourceMetrics>('metrics').map(({ resource, scopeMetrics }) => ({
    resource: { attributes: stamped(resource.attributes ?? [], clusterName) },
    scopeMetrics,
  }));
}

export function recordedEvents(clusterName = ''): readonly ResourceLogs[] {
  return lines<ResourceLogs>('events').map(({ resource, scopeLogs }) => ({
    resource: { attributes: stamped(resource.attributes ?? [], clusterName) },
    scopeLogs,
  }));
}

/** What a receiver said of a metric, in order of time, of all points whose attributes, or whose resource's, are so. */
export function said(name: string, attributes: Readonly<Record<string, string>>): number[] {
  const points = recordedMetrics().flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics
      .flatMap(({ metrics }) => metrics)
      .filter((metric) => metric.name === name)
      .flatMap(({ gauge, sum }) => (gauge ?? sum)?.dataPoints ?? [])
      .map((point) => ({ ...point, all: [...(point.attributes ?? []), ...(resource.attributes ?? [])] })),
  );
  return points
    .filter(({ all }) =>
      Object.entries(attributes).every(([key, value]) =>
        all.some((attribute) => attribute.key === key && attribute.value.stringValue === value),
      ),
    )
    .sort((a, b) => Number(BigInt(a.timeUnixNano) - BigInt(b.timeUnixNano)))
    .map(({ asDouble, asInt }) => asDouble ?? Number(asInt));
}

/** What a Collector makes of our own metric when it scrapes us: the resource is who was scraped, on whatever node that runs. */
export function cordonOf(node: string, asDouble: 0 | 1): object {
  const text = (of: Readonly<Record<string, string>>) =>
    Object.entries(of).map(([key, stringValue]) => ({ key, value: { stringValue } }));
  const resource = { 'service.name': 'watchingcat-backend', 'k8s.node.name': 'another', 'k8s.cluster.name': 'east' };
  const dataPoints = [{ timeUnixNano: String(recordedEndUnixNano), asDouble, attributes: text({ node }) }];
  const metrics = [{ name: 'watchingcat_kubernetes_node_unschedulable', gauge: { dataPoints } }];
  return { resource: { attributes: text(resource) }, scopeMetrics: [{ metrics }] };
}

/** The agent stamps its node on what host_metrics reads, which knows of no node. */
function stamped(attributes: readonly Attribute[], clusterName: string): Attribute[] {
  const add = (key: string, value: string) => ({ key, value: { stringValue: value } });
  return [
    ...attributes,
    ...(attributes.length === 0 ? [add('k8s.node.name', 'node1')] : []),
    ...(clusterName === '' ? [] : [add('k8s.cluster.name', clusterName)]),
  ];
}

function lines<T>(name: string): T[] {
  const path = fileURLToPath(new URL(`../kubernetes/recorded/${name}.ndjson`, import.meta.url));
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

function lastTime(of: readonly ResourceMetrics[]): bigint {
  return of
    .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
    .flatMap(({ gauge, sum }) => (gauge ?? sum)?.dataPoints ?? [])
    .map(({ timeUnixNano }) => BigInt(timeUnixNano))
    .sort((a, b) => (a < b ? -1 : 1))
    .at(-1)!;
}

/** An embedded store with what is written to it. */
export async function embeddedStore() {
  const folder = await temporaryFolder();
  const yearMs = 365 * 24 * 3_600_000;
  const signals: readonly Signal[] = ['metrics', 'logs'];
  const store = await openEmbeddedStore({
    folder: folder.path,
    signals: new Set(signals),
    retentionMs: { traces: yearMs, metrics: 100 * yearMs, logs: 100 * yearMs },
  });
  return {
    readers: store.readers,
    async metrics(resourceMetrics: readonly object[]) {
      await write(store, 'metrics', { resourceMetrics });
    },
    async logs(resourceLogs: readonly object[]) {
      await write(store, 'logs', { resourceLogs });
    },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

let sequence = 0;

/** One export request. */
export async function write(destination: Destination, signal: Signal, message: object): Promise<void> {
  const body = encodeOtlp(signal, message);
  const frames = [frame(++sequence, body, 1, recordedEndUnixNano)];
  const batch = { signal, logId: 'c1'.repeat(16), frames, records: 1, sizeBytes: body.byteLength };
  const result = await destination.write(batch, new AbortController().signal);
  if (result.kind !== 'settled' || result.refused.length > 0) throw new Error(`not stored: ${JSON.stringify(result)}`);
}
