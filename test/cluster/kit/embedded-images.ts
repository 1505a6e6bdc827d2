import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { backendProgram, runProgram } from '../../kit/program.ts';
import { buildBackendImage, openBuilder, repository } from './backend-image.ts';
import { run } from './kubernetes.ts';

const shared = fileURLToPath(new URL('../../../../shared/', import.meta.url));

/**
 * The images that the chart's profile `embedded` names, under the chart's names: Dockerfile.backend itself, and this machine's
 * Collector.
 * @param folder  an empty one.
 * @returns       tar files that a node loads.
 */
export async function embeddedImages(folder: string): Promise<string[]> {
  const chart = join(repository, 'k8s/helm/k8s-infra');
  const { stdout } = await run('helm', ['template', 'watchingcat', chart, '--set', 'profile=embedded']);
  const names = new Set([...stdout.matchAll(/^\s*(?:- )?image: "?([^"\s]+)"?$/gm)].map(([, name]) => name!));
  const files: string[] = [];
  for (const name of names) {
    const own = join(folder, `${files.length}`);
    await mkdir(join(own, 'root'), { recursive: true });
    files.push(name.includes('watchingcat-backend') ? await backend(name, own) : await collector(name, own));
  }
  return files;
}

async function backend(name: string, folder: string): Promise<string> {
  const builder = openBuilder(folder);
  const out = join(folder, 'image.tar');
  await builder.buildah('push', '--quiet', await buildBackendImage(builder, name), `docker-archive:${out}:${name}`);
  await builder.buildah('rmi', '--all', '--force');
  return out;
}

async function collector(name: string, folder: string): Promise<string> {
  await cp(backendProgram('otelcol'), join(folder, 'root/otelcol'));
  const out = join(folder, 'image.tar');
  await runProgram(join(shared, 'cluster/make-image'), [name, join(folder, 'root'), out, '--entrypoint', '/otelcol']);
  return out;
}
