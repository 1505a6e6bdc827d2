import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startOpenSearch } from './opensearch.ts';
import { backendProgram, backendsHome, freePort, runProgram } from './program.ts';

// The real Jaeger, Prometheus and Elasticsearch, each started as often as a test wants, on ports of its own, with fresh
// data. (The Collector: collector.ts.) What is not built yet is an error that says how to build it.

/** A backend that runs until it is stopped. Its ports and its data stay the same over `stop` and `start`. */
interface Backend extends AsyncDisposable {
  /** Of the program; changes with each start. */
  readonly pid: number;
  /** 'SIGSTOP' makes it half-open, 'SIGCONT' lets it go on, 'SIGKILL' is a crash. */
  signal(signal: NodeJS.Signals): void;
  /** May be called twice. Data stay, where the program keeps any: Jaeger's are in memory. */
  stop(): Promise<void>;
  /** Again, where it was stopped or has died. */
  start(): Promise<void>;
}

/** Ports that are not given are free ones. */
export interface JaegerOptions {
  readonly otlpGrpcPort?: number;
  readonly otlpHttpPort?: number;
  readonly queryPort?: number;
  readonly queryGrpcPort?: number;
  /** The oldest go first. */
  readonly tracesMax?: number;
}
export interface Jaeger extends Backend {
  /** `http://127.0.0.1:14317`; the same as host and port only. */
  readonly otlpEndpoint: string;
  /** Base URL of `/api/v3` and of the legacy API. */
  readonly queryUrl: string;
  /** host:port of `jaeger.api_v3.QueryService`. */
  readonly queryGrpc: string;
  /** Its own metrics, as Prometheus scrapes them. */
  readonly metricsUrl: string;
}

/** Jaeger, all in one, traces in memory. */
export async function startJaeger(options: JaegerOptions = {}): Promise<Jaeger> {
  backendProgram('jaeger');
  const port = {
    otlpGrpc: options.otlpGrpcPort ?? (await freePort()),
    otlpHttp: options.otlpHttpPort ?? (await freePort()),
    query: options.queryPort ?? (await freePort()),
    queryGrpc: options.queryGrpcPort ?? (await freePort()),
    metrics: await freePort(),
  };
  const name = `jaeger-${port.query}`;
  const backend = await run('jaeger', `${name}.pid`, {
    JAEGER_NAME: name,
    JAEGER_OTLP_GRPC_PORT: `${port.otlpGrpc}`,
    JAEGER_OTLP_HTTP_PORT: `${port.otlpHttp}`,
    JAEGER_QUERY_PORT: `${port.query}`,
    JAEGER_QUERY_GRPC_PORT: `${port.queryGrpc}`,
    JAEGER_HEALTH_PORT: `${await freePort()}`,
    JAEGER_METRICS_PORT: `${port.metrics}`,
    // It waits for clients that keep their connection.
    BACKENDS_STOP_WAIT: '3',
    JAEGER_MAX_TRACES: `${options.tracesMax ?? 100_000}`,
  });
  return Object.assign(backend, {
    otlpEndpoint: `http://127.0.0.1:${port.otlpGrpc}`,
    queryUrl: `http://127.0.0.1:${port.query}`,
    queryGrpc: `127.0.0.1:${port.queryGrpc}`,
    metricsUrl: `http://127.0.0.1:${port.metrics}/metrics`,
  });
}

export interface PrometheusOptions {
  readonly port?: number;
  /** Path of a configuration; otherwise the bench's, with samples up to seven days late. */
  readonly config?: string;
  /** Further arguments of the program. */
  readonly args?: readonly string[];
}
export interface Prometheus extends Backend {
  /** Base URL of its API. */
  readonly url: string;
  readonly remoteWriteUrl: string;
}

/** Prometheus with remote write 1 and 2, native histograms and exemplars. */
export async function startPrometheus(options: PrometheusOptions = {}): Promise<Prometheus> {
  backendProgram('prometheus');
  const port = options.port ?? (await freePort());
  const name = `prometheus-${port}`;
  const data = await mkdtemp(join(tmpdir(), 'prometheus-'));
  const env = {
    PROMETHEUS_NAME: name,
    PROMETHEUS_PORT: `${port}`,
    PROMETHEUS_DATA: data,
    ...(options.config === undefined ? {} : { PROMETHEUS_CONFIG: options.config }),
  };
  const backend = await run('prometheus', `${name}.pid`, env, { args: options.args ?? [], data });
  const url = `http://127.0.0.1:${port}`;
  return Object.assign(backend, { url, remoteWriteUrl: `${url}/api/v1/write` });
}

export interface ElasticsearchOptions {
  readonly port?: number;
  /** Further lines of elasticsearch.yml, such as `indexing_pressure.memory.limit: 100kb`. */
  readonly settings?: readonly string[];
  /** Of the JVM, such as `512m`. */
  readonly heap?: string;
}
export interface Elasticsearch extends Backend {
  readonly url: string;
}

/** Elasticsearch, one node without security. Takes half a minute to start. In the tier `opensearch` it is OpenSearch. */
export async function startElasticsearch(options: ElasticsearchOptions = {}): Promise<Elasticsearch> {
  if (process.env['ELASTICSEARCH_IS'] === 'opensearch') return startOpenSearch(options);
  const program = join(backendsHome(), 'elasticsearch');
  if (!existsSync(program)) throw new Error(`${program} is missing: shared/backends/elasticsearch/install makes it`);
  const port = options.port ?? (await freePort());
  const data = await mkdtemp(join(tmpdir(), 'elasticsearch-'));
  const env = {
    PORT: `${port}`,
    DATA: data,
    HEAP: options.heap ?? '512m',
    ES_SETTINGS: (options.settings ?? []).join('\n'),
  };
  const backend = await run('elasticsearch', `elasticsearch-${port}.pid`, env, { data });
  return Object.assign(backend, { url: `http://127.0.0.1:${port}` });
}

const shared = fileURLToPath(new URL('../../../shared/backends/', import.meta.url));

/** Starts a backend by its own script, which waits until it is healthy. */
async function run(
  folder: string,
  pidFile: string,
  env: Readonly<Record<string, string>>,
  options: { readonly args?: readonly string[]; readonly data?: string } = {},
): Promise<Backend> {
  const script = async (name: 'start' | 'stop') =>
    void (await runProgram(join(shared, folder, name), name === 'start' ? (options.args ?? []) : [], {
      env,
      timeoutMs: 180_000,
    }));
  const pid = () => Number.parseInt(readFileSync(join(backendsHome(), 'run', pidFile), 'utf8'), 10);
  const backend: Backend = {
    get pid() {
      return pid();
    },
    signal: (signal) => void process.kill(pid(), signal),
    async stop() {
      // One that stands still does not hear that it shall stop.
      if (existsSync(join(backendsHome(), 'run', pidFile))) continueIfThere(pid());
      await script('stop');
    },
    start: () => script('start'),
    async [Symbol.asyncDispose]() {
      await backend.stop();
      if (options.data !== undefined) await rm(options.data, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  try {
    await backend.start();
  } catch (thrown) {
    await backend[Symbol.asyncDispose]();
    throw thrown;
  }
  return backend;
}

function continueIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // it has died
  }
}
