import type { Signal } from '../../src/base/index.ts';
import type { Enrichment } from '../../src/enrich/index.ts';
import { defaultLimits, spliceResources, walk } from '../../src/otlp/index.ts';
import { decodeOtlp, encodeOtlp } from './otlp.ts';

type AnyValue = { readonly [member: string]: unknown };
type Attributes = { readonly [key: string]: string | AnyValue };

const lists = {
  traces: { resource: 'resourceSpans', scope: 'scopeSpans', records: 'spans' },
  metrics: { resource: 'resourceMetrics', scope: 'scopeMetrics', records: 'metrics' },
  logs: { resource: 'resourceLogs', scope: 'scopeLogs', records: 'logRecords' },
} as const;
const record = {
  traces: { traceId: new Uint8Array(16).fill(1), spanId: new Uint8Array(8).fill(1) },
  metrics: { name: 'm', gauge: { dataPoints: [{ asInt: '1', timeUnixNano: '1' }] } },
  logs: { timeUnixNano: '1' },
} as const satisfies Record<Signal, object>;

/** An export request with one record for each of these resources. undefined: a record without any Resource. */
export function requestOf(signal: Signal, ...resources: (Attributes | undefined)[]): Uint8Array {
  const { resource, scope, records } = lists[signal];
  return encodeOtlp(signal, {
    [resource]: resources.map((attributes) => ({
      ...(attributes && { resource: { attributes: Object.entries(attributes).map(attributeOf) } }),
      [scope]: [{ [records]: [record[signal]] }],
    })),
  });
}

function attributeOf([key, value]: [string, string | AnyValue]) {
  return { key, value: typeof value === 'string' ? { stringValue: value } : value };
}

/** Attributes of each resource of a request as independent code reads them: pairs in wire order, arrays of texts as such. */
export function resourcesOf(signal: Signal, bytes: Uint8Array): [key: string, value: unknown][][] {
  const decoded = decodeOtlp(signal, bytes) as {
    [list: string]: {
      resource: { attributes: { key: string; value: { [member: string]: unknown } }[] } | null;
    }[];
  };
  return (decoded[lists[signal].resource] ?? []).map(({ resource }) =>
    (resource?.attributes ?? []).map(({ key, value }) => {
      const array = value['arrayValue'] as { values: { stringValue: string }[] } | undefined;
      const member = String(value['value']);
      return [
        key,
        array === undefined || array === null ? value[member] : array.values.map((each) => each.stringValue),
      ];
    }),
  );
}

/** A request as it goes into the log. */
export async function enrichedBy(
  enrichment: Enrichment,
  signal: Signal,
  bytes: Uint8Array,
  senderAddress = '',
): Promise<{ readonly bytes: Uint8Array; readonly services: readonly (string | undefined)[] }> {
  const walked = walk(signal, bytes, defaultLimits);
  const enriched = await enrichment({ signal, bytes, resources: walked.resources, senderAddress });
  const pieces = spliceResources(bytes, walked, (_, index) => enriched[index]?.fields ?? []);
  return { bytes: Buffer.concat(pieces), services: enriched.map(({ serviceName }) => serviceName) };
}
