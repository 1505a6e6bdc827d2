import { readdir } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, type Signal } from '../base/index.ts';
import {
  type Delivery,
  type DeliverySource,
  type DeliveryStats,
  type DurableFeed,
  startDelivery,
} from '../deliver/index.ts';
import type { EmbeddedStore } from '../stores/embedded/index.ts';
import { lockFolder, openLogReader } from '../wal/index.ts';
import { eraseThrough } from './erase.ts';
import { aliveEveryMs, reportEveryMs, takeOverMs } from './limits.ts';
import {
  deadLetterMethod,
  eraseMethod,
  type HostedLog,
  type LogLevel,
  readerMethods,
  type ToChild,
  type ToParent,
} from './protocol.ts';
import { ReportBuffer } from './report.ts';
import { type Method, methodsOf, RpcClient, RpcServer } from './rpc.ts';

// Entry point of the child process: the embedded store, the loops that feed it from the logs, and its readers.
// It owns nothing that outlives it but the store's folder: logs, cursors and dead letters belong to the parent.

/** How far a log is durable, as the parent tells it. */
class Feed implements DurableFeed {
  durableSeq: number;
  #listener: ((seq: number) => void) | undefined;

  constructor(durableSeq: number) {
    this.durableSeq = durableSeq;
  }

  onDurable(listener: (seq: number) => void): void {
    this.#listener = listener;
  }

  grow(seq: number): void {
    if (seq <= this.durableSeq) return;
    this.durableSeq = seq;
    this.#listener?.(seq);
  }
}

type Opening = Extract<ToChild, { kind: 'open' }>;

const feeds = new Map<Signal, Feed>();
const parent = new RpcClient(send);
let server: RpcServer | undefined;
let lock: AsyncDisposable | undefined;
let begun: Opening | undefined;
/** Since the first record or question; `store` and `delivery` are there when it has ended well. */
let opening: Promise<void> | undefined;
let store: EmbeddedStore | undefined;
let delivery: Delivery | undefined;
let stopping = false;
const report = new ReportBuffer((thrown, reason) => log('error', { err: thrown }, reason));

// Receiving goes first. Before any thread of DuckDB's is there, since on Linux each has a priority of its own.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
process.on('message', (message: ToChild) => void receive(message));
// Without a parent nobody knows what is durable, and the next parent needs the folder: the log has everything.
process.on('disconnect', die);
// The parent is often gone before we are told so: then it is `send` that throws, in a timer.
process.on('uncaughtException', (thrown) => {
  if (process.connected) process.stderr.write(`${thrown.stack ?? thrown.message}\n`, die);
  else die();
});
// Ctrl-C reaches the whole process group. The parent hears it, too, and says when to stop.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

/**
 * Not `exit`, and not what follows an exception that nobody catches: both wait for DuckDB's threads, and those may wait for
 * this one to hand them rows. The folder would stay locked for ever.
 */
function die(): void {
  process.kill(process.pid, 'SIGKILL');
}

async function receive(message: ToChild): Promise<void> {
  switch (message.kind) {
    case 'open':
      return begin(message);
    case 'durable':
      feeds.get(message.signal)?.grow(message.seq);
      return openOnce();
    case 'stop':
      return stop(message.deadlineMs);
    case 'call':
      await openOnce();
      return server?.receive(message);
    case 'cancel':
      return server?.receive(message);
    case 'value':
    case 'fault':
      return parent.receive(message);
  }
}

/**
 * Takes the folder. The store is opened at once where there is something to keep or to deliver, otherwise with the first
 * record or question: at rest DuckDB takes as much memory as all else in this process.
 */
async function begin(message: Opening): Promise<void> {
  try {
    begun = message;
    for (const { signal, durableSeq } of message.logs) feeds.set(signal, new Feed(durableSeq));
    lock = await lockStore(message.store.folder);
    const isNew = (await readdir(message.store.folder, { withFileTypes: true })).every((entry) => !entry.isDirectory());
    if (!isNew || message.logs.some(({ durableSeq, settledSeq }) => durableSeq > settledSeq)) await openOnce();
    if (stopping || (opening !== undefined && delivery === undefined)) return;
    send({ kind: 'ready', answers: [...message.store.signals] });
    setInterval(sendReport, reportEveryMs);
  } catch (thrown) {
    tellFailed(thrown);
  }
}

/** Never rejects: what prevents it is told to the parent, which starts another process. */
async function openOnce(): Promise<void> {
  if (begun === undefined || stopping) return;
  opening ??= open(begun).catch(tellFailed);
  await opening;
}

async function open({ logs, store: options }: Opening): Promise<void> {
  const { openEmbeddedStore } = await import('../stores/embedded/index.ts');
  store = await openEmbeddedStore({ ...options, warn: (message) => log('warn', {}, message) });
  const { readers } = store;
  server = new RpcServer(
    send,
    new Map([
      ...methodsOf('traces', readers.traces ?? {}, readerMethods.traces),
      ...methodsOf('metrics', readers.metrics ?? {}, readerMethods.metrics),
      ...methodsOf('logs', readers.logs ?? {}, readerMethods.logs),
      ...methodsOf('store', store, ['rollAll']),
      [eraseMethod, eraseThrough(store, () => delivery?.stats()) as Method],
    ]),
    (thrown, method) => log('error', { err: thrown, method }, 'a query failed'),
  );
  delivery = startDelivery({
    destination: store,
    sources: await Promise.all(logs.map(sourceOf)),
    deadLetters: { add: async (letter) => (await parent.call(deadLetterMethod, [letter])) === true },
    observer: report,
  });
}

function tellFailed(thrown: unknown): void {
  const message = thrown instanceof Error ? thrown.message : 'the embedded store could not be opened';
  const fault = thrown instanceof Fault ? thrown : new Fault('unavailable', message);
  send({
    kind: 'failed',
    fault: { code: fault.code, message: fault.message, retryAfterMs: undefined, parameter: undefined },
  });
}

async function sourceOf({ signal, dir, durableSeq, settledSeq }: HostedLog): Promise<DeliverySource> {
  const feed = feeds.get(signal) ?? new Feed(durableSeq);
  const cursor = {
    settledSeq,
    settle(seq: number) {
      cursor.settledSeq = seq;
      send({ kind: 'settle', signal, seq });
    },
  };
  return {
    signal,
    reader: await openLogReader({ dir }),
    feed,
    cursor,
    onDamage: (damage) => send({ kind: 'damage', signal, damage }),
  };
}

let wasPending = true;
let reportedMs = 0;

/** While there is something to tell, or something waits and so its age grows; else now and then, as a sign of life. */
function sendReport(): void {
  const stats = delivery?.stats() ?? restingStats();
  const pending = Object.values(stats).some((each) => each.pendingFrames > 0 || each.failures > 0);
  const nowMs = performance.now();
  if (report.empty && !pending && !wasPending && nowMs - reportedMs < aliveEveryMs) return;
  reportedMs = nowMs;
  wasPending = pending;
  send({ kind: 'report', ...report.take(stats, store?.stats() ?? {}) });
}

/** Of a store that was not needed yet. */
function restingStats(): DeliveryStats {
  return Object.fromEntries(
    [...feeds].map(([signal, { durableSeq }]) => [
      signal,
      {
        state: opening === undefined ? 'idle' : 'delivering',
        settledSeq: durableSeq,
        lagSeconds: 0,
        pendingFrames: 0,
        pendingRecords: 0,
        pendingBytes: 0,
        batchesInFlight: 0,
        failures: 0,
        lastError: undefined,
        failingSinceUnixMs: undefined,
      } satisfies DeliveryStats[Signal],
    ]),
  );
}

async function stop(deadlineMs: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  await opening;
  server?.abortAll(new Fault('unavailable', 'the store is stopping', { retryAfterMs: 5_000 }));
  try {
    await delivery?.stop(deadlineMs);
    sendReport();
    await store?.[Symbol.asyncDispose]();
    await lock?.[Symbol.asyncDispose]();
  } catch (thrown) {
    log('error', { err: thrown }, 'the embedded store did not close well; what it lacks comes again from the log');
  }
  // What was sent is on its way before the process ends.
  process.send?.({ kind: 'stopped' } satisfies ToParent, undefined, {}, () => process.exit(0));
}

/** Throws where the parent is gone or the message cannot be cloned. */
function send(message: ToParent): void {
  if (!process.connected) throw new Fault('unavailable', 'the parent process is gone');
  process.send?.(message);
}

function log(level: LogLevel, fields: object, message: string): void {
  send({ kind: 'log', level, fields, message });
}

/**
 * Takes the store's folder. The child of a parent that was killed may still have it: that one goes by itself, soon.
 * @throws Fault `unavailable` where it does not.
 */
async function lockStore(folder: string): Promise<AsyncDisposable> {
  const end = performance.now() + takeOverMs;
  for (;;) {
    try {
      return await lockFolder(folder);
    } catch (thrown) {
      // With a cause it is not another process that has it: the folder cannot be written.
      const held = thrown instanceof Fault && thrown.code === 'unavailable' && thrown.cause === undefined;
      if (!held || performance.now() > end) throw thrown;
      await sleep(50);
    }
  }
}
