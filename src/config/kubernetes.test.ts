import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { inspectConfig, loadConfig } from './load.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'watchingcat-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const inPod = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };
const load = (env: { [name: string]: string }) => loadConfig({ env, flags: {}, cwd: folder });
const problems = (env: { [name: string]: string }) => inspectConfig({ env, flags: {}, cwd: folder }).problems;
const plain = { labels: [], annotations: [], serviceLabels: false, waitMs: 2_000 };

it.each<[string, { [name: string]: string }, object | undefined]>([
  ['outside of a cluster', {}, undefined],
  ['in a pod', inPod, { access: 'in-cluster', ...plain }],
  ['in a pod, said', { ...inPod, WATCHINGCAT_K8S_ENRICHMENT: 'in-cluster' }, { access: 'in-cluster', ...plain }],
  ['in a pod, and not wanted', { ...inPod, WATCHINGCAT_K8S_ENRICHMENT: 'off' }, undefined],
  ['by a kubeconfig', { WATCHINGCAT_K8S_ENRICHMENT: '/etc/kube/config' }, { access: '/etc/kube/config', ...plain }],
  [
    'with all that can be set',
    {
      ...inPod,
      WATCHINGCAT_K8S_LABELS: 'app, example.com/team',
      WATCHINGCAT_K8S_ANNOTATIONS: '*',
      WATCHINGCAT_K8S_SERVICE_LABELS: 'on',
      WATCHINGCAT_K8S_WAIT: '0',
    },
    {
      access: 'in-cluster',
      labels: ['app', 'example.com/team'],
      annotations: 'all',
      serviceLabels: true,
      waitMs: 0,
    },
  ],
])('asks the API server %s', (_, env, kubernetes) => {
  expect(load(env).kubernetes).toEqual(kubernetes);
});

it('takes lists of the file, and a path as lying beside it', () => {
  const file = join(folder, 'watchingcat.yaml');
  writeFileSync(
    file,
    'k8s: {enrichment: kubeconfig, labels: [a, b], wait: 500ms}\ntrustedProxies: [10.0.0.0/8, "fd00::1"]',
  );
  const config = loadConfig({ env: { WATCHINGCAT_CONFIG: file }, flags: {}, cwd: '/somewhere' });
  expect(config.kubernetes).toEqual({ ...plain, access: join(folder, 'kubeconfig'), labels: ['a', 'b'], waitMs: 500 });
  expect(config.trustedProxies).toEqual(['10.0.0.0/8', 'fd00::1']);
});

it.each([
  ['off', []],
  ['10.0.0.0/8, 192.0.2.7', ['10.0.0.0/8', '192.0.2.7']],
])('trusts %s', (written, ranges) => {
  expect(load({ WATCHINGCAT_TRUSTED_PROXIES: written }).trustedProxies).toEqual(ranges);
});

it.each([
  ['K8S_ENRICHMENT', 'on', 'expected off, in-cluster, or the path of a kubeconfig'],
  ['K8S_ENRICHMENT', 'in-cluster', 'this is no pod of Kubernetes'],
  ['K8S_LABELS', 'app,*', 'expected keys separated by commas, * for all, or off'],
  ['K8S_LABELS', 'a b', 'expected keys'],
  ['K8S_WAIT', '60s', 'expected a duration up to 8s'],
  ['K8S_WAIT', '2', 'expected a duration'],
  ['K8S_SERVICE_LABELS', 'maybe', 'expected on or off'],
  ['TRUSTED_PROXIES', '10.0.0.0/33', 'expected addresses and ranges'],
  ['TRUSTED_PROXIES', 'proxy.example', 'expected addresses and ranges'],
])('refuses %s=%s', (name, value, problem) => {
  expect(problems({ [`WATCHINGCAT_${name}`]: value })).toEqual([expect.stringContaining(problem)]);
});
