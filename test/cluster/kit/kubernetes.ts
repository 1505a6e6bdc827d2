import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, join } from 'node:path';
import { backendsHome, runProgram } from '../../kit/program.ts';

// Programs that are run against the cluster of cluster.ts.

export const kubeconfig = join(backendsHome(), 'run/kubeconfig');
const environment: NodeJS.ProcessEnv = {
  KUBECONFIG: kubeconfig,
  PATH: [join(backendsHome(), 'cluster/bin'), join(backendsHome(), 'bin'), process.env['PATH']].join(delimiter),
};

/** How a program ended, and what it wrote: any end is an answer. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program, which finds kubectl, helm and the cluster, at most `timeoutMs` (2 minutes). `input` is its stdin. */
export async function run(
  command: string,
  args: readonly string[],
  options: { input?: string; timeoutMs?: number } = {},
): Promise<Ended> {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
    timeout: options.timeoutMs ?? 120_000,
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

/** @returns stdout of kubectl. @throws Error with what it wrote when it fails. */
export async function kubectl(...args: readonly string[]): Promise<string> {
  return (await runProgram('kubectl', args, { env: environment })).stdout;
}

/** Makes or changes objects. */
export async function apply(...items: readonly unknown[]): Promise<void> {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  const { code, stderr } = await run('kubectl', ['apply', '-f', '-'], { input: list });
  if (code !== 0) throw new Error(`kubectl apply ended with ${code}: ${stderr}`);
}
