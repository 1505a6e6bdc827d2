import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type LoadResult, type Sink, sendLoad, startSink } from '../kit/load.ts';
import { eventually, type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { freePort } from '../kit/program.ts';
import { Ledger } from './ledger.ts';
import { answersTo, isAccepted, isRetryable } from './refusal.ts';

// A destination that is away, stalled or back again: what was acknowledged arrives there, and nothing is dropped for age.

const load = { signal: 'traces', protocol: 'grpc', batch: 500, inFlight: 4, seconds: 3 } as const;

describe('the forwarding destination', () => {
  it('A9 is down, and the log reaches its bound: refuses in a way that clients repeat; delivers all of it when it is back', async () => {
    await using world = await setUp({ WATCHINGCAT_WAL_MAX_BYTES: `${128 * 2 ** 20}` });
    const results: LoadResult[] = [];
    // 128 MiB are full after some 300,000 spans.
    await eventually(
      async () => {
        results.push(await sendLoad(world.running.otlpGrpc, { ...load, rate: 200_000 }, world.folder));
        return results.at(-1)?.errors ?? 0;
      },
      (errors) => errors > 0,
      60_000,
    );
    const kinds = Object.keys(results.at(-1)?.errorKinds ?? {});
    expect(kinds.join()).toMatch(/^Unavailable$/i);
    // The last room is for small requests: it goes, too.
    results.push(await sendLoad(world.running.otlpGrpc, { ...load, batch: 1 }, world.folder));
    const ledger = new Ledger(join(world.folder, 'ledger'));
    const once = () =>
      answersTo(world.running, 'traces', { http: ledger.open('traces', 0).body, grpc: ledger.open('traces', 0).body });
    expect(await once()).toSatisfy(isRetryable);
    // Its log of another signal is its own: logs are still taken.
    expect(
      await answersTo(world.running, 'logs', { http: ledger.open('logs', 0).body, grpc: ledger.open('logs', 0).body }),
    ).toSatisfy(isAccepted);

    await using sink = await startSink(join(world.folder, 'sink.log'), { grpcPort: world.sinkPort });
    await eventually(once, isAccepted, 60_000);
    for (const result of results) await arrived(sink, result);
  });

  it('A10 is down for ten seconds: what came meanwhile arrives, once', async () => {
    await using world = await setUp({});
    const result = await sendLoad(world.running.otlpGrpc, { ...load, rate: 10_000 }, world.folder);
    expect(result.errors).toBe(0);
    await sleep(7000);
    await using sink = await startSink(join(world.folder, 'sink.log'), { grpcPort: world.sinkPort });
    const back = performance.now();
    await arrived(sink, result);
    console.log(`all delivered ${((performance.now() - back) / 1000).toFixed(1)} s after it was back`);
  });

  it('A14 stalls in the middle (SIGSTOP): what came meanwhile arrives', async () => {
    await using world = await setUp({});
    await using sink = await startSink(join(world.folder, 'sink.log'), { grpcPort: world.sinkPort });
    const before = await sendLoad(world.running.otlpGrpc, { ...load, rate: 10_000 }, world.folder);
    sink.kill('SIGSTOP');
    const during = await sendLoad(world.running.otlpGrpc, { ...load, rate: 10_000 }, world.folder);
    await sleep(4000);
    sink.kill('SIGCONT');
    expect(before.errors + during.errors).toBe(0);
    await arrived(sink, before);
    await arrived(sink, during);
  });
});

it('A24 starts with a backlog of some hundred MB: accepts at once, delivers the backlog beside', async () => {
  await using world = await setUp({});
  const backlog = await sendLoad(world.running.otlpGrpc, { ...load, batch: 1000, seconds: 4 }, world.folder);
  expect(backlog.errors).toBe(0);
  await world.running.stop('SIGKILL');
  const from = performance.now();
  await using again = await start(world.dataDir, world.env);
  console.log(
    `backlog of ${backlog.acceptedItems} spans (about ${Math.round((backlog.acceptedItems * 410) / 1e6)} MB): ` +
      `accepts ${Math.round(performance.now() - from)} ms after the start`,
  );
  const fresh = await sendLoad(again.otlpGrpc, { ...load, rate: 10_000 }, world.folder);
  expect(fresh.errors).toBe(0);
  await using sink = await startSink(join(world.folder, 'sink.log'), { grpcPort: world.sinkPort });
  await arrived(sink, backlog);
  await arrived(sink, fresh);
});

/** Waits until all that was acknowledged has arrived; fails where something came twice. */
async function arrived(sink: Sink, result: LoadResult): Promise<void> {
  const checked = await eventually(
    () => sink.verify(result.ackedFile),
    ({ missing }) => missing === 0,
    90_000,
  );
  expect(checked).toMatchObject({ acknowledged: result.acceptedItems, missing: 0, duplicates: 0 });
}

/** Our process forwarding to a port on which nothing listens yet. */
async function setUp(env: Record<string, string>) {
  const temporary = await temporaryFolder();
  const sinkPort = await freePort();
  const dataDir = join(temporary.path, 'data');
  const all = {
    WATCHINGCAT_FORWARD_OTLP_ENDPOINT: `http://127.0.0.1:${sinkPort}`,
    WATCHINGCAT_EMBEDDED: 'off',
    ...env,
  };
  const running = await start(dataDir, all);
  return {
    folder: temporary.path,
    dataDir,
    env: all,
    sinkPort,
    running,
    async [Symbol.asyncDispose]() {
      await running.stop('SIGKILL');
      await temporary[Symbol.asyncDispose]();
    },
  };
}

async function start(dataDir: string, env: Record<string, string>): Promise<Running & AsyncDisposable> {
  const running = await startProcess({ dataDir, env });
  return Object.assign(running, { [Symbol.asyncDispose]: async () => void (await running.stop('SIGKILL')) });
}
