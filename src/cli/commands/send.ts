import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { type Signal, signals } from '../../base/index.ts';
import { CommandFailure, exitCodes } from '../failure.ts';
import { readBackBudgetMs } from '../limits.ts';
import { anyValue, attributes, type Requests, spanKinds } from '../otlp/json.ts';
import { grpcSender, httpSender, type Sender } from '../otlp/sender.ts';
import type { Outcome } from '../program.ts';
import { addEndpoint } from '../reader-options.ts';
import { findReceivers } from '../receivers.ts';
import type { Rest } from '../rest.ts';
import { type Column, printRows } from '../table.ts';

/** One record on its way there and back. */
interface Trip {
  readonly signal: Signal;
  readonly protocol: Sender['protocol'];
  /** What finds it again: a trace id, or a value that only this record has. */
  readonly id: string;
  readonly url: string;
  sentMs: number | undefined;
  backMs: number | undefined;
  problem: string | undefined;
}

export function register(command: Command, outcome: Outcome): void {
  addEndpoint(command);
  command
    .option('--otlp-grpc <host:port>', 'OTLP gRPC receiver (default: what the instance says)')
    .option('--otlp-http <url>', 'OTLP HTTP receiver (default: what the instance says)')
    .option('--json', 'print the trips as JSON')
    .addHelpText(
      'after',
      `
Sends a span, a log record and a data point over gRPC, HTTP with protobuf and HTTP with JSON, and reads each back
through the REST API. Exit code 1 when one does not come back.

Examples:
  watchingcat send
  watchingcat send --endpoint http://watchingcat-backend:8090 --json`,
    );
  command.action(async () => {
    const options = command.opts<{ endpoint?: string; otlpGrpc?: string; otlpHttp?: string; json?: boolean }>();
    const terminal = outcome.terminal(command);
    const { rest, grpc, http } = await findReceivers(options.endpoint, terminal.env, {
      grpc: options.otlpGrpc,
      http: options.otlpHttp,
    });
    using overGrpc = await grpcSender(grpc);
    const senders = [overGrpc, httpSender(http, 'http/protobuf'), httpSender(http, 'http/json')];
    const trips = await Promise.all(
      senders.flatMap((sender) => signals.map((signal) => makeTrip(signal, sender, rest))),
    );
    printRows(terminal, options.json ? 'json' : 'table', columns, trips, { trips });
    const lost = trips.filter(({ problem }) => problem !== undefined);
    terminal.say(
      lost.length === 0
        ? `All ${trips.length} records came back.`
        : `${lost.length} of ${trips.length} records did not come back.`,
    );
    if (lost.length > 0) outcome.exitCode = exitCodes.problem;
  });
}

async function makeTrip(signal: Signal, sender: Sender, rest: Rest): Promise<Trip> {
  const id = randomBytes(16).toString('hex');
  const path = pathOf(signal, id);
  const trip: Trip = {
    signal,
    protocol: sender.protocol,
    id,
    url: `${rest.endpoint}${path}`,
    sentMs: undefined,
    backMs: undefined,
    problem: undefined,
  };
  try {
    const startedMs = performance.now();
    const { rejected, message } = await sender.send(signal, requestOf(signal, id));
    trip.sentMs = performance.now() - startedMs;
    if (rejected > 0) throw new CommandFailure('problem', `rejected: ${message}`);
    const sentAtMs = performance.now();
    while (!(await isThere(signal, rest, path))) {
      if (performance.now() - sentAtMs > readBackBudgetMs) {
        throw new CommandFailure('problem', `acknowledged, but not to be found within ${readBackBudgetMs / 1000} s`);
      }
      await sleep(100);
    }
    trip.backMs = performance.now() - sentAtMs;
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.exitCode === exitCodes.unreachable) throw error;
    trip.problem = error.message;
  }
  return trip;
}

function pathOf(signal: Signal, id: string): string {
  if (signal === 'traces') return `/api/v1/traces/${id}`;
  if (signal === 'logs')
    return `/api/v1/logs?${new URLSearchParams({ query: `send.id="${id}"`, start: 'now-5m', end: 'now+5m' })}`;
  return `/api/v1/metrics/query?${new URLSearchParams({ query: `watchingcat_send{send_id="${id}"}` })}`;
}

async function isThere(signal: Signal, rest: Rest, path: string): Promise<boolean> {
  try {
    const answer = await rest.get<{ resourceSpans?: unknown[]; logs?: unknown[]; data?: { result?: unknown[] } }>(path);
    const found = signal === 'traces' ? answer.resourceSpans : signal === 'logs' ? answer.logs : answer.data?.result;
    return (found?.length ?? 0) > 0;
  } catch (error) {
    // An unknown trace is a 404: not there yet.
    if (error instanceof CommandFailure && error.message.startsWith('404')) return false;
    throw error;
  }
}

function requestOf<S extends Signal>(signal: S, id: string): Requests[S];
function requestOf(signal: Signal, id: string): Requests[Signal] {
  const resource = { attributes: attributes({ 'service.name': 'watchingcat-send' }) };
  const scope = { name: 'watchingcat send' };
  const now = BigInt(Date.now()) * 1_000_000n;
  const values = attributes({ 'send.id': id });
  if (signal === 'traces') {
    const span = {
      traceId: id,
      spanId: id.slice(0, 16),
      name: 'send',
      kind: spanKinds.internal,
      startTimeUnixNano: String(now - 1_000_000n),
      endTimeUnixNano: String(now),
      attributes: values,
    };
    return { resourceSpans: [{ resource, scopeSpans: [{ scope, spans: [span] }] }] };
  }
  if (signal === 'logs') {
    const record = {
      timeUnixNano: String(now),
      observedTimeUnixNano: String(now),
      severityNumber: 9,
      severityText: 'INFO',
      body: anyValue('a log record from watchingcat send'),
      attributes: values,
    };
    return { resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords: [record] }] }] };
  }
  const point = { attributes: values, timeUnixNano: String(now), asInt: '1' };
  const metric = {
    name: 'watchingcat.send',
    unit: '',
    description: 'A data point from watchingcat send.',
    gauge: { dataPoints: [point] },
  };
  return { resourceMetrics: [{ resource, scopeMetrics: [{ scope, metrics: [metric] }] }] };
}

const columns: readonly Column<Trip>[] = [
  {
    title: '',
    show: ({ problem }) => (problem === undefined ? '✓' : '✗'),
    style: ({ problem }) => (problem === undefined ? 'green' : 'red'),
  },
  { title: 'SIGNAL', show: ({ signal }) => signal },
  { title: 'PROTOCOL', show: ({ protocol }) => protocol },
  {
    title: 'ACKNOWLEDGED',
    align: 'right',
    show: ({ sentMs }) => (sentMs === undefined ? '' : `${sentMs.toFixed(0)} ms`),
  },
  { title: 'QUERYABLE', align: 'right', show: ({ backMs }) => (backMs === undefined ? '' : `${backMs.toFixed(0)} ms`) },
  { title: 'WHERE', show: ({ url, problem }) => problem ?? url },
];
