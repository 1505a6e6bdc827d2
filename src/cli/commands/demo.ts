import { randomInt } from 'node:crypto';
import { type Command, InvalidArgumentError } from 'commander';
import { formatDurationMs, readDurationMs } from '../../config/index.ts';
import { createDemo } from '../demo/index.ts';
import { CommandFailure, exitCodes } from '../failure.ts';
import { grpcSender, httpSender } from '../otlp/sender.ts';
import type { Outcome } from '../program.ts';
import { addEndpoint } from '../reader-options.ts';
import { findReceivers } from '../receivers.ts';
import { connect } from '../rest.ts';
import type { Terminal } from '../terminal.ts';

/** Records by signal. */
interface Counts {
  readonly traces: number;
  readonly metrics: number;
  readonly logs: number;
}

interface Cleared {
  readonly erased: Counts;
  readonly left: readonly { readonly destination: string; readonly remove: string }[];
}

interface Options {
  endpoint?: string;
  otlpGrpc?: string;
  otlpHttp?: string;
  backfill?: number;
  once?: boolean;
  clear?: boolean;
  json?: boolean;
}

export function register(command: Command, outcome: Outcome): void {
  addEndpoint(command);
  command
    .option('--otlp-grpc <host:port>', 'OTLP gRPC receiver (default: what the instance says)')
    .option('--otlp-http <url>', 'OTLP HTTP receiver (default: what the instance says)')
    .option('--backfill <duration>', 'how much past to make up first, 0s to 24h (default: 30m)', readBackfill)
    .option('--once', 'send the past and end')
    .option('--clear', 'remove what demos have sent (watchingcat.demo=true)')
    .option('--json', 'print counts as JSON')
    .addHelpText(
      'after',
      `
A shop of six services in two namespaces: traces, logs, every kind of metric, a slow dependency, declined payments, and
an incident in the middle; and the Kubernetes cluster that it runs in: three nodes, pods, workloads, events, one pod in a
crash loop. Everything carries the attribute watchingcat.demo=true, and k8s.cluster.name=watchingcat-demo.

Examples:
  watchingcat demo                     the last 30 minutes, then live until Ctrl-C
  watchingcat demo --once              the last 30 minutes
  watchingcat demo --clear             remove it`,
    );
  command.action(async () => {
    const options = command.opts<Options>();
    const terminal = outcome.terminal(command);
    outcome.exitCode = options.clear ? await clear(options, terminal) : await run(options, terminal);
  });
}

async function clear(options: Options, terminal: Terminal): Promise<number> {
  const rest = connect(options.endpoint, terminal.env);
  const { erased, left } = await rest.delete<Cleared>('/api/v1/demo').catch((error: unknown) => {
    if (!(error instanceof CommandFailure) || !error.message.startsWith('404')) throw error;
    throw new CommandFailure(
      'problem',
      `${rest.endpoint} cannot remove demo data: it goes with its retention, or with the data folder.`,
    );
  });
  if (options.json) terminal.print(JSON.stringify({ erased, left }));
  else terminal.say(`Removed what demos had sent: ${counts(erased)}.`);
  for (const { destination, remove } of left) terminal.say(`Left alone in ${destination}: ${remove}`);
  return exitCodes.ok;
}

async function run(options: Options, terminal: Terminal): Promise<number> {
  const { backfill = 30 * 60_000 } = options;
  const { rest, grpc, http } = await findReceivers(options.endpoint, terminal.env, {
    grpc: options.otlpGrpc,
    http: options.otlpHttp,
  });
  const cancel = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => cancel.abort());
  using overGrpc = await grpcSender(grpc);
  // As in a real cluster: SDKs speak gRPC or HTTP with protobuf, a script somewhere sends JSON.
  const senders = {
    traces: overGrpc,
    metrics: overGrpc,
    logs: httpSender(http, 'http/protobuf'),
    events: httpSender(http, 'http/json'),
  };
  const demo = createDemo({
    seed: randomInt(2 ** 32),
    nowMs: () => Date.now(),
    backfillMs: backfill,
    visitsPerSecond: 1.2,
    senders,
  });

  const startedMs = performance.now();
  terminal.say(`Sending ${formatDurationMs(backfill)} of a small shop to gRPC ${grpc} and ${http} …`);
  await demo.backfill(() => undefined);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  terminal.say(`Sent ${counts(demo.sent)} in ${seconds} s.`);
  // Of its cluster is told what was said lately, or at a time.
  const end = options.once ? ` -d end=${new Date().toISOString()}` : '';
  for (const line of nextSteps(rest.endpoint, end)) terminal.say(line);
  if (!options.once) {
    terminal.say('Live now: about one visit a second, until Ctrl-C.');
    await demo.live(cancel.signal, () => undefined);
    terminal.say(`Sent ${counts(demo.sent)}.`);
  }
  if (options.json) terminal.print(JSON.stringify(demo.sent));
  if (demo.sent.rejected === 0) return exitCodes.ok;
  terminal.complain(`${demo.sent.rejected} records were rejected.`);
  return exitCodes.problem;
}

function counts({ traces, metrics, logs }: Counts): string {
  const number = new Intl.NumberFormat('en');
  return `${number.format(traces)} spans, ${number.format(metrics)} data points, ${number.format(logs)} log records`;
}

function nextSteps(endpoint: string, end: string): string[] {
  const ask = (path: string, query: string) =>
    `  curl -sG ${endpoint}/api/v1/${path} --data-urlencode 'query=${query}'`;
  return [
    'Look at it:',
    ask('traces', 'status=error AND http.response.status_code>=500'),
    ask('logs', '"payment declined"'),
    ask('metrics/query_range', 'sum by (service_name) (rate(http_server_request_duration_seconds_count[5m]))'),
    `  curl -sG ${endpoint}/api/v1/k8s/overview${end}`,
    `  npx watchingcat services${endpoint === 'http://127.0.0.1:8090' ? '' : ` --endpoint ${endpoint}`}`,
  ];
}

function readBackfill(text: string): number {
  const ms = /^0s?$/.test(text) ? 0 : readDurationMs(text);
  if (ms === undefined || ms > 86_400_000)
    throw new InvalidArgumentError('Expected a duration from 0s to 24h, such as 30m.');
  return ms;
}
