import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { backendsHome, runProgram } from '../../kit/program.ts';

// A real cluster of one node, made by `shared/cluster`, and programs that are run against it.

const folder = fileURLToPath(new URL('../../../../shared/cluster/', import.meta.url));

/** Folder of the chart, the scripts and the examples. */
export const k8s = fileURLToPath(new URL('../../../k8s', import.meta.url));

/** How a program ended, and what it wrote. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Cluster extends AsyncDisposable {
  /** Environment in which kubectl, helm and the scripts reach the cluster. */
  readonly env: NodeJS.ProcessEnv;
  /** @returns stdout. @throws Error with what kubectl wrote when it fails. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** Creates or changes objects. */
  apply(...objects: readonly unknown[]): Promise<void>;
  /** Runs a program, whatever it ends with, at most `timeoutMs` (5 minutes). `input` is its stdin. */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** Puts images, tar files of `shared/cluster/make-image`, into the node. */
  loadImages(...files: readonly string[]): Promise<void>;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

/** Starts the cluster, or takes the one that runs; ends it only where it has started it. */
export async function openCluster(): Promise<Cluster> {
  const { stdout } = await runProgram(join(folder, 'up'), [], { timeoutMs: 200_000 });
  const wasUp = stdout.includes('already up');
  const home = backendsHome();
  const env = {
    KUBECONFIG: join(home, 'run/kubeconfig'),
    PATH: [join(home, 'cluster/bin'), join(home, 'bin'), process.env['PATH']].join(delimiter),
  };
  return {
    env,
    kubectl: async (...args) => (await runProgram('kubectl', args, { env })).stdout,
    async apply(...objects) {
      const items = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
      const { code, stderr } = await run('kubectl', ['apply', '-f', '-'], { env, input: items });
      if (code !== 0) throw new Error(`kubectl apply ended with ${code}: ${stderr}`);
    },
    run: (command, args, options) => run(command, args, { ...options, env: { ...env, ...options?.env } }),
    async loadImages(...files) {
      await runProgram(join(folder, 'load-image'), files, { timeoutMs: 200_000 });
    },
    async [Symbol.asyncDispose]() {
      if (!wasUp) await runProgram(join(folder, 'down'), []);
    },
  };
}

/** Runs a program to its end, whatever that is. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
    timeout: options.timeoutMs ?? 300_000,
    killSignal: 'SIGKILL',
  });
  const out: string[] = [];
  const err: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text));
  child.stdin.on('error', () => {}); // It need not read what it is given.
  child.stdin.end(options.input ?? '');
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout: out.join(''), stderr: err.join('') };
}
