import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { eventually, startProcess, temporaryFolder } from '../kit/process.ts';
import { randomFrom } from '../kit/random.ts';
import { audit, settled } from './audit.ts';
import { choosePorts, Load, portVariables } from './driver.ts';
import { Ledger } from './ledger.ts';

it('A20 SIGTERM under load: ends with 0 in time, and nothing acknowledged is lost', async () => {
  await using folder = await temporaryFolder();
  await using processes = new AsyncDisposableStack();
  const ports = await choosePorts();
  const ledger = new Ledger(join(folder.path, 'ledger'));
  await using load = new Load(ledger, ports, randomFrom(1));
  const options = { dataDir: join(folder.path, 'data'), env: portVariables(ports) };
  const start = async () => {
    const running = await startProcess(options);
    processes.defer(async () => void (await running.stop('SIGKILL'))); // where the test fails
    return running;
  };
  const first = await start();
  await sleep(1500);
  const [ended] = await Promise.all([first.stop(), sleep(200).then(() => first.stop())]); // a second SIGTERM is safe
  console.log(`ended after ${ended.tookMs.toFixed(0)} ms`);
  expect(ended.code).toBe(0);
  expect(ended.tookMs).toBeLessThan(25_000); // Kubernetes kills after 30 s
  load.round = 1;
  const second = await start();
  await sleep(500);
  await load.stop();
  await eventually(() => settled(second.http), Boolean, 60_000);
  const result = await audit(second.http, ledger);
  expect({ lost: result.lost, phantom: result.phantom, duplicates: result.duplicates }).toEqual({
    lost: [],
    phantom: [],
    duplicates: [],
  });
  expect(load.unexpected).toEqual([]);
  expect((await second.stop()).code).toBe(0);
  ledger.close();
});
