import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import { freePort, runProgram } from '../../kit/program.ts';
import { makeImage } from './images.ts';
import { kubectl } from './kubernetes.ts';

// A real cluster of one node on this machine: API server, kubelet, containerd, pods. It starts with the first test file that
// asks for it and ends with the run (setup.ts); what a file installs, it removes.

const shared = fileURLToPath(new URL('../../../../shared/cluster/', import.meta.url));

/** An object or list, as the API server gives it; `--raw PATH` for any answer of it. */
export async function get<T>(...args: readonly string[]): Promise<T> {
  const format = args[0] === '--raw' ? [] : ['-o', 'json'];
  return JSON.parse(await kubectl('get', ...args, ...format)) as T;
}

/** Starts the cluster where it is not up, and puts these images into its node. */
export async function startCluster(images: readonly string[]): Promise<void> {
  // What is installed already is found so within a second.
  await runProgram(join(shared, 'install'), [], { timeoutMs: 3_600_000 });
  const up = await runProgram(join(shared, 'up'), [], { timeoutMs: 240_000 });
  const wasUp = up.stdout.includes('already up');
  if (!wasUp) await writeFile(join(inject('clusterFolder'), 'started'), '');
  const record = join(inject('clusterFolder'), 'loaded.json');
  const loaded: string[] = wasUp && existsSync(record) ? JSON.parse(await readFile(record, 'utf8')) : [];
  for (const image of images.filter((each) => !loaded.includes(each))) {
    const file = await makeImage(image, join(inject('clusterFolder'), image.replaceAll(/[^a-z0-9.]+/g, '-')));
    await runProgram(join(shared, 'load-image'), [file]);
    loaded.push(image);
    await writeFile(record, JSON.stringify(loaded));
  }
}

/** A Service of the cluster on this machine. */
export interface Forwarded extends AsyncDisposable {
  /** host:port */
  readonly address: string;
}

/** Leads a port of this machine to a Service, or to the address of a pod or node. @param to `namespace/service:port` or `address:port`. */
export async function forward(to: string): Promise<Forwarded> {
  const port = await freePort();
  await runProgram(join(shared, 'forward'), ['in', `${port}`, to]);
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      await runProgram(join(shared, 'forward'), ['stop', 'in', `${port}`]);
    },
  };
}
