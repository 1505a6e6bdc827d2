import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { runProgram } from '../kit/program.ts';

// One cluster for all files of a run: the first that needs it starts it.

declare module 'vitest' {
  interface ProvidedContext {
    /** Of this run: the images, and which of them the node has. */
    clusterFolder: string;
  }
}

const shared = fileURLToPath(new URL('../../../shared/cluster/', import.meta.url));

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'watchingcat-cluster-'));
  project.provide('clusterFolder', folder);
  return async () => {
    // One that was up already is somebody else's.
    if (existsSync(join(folder, 'started'))) await runProgram(join(shared, 'down'), []);
    await rm(folder, { recursive: true, force: true });
  };
}
