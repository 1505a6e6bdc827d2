import type { LogReader, TimeRange } from '../../stores/contract.ts';
import type { Filter } from '../../stores/filter.ts';
import { equals, eventReason, textOf } from './events.ts';
import { logPodNamesMax, logPodsMax, staleAfterMs } from './limits.ts';
import type { Pod } from './pods.ts';
import { keyOf, type Scope } from './snapshot.ts';

/**
 * Pods that wrote logs in the range and of which no receiver of metrics knows: all of clusters and namespaces of which no
 * receiver tells anything, and of the others those that wrote lately and whose name none of the known ones has. Of several that
 * are called alike the last to write.
 */
export async function podsOfLogs(
  logs: LogReader,
  { range, cluster, namespace }: Scope & { readonly range: TimeRange },
  known: readonly Pod[],
  warnings: string[],
  cancel: AbortSignal,
): Promise<readonly Pod[]> {
  const field = (key: string) => ({ scope: 'resource', key: `k8s.${key}` }) as const;
  const scoped: readonly Filter[] = [
    // What is said of a pod, even of one that is gone, is no word of its own.
    { kind: 'not', of: { kind: 'exists', field: eventReason } },
    ...(cluster === undefined ? [] : [equals(field('cluster.name'), cluster)]),
    ...(namespace === undefined ? [] : [equals(field('namespace.name'), namespace)]),
  ];
  const places = new Map(known.map(({ cluster, namespace }) => [keyOf(cluster, namespace), { cluster, namespace }]));
  const told = [...places.values()].map(({ cluster, namespace }): Filter => {
    const isThere = equals(field('namespace.name'), namespace);
    if (cluster === '') return isThere;
    // Not every sender names its cluster.
    const unnamed: Filter = { kind: 'not', of: { kind: 'exists', field: field('cluster.name') } };
    return { kind: 'and', of: [isThere, { kind: 'or', of: [equals(field('cluster.name'), cluster), unnamed] }] };
  });
  const { startUnixNano, endUnixNano } = range;
  const recent = endUnixNano - BigInt(staleAfterMs) * 1_000_000n;
  // Where receivers tell of pods, one that has long said nothing is gone.
  const lately = { startUnixNano: startUnixNano > recent ? startUnixNano : recent, endUnixNano };
  const everywhere = { of: scoped, range: places.size === 0 ? range : lately };
  const elsewhere = {
    of: [
      ...scoped,
      { kind: 'exists', field: field('namespace.name') },
      { kind: 'not', of: { kind: 'or', of: told } },
    ] satisfies readonly Filter[],
    range,
  };
  const namesIn = async ({ of, range }: typeof everywhere) => {
    const search = {
      field: 'resource.k8s.pod.name',
      range,
      filter: { kind: 'and', of },
      limit: logPodNamesMax,
    } as const;
    const page = await logs.fieldValues(search, cancel);
    warnings.push(...page.warnings);
    return page.items.map(({ value }) => textOf(value)).filter((name) => name !== '');
  };
  const isAllTold = places.size === 0 || (cluster !== undefined && namespace !== undefined);
  const [names, unheard] = await Promise.all([namesIn(everywhere), isAllTold ? [] : namesIn(elsewhere)]);
  const knownNames = new Set(known.map(({ name }) => name));
  const silent = new Map([
    ...names.filter((name) => !knownNames.has(name)).map((name) => [name, everywhere] as const),
    ...unheard.map((name) => [name, elsewhere] as const),
  ]);
  if (silent.size > logPodsMax) {
    warnings.push(`of ${silent.size} pods that only their logs tell of, ${logPodsMax} are shown`);
  }
  const rows = await Promise.all(
    [...silent].slice(0, logPodsMax).map(async ([name, { of, range }]) => {
      const filter: Filter = { kind: 'and', of: [...of, equals(field('pod.name'), name)] };
      const page = await logs.search({ range, filter, order: 'desc', limit: 1, cursor: undefined }, cancel);
      warnings.push(...page.warnings);
      return page;
    }),
  );
  const none = { usage: undefined, request: undefined, limit: undefined };
  return rows.flatMap(({ items: [row] }) => {
    if (row === undefined) return [];
    const text = (key: string) => textOf(row.resource[key]);
    return {
      cluster: text('k8s.cluster.name'),
      namespace: text('k8s.namespace.name'),
      name: text('k8s.pod.name'),
      node: text('k8s.node.name'),
      phase: undefined,
      status: undefined,
      readyContainers: undefined,
      restarts: undefined,
      owner: undefined,
      cpuCores: none,
      memoryBytes: none,
      containers: [],
      lastSeenUnixMs: Number(row.timeUnixNano / 1_000_000n),
    };
  });
}
