import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Load, type LoadSignal, sendLoad } from '../test/kit/load.ts';
import { cpuSeconds, memoryMebibytes, resetPeak } from '../test/kit/usage.ts';
import { type System, type SystemName, startSystem } from './systems.ts';
import { table } from './table.ts';

/** What a load at a fixed rate did to a system. */
interface Held {
  readonly name: SystemName;
  readonly signal: LoadSignal;
  readonly rate: number;
  readonly acceptedPerSecond: number;
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuPercent: number;
  readonly peakRssMebibytes: number;
  /** Longest time by which the far end was behind, from the records that it had not got yet, at the rate of the load. */
  readonly lagSecondsMax: number;
  readonly arrived: string;
}

/** Memory at 10,000 items a second, each signal in turn. */
export function rate(seconds: number): Promise<boolean> {
  return holdAll(
    (['durable', 'embedded'] as const).flatMap((name) =>
      (['traces', 'logs', 'metrics'] as const).map((signal) => ({ name, signal, rate: 10_000 })),
    ),
    seconds,
    'Goals at 10,000 items/s: RSS of all processes ≤ 250 MiB durable, ≤ 450 MiB embedded.',
  );
}

/** 50,000 spans a second into the embedded store. */
export function sustained(seconds: number): Promise<boolean> {
  return holdAll(
    [{ name: 'embedded', signal: 'traces', rate: 50_000 }],
    seconds,
    'Goals: 50,000 spans/s for 60 s, lag ≤ 2 s, nothing lost.',
  );
}

async function holdAll(
  runs: readonly { name: SystemName; signal: LoadSignal; rate: number }[],
  seconds: number,
  goals: string,
): Promise<boolean> {
  const rows: Held[] = [];
  for (const run of runs) {
    const folder = mkdtempSync(join(process.env['WATCHINGCAT_BENCH_DIR'] ?? tmpdir(), 'watchingcat-bench-'));
    try {
      await using system = await startSystem(run.name, join(folder, run.name));
      rows.push(await hold(system, run.signal, run.rate, seconds, folder));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  console.log(
    table(
      [
        'system',
        'signal',
        'asked/s',
        'accepted/s',
        'errors',
        'ack p50 ms',
        'p99 ms',
        'CPU %',
        'peak RSS MiB',
        'lag max s',
        'arrived',
      ],
      rows.map((row) => [
        row.name,
        row.signal,
        row.rate.toLocaleString('en'),
        Math.round(row.acceptedPerSecond).toLocaleString('en'),
        `${row.errors}`,
        row.p50Ms.toFixed(2),
        row.p99Ms.toFixed(2),
        row.cpuPercent.toFixed(0),
        row.peakRssMebibytes.toFixed(0),
        row.lagSecondsMax.toFixed(1),
        row.arrived,
      ]),
    ),
  );
  console.log(goals);
  return rows.every((row) => row.arrived === 'all' && row.errors === 0);
}

async function hold(
  system: System,
  signal: LoadSignal,
  perSecond: number,
  seconds: number,
  folder: string,
): Promise<Held> {
  const load: Load = { signal, protocol: 'grpc', batch: 100, inFlight: 8, seconds, rate: perSecond };
  const before = await system.delivered(signal);
  resetPeak(system.pid);
  const cpuBefore = cpuSeconds(system.pid);
  const from = performance.now();
  let ended = false;
  const watched = watchLag(system, signal, perSecond, () => ended, before);
  const result = await sendLoad(system.grpc, load, folder).finally(async () => {
    ended = true;
    await watched;
  });
  const cpu = cpuSeconds(system.pid) - cpuBefore;
  const took = (performance.now() - from) / 1000;
  const lagSecondsMax = await watched;
  const deadline = performance.now() + 60_000;
  while ((await system.delivered(signal)) - before < result.acceptedItems && performance.now() < deadline)
    await sleep(50);
  const arrived = (await system.delivered(signal)) - before;
  return {
    name: system.name,
    signal,
    rate: perSecond,
    acceptedPerSecond: result.acceptedPerSecond,
    errors: result.errors,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    cpuPercent: (cpu / took) * 100,
    peakRssMebibytes: memoryMebibytes(system.pid).peak,
    lagSecondsMax,
    arrived: arrived === result.acceptedItems ? 'all' : `${arrived} of ${result.acceptedItems}`,
  };
}

/**
 * The far end's delay, four times a second while the load runs: what is due by the clock and has not arrived yet, in seconds
 * of the load's rate. Counted from the outside, so that it holds whatever the system says of itself.
 */
async function watchLag(
  system: System,
  signal: LoadSignal,
  perSecond: number,
  ended: () => boolean,
  before: number,
): Promise<number> {
  let [first, lagMax] = [0, 0];
  while (!ended()) {
    await sleep(250);
    const arrived = (await system.delivered(signal)) - before;
    const now = performance.now();
    if (ended()) break;
    if (first === 0 && arrived > 0) first = now - (arrived / perSecond) * 1000; // when the load began, as near as seen from here
    if (first > 0) lagMax = Math.max(lagMax, (now - first) / 1000 - arrived / perSecond);
  }
  return lagMax;
}
