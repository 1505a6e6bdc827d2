import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { median } from '../kit/median.ts';
import { eventually, type Running, startProcess, temporaryFolder } from '../kit/process.ts';
import { randomFrom } from '../kit/random.ts';
import { processTree } from '../kit/usage.ts';
import { audit, settled } from './audit.ts';
import { choosePorts, Load, portVariables } from './driver.ts';
import { Ledger } from './ledger.ts';

/**
 * Kills a process again and again under load of all signals, and reads everything back from its REST routes.
 * @param env      Beside the ports: which destinations it has.
 * @param withinMs How long the last one has to deliver what is left.
 */
export async function killUnderLoad(options: {
  readonly kills: number;
  readonly seed: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly withinMs?: number;
}): Promise<void> {
  const { kills, seed, withinMs = 60_000 } = options;
  await using folder = await temporaryFolder();
  await using processes = new AsyncDisposableStack();
  const random = randomFrom(seed);
  const ports = await choosePorts();
  const ledger = new Ledger(join(folder.path, 'ledger'));
  await using load = new Load(ledger, ports, random);
  const process_ = { dataDir: join(folder.path, 'data'), env: { ...portVariables(ports), ...options.env } };
  const readyMs: number[] = [];
  const started: number[] = [];
  const start = async (): Promise<Running> => {
    const from = performance.now();
    const running = await startProcess(process_);
    processes.defer(async () => void (await running.stop('SIGKILL'))); // where the test fails
    readyMs.push(performance.now() - from);
    return running;
  };
  for (load.round = 0; load.round < kills; load.round += 1) {
    // One in five dies while it starts: recovery is where logs break.
    if (random() < 0.2) {
      const early = startProcess({ ...process_, readyWithinMs: 30 + random() * 400 });
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
  await eventually(() => settled(running.http), Boolean, withinMs);
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
}
