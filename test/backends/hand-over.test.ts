import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { audit, settled } from '../faults/audit.ts';
import { Load } from '../faults/driver.ts';
import { Ledger } from '../faults/ledger.ts';
import { Replicas } from '../faults/replicas.ts';
import { startElasticsearch, startJaeger, startPrometheus } from '../kit/backends.ts';
import { startTcpProxy } from '../kit/fault-proxy.ts';
import { eventually, temporaryFolder } from '../kit/process.ts';
import { randomFrom } from '../kit/random.ts';

const rounds = Number(process.env['WATCHINGCAT_TEST_HAND_OVER_ROUNDS'] ?? 3);
const seed = Number(process.env['WATCHINGCAT_TEST_SEED'] ?? 3);

it(`A21 three replicas with Jaeger, Prometheus and Elasticsearch away, stopped in turn and killed while they give and take, ${rounds} rounds, seed ${seed}: nothing is lost, nothing there twice`, async () => {
  await using parts = new AsyncDisposableStack();
  const jaeger = parts.use(await startJaeger());
  const prometheus = parts.use(await startPrometheus());
  const elasticsearch = parts.use(await startElasticsearch());
  const ways = [];
  for (const url of [jaeger.otlpEndpoint, prometheus.url, elasticsearch.url]) {
    const way = parts.use(await startTcpProxy(Number(new URL(url).port)));
    way.set({ kind: 'refuse' });
    ways.push(way);
  }
  const [toJaeger, toPrometheus, toElasticsearch] = ways.map(({ port }) => `http://127.0.0.1:${port}`);
  const random = randomFrom(seed);
  const folder = parts.use(await temporaryFolder());
  const replicas = parts.use(
    await Replicas.start(folder.path, 3, {
      WATCHINGCAT_JAEGER_OTLP_ENDPOINT: `${toJaeger}`,
      WATCHINGCAT_JAEGER_QUERY_ENDPOINT: jaeger.queryUrl,
      WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: `${toPrometheus}/api/v1/write`,
      WATCHINGCAT_PROMETHEUS_QUERY_URL: prometheus.url,
      WATCHINGCAT_ELASTICSEARCH_URL: `${toElasticsearch}`,
    }),
  );
  const ledger = new Ledger(join(folder.path, 'ledger'));
  parts.defer(() => ledger.close());
  const load = parts.use(new Load(ledger, replicas.ports, random));
  let killedGivers = 0;

  const underLoad = async () => {
    load.round++;
    for (let times = 0; times < 3; times++) {
      replicas.scatter();
      await sleep(500);
    }
  };

  for (let round = 0; round < rounds; round++) {
    const [leaver, giver, taker] = [0, 1, 2].map((index) => (index + round) % 3) as [number, number, number];
    // One leaves in peace, and its disk with it.
    await underLoad();
    const left = replicas.running(leaver);
    expect(await replicas.stopOne(leaver)).toMatchObject({ code: 0 });
    expect(left.output()).not.toContain('not delivered and not handed over');
    expect(left.output()).toContain('handed over to other replicas');
    await replicas.loseDisk(leaver);
    await replicas.startOne(leaver);

    // One is killed while it gives, and comes back on its disk.
    await underLoad();
    const dying = replicas.running(giver);
    const died = replicas.stopOne(giver);
    await sleep(100 + random() * 700);
    await dying.stop('SIGKILL');
    if ((await died).signal === 'SIGKILL') killedGivers++;
    await replicas.startOne(giver);

    // One is killed while it takes, and comes back on its disk; who gave to it leaves with its own.
    await underLoad();
    const gone = replicas.stopOne(giver);
    for (const index of [taker, leaver]) {
      await sleep(100 + random() * 400);
      await replicas.stopOne(index, 'SIGKILL');
      await replicas.startOne(index);
    }
    expect(await gone).toMatchObject({ code: 0 });
    await replicas.loseDisk(giver);
    await replicas.startOne(giver);
  }
  await load.stop();
  expect(load.unexpected).toEqual([]);
  expect(killedGivers).toBeGreaterThan(0); // some were in the middle of it

  for (const way of ways) way.set({ kind: 'none' });
  const all = [0, 1, 2].map((index) => replicas.running(index).http);
  await eventually(async () => (await Promise.all(all.map(settled))).every(Boolean), Boolean, 120_000);
  const check = () => audit(all[0]!, ledger);
  const result = await eventually(check, ({ lost }) => lost.length === 0, 30_000).catch(check);
  console.log(
    `seed ${seed}: ${rounds} rounds, ${killedGivers} killed while giving, ${result.sent} records sent, ${result.acknowledged} acknowledged, ` +
      `${result.lost.length} lost, ${result.phantom.length} phantom, ${result.duplicates.length} duplicates`,
  );
  expect({ lost: result.lost, phantom: result.phantom, duplicates: result.duplicates }).toEqual({
    lost: [],
    phantom: [],
    duplicates: [],
  });
}, 900_000);
