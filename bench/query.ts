import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LoadSignal, sendLoad } from '../test/kit/load.ts';
import { median } from '../test/kit/median.ts';
import { getJson, type Running, startProcess } from '../test/kit/process.ts';
import { memoryMebibytes } from '../test/kit/usage.ts';
import { storedItems } from './systems.ts';
import { table } from './table.ts';

interface TraceList {
  readonly traces: readonly { readonly traceId: string }[];
}
interface LogList {
  readonly logs: readonly { readonly body: unknown; readonly attributes: Record<string, unknown> }[];
}

/**
 * Fills an embedded store through the receivers, starts the process anew, so that nothing is answered from its memory, and
 * times questions over REST, each eleven times with different subjects where it has one.
 */
export async function query(items: number): Promise<void> {
  const folder = mkdtempSync(join(process.env['WATCHINGCAT_BENCH_DIR'] ?? tmpdir(), 'watchingcat-query-'));
  const dataDir = join(folder, 'data');
  let running = await startProcess({ dataDir });
  try {
    const begin = Date.now();
    for (const signal of ['traces', 'logs'] as const) await fill(running, signal, items, folder);
    const window = { start: `${begin}`, end: `${begin + 20_000}`, limit: '11' };
    const early = await getJson(running.http, '/api/v1/traces', window); // the oldest, long out of the process's memory
    await running.stop();
    const from = performance.now();
    running = await startProcess({ dataDir, readyWithinMs: 120_000 });
    console.log(`ready after a new start in ${Math.round(performance.now() - from)} ms`);
    await sleep(5000);
    await ask(running, early as TraceList);
    console.log(`RSS of all processes ${memoryMebibytes(running.pid).now.toFixed(0)} MiB`);
  } finally {
    await running.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function fill(running: Running, signal: LoadSignal, items: number, folder: string): Promise<void> {
  const from = performance.now();
  let sent = 0;
  while (sent < items) {
    const seconds = 30;
    const load = { signal, protocol: 'grpc', batch: 1000, inFlight: 4, seconds, items: items - sent } as const;
    const result = await sendLoad(running.otlpGrpc, load, folder);
    if (result.acceptedItems === 0) throw new Error(`nothing was accepted: ${JSON.stringify(result.errorKinds)}`);
    sent += result.acceptedItems;
    while ((await storedItems(running.http, signal)) < sent) await sleep(200);
  }
  const seconds = (performance.now() - from) / 1000;
  console.log(
    `${sent.toLocaleString('en')} ${signal} stored in ${seconds.toFixed(0)} s, ${Math.round(sent / seconds).toLocaleString('en')}/s`,
  );
}

async function ask(running: Running, known: TraceList): Promise<void> {
  const hour = { start: 'now-1h' };
  const sample = (await getJson(running.http, '/api/v1/logs', { ...hour, limit: '1' })) as LogList;
  const line = sample.logs[0];
  if (line === undefined) throw new Error('no log record is found');
  const [field, value] = Object.entries(line.attributes).find(([, held]) => typeof held === 'string') ?? [
    'severity',
    'INFO',
  ];
  const word = String(line.body).slice(3, 15);
  const turns = 11;
  const questions: readonly { name: string; goal: string; ask: (turn: number) => Promise<unknown> }[] = [
    {
      name: 'trace by id',
      goal: '≤ 50',
      ask: (turn) => getJson(running.http, `/api/v1/traces/${known.traces[turn % known.traces.length]?.traceId}`),
    },
    { name: 'services of the last hour', goal: '≤ 100', ask: () => getJson(running.http, '/api/v1/services', hour) },
    {
      name: `logs by field (${field}=${JSON.stringify(value)}), 100`,
      goal: '≤ 300',
      ask: () =>
        getJson(running.http, '/api/v1/logs', { ...hour, query: `${field}=${JSON.stringify(value)}`, limit: '100' }),
    },
    {
      name: 'logs by field that no record has, 100',
      goal: '≤ 300',
      ask: (turn) =>
        getJson(running.http, '/api/v1/logs', { ...hour, query: `${field}="absent-${turn}"`, limit: '100' }),
    },
    {
      name: `logs by substring (${JSON.stringify(word)}), 100`,
      goal: '≤ 1000',
      ask: () => getJson(running.http, '/api/v1/logs', { ...hour, query: JSON.stringify(word), limit: '100' }),
    },
    {
      name: 'logs by a substring that no record has, 100',
      goal: '≤ 1000',
      ask: (turn) => getJson(running.http, '/api/v1/logs', { ...hour, query: `"qzxj${turn}vw"`, limit: '100' }),
    },
    {
      name: 'newest traces, 20',
      goal: '',
      ask: () => getJson(running.http, '/api/v1/traces', { ...hour, limit: '20' }),
    },
    {
      name: 'traces with an error, 20',
      goal: '',
      ask: () => getJson(running.http, '/api/v1/traces', { ...hour, query: 'status=error', limit: '20' }),
    },
    {
      name: 'logs histogram of the last hour',
      goal: '',
      ask: () => getJson(running.http, '/api/v1/logs/histogram', hour),
    },
  ];
  const rows: string[][] = [];
  for (const question of questions) {
    const times: number[] = [];
    let answer: unknown;
    for (let turn = 0; turn < turns; turn += 1) {
      const from = performance.now();
      answer = await question.ask(turn);
      times.push(performance.now() - from);
    }
    const incomplete = (answer as { incomplete?: boolean }).incomplete === true ? ' (incomplete)' : '';
    rows.push([
      question.name + incomplete,
      (times[0] ?? Number.NaN).toFixed(0),
      median(times).toFixed(0),
      Math.max(...times).toFixed(0),
      question.goal,
    ]);
  }
  console.log(table(['question', 'first ms', 'median ms', 'max ms', 'goal ms'], rows));
}
