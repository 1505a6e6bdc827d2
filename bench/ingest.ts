import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Load, type LoadProtocol, type LoadSignal, sendLoad } from '../test/kit/load.ts';
import { median } from '../test/kit/median.ts';
import { cpuSeconds, memoryMebibytes, resetPeak } from '../test/kit/usage.ts';
import { type Ratio, ratios } from './goals.ts';
import { descriptions, type System, type SystemName, startSystem } from './systems.ts';
import { table } from './table.ts';

export interface IngestOptions {
  readonly systems: readonly SystemName[];
  readonly signals: readonly LoadSignal[];
  readonly protocols: readonly LoadProtocol[];
  readonly batches: readonly number[];
  readonly inFlight: readonly number[];
  readonly seconds: number;
  /** Times each row is measured; the systems take turns within each. The median counts. */
  readonly rounds: number;
  readonly jsonFile: string | undefined;
}

/** One row of the comparison. */
export interface Row {
  readonly system: SystemName;
  readonly signal: LoadSignal;
  readonly protocol: LoadProtocol;
  readonly batch: number;
  readonly inFlight: number;
  readonly cpuSecondsPerMillion: number;
  readonly itemsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly peakRssMebibytes: number;
  /** '' where all that was acknowledged arrived, once. */
  readonly fault: string;
}

/**
 * Measures all systems side by side: each combination of signal, protocol, batch and requests in flight is run by one system
 * after the other before the next combination begins, so that a slow minute of the machine hits all of them.
 * CPU counts until the last item has reached the far end, so that work put off is not work saved.
 */
export async function ingest(options: IngestOptions): Promise<boolean> {
  const folder = mkdtempSync(join(process.env['WATCHINGCAT_BENCH_DIR'] ?? tmpdir(), 'watchingcat-bench-'));
  await using systems = new AsyncDisposableStack();
  systems.defer(() => rmSync(folder, { recursive: true, force: true }));
  const running: System[] = [];
  for (const name of options.systems) {
    console.log(`${name.padEnd(9)}${descriptions[name]}`);
    running.push(systems.use(await startSystem(name, join(folder, name))));
  }
  const rows: Row[] = [];
  for (const load of loads(options)) {
    const rounds = new Map<SystemName, Row[]>();
    for (let round = 0; round < options.rounds; round += 1) {
      for (const system of running) {
        const row = await measure(system, load, folder);
        rounds.set(system.name, [...(rounds.get(system.name) ?? []), row]);
      }
    }
    const settled = [...rounds.values()].map(medianRow);
    rows.push(...settled);
    console.log(`\n${load.signal}, ${load.batch} a request, ${load.protocol}, ${load.inFlight} in flight`);
    console.log(table(rowHeader, settled.map(rowCells)));
  }
  const compared = ratios(rows);
  console.log(`\nRatios and goals\n${table(ratioHeader, compared.map(ratioCells))}`);
  if (options.jsonFile !== undefined)
    writeFileSync(options.jsonFile, `${JSON.stringify({ rows, ratios: compared }, null, 2)}\n`);
  const bad = rows.filter((row) => row.fault !== '');
  for (const row of bad) console.error(`${row.system} ${row.signal}: ${row.fault}`);
  return bad.length === 0;
}

function loads(options: IngestOptions): Load[] {
  return options.signals.flatMap((signal) =>
    options.batches.flatMap((batch) =>
      options.protocols.flatMap((protocol) =>
        options.inFlight.map((inFlight) => ({ signal, batch, protocol, inFlight, seconds: options.seconds })),
      ),
    ),
  );
}

async function measure(system: System, load: Load, folder: string): Promise<Row> {
  const endpoint = load.protocol === 'grpc' ? system.grpc : system.http;
  await run(system, endpoint, { ...load, seconds: 1 }, folder); // warm: connections, just-in-time code, caches
  resetPeak(system.pid);
  const cpuBefore = cpuSeconds(system.pid);
  const { result, fault } = await run(system, endpoint, load, folder);
  const cpu = cpuSeconds(system.pid) - cpuBefore;
  return {
    system: system.name,
    signal: load.signal,
    protocol: load.protocol,
    batch: load.batch,
    inFlight: load.inFlight,
    cpuSecondsPerMillion: (cpu / result.acceptedItems) * 1e6,
    itemsPerSecond: result.acceptedPerSecond,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    peakRssMebibytes: memoryMebibytes(system.pid).peak,
    fault,
  };
}

/** Sends one load, waits until all of it has arrived and checks that it did, once. */
async function run(system: System, endpoint: string, load: Load, folder: string) {
  const before = await system.delivered(load.signal);
  const result = await sendLoad(endpoint, load, folder);
  const deadline = performance.now() + 120_000;
  let arrived = 0;
  do {
    // Asking the embedded store costs it 4 ms of CPU.
    await sleep(100);
    arrived = (await system.delivered(load.signal)) - before;
  } while (arrived < result.acceptedItems && performance.now() < deadline);
  const faults: string[] = [];
  if (result.rejectedItems > 0) faults.push(`${result.rejectedItems} rejected`);
  if (result.errors > 0) faults.push(`${result.errors} errors: ${JSON.stringify(result.errorKinds)}`);
  if (system.sink !== undefined) {
    const checked = await system.sink.verify(result.ackedFile);
    if (checked.missing > 0) faults.push(`${checked.missing} of ${checked.acknowledged} acknowledged are missing`);
    if (checked.duplicates > 0) faults.push(`${checked.duplicates} came more than once`);
  } else if (arrived !== result.acceptedItems) {
    faults.push(`${arrived} of ${result.acceptedItems} acknowledged were stored`);
  }
  rmSync(result.ackedFile);
  return { result, fault: faults.join('; ') };
}

function medianRow(rows: readonly Row[]): Row {
  const first = rows[0] as Row;
  const middle = (key: 'cpuSecondsPerMillion' | 'itemsPerSecond' | 'p50Ms' | 'p99Ms'): number =>
    median(rows.map((row) => row[key]));
  return {
    ...first,
    cpuSecondsPerMillion: middle('cpuSecondsPerMillion'),
    itemsPerSecond: middle('itemsPerSecond'),
    p50Ms: middle('p50Ms'),
    p99Ms: middle('p99Ms'),
    peakRssMebibytes: Math.max(...rows.map((row) => row.peakRssMebibytes)),
    fault: rows.map((row) => row.fault).find((fault) => fault !== '') ?? '',
  };
}

const rowHeader = ['system', 'CPU s/million', 'items/s', 'ack p50 ms', 'p99 ms', 'peak RSS MiB', 'sent = received'];

function rowCells(row: Row): string[] {
  return [
    row.system,
    row.cpuSecondsPerMillion.toFixed(2),
    Math.round(row.itemsPerSecond).toLocaleString('en'),
    row.p50Ms.toFixed(2),
    row.p99Ms.toFixed(2),
    row.peakRssMebibytes.toFixed(0),
    row.fault === '' ? 'yes' : row.fault,
  ];
}

const ratioHeader = ['signal', 'items', 'protocol', 'in flight', 'ratio', 'is', 'goal', ''];

function ratioCells(ratio: Ratio): string[] {
  const met = ratio.goal === undefined ? '' : ratio.met ? 'met' : 'MISSED';
  return [
    ratio.signal,
    `${ratio.batch}`,
    ratio.protocol,
    `${ratio.inFlight}`,
    ratio.name,
    ratio.value.toFixed(2),
    ratio.goal ?? '',
    met,
  ];
}
