import { dirname, resolve } from 'node:path';
import { Fault, type Signal, signals, yaml } from '../base/index.ts';
import type { AccessConfig } from './access.ts';
import { isLoopback, resolveDestinations } from './destinations.ts';
import { nearest } from './nearest.ts';
import { resolvePeers } from './peers.ts';
import {
  type AccessSettings,
  configSchema,
  environmentName,
  type LogLevel,
  type Setting,
  type Settings,
  settings,
  settingsToCome,
} from './schema.ts';
import { readSmallFile } from './small-file.ts';
import { isSwitch } from './values.ts';

/** What the process runs with: every value read, every default filled in, every path absolute. */
export interface Config {
  /** Address of all three listeners. */
  readonly host: string;
  /** 0: any free port. */
  readonly ports: { readonly otlpGrpc: number; readonly otlpHttp: number; readonly http: number };
  readonly dataDir: string;
  /** Bound of the log of one signal. */
  readonly walMaxBytes: number;
  readonly deadLettersMaxBytes: number;
  readonly retentionMs: { readonly [S in Signal]: number };
  /** Signals that the embedded store keeps; may be empty. */
  readonly embedded: ReadonlySet<Signal>;
  /** Store that answers for a signal; `none`: nothing here can be asked for it. */
  readonly read: { readonly [S in Signal]: StoreName | 'none' };
  /** Where a copy of everything goes; `endpoint` is scheme, host and port. */
  readonly forward: { readonly endpoint: string; readonly access: AccessConfig } | undefined;
  /** Of each of these at least one address is there. */
  readonly jaeger:
    | { readonly otlpEndpoint?: string; readonly queryEndpoint?: string; readonly access: AccessConfig }
    | undefined;
  readonly prometheus:
    | (Omit<Settings['prometheus'], keyof AccessSettings | 'headers' | 'headersFile'> & {
        readonly access: AccessConfig;
      })
    | undefined;
  readonly elasticsearch: { readonly url: string; readonly access: AccessConfig } | undefined;
  /** Other replicas: who is handed over to at the stop. `names` may stand for several, this process among them. */
  readonly peers:
    | {
        readonly port: number;
        /** Secret. */
        readonly token: string;
        readonly names: readonly { readonly host: string; readonly port: number }[];
      }
    | undefined;
  /** Whether spans are counted into metrics. */
  readonly spanMetrics: boolean;
  readonly clusterName: string | undefined;
  readonly cloudRegion: string | undefined;
  readonly environment: string | undefined;
  /** undefined: nobody is asked about pods. */
  readonly kubernetes:
    | {
        /** `in-cluster`, or the absolute path of a kubeconfig. */
        readonly access: string;
        readonly labels: 'all' | readonly string[];
        readonly annotations: 'all' | readonly string[];
        readonly serviceLabels: boolean;
        readonly waitMs: number;
      }
    | undefined;
  /** Addresses and ranges, as `readAddressRange` understands them. */
  readonly trustedProxies: readonly string[];
  readonly logLevel: LogLevel;
  /** Absolute paths of the files that it was read from, with those that hold secrets. */
  readonly files: readonly string[];
  /** What a person should know of this configuration, one sentence each: to be logged at the start. */
  readonly warnings: readonly string[];
}

type StoreName = 'embedded' | 'jaeger' | 'prometheus' | 'elasticsearch';

/** Where settings come from, in rising order: the file, the environment, the flags. */
export interface ConfigSources {
  /** Values by flag, such as `--data-dir`; `--config` names the file. */
  readonly flags: { readonly [flag: string]: string | undefined };
  readonly env: { readonly [name: string]: string | undefined };
  readonly cwd: string;
}

/** Where a value was found: `default`, `WATCHINGCAT_HOST`, `--host`, `watchingcat.yaml:3`. */
export type Origin = string;

/** The configuration as it was found, good or bad. */
export interface Inspection {
  /** undefined where there are problems. */
  readonly config: Config | undefined;
  /** By setting path; settings that nobody set are absent. Values as written: they may be secret. */
  readonly written: ReadonlyMap<string, { readonly value: unknown; readonly origin: Origin }>;
  /** One sentence each: key path, source, what was expected. Never a secret. */
  readonly problems: readonly string[];
}

/**
 * The configuration from all sources.
 * @throws Fault `malformed`; its message has one line per problem: key path, source, what was expected.
 */
export function loadConfig(sources: ConfigSources): Config {
  const { config, problems } = inspectConfig(sources);
  if (config === undefined) throw new Fault('malformed', problems.join('\n'));
  return config;
}

/** As `loadConfig`, but tells the origin of each value, and problems as data. Reads the files that are named; throws nothing. */
export function inspectConfig(sources: ConfigSources): Inspection {
  const problems: string[] = [];
  const written = new Map<string, { value: unknown; origin: Origin }>();
  const byEnv = new Map(settings.map((setting) => [setting.env, setting]));
  const byFlag = new Map(settings.flatMap((setting) => (setting.flag === undefined ? [] : [[setting.flag, setting]])));

  const named = sources.flags['--config'] ?? (sources.env['WATCHINGCAT_CONFIG'] || undefined);
  const file = named === undefined ? undefined : readConfigFile(named, sources.cwd, problems);
  const tree = file?.tree ?? {};
  for (const setting of settings) {
    const value = at(tree, setting.path);
    if (value === undefined || value === null) continue;
    const folder = dirname(file?.path ?? '');
    // A path in the file means the same wherever the process is started.
    const absolute = isPath(setting, value) ? resolve(folder, value) : value;
    put(tree, setting.path, absolute);
    written.set(setting.path, { value: absolute, origin: file?.origin(setting.path) ?? '' });
  }
  for (const [name, value] of Object.entries(sources.env)) {
    // An empty variable is one that was not set: that is how Compose files and charts leave one out.
    if (!name.startsWith('WATCHINGCAT_') || value === undefined || value === '') continue;
    const setting = byEnv.get(name);
    if (setting === undefined) {
      const problem = unknownVariable(name, value);
      if (problem !== undefined) problems.push(problem);
      continue;
    }
    put(tree, setting.path, value);
    written.set(setting.path, { value, origin: name });
  }
  for (const [flag, value] of Object.entries(sources.flags)) {
    if (value === undefined || flag === '--config') continue;
    const setting = byFlag.get(flag);
    if (setting === undefined) {
      problems.push(`${flag}: unknown flag${nearest(flag, [...byFlag.keys()])}`);
      continue;
    }
    put(tree, setting.path, value);
    written.set(setting.path, { value, origin: flag });
  }

  // To compile a parser for what is read once takes longer than to read it.
  const parsed = configSchema.safeParse(tree, { jitless: true });
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const path = issue.path.join('.');
      if (issue.code === 'unrecognized_keys') {
        for (const key of issue.keys) {
          const whole = path === '' ? key : `${path}.${key}`;
          problems.push(unknownKey(whole, file?.origin(whole)));
        }
        continue;
      }
      const setting = settings.find((candidate) => candidate.path === path || path.startsWith(`${candidate.path}.`));
      const found = setting === undefined ? undefined : written.get(setting.path);
      problems.push(
        `${path === '' ? 'the file' : path} (${found?.origin ?? file?.origin(path) ?? 'default'}): expected ${
          setting === undefined ? 'a map of settings' : issue.message
        }${setting === undefined || setting.secret ? '' : `, got ${shown(found?.value)}`}`,
      );
    }
    return { config: undefined, written, problems };
  }
  // Kubernetes sets it in every pod.
  const inCluster = Boolean(sources.env['KUBERNETES_SERVICE_HOST']);
  const resolved = resolveConfig(
    parsed.data,
    sources.cwd,
    inCluster,
    (path) => written.get(path)?.origin ?? 'default',
    problems,
  );
  const holders = [...written].flatMap(([path, { value }]) => (path.endsWith('File') ? [String(value)] : []));
  const config: Config = {
    ...resolved,
    files: [...(file === undefined ? [] : [file.path]), ...holders.map((path) => resolve(sources.cwd, path))],
  };
  return { config: problems.length === 0 ? config : undefined, written, problems };
}

/** What the settings mean together. Pushes a problem for each contradiction. */
function resolveConfig(
  from: Settings,
  cwd: string,
  inCluster: boolean,
  origin: (path: string) => Origin,
  problems: string[],
): Omit<Config, 'files'> {
  const { jaeger, prometheus, elasticsearch, forward } = resolveDestinations(from, cwd, origin, problems);
  const peers = resolvePeers(from, cwd, origin, problems);
  const external: { readonly [S in Signal]: ExternalStore } = {
    traces: {
      name: 'jaeger',
      written: jaeger?.otlpEndpoint !== undefined,
      read: jaeger?.queryEndpoint !== undefined,
      setToRead: 'jaeger.queryEndpoint',
      setToWrite: 'jaeger.otlpEndpoint',
    },
    metrics: {
      name: 'prometheus',
      written: prometheus?.remoteWriteUrl !== undefined,
      read: prometheus?.queryUrl !== undefined,
      setToRead: 'prometheus.queryUrl',
      setToWrite: 'prometheus.remoteWriteUrl',
    },
    logs: {
      name: 'elasticsearch',
      written: elasticsearch !== undefined,
      read: elasticsearch !== undefined,
      setToRead: 'elasticsearch.url',
      setToWrite: 'elasticsearch.url',
    },
  };
  const embedded = from.embedded ?? new Set<Signal>(signals.filter((signal) => !external[signal].written));
  const homeless =
    forward === undefined ? signals.filter((signal) => !embedded.has(signal) && !external[signal].written) : [];
  if (homeless.length === signals.length) {
    problems.push(
      `embedded (${origin('embedded')}): everything would go nowhere; expected some of traces, metrics, logs, ` +
        'or a destination such as forward.otlpEndpoint (WATCHINGCAT_FORWARD_OTLP_ENDPOINT)',
    );
  }
  const takesMetrics = embedded.has('metrics') || external.metrics.written || forward !== undefined;
  if (from.spanMetrics === 'on' && !takesMetrics) {
    problems.push(
      `spanMetrics (${origin('spanMetrics')}): nothing here takes metrics; expected metrics in embedded, or ${external.metrics.setToWrite}`,
    );
  }
  for (const signal of signals) {
    const { name, setToRead } = external[signal];
    const wanted = from.read[signal];
    if (wanted === 'embedded' && !embedded.has(signal)) {
      problems.push(
        `read.${signal} (${origin(`read.${signal}`)}): the embedded store does not keep ${signal}; ` +
          `expected ${signal} in embedded (${origin('embedded')})`,
      );
    }
    if (wanted === name && !external[signal].read) {
      problems.push(`read.${signal} (${origin(`read.${signal}`)}): expected ${setToRead} beside it`);
    }
  }
  const fixedPorts = [
    ['otlp.grpcPort', from.otlp.grpcPort],
    ['otlp.httpPort', from.otlp.httpPort],
    ['http.port', from.http.port],
    ...(peers === undefined ? [] : [['peersPort', peers.port] as const]),
  ] as const;
  for (const [index, [path, port]] of fixedPorts.entries()) {
    const same = fixedPorts.slice(0, index).find(([, other]) => other === port && port !== 0);
    if (same !== undefined) {
      problems.push(
        `${path} (${origin(path)}): expected a port of its own, but ${port} is ${same[0]} (${origin(same[0])})`,
      );
    }
  }
  return {
    host: from.host,
    ports: { otlpGrpc: from.otlp.grpcPort, otlpHttp: from.otlp.httpPort, http: from.http.port },
    dataDir: resolve(cwd, from.dataDir),
    walMaxBytes: from.wal.maxBytes,
    deadLettersMaxBytes: from.deadLetters.maxBytes,
    retentionMs: from.retention,
    embedded,
    read: {
      traces: readFrom('traces'),
      metrics: readFrom('metrics'),
      logs: readFrom('logs'),
    },
    jaeger,
    prometheus,
    elasticsearch,
    forward,
    peers,
    spanMetrics: from.spanMetrics === undefined ? external.traces.written && takesMetrics : from.spanMetrics === 'on',
    clusterName: from.cluster.name,
    cloudRegion: from.cloud.region,
    environment: from.environment,
    kubernetes: kubernetes(),
    trustedProxies: from.trustedProxies,
    logLevel: from.log.level,
    warnings: [
      ...(isLoopback(from.host)
        ? []
        : [
            `Everybody who reaches ${from.host} can read and write here: this version has no authentication. ` +
              'Keep the ports behind a firewall, or set WATCHINGCAT_HOST=127.0.0.1.',
          ]),
      ...(peers === undefined || embedded.size === 0
        ? []
        : [
            `The embedded store is for one replica: ${[...embedded].join(' and ')} that come here can only be asked for here, ` +
              'and are not handed over to others.',
          ]),
      ...(homeless.length === 0
        ? []
        : [
            `Nothing here takes ${homeless.join(' and ')}, so that they are refused: ` +
              `add them to WATCHINGCAT_EMBEDDED, or set ${homeless.map((signal) => environmentName(external[signal].setToWrite)).join(', ')} or WATCHINGCAT_FORWARD_OTLP_ENDPOINT.`,
          ]),
    ],
  };

  function kubernetes(): Config['kubernetes'] {
    const {
      enrichment = inCluster ? 'in-cluster' : 'off',
      wait: waitMs,
      labels,
      annotations,
      serviceLabels,
    } = from.k8s;
    if (enrichment === 'off') return undefined;
    if (enrichment === 'in-cluster' && !inCluster) {
      problems.push(
        `k8s.enrichment (${origin('k8s.enrichment')}): this is no pod of Kubernetes (KUBERNETES_SERVICE_HOST is not set); ` +
          'expected off, or the path of a kubeconfig',
      );
    }
    const access = enrichment === 'in-cluster' ? enrichment : resolve(cwd, enrichment);
    return { access, labels, annotations, serviceLabels, waitMs };
  }

  /** An external store where one can be asked, else what is kept here. */
  function readFrom(signal: Signal): StoreName | 'none' {
    const wanted = from.read[signal];
    if (wanted !== undefined) return wanted;
    if (external[signal].read) return external[signal].name;
    return embedded.has(signal) ? 'embedded' : 'none';
  }
}

/** The store that a signal has outside of this process. */
interface ExternalStore {
  readonly name: Exclude<StoreName, 'embedded'>;
  readonly written: boolean;
  readonly read: boolean;
  /** Setting paths. */
  readonly setToRead: string;
  readonly setToWrite: string;
}

interface ConfigFile {
  readonly path: string;
  readonly tree: Tree;
  /** `file:line` of a key, or of the nearest key above it. */
  origin(path: string): Origin;
}
type Tree = { [key: string]: unknown };

function readConfigFile(named: string, cwd: string, problems: string[]): ConfigFile | undefined {
  const path = resolve(cwd, named);
  const content = readSmallFile(path);
  if (typeof content !== 'string') {
    problems.push(`${named}: the configuration file ${content.why}`);
    return undefined;
  }
  const { isMap, isScalar, LineCounter, parseDocument } = yaml();
  const lines = new LineCounter();
  // Strict, without aliases that could multiply: a configuration has no use for them.
  const document = parseDocument(content, { lineCounter: lines });
  for (const error of document.errors) {
    problems.push(`${named}:${lines.linePos(error.pos[0]).line}: not YAML: ${error.message.split('\n')[0]}`);
  }
  if (document.errors.length > 0) return undefined;
  let tree: unknown;
  try {
    tree = document.toJS({ maxAliasCount: 0 });
  } catch {
    problems.push(`${named}: aliases (*name) are not understood here`);
    return undefined;
  }
  if (tree !== null && (typeof tree !== 'object' || Array.isArray(tree))) {
    problems.push(`${named}:1: expected a map of settings`);
    return undefined;
  }
  return {
    path,
    tree: (tree ?? {}) as Tree,
    origin(key) {
      let line: number | undefined;
      let node: unknown = document.contents;
      for (const name of key.split('.')) {
        if (!isMap(node)) break;
        const pair = node.items.find((item) => isScalar(item.key) && item.key.value === name);
        if (pair === undefined) break;
        if (isScalar(pair.key) && pair.key.range) line = lines.linePos(pair.key.range[0]).line;
        node = pair.value;
      }
      return line === undefined ? named : `${named}:${line}`;
    },
  };
}

/** undefined for variables that are none of ours although they begin like ours. */
function unknownVariable(name: string, value: string): string | undefined {
  if (name === 'WATCHINGCAT_CONFIG' || name === 'WATCHINGCAT_ENDPOINT') return undefined;
  // Kubernetes sets these in every pod of a namespace with Services whose names begin with "watchingcat".
  if (/_SERVICE_(HOST|PORT|PORT_\w+)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)) return undefined;
  if (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value)) return undefined;
  const toCome = settingsToCome.find((path) => environmentName(path) === name);
  if (toCome !== undefined) return `${name}: not available yet in this version; expected it to be absent`;
  return `${name}: unknown variable${nearest(
    name,
    settings.map((setting) => setting.env),
  )}`;
}

function unknownKey(path: string, origin: Origin | undefined): string {
  const where = origin === undefined ? path : `${path} (${origin})`;
  if (settingsToCome.some((other) => other === path || other.startsWith(`${path}.`))) {
    return `${where}: not available yet in this version; expected it to be absent`;
  }
  return `${where}: unknown key${nearest(
    path,
    settings.map((setting) => setting.path),
  )}`;
}

function isPath(setting: Setting, value: unknown): value is string {
  if (typeof value !== 'string' || value === '') return false;
  // What may be there instead of a path is left as it is.
  if (setting.path === 'k8s.enrichment') return value !== 'in-cluster' && !isSwitch(value);
  return setting.path === 'dataDir' || setting.path.endsWith('File');
}

/** What came, so that a person recognises it; short, on one line. */
function shown(value: unknown): string {
  // A URL may hold a password, which is then what is wrong with it.
  const text = (JSON.stringify(value) ?? 'nothing').replace(/(:\/\/)[^/]*@/g, '$1***@');
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function at(tree: unknown, path: string): unknown {
  let node = tree;
  for (const key of path.split('.')) {
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, key)) return undefined;
    node = (node as Tree)[key];
  }
  return node;
}

/** Sets a value; a parent that is not a map is left as it is, for the schema to complain about. */
function put(tree: Tree, path: string, value: unknown): void {
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  let node = tree;
  for (const key of keys) {
    const child = node[key] ?? {};
    if (typeof child !== 'object' || Array.isArray(child)) return;
    node[key] = child;
    node = child as Tree;
  }
  node[last] = value;
}
