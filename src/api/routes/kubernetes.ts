import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { formatTime, type Pod, type Use } from '../../query/index.ts';
import { bounded, json, nextCursor, pageEnd, unixNano } from '../answers.ts';
import { cancelOf } from '../cancel.ts';
import { cursor, limit, pageOf, range } from '../parameters.ts';
import type { Parts } from '../parts.ts';
import { problem } from '../problem.ts';

const known = z.number().nullable().describe('null where no receiver tells');
const use = { usage: known, request: known, limit: known.describe('null where none is set, or no receiver tells') };
const capacity = z.object({ ...use, allocatable: known });
const counts = z.record(z.string(), z.int());
const container = z.object({
  name: z.string(),
  ready: z.boolean().nullable(),
  restarts: known,
  reason: z.string().nullable().describe('Why it waits or ended, such as `CrashLoopBackOff`'),
  lastTerminatedReason: z.string().nullable(),
  cpuCores: z.object(use),
  memoryBytes: z.object(use),
});
const pod = z.object({
  cluster: z.string(),
  namespace: z.string(),
  name: z.string(),
  node: z.string(),
  phase: z.string().nullable(),
  status: z
    .string()
    .nullable()
    .describe("kubectl's word: `Running`, `Pending`, `CrashLoopBackOff`, `OOMKilled`, …; null where no receiver tells"),
  ready: z.string().nullable().describe('Containers that are ready, of all: `1/2`'),
  restarts: known,
  owner: z.object({ kind: z.string(), name: z.string() }).nullable(),
  cpuCores: z.object(use),
  memoryBytes: z.object(use),
  containers: z.array(container),
  lastSeen: z.string().describe('RFC 3339'),
});
const node = z.object({
  cluster: z.string(),
  name: z.string(),
  status: z.enum(['Ready', 'NotReady']).nullable(),
  unschedulable: z
    .boolean()
    .nullable()
    .describe("Cordoned, by the API server, or else the kubelet's last event of 7 days; null where neither is known"),
  conditions: z.array(z.object({ type: z.string(), status: z.enum(['True', 'False', 'Unknown']) })),
  pods: z.object({ count: z.int(), allocatable: known }),
  cpuCores: capacity,
  memoryBytes: capacity,
  filesystemBytes: z.object({ usage: known, capacity: known }),
});
const namespace = z.object({
  cluster: z.string(),
  name: z.string(),
  phase: z.enum(['Active', 'Terminating']).nullable(),
  pods: z.object({ count: z.int(), byStatus: counts }),
  restarts: known,
  cpuCores: z.object(use),
  memoryBytes: z.object(use),
  quotas: z.array(z.object({ name: z.string(), resource: z.string(), used: known, hard: known })),
});
const workload = z.object({
  cluster: z.string(),
  namespace: z.string(),
  kind: z.string(),
  name: z.string(),
  desired: known,
  ready: known,
  active: known,
  failed: known,
  status: z.enum(['Healthy', 'Progressing', 'Complete', 'Failed']),
});
const event = z.object({
  id: z.string(),
  timeUnixNano: unixNano,
  type: z.string().describe('`Normal` or `Warning`'),
  reason: z.string(),
  message: z.string(),
  cluster: z.string(),
  namespace: z.string(),
  node: z.string(),
  object: z.object({ kind: z.string(), name: z.string(), uid: z.string(), fieldPath: z.string() }),
  count: z.number(),
});
const overview = z.object({
  clusters: z.array(z.string()),
  nodes: z.object({ count: z.int(), ready: z.int() }),
  pods: z.object({ count: z.int(), byStatus: counts }),
  namespaces: z.int(),
  workloads: z.object({ count: z.int(), byStatus: counts }),
  cpuCores: capacity,
  memoryBytes: capacity,
  troubles: z.array(pod),
  ...bounded,
});

const exampleUse = { usage: 0.2, request: 0.1, limit: 0.5 };
const exampleBytes = { usage: 50331648, request: 67108864, limit: 134217728 };
const examplePod = {
  cluster: 'prod-eu',
  namespace: 'shop',
  name: 'checkout-6854bdcccb-glsnv',
  node: 'node-1',
  phase: 'Running',
  status: 'CrashLoopBackOff',
  ready: '0/1',
  restarts: 7,
  owner: { kind: 'Deployment', name: 'checkout' },
  cpuCores: exampleUse,
  memoryBytes: exampleBytes,
  containers: [
    {
      name: 'app',
      ready: false,
      restarts: 7,
      reason: 'CrashLoopBackOff',
      lastTerminatedReason: 'OOMKilled',
      cpuCores: exampleUse,
      memoryBytes: exampleBytes,
    },
  ],
  lastSeen: '2026-01-31T08:00:00.000000000Z',
};
const examples = {
  overview: {
    clusters: ['prod-eu'],
    nodes: { count: 3, ready: 3 },
    pods: { count: 41, byStatus: { Running: 40, CrashLoopBackOff: 1 } },
    namespaces: 5,
    workloads: { count: 17, byStatus: { Healthy: 16, Progressing: 1 } },
    cpuCores: { ...exampleUse, allocatable: 12 },
    memoryBytes: { ...exampleBytes, allocatable: 25769803776 },
    troubles: [examplePod],
  },
  node: {
    cluster: 'prod-eu',
    name: 'node-1',
    status: 'Ready' as const,
    unschedulable: false,
    conditions: [{ type: 'Ready', status: 'True' as const }],
    pods: { count: 14, allocatable: 110 },
    cpuCores: { ...exampleUse, allocatable: 4 },
    memoryBytes: { ...exampleBytes, allocatable: 8589934592 },
    filesystemBytes: { usage: 10737418240, capacity: 107374182400 },
  },
  namespace: {
    cluster: 'prod-eu',
    name: 'shop',
    phase: 'Active' as const,
    pods: { count: 9, byStatus: { Running: 9 } },
    restarts: 0,
    cpuCores: exampleUse,
    memoryBytes: exampleBytes,
    quotas: [{ name: 'shop', resource: 'requests.cpu', used: 1.5, hard: 4 }],
  },
  workload: {
    cluster: 'prod-eu',
    namespace: 'shop',
    kind: 'Deployment',
    name: 'checkout',
    desired: 3,
    ready: 3,
    active: null,
    failed: null,
    status: 'Healthy' as const,
  },
  event: {
    id: '019c0f2a6e00-9f86d081884c7d65-0',
    timeUnixNano: '1769846400000000000',
    type: 'Warning',
    reason: 'BackOff',
    message: 'Back-off restarting failed container app in pod checkout-6854bdcccb-glsnv',
    cluster: 'prod-eu',
    namespace: 'shop',
    node: 'node-1',
    object: { kind: 'Pod', name: 'checkout-6854bdcccb-glsnv', uid: '', fieldPath: 'spec.containers{app}' },
    count: 4,
  },
};

const scope = {
  cluster: z.string().optional().meta({ description: '`k8s.cluster.name`; all clusters when left out.' }),
  namespace: z.string().optional().meta({ description: '`k8s.namespace.name`; all namespaces when left out.' }),
};
const list = { ...scope, ...range, ...limit, ...cursor };
const tags = ['kubernetes'];

export function kubernetesRoutes({ queries, clock }: Parts): FastifyPluginAsyncZod {
  return async (app) => {
    const searchOf = (query: {
      start?: string | undefined;
      end?: string | undefined;
      cursor?: string | undefined;
      limit: number;
      cluster?: string | undefined;
      namespace?: string | undefined;
    }) => ({
      ...pageOf(query, clock.nowUnixNano()),
      limit: query.limit,
      cluster: query.cluster,
      namespace: query.namespace,
    });

    app.get(
      '/api/v1/k8s/overview',
      {
        schema: {
          tags,
          summary: 'Clusters at the end of a time: counts, use, and the pods in trouble',
          querystring: z.strictObject({ ...scope, ...range }),
          response: { 200: json('Overview', overview.meta({ example: examples.overview })), default: problem },
        },
      },
      async ({ query }, reply) => {
        const search = searchOf({ ...query, limit: 1 });
        const { troubles, cpuCores, memoryBytes, warnings, ...found } = await queries.kubernetes.overview(
          search,
          cancelOf(reply),
        );
        return {
          ...found,
          clusters: [...found.clusters],
          cpuCores: capacityOf(cpuCores),
          memoryBytes: capacityOf(memoryBytes),
          troubles: troubles.map(podOf),
          ...(warnings.length > 0 ? { incomplete: true as const, warnings: [...warnings] } : {}),
        };
      },
    );
    app.get(
      '/api/v1/k8s/nodes',
      {
        schema: {
          tags,
          summary: 'Nodes at the end of a time',
          querystring: z.strictObject({ cluster: scope.cluster, ...range, ...limit, ...cursor }),
          response: {
            200: json(
              'By cluster and name',
              z
                .object({ nodes: z.array(node), nextCursor, ...bounded })
                .meta({ example: { nodes: [examples.node], nextCursor: null } }),
            ),
            default: problem,
          },
        },
      },
      async ({ query }, reply) => {
        const search = searchOf(query);
        const page = await queries.kubernetes.nodes(search, cancelOf(reply));
        return {
          nodes: page.items.map(
            ({ status, unschedulable, conditions, pods, cpuCores, memoryBytes, filesystemBytes, ...node }) => ({
              ...node,
              status: status ?? null,
              unschedulable: unschedulable ?? null,
              conditions: [...conditions],
              pods: { count: pods.count, allocatable: pods.allocatable ?? null },
              cpuCores: capacityOf(cpuCores),
              memoryBytes: capacityOf(memoryBytes),
              filesystemBytes: { usage: filesystemBytes.usage ?? null, capacity: filesystemBytes.capacity ?? null },
            }),
          ),
          ...pageEnd(page, search.range),
        };
      },
    );
    app.get(
      '/api/v1/k8s/pods',
      {
        schema: {
          tags,
          summary: 'Pods at the end of a time; those of which only logs tell have no status',
          querystring: z.strictObject(list),
          response: {
            200: json(
              'By cluster, namespace and name',
              z
                .object({ pods: z.array(pod), nextCursor, ...bounded })
                .meta({ example: { pods: [examplePod], nextCursor: null } }),
            ),
            default: problem,
          },
        },
      },
      async ({ query }, reply) => {
        const search = searchOf(query);
        const page = await queries.kubernetes.pods(search, cancelOf(reply));
        return { pods: page.items.map(podOf), ...pageEnd(page, search.range) };
      },
    );
    app.get(
      '/api/v1/k8s/namespaces',
      {
        schema: {
          tags,
          summary: 'Namespaces at the end of a time, with their quotas',
          querystring: z.strictObject(list),
          response: {
            200: json(
              'By cluster and name',
              z
                .object({ namespaces: z.array(namespace), nextCursor, ...bounded })
                .meta({ example: { namespaces: [examples.namespace], nextCursor: null } }),
            ),
            default: problem,
          },
        },
      },
      async ({ query }, reply) => {
        const search = searchOf(query);
        const page = await queries.kubernetes.namespaces(search, cancelOf(reply));
        return {
          namespaces: page.items.map(({ phase, restarts, cpuCores, memoryBytes, quotas, ...namespace }) => ({
            ...namespace,
            phase: phase ?? null,
            restarts: restarts ?? null,
            cpuCores: useOf(cpuCores),
            memoryBytes: useOf(memoryBytes),
            quotas: quotas.map(({ used, hard, ...quota }) => ({ ...quota, used: used ?? null, hard: hard ?? null })),
          })),
          ...pageEnd(page, search.range),
        };
      },
    );
    app.get(
      '/api/v1/k8s/workloads',
      {
        schema: {
          tags,
          summary: 'Deployments, StatefulSets, DaemonSets, Jobs and CronJobs at the end of a time',
          querystring: z.strictObject(list),
          response: {
            200: json(
              'By cluster, namespace, kind and name',
              z
                .object({ workloads: z.array(workload), nextCursor, ...bounded })
                .meta({ example: { workloads: [examples.workload], nextCursor: null } }),
            ),
            default: problem,
          },
        },
      },
      async ({ query }, reply) => {
        const search = searchOf(query);
        const page = await queries.kubernetes.workloads(search, cancelOf(reply));
        return {
          workloads: page.items.map(({ desired, ready, active, failed, ...workload }) => ({
            ...workload,
            desired: desired ?? null,
            ready: ready ?? null,
            active: active ?? null,
            failed: failed ?? null,
          })),
          ...pageEnd(page, search.range),
        };
      },
    );
    app.get(
      '/api/v1/k8s/events',
      {
        schema: {
          tags,
          summary: 'Events of Kubernetes in a time, newest first',
          querystring: z.strictObject({
            ...list,
            type: z.enum(['Normal', 'Warning'], 'expected Normal or Warning, once').optional(),
            kind: z.string().optional().meta({ description: 'Kind of the object, such as `Pod`.' }),
            name: z.string().optional().meta({ description: 'Name of the object.' }),
            reason: z.string().optional().meta({ description: 'Such as `BackOff`.' }),
          }),
          response: {
            200: json(
              'A page of events',
              z
                .object({ events: z.array(event), nextCursor, ...bounded })
                .meta({ example: { events: [examples.event], nextCursor: null } }),
            ),
            default: problem,
          },
        },
      },
      async ({ query }, reply) => {
        const { type, kind, name, reason } = query;
        const search = { ...searchOf(query), type, kind, name, reason };
        const page = await queries.kubernetes.events(search, cancelOf(reply));
        return {
          events: page.items.map((event) => ({ ...event, timeUnixNano: String(event.timeUnixNano) })),
          ...pageEnd(page, search.range),
        };
      },
    );
  };
}

function useOf({ usage, request, limit }: Use) {
  return { usage: usage ?? null, request: request ?? null, limit: limit ?? null };
}

function capacityOf(use: Use & { readonly allocatable: number | undefined }) {
  return { ...useOf(use), allocatable: use.allocatable ?? null };
}

function podOf({
  phase,
  status,
  restarts,
  readyContainers,
  lastSeenUnixMs,
  owner,
  cpuCores,
  memoryBytes,
  containers,
  ...pod
}: Pod) {
  return {
    ...pod,
    phase: phase ?? null,
    status: status ?? null,
    restarts: restarts ?? null,
    ready: readyContainers === undefined ? null : `${readyContainers}/${containers.length}`,
    owner: owner ?? null,
    cpuCores: useOf(cpuCores),
    memoryBytes: useOf(memoryBytes),
    containers: containers.map(
      ({ ready, restarts, reason, lastTerminatedReason, cpuCores, memoryBytes, ...container }) => ({
        ...container,
        ready: ready ?? null,
        restarts: restarts ?? null,
        reason: reason ?? null,
        lastTerminatedReason: lastTerminatedReason ?? null,
        cpuCores: useOf(cpuCores),
        memoryBytes: useOf(memoryBytes),
      }),
    ),
    lastSeen: formatTime(BigInt(lastSeenUnixMs) * 1_000_000n),
  };
}
