import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { chartFile } from '../../scripts/chart/values.ts';
import { inspectConfig } from '../../src/config/index.ts';
import { selfSigned } from '../kit/certificate.ts';
import { backendProgram, runProgram } from '../kit/program.ts';
import { chart, objectsIn, Rendered, render, renderText, TemporaryFolder } from './kit.ts';

// Names that documents, dashboards and people rely on.

const objects = {
  'watchingcat-otel-agent': [4317, 4318, 14250, 14268, 9411, 8888],
  'watchingcat-otel-deployment': [4317, 4318, 8888],
  'watchingcat-backend': [8090, 4317, 4318],
  jaeger: [16686],
  prometheus: [9090],
  elasticsearch: [9200],
  grafana: [3000],
};

describe.each(Object.entries(objects))('%s', (name, ports) => {
  it('is a workload whose pods have its name as label app, and a Service with its ports', async () => {
    const rendered = await render('default');
    expect(rendered.pods().find((pod) => pod.name === name)?.labels).toMatchObject({ app: name });
    expect(rendered.get('Service', name).spec?.ports?.map(({ port }) => port)).toEqual(expect.arrayContaining(ports));
    expect(rendered.get('Service', name).spec?.['selector']).toEqual({ app: name });
  });
});

it.each([
  ['watchingcat-otel-agent', '200m', '256Mi', '500m', '512Mi'],
  ['watchingcat-otel-deployment', '500m', '512Mi', '1000m', '1Gi'],
  ['watchingcat-backend', '500m', '512Mi', '1000m', '1Gi'],
  ['jaeger', '500m', '512Mi', '1000m', '1Gi'],
  ['prometheus', '500m', '512Mi', '2000m', '2Gi'],
  ['elasticsearch', '1000m', '2Gi', '2000m', '4Gi'],
])('%s requests %s and %s, and may use %s and %s', async (name, cpu, memory, cpuMax, memoryMax) => {
  expect((await render('default')).container(name).resources).toEqual({
    requests: { cpu, memory },
    limits: { cpu: cpuMax, memory: memoryMax },
  });
});

it('watchingcat-frontend leads to the backend on port 3001', async () => {
  const { spec } = (await render('default')).get('Service', 'watchingcat-frontend');
  expect(spec).toMatchObject({ selector: { app: 'watchingcat-backend' }, ports: [{ port: 3001, targetPort: 'http' }] });
});

it('the line of the documents does what it says', async () => {
  const rendered = await render(undefined, [
    '--set',
    'storage.prometheus.retention=30d',
    '--set',
    'backend.replicas=3',
    '--set',
    'global.clusterName=production,global.region=eu-central-1,global.environment=staging',
  ]);
  expect(rendered.container('prometheus').args).toContain('--storage.tsdb.retention.time=30d');
  expect(rendered.get('Deployment', 'watchingcat-backend').spec?.replicas).toBe(3);
  expect(rendered.environment('watchingcat-backend')).toMatchObject({
    WATCHINGCAT_CLUSTER_NAME: 'production',
    WATCHINGCAT_CLOUD_REGION: 'eu-central-1',
    WATCHINGCAT_ENVIRONMENT: 'staging',
  });
  expect(rendered.file('watchingcat-otel-agent', 'config.yaml')).toContain('value: production');
});

it('volumes have the sizes of the contract', async () => {
  const rendered = await render('default');
  const size = (name: string): unknown => rendered.get('PersistentVolumeClaim', name).spec?.['resources'];
  expect(size('prometheus-data')).toEqual({ requests: { storage: '50Gi' } });
  expect(size('elasticsearch-data')).toEqual({ requests: { storage: '100Gi' } });
});

describe('the backend', () => {
  it('has two pods, of which a new one is there before an old one goes, and time to hand over', async () => {
    const rendered = await render('default');
    expect(rendered.get('Deployment', 'watchingcat-backend').spec).toMatchObject({
      replicas: 2,
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
    });
    const { spec } = rendered.pods().find(({ name }) => name === 'watchingcat-backend') ?? {};
    expect(spec?.terminationGracePeriodSeconds).toBe(120);
    expect(rendered.names('PodDisruptionBudget')).toContain('watchingcat-backend');
  });
  it('hands over to its like through a Service and a token of their own, where it keeps no signal itself', async () => {
    const rendered = await render('default');
    expect(rendered.environment('watchingcat-backend')).toMatchObject({
      WATCHINGCAT_PEERS: 'watchingcat-backend-peers.observability.svc.cluster.local',
      WATCHINGCAT_PEERS_PORT: '8091',
      WATCHINGCAT_PEERS_TOKEN_FILE: '/etc/watchingcat/peers/token',
    });
    expect(rendered.get('Service', 'watchingcat-backend-peers').spec).toMatchObject({
      clusterIP: 'None',
      ports: [{ port: 8091 }],
    });
    const policy = rendered.get('NetworkPolicy', 'watchingcat-backend').spec?.['ingress'] as {
      ports: { port: number }[];
      from?: object;
    }[];
    for (const { ports, from } of policy) {
      if (ports.some(({ port }) => port === 8091)) {
        expect(from).toEqual([{ podSelector: { matchLabels: { app: 'watchingcat-backend' } } }]);
      }
    }
    const own = await render('default', ['--set', 'backend.peers.existingSecret=mine']);
    expect(own.names('Secret')).not.toContain('watchingcat-backend-peers');
    const alone = await render('embedded');
    expect([...Object.keys(alone.environment('watchingcat-backend')), ...alone.names('Secret')].join()).not.toMatch(
      /peers/i,
    );
  });
  it('writes to the bundled stores and asks them', async () => {
    expect((await render('default')).environment('watchingcat-backend')).toMatchObject({
      WATCHINGCAT_JAEGER_OTLP_ENDPOINT: 'http://jaeger.observability.svc.cluster.local:4317',
      WATCHINGCAT_JAEGER_QUERY_ENDPOINT: 'http://jaeger.observability.svc.cluster.local:16686',
      WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: 'http://prometheus.observability.svc.cluster.local:9090/api/v1/write',
      WATCHINGCAT_PROMETHEUS_QUERY_URL: 'http://prometheus.observability.svc.cluster.local:9090',
      WATCHINGCAT_ELASTICSEARCH_URL: 'http://elasticsearch.observability.svc.cluster.local:9200',
    });
  });
  it('makes labels of the attributes that it knows views and rules to need, unless others are given', async () => {
    const variable = 'WATCHINGCAT_PROMETHEUS_PROMOTE_RESOURCE_ATTRIBUTES';
    const promoted = async (list?: string) =>
      (
        await render('default', list === undefined ? [] : ['--set-json', `backend.promoteResourceAttributes=${list}`])
      ).environment('watchingcat-backend')[variable];
    expect(await promoted()).toBeUndefined();
    expect(await promoted('["service.name","host.name"]')).toBe('service.name,host.name');
    expect(await promoted('[]')).toBe('off');
  });
  it('has one pod where it keeps a signal itself, whatever is asked for, and no other beside it', async () => {
    for (const values of ['embedded', 'no-stores']) {
      const rendered = await render(values, [
        '--set',
        'backend.replicas=5,backend.autoscaling.enabled=true,backend.persistence.enabled=false',
      ]);
      expect(rendered.get('Deployment', 'watchingcat-backend').spec).toMatchObject({
        replicas: 1,
        strategy: { type: 'Recreate' },
      });
      expect(rendered.names('HorizontalPodAutoscaler')).toEqual([]);
    }
  });
  it('has with persistence a volume for each pod', async () => {
    const { spec } = (await render('persistence')).get('StatefulSet', 'watchingcat-backend');
    expect(spec).toMatchObject({
      replicas: 3,
      volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { resources: { requests: { storage: '10Gi' } } } }],
    });
  });
  it.each(['default', 'embedded', 'external-stores', 'everything', 'persistence', 'minikube', 'no-stores'])(
    '%s: the program takes its environment',
    async (values) => {
      using folder = new TemporaryFolder();
      const file = join(folder.path, 'file.pem');
      writeFileSync(file, selfSigned().cert);
      const token = join(folder.path, 'token');
      writeFileSync(
        token,
        Buffer.from(
          (await render('default')).get('Secret', 'watchingcat-backend-peers').data?.['token'] ?? '',
          'base64',
        ),
      );
      const env = Object.entries((await render(values)).environment('watchingcat-backend'))
        .filter(([name]) => name.startsWith('WATCHINGCAT_'))
        .map(([name, value]) => [name, name.endsWith('TOKEN_FILE') ? token : name.endsWith('_FILE') ? file : value]);
      env.push(['KUBERNETES_SERVICE_HOST', '192.0.2.1'], ['KUBERNETES_SERVICE_PORT', '443']);
      const { problems } = inspectConfig({ flags: {}, env: Object.fromEntries(env), cwd: folder.path });
      expect(problems).toEqual([]);
    },
  );
});

it('the embedded profile is collectors and one backend', async () => {
  const rendered = await render('embedded');
  expect(
    rendered
      .pods()
      .map(({ name }) => name)
      .sort(),
  ).toEqual(['watchingcat-backend', 'watchingcat-otel-agent', 'watchingcat-otel-deployment', 'watchingcat-test']);
  expect(
    Object.keys(rendered.environment('watchingcat-backend')).filter((name) => /JAEGER|PROMETHEUS|ELASTIC/.test(name)),
  ).toEqual([]);
});

it('Prometheus takes late samples and remote write', async () => {
  const rendered = await render('default');
  expect(rendered.container('prometheus').args).toContain('--web.enable-remote-write-receiver');
  expect(parse(rendered.file('prometheus', 'prometheus.yml'))).toMatchObject({
    storage: { tsdb: { out_of_order_time_window: '7d' } },
  });
});

it('samples go before the volume is full', async () => {
  const args = async (set: string) => (await render('default', ['--set', set])).container('prometheus').args;
  expect(await args('storage.prometheus.persistence.size=10Gi')).toContain('--storage.tsdb.retention.size=8192MB');
  expect((await args('storage.prometheus.persistence.enabled=false'))?.join()).not.toContain('retention.size');
});

it('spans in Elasticsearch go when their retention is over, which Jaeger does not see to', async () => {
  const rendered = await render('default', ['--set', 'backend.retention.traces=3d']);
  expect(rendered.environment('jaeger-retention')).toEqual({
    ELASTICSEARCH_URL: 'http://elasticsearch.observability.svc.cluster.local:9200',
    INDEX_PREFIX: 'watchingcat',
    RETENTION: '3d',
  });
  expect((await render('no-stores')).names('CronJob')).toEqual([]);
  const memory = async (set: string) =>
    (await render('default', ['--set', `${set}=100Mi`])).container('jaeger-retention').resources?.limits?.['memory'];
  expect(await memory('storage.jaeger.retentionJob.resources.limits.memory')).toBe('100Mi');
  expect(await memory('tests.resources.limits.memory')).toBe('256Mi');
  const external = {
    mode: 'external',
    external: { url: 'https://a:9200', auth: 'apiKey', existingSecret: 'access', caKey: 'ca.crt' },
  };
  const own = await render(undefined, ['--set-json', `storage.elasticsearch=${JSON.stringify(external)}`]);
  expect(own.environment('jaeger-retention')).toMatchObject({
    ES_API_KEY: 'access/apiKey',
    NODE_EXTRA_CA_CERTS: '/etc/elasticsearch/ca.crt',
  });
});

it('Jaeger keeps spans in Elasticsearch where there is one, else in memory', async () => {
  const backends = async (args: readonly string[]): Promise<unknown> =>
    parse((await render('default', args)).file('jaeger', 'config.yaml')).extensions.jaeger_storage.backends.main;
  expect(await backends([])).toHaveProperty('elasticsearch.server_urls', [
    'http://elasticsearch.observability.svc.cluster.local:9200',
  ]);
  expect(await backends(['--set', 'storage.elasticsearch.enabled=false'])).toHaveProperty('memory');
});

describe('pods start anew', () => {
  /** The pod template of each workload, by its name. */
  const templates = (rendered: Rendered): Record<string, string> =>
    Object.fromEntries(
      rendered.objects.flatMap(({ kind, metadata, spec }) =>
        /^(Deployment|DaemonSet|StatefulSet)$/.test(kind) ? [[metadata.name, JSON.stringify(spec?.template)]] : [],
      ),
    );
  it.each([
    ['watchingcat-otel-agent', 'otelAgent.metrics.collectionInterval=60s'],
    ['watchingcat-otel-agent', 'otelAgent.config.receivers.kubelet_stats.collection_interval=60s'],
    ['watchingcat-otel-deployment', 'otelDeployment.clusterMetrics.collectionInterval=60s'],
    ['watchingcat-backend', 'backend.logLevel=debug'],
    ['watchingcat-backend', 'backend.settings.WATCHINGCAT_READ_LOGS=embedded'],
    ['jaeger', 'storage.jaeger.indexPrefix=other'],
    ['jaeger', 'storage.jaeger.config.service.telemetry.logs.level=debug'],
    ['prometheus', 'storage.prometheus.outOfOrderTimeWindow=1d'],
    ['prometheus', 'storage.prometheus.config.global.scrape_interval=60s'],
    ['elasticsearch', 'storage.elasticsearch.config.cluster\\.name=other'],
    ['grafana', 'grafana.ini.auth.disable_login_form=true'],
  ])('of %s, and no others, with %s', async (name, set) => {
    const [before, after] = [await render('default'), await render('default', ['--set', set])].map(templates);
    const changed = Object.keys(before ?? {}).filter((each) => before?.[each] !== after?.[each]);
    expect(changed).toEqual([name]);
  });
  it.each([
    'backend.replicas=5',
    'backend.pdb.maxUnavailable=2',
    'backend.service.type=NodePort',
    'backend.autoscaling.enabled=true',
    'backend.serviceAccount.annotations.a=b',
    'networkPolicy.enabled=false',
    'grafana.service.annotations.a=b',
    'tests.enabled=false',
  ])('nowhere with %s', async (set) => {
    expect(templates(await render('default', ['--set', set]))).toEqual(templates(await render('default')));
  });
  it('nowhere with a version of the chart that changes nothing of them', async () => {
    using folder = new TemporaryFolder();
    const copy = join(folder.path, 'k8s-infra');
    cpSync(chart, copy, { recursive: true });
    const file = join(copy, 'Chart.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^version: .*$/m, 'version: 99.0.0'));
    const { stdout } = await runProgram(backendProgram('helm'), [
      'template',
      'watchingcat',
      copy,
      '--namespace',
      'observability',
    ]);
    expect(stdout).toContain('helm.sh/chart: k8s-infra-99.0.0');
    expect(templates(new Rendered(objectsIn(stdout)))).toEqual(templates(await render()));
  });
});

it('images.txt has all images, and no other', async () => {
  const images = new Set(
    (await render('default')).pods().flatMap(({ spec }) => spec.containers.map(({ image }) => image)),
  );
  expect([...images].sort().join('\n')).toBe(chartFile('images.txt').trim());
});

it('the test pod goes when it has passed', async () => {
  expect((await render('default')).get('Pod', 'watchingcat-test').metadata.annotations).toEqual({
    'helm.sh/hook': 'test',
    'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
  });
});

it('the chart can be packed, with its rules and dashboards and without its tests', async () => {
  const { stdout } = await runProgram('sh', [
    '-c',
    `cd "$(mktemp -d)" && "$1" package "$2" >/dev/null && tar tzf *.tgz`,
    'sh',
    backendProgram('helm'),
    chart,
  ]);
  expect(stdout).toContain('k8s-infra/files/recording-rules.yaml');
  expect(stdout).toContain('k8s-infra/files/dashboards/cluster.json');
  expect(stdout).not.toContain('k8s-infra/ci/');
});

it('options beyond the usual: ingress, route, monitors, scaler, more objects', async () => {
  const rendered = await render('everything');
  expect(rendered.get('Ingress', 'watchingcat-frontend').spec).toMatchObject({
    ingressClassName: 'nginx',
    tls: [{ hosts: ['watchingcat.example.com'], secretName: 'watchingcat-tls' }],
  });
  expect(rendered.get('HTTPRoute', 'watchingcat-frontend').spec).toMatchObject({
    parentRefs: [{ name: 'gateway', namespace: 'infra' }],
    rules: [{ backendRefs: [{ name: 'watchingcat-frontend', port: 3001 }] }],
  });
  expect(rendered.names('ServiceMonitor').sort()).toEqual([
    'watchingcat-backend',
    'watchingcat-otel-agent',
    'watchingcat-otel-deployment',
  ]);
  expect(rendered.get('HorizontalPodAutoscaler', 'watchingcat-backend').spec).toMatchObject({
    minReplicas: 2,
    maxReplicas: 6,
  });
  expect(rendered.get('ConfigMap', 'extra').data).toEqual({ release: 'watchingcat' });
  const text = await renderText('default');
  for (const kind of ['Ingress', 'HTTPRoute', 'ServiceMonitor', 'HorizontalPodAutoscaler'])
    expect(text).not.toContain(`kind: ${kind}\n`);
});
