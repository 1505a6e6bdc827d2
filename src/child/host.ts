import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, type Signal } from '../base/index.ts';
import { type Delivery, type DeliverySource, type DurableFeed, startDelivery } from '../deliver/index.ts';
import { type EmbeddedStore, openEmbeddedStore } from '../stores/embedded/index.ts';
import { lockFolder, openLogReader } from '../wal/index.ts';
import { aliveEveryMs, reportEveryMs, takeOverMs } from './limits.ts';
import {
  deadLetterMethod,
  type HostedLog,
  type LogLevel,
  readerMethods,
  type ToChild,
  type ToParent,
} from './protocol.ts';
import { ReportBuffer } from './report.ts';
import { methodsOf, RpcClient, RpcServer } from './rpc.ts';

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

const feeds = new Map<Signal, Feed>();
const parent = new RpcClient(send);
let server: RpcServer | undefined;
let lock: AsyncDisposable | undefined;
let store: EmbeddedStore | undefined;
let delivery: Delivery | undefined;
let stopping = false;
const report = new ReportBuffer((thrown, reason) => log('error', { err: thrown }, reason));

process.on('message', (message: ToChild) => void receive(message));
// Without a parent nobody knows what is durable, and the next parent needs the folder: the log has everything. Not `exit`,
// which would wait for the store's threads.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// Ctrl-C reaches the whole process group. The parent hears it, too, and says when to stop.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

async function receive(message: ToChild): Promise<void> {
  switch (message.kind) {
    case 'open':
      return open(message);
    case 'durable':
      return feeds.get(message.signal)?.grow(message.seq);
    case 'stop':
      return stop(message.deadlineMs);
    case 'call':
    case 'cancel':
      return server?.receive(message);
    case 'value':
    case 'fault':
      return parent.receive(message);
  }
}

async function open({ logs, store: options }: Extract<ToChild, { kind: 'open' }>): Promise<void> {
  try {
    lock = await lockStore(options.folder);
    store = await openEmbeddedStore({ ...options, warn: (message) => log('warn', {}, message) });
    const { readers } = store;
    server = new RpcServer(
      send,
      new Map([
        ...methodsOf('traces', readers.traces ?? {}, readerMethods.traces),
        ...methodsOf('metrics', readers.metrics ?? {}, readerMethods.metrics),
        ...methodsOf('logs', readers.logs ?? {}, readerMethods.logs),
        ...methodsOf('store', store, ['rollAll']),
      ]),
      (thrown, method) => log('error', { err: thrown, method }, 'a query failed'),
    );
    delivery = startDelivery({
      destination: store,
      sources: await Promise.all(logs.map(sourceOf)),
      deadLetters: { add: async (letter) => (await parent.call(deadLetterMethod, [letter])) === true },
      observer: report,
    });
    send({
      kind: 'ready',
      answers: (['traces', 'metrics', 'logs'] as const).filter((signal) => readers[signal] !== undefined),
    });
    setInterval(sendReport, reportEveryMs);
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : 'the embedded store could not be opened';
    const fault = thrown instanceof Fault ? thrown : new Fault('unavailable', message);
    send({
      kind: 'failed',
      fault: { code: fault.code, message: fault.message, retryAfterMs: undefined, parameter: undefined },
    });
  }
}

async function sourceOf({ signal, dir, durableSeq, settledSeq }: HostedLog): Promise<DeliverySource> {
  const feed = feeds.get(signal) ?? new Feed(durableSeq);
  feeds.set(signal, feed);
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
  if (delivery === undefined || store === undefined) return;
  const stats = delivery.stats();
  const pending = Object.values(stats).some((each) => each.pendingFrames > 0 || each.failures > 0);
  const nowMs = performance.now();
  if (report.empty && !pending && !wasPending && nowMs - reportedMs < aliveEveryMs) return;
  reportedMs = nowMs;
  wasPending = pending;
  send({ kind: 'report', ...report.take(stats, store.stats()) });
}

async function stop(deadlineMs: number): Promise<void> {
  if (stopping) return;
  stopping = true;
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
