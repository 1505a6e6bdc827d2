import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually, runCommand, startProcess, temporaryFolder } from '../kit/process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
// An old Node as the launcher sees it. The process that it starts does not get this flag.
const oldNode = [
  '--import',
  `data:text/javascript,${encodeURIComponent("Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.20.2'}})")}`,
];
const hasBundledNode = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

it.each([
  ['--version', /^\d+\.\d+\.\d+\n$/],
  ['--help', /Usage: watchingcat[\s\S]*Exit codes/],
])('%s', async (flag, expected) => {
  const { code, stdout, stderr } = await runCommand([flag]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(expected);
});

it.runIf(hasBundledNode)('finds its own Node where it is started with an older one', async () => {
  const { code, stdout, stderr } = await runCommand(['--version'], { nodeFlags: oldNode });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

it.runIf(hasBundledNode)('passes exit codes on', async () => {
  expect((await runCommand(['strat'], { nodeFlags: oldNode })).code).toBe(2);
});

it('says which Node it needs where there is none', async () => {
  const path = join(folder.path, 'alone');
  await mkdir(join(path, 'bin'), { recursive: true });
  await writeFile(join(path, 'package.json'), '{"type":"module"}');
  await cp(join(root, 'bin/watchingcat.js'), join(path, 'bin/watchingcat.js'));
  const { code, stdout, stderr } = await runCommand([], { nodeFlags: oldNode, bin: join(path, 'bin/watchingcat.js') });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^WatchingCat needs Node 24 or later[^\n]+\n$/);
});

it.runIf(hasBundledNode)('forwards SIGTERM and ends with the code of what it started', async () => {
  const running = await startProcess({ dataDir: join(folder.path, 'term'), nodeFlags: oldNode });
  expect(await running.stop('SIGTERM')).toMatchObject({ code: 0, signal: null });
});

it.runIf(hasBundledNode)('takes what it started along when it is killed', async () => {
  const running = await startProcess({ dataDir: join(folder.path, 'kill'), nodeFlags: oldNode });
  await running.stop('SIGKILL');
  const isUp = () =>
    fetch(`${running.http}/health/live`).then(
      (answer) => answer.ok,
      () => false,
    );
  await eventually(isUp, (up) => !up, 25_000);
});
