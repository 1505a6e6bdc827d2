import { randomBytes } from 'node:crypto';
import type { Signal } from '../../src/base/index.ts';
import { attributes, type Requests, spanKinds } from '../../src/cli/otlp/json.ts';
import { grpcSender, httpSender, type Sender } from '../../src/cli/otlp/sender.ts';
import { getJson, type Running } from './process.ts';

// Single records that can be told from all others, on their way in and back.

export const protocols = ['grpc', 'http/protobuf', 'http/json'] as const;
export type Protocol = (typeof protocols)[number];
/** Where a server listens. */
export type Target = Pick<Running, 'http' | 'otlpHttp' | 'otlpGrpc'>;

/** Exports one record that nothing else equals, and resolves when it is acknowledged. @returns What finds it again. */
export async function exportRecord(
  to: Target,
  signal: Signal,
  protocol: Protocol,
  options: { times?: number } = {},
): Promise<string> {
  const id = randomBytes(16).toString('hex');
  const request = requestOf(signal, id);
  using sender: Sender = protocol === 'grpc' ? await grpcSender(to.otlpGrpc) : httpSender(to.otlpHttp, protocol);
  for (let time = 0; time < (options.times ?? 1); time++) {
    const { rejected, message } = await sender.send(signal, request);
    if (rejected > 0) throw new Error(`rejected: ${message}`);
  }
  return id;
}

/** How often REST shows the record. */
export async function storedTimes(at: Pick<Target, 'http'>, signal: Signal, id: string): Promise<number> {
  if (signal === 'traces') {
    const answer = await fetch(`${at.http}/api/v1/traces/${id}`);
    if (answer.status === 404) return 0;
    const { resourceSpans } = (await answer.json()) as Requests['traces'];
    return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)).length;
  }
  if (signal === 'logs') {
    const { logs } = (await getJson(at.http, '/api/v1/logs', { query: `test.id="${id}"` })) as { logs: unknown[] };
    return logs.length;
  }
  const { data } = (await getJson(at.http, '/api/v1/metrics/query', { query: `test_point{test_id="${id}"}` })) as {
    data: { result: unknown[] };
  };
  return data.result.length;
}

export async function isStored(at: Pick<Target, 'http'>, signal: Signal, id: string): Promise<boolean> {
  return (await storedTimes(at, signal, id)) > 0;
}

function requestOf<S extends Signal>(signal: S, id: string): Requests[S];
function requestOf(signal: Signal, id: string): Requests[Signal] {
  const resource = { attributes: attributes({ 'service.name': 'process-test' }) };
  const scope = { name: 'test' };
  const now = BigInt(Date.now()) * 1_000_000n;
  const values = attributes({ 'test.id': id });
  if (signal === 'traces') {
    const times = { startTimeUnixNano: String(now - 5_000_000n), endTimeUnixNano: String(now) };
    const span = {
      traceId: id,
      spanId: id.slice(16),
      name: 'test',
      kind: spanKinds.server,
      ...times,
      attributes: values,
    };
    return { resourceSpans: [{ resource, scopeSpans: [{ scope, spans: [span] }] }] };
  }
  if (signal === 'logs') {
    const times = { timeUnixNano: String(now), observedTimeUnixNano: String(now) };
    const body = { stringValue: `test ${id}` };
    const record = { ...times, severityNumber: 9, severityText: 'INFO', body, attributes: values };
    return { resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords: [record] }] }] };
  }
  const points = [{ attributes: values, timeUnixNano: String(now), asDouble: 1.5 }];
  const metric = { name: 'test.point', unit: '', description: '', gauge: { dataPoints: points } };
  return { resourceMetrics: [{ resource, scopeMetrics: [{ scope, metrics: [metric] }] }] };
}
