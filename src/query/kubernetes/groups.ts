import { isActive, type Pod, total, type Use } from './pods.ts';
import { keyOf, label, type Reading, readings, type Snapshot } from './snapshot.ts';

interface Capacity extends Use {
  /** What the node offers to pods. */
  readonly allocatable: number | undefined;
}

export interface Node {
  readonly cluster: string;
  readonly name: string;
  /** As kubectl: not ready, too, while nobody knows. */
  readonly status: 'Ready' | 'NotReady' | undefined;
  /** Cordoned. */
  readonly unschedulable: boolean | undefined;
  readonly conditions: readonly { readonly type: string; readonly status: 'True' | 'False' | 'Unknown' }[];
  /** `count`: those that have not ended. */
  readonly pods: { readonly count: number; readonly allocatable: number | undefined };
  readonly cpuCores: Capacity;
  readonly memoryBytes: Capacity;
  readonly filesystemBytes: { readonly usage: number | undefined; readonly capacity: number | undefined };
}

export interface Namespace {
  readonly cluster: string;
  readonly name: string;
  readonly phase: 'Active' | 'Terminating' | undefined;
  readonly pods: { readonly count: number; readonly byStatus: { readonly [status: string]: number } };
  readonly restarts: number | undefined;
  readonly cpuCores: Use;
  readonly memoryBytes: Use;
  /** CPU in cores, memory and storage in bytes, the rest by count. */
  readonly quotas: readonly {
    readonly name: string;
    readonly resource: string;
    readonly used: number | undefined;
    readonly hard: number | undefined;
  }[];
}

export interface Workload {
  readonly cluster: string;
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  /** Pods that are wanted; of a Job those that shall succeed; undefined for a CronJob. */
  readonly desired: number | undefined;
  /** Pods that are available or ready; of a Job those that succeeded. */
  readonly ready: number | undefined;
  /** Pods of a Job, jobs of a CronJob that run. */
  readonly active: number | undefined;
  readonly failed: number | undefined;
  readonly status: 'Healthy' | 'Progressing' | 'Complete' | 'Failed';
}

/** Conditions have metrics of their own, named as Go's strcase writes them. */
const conditions = [
  ['Ready', 'k8s_node_condition_ready'],
  ['MemoryPressure', 'k8s_node_condition_memory_pressure'],
  ['DiskPressure', 'k8s_node_condition_disk_pressure'],
  ['PIDPressure', 'k8s_node_condition_pid_pressure'],
  ['NetworkUnavailable', 'k8s_node_condition_network_unavailable'],
] as const;

const ofNodes: readonly string[] = [
  ...conditions.map(([, metric]) => metric),
  'k8s_node_allocatable_pods',
  'k8s_node_allocatable_cpu',
  'k8s_node_allocatable_memory_bytes',
  'k8s_node_cpu_usage',
  'k8s_node_memory_working_set_bytes',
  'k8s_node_filesystem_usage_bytes',
  'k8s_node_filesystem_capacity_bytes',
];
/** Of which node is a label of the point: its resource is who was scraped, which runs on a node of its own. */
const cordonMetric = 'watchingcat_kubernetes_node_unschedulable';

export const nodeMetrics: readonly string[] = [...ofNodes, cordonMetric];

export function nodes(of: Snapshot, pods: readonly Pod[]): readonly Node[] {
  const table = tabulate(of, ['k8s_node_name'], new Set(ofNodes));
  const told = new Map(
    readings(of, cordonMetric).map((each) => [
      keyOf(label(each, 'k8s_cluster_name'), label(each, 'node')),
      each.value === 1,
    ]),
  );
  const placed = Map.groupBy(pods.filter(isActive), ({ cluster, node }) => keyOf(cluster, node));
  return [...table.values()].map(({ cluster, names: [name = ''], values }) => {
    const mine = placed.get(keyOf(cluster, name)) ?? [];
    const known = conditions.flatMap(([type, metric]) => {
      const value = values.get(metric);
      return value === undefined ? [] : [{ type, status: conditionStatus(value) }];
    });
    const ready = known.find(({ type }) => type === 'Ready')?.status;
    return {
      cluster,
      name,
      status: ready === 'True' ? 'Ready' : ready === undefined ? undefined : 'NotReady',
      unschedulable: told.get(keyOf(cluster, name)),
      conditions: known,
      pods: { count: mine.length, allocatable: values.get('k8s_node_allocatable_pods') },
      cpuCores: {
        ...sum(mine.map(({ cpuCores }) => cpuCores)),
        usage: values.get('k8s_node_cpu_usage'),
        allocatable: values.get('k8s_node_allocatable_cpu'),
      },
      memoryBytes: {
        ...sum(mine.map(({ memoryBytes }) => memoryBytes)),
        usage: values.get('k8s_node_memory_working_set_bytes'),
        allocatable: values.get('k8s_node_allocatable_memory_bytes'),
      },
      filesystemBytes: {
        usage: values.get('k8s_node_filesystem_usage_bytes'),
        capacity: values.get('k8s_node_filesystem_capacity_bytes'),
      },
    };
  });
}

function conditionStatus(value: number): 'True' | 'False' | 'Unknown' {
  return value === 1 ? 'True' : value === 0 ? 'False' : 'Unknown';
}

export const namespaceMetrics: readonly string[] = [
  'k8s_namespace_phase',
  'k8s_resource_quota_used',
  'k8s_resource_quota_hard_limit',
];

export function namespaces(of: Snapshot, pods: readonly Pod[]): readonly Namespace[] {
  const phases = new Map<string, { cluster: string; name: string; phase: number | undefined }>();
  for (const { cluster, namespace } of pods) {
    phases.set(keyOf(cluster, namespace), { cluster, name: namespace, phase: undefined });
  }
  for (const reading of readings(of, 'k8s_namespace_phase')) {
    const [cluster, name] = [label(reading, 'k8s_cluster_name'), label(reading, 'k8s_namespace_name')];
    phases.set(keyOf(cluster, name), { cluster, name, phase: reading.value });
  }
  const quotas = Map.groupBy(
    [...readings(of, 'k8s_resource_quota_used'), ...readings(of, 'k8s_resource_quota_hard_limit')],
    (each) => keyOf(label(each, 'k8s_cluster_name'), label(each, 'k8s_namespace_name')),
  );
  const inside = Map.groupBy(pods, ({ cluster, namespace }) => keyOf(cluster, namespace));
  return [...phases.values()].map(({ cluster, name, phase }) => {
    const mine = inside.get(keyOf(cluster, name)) ?? [];
    const running = mine.filter(isActive);
    return {
      cluster,
      name,
      phase: phase === 1 ? 'Active' : phase === 0 ? 'Terminating' : undefined,
      pods: { count: mine.length, byStatus: countBy(mine.map(({ status }) => status)) },
      restarts: total(mine.map(({ restarts }) => restarts)),
      cpuCores: sum(running.map(({ cpuCores }) => cpuCores)),
      memoryBytes: sum(running.map(({ memoryBytes }) => memoryBytes)),
      quotas: quotasOf(quotas.get(keyOf(cluster, name)) ?? []),
    };
  });
}

function quotasOf(of: readonly Reading[]): Namespace['quotas'] {
  const found = new Map<string, { name: string; resource: string; used?: number; hard?: number }>();
  for (const reading of of) {
    const [name, resource] = [label(reading, 'k8s_resourcequota_name'), label(reading, 'resource')];
    // Of `requests.cpu` and `limits.cpu` the receiver sends millicores, of the plain `cpu` whole cores. Source: resourcequotas.go
    // of k8sclusterreceiver.
    const value = resource.endsWith('.cpu') ? reading.value / 1000 : reading.value;
    const side = reading.metric === 'k8s_resource_quota_used' ? 'used' : 'hard';
    found.set(keyOf(name, resource), { name, resource, ...found.get(keyOf(name, resource)), [side]: value });
  }
  return [...found].sort(byKey).map(([, { name, resource, used, hard }]) => ({ name, resource, used, hard }));
}

interface Kind {
  readonly kind: string;
  readonly label: string;
  readonly desired?: string;
  readonly ready?: string;
  readonly active?: string;
  readonly failed?: string;
}

const kinds: readonly Kind[] = [
  {
    kind: 'Deployment',
    label: 'k8s_deployment_name',
    desired: 'k8s_deployment_desired',
    ready: 'k8s_deployment_available',
  },
  {
    kind: 'StatefulSet',
    label: 'k8s_statefulset_name',
    desired: 'k8s_statefulset_desired_pods',
    ready: 'k8s_statefulset_ready_pods',
  },
  {
    kind: 'DaemonSet',
    label: 'k8s_daemonset_name',
    desired: 'k8s_daemonset_desired_scheduled_nodes',
    ready: 'k8s_daemonset_ready_nodes',
  },
  {
    kind: 'Job',
    label: 'k8s_job_name',
    desired: 'k8s_job_desired_successful_pods',
    ready: 'k8s_job_successful_pods',
    active: 'k8s_job_active_pods',
    failed: 'k8s_job_failed_pods',
  },
  { kind: 'CronJob', label: 'k8s_cronjob_name', active: 'k8s_cronjob_active_jobs' },
];

export const workloadMetrics: readonly string[] = kinds.flatMap(({ desired, ready, active, failed }) =>
  [desired, ready, active, failed].filter((metric) => metric !== undefined),
);

export function workloads(of: Snapshot): readonly Workload[] {
  return kinds.flatMap(({ kind, label: name, ...metrics }) => {
    const table = tabulate(of, ['k8s_namespace_name', name], new Set(Object.values(metrics)));
    return [...table.values()].map(({ cluster, names: [namespace = '', name = ''], values }) => {
      const value = (metric: string | undefined) => (metric === undefined ? undefined : values.get(metric));
      const counts = {
        desired: value(metrics.desired),
        ready: value(metrics.ready),
        active: value(metrics.active),
        failed: value(metrics.failed),
      };
      return { cluster, namespace, kind, name, ...counts, status: statusOf(kind, counts) };
    });
  });
}

function statusOf(
  kind: string,
  { desired, ready, active, failed }: Pick<Workload, 'desired' | 'ready' | 'active' | 'failed'>,
): Workload['status'] {
  if (kind === 'CronJob') return 'Healthy';
  const isThere = (ready ?? 0) >= (desired ?? 0);
  if (kind !== 'Job') return isThere ? 'Healthy' : 'Progressing';
  if (isThere && (active ?? 0) === 0) return 'Complete';
  return (failed ?? 0) > 0 && (active ?? 0) === 0 ? 'Failed' : 'Progressing';
}

export function sum(uses: readonly Use[]): Use {
  return {
    usage: total(uses.map(({ usage }) => usage)),
    request: total(uses.map(({ request }) => request)),
    limit: total(uses.map(({ limit }) => limit)),
  };
}

export function countBy(words: readonly (string | undefined)[]): { readonly [word: string]: number } {
  const counts = new Map<string, number>();
  for (const word of words.map((word) => word ?? 'Unknown')) counts.set(word, (counts.get(word) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(byKey));
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Values by metric, of each thing that has these labels. */
function tabulate(of: Snapshot, by: readonly string[], metrics: ReadonlySet<string>) {
  const table = new Map<string, { cluster: string; names: readonly string[]; values: Map<string, number> }>();
  for (const [metric, list] of of) {
    if (!metrics.has(metric)) continue;
    for (const reading of list) {
      const cluster = label(reading, 'k8s_cluster_name');
      const names = by.map((name) => label(reading, name));
      if (names.includes('')) continue;
      const key = keyOf(cluster, ...names);
      let row = table.get(key);
      if (row === undefined) {
        row = { cluster, names, values: new Map() };
        table.set(key, row);
      }
      row.values.set(metric, reading.value);
    }
  }
  return table;
}
