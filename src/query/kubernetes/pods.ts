import { keyOf, label, type MetricGroup, type Reading, readings, type Snapshot } from './snapshot.ts';
import { type PodEvents, phaseOf, podStatus } from './status.ts';

/** Use against request and limit; undefined where no receiver tells, or none is set. */
export interface Use {
  readonly usage: number | undefined;
  readonly request: number | undefined;
  readonly limit: number | undefined;
}

interface Container {
  readonly name: string;
  readonly ready: boolean | undefined;
  readonly restarts: number | undefined;
  readonly reason: string | undefined;
  readonly lastTerminatedReason: string | undefined;
  readonly cpuCores: Use;
  readonly memoryBytes: Use;
}

export interface Pod {
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  /** '' while it is not scheduled. */
  readonly node: string;
  readonly phase: string | undefined;
  /** kubectl's word. */
  readonly status: string | undefined;
  readonly readyContainers: number | undefined;
  readonly restarts: number | undefined;
  readonly owner: { readonly kind: string; readonly name: string } | undefined;
  readonly cpuCores: Use;
  readonly memoryBytes: Use;
  readonly containers: readonly Container[];
  readonly lastSeenUnixMs: number;
}

type Numbers = Map<string, number>;
interface Draft {
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  node: string;
  owner: Pod['owner'];
  lastSeenUnixMs: number;
  readonly values: Numbers;
  readonly containers: Map<string, ContainerDraft>;
}
interface ContainerDraft {
  readonly values: Numbers;
  /** When the receiver that tells states and reasons told last. */
  toldMs: number;
  reason: string | undefined;
  lastTerminated: string | undefined;
}

/** Of k8s_cluster and of kubelet_stats. */
const podMetrics = [
  'k8s_pod_phase',
  'k8s_pod_status_reason',
  'k8s_pod_cpu_usage',
  'k8s_pod_memory_working_set_bytes',
] as const;
const containerMetrics = [
  'k8s_container_ready',
  'k8s_container_restarts',
  'k8s_container_cpu_request',
  'k8s_container_cpu_limit',
  'k8s_container_memory_request_bytes',
  'k8s_container_memory_limit_bytes',
  'container_cpu_usage',
  'container_memory_working_set_bytes',
] as const;
const reasonMetric = 'k8s_container_status_reason';
/** Of each container the receiver sends nine reasons, of which at most one is not 0. */
export const podGroups: readonly MetricGroup[] = [
  { names: [...podMetrics, ...containerMetrics.filter((name) => !name.startsWith('k8s_'))], nonZero: false },
  { names: containerMetrics.filter((name) => name.startsWith('k8s_')), nonZero: false },
  { names: [reasonMetric], nonZero: true },
];
/** The nearest owner that a person wrote first. */
const owners = [
  ['Deployment', 'k8s_deployment_name'],
  ['StatefulSet', 'k8s_statefulset_name'],
  ['DaemonSet', 'k8s_daemonset_name'],
  ['CronJob', 'k8s_cronjob_name'],
  ['Job', 'k8s_job_name'],
  ['ReplicaSet', 'k8s_replicaset_name'],
] as const;

/** Every pod that a receiver has told of, in the order of cluster, namespace and name. */
export function pods(of: Snapshot, events: ReadonlyMap<string, PodEvents>): readonly Pod[] {
  const drafts = new Map<string, Draft>();
  const draft = (reading: Reading): Draft | undefined => {
    const [cluster, namespace, name] = identity(reading);
    if (name === '') return undefined;
    const key = keyOf(cluster, namespace, name);
    let found = drafts.get(key);
    if (found === undefined) {
      found = {
        cluster,
        namespace,
        name,
        node: '',
        owner: undefined,
        lastSeenUnixMs: 0,
        values: new Map(),
        containers: new Map(),
      };
      drafts.set(key, found);
    }
    found.node = label(reading, 'k8s_node_name') || found.node;
    found.owner = ownerOf(reading) ?? found.owner;
    found.lastSeenUnixMs = Math.max(found.lastSeenUnixMs, reading.timeMs);
    return found;
  };
  const container = (reading: Reading) => {
    const name = label(reading, 'k8s_container_name');
    const pod = name === '' ? undefined : draft(reading);
    if (pod === undefined) return undefined;
    let found = pod.containers.get(name);
    if (found === undefined) {
      found = { values: new Map(), toldMs: 0, reason: undefined, lastTerminated: undefined };
      pod.containers.set(name, found);
    }
    found.lastTerminated = label(reading, 'k8s_container_status_last_terminated_reason') || found.lastTerminated;
    return found;
  };
  for (const metric of podMetrics) {
    for (const reading of readings(of, metric)) draft(reading)?.values.set(metric, reading.value);
  }
  for (const metric of containerMetrics) {
    for (const reading of readings(of, metric)) {
      const found = container(reading);
      found?.values.set(metric, reading.value);
      if (found !== undefined && metric === 'k8s_container_ready') found.toldMs = reading.timeMs;
    }
  }
  for (const reading of readings(of, reasonMetric)) {
    const found = container(reading);
    // Of an earlier time than the rest: under other labels it is 0 by now.
    if (found === undefined || reading.timeMs < found.toldMs) continue;
    found.reason = label(reading, 'k8s_container_status_reason');
  }
  // In one order, whatever the store's: so that sums are equal to the last digit.
  const ordered = [...drafts].sort(([a], [b]) => (a < b ? -1 : 1));
  return ordered.map(([key, each]) => podOf(each, events.get(key)));
}

function identity(reading: Reading): [cluster: string, namespace: string, name: string] {
  return [label(reading, 'k8s_cluster_name'), label(reading, 'k8s_namespace_name'), label(reading, 'k8s_pod_name')];
}

function ownerOf(reading: Reading): Pod['owner'] {
  for (const [kind, name] of owners) {
    const value = label(reading, name);
    if (value !== '') return { kind, name: value };
  }
  return undefined;
}

function podOf(draft: Draft, events: PodEvents | undefined): Pod {
  const { cluster, namespace, name, node, owner, lastSeenUnixMs, values } = draft;
  const containers = [...draft.containers].map(
    ([container, { values, reason, lastTerminated }]): Container => ({
      name: container,
      ready: values.has('k8s_container_ready') ? values.get('k8s_container_ready') === 1 : undefined,
      restarts: values.get('k8s_container_restarts'),
      reason,
      lastTerminatedReason: lastTerminated,
      cpuCores: {
        usage: values.get('container_cpu_usage'),
        request: values.get('k8s_container_cpu_request'),
        limit: values.get('k8s_container_cpu_limit'),
      },
      memoryBytes: {
        usage: values.get('container_memory_working_set_bytes'),
        request: values.get('k8s_container_memory_request_bytes'),
        limit: values.get('k8s_container_memory_limit_bytes'),
      },
    }),
  );
  containers.sort((a, b) => (a.name < b.name ? -1 : 1));
  const phase = phaseOf(values.get('k8s_pod_phase'));
  return {
    cluster,
    namespace,
    name,
    node,
    phase,
    status: podStatus(phase, values.get('k8s_pod_status_reason'), containers, events),
    readyContainers: total(containers.map(({ ready }) => (ready === undefined ? undefined : Number(ready)))),
    restarts: total(containers.map(({ restarts }) => restarts)),
    owner,
    cpuCores: { ...whole(containers.map(({ cpuCores }) => cpuCores)), ...usage(values.get('k8s_pod_cpu_usage')) },
    memoryBytes: {
      ...whole(containers.map(({ memoryBytes }) => memoryBytes)),
      ...usage(values.get('k8s_pod_memory_working_set_bytes')),
    },
    containers,
    lastSeenUnixMs,
  };
}

/** What the kubelet says of the whole pod goes before the sum of its containers. */
function usage(value: number | undefined): { usage?: number } {
  return value === undefined ? {} : { usage: value };
}

/** A pod has a limit where each of its containers has one. */
function whole(uses: readonly Use[]): Use {
  return {
    usage: total(uses.map(({ usage }) => usage)),
    request: total(uses.map(({ request }) => request)),
    limit: uses.every(({ limit }) => limit !== undefined) ? total(uses.map(({ limit }) => limit)) : undefined,
  };
}

/** A pod that has ended takes nothing of its node any more. */
export function isActive({ phase }: Pod): boolean {
  return phase !== 'Succeeded' && phase !== 'Failed';
}

/** Of those that are known. */
export function total(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  if (known.length === 0) return undefined;
  // 0.1 + 0.2 cores are 0.3.
  return Number(known.reduce((sum, value) => sum + value, 0).toFixed(9));
}
