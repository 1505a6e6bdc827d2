import type { Json, LogReader, LogRow, LogSearch, Page, PageRequest, TimeRange } from '../../stores/contract.ts';
import type { Field, Filter } from '../../stores/filter.ts';
import { cordonsAfterNanos, reasonEventsMax, reasonsAfterNanos } from './limits.ts';
import { keyOf, type Scope } from './snapshot.ts';
import type { PodEvents } from './status.ts';

/** An event of Kubernetes, as the Collector's k8s_events receiver sends it. */
export interface KubernetesEvent {
  readonly id: string;
  readonly timeUnixNano: bigint;
  readonly type: 'Normal' | 'Warning' | string;
  readonly reason: string;
  readonly message: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly node: string;
  readonly object: { readonly kind: string; readonly name: string; readonly uid: string; readonly fieldPath: string };
  readonly count: number;
}

/** What each event has, and nothing else. */
export const eventReason = { scope: 'any', key: 'k8s.event.reason' } as const;

export interface EventSearch extends PageRequest, Scope {
  readonly range: TimeRange;
  readonly type: 'Normal' | 'Warning' | undefined;
  readonly kind: string | undefined;
  readonly name: string | undefined;
  readonly reason: string | undefined;
}

/** Newest first. */
export async function events(
  reader: LogReader,
  { range, limit, cursor, ...search }: EventSearch,
  cancel: AbortSignal,
): Promise<Page<KubernetesEvent>> {
  const page = await reader.search({ range, limit, cursor, order: 'desc', filter: filterOf(search) }, cancel);
  return { ...page, items: page.items.map(eventOf) };
}

/** Of the last minutes, by cluster, namespace and pod. @param warnings Takes what kept it from reading all of them. */
export async function podEvents(
  reader: LogReader,
  scope: Scope,
  endUnixNano: bigint,
  warnings: string[],
  cancel: AbortSignal,
): Promise<ReadonlyMap<string, PodEvents>> {
  const range = { startUnixNano: endUnixNano - reasonsAfterNanos, endUnixNano };
  const filter = filterOf({ ...scope, type: undefined, kind: 'Pod', name: undefined, reason: undefined });
  const found = await newest(reader, { range, filter }, 'pods', warnings, cancel);
  return Map.groupBy(
    found.map(({ object, ...event }) => ({ ...object, ...event })),
    ({ cluster, namespace, name }) => keyOf(cluster, namespace, name),
  );
}

/**
 * Whether the scheduler is kept from each node, by cluster and name: the kubelet says so when somebody cordons or uncordons it,
 * and when it starts on a node that is cordoned.
 * @param warnings Takes what kept it from reading all that was said.
 */
export async function cordons(
  reader: LogReader,
  cluster: string | undefined,
  endUnixNano: bigint,
  warnings: string[],
  cancel: AbortSignal,
): Promise<ReadonlyMap<string, boolean>> {
  const range = { startUnixNano: endUnixNano - cordonsAfterNanos, endUnixNano };
  const reasons = ['NodeNotSchedulable', 'NodeSchedulable'];
  const scope = { cluster, namespace: undefined, type: undefined, kind: 'Node', name: undefined, reason: undefined };
  const said: Filter = {
    kind: 'or',
    of: reasons.map((reason) => equals(eventReason, reason)),
  };
  const filter: Filter = { kind: 'and', of: [filterOf(scope), said] };
  const found = new Map<string, boolean>();
  for (const { cluster, object, reason } of await newest(reader, { range, filter }, 'nodes', warnings, cancel)) {
    const key = keyOf(cluster, object.name);
    if (!found.has(key)) found.set(key, reason === 'NodeNotSchedulable');
  }
  return found;
}

/** As many as a view reads. */
async function newest(
  reader: LogReader,
  search: Pick<LogSearch, 'range' | 'filter'>,
  ofWhat: string,
  warnings: string[],
  cancel: AbortSignal,
): Promise<readonly KubernetesEvent[]> {
  const page = await reader.search({ ...search, order: 'desc', limit: reasonEventsMax, cursor: undefined }, cancel);
  warnings.push(...page.warnings);
  if (page.next !== undefined) warnings.push(`of the events of ${ofWhat} only the newest ${reasonEventsMax} are read`);
  return page.items.map(eventOf);
}

/** Kinds that events are about, in Kubernetes' spelling: people write them as kubectl takes them. */
const kinds = [
  'Pod',
  'Node',
  'Namespace',
  'Service',
  'Endpoints',
  'Ingress',
  'PersistentVolume',
  'PersistentVolumeClaim',
  'Deployment',
  'ReplicaSet',
  'StatefulSet',
  'DaemonSet',
  'Job',
  'CronJob',
  'HorizontalPodAutoscaler',
];

function filterOf(search: Omit<EventSearch, 'range' | 'limit' | 'cursor'>): Filter {
  const of: Filter[] = [{ kind: 'exists', field: eventReason }];
  const add = (key: string, value: string | undefined) => {
    if (value !== undefined) of.push(equals({ scope: 'any', key }, value));
  };
  add('k8s.cluster.name', search.cluster);
  add('k8s.namespace.name', search.namespace);
  add('k8s.object.kind', kinds.find((kind) => kind.toLowerCase() === search.kind?.toLowerCase()) ?? search.kind);
  add('k8s.object.name', search.name);
  add('k8s.event.reason', search.reason);
  if (search.type !== undefined) {
    of.push(equals({ scope: 'intrinsic', name: 'severity' }, search.type === 'Warning' ? 'warn' : 'info'));
  }
  return { kind: 'and', of };
}

/** Equal to a text as it is, whatever it looks like. */
export function equals(field: Field, text: string): Filter {
  return { kind: 'compare', field, op: '=', value: { text, number: undefined, durationNanos: undefined } };
}

function eventOf({
  id,
  timeUnixNano,
  severityText,
  severityNumber,
  body,
  attributes,
  resource,
}: LogRow): KubernetesEvent {
  const text = (key: string) => textOf(attributes[key] ?? resource[key]);
  const count = Number(attributes['k8s.event.count'] ?? 1);
  return {
    id,
    timeUnixNano,
    type: severityText !== '' ? severityText : severityNumber >= 13 ? 'Warning' : 'Normal',
    reason: text('k8s.event.reason'),
    message: textOf(body),
    cluster: text('k8s.cluster.name'),
    namespace: text('k8s.namespace.name'),
    node: text('k8s.node.name'),
    object: {
      kind: text('k8s.object.kind'),
      name: text('k8s.object.name'),
      uid: text('k8s.object.uid'),
      fieldPath: text('k8s.object.fieldpath'),
    },
    count: Number.isFinite(count) ? count : 1,
  };
}

export function textOf(value: Json | undefined): string {
  return value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value);
}
