import { z } from 'zod';
import {
  addressRanges,
  chosenKeys,
  count,
  durationMs,
  grpcEndpoint,
  headers,
  holdMs,
  host,
  httpUrl,
  httpUrlOrOff,
  keys,
  kubernetesAccess,
  logLevel,
  logLevels,
  logSizeBytes,
  oneOf,
  onOff,
  path,
  peerNames,
  port,
  read,
  secret,
  shardCount,
  signalSet,
  sizeBytes,
  store,
  text,
  token,
  word,
} from './fields.ts';

// The one schema. Defaults, environment variables, flags, the YAML file's keys, the JSON Schema and the reference in
// docs/configuration.md all come from here. A setting's names follow from its place: `otlp.grpcPort` in the file is
// WATCHINGCAT_OTLP_GRPC_PORT in the environment and --otlp-grpc-port on the command line.

export type { LogLevel } from './fields.ts';

/** How a destination lets us in, the same settings for each. */
function access(to: string, apiKey: string) {
  const hidden = (description: string) => ({ writeOnly: true, description });
  return {
    username: word.optional().describe(`User for ${to} (basic authentication).`),
    password: secret.optional().meta(hidden('Password of that user.')),
    passwordFile: path.optional().describe('File that holds the password.'),
    bearerToken: secret.optional().meta(hidden(`Token that is sent to ${to} as \`Authorization: Bearer …\`.`)),
    bearerTokenFile: path.optional().describe('File that holds the token.'),
    apiKey: secret.optional().meta(hidden(`API key, sent to ${to} as \`${apiKey}\`.`)),
    apiKeyFile: path.optional().describe('File that holds the API key.'),
    tls: group({
      caFile: path
        .optional()
        .describe(`Certificates (PEM) that ${to} is recognised by, instead of those of the system.`),
      certFile: path.optional().describe(`Certificate (PEM) that is shown to ${to}; with \`tls.keyFile\`.`),
      keyFile: path.optional().describe('Its private key (PEM).'),
    }),
  };
}
function headersFor(to: string) {
  return headers.optional().meta({
    writeOnly: true,
    description: `Headers of the requests to ${to}: \`name=value,name=value\`, values percent-encoded as in OTEL_EXPORTER_OTLP_HEADERS; in the file also a map.`,
  });
}
const headersFile = (key: string) =>
  path
    .optional()
    .describe(`File that holds \`${key}\`, for secrets that are mounted: the same form, one or more to a line.`);

/** The settings as they are written: keys of the YAML file, in the order in which the documents show them. */
export const configSchema = z.strictObject({
  host: host
    .prefault('127.0.0.1')
    .describe(
      'Address that all three listeners bind. On an address that other machines reach, everybody there can read and write: there is no authentication yet.',
    ),
  otlp: group({
    grpcPort: port
      .prefault(4317)
      .describe('Port of OTLP over gRPC; 0 = any free port. The chosen ones are on the first screen and in `/health`.'),
    httpPort: port.prefault(4318).describe('Port of OTLP over HTTP; 0 = any free port.'),
  }),
  http: group({
    port: port.prefault(8090).describe('Port of the REST API; 0 = any free port.'),
  }),
  dataDir: path
    .prefault('./data')
    .describe(
      'Folder of the write-ahead log, the embedded store and the cursors. Relative to the working directory; in the file, to the file.',
    ),
  wal: group({
    maxBytes: logSizeBytes
      .prefault('4GiB')
      .describe(
        'Bound of the write-ahead log, for each signal. At the bound the receivers answer that a client shall come again later; nothing that was acknowledged is dropped. Never above 90 % of the disk.',
      ),
  }),
  retention: group({
    traces: durationMs.prefault('7d').describe('How long the embedded store keeps spans.'),
    metrics: durationMs.prefault('15d').describe('How long the embedded store keeps data points.'),
    logs: durationMs
      .prefault('7d')
      .describe('How long the embedded store keeps log records, and Elasticsearch its daily indices.'),
  }),
  deadLetters: group({
    maxBytes: sizeBytes
      .prefault('1GiB')
      .describe(
        'Bound of the records that a destination refused for good. Past it `/health` is degraded, and further ones are counted, named in the log and gone.',
      ),
  }),
  embedded: signalSet.optional().meta({
    description:
      'Signals that the embedded store keeps: some of `traces,metrics,logs`, or `off`. Unless set, those that are not written to Jaeger, Prometheus or Elasticsearch. A signal that has no destination at all is refused. Forwarding is a copy beside it and does not switch it off: what is forwarded cannot be asked for here. For a pure relay set `off` together with `forward.otlpEndpoint`.',
    defaultText: 'signals without another store',
  }),
  forward: group({
    otlpEndpoint: grpcEndpoint
      .optional()
      .describe(
        'OTLP gRPC endpoint that gets a copy of all three signals: `http://` without, `https://` with TLS; port 4317 where none is given.',
      ),
    otlpHeaders: headersFor('the forwarding endpoint'),
    otlpHeadersFile: headersFile('forward.otlpHeaders'),
    ...access('the forwarding endpoint', 'x-api-key: …'),
  }),
  jaeger: group({
    otlpEndpoint: grpcEndpoint
      .optional()
      .describe('OTLP gRPC endpoint of Jaeger, such as `http://jaeger:4317`: traces are written there.'),
    queryEndpoint: httpUrlOrOff('http://jaeger:16686').optional().meta({
      description:
        'Where Jaeger is asked, such as `http://jaeger:16686`: traces are read from there. `off` where it can only be written to.',
      defaultText: 'port 16686 of jaeger.otlpEndpoint where that has port 4317',
    }),
    headers: headersFor('Jaeger'),
    headersFile: headersFile('jaeger.headers'),
    ...access('Jaeger', 'x-api-key: …'),
  }),
  prometheus: group({
    remoteWriteUrl: httpUrl('http://prometheus:9090/api/v1/write')
      .optional()
      .describe('Remote-write URL, such as `http://prometheus:9090/api/v1/write`: metrics are written there.'),
    queryUrl: httpUrlOrOff('http://prometheus:9090').optional().meta({
      description:
        'Base URL of the Prometheus API, such as `http://prometheus:9090`: metrics are read from there. `off` where it can only be written to.',
      defaultText: 'prometheus.remoteWriteUrl where that ends in /api/v1/write, up to there',
    }),
    remoteWriteProtocol: oneOf('auto', '2.0', '1.0')
      .prefault('auto')
      .describe(
        'Version of remote write: `2.0`, `1.0`, or `auto`: 2.0, and 1.0 where the other side does not know it.',
      ),
    translationStrategy: oneOf(
      'UnderscoreEscapingWithSuffixes',
      'UnderscoreEscapingWithoutSuffixes',
      'NoUTF8EscapingWithSuffixes',
      'NoTranslation',
    )
      .prefault('UnderscoreEscapingWithSuffixes')
      .describe(
        'How OTLP names become names in Prometheus, as its own `otlp.translation_strategy` says it: `UnderscoreEscapingWithSuffixes`, `UnderscoreEscapingWithoutSuffixes`, `NoUTF8EscapingWithSuffixes`, `NoTranslation`.',
      ),
    promoteResourceAttributes: keys.optional().meta({
      description:
        'Resource attributes that become labels of every series, separated by commas, or `off`; all others are in `target_info`.',
      defaultText: 'the 17 that Prometheus recommends, and 8 that tell the resources of Kubernetes apart',
    }),
    keepIdentifyingResourceAttributes: onOff
      .prefault('off')
      .describe('`service.name`, `service.namespace` and `service.instance.id` as labels of `target_info`, too.'),
    promoteScopeMetadata: onOff
      .prefault('off')
      .describe('Name, version, schema URL and attributes of the instrumentation scope as labels `otel_scope_…`.'),
    convertHistogramsToNhcb: onOff
      .prefault('off')
      .describe(
        'Explicit histograms as native histograms with custom buckets, instead of `_bucket`, `_sum`, `_count`.',
      ),
    deltaToCumulative: onOff
      .prefault('on')
      .describe(
        'Sum up points of delta temporality, which Prometheus does not take; the sums survive a crash. Off: such points are refused.',
      ),
    replica: word
      .optional()
      .describe(
        'Label `watchingcat_replica` of the series that are summed up here. Needed where several processes write to one Prometheus, each with a name of its own.',
      ),
    seriesMax: count
      .prefault('0')
      .describe('Series with a sample in the last hour; samples of further ones are refused. 0: no limit.'),
    shards: shardCount
      .prefault('4')
      .describe('Requests to Prometheus at once; the samples of a series always go through the same one, in order.'),
    headers: headersFor('Prometheus'),
    headersFile: headersFile('prometheus.headers'),
    ...access('Prometheus', 'x-api-key: …'),
  }),
  elasticsearch: group({
    url: httpUrl('http://elasticsearch:9200')
      .optional()
      .describe(
        'Elasticsearch or OpenSearch, such as `http://elasticsearch:9200`: logs and Kubernetes events are written to and read from there.',
      ),
    headers: headersFor('Elasticsearch'),
    headersFile: headersFile('elasticsearch.headers'),
    ...access('Elasticsearch', 'Authorization: ApiKey …'),
  }),
  spanMetrics: read(text, 'on or off', (raw) => (['on', 'off'] as const).find((each) => each === raw))
    .optional()
    .meta({
      description:
        'Counts spans into metrics (`traces_spanmetrics_calls_total`, `traces_spanmetrics_duration_seconds`): what services and operations are told from where traces are in Jaeger, which counts nothing.',
      defaultText: 'on where traces are written to Jaeger and metrics are taken',
    }),
  read: group({
    traces: store('jaeger').optional().meta({
      description: 'Store that answers for traces: `embedded` or `jaeger`.',
      defaultText: 'jaeger where it can be asked, else embedded',
    }),
    metrics: store('prometheus').optional().meta({
      description: 'Store that answers for metrics: `embedded` or `prometheus`.',
      defaultText: 'prometheus where it can be asked, else embedded',
    }),
    logs: store('elasticsearch').optional().meta({
      description: 'Store that answers for logs: `embedded` or `elasticsearch`.',
      defaultText: 'elasticsearch where elasticsearch.url is set, else embedded',
    }),
  }),
  peers: peerNames
    .optional()
    .describe(
      'Other replicas: `host` or `host:port`, separated by commas; a name may stand for all of them, as a headless Service does, this one among them. A replica that stops hands over to them what its destinations have not taken; it then needs up to 115 seconds to stop (`docs/replicas.md`).',
    ),
  peersPort: port
    .prefault('8091')
    .describe('Port on which replicas hand over to each other, open where `peers` is set; 0 = any free port.'),
  peersToken: token.optional().meta({
    writeOnly: true,
    description: 'What replicas recognise each other by, the same for all, at least 16 characters.',
  }),
  peersTokenFile: path.optional().describe('File that holds the token of the replicas.'),
  cluster: group({
    name: word
      .optional()
      .describe('`cluster.name` and `k8s.cluster.name` of every resource whose sender did not set it.'),
  }),
  cloud: group({
    region: word.optional().describe('`cloud.region` of every resource whose sender did not set it.'),
  }),
  k8s: group({
    enrichment: kubernetesAccess.optional().meta({
      description:
        'Where the Kubernetes API is asked about the pods that telemetry comes from: `in-cluster` with the service account of the pod, the path of a kubeconfig, or `off`. It needs list and watch on pods, nodes, replicasets and jobs, and list on the namespace kube-system; without them, and without the API server, telemetry is taken all the same.',
      defaultText: 'in-cluster in a pod of Kubernetes, else off',
    }),
    labels: chosenKeys
      .prefault('off')
      .describe('Labels of pods that become `k8s.pod.label.<key>`: keys separated by commas, `*` for all, or `off`.'),
    annotations: chosenKeys
      .prefault('off')
      .describe(
        'Annotations of pods that become `k8s.pod.annotation.<key>`: likewise. Annotations `resource.opentelemetry.io/<attribute>` become that attribute always.',
      ),
    serviceLabels: onOff
      .prefault('off')
      .describe(
        "`service.name` and `service.version` where absent: from the pod's labels `app.kubernetes.io/instance`, `app.kubernetes.io/name` and `app.kubernetes.io/version`, before the name of its deployment and the tag of its image.",
      ),
    wait: holdMs
      .prefault('2s')
      .describe(
        'How long a request may wait for a pod that the API server has not told of yet, before it goes on without its attributes; `0`: not at all.',
      ),
  }),
  trustedProxies: addressRanges
    .prefault('off')
    .describe(
      'Proxies and load balancers in front of the OTLP ports, by address and range: what they say of the sender is believed, by PROXY protocol (1 and 2) or by `X-Forwarded-For`.',
    ),
  environment: word
    .optional()
    .describe('`environment` and `deployment.environment.name` of every resource whose sender did not set it.'),
  log: group({
    level: logLevel.prefault('info').describe(`Level of WatchingCat's own log: ${logLevels.join(', ')}.`),
  }),
});
export type Settings = z.output<typeof configSchema>;
/** What the settings of each destination have in common. */
export type AccessSettings = Omit<Settings['jaeger'], 'otlpEndpoint' | 'queryEndpoint' | 'headers' | 'headersFile'>;

/** Names that are reserved for what this version cannot do yet. Setting one is an error, not a silence. */
export const settingsToCome: readonly string[] = [
  'apiKeysFile',
  'oidcIssuer',
  'tls.certFile',
  'tls.keyFile',
  'tls.clientCaFile',
];

/** One setting with all its names. */
export interface Setting {
  /** Key path in the YAML file, such as `otlp.grpcPort`. */
  readonly path: string;
  readonly env: string;
  /** `--otlp-grpc-port`; undefined for secrets. */
  readonly flag: string | undefined;
  readonly description: string;
  readonly secret: boolean;
  /** As it would be written; undefined where there is none. */
  readonly defaultText: string | undefined;
}

/** Every setting, in schema order. */
export const settings: readonly Setting[] = leaves(configSchema, []);

/** WATCHINGCAT_OTLP_GRPC_PORT for `otlp.grpcPort`. */
export function environmentName(path: string): string {
  const words = path.replaceAll('.', '_').replace(/([a-z0-9])([A-Z])/g, '$1_$2');
  return `WATCHINGCAT_${words.toUpperCase()}`;
}

function leaves(schema: z.ZodType, at: readonly string[]): Setting[] {
  const inner = schema instanceof z.ZodPrefault ? schema.unwrap() : schema;
  if (inner instanceof z.ZodObject) {
    return Object.entries<z.ZodType>(inner.shape).flatMap(([key, member]) => leaves(member, [...at, key]));
  }
  const path = at.join('.');
  const env = environmentName(path);
  const { description = '', writeOnly = false, defaultText } = schema.meta() ?? {};
  const prefault = schema instanceof z.ZodPrefault ? schema.def.defaultValue : undefined;
  return [
    {
      path,
      env,
      flag: writeOnly ? undefined : `--${env.slice('WATCHINGCAT_'.length).toLowerCase().replaceAll('_', '-')}`,
      description,
      secret: writeOnly === true,
      defaultText:
        typeof defaultText === 'string' ? defaultText : prefault === undefined ? undefined : String(prefault),
    },
  ];
}

function group<Shape extends z.ZodRawShape>(shape: Shape) {
  // The members have defaults of their own; the cast says so to the compiler, which cannot see it for any Shape.
  return z.strictObject(shape, undefined).prefault({} as z.input<z.ZodObject<Shape, z.core.$strict>>);
}
