import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { median } from '../kit/median.ts';
import { eventually, type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { randomFrom } from '../kit/random.ts';
import { processTree } from '../kit/usage.ts';
import { audit, settled } from './audit.ts';
import { choosePorts, Load, portVariables } from './driver.ts';
import { Ledger } from './ledger.ts';

const kills = Number(process.env['WATCHINGCAT_TEST_KILLS'] ?? 50);
const seed = Number(process.env['WATCHINGCAT_TEST_SEED'] ?? 1);

it(`A1 killed ${kills} times under load, seed ${seed}: nothing acknowledged is lost, nothing is there twice`, async () => {
  await using folder = await temporaryFolder();
  await using processes = new AsyncDisposableStack();
  const random = randomFrom(seed);
  const ports = await choosePorts();
  const ledger = new Ledger(join(folder.path, 'ledger'));
  await using load = new Load(ledger, ports, random);
  const options = { dataDir: join(folder.path, 'data'), env: portVariables(ports) };
  const readyMs: number[] = [];
  const started: number[] = [];
  const start = async (): Promise<Running> => {
    const from = performance.now();
    const running = await startProcess(options);
    processes.defer(async () => void (await running.stop('SIGKILL'))); // where the test fails
    readyMs.push(performance.now() - from);
    return running;
  };
  for (load.round = 0; load.round < kills; load.round += 1) {
    // One in five dies while it starts: recovery is where logs break.
    if (random() < 0.2) {
      const early = startProcess({ ...options, readyWithinMs: 30 + random() * 400 });
      const running = await early.catch(() => undefined);
      await running?.stop('SIGKILL');
      if (running === undefined) await sleep(50); // it was killed, and its lock goes with it
      continue;
    }
    const running = await start();
    await sleep(50 + random() * 600);
    started.push(...processTree(running.pid));
    await running.stop('SIGKILL');
  }
  const running = await start();
  await load.stop();
  expect(load.unexpected).toEqual([]);
  await eventually(() => settled(running.http), Boolean, 60_000);
  const result = await eventually(
    () => audit(running.http, ledger),
    ({ lost }) => lost.length === 0,
    30_000,
  ).catch(() => audit(running.http, ledger));
  const worst = Math.max(...readyMs);
  console.log(
    `seed ${seed}: ${kills} kills, ${result.sent} records sent, ${result.acknowledged} acknowledged, ${result.lost.length} lost, ` +
      `${result.phantom.length} phantom, ${result.duplicates.length} duplicates; ready after ${median(readyMs).toFixed(0)} ms, ${worst.toFixed(0)} ms at worst`,
  );
  expect({ lost: result.lost, phantom: result.phantom, duplicates: result.duplicates }).toEqual({
    lost: [],
    phantom: [],
    duplicates: [],
  });
  expect(result.acknowledged).toBeGreaterThan(kills * 10); // there was a load
  expect((await running.stop()).code).toBe(0);
  ledger.close();
  // A child of a killed process ends by itself.
  await eventually(
    async () => started.filter((pid) => existsSync(`/proc/${pid}`)),
    (alive) => alive.length === 0,
  );
});
