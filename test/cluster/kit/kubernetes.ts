import { delimiter, join } from 'node:path';
import { backendsHome, type Ended, runProgram, runToEnd } from '../../kit/program.ts';

// Programs that are run against the cluster of cluster.ts.

export const kubeconfig = join(backendsHome(), 'run/kubeconfig');
const environment: NodeJS.ProcessEnv = {
  KUBECONFIG: kubeconfig,
  PATH: [join(backendsHome(), 'cluster/bin'), join(backendsHome(), 'bin'), process.env['PATH']].join(delimiter),
};

/** Runs a program, which finds kubectl, helm and the cluster. */
export const run = (
  command: string,
  args: readonly string[],
  options: { input?: string; timeoutMs?: number } = {},
): Promise<Ended> => runToEnd(command, args, { ...options, env: environment });

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
