import { z } from 'zod';
import { formatTime, type Pod, type Use } from '../query/index.ts';
import { bounded, unixNano } from './answers.ts';

// Shapes of what the Kubernetes routes answer. What no receiver tells is null.

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
export const pod = z.object({
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
export const node = z.object({
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
export const namespace = z.object({
  cluster: z.string(),
  name: z.string(),
  phase: z.enum(['Active', 'Terminating']).nullable(),
  pods: z.object({ count: z.int(), byStatus: counts }),
  restarts: known,
  cpuCores: z.object(use),
  memoryBytes: z.object(use),
  quotas: z.array(z.object({ name: z.string(), resource: z.string(), used: known, hard: known })),
});
export const workload = z.object({
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
export const event = z.object({
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
export const overview = z.object({
  clusters: z.array(z.string()),
  nodes: z
    .object({ count: z.int(), ready: z.int().nullable().describe('null where no receiver tells') })
    .nullable()
    .describe('null of a namespace, and where no receiver tells'),
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
export const examplePod = {
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
export const examples = {
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

export function useOf({ usage, request, limit }: Use) {
  return { usage: usage ?? null, request: request ?? null, limit: limit ?? null };
}

export function capacityOf(use: Use & { readonly allocatable: number | undefined }) {
  return { ...useOf(use), allocatable: use.allocatable ?? null };
}

export function podOf({
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
