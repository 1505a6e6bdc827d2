import { afterAll, beforeAll, expect, it } from 'vitest';
import { startCluster } from './kit/cluster.ts';
import { deploy, itShowsWhatIsCollected, remove } from './kit/collected.ts';
import { run } from './kit/kubernetes.ts';
import {
  imagesOf,
  install,
  left,
  namespace,
  pods,
  type Rest,
  removeNamespace,
  rest,
  uninstall,
  within,
} from './kit/release.ts';

// `profile: embedded`: collectors and one backend that keeps all itself. What a platform engineer sees after one command.

let api: Rest;
let said: string;

beforeAll(async () => {
  await startCluster([...(await imagesOf('--set', 'profile=embedded')), 'localhost/telemetrygen:1']);
  said = await install('--set', 'profile=embedded');
  await deploy();
  api = await rest();
}, 600_000);
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await remove();
  await removeNamespace(namespace);
}, 200_000);

it('has all pods ready, and says what to do next', async () => {
  expect(said).toContain('helm test watchingcat');
  const all = await pods(namespace);
  expect(all.map(({ metadata }) => metadata.labels['app']).sort()).toEqual([
    'watchingcat-backend',
    'watchingcat-otel-agent',
    'watchingcat-otel-deployment',
  ]);
  const { code, stderr } = await run('kubectl', [
    ...['-n', namespace, 'wait', '--for=condition=ready', 'pod', '--all', '--timeout=10s'],
  ]);
  expect(code, stderr).toBe(0);
  expect(all.flatMap(({ status }) => status.containerStatuses.map(({ restartCount }) => restartCount))).toEqual([
    0, 0, 0,
  ]);
});

itShowsWhatIsCollected(() => api);

it('passes helm test', async () => {
  const { code, stdout, stderr } = await run('helm', ['test', 'watchingcat', '-n', namespace, '--timeout', '2m']);
  expect(code, stdout + stderr).toBe(0);
  expect((await pods(namespace)).map(({ metadata }) => metadata.name).filter((name) => /test/.test(name))).toEqual([]);
});

it('leaves nothing when it is uninstalled', async () => {
  await api[Symbol.asyncDispose]();
  await uninstall();
  await within(120, left, (names) => names.length === 0);
});
