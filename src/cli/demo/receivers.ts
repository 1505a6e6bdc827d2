import { attributes, cumulative, type KeyValue, type Metric, type Requests, type Resource } from '../otlp/json.ts';
import { type ClusterPod, cronJob, type Inventory, type Workload } from './inventory.ts';
import type { Weather } from './journeys.ts';
import type { Random } from './random.ts';
import { demoMark, nodes, services } from './shop.ts';

// What the Collector's receivers send of the demo's cluster: kubelet_stats and host_metrics of each node, k8s_cluster of all.

/** Times are Unix milliseconds, and grow. */
export interface Receivers {
  /** What kubelets and hosts measure. */
  measured(atMs: number, weather: Weather): Requests['metrics'];
  /** What the API server tells. */
  told(atMs: number): Requests['metrics'];
}

const scopes = 'github.com/open-telemetry/opentelemetry-collector-contrib/receiver';
const mib = 2 ** 20;
const node = { cpuCores: 4, memoryBytes: 16 * 2 ** 30, pods: 110, filesystemBytes: 100 * 2 ** 30 };
/** What a node's own programs take. */
const system = { cpu: 0.14, memoryMiB: 900, filesystemBytes: 31 * 2 ** 30 };
/** Values of `k8s.pod.phase`. */
const phases = { Pending: 1, Running: 2, Succeeded: 3, Failed: 4 } as const;
const reasons = [
  'Completed',
  'ContainerCannotRun',
  'ContainerCreating',
  'CrashLoopBackOff',
  'CreateContainerConfigError',
  'ErrImagePull',
  'Error',
  'ImagePullBackOff',
  'OOMKilled',
] as const;
const noStatusReason = 6;

export function createReceivers(random: Random, inventory: Inventory, beginMs: number): Receivers {
  const start = String(BigInt(beginMs) * 1_000_000n);
  /** Running totals, by whose they are. */
  const totals = new Map<string, number>();
  const grown = (of: string, by: number) => {
    const total = (totals.get(of) ?? 0) + by;
    totals.set(of, total);
    return total;
  };
  const uids = new Map<string, string>(nodes.map((name) => [name, random.uuid()]));
  let measuredMs = beginMs;

  return {
    measured(atMs, weather) {
      const seconds = (atMs - measuredMs) / 1000;
      measuredMs = atMs;
      const time = String(BigInt(atMs) * 1_000_000n);
      const counter = (name: string, unit: string, points: readonly [number, Record<string, string>][]): Metric => ({
        name,
        unit,
        description: '',
        sum: {
          aggregationTemporality: cumulative,
          isMonotonic: true,
          dataPoints: points.map(([value, labels]) => ({
            attributes: attributes(labels),
            startTimeUnixNano: start,
            timeUnixNano: time,
            ...(Number.isInteger(value) ? { asInt: String(value) } : { asDouble: value }),
          })),
        },
      });
      const traffic = (name: string, of: string, bytesPerSecond: number) =>
        counter(
          name,
          'By',
          (['receive', 'transmit'] as const).map((direction) => [
            grown(`${of} ${direction}`, Math.round(bytesPerSecond * seconds * (0.5 + random.next()))),
            { interface: 'eth0', direction },
          ]),
        );
      const pods = podsAt(inventory, atMs).filter((pod) => pod.state(atMs).phase === 'Running');
      const of = pods.map((pod) => ({ pod, ...use(pod, atMs, weather, random) }));
      const ofPods = of.flatMap(({ pod, cpu, memoryBytes }) => {
        const ofPod = resourceMetrics(pod.resource, 'kubeletstatsreceiver', [
          gauge('k8s.pod.cpu.usage', '{cpu}', time, cpu),
          gauge('k8s.pod.memory.working_set', 'By', time, memoryBytes),
          traffic('k8s.pod.network.io', pod.uid, 200_000 * cpu),
        ]);
        if (cpu === 0) return [ofPod];
        return [
          ofPod,
          resourceMetrics(containerResource(pod), 'kubeletstatsreceiver', [
            gauge('container.cpu.usage', '{cpu}', time, cpu),
            counter('container.cpu.time', 's', [[grown(pod.uid, cpu * seconds), {}]]),
            gauge('container.memory.working_set', 'By', time, memoryBytes),
          ]),
        ];
      });
      const ofNodes = nodes.flatMap((name) => {
        const mine = of.filter(({ pod }) => pod.node === name);
        const own = system.cpu * (0.8 + 0.4 * random.next());
        const cpu = Number(mine.reduce((sum, each) => sum + each.cpu, own).toFixed(9));
        const memoryBytes = mine.reduce((sum, each) => sum + each.memoryBytes, system.memoryMiB * mib);
        const resource = resourceOf({ 'k8s.node.name': name });
        const load = (minutes: number) =>
          gauge(`system.cpu.load_average.${minutes}m`, '{thread}', time, cpu * (1 + random.next() / minutes));
        return [
          resourceMetrics(resource, 'kubeletstatsreceiver', [
            gauge('k8s.node.cpu.usage', '{cpu}', time, cpu),
            gauge('k8s.node.memory.working_set', 'By', time, memoryBytes),
            gauge('k8s.node.filesystem.usage', 'By', time, system.filesystemBytes + (atMs - beginMs) * 100),
            gauge('k8s.node.filesystem.capacity', 'By', time, node.filesystemBytes),
            traffic('k8s.node.network.io', name, 300_000 * cpu),
          ]),
          resourceMetrics(resource, 'hostmetricsreceiver', [
            load(1),
            load(5),
            load(15),
            counter(
              'system.disk.io',
              'By',
              (['read', 'write'] as const).map((direction) => [
                grown(`${name} ${direction}`, Math.round(400_000 * seconds * random.next())),
                { device: 'vda', direction },
              ]),
            ),
          ]),
        ];
      });
      return { resourceMetrics: [...ofNodes, ...ofPods] };
    },

    told(atMs) {
      const time = String(BigInt(atMs) * 1_000_000n);
      const say = (resource: Resource, values: Readonly<Record<string, number | undefined>>) =>
        resourceMetrics(
          resource,
          'k8sclusterreceiver',
          Object.entries(values).flatMap(([name, value]) =>
            value === undefined ? [] : gauge(name, unitOf(name), time, value),
          ),
        );
      const ofNodes = nodes.map((name) =>
        say(resourceOf({ 'k8s.node.name': name, 'k8s.node.uid': uids.get(name)! }), {
          'k8s.node.condition_ready': 1,
          'k8s.node.condition_memory_pressure': 0,
          'k8s.node.condition_disk_pressure': 0,
          'k8s.node.condition_pid_pressure': 0,
          'k8s.node.allocatable_cpu': node.cpuCores,
          'k8s.node.allocatable_memory': node.memoryBytes,
          'k8s.node.allocatable_pods': node.pods,
        }),
      );
      // As this product's own metric has it, scraped: no receiver tells.
      const cordons = resourceMetrics(resourceOf({}), 'prometheusreceiver', [
        {
          name: 'watchingcat_kubernetes_node_unschedulable',
          unit: '',
          description: '',
          gauge: {
            dataPoints: nodes.map((node) => ({ attributes: attributes({ node }), timeUnixNano: time, asInt: '0' })),
          },
        },
      ]);
      const pods = podsAt(inventory, atMs);
      const ofPods = pods.flatMap((pod) => {
        const { phase, isReady, restarts, reason, lastTerminatedReason } = pod.state(atMs);
        const { cpuRequest, cpuLimit, memoryRequestMiB, memoryLimitMiB, image, tag } = pod.container;
        const more = attributes({
          'container.image.name': image,
          'container.image.tag': tag,
          ...(lastTerminatedReason && { 'k8s.container.status.last_terminated_reason': lastTerminatedReason }),
        });
        const container = containerResource(pod, more);
        return [
          say(pod.resource, { 'k8s.pod.phase': phases[phase], 'k8s.pod.status_reason': noStatusReason }),
          say(container, {
            'k8s.container.ready': Number(isReady),
            'k8s.container.restarts': restarts,
            'k8s.container.cpu_request': cpuRequest,
            'k8s.container.cpu_limit': cpuLimit,
            'k8s.container.memory_request': bytes(memoryRequestMiB),
            'k8s.container.memory_limit': bytes(memoryLimitMiB),
          }),
          resourceMetrics(container, 'k8sclusterreceiver', [
            {
              name: 'k8s.container.status.reason',
              unit: '{container}',
              description: '',
              sum: {
                aggregationTemporality: cumulative,
                isMonotonic: false,
                dataPoints: reasons.map((each) => ({
                  attributes: attributes({ 'k8s.container.status.reason': each }),
                  timeUnixNano: time,
                  asInt: each === reason ? '1' : '0',
                })),
              },
            },
          ]),
        ];
      });
      const job = inventory.jobAt(atMs);
      const isActive = Number(atMs < job.endMs);
      return {
        resourceMetrics: [
          ...ofNodes,
          cordons,
          ...ofPods,
          ...inventory.workloads.flatMap((workload) => {
            const ready = workload.pods.filter((pod) => pod.state(atMs).isReady).length;
            return workloadMetrics(workload, ready).map(([keys, values]) =>
              say(resourceOf({ ...keys, 'k8s.namespace.name': workload.namespace }), values),
            );
          }),
          say(cronJobResource(inventory), {
            'k8s.cronjob.active_jobs': isActive,
          }),
          say(
            resourceOf({
              'k8s.namespace.name': cronJob.namespace,
              'k8s.job.name': job.name,
              'k8s.job.uid': job.uid,
            }),
            {
              'k8s.job.active_pods': isActive,
              'k8s.job.desired_successful_pods': 1,
              'k8s.job.failed_pods': 0,
              'k8s.job.max_parallel_pods': 1,
              'k8s.job.successful_pods': 1 - isActive,
            },
          ),
          ...['default', 'kube-system', 'payments', 'shop'].map((name) =>
            say(resourceOf({ 'k8s.namespace.name': name }), { 'k8s.namespace.phase': 1 }),
          ),
          ...quota(
            pods.filter(({ namespace }) => namespace === 'payments'),
            time,
          ),
        ],
      };
    },
  };
}

function podsAt(inventory: Inventory, atMs: number): readonly ClusterPod[] {
  return [...inventory.workloads.flatMap(({ pods }) => pods), inventory.jobAt(atMs).pod];
}

/** A sick fraud-check climbs to its limit; what waits to be started again takes nothing. */
function use(pod: ClusterPod, atMs: number, { fraudCheckIsSick }: Weather, random: Random) {
  const isSick = fraudCheckIsSick && pod.container.name === 'fraud-check';
  const { memoryLimitMiB } = services['fraud-check'];
  if (pod.state(atMs).reason !== undefined) return { cpu: 0, memoryBytes: 0 };
  return {
    // In whole nanocores, as kubelets tell.
    cpu: Number((pod.cpu * (0.8 + 0.4 * random.next()) * (isSick ? 2.4 : 1)).toFixed(9)),
    memoryBytes: Math.round(
      mib * (isSick ? memoryLimitMiB * (0.93 + 0.06 * random.next()) : pod.memoryMiB * (0.95 + 0.1 * random.next())),
    ),
  };
}

function workloadMetrics(
  { kind, name, uid, replicaSet = '', pods: { length } }: Workload,
  ready: number,
): [Record<string, string>, Record<string, number>][] {
  switch (kind) {
    case 'Deployment':
      return [
        [
          { 'k8s.deployment.name': name, 'k8s.deployment.uid': uid },
          { 'k8s.deployment.desired': length, 'k8s.deployment.available': ready },
        ],
        [
          { 'k8s.replicaset.name': replicaSet },
          { 'k8s.replicaset.desired': length, 'k8s.replicaset.available': ready },
        ],
      ];
    case 'StatefulSet':
      return [
        [
          { 'k8s.statefulset.name': name, 'k8s.statefulset.uid': uid },
          {
            'k8s.statefulset.desired_pods': length,
            'k8s.statefulset.ready_pods': ready,
            'k8s.statefulset.current_pods': length,
            'k8s.statefulset.updated_pods': length,
          },
        ],
      ];
    case 'DaemonSet':
      return [
        [
          { 'k8s.daemonset.name': name, 'k8s.daemonset.uid': uid },
          {
            'k8s.daemonset.desired_scheduled_nodes': length,
            'k8s.daemonset.current_scheduled_nodes': length,
            'k8s.daemonset.misscheduled_nodes': 0,
            'k8s.daemonset.ready_nodes': ready,
          },
        ],
      ];
  }
}

/** CPU in millicores, as the receiver sends it. */
function quota(pods: readonly ClusterPod[], time: string) {
  const sum = (of: (pod: ClusterPod) => number | undefined) => pods.reduce((all, pod) => all + (of(pod) ?? 0), 0);
  const rows = [
    ['requests.cpu', Math.round(1000 * sum(({ container }) => container.cpuRequest)), 2000],
    ['requests.memory', bytes(sum(({ container }) => container.memoryRequestMiB))!, 4 * 2 ** 30],
    ['pods', pods.length, 10],
  ] as const;
  const points = (of: 1 | 2) =>
    rows.map((row) => ({
      attributes: attributes({ resource: row[0] }),
      timeUnixNano: time,
      asInt: String(row[of]),
    }));
  const metric = (name: string, dataPoints: ReturnType<typeof points>): Metric => ({
    name,
    unit: '{resource}',
    description: '',
    gauge: { dataPoints },
  });
  const resource = resourceOf({ 'k8s.namespace.name': 'payments', 'k8s.resourcequota.name': 'payments' });
  return [
    resourceMetrics(resource, 'k8sclusterreceiver', [
      metric('k8s.resource_quota.used', points(1)),
      metric('k8s.resource_quota.hard_limit', points(2)),
    ]),
  ];
}

function bytes(memoryMiB: number | undefined): number | undefined {
  return memoryMiB === undefined ? undefined : memoryMiB * mib;
}

function containerResource({ resource, container }: ClusterPod, more: readonly KeyValue[] = []): Resource {
  return { attributes: [...resource.attributes, ...attributes({ 'k8s.container.name': container.name }), ...more] };
}

function resourceOf(values: Readonly<Record<string, string>>): Resource {
  return { attributes: attributes({ ...values, ...demoMark }) };
}

function cronJobResource({ cronJobUid }: Inventory): Resource {
  return resourceOf({
    'k8s.namespace.name': cronJob.namespace,
    'k8s.cronjob.name': cronJob.name,
    'k8s.cronjob.uid': cronJobUid,
  });
}

function resourceMetrics(resource: Resource, receiver: string, metrics: Metric[]) {
  return { resource, scopeMetrics: [{ scope: { name: `${scopes}/${receiver}` }, metrics }] };
}

function gauge(name: string, unit: string, timeUnixNano: string, value: number): Metric {
  const asNumber = Number.isInteger(value) ? { asInt: String(value) } : { asDouble: value };
  return { name, unit, description: '', gauge: { dataPoints: [{ attributes: [], timeUnixNano, ...asNumber }] } };
}

function unitOf(name: string): string {
  if (/memory(_request|_limit)?$/.test(name)) return 'By';
  if (/cpu(_request|_limit)?$/.test(name)) return '{cpu}';
  if (/restarts$/.test(name)) return '{restart}';
  if (/active_jobs$/.test(name)) return '{job}';
  if (/daemonset/.test(name)) return '{node}';
  return /pods$|deployment|replicaset/.test(name) ? '{pod}' : '';
}
