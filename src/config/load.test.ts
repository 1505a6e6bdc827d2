import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { selfSigned } from '../../test/kit/certificate.ts';
import { translationStrategies } from '../otlp/index.ts';
import { configJsonSchema, configReference, effectiveSettings } from './explain.ts';
import { inspectConfig, loadConfig } from './load.ts';
import { configSchema, environmentName, settings, settingsToCome } from './schema.ts';

const canary = 'canary-f00d';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'watchingcat-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(text: string): string {
  const path = join(folder, `${Math.random()}.yaml`);
  writeFileSync(path, text);
  return path;
}
function load(env: { [name: string]: string }, flags: { [flag: string]: string } = {}) {
  return loadConfig({ env, flags, cwd: folder });
}
function problems(env: { [name: string]: string }, flags: { [flag: string]: string } = {}) {
  return inspectConfig({ env, flags, cwd: folder }).problems;
}

describe('other replicas', () => {
  const token = `${canary}-and-more`;
  const peers = (names: string, port = '8091') =>
    load({
      WATCHINGCAT_PEERS: names,
      WATCHINGCAT_PEERS_TOKEN: token,
      WATCHINGCAT_PEERS_PORT: port,
      WATCHINGCAT_EMBEDDED: 'off',
      WATCHINGCAT_FORWARD_OTLP_ENDPOINT: 'http://c:4317',
    }).peers;

  it('are none by default, and no port is opened for them', () => expect(load({}).peers).toBeUndefined());

  it.each([
    ['backend-peers', [{ host: 'backend-peers', port: 8091 }]],
    [
      'a.b.svc:1, 10.0.0.7,[fd00::1]:2',
      [
        { host: 'a.b.svc', port: 1 },
        { host: '10.0.0.7', port: 8091 },
        { host: 'fd00::1', port: 2 },
      ],
    ],
  ])('%s', (names, expected) => expect(peers(names)).toEqual({ port: 8091, token, names: expected }));

  it('listen where this one does, if their names do not say', () =>
    expect(peers('a', '9000')?.names).toEqual([{ host: 'a', port: 9000 }]));

  it.each<[string, Record<string, string>, string]>([
    ['without a token', { WATCHINGCAT_PEERS: 'a' }, 'peers (WATCHINGCAT_PEERS): expected peersToken or peersTokenFile'],
    ['with a short one', { WATCHINGCAT_PEERS: 'a', WATCHINGCAT_PEERS_TOKEN: 'f00d' }, 'at least 16 characters'],
    ['a token for nobody', { WATCHINGCAT_PEERS_TOKEN: token }, 'peersToken (WATCHINGCAT_PEERS_TOKEN): expected peers'],
    ['a name that is none', { WATCHINGCAT_PEERS: 'http://a/', WATCHINGCAT_PEERS_TOKEN: token }, 'expected host names'],
    [
      'a port of another',
      { WATCHINGCAT_PEERS: 'a', WATCHINGCAT_PEERS_TOKEN: token, WATCHINGCAT_PEERS_PORT: '4317' },
      '4317',
    ],
    ['a file that is not there', { WATCHINGCAT_PEERS: 'a', WATCHINGCAT_PEERS_TOKEN_FILE: 'none' }, 'peersTokenFile'],
  ])('%s: a problem, and no secret in it', (_, env, problem) => {
    const found = problems(env).join();
    expect(found).toContain(problem);
    expect(found).not.toContain(token);
    expect(JSON.stringify(effectiveSettings(inspectConfig({ env, flags: {}, cwd: folder })))).not.toContain(token);
  });

  it('have the token of a file, and not one of a file and one of a variable', () => {
    const env = { WATCHINGCAT_PEERS: 'a', WATCHINGCAT_PEERS_TOKEN_FILE: file(`${token}\n`) };
    expect(load(env).peers?.token).toBe(token);
    expect(problems({ ...env, WATCHINGCAT_PEERS_TOKEN: token }).join()).toContain('not both');
  });

  it('beside the embedded store: says what is not handed over', () =>
    expect(load({ WATCHINGCAT_PEERS: 'a', WATCHINGCAT_PEERS_TOKEN: token }).warnings.join()).toContain(
      'The embedded store is for one replica',
    ));
});

describe('what is set', () => {
  it('needs nothing', () => {
    const config = load({});
    expect(config).toMatchObject({
      host: '127.0.0.1',
      ports: { otlpGrpc: 4317, otlpHttp: 4318, http: 8090 },
      dataDir: join(folder, 'data'),
      walMaxBytes: 4 * 2 ** 30,
      deadLettersMaxBytes: 2 ** 30,
      retentionMs: { traces: 7 * 86_400_000, metrics: 15 * 86_400_000, logs: 7 * 86_400_000 },
      read: { traces: 'embedded', metrics: 'embedded', logs: 'embedded' },
      forward: undefined,
      logLevel: 'info',
      warnings: [],
    });
    expect([...config.embedded]).toEqual(['traces', 'metrics', 'logs']);
  });

  it('counts in rising order: file, environment, flag', () => {
    const config = file('http: {port: 1}\notlp: {grpcPort: 1, httpPort: 11}\nretention: {logs: 1d}');
    const env = { WATCHINGCAT_CONFIG: config, WATCHINGCAT_HTTP_PORT: '2', WATCHINGCAT_OTLP_GRPC_PORT: '12' };
    expect(load(env, { '--http-port': '3' })).toMatchObject({ ports: { otlpGrpc: 12, otlpHttp: 11, http: 3 } });
    expect(load(env).retentionMs.logs).toBe(86_400_000);
    expect(load(env, { '--config': file('') }).ports.otlpHttp).toBe(4318);
  });

  it('takes the names that are promised', () => {
    const promised = `HOST OTLP_GRPC_PORT OTLP_HTTP_PORT HTTP_PORT DATA_DIR WAL_MAX_BYTES RETENTION_TRACES
      RETENTION_METRICS RETENTION_LOGS FORWARD_OTLP_ENDPOINT FORWARD_OTLP_HEADERS EMBEDDED READ_TRACES READ_METRICS
      READ_LOGS DEAD_LETTERS_MAX_BYTES CLUSTER_NAME CLOUD_REGION ENVIRONMENT LOG_LEVEL JAEGER_OTLP_ENDPOINT
      JAEGER_QUERY_ENDPOINT PROMETHEUS_REMOTE_WRITE_URL PROMETHEUS_QUERY_URL ELASTICSEARCH_URL ELASTICSEARCH_USERNAME
      ELASTICSEARCH_PASSWORD ELASTICSEARCH_API_KEY K8S_ENRICHMENT API_KEYS_FILE OIDC_ISSUER TLS_CERT_FILE TLS_KEY_FILE
      TLS_CLIENT_CA_FILE`;
    const known = [...settings.map(({ env }) => env), ...settingsToCome.map(environmentName)];
    for (const name of promised.split(/\s+/)) expect(known).toContain(`WATCHINGCAT_${name}`);
  });

  it('counts an empty variable as not set', () => expect(load({ WATCHINGCAT_HTTP_PORT: '' }).ports.http).toBe(8090));

  it('resolves a path of the file against the file, others against the working directory', () => {
    const config = file('dataDir: inside');
    const inspect = (flags: { [flag: string]: string }) => loadConfig({ env: {}, flags, cwd: '/somewhere' }).dataDir;
    expect(inspect({ '--config': config })).toBe(join(folder, 'inside'));
    expect(inspect({ '--data-dir': 'there' })).toBe('/somewhere/there');
  });

  it.each([
    ['http://collector', 'http://collector:4317'],
    ['https://collector.example:443/', 'https://collector.example:443'],
    ['http://[::1]:14317', 'http://[::1]:14317'],
  ])('forwards to %s', (written, endpoint) =>
    expect(load({ WATCHINGCAT_FORWARD_OTLP_ENDPOINT: written }).forward).toEqual({
      endpoint,
      access: { headers: {}, tls: undefined },
    }),
  );

  it.each([
    ['a list', { WATCHINGCAT_FORWARD_OTLP_HEADERS: 'Authorization=Bearer%20x,x-tenant=a=b' }],
    ['a mounted file', { WATCHINGCAT_FORWARD_OTLP_HEADERS_FILE: 'headers' }],
  ])('reads headers from %s', (_, env) => {
    writeFileSync(join(folder, 'headers'), 'authorization=Bearer%20x\nx-tenant=a=b\n');
    const { forward } = load({ WATCHINGCAT_FORWARD_OTLP_ENDPOINT: 'http://c', ...env });
    expect(forward?.access.headers).toEqual({ authorization: 'Bearer x', 'x-tenant': 'a=b' });
  });

  it('reads headers from a map in the file', () => {
    const config = file('forward: {otlpEndpoint: "http://c", otlpHeaders: {x-tenant: "a, b"}}');
    expect(load({ WATCHINGCAT_CONFIG: config }).forward?.access.headers).toEqual({ 'x-tenant': 'a, b' });
  });

  it('keeps everything here although it is forwarded, unless told otherwise', () => {
    const forward = { WATCHINGCAT_FORWARD_OTLP_ENDPOINT: 'http://c' };
    expect(load(forward).embedded.size).toBe(3);
    const relay = load({ ...forward, WATCHINGCAT_EMBEDDED: 'off' });
    expect(relay.embedded.size).toBe(0);
    expect(relay.read).toEqual({ traces: 'none', metrics: 'none', logs: 'none' });
    const part = load({ ...forward, WATCHINGCAT_EMBEDDED: 'logs, traces' });
    expect(part.read).toEqual({ traces: 'embedded', metrics: 'none', logs: 'embedded' });
  });

  it('keeps here what goes nowhere else, and reads where it can be asked', () => {
    const jaeger = { WATCHINGCAT_JAEGER_OTLP_ENDPOINT: 'http://j' };
    const written = load(jaeger);
    expect([...written.embedded]).toEqual(['metrics', 'logs']);
    expect(written.jaeger?.queryEndpoint).toBe('http://j:16686');
    expect(written.read).toEqual({ traces: 'jaeger', metrics: 'embedded', logs: 'embedded' });
    for (const env of [
      { ...jaeger, WATCHINGCAT_JAEGER_QUERY_ENDPOINT: 'off' },
      { WATCHINGCAT_JAEGER_OTLP_ENDPOINT: 'http://j:14317' },
      { WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: 'http://mimir/api/v1/push' },
      { WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: 'http://p/api/v1/write', WATCHINGCAT_PROMETHEUS_QUERY_URL: 'off' },
    ]) {
      const { read } = load(env);
      expect([read.traces, read.metrics].sort()).toEqual(['embedded', 'none']);
    }
    const asked = load({ ...jaeger, WATCHINGCAT_JAEGER_QUERY_ENDPOINT: 'http://j:16686/base/' });
    expect(asked.jaeger).toMatchObject({ otlpEndpoint: 'http://j:4317', queryEndpoint: 'http://j:16686/base' });
    expect(asked.read.traces).toBe('jaeger');
    expect(asked.spanMetrics).toBe(true);
    expect(load({ ...jaeger, WATCHINGCAT_SPAN_METRICS: 'off' }).spanMetrics).toBe(false);
    expect(load({ ...jaeger, WATCHINGCAT_EMBEDDED: 'logs' }).spanMetrics).toBe(false); // nothing takes metrics
    expect(load({}).spanMetrics).toBe(false);
    expect(load({ WATCHINGCAT_SPAN_METRICS: 'on' }).spanMetrics).toBe(true);
    const both = load({
      WATCHINGCAT_ELASTICSEARCH_URL: 'https://e:9200',
      WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: 'http://p:9090/api/v1/write',
      WATCHINGCAT_EMBEDDED: 'traces,logs',
      WATCHINGCAT_READ_LOGS: 'embedded',
    });
    expect([...both.embedded]).toEqual(['traces', 'logs']);
    expect(both.prometheus?.queryUrl).toBe('http://p:9090');
    expect(both.read).toEqual({ traces: 'embedded', metrics: 'prometheus', logs: 'embedded' });
    expect(both.warnings).toEqual([]);
    // An address to ask alone leaves the signal here.
    const query = load({ WATCHINGCAT_PROMETHEUS_QUERY_URL: 'http://p:9090' });
    expect(query.embedded.size).toBe(3);
    expect(query.read.metrics).toBe('prometheus');
  });

  it.each([
    ['PROMETHEUS', 'USERNAME=u PASSWORD=p:1', { authorization: `Basic ${btoa('u:p:1')}` }],
    ['PROMETHEUS', 'USERNAME=u PASSWORD_FILE=secret', { authorization: `Basic ${btoa('u:s3cret')}` }],
    ['PROMETHEUS', 'BEARER_TOKEN=t HEADERS=x-scope-orgid=a', { authorization: 'Bearer t', 'x-scope-orgid': 'a' }],
    ['PROMETHEUS', 'BEARER_TOKEN_FILE=secret', { authorization: 'Bearer s3cret' }],
    ['PROMETHEUS', 'API_KEY=k', { 'x-api-key': 'k' }],
    ['ELASTICSEARCH', 'API_KEY=k', { authorization: 'ApiKey k' }],
    ['ELASTICSEARCH', 'API_KEY_FILE=secret', { authorization: 'ApiKey s3cret' }],
    ['JAEGER', 'HEADERS_FILE=headers API_KEY=k', { 'x-tenant': 'a=b', 'x-api-key': 'k' }],
    ['FORWARD', 'BEARER_TOKEN=t OTLP_HEADERS=x-a=b', { authorization: 'Bearer t', 'x-a': 'b' }],
  ])('%s %s: sends the headers', (name, written, headers) => {
    writeFileSync(join(folder, 'secret'), 's3cret\n');
    writeFileSync(join(folder, 'headers'), 'x-tenant=a=b\n');
    const given = Object.fromEntries(
      written.split(' ').map((each) => {
        const at = each.indexOf('=');
        return [`WATCHINGCAT_${name}_${each.slice(0, at)}`, each.slice(at + 1)];
      }),
    );
    const config = load({ ...addresses[name as keyof typeof addresses], ...given });
    const access = config[name.toLowerCase() as 'forward' | 'jaeger' | 'prometheus' | 'elasticsearch']?.access;
    expect(access?.headers).toEqual(headers);
  });

  it('reads certificates', () => {
    const { cert, key } = selfSigned();
    writeFileSync(join(folder, 'cert.pem'), cert);
    writeFileSync(join(folder, 'key.pem'), key);
    const config = file(
      'jaeger: {otlpEndpoint: "https://j", tls: {caFile: cert.pem, certFile: cert.pem, keyFile: key.pem}}',
    );
    expect(load({ WATCHINGCAT_CONFIG: config }).jaeger?.access.tls).toEqual({ ca: cert, cert, key });
  });

  it('tells the files that it was read from', () => {
    writeFileSync(join(folder, 'secret'), 's3cret\n');
    const config = file('prometheus: {remoteWriteUrl: "http://p", apiKeyFile: secret}');
    const env = {
      WATCHINGCAT_CONFIG: config,
      WATCHINGCAT_JAEGER_OTLP_ENDPOINT: 'http://j',
      WATCHINGCAT_JAEGER_BEARER_TOKEN_FILE: './secret',
    };
    expect(load(env).files).toEqual([config, join(folder, 'secret'), join(folder, 'secret')]);
    expect(load({}).files).toEqual([]);
  });

  it('warns of signals that nothing takes', () => {
    expect(load({ WATCHINGCAT_EMBEDDED: 'traces' }).warnings).toEqual([
      expect.stringContaining('Nothing here takes metrics and logs'),
    ]);
  });

  it.each([
    ['127.0.0.1', 0],
    ['127.9.9.9', 0],
    ['::1', 0],
    ['localhost', 0],
    ['0.0.0.0', 1],
    ['::', 1],
    ['10.0.0.1', 1],
  ])('on %s, warns %i times that everybody may read', (host, count) =>
    expect(load({ WATCHINGCAT_HOST: host }).warnings).toHaveLength(count),
  );
});

const addresses = {
  JAEGER: { WATCHINGCAT_JAEGER_OTLP_ENDPOINT: 'https://j' },
  PROMETHEUS: { WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: 'http://p/api/v1/write' },
  ELASTICSEARCH: { WATCHINGCAT_ELASTICSEARCH_URL: 'http://e:9200' },
  FORWARD: { WATCHINGCAT_FORWARD_OTLP_ENDPOINT: 'http://f' },
};

describe('what stops the start', () => {
  it.each([
    [
      'PROMETHEUS',
      'USERNAME=u BEARER_TOKEN=t',
      'prometheus.bearerToken (WATCHINGCAT_PROMETHEUS_BEARER_TOKEN): expected either this or prometheus.username',
    ],
    [
      'PROMETHEUS',
      'PASSWORD=hunter2',
      'prometheus.password (WATCHINGCAT_PROMETHEUS_PASSWORD): expected prometheus.username beside it',
    ],
    [
      'PROMETHEUS',
      'BEARER_TOKEN=hunter2 BEARER_TOKEN_FILE=absent',
      'prometheus.bearerTokenFile (WATCHINGCAT_PROMETHEUS_BEARER_TOKEN_FILE): expected either this or',
    ],
    ['PROMETHEUS', 'API_KEY_FILE=absent', 'absent does not exist'],
    [
      'PROMETHEUS',
      'BEARER_TOKEN=t HEADERS=authorization=x',
      'prometheus.bearerToken (WATCHINGCAT_PROMETHEUS_BEARER_TOKEN): expected either this or the header authorization',
    ],
    [
      'PROMETHEUS',
      'TLS_CA_FILE=absent',
      'prometheus.tls.caFile (WATCHINGCAT_PROMETHEUS_TLS_CA_FILE): expected an https:// address beside it',
    ],
    [
      'JAEGER',
      'TLS_CERT_FILE=absent',
      'jaeger.tls.certFile (WATCHINGCAT_JAEGER_TLS_CERT_FILE): expected jaeger.tls.keyFile beside it',
    ],
    [
      'NONE',
      'PROMETHEUS_API_KEY=hunter2',
      'prometheus.apiKey (WATCHINGCAT_PROMETHEUS_API_KEY): expected prometheus.remoteWriteUrl or prometheus.queryUrl beside it',
    ],
    [
      'NONE',
      'SPAN_METRICS=on EMBEDDED=traces',
      'spanMetrics (WATCHINGCAT_SPAN_METRICS): nothing here takes metrics; expected metrics in embedded, or prometheus.remoteWriteUrl',
    ],
    ['NONE', 'READ_TRACES=jaeger', 'read.traces (WATCHINGCAT_READ_TRACES): expected jaeger.queryEndpoint beside it'],
    [
      'NONE',
      'ELASTICSEARCH_URL=http://user:hunter2@e:9200',
      'elasticsearch.url (WATCHINGCAT_ELASTICSEARCH_URL): expected a URL such as',
    ],
  ])('%s %s', (name, written, problem) => {
    const given = Object.fromEntries(
      written.split(' ').map((each) => {
        const at = each.indexOf('=');
        return [`WATCHINGCAT_${name === 'NONE' ? '' : `${name}_`}${each.slice(0, at)}`, each.slice(at + 1)];
      }),
    );
    const { problems } = inspectConfig({
      flags: {},
      env: { ...addresses[name as keyof typeof addresses], ...given },
      cwd: folder,
    });
    expect(problems.join('\n')).toContain(problem);
    if (!written.startsWith('ELASTICSEARCH_URL')) expect(problems.join('\n')).not.toContain('hunter2');
  });

  it.each([
    [
      'an unknown variable',
      { WATCHINGCAT_HTPP_PORT: '1' },
      'WATCHINGCAT_HTPP_PORT: unknown variable; did you mean WATCHINGCAT_HTTP_PORT?',
    ],
    [
      'a bad port',
      { WATCHINGCAT_HTTP_PORT: '65536' },
      'http.port (WATCHINGCAT_HTTP_PORT): expected a port from 0 to 65535 (0 = any free port), got "65536"',
    ],
    ['a port that is a word', { WATCHINGCAT_HTTP_PORT: '80x' }, 'http.port (WATCHINGCAT_HTTP_PORT): expected a port'],
    [
      'a URL with a password, which is not repeated',
      { WATCHINGCAT_ELASTICSEARCH_URL: 'http://u:p@ss@elasticsearch:9200' },
      'without user and password, got "http://***@elasticsearch:9200"',
    ],
    [
      'a duration without unit',
      { WATCHINGCAT_RETENTION_LOGS: '7' },
      'retention.logs (WATCHINGCAT_RETENTION_LOGS): expected a duration such as 7d',
    ],
    [
      'no retention at all',
      { WATCHINGCAT_RETENTION_LOGS: '0d' },
      'retention.logs (WATCHINGCAT_RETENTION_LOGS): expected a duration',
    ],
    [
      'a small log',
      { WATCHINGCAT_WAL_MAX_BYTES: '1MiB' },
      'wal.maxBytes (WATCHINGCAT_WAL_MAX_BYTES): expected a size such as 4GiB, at least',
    ],
    [
      'a signal that is none',
      { WATCHINGCAT_EMBEDDED: 'traces,profiles' },
      'embedded (WATCHINGCAT_EMBEDDED): expected some of traces, metrics, logs, separated by commas, or off, got "traces,profiles"',
    ],
    [
      'nothing at all to keep',
      { WATCHINGCAT_EMBEDDED: 'off' },
      'embedded (WATCHINGCAT_EMBEDDED): everything would go nowhere',
    ],
    [
      'a store that is not there',
      { WATCHINGCAT_READ_LOGS: 'elasticsearch' },
      'read.logs (WATCHINGCAT_READ_LOGS): expected elasticsearch.url beside it',
    ],
    [
      'a level that is none',
      { WATCHINGCAT_LOG_LEVEL: 'loud' },
      'log.level (WATCHINGCAT_LOG_LEVEL): expected one of trace, debug',
    ],
    [
      'an endpoint with a path',
      { WATCHINGCAT_FORWARD_OTLP_ENDPOINT: 'http://c/v1/traces' },
      'forward.otlpEndpoint (WATCHINGCAT_FORWARD_OTLP_ENDPOINT): expected a URL such as',
    ],
    [
      'ourselves as the far side',
      { WATCHINGCAT_FORWARD_OTLP_ENDPOINT: 'http://localhost:4317' },
      'forward.otlpEndpoint (WATCHINGCAT_FORWARD_OTLP_ENDPOINT): expected another process',
    ],
    [
      'headers for nobody',
      { WATCHINGCAT_FORWARD_OTLP_HEADERS: 'a=b' },
      'forward.otlpHeaders (WATCHINGCAT_FORWARD_OTLP_HEADERS): expected forward.otlpEndpoint beside it',
    ],
    [
      'one port twice',
      { WATCHINGCAT_HTTP_PORT: '4317' },
      'http.port (WATCHINGCAT_HTTP_PORT): expected a port of its own, but 4317 is otlp.grpcPort (default)',
    ],
    [
      'what is to come',
      { WATCHINGCAT_OIDC_ISSUER: 'http://j' },
      'WATCHINGCAT_OIDC_ISSUER: not available yet in this version',
    ],
    [
      'a file that is not there',
      { WATCHINGCAT_CONFIG: 'none.yaml' },
      'none.yaml: the configuration file does not exist',
    ],
  ])('%s', (_, env, problem) => {
    const found = problems(env as unknown as { [name: string]: string });
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(problem);
  });

  it.each([
    ['an unknown key', 'http:\n  prot: 1', ':2): unknown key; did you mean http.port?'],
    ['an unknown key at the top', 'hots: x', ':1): unknown key; did you mean host?'],
    ['a bad value', '# ports\nhttp:\n  port: -1', ':3): expected a port'],
    ['a value for a map', 'host: localhost\nhttp: 8090', ':2): expected a map of settings'],
    ['a list for the file', '- host', ':1: expected a map of settings'],
    ['what is no YAML', 'host: "x', ':1: not YAML:'],
    ['a key twice', 'host: localhost\nhost: localhost', ':2: not YAML:'],
    ['an alias', 'host: &a localhost\nenvironment: *a', 'aliases'],
    ['what is to come', 'tls:\n  certFile: /e', ':1): not available yet in this version'],
    ['a prototype', '__proto__: {host: 1.2.3.4}', 'unknown key'],
  ])('%s in the file', (_, text, problem) => {
    const found = problems({}, { '--config': file(text) });
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(problem);
    expect(({} as { host?: string }).host).toBeUndefined();
  });

  it('tells all problems at once', () =>
    expect(problems({ WATCHINGCAT_HTTP_PORT: 'x', WATCHINGCAT_LOG_LEVEL: 'x', WATCHINGCAT_X: 'x' })).toHaveLength(3));

  it('throws them as one Fault', () =>
    expect(() => load({ WATCHINGCAT_HTTP_PORT: 'x' })).toThrowError(
      expect.objectContaining({ name: 'Fault', code: 'malformed' }),
    ));
});

it('leaves alone what Kubernetes sets for Services whose names begin like ours', () => {
  const links = {
    WATCHINGCAT_BACKEND_SERVICE_HOST: '10.0.0.1',
    WATCHINGCAT_BACKEND_SERVICE_PORT: '8090',
    WATCHINGCAT_BACKEND_SERVICE_PORT_OTLP_GRPC: '4317',
    WATCHINGCAT_BACKEND_PORT: 'tcp://10.0.0.1:8090',
    WATCHINGCAT_BACKEND_PORT_8090_TCP: 'tcp://10.0.0.1:8090',
    WATCHINGCAT_BACKEND_PORT_8090_TCP_PROTO: 'tcp',
    WATCHINGCAT_BACKEND_PORT_8090_TCP_PORT: '8090',
    WATCHINGCAT_BACKEND_PORT_8090_TCP_ADDR: '10.0.0.1',
  };
  expect(problems(links)).toEqual([]);
});

describe('secrets', () => {
  it.each([
    ['good', `authorization=${canary}`],
    ['bad', `${canary}`],
  ])('are in no output, %s', (_, headers) => {
    const env = { WATCHINGCAT_FORWARD_OTLP_ENDPOINT: 'http://c', WATCHINGCAT_FORWARD_OTLP_HEADERS: headers };
    const inspection = inspectConfig({ env, flags: {}, cwd: folder });
    expect(JSON.stringify([effectiveSettings(inspection), inspection.problems])).not.toContain(canary);
  });

  it('are hidden where a secret is written in the file with a mistake beside it', () => {
    const config = file(`forward: {otlpEndpoint: "http://c", otlpHeaders: {x: "${canary}", "bad name": "${canary}"}}`);
    expect(JSON.stringify(problems({ WATCHINGCAT_CONFIG: config }))).not.toContain(canary);
  });

  it('have no flag', () => {
    for (const { secret, flag } of settings) expect(secret && flag !== undefined).toBe(false);
  });
});

it('tells where each value came from', () => {
  const config = file('host: localhost\nlog:\n  level: warn');
  const env = { WATCHINGCAT_CONFIG: config, WATCHINGCAT_DATA_DIR: '/d' };
  const inspection = inspectConfig({ env, flags: { '--http-port': '0' }, cwd: folder });
  const origins = Object.fromEntries(
    effectiveSettings(inspection).map(({ setting, origin }) => [setting.path, origin]),
  );
  expect(origins).toMatchObject({
    host: `${config}:1`,
    'log.level': `${config}:3`,
    dataDir: 'WATCHINGCAT_DATA_DIR',
    'http.port': '--http-port',
    'otlp.grpcPort': 'default',
  });
});

it('knows the translation strategies that there are', () => {
  for (const strategy of translationStrategies) {
    const config = load({
      WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: 'http://prometheus:9090/api/v1/write',
      WATCHINGCAT_PROMETHEUS_TRANSLATION_STRATEGY: strategy,
      WATCHINGCAT_PROMETHEUS_PROMOTE_RESOURCE_ATTRIBUTES: 'service.name, host.name',
      WATCHINGCAT_PROMETHEUS_DELTA_TO_CUMULATIVE: 'off',
      WATCHINGCAT_PROMETHEUS_SERIES_MAX: '1000',
    });
    expect(config.prometheus).toMatchObject({
      translationStrategy: strategy,
      promoteResourceAttributes: ['service.name', 'host.name'],
      deltaToCumulative: false,
      seriesMax: 1000,
    });
  }
});

it('has a JSON Schema that knows every setting and no other key', () => {
  const schema = configJsonSchema() as { properties: { [key: string]: unknown }; additionalProperties: boolean };
  expect(schema.additionalProperties).toBe(false);
  expect(Object.keys(schema.properties)).toEqual(Object.keys(configSchema.shape));
  expect(JSON.stringify(schema)).toContain('"default":"4GiB"');
});

it('describes every setting', () => {
  for (const { description } of settings) expect(description).not.toBe('');
});

it('has a reference that is current (npm run docs writes it)', () => {
  expect(readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')).toBe(configReference());
});

it('has an example in the reference that is accepted', () => {
  const [, yaml] = /```yaml\n([\s\S]*?)```/.exec(configReference()) ?? [];
  expect(configSchema.safeParse(parse(yaml ?? '')).error).toBeUndefined();
});

it('accepts every default', () => {
  expect(z.safeParse(configSchema, {}).success).toBe(true);
});
