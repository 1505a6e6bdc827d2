import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startCollector } from '../test/kit/collector.ts';
import { type LoadSignal, type Sink, startSink } from '../test/kit/load.ts';
import { startProcess } from '../test/kit/process.ts';

/** The systems that are compared. C0, C1, C2: the OpenTelemetry Collector; durable, embedded: two shapes of ours. */
export const systemNames = ['C0', 'C1', 'C2', 'durable', 'embedded', 'counted'] as const;
/** Those that are compared unless others are asked for. */
export const usualSystems = systemNames.filter((name) => name !== 'counted');
export type SystemName = (typeof systemNames)[number];

export const descriptions = {
  C0: 'OpenTelemetry Collector, otlp → otlp_grpc, sending queue in memory',
  C1: 'the same, sending queue in file_storage',
  C2: 'the same, sending queue in file_storage with fsync: true',
  durable: 'WatchingCat, log + forwarding over OTLP/gRPC, no embedded store',
  embedded: 'WatchingCat, log + embedded store',
  counted: 'WatchingCat, log + embedded store + span metrics',
} as const satisfies Record<SystemName, string>;

/** A system under test, running. */
export interface System extends AsyncDisposable {
  readonly name: SystemName;
  readonly pid: number;
  readonly grpc: string;
  readonly http: string;
  /** Base of the REST interface; undefined for a Collector. */
  readonly rest: string | undefined;
  readonly sink: Sink | undefined;
  /** Items of a signal that have reached the far end: the sink, or the embedded store. */
  delivered(signal: LoadSignal): Promise<number>;
}

export async function startSystem(name: SystemName, folder: string): Promise<System> {
  mkdirSync(folder, { recursive: true });
  return name === 'C0' || name === 'C1' || name === 'C2' ? startPeer(name, folder) : startOurs(name, folder);
}

/**
 * A Collector as its documentation advises for this job. The queue waits where it is full instead of refusing, and retries
 * for ever, so that a run in which it is faster in than out still loses nothing. Ten consumers are the default. Requests are
 * batched in the queue with the sizes that its batch processor has by default, which gave it its best figures: without, its
 * throughput with fsync is a third less and its CPU in memory a tenth more.
 */
async function startPeer(name: 'C0' | 'C1' | 'C2', folder: string): Promise<System> {
  const sink = await startSink(join(folder, 'sink.log'));
  const storage = join(folder, 'queue');
  mkdirSync(storage, { recursive: true });
  const queue = [
    'enabled: true, queue_size: 2000, block_on_overflow: true, num_consumers: 10, batch: {flush_timeout: 200ms, min_size: 8192, sizer: items}',
    ...(name === 'C0' ? [] : ['storage: file_storage']),
  ].join(', ');
  const exporters = `{otlp_grpc: {endpoint: "${sink.grpc}", tls: {insecure: true}, compression: none, timeout: 30s, sending_queue: {${queue}}, retry_on_failure: {enabled: true, max_elapsed_time: 0}}}`;
  const program = await startCollector({
    folder,
    exporters,
    pipelines: { traces: ['otlp_grpc'], metrics: ['otlp_grpc'], logs: ['otlp_grpc'] },
    extensions: name === 'C0' ? [] : [`file_storage: {directory: "${storage}", fsync: ${name === 'C2'}}`],
  });
  return {
    name,
    pid: program.pid,
    grpc: program.grpc,
    http: program.http,
    rest: undefined,
    sink,
    delivered: (signal) => sink.count(signal),
    [Symbol.asyncDispose]: async () => {
      await program.stop();
      await sink.stop();
    },
  };
}

/** Starts this repository's process, as a user does, with a data folder of its own. */
async function startOurs(name: 'durable' | 'embedded' | 'counted', folder: string): Promise<System> {
  const sink = name === 'durable' ? await startSink(join(folder, 'sink.log')) : undefined;
  const program = await startProcess({
    dataDir: join(folder, 'data'),
    env:
      sink === undefined
        ? { WATCHINGCAT_SPAN_METRICS: name === 'counted' ? 'on' : 'off' }
        : { WATCHINGCAT_FORWARD_OTLP_ENDPOINT: `http://${sink.grpc}`, WATCHINGCAT_EMBEDDED: 'off' },
  });
  return {
    name,
    pid: program.pid,
    grpc: program.otlpGrpc,
    http: new URL(program.otlpHttp).host,
    rest: program.http,
    sink,
    delivered: (signal) => (sink === undefined ? storedItems(program.http, signal) : sink.count(signal)),
    [Symbol.asyncDispose]: async () => {
      await program.stop();
      await sink?.stop();
    },
  };
}

/** Items of a signal that the embedded store has taken, from the counters at /metrics. */
export async function storedItems(rest: string, signal: LoadSignal): Promise<number> {
  const text = await (await fetch(`${rest}/metrics`)).text();
  const line = new RegExp(
    `^watchingcat_destination_sent\\w*\\{(?=[^}]*destination="embedded")(?=[^}]*signal="${signal}")[^}]*\\} (\\S+)`,
    'm',
  );
  return Number(line.exec(text)?.[1] ?? 0);
}
