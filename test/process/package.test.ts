import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, link, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { signals } from '../../src/base/index.ts';
import { eventually, type Running, runCommand, startProcess, temporaryFolder } from '../kit/process.ts';
import { freePort } from '../kit/program.ts';
import { exportRecord, isStored, protocols } from '../kit/records.ts';

// The published package: compiled, as Node strips no types under node_modules, and installed without install scripts.

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let installed: string;
let running: Running | undefined;

beforeAll(async () => {
  folder = await temporaryFolder();
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder.path], { cwd: root });
  const tarball = join(folder.path, JSON.parse(stdout.slice(stdout.indexOf('[')))[0].filename);
  const project = join(folder.path, 'project');
  await mkdir(project);
  await writeFile(join(project, 'package.json'), '{"private":true}');
  await linkPackages(project);
  await run('npm', ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', tarball], {
    cwd: project,
  });
  installed = join(project, 'node_modules/watchingcat');
}, 240_000);
afterAll(async () => {
  await running?.stop('SIGKILL');
  await folder?.[Symbol.asyncDispose]();
});

/**
 * The packages that the product runs with, as they are installed here: half of the time of this file went into unpacking them
 * again. `npm install` takes those away that the package does not depend on, and fetches those that are missing.
 */
async function linkPackages(project: string): Promise<void> {
  const { packages } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    packages: { readonly [path: string]: { readonly dev?: boolean } };
  };
  for (const [path, { dev }] of Object.entries(packages)) {
    // Those of other platforms are not there.
    if (path !== '' && dev !== true && existsSync(join(root, path))) await linkFolder(path, project);
  }
  const commands = 'node_modules/.bin';
  await mkdir(join(project, commands));
  for (const name of await readdir(join(root, commands))) {
    const target = await readlink(join(root, commands, name));
    if (existsSync(join(project, commands, target))) await symlink(target, join(project, commands, name));
  }
}

/** A package without those that are in it, which have places of their own in the lock file. */
async function linkFolder(path: string, project: string): Promise<void> {
  await mkdir(join(project, path), { recursive: true });
  for (const entry of await readdir(join(root, path), { withFileTypes: true })) {
    const inner = join(path, entry.name);
    if (entry.isDirectory() && entry.name !== 'node_modules') await linkFolder(inner, project);
    if (!entry.isFile()) continue;
    const [from, to] = [join(root, inner), join(project, inner)];
    await link(from, to).catch(() => copyFile(from, to));
  }
}

it('holds what it needs, and no source, test or secret', async () => {
  const files = (await readdir(installed)).filter((name) => name !== 'node_modules').sort();
  expect(files).toEqual([
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'bin',
    'dist',
    'docs',
    'k8s',
    'package.json',
    'proto',
  ]);
  const compiled = await readdir(join(installed, 'dist'), { recursive: true });
  expect(compiled.filter((name) => /\.ts$|\.test\.|\.bench\./.test(name))).toEqual([]);
});

it('starts, keeps a record of each signal, and answers', async () => {
  running = await startProcess({ dataDir: join(folder.path, 'data'), bin: join(installed, 'bin/watchingcat.js') });
  for (const signal of signals) {
    for (const protocol of protocols) {
      const id = await exportRecord(running, signal, protocol);
      await eventually(() => isStored(running!, signal, id), Boolean);
    }
  }
});

it('runs its commands', async () => {
  const bin = join(installed, 'bin/watchingcat.js');
  const env = { WATCHINGCAT_ENDPOINT: running?.http ?? '' };
  const { code, stdout, stderr } = await runCommand(['send', '--json'], { bin, env });
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout).trips).toHaveLength(9);
  expect((await runCommand(['services'], { bin, env })).stdout).toContain('watchingcat-send');
});

it('reads bodies that are unpacked in a thread, and stops', async () => {
  // Large JSON is parsed in a worker thread, whose entry point must be found in the compiled package.
  const attributes = Array.from({ length: 40_000 }, (_, i) => ({
    key: `k${i}`,
    value: { stringValue: 'x'.repeat(40) },
  }));
  const logRecords = attributes.map((attribute) => ({ timeUnixNano: `${Date.now()}000000`, attributes: [attribute] }));
  const answer = await fetch(`${running?.otlpHttp}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] }),
  });
  expect([answer.status, await answer.json()]).toEqual([200, {}]);
  expect(await running?.stop('SIGTERM')).toMatchObject({ code: 0, signal: null });
});

it('holds every external store in a thread of its own', async () => {
  // Their entry point, and what each loads, must be found in the compiled package. Nobody listens there.
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  running = await startProcess({
    dataDir: join(folder.path, 'threads'),
    bin: join(installed, 'bin/watchingcat.js'),
    env: {
      WATCHINGCAT_JAEGER_OTLP_ENDPOINT: nowhere,
      WATCHINGCAT_JAEGER_QUERY_ENDPOINT: nowhere,
      WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: `${nowhere}/api/v1/write`,
      WATCHINGCAT_PROMETHEUS_QUERY_URL: nowhere,
      WATCHINGCAT_ELASTICSEARCH_URL: nowhere,
    },
  });
  for (const signal of signals) await exportRecord(running, signal, 'grpc');
  const { destinations } = await eventually(
    async () => (await (await fetch(`${running!.http}/health`)).json()) as Health,
    (health) =>
      ['jaeger', 'prometheus', 'elasticsearch'].every((name) =>
        /ECONNREFUSED/.test(health.destinations[name]?.lastError ?? ''),
      ),
  );
  expect(Object.keys(destinations)).toContain('spanmetrics');
  expect((await fetch(`${running.http}/api/v1/logs`)).status).toBe(503);
  expect(await running.stop('SIGTERM')).toMatchObject({ code: 0, signal: null });
});

interface Health {
  readonly destinations: Record<string, { readonly lastError: string | null }>;
}
