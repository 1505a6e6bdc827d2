import { Fault } from '../../base/index.ts';
import type { LogReader, MetricReader, Page, PageRequest, Readers, TimeRange } from '../../stores/contract.ts';
import { cordons, type EventSearch, events, type KubernetesEvent, podEvents } from './events.ts';
import {
  countBy,
  type Namespace,
  type Node,
  namespaceMetrics,
  namespaces,
  nodeMetrics,
  nodes,
  sum,
  type Workload,
  workloadMetrics,
  workloads,
} from './groups.ts';
import { troublesMax } from './limits.ts';
import { podsOfLogs } from './log-pods.ts';
import { isActive, type Pod, podGroups, pods, total, type Use } from './pods.ts';
import { keyOf, type Scope, snapshot } from './snapshot.ts';

/** A list of what there is at the end of the range. */
interface ViewSearch extends PageRequest, Scope {
  readonly range: TimeRange;
}

interface PodSearch extends ViewSearch {
  readonly node?: string | undefined;
  /** kubectl's word, in upper or lower case. */
  readonly status?: string | undefined;
}

interface Overview {
  readonly clusters: readonly string[];
  /** undefined: of a namespace, or no receiver tells. */
  readonly nodes: { readonly count: number; readonly ready: number | undefined } | undefined;
  readonly pods: { readonly count: number; readonly byStatus: { readonly [status: string]: number } };
  readonly namespaces: number;
  readonly workloads: { readonly count: number; readonly byStatus: { readonly [status: string]: number } };
  readonly cpuCores: Use & { readonly allocatable: number | undefined };
  readonly memoryBytes: Use & { readonly allocatable: number | undefined };
  /** Pods that neither run well nor have ended well, those with the most restarts first. */
  readonly troubles: readonly Pod[];
  /** What could not be asked, and is missing. */
  readonly warnings: readonly string[];
}

/** From what receivers sent to the stores: this process needs no access to any API server. */
export interface KubernetesViews {
  overview(search: Omit<ViewSearch, keyof PageRequest>, cancel: AbortSignal): Promise<Overview>;
  nodes(search: ViewSearch, cancel: AbortSignal): Promise<Page<Node>>;
  pods(search: PodSearch, cancel: AbortSignal): Promise<Page<Pod>>;
  namespaces(search: ViewSearch, cancel: AbortSignal): Promise<Page<Namespace>>;
  workloads(search: ViewSearch, cancel: AbortSignal): Promise<Page<Workload>>;
  events(search: EventSearch, cancel: AbortSignal): Promise<Page<KubernetesEvent>>;
}

/** @param required Gives the reader of a signal, or throws Fault `notConfigured`. */
export function kubernetesViews(
  readers: Readers,
  required: { readonly metrics: () => MetricReader; readonly logs: () => LogReader },
): KubernetesViews {
  /** Pods, and the last readings of further metrics. */
  async function seen(metrics: readonly string[], search: Omit<ViewSearch, keyof PageRequest>, cancel: AbortSignal) {
    const { endUnixNano } = search.range;
    const warnings: string[] = [];
    const groups = [...(metrics.length > 0 ? [{ names: metrics, nonZero: false }] : []), ...podGroups];
    const [of, said] = await Promise.all([
      snapshot(required.metrics(), groups, search, lastMs(search.range), cancel),
      withoutLogs(readers.logs, new Map(), warnings, (logs) => podEvents(logs, search, endUnixNano, warnings, cancel)),
    ]);
    return { of, pods: pods(of, said), warnings };
  }

  return {
    async overview(search, cancel) {
      const metrics = [...nodeMetrics, ...namespaceMetrics, ...workloadMetrics];
      const { of, pods, warnings } = await seen(metrics, search, cancel);
      const all = { nodes: nodes(of, pods), namespaces: namespaces(of, pods), workloads: workloads(of) };
      const running = pods.filter(isActive);
      const capacity = (of: 'cpuCores' | 'memoryBytes') => ({
        ...sum(running.map((pod) => pod[of])),
        // Of a namespace its pods' use; of a cluster its nodes'.
        ...(all.nodes.length > 0 ? { usage: sum(all.nodes.map((node) => node[of])).usage } : {}),
        allocatable: sum(all.nodes.map((node) => ({ ...node[of], usage: node[of].allocatable }))).usage,
      });
      const troubles = pods
        .filter(isTrouble)
        .sort((a, b) => (b.restarts ?? 0) - (a.restarts ?? 0) || byKey(podKey)(a, b));
      const clusters = new Set([...pods, ...all.nodes, ...all.namespaces].map(({ cluster }) => cluster));
      return {
        clusters: [...clusters].filter((name) => name !== '').sort(),
        nodes:
          all.nodes.length === 0
            ? undefined
            : {
                count: all.nodes.length,
                ready: total(
                  all.nodes.map(({ status }) => (status === undefined ? undefined : Number(status === 'Ready'))),
                ),
              },
        pods: { count: pods.length, byStatus: countBy(pods.map(({ status }) => status)) },
        namespaces: all.namespaces.length,
        workloads: { count: all.workloads.length, byStatus: countBy(all.workloads.map(({ status }) => status)) },
        cpuCores: capacity('cpuCores'),
        memoryBytes: capacity('memoryBytes'),
        troubles: troubles.slice(0, troublesMax),
        warnings: [...new Set(warnings)],
      };
    },

    async nodes(search, cancel) {
      const { range, cluster } = search;
      const groups = [{ names: nodeMetrics, nonZero: false }, ...podGroups];
      const of = await snapshot(required.metrics(), groups, { cluster, namespace: undefined }, lastMs(range), cancel);
      // Of its pods a node shows what they take, which no event tells.
      const known = nodes(of, pods(of, new Map()));
      const nodeKey = ({ cluster, name }: Node) => keyOf(cluster, name);
      if (known.every(({ unschedulable }) => unschedulable !== undefined)) return paged(known, nodeKey, search, []);
      const warnings: string[] = [];
      const cordoned = await withoutLogs(readers.logs, new Map<string, boolean>(), warnings, (logs) =>
        cordons(logs, cluster, range.endUnixNano, warnings, cancel),
      );
      const found = known.map((node) => ({
        ...node,
        unschedulable: node.unschedulable ?? cordoned.get(nodeKey(node)),
      }));
      return paged(found, nodeKey, search, warnings);
    },

    async pods(search, cancel) {
      const { pods, warnings } = await seen([], search, cancel);
      const silent = await withoutLogs(readers.logs, [], warnings, (logs) =>
        podsOfLogs(logs, search, pods, warnings, cancel),
      );
      const status = search.status?.toLowerCase();
      const found = [...pods, ...silent].filter(
        (pod) =>
          (search.node === undefined || pod.node === search.node) &&
          (status === undefined || pod.status?.toLowerCase() === status),
      );
      return paged(found, podKey, search, warnings);
    },

    async namespaces(search, cancel) {
      const { of, pods, warnings } = await seen(namespaceMetrics, search, cancel);
      return paged(namespaces(of, pods), ({ cluster, name }) => keyOf(cluster, name), search, warnings);
    },

    async workloads(search, cancel) {
      const found = workloads(
        await snapshot(
          required.metrics(),
          [{ names: workloadMetrics, nonZero: false }],
          search,
          lastMs(search.range),
          cancel,
        ),
      );
      return paged(found, ({ cluster, namespace, kind, name }) => keyOf(cluster, namespace, kind, name), search, []);
    },

    events: (search, cancel) => events(required.logs(), search, cancel),
  };
}

function lastMs({ endUnixNano }: TimeRange): number {
  return Number((endUnixNano - 1n) / 1_000_000n);
}

/** Logs add to a view; where they cannot be asked the view says so and does without. */
async function withoutLogs<T>(
  logs: LogReader | undefined,
  otherwise: T,
  warnings: string[],
  ask: (logs: LogReader) => Promise<T>,
): Promise<T> {
  if (logs === undefined) return otherwise;
  try {
    return await ask(logs);
  } catch (thrown) {
    if (!(thrown instanceof Fault) || (thrown.code !== 'unavailable' && thrown.code !== 'unprocessable')) throw thrown;
    warnings.push(`without what logs and events tell: ${thrown.message}`);
    return otherwise;
  }
}

function isTrouble({ status, readyContainers, containers }: Pod): boolean {
  if (status === undefined || status === 'Completed' || status === 'Terminating') return false;
  return status !== 'Running' || (readyContainers !== undefined && readyContainers < containers.length);
}

function podKey({ cluster, namespace, name }: Pod): string {
  return keyOf(cluster, namespace, name);
}

function byKey<T>(key: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}

/** In the order of their keys; the cursor is the last one's, so that pages are stable while things come and go. */
function paged<T>(
  items: readonly T[],
  key: (item: T) => string,
  { limit, cursor }: PageRequest,
  warnings: readonly string[],
): Page<T> {
  const left = items.filter((item) => cursor === undefined || key(item) > cursor).sort(byKey(key));
  const shown = left.slice(0, limit);
  const last = shown.at(-1);
  const next = left.length > shown.length && last !== undefined ? key(last) : undefined;
  return { items: shown, next, incomplete: warnings.length > 0, warnings: [...new Set(warnings)] };
}
