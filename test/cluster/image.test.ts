import { existsSync, readFileSync } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually, temporaryFolder } from '../kit/process.ts';
import { freePort, runProgram } from '../kit/program.ts';
import { exportRecord, isStored } from '../kit/records.ts';
import { type Builder, buildBackendImage, openBuilder, repository } from './kit/backend-image.ts';

// Dockerfile.backend: what is in the image, as whom it runs, and that it serves.

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let builder: Builder;
let container: string;
let root: string;
let config: { Entrypoint: string[]; Cmd: string[]; User: string; Env: string[]; WorkingDir: string };

beforeAll(async () => {
  folder = await temporaryFolder();
  builder = openBuilder(folder.path);
  const name = await buildBackendImage(builder);
  const inspected = JSON.parse(await builder.buildah('inspect', '--type', 'image', name));
  config = inspected.OCIv1.config;
  container = await builder.buildah('from', name);
  root = await builder.buildah('mount', container);
}, 600_000);
afterAll(async () => {
  if (container !== undefined) await builder.buildah('rm', '--all');
  await folder?.[Symbol.asyncDispose]();
});

it('runs as user 1000, on all addresses, with its data in /data, which belongs to it', async () => {
  expect(config.User).toBe('1000:1000');
  expect(config.Env).toContain('WATCHINGCAT_HOST=0.0.0.0');
  expect(config.Env).toContain('WATCHINGCAT_DATA_DIR=/data');
  const { uid, gid } = await stat(join(root, 'data'));
  expect([uid, gid]).toEqual([1000, 1000]);
  // Nothing else does: who breaks in changes no code.
  const { stdout } = await runProgram('find', [root, '-xdev', '-user', '1000', '-printf', '/%P\n']);
  expect(stdout.trim()).toBe('/data');
});

it('has no shell, no npm and no other program', async () => {
  const { stdout } = await runProgram('find', [root, '-xdev', '-type', 'f', '-perm', '/111', '-printf', '/%P\n']);
  const programs = stdout.trim().split('\n');
  const isLibrary = (path: string) => /\.so(\.\d+)*$|\.node$/.test(path) || path.startsWith('/app/');
  expect(programs.filter((path) => !isLibrary(path))).toEqual(['/usr/local/bin/node']);
  const names = (await readdir(root, { recursive: true })).map((path) => path.split('/').at(-1));
  const forbidden = ['sh', 'bash', 'dash', 'ash', 'busybox', 'npm', 'npx', 'corepack', '.npmrc', '.npm', '.bin'];
  expect(names.filter((name) => name !== undefined && forbidden.includes(name))).toEqual([]);
  const setUid = await runProgram('find', [root, '-xdev', '-perm', '/6000']);
  expect(setUid.stdout).toBe('');
});

it('holds the production dependencies of the lock file, each in its version, and nothing else', async () => {
  const lock = JSON.parse(readFileSync(join(repository, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; dev?: boolean; devOptional?: boolean; optional?: boolean }>;
  };
  const installed = new Map<string, string>();
  const { stdout } = await runProgram('find', [join(root, 'app/node_modules'), '-name', 'package.json']);
  for (const path of stdout.trim().split('\n')) {
    const key = path.slice(join(root, 'app/').length, -'/package.json'.length);
    if (key in lock.packages) installed.set(key, JSON.parse(readFileSync(path, 'utf8')).version);
  }
  const wanted = Object.entries(lock.packages).filter(([key, { dev }]) => key !== '' && dev !== true);
  // Other platforms' packages, and Node, which has a place of its own.
  const needed = wanted.filter(([, { optional, devOptional }]) => optional !== true && devOptional !== true);
  expect(needed.filter(([key, { version }]) => installed.get(key) !== version)).toEqual([]);
  expect(
    [...installed].filter(([key, version]) => !wanted.some(([k, p]) => k === key && p.version === version)),
  ).toEqual([]);
  expect((await readdir(join(root, 'app'))).filter((name) => /^(src|test|scripts|node_modules\.)/.test(name))).toEqual(
    [],
  );
});

it('holds what the published package holds', () => {
  const { files } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { files: string[] };
  expect(files.filter((path) => !existsSync(join(root, 'app', path)))).toEqual([]);
});

it('says its version', async () => {
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string };
  const said = await builder.buildah(
    'run',
    '--isolation',
    'chroot',
    container,
    '--',
    ...config.Entrypoint,
    '--version',
  );
  expect(said).toContain(version);
  const { stdout } = await runProgram('du', ['-sm', root]);
  console.log(`size of the image, unpacked: ${stdout.split('\t')[0]} MiB`);
});

it('serves: each signal is stored and found', async () => {
  const [grpc, otlpHttp, http] = [await freePort(), await freePort(), await freePort()];
  const env = { OTLP_GRPC_PORT: grpc, OTLP_HTTP_PORT: otlpHttp, HTTP_PORT: http };
  const running = builder.start(
    ...['run', '--isolation', 'chroot'],
    ...Object.entries(env).flatMap(([name, port]) => ['--env', `WATCHINGCAT_${name}=${port}`]),
    ...[container, '--', ...config.Entrypoint, ...config.Cmd],
  );
  try {
    const base = `http://127.0.0.1:${http}`;
    await eventually(
      async () => (await fetch(`${base}/health/ready`).catch(() => undefined))?.status,
      (s) => s === 200,
    );
    const target = { http: base, otlpHttp: `http://127.0.0.1:${otlpHttp}`, otlpGrpc: `127.0.0.1:${grpc}` };
    for (const signal of ['traces', 'metrics', 'logs'] as const) {
      const id = await exportRecord(target, signal, 'grpc');
      await eventually(() => isStored(target, signal, id), Boolean);
    }
    // The log is the user's own.
    expect((await lstat(join(root, 'data', (await readdir(join(root, 'data')))[0]!))).uid).toBe(1000);
  } finally {
    await running.stop();
  }
  expect(running.stderr()).toContain('"msg":"listening"');
});
