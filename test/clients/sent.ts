import { expect } from 'vitest';
import { eventually, getJson } from '../kit/process.ts';

/** What a client says that it has sent. Every span and log record carries `attributes`. */
export interface Sent {
  readonly service: string;
  readonly spans: readonly { readonly traceId: string; readonly spanId: string; readonly name: string }[];
  readonly logs: readonly { readonly body: string; readonly traceId: string; readonly spanId: string }[];
}

/** The attributes that the sending programs set, as the query interface shows them. */
const attributes = {
  'client.text': 'grüße, 世界',
  'client.count': 42,
  'client.ratio': 0.25,
  'client.flag': true,
  'client.list': ['a', 'b'],
};

/** The same in OTLP JSON, by key. */
const attributesInOtlp = {
  'client.text': { stringValue: 'grüße, 世界' },
  'client.count': { intValue: '42' },
  'client.ratio': { doubleValue: 0.25 },
  'client.flag': { boolValue: true },
  'client.list': { arrayValue: { values: [{ stringValue: 'a' }, { stringValue: 'b' }] } },
};

/** Samples of the metrics that the sending programs record, by PromQL selector without the service's matcher. */
const samples = {
  client_requests_total: '7',
  client_open: '3',
  client_temperature: '21.5',
  client_size_bytes_count: '1',
  client_size_bytes_sum: '100',
  client_latency_seconds_count: '1',
  client_latency_seconds_sum: '0.25',
};

interface Span {
  traceId: string;
  spanId: string;
  name: string;
  attributes?: { key: string; value: unknown }[];
  events?: { name: string }[];
  links?: { spanId: string }[];
  status?: { code?: number | string; message?: string };
}
interface TracesData {
  resourceSpans: {
    resource: { attributes: { key: string; value: unknown }[] };
    scopeSpans: { scope?: { name?: string; version?: string }; spans: Span[] }[];
  }[];
}
interface LogList {
  logs: {
    id: string;
    body: unknown;
    severityText: string;
    severityNumber: number;
    attributes: Record<string, unknown>;
    resource: Record<string, unknown>;
    traceId: string;
    spanId: string;
  }[];
  nextCursor?: string;
}

/** Fails unless everything that was sent is queryable, once, as it was sent. */
export async function expectSent(
  rest: string,
  sent: Sent,
  expected: { metrics: boolean } = { metrics: true },
): Promise<void> {
  await expectTraces(rest, sent);
  await expectLogs(rest, sent);
  if (expected.metrics) await expectMetrics(rest, sent.service);
}

async function expectTraces(rest: string, sent: Sent): Promise<void> {
  for (const [traceId, spans] of Map.groupBy(sent.spans, (span) => span.traceId)) {
    const found = await eventually(
      () => spansOf(rest, traceId),
      (seen) => seen.length >= spans.length,
    );
    expect(found.map((span) => `${span.spanId} ${span.name}`).sort()).toEqual(
      spans.map((span) => `${span.spanId} ${span.name}`).sort(),
    );
    for (const span of found) {
      expect(Object.fromEntries((span.attributes ?? []).map(({ key, value }) => [key, value]))).toMatchObject(
        attributesInOtlp,
      );
      expect(span.service).toEqual({ stringValue: sent.service });
    }
    const child = found.find((span) => span.name.startsWith('child'));
    if (child !== undefined) {
      expect(child.events?.map((event) => event.name)).toEqual(['happened']);
      expect(child.links).toHaveLength(1);
      expect(child.status?.message).toBe('declined');
    }
  }
}

async function spansOf(rest: string, traceId: string): Promise<(Span & { service: unknown })[]> {
  const answer = await fetch(`${rest}/api/v1/traces/${traceId}`);
  if (answer.status === 404) return [];
  expect(answer.status).toBe(200);
  const data = (await answer.json()) as TracesData;
  return data.resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = resource.attributes.find(({ key }) => key === 'service.name')?.value;
    return scopeSpans.flatMap(({ spans }) => spans.map((span) => ({ ...span, service })));
  });
}

async function expectLogs(rest: string, sent: Sent): Promise<void> {
  const query = { query: `service=${JSON.stringify(sent.service)}`, limit: '1000' };
  const found = await eventually(
    async () => ((await getJson(rest, '/api/v1/logs', query)) as LogList).logs,
    (logs) => logs.length >= sent.logs.length,
  );
  const line = (log: { body: unknown; traceId: string; spanId: string }): string =>
    `${log.body} ${log.traceId} ${log.spanId}`;
  expect(found.map(line).sort()).toEqual(sent.logs.map(line).sort());
  expect(new Set(found.map((log) => log.id)).size).toBe(found.length);
  for (const log of found) {
    expect(log.attributes).toMatchObject(attributes);
    expect(log.resource['service.name']).toBe(sent.service);
    expect([log.severityNumber, log.severityText]).toEqual([13, 'WARN']);
  }
}

async function expectMetrics(rest: string, service: string): Promise<void> {
  for (const [name, value] of Object.entries(samples)) {
    const query = `${name}{job=${JSON.stringify(service)},route="/pay"}`;
    const found = await eventually(
      () => instant(rest, query),
      (values) => values.length > 0,
    );
    expect({ [name]: found }).toEqual({ [name]: [value] });
  }
}

/** Values of an instant PromQL query, one a series. */
export async function instant(rest: string, query: string): Promise<string[]> {
  const answer = (await getJson(rest, '/api/v1/metrics/query', { query })) as {
    data: { result: { value: [number, string] }[] };
  };
  return answer.data.result.map(({ value }) => value[1]);
}
