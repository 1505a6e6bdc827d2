import type { Requests } from '../otlp/json.ts';
import type { Pod } from './shop.ts';
import type { Journey } from './trace-builder.ts';

const scope = { name: 'shop', version: '1.0.0' };

/** Spans and logs of journeys as export requests, one resource a pod. */
export function toRequests(journeys: readonly Journey[]): { traces: Requests['traces']; logs: Requests['logs'] } {
  const spans = Map.groupBy(
    journeys.flatMap((journey) => journey.spans),
    ({ pod }) => pod,
  );
  const logs = Map.groupBy(
    journeys.flatMap((journey) => journey.logs),
    ({ pod }) => pod,
  );
  return {
    traces: {
      resourceSpans: entries(spans).map(([pod, items]) => ({
        resource: pod.resource,
        scopeSpans: [{ scope, spans: items.map(({ span }) => span) }],
      })),
    },
    logs: {
      resourceLogs: entries(logs).map(([pod, items]) => ({
        resource: pod.resource,
        scopeLogs: [{ scope, logRecords: items.map(({ record }) => record) }],
      })),
    },
  };
}

function entries<T>(groups: Map<Pod, T[]>): [Pod, T[]][] {
  return [...groups];
}
