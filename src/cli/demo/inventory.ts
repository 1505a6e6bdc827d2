import { attributes, type Resource } from '../otlp/json.ts';
import type { Incident } from './events.ts';
import type { Pods } from './journeys.ts';
import { createRandom, type Random } from './random.ts';
import { demoMark, nodes, type Pod, services } from './shop.ts';

// What runs in the demo's cluster beside the shop's six services: databases, a job each quarter of an hour, one Deployment that
// never comes up, and what every cluster has. And how each pod is doing at a time.

/** One container, as the pod's specification has it; undefined: none is set. */
interface Container {
  readonly name: string;
  readonly image: string;
  readonly tag: string;
  readonly cpuRequest?: number;
  readonly cpuLimit?: number;
  readonly memoryRequestMiB?: number;
  readonly memoryLimitMiB?: number;
}

/** A pod with one container. */
export interface ClusterPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  /** With what enrichment adds: node and owners. */
  readonly resource: Resource;
  readonly container: Container;
  /** What it takes when it is quiet: cores and MiB. */
  readonly cpu: number;
  readonly memoryMiB: number;
  readonly state: (atMs: number) => PodState;
}

interface PodState {
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed';
  readonly isReady: boolean;
  readonly restarts: number;
  /** Why the container waits or ended. */
  readonly reason?: string;
  readonly lastTerminatedReason?: string;
}

/** Something with pods. */
export interface Workload {
  readonly kind: 'Deployment' | 'StatefulSet' | 'DaemonSet';
  readonly namespace: string;
  readonly name: string;
  /** Of a Deployment. */
  readonly replicaSet?: string;
  readonly uid: string;
  readonly pods: readonly ClusterPod[];
}

/** A run of the CronJob. */
interface Job {
  readonly name: string;
  readonly uid: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly pod: ClusterPod;
}

export interface Inventory {
  readonly workloads: readonly Workload[];
  /** The pod in a crash loop. */
  readonly crashing: ClusterPod;
  readonly cronJobUid: string;
  /** The job that ran last, at a time. */
  jobAt(atMs: number): Job;
}

export const cronJob = { namespace: 'shop', name: 'catalog-reindex' } as const;
export const jobIntervalMs = 15 * 60_000;
/** From a crash of `recommendations` to the next: the longest that the kubelet waits. */
export const crashIntervalMs = 5 * 60_000;
/** What it counted before the story begins. */
const crashesBefore = 24;
/** Times after the incident began at which `fraud-check` ran out of memory. */
const oomKillsAfterMs = [20_000, 60_000] as const;

/** @param beginMs Since when the demo tells; Unix milliseconds. */
export function createInventory(
  random: Random,
  pods: Pods,
  beginMs: number,
  incident: Incident | undefined,
): Inventory {
  const make = (of: Omit<ClusterPod, 'uid' | 'resource'>, owners: Record<string, string>): ClusterPod => {
    const uid = random.uuid();
    return { ...of, uid, resource: podResource(of, uid, owners) };
  };
  const well: PodState = { phase: 'Running', isReady: true, restarts: 0 };
  const fixed = (state: PodState) => () => state;

  const ofShop = Object.values(pods).map(([first, second]): Workload => {
    const { namespace } = services[first.service];
    const both = [first, second].map((pod, index) =>
      shopPod(pod, pod.service === 'fraud-check' && index === 0 ? sickState(incident) : fixed(well)),
    );
    const [kind, uid] = ['Deployment', random.uuid()] as const;
    return { kind, namespace, name: first.service, replicaSet: first.replicaSet, uid, pods: both };
  });

  const deployment = (
    { namespace, name, replicas }: { namespace: string; name: string; replicas: number },
    of: Pick<ClusterPod, 'container' | 'cpu' | 'memoryMiB' | 'state'>,
  ): Workload => {
    const replicaSet = `${name}-${random.hex(5)}`;
    const owners = { 'k8s.deployment.name': name, 'k8s.replicaset.name': replicaSet };
    const pods = nodes
      .slice(0, replicas)
      .map((node) => make({ ...of, namespace, node, name: `${replicaSet}-${random.hex(3).slice(0, 5)}` }, owners));
    return { kind: 'Deployment', namespace, name, replicaSet, uid: random.uuid(), pods };
  };
  const statefulSet = (
    name: string,
    node: string,
    of: Pick<ClusterPod, 'container' | 'cpu' | 'memoryMiB'>,
  ): Workload => ({
    kind: 'StatefulSet',
    namespace: 'shop',
    name,
    uid: random.uuid(),
    pods: [
      make({ ...of, namespace: 'shop', node, name: `${name}-0`, state: fixed(well) }, { 'k8s.statefulset.name': name }),
    ],
  });

  const recommendations = deployment(
    { namespace: 'shop', name: 'recommendations', replicas: 1 },
    {
      container: {
        name: 'recommendations',
        image: 'registry.example/recommendations',
        tag: '0.9.0',
        cpuRequest: 0.1,
        cpuLimit: 0.5,
        memoryRequestMiB: 128,
        memoryLimitMiB: 256,
      },
      cpu: 0,
      memoryMiB: 0,
      state: (atMs) => ({
        phase: 'Running',
        isReady: false,
        restarts: crashesBefore + Math.max(0, Math.floor((atMs - beginMs) / crashIntervalMs)),
        reason: 'CrashLoopBackOff',
        lastTerminatedReason: 'Error',
      }),
    },
  );
  const proxies: Workload = {
    kind: 'DaemonSet',
    namespace: 'kube-system',
    name: 'kube-proxy',
    uid: random.uuid(),
    pods: nodes.map((node) =>
      make(
        {
          namespace: 'kube-system',
          node,
          name: `kube-proxy-${random.hex(3).slice(0, 5)}`,
          container: { name: 'kube-proxy', image: 'registry.k8s.io/kube-proxy', tag: 'v1.36.0' },
          cpu: 0.01,
          memoryMiB: 24,
          state: fixed(well),
        },
        { 'k8s.daemonset.name': 'kube-proxy' },
      ),
    ),
  };
  const workloads: readonly Workload[] = [
    ...ofShop,
    recommendations,
    statefulSet('postgresql', 'node-a', {
      container: {
        name: 'postgresql',
        image: 'docker.io/library/postgres',
        tag: '18.1',
        cpuRequest: 0.25,
        cpuLimit: 1,
        memoryRequestMiB: 512,
        memoryLimitMiB: 1024,
      },
      cpu: 0.18,
      memoryMiB: 620,
    }),
    statefulSet('redis', 'node-b', {
      container: {
        name: 'redis',
        image: 'docker.io/library/redis',
        tag: '8.4.0',
        cpuRequest: 0.1,
        cpuLimit: 0.25,
        memoryRequestMiB: 128,
        memoryLimitMiB: 256,
      },
      cpu: 0.04,
      memoryMiB: 85,
    }),
    deployment(
      { namespace: 'kube-system', name: 'coredns', replicas: 2 },
      {
        container: {
          name: 'coredns',
          image: 'registry.k8s.io/coredns/coredns',
          tag: 'v1.13.1',
          cpuRequest: 0.1,
          memoryRequestMiB: 70,
          memoryLimitMiB: 170,
        },
        cpu: 0.01,
        memoryMiB: 31,
        state: fixed(well),
      },
    ),
    proxies,
  ];

  const cronJobUid = random.uuid();
  let job: Job | undefined;
  return {
    workloads,
    crashing: recommendations.pods[0]!,
    cronJobUid,
    jobAt(atMs) {
      const startMs = Math.floor(atMs / jobIntervalMs) * jobIntervalMs;
      if (job?.startMs !== startMs) job = createJob(startMs);
      return job;
    },
  };
}

/** As the controller names it: by the minute for which it was scheduled. The same whoever asks, and when. */
function createJob(startMs: number): Job {
  const random = createRandom(startMs / 60_000);
  const name = `${cronJob.name}-${startMs / 60_000}`;
  const endMs = startMs + 35_000 + Math.floor(10_000 * random.next());
  const of = {
    namespace: cronJob.namespace,
    name: `${name}-${random.hex(3).slice(0, 5)}`,
    node: random.pick(nodes),
    container: {
      name: 'reindex',
      image: 'registry.example/catalog',
      tag: services.catalog.version,
      cpuRequest: 0.2,
      cpuLimit: 0.5,
      memoryRequestMiB: 64,
      memoryLimitMiB: 128,
    },
    cpu: 0.3,
    memoryMiB: 70,
    state: (atMs: number): PodState =>
      atMs < endMs
        ? { phase: 'Running', isReady: true, restarts: 0 }
        : { phase: 'Succeeded', isReady: false, restarts: 0, reason: 'Completed' },
  };
  const uid = random.uuid();
  const owners = { 'k8s.job.name': name, 'k8s.cronjob.name': cronJob.name };
  return { name, uid: random.uuid(), startMs, endMs, pod: { ...of, uid, resource: podResource(of, uid, owners) } };
}

function shopPod(pod: Pod, state: ClusterPod['state']): ClusterPod {
  const { namespace, version, cpu, memoryMiB, memoryLimitMiB } = services[pod.service];
  const cpuRequest = Math.ceil(cpu * 10) / 10;
  return {
    namespace,
    name: pod.name,
    uid: pod.uid,
    node: pod.node,
    resource: pod.podResource,
    container: {
      name: pod.service,
      image: `registry.example/${pod.service}`,
      tag: version,
      cpuRequest,
      cpuLimit: Math.round(cpuRequest * 30) / 10,
      memoryRequestMiB: memoryLimitMiB / 2,
      memoryLimitMiB,
    },
    cpu,
    memoryMiB,
    state,
  };
}

/** `fraud-check` in the incident: killed for its memory, and not ready until it is rolled back. */
function sickState(incident: Incident | undefined): ClusterPod['state'] {
  const well = { phase: 'Running', isReady: true, restarts: 0 } as const;
  if (incident === undefined) return () => well;
  const kills = oomKillsAfterMs.map((afterMs) => incident.sickMs + afterMs).filter((ms) => ms < incident.mendedMs);
  return (atMs) => {
    const restarts = kills.filter((killMs) => atMs >= killMs).length;
    if (restarts === 0) return well;
    return { ...well, restarts, isReady: atMs >= incident.mendedMs, lastTerminatedReason: 'OOMKilled' };
  };
}

function podResource(
  { namespace, name, node }: Pick<ClusterPod, 'namespace' | 'name' | 'node'>,
  uid: string,
  owners: Readonly<Record<string, string>>,
): Resource {
  return {
    attributes: attributes({
      'k8s.namespace.name': namespace,
      'k8s.pod.name': name,
      'k8s.pod.uid': uid,
      'k8s.node.name': node,
      ...owners,
      ...demoMark,
    }),
  };
}
