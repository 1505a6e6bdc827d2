import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { answers, backendProgram, freePort, type RunningProgram, runProgram, startProgram } from './program.ts';

export type LoadSignal = 'traces' | 'logs' | 'metrics';
export type LoadProtocol = 'grpc' | 'http';

/** What one run of the load generator sends. `rate`: items a second, 0 as fast as it goes. */
export interface Load {
  readonly signal: LoadSignal;
  readonly protocol: LoadProtocol;
  readonly batch: number;
  readonly inFlight: number;
  readonly seconds: number;
  readonly rate?: number;
  /** Stops after this many, even where `seconds` are not over. */
  readonly items?: number;
}

/** What the load generator saw. */
export interface LoadResult {
  readonly acceptedItems: number;
  readonly acceptedPerSecond: number;
  readonly rejectedItems: number;
  readonly errors: number;
  readonly errorKinds: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** File with the numbers of the acknowledged items, for `Sink.verify`. */
  readonly ackedFile: string;
}

let lastRun = Math.floor(Date.now() / 1000) % 4000;

/** Sends a load over four connections to `endpoint` (host:port). */
export async function sendLoad(endpoint: string, load: Load, folder: string): Promise<LoadResult> {
  lastRun += 1;
  const ackedFile = join(folder, `acked-${lastRun}.json`);
  const connections = Math.min(4, load.inFlight);
  const { stdout } = await runProgram(
    backendProgram('otlpload'),
    [
      ...['-signal', load.signal, '-proto', load.protocol, '-endpoint', endpoint],
      ...['-conns', `${connections}`, '-inflight', `${load.inFlight / connections}`],
      ...['-batch', `${load.batch}`, '-duration', `${load.seconds}s`, '-rate', `${load.rate ?? 0}`],
      ...(load.items === undefined ? [] : ['-items', `${load.items}`]),
      ...['-run', `${lastRun}`, '-acked', ackedFile],
    ],
    { timeoutMs: load.seconds * 1000 + 60_000 },
  );
  const told = JSON.parse(stdout) as {
    accepted_items: number;
    accepted_per_s: number;
    rejected_items?: number;
    errors?: number;
    error_kinds?: Record<string, number>;
    latency_ms: { p50: number; p99: number };
  };
  return {
    acceptedItems: told.accepted_items,
    acceptedPerSecond: told.accepted_per_s,
    rejectedItems: told.rejected_items ?? 0,
    errors: told.errors ?? 0,
    errorKinds: told.error_kinds ?? {},
    p50Ms: told.latency_ms.p50,
    p99Ms: told.latency_ms.p99,
    ackedFile,
  };
}

/** A peer that takes what is forwarded, counts it and remembers which items came. */
export interface Sink extends RunningProgram {
  /** host:port of its OTLP/gRPC receiver. */
  readonly grpc: string;
  /** Items of a signal that have arrived. */
  count(signal: LoadSignal): Promise<number>;
  verify(
    ackedFile: string,
  ): Promise<{ acknowledged: number; missing: number; duplicates: number; unacknowledged: number }>;
}

export async function startSink(logFile: string, options: { grpcPort?: number } = {}): Promise<Sink> {
  const [grpcPort, httpPort] = [options.grpcPort ?? (await freePort()), await freePort()];
  const program = await startProgram({
    command: backendProgram('otlpsink'),
    args: ['-ids', '-grpc', `127.0.0.1:${grpcPort}`, '-http', `127.0.0.1:${httpPort}`],
    logFile,
    ready: () => answers(`http://127.0.0.1:${httpPort}/count`),
  });
  return {
    ...program,
    grpc: `127.0.0.1:${grpcPort}`,
    count: async (signal) => {
      const response = await fetch(`http://127.0.0.1:${httpPort}/count`);
      const counts = (await response.json()) as Record<string, number>;
      return counts[signal] ?? 0;
    },
    verify: async (ackedFile) => {
      const response = await fetch(`http://127.0.0.1:${httpPort}/verify`, {
        method: 'POST',
        body: readFileSync(ackedFile),
      });
      if (!response.ok) throw new Error(`the sink answers ${response.status}: ${await response.text()}`);
      return (await response.json()) as {
        acknowledged: number;
        missing: number;
        duplicates: number;
        unacknowledged: number;
      };
    },
  };
}
