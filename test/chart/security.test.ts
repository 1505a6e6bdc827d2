import { describe, expect, it } from 'vitest';
import { FollowedCluster, jobs, nodes, pods, replicaSets } from '../kit/followed-cluster.ts';
import { type KubernetesObject, type PodSpec, render, valuesFiles } from './kit.ts';

// What the pods may, held to the Pod Security Standards' own rules. Source: kubernetes.io, "Pod Security Standards".

/** What a pod has that `restricted` does not allow. */
function beyondRestricted(pod: PodSpec): string[] {
  const found: string[] = [];
  const of = pod.securityContext ?? {};
  for (const key of ['hostNetwork', 'hostPID', 'hostIPC'] as const) if (pod[key]) found.push(key);
  for (const { name, ...volume } of pod.volumes ?? []) {
    const allowed = [
      'configMap',
      'csi',
      'downwardAPI',
      'emptyDir',
      'ephemeral',
      'persistentVolumeClaim',
      'projected',
      'secret',
    ];
    for (const type of Object.keys(volume)) if (!allowed.includes(type)) found.push(`${type} ${name}`);
  }
  for (const { name, ports, securityContext: own = {} } of [...pod.containers, ...(pod.initContainers ?? [])]) {
    const say = (what: string): number => found.push(name === pod.containers[0]?.name ? what : `${name}: ${what}`);
    for (const { hostPort } of ports ?? []) if (hostPort) say(`hostPort ${hostPort}`);
    if (own.privileged) say('privileged');
    if (own.allowPrivilegeEscalation !== false) say('allowPrivilegeEscalation');
    if (!own.capabilities?.drop?.includes('ALL') || (own.capabilities.add ?? []).length > 0) say('capabilities');
    if ((own.runAsNonRoot ?? of.runAsNonRoot) !== true) say('runAsNonRoot');
    if ((own.runAsUser ?? of.runAsUser) === 0) say('runAsUser 0');
    if ((own.seccompProfile ?? of.seccompProfile)?.type !== 'RuntimeDefault') say('seccompProfile');
  }
  return found;
}

it.each(valuesFiles)('%s: every pod but the agent is restricted', async (values) => {
  for (const { name, spec } of (await render(values)).pods()) {
    if (name !== 'watchingcat-otel-agent') expect(beyondRestricted(spec), name).toEqual([]);
    for (const { securityContext } of spec.containers)
      expect(securityContext?.capabilities?.drop, name).toEqual(['ALL']);
  }
});

describe('the agent', () => {
  const pod = async (...sets: string[]): Promise<PodSpec> => {
    const args = sets.flatMap((set) => ['--set', `otelAgent.${set}`]);
    return (await render('default', args)).pods().find(({ name }) => name === 'watchingcat-otel-agent')
      ?.spec as PodSpec;
  };
  const logsOff = 'logs.enabled=false';
  const hostOff = 'metrics.hostMetrics.enabled=false';

  it('goes beyond it for files of the node, which belong to root, and its host ports only', async () => {
    expect(beyondRestricted(await pod())).toEqual([
      'hostPath pod-logs',
      'hostPath docker-logs',
      'hostPath checkpoints',
      'hostPath host',
      'hostPort 14250',
      'hostPort 14268',
      'hostPort 4317',
      'hostPort 4318',
      'hostPort 9411',
      'runAsNonRoot',
      'runAsUser 0',
    ]);
  });
  it('writes to one folder of the node only', async () => {
    const { containers } = await pod();
    expect(containers[0]?.securityContext?.readOnlyRootFilesystem).toBe(true);
    const writable = (containers[0]?.volumeMounts ?? []).filter(({ readOnly }) => readOnly !== true);
    expect(writable.map(({ name }) => name)).toEqual(['checkpoints']);
  });
  it('is no root for host metrics alone', async () => {
    const found = beyondRestricted(await pod(logsOff, 'hostPorts.enabled=false'));
    expect(found).toEqual(['hostPath host']);
  });
  it('shares the node’s network where it is to count all of its interfaces', async () => {
    expect((await pod()).hostNetwork).toBeUndefined();
    const shared = await pod('metrics.hostMetrics.network.enabled=true');
    expect(shared).toMatchObject({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' });
    expect(beyondRestricted(await pod(logsOff, hostOff, 'metrics.hostMetrics.network.enabled=true'))).toEqual([]);
  });
  it('is restricted with neither', async () => expect(beyondRestricted(await pod(logsOff, hostOff))).toEqual([]));
  it('opens ports of the node where it is told so', async () => {
    expect(beyondRestricted(await pod(logsOff, hostOff, 'hostPorts.enabled=true'))).toHaveLength(5);
    expect(beyondRestricted(await pod('hostPorts.enabled=false')).join()).not.toContain('hostPort');
  });
});

it.each(valuesFiles)(
  '%s: RBAC reads, reads no Secret and reaches into no pod; one lease is written',
  async (values) => {
    const rendered = await render(values);
    const rules = (kind: string): NonNullable<KubernetesObject['rules']> =>
      rendered.objects.filter((object) => object.kind === kind).flatMap((object) => object.rules ?? []);
    for (const { resources = [], verbs, apiGroups = [] } of rules('ClusterRole')) {
      expect(['get', 'list', 'watch']).toEqual(expect.arrayContaining(verbs));
      for (const forbidden of ['*', 'secrets', 'configmaps', 'nodes/proxy', 'pods/exec', 'pods/log']) {
        expect(resources).not.toContain(forbidden);
      }
      expect(apiGroups).not.toContain('*');
    }
    for (const { resources } of rules('Role')) expect(resources).toEqual(['leases']);
  },
);

it('the backend may ask of the API server what it asks, and nothing else', async () => {
  await using cluster = await FollowedCluster.start();
  cluster.follow();
  for (const path of [pods, nodes, replicaSets, jobs]) await cluster.synced(path);
  const asked = cluster.api.seen.map(({ path, query }) => {
    const [, group = '', resource] = /^\/(?:api|apis\/([^/]+))\/v1\/([^/]+)$/.exec(path) ?? [];
    const name = query.get('fieldSelector')?.replace('metadata.name=', '') ?? '';
    return `${query.has('watch') ? 'watch' : 'list'} ${resource} ${group} ${name}`;
  });
  const rules = (await render('default')).get('ClusterRole', 'watchingcat-backend-observability').rules ?? [];
  const allowed = rules.flatMap(({ apiGroups = [], resources = [], resourceNames = [''], verbs }) =>
    verbs.flatMap((verb) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => resourceNames.map((name) => `${verb} ${resource} ${group} ${name}`)),
      ),
    ),
  );
  expect(allowed.sort()).toEqual([...new Set(asked)].sort());
});

it.each(valuesFiles)('%s: only what asks the API server has a token', async (values) => {
  for (const { name, spec } of (await render(values)).pods()) {
    expect(spec.automountServiceAccountToken, name).toBe(/^watchingcat-(otel-|backend$)/.test(name));
  }
});

describe('secrets', () => {
  it('are in Secrets of the user’s, and reach containers by reference only', async () => {
    const rendered = await render('external-stores');
    expect(rendered.environment('watchingcat-backend')).toMatchObject({
      WATCHINGCAT_JAEGER_BEARER_TOKEN: 'jaeger-access/bearerToken',
      WATCHINGCAT_PROMETHEUS_USERNAME: 'mimir-access/username',
      WATCHINGCAT_PROMETHEUS_PASSWORD: 'mimir-access/password',
      WATCHINGCAT_ELASTICSEARCH_API_KEY: 'elasticsearch-access/apiKey',
      WATCHINGCAT_ELASTICSEARCH_TLS_CA_FILE: '/etc/watchingcat/elasticsearch/ca.crt',
    });
    expect(rendered.names('Secret')).toEqual(['watchingcat-backend-peers']);
  });
  it.each(valuesFiles)('%s: none is in a ConfigMap, and those that are made are long', async (values) => {
    const { objects } = await render(values);
    const made = objects
      .filter(({ kind }) => kind === 'Secret')
      .flatMap(({ data }) => Object.entries(data ?? {}))
      .map(([key, value]) => [key, Buffer.from(value, 'base64').toString()] as const)
      .filter(([key]) => key !== 'admin-user');
    // A script reads a variable of that name.
    const maps = JSON.stringify(
      objects.filter(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name !== 'jaeger-retention'),
    );
    for (const [key, value] of made) {
      expect(value, key).toMatch(/^[A-Za-z0-9]{40}$/);
      expect(maps).not.toContain(value);
    }
    expect(maps).not.toMatch(/password"?: *"?[^"$\s]/i);
  });
});
