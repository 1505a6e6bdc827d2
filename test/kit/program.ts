import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Folder of the programs that tests and measurements are run against. */
export function backendsHome(): string {
  return process.env['BACKENDS_HOME'] ?? join(homedir(), '.cache', 'watchingcat-backends');
}

/** Path of a built program; throws, with the command that builds it, where it is missing. */
export function backendProgram(
  name:
    | 'otelcol'
    | 'telemetrygen'
    | 'jaeger'
    | 'prometheus'
    | 'promtool'
    | 'helm'
    | 'kubeconform'
    | 'otlpload'
    | 'otlpsink',
): string {
  const path = join(backendsHome(), 'bin', name);
  if (!existsSync(path)) {
    const build = name.startsWith('otlp') ? 'shared/bench/build' : `shared/backends/tools/install ${name}`;
    throw new Error(`${path} is missing: build it with ${build}`);
  }
  return path;
}

/** A program that runs until it is stopped. */
export interface RunningProgram extends AsyncDisposable {
  readonly pid: number;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** What it has written to stdout and stderr, as kept in its log file. */
  output(): string;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, then SIGKILL after 20 s. May be called twice. */
  stop(): Promise<void>;
}

/**
 * Starts a program and waits until `ready` resolves true.
 * @throws Error with the end of its output when it ends before that or is not ready after `readyMs` (30 s).
 */
export async function startProgram(options: {
  command: string;
  args: readonly string[];
  logFile: string;
  ready: () => Promise<boolean>;
  readyMs?: number;
  env?: NodeJS.ProcessEnv;
}): Promise<RunningProgram> {
  mkdirSync(dirname(options.logFile), { recursive: true });
  const log = createWriteStream(options.logFile);
  await once(log, 'open');
  const child: ChildProcess = spawn(options.command, options.args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...options.env },
  });
  let ended = false;
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      ended = true;
      resolve({ code, signal });
    });
  });
  exited.catch(() => {
    ended = true;
  });
  const output = (): string => readFileSync(options.logFile, 'utf8');
  const stop = async (): Promise<void> => {
    if (!ended) {
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      await Promise.race([exited, sleep(20_000, undefined, { ref: false })]);
      if (!ended) child.kill('SIGKILL');
      await exited;
    }
    log.close();
  };
  const program: RunningProgram = {
    pid: child.pid ?? -1,
    exited,
    output,
    kill: (signal) => child.kill(signal),
    stop,
    [Symbol.asyncDispose]: stop,
  };
  const deadline = performance.now() + (options.readyMs ?? 30_000);
  while (!(await options.ready().catch(() => false))) {
    if (ended || performance.now() > deadline) {
      const why = ended ? 'ended while starting' : 'was not ready in time';
      await stop().catch(() => undefined);
      throw new Error(`${options.command} ${why}:\n${output().slice(-3000)}`);
    }
    await sleep(50);
  }
  return program;
}

/** `input` is its stdin; `timeoutMs`: 2 minutes. */
export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly timeoutMs?: number;
  readonly input?: string;
}

/** How a program ended, and what it wrote: any end is an answer. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export async function runToEnd(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
    timeout: options.timeoutMs ?? 120_000,
    killSignal: 'SIGKILL',
  });
  const out: string[] = [];
  const err: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text));
  child.stdin.on('error', () => {}); // It need not read what it is given.
  child.stdin.end(options.input ?? '');
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, stdout: out.join(''), stderr: err.join('') };
}

/** The same. @throws Error with its output when it exits with anything but 0. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<{ stdout: string; stderr: string }> {
  const { code, signal, stdout, stderr } = await runToEnd(command, args, options);
  if (code !== 0) {
    throw new Error(
      `${command} ${args.join(' ')} ended with ${code ?? signal}:\n${stdout.slice(-2000)}${stderr.slice(-3000)}`,
    );
  }
  return { stdout, stderr };
}

/** A loopback port that was free a moment ago, for programs that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** True where an HTTP GET answers 2xx. */
export async function answers(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
  await response.arrayBuffer();
  return response.ok;
}
