import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// The real process, started as a user starts it, on free ports.

/** A process that has said it is ready. */
export interface Running {
  readonly pid: number;
  /** Base URLs of REST and of OTLP over HTTP; `host:port` of OTLP over gRPC. */
  readonly http: string;
  readonly otlpHttp: string;
  readonly otlpGrpc: string;
  readonly dataDir: string;
  /** All that it wrote so far, stdout and stderr. */
  output(): string;
  /** Sends a signal and waits for the end. Resolves at once where it has ended already. */
  stop(signal?: NodeJS.Signals): Promise<Ended>;
}
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly tookMs: number;
}
export interface StartOptions {
  readonly dataDir: string;
  readonly flags?: readonly string[];
  readonly env?: { readonly [name: string]: string };
  /** Command of an installed package; the repository's own where absent. */
  readonly bin?: string;
  /** Flags of Node itself. */
  readonly nodeFlags?: readonly string[];
  readonly readyWithinMs?: number;
}

const repositoryBin = fileURLToPath(new URL('../../bin/watchingcat.js', import.meta.url));

/** Starts the process and waits until `/health` says that it accepts. Rejects with its output where it ends before. */
export async function startProcess(options: StartOptions): Promise<Running> {
  const child = spawn(
    process.execPath,
    [...(options.nodeFlags ?? []), options.bin ?? repositoryBin, 'start', ...(options.flags ?? [])],
    {
      env: {
        ...cleanEnvironment(),
        WATCHINGCAT_OTLP_GRPC_PORT: '0',
        WATCHINGCAT_OTLP_HTTP_PORT: '0',
        WATCHINGCAT_HTTP_PORT: '0',
        WATCHINGCAT_DATA_DIR: options.dataDir,
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const collected = collect(child);
  const ended = endOf(child);
  const deadline = performance.now() + (options.readyWithinMs ?? 30_000);
  while (performance.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`ended before it was ready (${child.exitCode ?? child.signalCode}):\n${collected()}`);
    }
    const listeners = listenersIn(collected());
    if (listeners !== undefined && (await isReady(listeners.http))) {
      return {
        pid: child.pid ?? 0,
        http: `http://${listeners.http}`,
        otlpHttp: `http://${listeners.otlpHttp}`,
        otlpGrpc: listeners.otlpGrpc,
        dataDir: options.dataDir,
        output: collected,
        async stop(signal = 'SIGTERM') {
          const from = performance.now();
          child.kill(signal);
          return { ...(await ended), tookMs: performance.now() - from };
        },
      };
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  child.kill('SIGKILL');
  throw new Error(`not ready in time:\n${collected()}`);
}

/** Runs a command to its end, with what it wrote. */
export async function runCommand(
  args: readonly string[],
  options: {
    env?: { readonly [name: string]: string };
    cwd?: string;
    bin?: string;
    nodeFlags?: readonly string[];
  } = {},
): Promise<Ended & { stdout: string; stderr: string }> {
  const from = performance.now();
  const child = spawn(process.execPath, [...(options.nodeFlags ?? []), options.bin ?? repositoryBin, ...args], {
    env: { ...cleanEnvironment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const end = await endOf(child);
  return {
    ...end,
    tookMs: performance.now() - from,
    stdout: Buffer.concat(out).toString(),
    stderr: Buffer.concat(err).toString(),
  };
}

/** A folder that is gone when the scope is left. */
export async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'watchingcat-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** Asks until the answer suits; what is stored is queryable within seconds, not at once. Rejects with the last answer. */
export async function eventually<T>(
  ask: () => Promise<T>,
  suits: (answer: T) => boolean,
  withinMs = 15_000,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (suits(answer)) return answer;
    if (performance.now() > deadline) throw new Error(`the last answer was ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** GET of a REST path, as JSON. */
export async function getJson(base: string, path: string, query: Record<string, string> = {}): Promise<unknown> {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** What the tests' own environment sets for WatchingCat or for a terminal must not reach the process. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) =>
        !name.startsWith('WATCHINGCAT_') && !['NODE_OPTIONS', 'FORCE_COLOR', 'NO_COLOR', 'VITEST'].includes(name),
    ),
  );
}

function collect(child: ChildProcess): () => string {
  const chunks: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString();
}

function endOf(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

interface Listeners {
  readonly otlpGrpc: string;
  readonly otlpHttp: string;
  readonly http: string;
}

/** The log line that names the listeners, each as `host:port`. */
function listenersIn(output: string): Listeners | undefined {
  for (const line of output.split('\n')) {
    if (!line.includes('"listeners"')) continue;
    try {
      const { listeners } = JSON.parse(line) as { listeners?: Listeners };
      if (listeners !== undefined) return listeners;
    } catch {
      // a line that is still being written
    }
  }
  return undefined;
}

async function isReady(address: string): Promise<boolean> {
  try {
    const answer = await fetch(`http://${address}/health/ready`);
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
