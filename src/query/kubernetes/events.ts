import type { Json, LogReader, LogRow, Page, PageRequest, TimeRange } from '../../stores/contract.ts';
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

/** Of the last minutes, by cluster, namespace and pod. */
export async function podEvents(
  reader: LogReader,
  scope: Scope,
  endUnixNano: bigint,
  cancel: AbortSignal,
): Promise<ReadonlyMap<string, PodEvents>> {
  const range = { startUnixNano: endUnixNano - reasonsAfterNanos, endUnixNano };
  const filter = filterOf({ ...scope, type: undefined, kind: 'Pod', name: undefined, reason: undefined });
  const search = { range, filter, order: 'desc', limit: reasonEventsMax, cursor: undefined } as const;
  const found = (await reader.search(search, cancel)).items.map(eventOf);
  return Map.groupBy(
    found.map(({ object, ...event }) => ({ ...object, ...event })),
    ({ cluster, namespace, name }) => keyOf(cluster, namespace, name),
  );
}

/**
 * Whether the scheduler is kept from each node, by cluster and name: the kubelet says so when somebody cordons or uncordons it,
 * and when it starts on a node that is cordoned.
 */
export async function cordons(
  reader: LogReader,
  cluster: string | undefined,
  endUnixNano: bigint,
  cancel: AbortSignal,
): Promise<ReadonlyMap<string, boolean>> {
  const range = { startUnixNano: endUnixNano - cordonsAfterNanos, endUnixNano };
  const reasons = ['NodeNotSchedulable', 'NodeSchedulable'];
  const scope = { cluster, namespace: undefined, type: undefined, kind: 'Node', name: undefined, reason: undefined };
  const said: Filter = {
    kind: 'or',
    of: reasons.map((reason) => equals({ scope: 'any', key: 'k8s.event.reason' }, reason)),
  };
  const filter: Filter = { kind: 'and', of: [filterOf(scope), said] };
  const page = await reader.search({ range, filter, order: 'desc', limit: reasonEventsMax, cursor: undefined }, cancel);
  const found = new Map<string, boolean>();
  for (const { cluster, object, reason } of page.items.map(eventOf)) {
    const key = keyOf(cluster, object.name);
    if (!found.has(key)) found.set(key, reason === 'NodeNotSchedulable');
  }
  return found;
}

function filterOf(search: Omit<EventSearch, 'range' | 'limit' | 'cursor'>): Filter {
  const of: Filter[] = [{ kind: 'exists', field: { scope: 'any', key: 'k8s.event.reason' } }];
  const add = (key: string, value: string | undefined) => {
    if (value !== undefined) of.push(equals({ scope: 'any', key }, value));
  };
  add('k8s.cluster.name', search.cluster);
  add('k8s.namespace.name', search.namespace);
  add('k8s.object.kind', search.kind);
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
