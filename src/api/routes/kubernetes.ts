import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { bounded, json, nextCursor, pageEnd } from '../answers.ts';
import { cancelOf } from '../cancel.ts';
import {
  capacityOf,
  event,
  examplePod,
  examples,
  namespace,
  node,
  overview,
  pod,
  podOf,
  useOf,
  workload,
} from '../kubernetes-answers.ts';
import { cursor, limit, pageOf, range } from '../parameters.ts';
import type { Parts } from '../parts.ts';
import { problem } from '../problem.ts';

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
        const { nodes, troubles, cpuCores, memoryBytes, warnings, ...found } = await queries.kubernetes.overview(
          search,
          cancelOf(reply),
        );
        return {
          ...found,
          clusters: [...found.clusters],
          nodes: nodes === undefined ? null : { ...nodes, ready: nodes.ready ?? null },
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
          querystring: z.strictObject({
            ...list,
            node: z.string().optional().meta({ description: '`k8s.node.name`; all nodes when left out.' }),
            status: z.string().optional().meta({ description: "kubectl's word, such as `CrashLoopBackOff`." }),
          }),
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
        const search = { ...searchOf(query), node: query.node, status: query.status };
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
            kind: z.string().optional().meta({ description: 'Kind of the object, such as `Pod`, or `pod`.' }),
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
