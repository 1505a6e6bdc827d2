import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProgram } from '../../kit/program.ts';

const example = fileURLToPath(new URL('../../../k8s/examples', import.meta.url));
const shared = fileURLToPath(new URL('../../../../shared/', import.meta.url));

/**
 * The image of k8s/examples, as its Dockerfile makes it, with this machine's Node as the base.
 * @param image   name and tag, with the registry `docker.io`, which a manifest may leave out.
 * @param folder  an empty one.
 * @returns       a tar file that a node loads.
 */
export async function exampleImage(image: string, folder: string): Promise<string> {
  const app = join(folder, 'root/app');
  await mkdir(app, { recursive: true });
  for (const name of await readdir(example)) {
    if (/\.cjs$|^package.*\.json$/.test(name)) await cp(join(example, name), join(app, name));
  }
  await runProgram('npm', ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'], {
    cwd: app,
  });
  const out = join(folder, 'image.tar');
  await runProgram(join(shared, 'cluster/make-image'), [
    ...[image, join(folder, 'root'), out, '--with', process.execPath, '--workdir', '/app', '--user', '1000:1000'],
    ...[process.execPath, '--require', './telemetry.cjs'].flatMap((argument) => ['--entrypoint', argument]),
    ...['--cmd', 'storefront.cjs'],
  ]);
  await rm(join(folder, 'root'), { recursive: true });
  return out;
}
