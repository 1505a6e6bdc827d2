import { describe, expect, it } from 'vitest';
import { movedValues } from '../../scripts/chart/values.ts';
import { render, renderText } from './kit.ts';

// Values that are wrong are refused before anything is installed, with a message that says what to write.

const refused = async (...args: string[]): Promise<string> => {
  const failure = await renderText(undefined, args).then(
    () => undefined,
    (error: Error) => error,
  );
  if (failure === undefined) throw new Error(`${args.join(' ')} was taken`);
  return failure.message;
};

describe('the schema refuses', () => {
  it.each([
    ['backend.replica=3', "at '/backend': additional properties 'replica' not allowed"],
    ['otelAgent.metric.kubelet=true', "at '/otelAgent': additional properties 'metric' not allowed"],
    [
      'storage.prometheus.persistence.sizes=1Gi',
      "at '/storage/prometheus/persistence': additional properties 'sizes' not allowed",
    ],
    ['backend.replicas=many', "at '/backend/replicas': got string, want integer"],
    ['backend.replicas=0', "at '/backend/replicas': minimum: got 0, want 1"],
    ['otelAgent.logs.enabled=nope', "at '/otelAgent/logs/enabled': got string, want boolean"],
    ['profile=tiny', "at '/profile': value must be one of 'full', 'embedded'"],
    ['size=huge', "at '/size': value must be one of 'small', 'medium', 'large'"],
    ['storage.jaeger.mode=foreign', "at '/storage/jaeger/mode': value must be one of 'bundled', 'external'"],
    ['backend.resources.limit.cpu=1', "at '/backend/resources': additional properties 'limit' not allowed"],
    [
      'otelAgent.pipelines.traces.receivers.otlp=maybe',
      "at '/otelAgent/pipelines/traces/receivers/otlp': got string, want null or boolean",
    ],
  ])('%s', async (set, message) => expect(await refused('--set', set)).toContain(message));
});

describe('the chart says what to write instead of', () => {
  it.each([...movedValues()])('%s', async (from, to) => {
    expect(await refused('--set', `${from}=1`)).toContain(`${from} is not a value of this chart: it is ${to}`);
  });
  it.each([
    ['storage.jaeger.mode=external', 'storage.jaeger.external.otlpEndpoint: needed with storage.jaeger.mode=external'],
    [
      'storage.prometheus.mode=external',
      'storage.prometheus.external.remoteWriteUrl: needed with storage.prometheus.mode=external',
    ],
    [
      'storage.elasticsearch.mode=external',
      'storage.elasticsearch.external.url: needed with storage.elasticsearch.mode=external',
    ],
    [
      'storage.jaeger.enabled=false,storage.jaeger.external.otlpEndpoint=http://a:4317',
      'for a store of yours set storage.jaeger.mode=external',
    ],
    [
      'storage.elasticsearch.external.url=http://a:9200',
      'for a store of yours set storage.elasticsearch.mode=external',
    ],
    ['frontend.httpRoute.enabled=true', 'frontend.httpRoute.parentRefs: name the Gateway'],
    ['otelAgent.config.receivers.filelog.include[0]=a', '`filelog` is called `file_log` now'],
    [
      'otelAgent.logs.enabled=false,otelAgent.metrics.enabled=false,otelAgent.traces.enabled=false',
      'set otelAgent.enabled to false',
    ],
    ['otelAgent.pipelines.traces.exporters.otlp_grpc=false', 'otelAgent.pipelines.traces: no exporters are left'],
    ['backend.resources.limits.memory=1Tb', '1Tb is no quantity of memory'],
  ])('%s', async (set, message) => expect(await refused('--set', set)).toContain(message));
  it('credentials without the Secret that holds them', async () => {
    const external = { mode: 'external', external: { url: 'http://a:9200', auth: 'basic' } };
    expect(await refused('--set-json', `storage.elasticsearch=${JSON.stringify(external)}`)).toContain(
      'existingSecret beside `auth: basic` (storage.elasticsearch.external)',
    );
  });
});

describe('sizes', () => {
  // Run for a moment.
  const passing = ['Pod', 'CronJob'];
  const memory = async (args: readonly string[]): Promise<number> => {
    let sum = 0;
    for (const { kind, spec } of (await render('default', args)).pods()) {
      if (passing.includes(kind)) continue;
      const replicas = kind === 'Deployment' && spec.serviceAccountName === 'watchingcat-backend' ? 2 : 1;
      sum += replicas * mebibytes(spec.containers[0]?.resources?.limits?.['memory'] ?? '');
    }
    return sum;
  };
  const mebibytes = (quantity: string): number => {
    const [, number, unit] = /^(\d+)(Mi|Gi)$/.exec(quantity) ?? [];
    return Number(number) * (unit === 'Gi' ? 1024 : 1);
  };

  it('small fits a Minikube of 4 CPUs and 8 GB, with 1 CPU and 1.2 GiB for Kubernetes itself', async () => {
    expect(await memory(['--set', 'size=small'])).toBeLessThanOrEqual(8000 / 1.048576 - 1.2 * 1024);
    const pods = (await render('default', ['--set', 'size=small']))
      .pods()
      .filter(({ kind }) => !passing.includes(kind));
    const requested = pods.reduce(
      (sum, { name, spec }) =>
        sum +
        (name === 'watchingcat-backend' ? 2 : 1) *
          Number(/^(\d+)m$/.exec(spec.containers[0]?.resources?.requests?.['cpu'] ?? '')?.[1]),
      0,
    );
    expect(requested).toBeLessThanOrEqual(3000);
  });
  it('what a part asks for itself is merged over the size', async () => {
    const rendered = await render('default', ['--set', 'size=small,backend.resources.limits.memory=2Gi']);
    expect(rendered.container('watchingcat-backend').resources).toEqual({
      requests: { cpu: '150m', memory: '320Mi' },
      limits: { cpu: '1000m', memory: '2Gi' },
    });
    // The heap follows.
    expect(rendered.environment('watchingcat-backend')['NODE_OPTIONS']).toBe('--max-old-space-size=1024');
  });
});

describe('options of the pods', () => {
  it('are for all, and for one part', async () => {
    const rendered = await render('everything');
    for (const { name, labels, spec } of rendered.pods()) {
      expect(spec, name).toMatchObject({
        nodeSelector: { 'kubernetes.io/os': 'linux' },
        priorityClassName: 'observability',
      });
      expect(spec, name).toHaveProperty('imagePullSecrets', [{ name: 'mirror' }]);
      if (name !== 'watchingcat-test') expect(labels, name).toMatchObject({ team: 'sre', app: name });
      expect(spec.containers[0]?.image, name).toMatch(/^mirror\.example\.com\//);
    }
    expect(rendered.container('watchingcat-backend').livenessProbe?.periodSeconds).toBe(30);
    expect(rendered.pods().find(({ name }) => name === 'watchingcat-backend')?.spec.containers).toHaveLength(2);
    // Lists are added to each other: the agent is on every node all the same.
    const agent = rendered.pods().find(({ name }) => name === 'watchingcat-otel-agent')?.spec as unknown as {
      tolerations: unknown;
    };
    expect(agent.tolerations).toEqual([expect.objectContaining({ key: 'dedicated' }), { operator: 'Exists' }]);
  });
  it('a digest is what is pulled, and the tag says what it is', async () => {
    expect((await render('everything')).container('watchingcat-backend').image).toBe(
      'mirror.example.com/watchingcat/watchingcat-backend:0.1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
    );
  });
});
