import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { backendProgram, runProgram } from '../kit/program.ts';
import { render, TemporaryFolder, valuesFiles } from './kit.ts';

// Each configuration that the chart renders is taken by the program that it is for.

interface CollectorConfig {
  readonly receivers: Record<string, Record<string, unknown>>;
  readonly processors: Record<string, unknown>;
  readonly exporters: Record<string, Record<string, unknown>>;
  readonly service: {
    readonly pipelines: Record<string, { receivers: string[]; processors?: string[]; exporters: string[] }>;
  };
}

const environment = {
  K8S_NODE_NAME: 'node1',
  K8S_NODE_IP: '192.0.2.1',
  KUBERNETES_SERVICE_HOST: '192.0.2.2',
  KUBERNETES_SERVICE_PORT: '443',
};

/**
 * `otelcol validate`, with what a pod has: a ServiceAccount's files, in a mount namespace of its own, and the node's root file
 * system, for which this machine's stands.
 */
async function validate(folder: string, config: string): Promise<void> {
  const file = join(folder, 'collector.yaml');
  writeFileSync(file, config.replace('root_path: /hostfs', 'root_path: /'));
  const certFile = join(folder, 'ca.crt');
  writeFileSync(certFile, rootCertificates[0] ?? '');
  const account = '/run/secrets/kubernetes.io/serviceaccount';
  const script = `set -e; mount -t tmpfs tmpfs /run; mkdir -p ${account}; echo token >${account}/token
    echo observability >${account}/namespace; cp "$1" ${account}/ca.crt; exec "$2" validate --config "$3"`;
  const args = [
    '--user',
    '--map-root-user',
    '--mount',
    'sh',
    '-c',
    script,
    'sh',
    certFile,
    backendProgram('otelcol'),
    file,
  ];
  const { stderr } = await runProgram('unshare', args, { env: environment });
  // It has a message for names of components that are no longer current.
  expect(stderr).not.toMatch(/deprecat|renamed/i);
}

describe.each(valuesFiles)('%s', (values) => {
  it('the Collectors take their configurations', async () => {
    using folder = new TemporaryFolder();
    const rendered = await render(values);
    const collectors = rendered.names('ConfigMap').filter((name) => /-otel-/.test(name));
    for (const name of collectors) await validate(folder.path, rendered.file(name, 'config.yaml'));
    const workloads = [...rendered.names('DaemonSet'), ...rendered.names('Deployment')].filter((name) =>
      /-otel-/.test(name),
    );
    expect(collectors.sort()).toEqual(workloads.sort());
  });
  it('the memory limiter is first in each pipeline, and everything goes to the backend', async () => {
    const rendered = await render(values);
    for (const name of rendered.names('ConfigMap').filter((each) => /-otel-/.test(each))) {
      const config = parse(rendered.file(name, 'config.yaml')) as CollectorConfig;
      for (const [pipeline, { processors, exporters }] of Object.entries(config.service.pipelines)) {
        expect(processors?.[0], `${name} ${pipeline}`).toBe('memory_limiter');
        for (const exporter of exporters) {
          expect(config.exporters[exporter], `${name} ${pipeline}`).toMatchObject({
            endpoint: 'dns:///watchingcat-backend-headless.observability.svc.cluster.local:4317',
            compression: 'zstd',
            retry_on_failure: { enabled: true, max_elapsed_time: '0s' },
            sending_queue: { enabled: true },
          });
        }
      }
    }
  });
  it('Prometheus and Jaeger take theirs', async () => {
    using folder = new TemporaryFolder();
    const rendered = await render(values);
    const file = (text: string): string => {
      writeFileSync(join(folder.path, 'config.yaml'), text);
      return join(folder.path, 'config.yaml');
    };
    if (rendered.names('Deployment').includes('prometheus')) {
      const config = file(rendered.file('prometheus', 'prometheus.yml'));
      await runProgram(backendProgram('promtool'), ['check', 'config', '--syntax-only', config]);
      for (const rules of Object.values(rendered.get('ConfigMap', 'prometheus-rules').data ?? {})) {
        const { stdout } = await runProgram(backendProgram('promtool'), ['check', 'rules', file(rules)]);
        expect(stdout).toMatch(/SUCCESS: [1-9]\d* rules found/);
      }
    }
    if (rendered.names('Deployment').includes('jaeger')) {
      await runProgram(backendProgram('jaeger'), [
        'validate',
        '--config',
        file(rendered.file('jaeger', 'config.yaml')),
      ]);
    }
  });
});

describe('the bundled Jaeger', () => {
  const variable = (name: string): string => ['$', `{env:${name}}`].join('');
  it.each([
    ['basic', { basic: { username: variable('ES_USERNAME'), password: variable('ES_PASSWORD') } }, undefined],
    ['bearer', { bearer_token: { file_path: '/etc/jaeger/elasticsearch/bearerToken' } }, 'bearerToken'],
    ['apiKey', { api_key: { file_path: '/etc/jaeger/elasticsearch/apiKey' } }, 'apiKey'],
  ])('lets itself into an external Elasticsearch by %s', async (auth, expected, file) => {
    using folder = new TemporaryFolder();
    const elasticsearch = { mode: 'external', external: { url: 'https://a:9200', auth, existingSecret: 'access' } };
    const rendered = await render(undefined, ['--set-json', `storage.elasticsearch=${JSON.stringify(elasticsearch)}`]);
    const text = rendered.file('jaeger', 'config.yaml');
    expect(parse(text)).toHaveProperty('extensions.jaeger_storage.backends.main.elasticsearch.auth', expected);
    const config = join(folder.path, 'jaeger.yaml');
    writeFileSync(config, text);
    await runProgram(backendProgram('jaeger'), ['validate', '--config', config]);
    const volumes = rendered.pods().find(({ name }) => name === 'jaeger')?.spec.volumes ?? [];
    const items =
      file === undefined
        ? []
        : [{ name: 'elasticsearch', secret: { secretName: 'access', items: [{ key: file, path: file }] } }];
    expect(volumes.filter(({ name }) => name === 'elasticsearch')).toEqual(items);
  });
  it('waits for the bundled Elasticsearch, rather than ending until it is there', async () => {
    const jaeger = (await render('default')).pods().find(({ name }) => name === 'jaeger');
    expect(jaeger?.spec.initContainers?.map(({ name }) => name)).toEqual(['wait-for-elasticsearch']);
  });
});

describe('the agent', () => {
  const agent = async (values: string, args: readonly string[] = []): Promise<CollectorConfig> =>
    parse((await render(values, args)).file('watchingcat-otel-agent', 'config.yaml')) as CollectorConfig;

  it('takes OTLP, Jaeger and Zipkin, and stamps the sender’s address', async () => {
    const { receivers, processors, service } = await agent('default');
    expect(service.pipelines['traces']?.receivers).toEqual(['jaeger', 'otlp', 'zipkin']);
    expect(JSON.stringify(receivers)).toMatch(/:4317".*:4318".*/);
    expect(receivers['jaeger']).toEqual({
      protocols: { grpc: { endpoint: '0.0.0.0:14250' }, thrift_http: { endpoint: '0.0.0.0:14268' } },
    });
    expect(processors['k8s_attributes']).toEqual({ passthrough: true });
    for (const signal of ['traces', 'metrics', 'logs']) {
      expect(service.pipelines[signal]?.processors).toContain('k8s_attributes');
    }
  });
  it('measures the node, not its own container', async () => {
    const { receivers } = await agent('default');
    expect(receivers['host_metrics']).toMatchObject({ root_path: '/hostfs' });
    expect(Object.keys(receivers['host_metrics']?.['scrapers'] as object)).toEqual(
      expect.arrayContaining(['cpu', 'memory', 'disk', 'filesystem', 'load', 'paging', 'processes']),
    );
    // Its own network is all that a process sees: the node's is the kubelet's to count, unless the pod shares it.
    expect(receivers['host_metrics']).not.toHaveProperty('scrapers.network');
    const shared = await agent('default', ['--set', 'otelAgent.metrics.hostMetrics.network.enabled=true']);
    expect(shared.receivers['host_metrics']).toHaveProperty('scrapers.network');
    expect(receivers['kubelet_stats']).toMatchObject({ metric_groups: ['node', 'pod', 'container', 'volume'] });
  });
  it('reads container logs but its own, keeps how far, and puts records of many lines together', async () => {
    const { receivers, exporters } = await agent('default');
    expect(receivers['file_log']).toMatchObject({
      include: ['/var/log/pods/*/*/*.log'],
      exclude: ['/var/log/pods/observability_watchingcat-otel-agent-*/*/*.log'],
      storage: 'file_storage',
    });
    // What was read is not lost with the pod: the checkpoint has passed it.
    expect(exporters['otlp_grpc/containers']).toMatchObject({ sending_queue: { storage: 'file_storage' } });
  });
  it.each([
    ['logs.enabled=false', ['file_log'], ['logs', 'logs/containers']],
    ['logs.containers.enabled=false', ['file_log'], ['logs/containers']],
    ['traces.enabled=false', ['jaeger', 'zipkin'], ['traces']],
    ['metrics.enabled=false', ['host_metrics', 'kubelet_stats'], ['metrics', 'metrics/host', 'metrics/kubelet']],
    ['metrics.kubelet.enabled=false', ['kubelet_stats'], ['metrics/kubelet']],
    ['metrics.hostMetrics.enabled=false', ['host_metrics'], ['metrics/host']],
  ])('%s leaves out %j', async (set, receivers, pipelines) => {
    const [all, less] = [await agent('default'), await agent('default', ['--set', `otelAgent.${set}`])];
    const without = (keys: readonly string[], gone: readonly string[]): string[] =>
      keys.filter((key) => !gone.includes(key));
    expect(Object.keys(less.receivers)).toEqual(without(Object.keys(all.receivers), receivers));
    expect(Object.keys(less.service.pipelines)).toEqual(without(Object.keys(all.service.pipelines), pipelines));
  });
  it('one component is added or left out by its name', async () => {
    const { receivers, service, processors } = await agent('everything');
    expect(service.pipelines['traces']).toEqual({
      receivers: ['jaeger', 'otlp'],
      processors: ['memory_limiter', 'k8s_attributes', 'filter/health', 'resource/node'],
      exporters: ['otlp_grpc'],
    });
    expect(processors).toHaveProperty('filter/health');
    expect(service.pipelines).not.toHaveProperty('metrics/host');
    expect(receivers).toHaveProperty('zipkin');
  });
  it('a configuration of one’s own takes the place of the chart’s', async () => {
    const own = { receivers: { otlp: {} }, service: { pipelines: {} } };
    expect(await agent('default', ['--set-json', `otelAgent.configOverride=${JSON.stringify(own)}`])).toEqual(own);
  });
});

describe('the deployment', () => {
  const role = async (name: string, args: readonly string[] = []): Promise<CollectorConfig> =>
    parse((await render('default', args)).file(name, 'config.yaml')) as CollectorConfig;

  it('collects what comes once for the whole cluster', async () => {
    const { receivers, service } = await role('watchingcat-otel-deployment');
    expect(receivers).toHaveProperty('k8s_cluster.k8s_leader_elector');
    expect(receivers).toHaveProperty('k8s_events.k8s_leader_elector');
    expect(Object.keys(receivers).sort()).toEqual([
      'k8s_cluster',
      'k8s_events',
      'otlp',
      'prometheus/apiserver',
      'prometheus/pods',
    ]);
    expect(Object.keys(service.pipelines).sort()).toEqual([
      'logs',
      'logs/events',
      'metrics',
      'metrics/cluster',
      'metrics/pods',
      'traces',
    ]);
  });
  it('scrapes in one pod, however many gateways there are', async () => {
    const replicas = ['--set', 'otelDeployment.replicas=3'];
    const scrapes = ({ receivers }: CollectorConfig): boolean =>
      Object.keys(receivers).some((name) => /^prometheus/.test(name));
    expect(scrapes(await role('watchingcat-otel-deployment', replicas))).toBe(false);
    expect(scrapes(await role('watchingcat-otel-scraper', replicas))).toBe(true);
    const rendered = await render('default', replicas);
    expect(rendered.get('Deployment', 'watchingcat-otel-scraper').spec).toMatchObject({
      replicas: 1,
      strategy: { type: 'Recreate' },
    });
    expect(rendered.get('Deployment', 'watchingcat-otel-deployment').spec?.replicas).toBe(3);
  });
  it.each([
    ['prometheusScaping.enabled=false', false],
    ['prometheusScraping.enabled=false', false],
    ['prometheusScaping.enabled=false,otelDeployment.prometheusScraping.enabled=true', true],
    ['prometheusScaping.enabled=true', true],
  ])('%s: annotated pods are scraped: %s', async (set, expected) => {
    const { receivers } = await role('watchingcat-otel-deployment', ['--set', `otelDeployment.${set}`]);
    expect('prometheus/pods' in receivers).toBe(expected);
  });
  it('a scrape configuration keeps its `$`, which the Collector would read as a variable', async () => {
    const { receivers } = parse(
      (await render('everything')).file('watchingcat-otel-scraper', 'config.yaml'),
    ) as CollectorConfig;
    expect(JSON.stringify(receivers['prometheus/jobs'])).toContain('"replacement":"$$1"');
  });
});
