import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { eventually, getJson, startProcess, temporaryFolder } from '../kit/process.ts';
import { freePort } from '../kit/program.ts';
import { randomFrom } from '../kit/random.ts';
import { type Audit, audit, settled } from './audit.ts';
import { choosePorts, Load, portVariables } from './driver.ts';
import { Ledger } from './ledger.ts';
import { Replicas } from './replicas.ts';

// Replicas whose destination is away, and whose disks go with them: what one holds when it stops, another one has.

it('A21 a rolling restart of two replicas, twice, under load and with the destination away: all of it arrives, once', async () => {
  await using world = await setUp(2);
  const { replicas, load, destination } = world;
  for (let round = 0; round < 2; round++) {
    for (const index of [0, 1]) {
      load.round++;
      await sleep(2500);
      const running = replicas.running(index);
      const ended = await replicas.stopOne(index);
      expect(running.output()).toContain('handed over to other replicas');
      expect(running.output()).not.toContain('not delivered and not handed over');
      expect(ended.code).toBe(0);
      expect(ended.tookMs).toBeLessThan(115_000); // Kubernetes kills after 120 s
      await replicas.loseDisk(index);
      await replicas.startOne(index);
    }
  }
  await sleep(500);
  await load.stop();
  const { handOver, peers } = (await getJson(replicas.running(0).http, '/api/v1/pipeline/status', {
    scope: 'all',
  })) as Status;
  // The last one that stopped gave all that both had.
  expect(handOver.every(({ takenOver }) => takenOver.records > 0)).toBe(true);
  expect(peers.map(({ error }) => error)).toEqual([null]);
  const metrics = await (await fetch(`${replicas.running(0).http}/metrics`)).text();
  expect(metrics).toMatch(/^watchingcat_taken_over_total\{signal="traces"\} [1-9]/m);
  await destination.start();
  await world.check();
});

it('the last replica to stop names what nobody takes, ends with 0, and delivers it when it is back on its disk', async () => {
  await using world = await setUp(2);
  const { replicas, load, destination } = world;
  await sleep(1500);
  await load.stop();
  expect((await replicas.stopOne(0)).code).toBe(0);
  const last = replicas.running(1);
  const health = (await getJson(last.http, '/health', { scope: 'all' })) as { status: string; peers: Peer[] };
  expect(health.status).toBe('degraded');
  expect(health.peers.map(({ answer, error }) => [answer, error])).toEqual([
    [null, expect.stringContaining('ECONNREFUSED')],
  ]);
  expect((await replicas.stopOne(1)).code).toBe(0);
  const said = last
    .output()
    .split('\n')
    .filter((line) => line.includes('not delivered and not handed over'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(said.map(({ signal }) => signal).sort()).toEqual(['logs', 'metrics', 'traces']);
  for (const line of said) {
    expect(line).toMatchObject({ level: 'error', destinations: ['otlp'], uncounted: 0 });
    expect(Number(line['records'])).toBeGreaterThan(0);
    expect(Number(line['bytes'])).toBeGreaterThan(0);
  }
  await destination.start();
  await replicas.startOne(1);
  await world.check();
});

interface Peer {
  readonly name: string;
  readonly error: string | null;
  readonly answer: unknown;
}
interface Status {
  readonly handOver: { readonly takenOver: { readonly records: number } }[];
  readonly peers: readonly Peer[];
}

/** Replicas under load that forward to another one of us, which is not started yet. */
async function setUp(count: number) {
  await using parts = new AsyncDisposableStack();
  const folder = parts.use(await temporaryFolder());
  const ports = await choosePorts();
  const rest = await freePort();
  const replicas = parts.use(
    await Replicas.start(folder.path, count, {
      WATCHINGCAT_FORWARD_OTLP_ENDPOINT: `http://127.0.0.1:${ports.grpc}`,
      WATCHINGCAT_EMBEDDED: 'off',
    }),
  );
  const ledger = new Ledger(join(folder.path, 'ledger'));
  parts.defer(() => ledger.close());
  const load = parts.use(new Load(ledger, replicas.ports, randomFrom(1)));
  const held = parts.move();
  return {
    replicas,
    load,
    destination: {
      async start(): Promise<void> {
        const running = await startProcess({
          dataDir: join(folder.path, 'destination'),
          env: { ...portVariables(ports), WATCHINGCAT_HTTP_PORT: `${rest}` },
        });
        held.defer(async () => void (await running.stop('SIGKILL')));
      },
    },
    /** Waits until the destination has all, and compares. */
    async check(): Promise<void> {
      const url = `http://127.0.0.1:${rest}`;
      await eventually(
        async () => {
          const running = [0, 1].flatMap((index) => {
            try {
              return [replicas.running(index).http];
            } catch {
              return [];
            }
          });
          return (await Promise.all([...running, url].map(settled))).every(Boolean);
        },
        Boolean,
        120_000,
      );
      // What has come can be asked for a moment later; while there is none of a signal, it cannot be compared.
      const compare = () => audit(url, ledger);
      const all = (found: Audit | undefined) => found?.lost.length === 0;
      await eventually(() => compare().catch(() => undefined), all, 60_000).catch(() => undefined);
      const result = await compare();
      console.log(
        `${result.sent} records sent, ${result.acknowledged} acknowledged, ${result.lost.length} lost, ` +
          `${result.phantom.length} phantom, ${result.duplicates.length} duplicates`,
      );
      expect({ lost: result.lost, phantom: result.phantom, duplicates: result.duplicates }).toEqual({
        lost: [],
        phantom: [],
        duplicates: [],
      });
      expect(result.acknowledged).toBeGreaterThan(1000);
      expect(load.unexpected).toEqual([]);
    },
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  };
}
