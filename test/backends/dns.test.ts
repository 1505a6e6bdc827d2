import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Signal } from '../../src/base/index.ts';
import { startElasticsearch, startJaeger, startPrometheus } from '../kit/backends.ts';
import { startTcpProxy, type TcpProxy } from '../kit/fault-proxy.ts';
import { eventually, getJson, type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { exportRecord, isStored, storedTimes } from '../kit/records.ts';
import { type Resolver, startResolver } from '../kit/resolver.ts';

// A15: destinations by names whose answers change, in front of the real stores. An address of its own on loopback stands for
// a host; what listens there passes on to the store.

const parts = new AsyncDisposableStack();
const names = ['jaeger', 'prometheus', 'elasticsearch'] as const;
type Name = (typeof names)[number];
const signalOf: Record<Name, Signal> = { jaeger: 'traces', prometheus: 'metrics', elasticsearch: 'logs' };
const hostOf = (name: Name) => `${name}.watchingcat.test`;
const target = {} as Record<Name, number>;
/** The port that the destination is configured with, on whichever host. */
const port = {} as Record<Name, number>;
const hosts: { name: Name; address: string; proxy: TcpProxy }[] = [];
let resolver: Resolver;
let running: Running;

/** A host is up, in front of each store. */
async function up(address: string): Promise<void> {
  for (const name of names) {
    const proxy = await startTcpProxy(target[name], { port: port[name] ?? 0, address });
    port[name] = proxy.port;
    hosts.push({ name, address, proxy });
  }
}

/** A host is gone: its connections break, and nobody listens any more. */
async function down(address: string): Promise<void> {
  for (const host of hosts.filter((each) => each.address === address)) {
    await host.proxy[Symbol.asyncDispose]();
    hosts.splice(hosts.indexOf(host), 1);
  }
}

const resolveTo = (...addresses: string[]) =>
  resolver.set(Object.fromEntries(addresses.length === 0 ? [] : names.map((name) => [hostOf(name), addresses])));

/** One record of each signal is taken at once, whatever is away. */
async function send(): Promise<Record<Name, string>> {
  const ids = {} as Record<Name, string>;
  for (const name of names) ids[name] = await exportRecord(running, signalOf[name], 'grpc');
  return ids;
}

async function arrive(ids: Record<Name, string>): Promise<void> {
  for (const name of names) {
    await eventually(() => isStored(running, signalOf[name], ids[name]), Boolean, 45_000);
    expect(await storedTimes(running, signalOf[name], ids[name])).toBe(1);
  }
}

beforeAll(async () => {
  const folder = parts.use(await temporaryFolder());
  const jaeger = parts.use(await startJaeger());
  const prometheus = parts.use(await startPrometheus());
  const elasticsearch = parts.use(await startElasticsearch());
  target.jaeger = Number(new URL(jaeger.otlpEndpoint).port);
  target.prometheus = Number(new URL(prometheus.url).port);
  target.elasticsearch = Number(new URL(elasticsearch.url).port);
  resolver = await startResolver(join(folder.path, 'names.json'));
  await up('127.0.0.2');
  const at = (name: Name) => `http://${hostOf(name)}:${port[name]}`;
  running = await startProcess({
    dataDir: join(folder.path, 'data'),
    nodeFlags: resolver.nodeFlags,
    env: {
      WATCHINGCAT_JAEGER_OTLP_ENDPOINT: at('jaeger'),
      WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
      WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: `${at('prometheus')}/api/v1/write`,
      WATCHINGCAT_PROMETHEUS_QUERY_URL: prometheus.url,
      WATCHINGCAT_ELASTICSEARCH_URL: at('elasticsearch'),
    },
  });
  parts.defer(async () => void (await running.stop('SIGKILL')));
});
afterAll(async () => {
  await parts.disposeAsync();
  for (const { proxy } of hosts) await proxy[Symbol.asyncDispose]();
});

describe('A15', () => {
  it('NXDOMAIN holds everything and tells so; once there is an address it is found', async () => {
    const ids = await send();
    const told = await eventually(
      async () => (await getJson(running.http, '/health')) as { destinations: Record<string, { lastError: string }> },
      ({ destinations }) => names.every((name) => destinations[name]?.lastError !== null),
      30_000,
    );
    for (const name of names) expect(told.destinations[name]?.lastError).toMatch(/ENOTFOUND|resol/i);
    await resolveTo('127.0.0.2');
    await arrive(ids);
  });

  it('a change of address is followed', async () => {
    await up('127.0.0.3');
    await resolveTo('127.0.0.3');
    await down('127.0.0.2');
    await arrive(await send());
  });

  it('one of three hosts is dead: the others are used', async () => {
    await up('127.0.0.4');
    await resolveTo('127.0.0.2', '127.0.0.3', '127.0.0.4');
    // Connections that are open are of before.
    for (const { address, proxy } of hosts) if (address === '127.0.0.3') proxy.drop('reset');
    await arrive(await send());
    await down('127.0.0.3');
    await arrive(await send());
  });
});
