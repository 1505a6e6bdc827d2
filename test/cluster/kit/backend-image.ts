import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, realpath, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProgram } from '../../kit/program.ts';

// Dockerfile.backend, built for real by buildah, without a registry of images: both bases are made of this machine's files.

export const repository = fileURLToPath(new URL('../../..', import.meta.url));

/** A buildah of its own storage, removed with `folder`. Needs root: containers run by chroot, in the machine's network. */
export interface Builder {
  readonly folder: string;
  /** @returns what it wrote to stdout, trimmed. */
  buildah(...args: readonly string[]): Promise<string>;
  /** `buildah …`, as long as the process lives: what it wrote to stderr, and its end by SIGTERM. */
  start(...args: readonly string[]): { stderr(): string; stop(): Promise<void> };
}

export function openBuilder(folder: string): Builder {
  const command = 'buildah';
  const storage = ['--storage-driver', 'vfs', '--root', join(folder, 'storage'), '--runroot', join(folder, 'run')];
  return {
    folder,
    async buildah(...args) {
      const { stdout } = await runProgram(command, [...storage, ...args], { cwd: repository, timeoutMs: 300_000 });
      return stdout.trim();
    },
    start(...args) {
      const child = spawn(command, [...storage, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
      const ended = once(child, 'exit');
      const stderr: string[] = [];
      child.stderr.setEncoding('utf8').on('data', (text: string) => stderr.push(text));
      return {
        stderr: () => stderr.join(''),
        async stop() {
          child.kill('SIGTERM');
          await ended;
        },
      };
    },
  };
}

/** Builds the image. @returns its name in the builder's storage. */
export async function buildBackendImage(builder: Builder, name = 'localhost/watchingcat-backend'): Promise<string> {
  const buildImage = await image(builder, 'build-base', await buildBase(builder), {
    PATH: '/usr/bin:/bin',
    NPM_CONFIG_PREFER_OFFLINE: 'true', // the packages that this machine has already
    ...(existsSync(certificates) && { NODE_EXTRA_CA_CERTS: certificates }),
  });
  const baseImage = await image(builder, 'base', await libraryBase(builder), {});
  // What is set on this machine for npm: a registry, credentials. They go where a user's would go.
  const npmrc = await npmConfig('userconfig');
  await builder.buildah(
    ...['build', '--isolation', 'chroot', '--layers=false', '--quiet', '-f', 'Dockerfile.backend', '-t', name],
    ...['--build-arg', `BUILD_IMAGE=${buildImage}`, '--build-arg', `BASE_IMAGE=${baseImage}`],
    ...(existsSync(npmrc) ? ['--secret', `id=npmrc,src=${npmrc}`] : []),
    ...['--volume', `${await npmConfig('cache')}:/root/.npm`],
    '.',
  );
  return name;
}

const certificates = '/etc/ssl/certs/ca-certificates.crt';

async function npmConfig(key: string): Promise<string> {
  return (await runProgram('npm', ['config', 'get', key])).stdout.trim();
}

/** What BASE_IMAGE must have: the libraries of Node and of the native add-ons, and not one program. */
async function libraryBase(builder: Builder): Promise<string> {
  const folder = join(builder.folder, 'base');
  const addons = await runProgram('find', [join(repository, 'node_modules'), '-name', '*.node', '-path', '*gnu*']);
  const bindings = await runProgram('find', [join(repository, 'node_modules/@duckdb'), '-name', '*.node']);
  const files = [addons.stdout, bindings.stdout].flatMap((list) => list.trim().split('\n')).filter(Boolean);
  await copyLibraries(folder, [process.execPath, ...files]);
  return folder;
}

/** What BUILD_IMAGE must have: npm, Node and a shell, here busybox. */
async function buildBase(builder: Builder): Promise<string> {
  const folder = join(builder.folder, 'build-base');
  const busybox = (await runProgram('sh', ['-c', 'command -v busybox'])).stdout.trim();
  await copyLibraries(folder, [process.execPath, busybox]);
  await mkdir(join(folder, 'usr/bin'), { recursive: true });
  await mkdir(join(folder, 'bin'), { recursive: true });
  await mkdir(join(folder, 'tmp'));
  await cp(process.execPath, join(folder, 'usr/bin/node'));
  await cp(await realpath(busybox), join(folder, 'bin/busybox'));
  for (const applet of ['sh', 'mkdir', 'cp', 'rm', 'tar', 'gzip'])
    await symlink('busybox', join(folder, 'bin', applet));
  await symlink('/bin/busybox', join(folder, 'usr/bin/env'));
  const npm = dirname(dirname(await realpath((await runProgram('sh', ['-c', 'command -v npm'])).stdout.trim())));
  await cp(npm, join(folder, 'usr/lib/node_modules/npm'), { recursive: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(folder, 'usr/bin/npm'));
  if (existsSync(certificates)) {
    await mkdir(join(folder, dirname(certificates)), { recursive: true });
    await cp(await realpath(certificates), join(folder, certificates));
  }
  return folder;
}

/** Copies the shared libraries of the system that programs and add-ons load, at their own paths. */
async function copyLibraries(folder: string, files: readonly string[]): Promise<void> {
  const { stdout } = await runProgram('ldd', files);
  const paths = [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path!);
  // An add-on's own library lies beside it, and comes with its package.
  for (const path of new Set(paths.filter((each) => /^\/(usr\/)?lib/.test(each)))) {
    await mkdir(join(folder, dirname(path)), { recursive: true });
    await cp(await realpath(path), join(folder, path));
  }
}

async function image(
  builder: Builder,
  name: string,
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  // A base of another base: docker would take the registry of its own where a name has none.
  const tag = `localhost/watchingcat-${name}`;
  const container = await builder.buildah('from', 'scratch');
  await builder.buildah('copy', '--quiet', container, folder, '/');
  const variables = Object.entries(env).flatMap(([key, value]) => ['--env', `${key}=${value}`]);
  if (variables.length > 0) await builder.buildah('config', ...variables, container);
  await builder.buildah('commit', '--quiet', '--rm', container, tag);
  return tag;
}
