import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, type TestContext } from 'vitest';
import { repository } from '../kit/documents.ts';
import { temporaryFolder } from '../kit/process.ts';
import type { Ended } from '../kit/program.ts';
import { startCluster } from './kit/cluster.ts';
import { apply, kubeconfig, kubectl, run } from './kit/kubernetes.ts';

// install.sh and uninstall.sh against a real cluster that lacks something each time: what is said, and what is done.

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeAll(async () => {
  await startCluster([]);
  folder = await temporaryFolder();
});
afterAll(async () => {
  await folder?.[Symbol.asyncDispose]();
});

/** A namespace that is removed after the test, with what is in it. */
async function namespaceOf(
  { onTestFinished }: TestContext,
  name: string,
  labels: Record<string, string> = {},
): Promise<string> {
  onTestFinished(async () => {
    await run('helm', ['uninstall', 'watchingcat', '-n', name]);
    await kubectl('delete', 'namespace', name, '--ignore-not-found');
  });
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  return name;
}
/** Runs a script; `environment` as `NAME=value`. */
const script = (name: string, namespace: string, args: readonly string[], environment: readonly string[] = []) =>
  run('env', [...environment, join(repository, 'k8s/scripts', name), '--namespace', namespace, ...args], {
    timeoutMs: 300_000,
  });
const install = (namespace: string, args: readonly string[], environment?: readonly string[]): Promise<Ended> =>
  script('install.sh', namespace, args, environment);
const uninstall = (namespace: string, ...args: readonly string[]): Promise<Ended> =>
  script('uninstall.sh', namespace, args);
const releases = async (namespace: string): Promise<string> =>
  (await run('helm', ['list', '-a', '-q', '-n', namespace])).stdout.trim();

/** The least that the chart installs: one pod of the backend. */
const backendAlone = '--profile embedded --set otelAgent.enabled=false --set otelDeployment.enabled=false'.split(' ');
let files = 0;
/** The backend's pod runs a shell of an image that is on the node, instead of the backend. */
const shell = (script: string): string => {
  const file = join(folder.path, `${files++}.yaml`);
  writeFileSync(
    file,
    JSON.stringify({
      backend: {
        image: { registry: 'localhost', repository: 'busybox', tag: '1' },
        extraArgs: ['sh', '-c', script],
        // A shell as the first process of a container does not hear that it shall stop.
        terminationGracePeriodSeconds: 1,
      },
    }),
  );
  return file;
};

it.concurrent('says of an image that cannot be had which one, and what to do', async (context) => {
  const namespace = await namespaceOf(context, 'no-image');
  const { code, stderr } = await install(namespace, [
    ...backendAlone,
    '--set',
    'backend.image.tag=nowhere',
    '--timeout',
    '25s',
  ]);
  expect(code).toBe(1);
  expect(stderr).toContain('0 of 1 pods ready');
  expect(stderr).toContain(
    'watchingcat-backend: the image docker.io/watchingcat/watchingcat-backend:nowhere cannot be had',
  );
  expect(stderr).toContain('global.imageRegistry');
});

it.concurrent('does not wait to the end for pods that a quota forbids, and names the quota', async (context) => {
  const namespace = await namespaceOf(context, 'quota');
  await apply({
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'tight', namespace },
    spec: { hard: { 'requests.memory': '64Mi' } },
  });
  const { code, stderr } = await install(namespace, [...backendAlone, '--timeout', '1h']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/watchingcat-backend: a quota of namespace quota.*\n.*exceeded quota: tight/);
  expect(stderr).toContain('waiting longer does not mend');
});

it.concurrent('says why a volume is not there', async (context) => {
  const namespace = await namespaceOf(context, 'volume');
  await apply({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: 'made-by-hand' },
    provisioner: 'kubernetes.io/no-provisioner',
  });
  const persistent = ['--set', 'backend.persistence.enabled=true', '--set', 'global.storageClass=made-by-hand'];
  const { code, stderr } = await install(namespace, [...backendAlone, ...persistent, '--timeout', '20s']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/watchingcat-backend: its volume is not there\n.*data-watchingcat-backend-0: \S+/);
  expect(stderr).toContain('kubectl get storageclass');

  // Helm does not know of this claim: it stays, and is named; on request it goes.
  const first = await uninstall(namespace);
  expect(first.code).toBe(0);
  expect(first.stderr).toMatch(/these volumes stay[\s\S]*persistentvolumeclaim\/data-watchingcat-backend-0/);
  expect(await kubectl('get', 'pvc', '-n', namespace, '-o', 'name')).toContain('data-watchingcat-backend-0');
  const tooMuch = await uninstall(namespace, '--delete-namespace', '--yes');
  expect(tooMuch.code).toBe(1);
  expect(tooMuch.stderr).toContain('--volumes');
  const second = await uninstall(namespace, '--volumes', '--delete-namespace', '--yes');
  expect(second.code).toBe(0);
  expect(await kubectl('get', 'namespaces', '-o', 'name')).not.toContain('namespace/volume');
  await kubectl('delete', 'storageclass', 'made-by-hand');
});

it.concurrent('names a StorageClass that is not there before anything is installed', async (context) => {
  const namespace = await namespaceOf(context, 'no-class');
  const { code, stderr } = await install(namespace, ['--set', 'global.storageClass=gold']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/there is no StorageClass gold\n.*with one of: .*standard/);
  expect(await releases(namespace)).toBe('');
});

it.concurrent('says of a namespace that is restricted what the agent needs, before, and with --force after', async (context) => {
  const namespace = await namespaceOf(context, 'restricted', { 'pod-security.kubernetes.io/enforce': 'restricted' });
  const args = ['--profile', 'embedded', '--set', 'otelDeployment.enabled=false', '--timeout', '15s'];
  const before = await install(namespace, args);
  expect(before.code).toBe(1);
  expect(before.stderr).toContain('namespace restricted enforces restricted, and the agent reads files of its node');
  expect(before.stderr).toContain('nothing was installed');
  expect(await releases(namespace)).toBe('');

  const after = await install(namespace, [...args, '--force', '--values', shell('sleep 60')]);
  expect(after.code).toBe(1);
  expect(after.stderr).toMatch(/watchingcat-otel-agent: Pod Security refuses its pods.*\n.*violates PodSecurity/);
  expect(after.stderr).toContain('pod-security.kubernetes.io/enforce=privileged');
  // Every other pod is restricted.
  expect(after.stderr).not.toContain('watchingcat-backend: Pod Security');
});

it.concurrent('shows the last lines of a container that ends again and again', async (context) => {
  const namespace = await namespaceOf(context, 'crash');
  const values = shell('echo the setting shoe.size is unknown; exit 3');
  const { code, stderr } = await install(namespace, [...backendAlone, '--values', values, '--timeout', '40s']);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /watchingcat-backend: it ends again and again \(exit code 3\).*\n.*the setting shoe.size is unknown/,
  );
  expect(stderr).toMatch(/logs watchingcat-backend-\S+ --previous/);
});

it.concurrent('shows the last lines of a container that runs and does not get ready', async (context) => {
  const namespace = await namespaceOf(context, 'unready');
  const values = shell('echo waiting for nobody; sleep 300');
  const { code, stderr } = await install(namespace, [...backendAlone, '--values', values, '--timeout', '15s']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/watchingcat-backend: it runs and is not ready.*\n.*waiting for nobody/);
});

it.concurrent('finds out that there is no room, before and after', async (context) => {
  const namespace = await namespaceOf(context, 'room');
  const much = ['--set', 'backend.resources.requests.memory=4Ti', '--set', 'backend.resources.limits.memory=4Ti'];
  const before = await install(namespace, [...backendAlone, ...much]);
  expect(before.code).toBe(1);
  expect(before.stderr).toMatch(
    /4096.0 GiB are asked for, .* are free on 1 node\(s\): no place for watchingcat-backend/,
  );
  expect(await releases(namespace)).toBe('');
  const after = await install(namespace, [...backendAlone, ...much, '--force', '--timeout', '15s']);
  expect(after.code).toBe(1);
  expect(after.stderr).toMatch(/watchingcat-backend: no node has room for its pod\n.*Insufficient memory/);
});

it.concurrent('names the rights that a user lacks', async (context) => {
  const namespace = await namespaceOf(context, 'rights');
  await apply(
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'somebody', namespace } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'somebody', namespace },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' },
      subjects: [{ kind: 'ServiceAccount', name: 'somebody', namespace }],
    },
  );
  const token = (await kubectl('create', 'token', 'somebody', '-n', namespace)).trim();
  const config = readFileSync(kubeconfig, 'utf8').replace(/- name: user\n +user: .*/, () =>
    ['- name: user', `  user: {token: ${token}}`].join('\n'),
  );
  const file = join(folder.path, 'somebody');
  writeFileSync(file, config, { mode: 0o600 });
  const asSomebody = [`KUBECONFIG=${file}`];
  const { code, stderr } = await install(namespace, ['--profile', 'embedded'], asSomebody);
  expect(code).toBe(1);
  expect(stderr).toContain('nodes may not be listed by this user');
  expect(stderr).toContain('clusterroles.rbac.authorization.k8s.io: create');
  expect(stderr).toContain('clusterrolebindings.rbac.authorization.k8s.io: create');
  expect(stderr).not.toContain('deployments.apps');
  expect(await releases(namespace)).toBe('');
  // Without what it may not do, it may do it.
  const without = ['--set', 'rbac.create=false', '--dry-run'];
  const allowed = await install(namespace, ['--profile', 'embedded', ...without], asSomebody);
  expect(allowed.stderr).toContain('rights: what the chart needs');
  expect(allowed.code).toBe(0);
});

it.concurrent('can be run again, with new values over the earlier ones, and says when somebody else is at it', async (context) => {
  const namespace = await namespaceOf(context, 'again');
  const serve = 'mkdir -p /tmp/health; touch /tmp/health/live /tmp/health/ready; httpd -f -p 8090 -h /tmp';
  const values = ['--values', shell(serve)];
  const first = await install(namespace, [...backendAlone, ...values, '--cluster-name', 'one']);
  expect(first.stderr).toContain('1 of 1 pods ready');
  expect(first.code).toBe(0);
  const second = await install(namespace, ['--reuse-values', '--region', 'eu']);
  expect(second.stderr).toContain('1 of 1 pods ready');
  expect(second.code).toBe(0);
  const env = await kubectl(
    'get',
    'deployment',
    'watchingcat-backend',
    '-n',
    namespace,
    '-o',
    'jsonpath={.spec.template.spec.containers[0].env}',
  );
  expect(JSON.parse(env)).toEqual(
    expect.arrayContaining([
      { name: 'WATCHINGCAT_CLUSTER_NAME', value: 'one' },
      { name: 'WATCHINGCAT_CLOUD_REGION', value: 'eu' },
    ]),
  );
  // One that was ended while it waited for pods that do not become ready.
  const chart = join(repository, 'k8s/helm/k8s-infra');
  const endless = ['--reuse-values', '--set', 'backend.image.tag=nowhere', '--wait'];
  await run('timeout', ['-s', 'KILL', '8', 'helm', 'upgrade', 'watchingcat', chart, '-n', namespace, ...endless]);
  const third = await install(namespace, ['--reuse-values']);
  expect(third.code).toBe(1);
  expect(third.stderr).toContain(`helm -n ${namespace} rollback watchingcat`);
});

it.concurrent('keeps a namespace in which others have something', async (context) => {
  const namespace = await namespaceOf(context, 'shared');
  await apply(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'shop-settings', namespace } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'shop', namespace }, spec: { ports: [{ port: 80 }] } },
  );
  const { code, stderr } = await uninstall(namespace, '--volumes', '--delete-namespace', '--yes');
  expect(code).toBe(1);
  expect(stderr).toMatch(/holds more than this, and stays:\n +configmap\/shop-settings\n +service\/shop\n$/);
  expect(await kubectl('get', 'namespace', namespace, '-o', 'jsonpath={.status.phase}')).toBe('Active');
});

it.concurrent('says what the chart refuses', async () => {
  const { code, stderr } = await install('nowhere', ['--set', 'backend.replicaz=3']);
  expect(code).toBe(2);
  expect(stderr).toMatch(/the chart refuses these values\n.*replicaz/);
});

// These two look at ports and room that the others take.
it('sizes down where the nodes are too small, and says so; prints what it would install, and installs nothing', async (context) => {
  const namespace = await namespaceOf(context, 'dry');
  const { code, stdout, stderr } = await install(namespace, ['--dry-run', '--cluster-name', 'prod-1']);
  expect(code).toBe(0);
  expect(stderr).toMatch(/sized down/);
  expect(stdout).toContain('kind: DaemonSet');
  expect(stdout).toContain('prod-1');
  expect(stderr).toContain('--set size=small');
  const asked = await install(namespace, ['--dry-run', '--size', 'large']);
  expect(asked.code).toBe(1);
  expect(asked.stderr).toMatch(/no place for .*elasticsearch/);
  expect(await releases(namespace)).toBe('');
});

it('names who has the ports that the agent opens', async (context) => {
  const namespace = await namespaceOf(context, 'ports');
  await apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'collector', namespace },
    spec: {
      containers: [
        {
          name: 'collector',
          image: 'localhost/busybox:1',
          command: ['sleep', '600'],
          ports: [{ containerPort: 4317, hostPort: 4317 }],
        },
      ],
      terminationGracePeriodSeconds: 0,
    },
  });
  await kubectl('wait', '-n', namespace, '--for=condition=Ready', 'pod/collector');
  const { code, stderr } = await install(await namespaceOf(context, 'ports-2'), ['--profile', 'embedded']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/4317 on node1: ports\/collector\n.*otelAgent.hostPorts.enabled=false/);
  const without = await install('ports-2', [
    '--profile',
    'embedded',
    '--dry-run',
    '--set',
    'otelAgent.hostPorts.enabled=false',
  ]);
  expect(without.code).toBe(0);
});
