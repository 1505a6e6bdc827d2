import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCollector } from '../test/kit/collector.ts';
import { type LoadSignal, sendLoad } from '../test/kit/load.ts';
import { median } from '../test/kit/median.ts';
import { startProcess } from '../test/kit/process.ts';
import { cpuSeconds, memoryMebibytes, resetPeak } from '../test/kit/usage.ts';
import { elasticsearch } from './elasticsearch.ts';
import { jaeger } from './jaeger.ts';
import { prometheus } from './prometheus.ts';
import { table } from './table.ts';

/** A real backend and the ways into it that are compared. One file each; a new one is a line in `destinations`. */
export interface DestinationBench {
  readonly signal: LoadSignal;
  /** Our CPU may be so many times that of the peer `against`. */
  readonly goal: { readonly against: string; readonly cpuRatioMax: number };
  /** Starts the backend with fresh data. */
  start(): Promise<BenchBackend>;
}

export interface BenchBackend extends AsyncDisposable {
  /** What makes this process write there, and nowhere else. */
  readonly env: Readonly<Record<string, string>>;
  /** Exporters of the Collector, by the name of the row: YAML in flow style, `{name: {…}}`. */
  readonly peers: Readonly<Record<string, string>>;
  /** Items that are stored, by whom they came: 'ours' or the name of a peer. */
  stored(by: string): Promise<number>;
}

const destinations = { jaeger, prometheus, elasticsearch } as const satisfies Record<string, DestinationBench>;
export type DestinationName = keyof typeof destinations;
export const destinationNames = Object.keys(destinations) as DestinationName[];

export interface DestinationsOptions {
  readonly only: readonly DestinationName[];
  readonly batches: readonly number[];
  /** Of one run. */
  readonly items: number;
  readonly rounds: number;
  readonly jsonFile: string | undefined;
}

interface DestinationRow {
  readonly destination: DestinationName;
  readonly by: string;
  readonly batch: number;
  readonly cpuSecondsPerMillion: number;
  readonly itemsPerSecond: number;
  readonly peakRssMebibytes: number;
  readonly fault: string;
}

const standstillMs = 20_000;

/** Something that takes OTLP and writes to the backend. */
interface Way extends AsyncDisposable {
  readonly by: string;
  readonly pid: number;
  readonly grpc: string;
}

/**
 * This process, with its log on disk, beside the Collector's exporter for the same backend, on the same input. CPU counts until
 * the last item can be found in the backend, and so does the time that items/s are of; the backend's own CPU does not count.
 */
export async function destinationsBench(options: DestinationsOptions): Promise<boolean> {
  const folder = mkdtempSync(join(process.env['WATCHINGCAT_BENCH_DIR'] ?? tmpdir(), 'watchingcat-bench-'));
  const rows: DestinationRow[] = [];
  try {
    for (const name of options.only) rows.push(...(await bench(name, options, folder)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  if (options.jsonFile !== undefined) writeFileSync(options.jsonFile, `${JSON.stringify({ rows }, null, 2)}\n`);
  const bad = rows.filter(({ fault }) => fault !== '');
  for (const { destination, by, fault } of bad) console.error(`${destination}, ${by}: ${fault}`);
  return bad.length === 0;
}

async function bench(
  destination: DestinationName,
  options: DestinationsOptions,
  folder: string,
): Promise<DestinationRow[]> {
  const { signal, goal, start } = destinations[destination];
  await using stack = new AsyncDisposableStack();
  const backend = stack.use(await start());
  const ways: Way[] = [stack.use(await startOurs(backend, join(folder, destination, 'ours')))];
  for (const [by, exporters] of Object.entries(backend.peers)) {
    ways.push(stack.use(await startPeer(by, exporters, signal, join(folder, destination, `peer-${ways.length}`))));
  }
  const settled: DestinationRow[] = [];
  for (const batch of options.batches) {
    const rounds = new Map<string, DestinationRow[]>();
    for (let round = 0; round < options.rounds; round++) {
      for (const way of ways) {
        const row = await measure(destination, signal, backend, way, batch, options.items, folder);
        rounds.set(way.by, [...(rounds.get(way.by) ?? []), row]);
      }
    }
    const rows = [...rounds.values()].map(medianRow);
    settled.push(...rows);
    console.log(`\n${destination}: ${signal}, ${batch} a request, grpc, 4 in flight`);
    console.log(table(header, rows.map(cells)));
    const [ours, peer] = [rows.find(({ by }) => by === 'ours'), rows.find(({ by }) => by === goal.against)];
    if (ours === undefined || peer === undefined) continue;
    const ratio = ours.cpuSecondsPerMillion / peer.cpuSecondsPerMillion;
    const met = ratio <= goal.cpuRatioMax ? 'met' : 'MISSED';
    console.log(`CPU ours / ${goal.against}: ${ratio.toFixed(2)}, goal ≤ ${goal.cpuRatioMax}: ${met}`);
  }
  return settled;
}

async function measure(
  destination: DestinationName,
  signal: LoadSignal,
  backend: BenchBackend,
  way: Way,
  batch: number,
  items: number,
  folder: string,
): Promise<DestinationRow> {
  await run(signal, backend, way, batch, Math.ceil(items / 5), folder); // warm: connections, just-in-time code, caches
  resetPeak(way.pid);
  const cpuBefore = cpuSeconds(way.pid);
  const { accepted, seconds, fault } = await run(signal, backend, way, batch, items, folder);
  return {
    destination,
    by: way.by,
    batch,
    cpuSecondsPerMillion: ((cpuSeconds(way.pid) - cpuBefore) / accepted) * 1e6,
    itemsPerSecond: accepted / seconds,
    peakRssMebibytes: memoryMebibytes(way.pid).peak,
    fault,
  };
}

async function run(signal: LoadSignal, backend: BenchBackend, way: Way, batch: number, items: number, folder: string) {
  const before = await backend.stored(way.by);
  const from = performance.now();
  const result = await sendLoad(
    way.grpc,
    { signal, protocol: 'grpc', batch, inFlight: 4, seconds: 300, items },
    folder,
  );
  rmSync(result.ackedFile);
  // Until all are there, or none has come for a while.
  let deadline = performance.now() + standstillMs;
  let arrived = 0;
  while (arrived < result.acceptedItems && performance.now() < deadline) {
    await sleep(50);
    const now = (await backend.stored(way.by)) - before;
    if (now > arrived) deadline = performance.now() + standstillMs;
    arrived = now;
  }
  const faults: string[] = [];
  if (result.rejectedItems > 0) faults.push(`${result.rejectedItems} rejected`);
  if (result.errors > 0) faults.push(`${result.errors} errors: ${JSON.stringify(result.errorKinds)}`);
  if (arrived !== result.acceptedItems) faults.push(`${arrived} of ${result.acceptedItems} acknowledged were stored`);
  return { accepted: result.acceptedItems, seconds: (performance.now() - from) / 1000, fault: faults.join('; ') };
}

async function startOurs(backend: BenchBackend, folder: string): Promise<Way> {
  mkdirSync(folder, { recursive: true });
  const program = await startProcess({
    dataDir: join(folder, 'data'),
    env: { WATCHINGCAT_EMBEDDED: 'off', ...backend.env },
  });
  return {
    by: 'ours',
    pid: program.pid,
    grpc: program.otlpGrpc,
    [Symbol.asyncDispose]: async () => void (await program.stop()),
  };
}

/** A Collector without durability. `exporters` is flow style, of one exporter. */
async function startPeer(by: string, exporters: string, signal: LoadSignal, folder: string): Promise<Way> {
  const name = /^\{\s*(\w+):/.exec(exporters)?.[1] ?? '';
  const program = await startCollector({ folder, exporters, pipelines: { [signal]: [name] } });
  return {
    by,
    pid: program.pid,
    grpc: program.grpc,
    [Symbol.asyncDispose]: async () => void (await program.stop()),
  };
}

function medianRow(rows: readonly DestinationRow[]): DestinationRow {
  return {
    ...(rows[0] as DestinationRow),
    cpuSecondsPerMillion: median(rows.map((row) => row.cpuSecondsPerMillion)),
    itemsPerSecond: median(rows.map((row) => row.itemsPerSecond)),
    peakRssMebibytes: Math.max(...rows.map((row) => row.peakRssMebibytes)),
    fault: rows.map((row) => row.fault).find((fault) => fault !== '') ?? '',
  };
}

const header = ['written by', 'CPU s/million', 'items/s', 'peak RSS MiB', 'sent = stored'];

function cells(row: DestinationRow): string[] {
  return [
    row.by,
    row.cpuSecondsPerMillion.toFixed(2),
    Math.round(row.itemsPerSecond).toLocaleString('en'),
    row.peakRssMebibytes.toFixed(0),
    row.fault === '' ? 'yes' : row.fault,
  ];
}
