import { resolve } from 'node:path';
import { type AccessConfig, accessIsGiven, resolveAccess } from './access.ts';
import type { Config, Origin } from './load.ts';
import type { AccessSettings, Settings } from './schema.ts';

type Destinations = Pick<Config, 'jaeger' | 'prometheus' | 'elasticsearch' | 'forward'>;

/** Addresses and access of everything outside of this process. Pushes a problem for each contradiction. */
export function resolveDestinations(
  from: Settings,
  cwd: string,
  origin: (path: string) => Origin,
  problems: string[],
): Destinations {
  for (const [path, endpoint] of [
    ['forward.otlpEndpoint', from.forward.otlpEndpoint],
    ['jaeger.otlpEndpoint', from.jaeger.otlpEndpoint],
  ] as const) {
    if (endpoint !== undefined && isOurselves(endpoint, from.host, from.otlp.grpcPort)) {
      problems.push(
        `${path} (${origin(path)}): expected another process, ` +
          'but this is the address that WatchingCat itself receives on',
      );
    }
  }
  /** undefined where the destination has no address; then nothing else of it may be set. */
  const access = (group: Group): AccessConfig | undefined => {
    const urls = group.urls.filter((url) => url !== undefined);
    const given = accessIsGiven(group.settings) || group.headers !== undefined || group.headersFile !== undefined;
    if (urls.length === 0) {
      if (given) {
        const path = firstGiven(group);
        problems.push(`${path} (${origin(path)}): expected ${group.urlPaths.join(' or ')} beside it`);
      }
      return undefined;
    }
    return resolveAccess(
      {
        ...group,
        headersPath: `${group.group}.${group.headersKey}`,
        headersFilePath: `${group.group}.${group.headersKey}File`,
        absolute: (path) => resolve(cwd, path),
        origin,
        encrypted: urls.some((url) => url.startsWith('https:')),
      },
      problems,
    );
  };
  const plainKey = (key: string) => ['x-api-key', key] as const;
  const { jaeger, prometheus, elasticsearch, forward } = from;
  const jaegerAccess = access({
    group: 'jaeger',
    urlPaths: ['jaeger.otlpEndpoint', 'jaeger.queryEndpoint'],
    urls: [jaeger.otlpEndpoint, jaeger.queryEndpoint],
    settings: jaeger,
    headersKey: 'headers',
    headers: jaeger.headers,
    headersFile: jaeger.headersFile,
    apiKeyHeader: plainKey,
  });
  const ofPrometheus = separated(prometheus);
  const prometheusAccess = access({
    group: 'prometheus',
    urlPaths: ['prometheus.remoteWriteUrl', 'prometheus.queryUrl'],
    urls: [prometheus.remoteWriteUrl, prometheus.queryUrl],
    settings: ofPrometheus.settings,
    headersKey: 'headers',
    headers: prometheus.headers,
    headersFile: prometheus.headersFile,
    apiKeyHeader: plainKey,
  });
  const elasticsearchAccess = access({
    group: 'elasticsearch',
    urlPaths: ['elasticsearch.url'],
    urls: [elasticsearch.url],
    settings: elasticsearch,
    headersKey: 'headers',
    headers: elasticsearch.headers,
    headersFile: elasticsearch.headersFile,
    // Elasticsearch, "Token-based authentication services".
    apiKeyHeader: (key) => ['authorization', `ApiKey ${key}`],
  });
  const forwardAccess = access({
    group: 'forward',
    urlPaths: ['forward.otlpEndpoint'],
    urls: [forward.otlpEndpoint],
    settings: forward,
    headersKey: 'otlpHeaders',
    headers: forward.otlpHeaders,
    headersFile: forward.otlpHeadersFile,
    apiKeyHeader: plainKey,
  });
  return {
    jaeger: jaegerAccess && {
      ...(jaeger.otlpEndpoint === undefined ? {} : { otlpEndpoint: jaeger.otlpEndpoint }),
      ...queried('queryEndpoint', jaeger.queryEndpoint ?? jaegerBeside(jaeger.otlpEndpoint)),
      access: jaegerAccess,
    },
    prometheus: prometheusAccess && {
      ...ofPrometheus.store,
      ...queried('queryUrl', ofPrometheus.queryUrl ?? prometheusBehind(ofPrometheus.store.remoteWriteUrl)),
      access: prometheusAccess,
    },
    elasticsearch: elasticsearchAccess && { url: elasticsearch.url ?? '', access: elasticsearchAccess },
    forward: forwardAccess && { endpoint: forward.otlpEndpoint ?? '', access: forwardAccess },
  };
}

/** Jaeger, all in one, answers on 16686 beside the 4317 that it receives on. */
function jaegerBeside(otlpEndpoint: string | undefined): string | undefined {
  const url = otlpEndpoint === undefined ? null : URL.parse(otlpEndpoint);
  return url?.port === '4317' ? `${url.protocol}//${url.hostname}:16686` : undefined;
}

/** Prometheus has both under one base. Others that take remote write have other paths, and answer elsewhere. */
function prometheusBehind(remoteWriteUrl: string | undefined): string | undefined {
  return remoteWriteUrl?.endsWith(remoteWritePath) ? remoteWriteUrl.slice(0, -remoteWritePath.length) : undefined;
}

const remoteWritePath = '/api/v1/write';

function queried<Key extends string>(key: Key, url: string | undefined): { readonly [key in Key]?: string } {
  return url === undefined || url === 'off' ? {} : ({ [key]: url } as { readonly [key in Key]?: string });
}

/** The settings that `access` reads, and those of the store alone. */
function separated(from: Settings['prometheus']): {
  readonly store: Omit<NonNullable<Config['prometheus']>, 'access' | 'queryUrl'>;
  readonly queryUrl: string | undefined;
  readonly settings: AccessSettings;
} {
  const { headers, headersFile, username, password, passwordFile, bearerToken, bearerTokenFile, ...rest } = from;
  const { apiKey, apiKeyFile, tls, queryUrl, ...store } = rest;
  const plain = { username, password, passwordFile, bearerToken, bearerTokenFile, apiKey, apiKeyFile };
  return { store, queryUrl, settings: { ...plain, tls } };
}

interface Group {
  readonly group: string;
  readonly urlPaths: readonly string[];
  readonly urls: readonly (string | undefined)[];
  readonly settings: AccessSettings;
  readonly headersKey: string;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly headersFile: string | undefined;
  readonly apiKeyHeader: (key: string) => readonly [name: string, value: string];
}

/** The path of a setting of the group that is set. */
function firstGiven({ group, settings, headersKey, headers, headersFile }: Group): string {
  if (headers !== undefined) return `${group}.${headersKey}`;
  if (headersFile !== undefined) return `${group}.${headersKey}File`;
  const { tls, ...plain } = settings;
  const names = ['username', 'password', 'passwordFile', 'bearerToken', 'bearerTokenFile', 'apiKey', 'apiKeyFile'];
  const name = names.find((each) => plain[each as keyof typeof plain] !== undefined);
  if (name !== undefined) return `${group}.${name}`;
  return `${group}.tls.${Object.entries(tls).find(([, value]) => value !== undefined)?.[0]}`;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

function isOurselves(endpoint: string, host: string, port: number): boolean {
  const url = new URL(endpoint);
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  return url.port === String(port) && (hostname === host || isLoopback(hostname));
}
