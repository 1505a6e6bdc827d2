import { type ChildProcess, fork } from 'node:child_process';
import { type Clock, entryPath, Fault, type Signal, systemClock } from '../base/index.ts';
import type { DeadLetterSink, DeliveryObserver, DeliveryStats } from '../deliver/index.ts';
import type { Eraser, LogReader, MetricReader, Readers, TraceReader } from '../stores/contract.ts';
import type { NewDeadLetter, OwnedLog } from '../wal/index.ts';
import {
  durableEveryMs,
  eraseTimeMaxMs,
  healthyMs,
  heapInitialMiB,
  restartBaseMs,
  restartMaxMs,
  silentCheckMs,
  silentChecksMax,
  startWaitMs,
  stderrCharsMax,
} from './limits.ts';
import {
  deadLetterMethod,
  eraseMethod,
  type HostedStoreOptions,
  readerMethods,
  rollMethod,
  type StoreStats,
  type Through,
  type ToChild,
  type ToParent,
} from './protocol.ts';
import { replay } from './report.ts';
import { type Method, RpcClient, type RpcMessage, RpcServer, remoteObject } from './rpc.ts';

// The parent's side of the embedded store's process: starts it, starts it again when it dies, tells it what is durable,
// and passes queries on.

/** The part of pino's logger that is used here. */
interface ChildLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface EmbeddedChildOptions {
  /** The logs of the signals that the store keeps. Their cursor `embedded` is moved here. */
  readonly logs: readonly { readonly log: OwnedLog; readonly dir: string }[];
  readonly store: HostedStoreOptions;
  readonly deadLetters: DeadLetterSink;
  readonly observer: DeliveryObserver;
  readonly logger: ChildLogger;
  readonly clock?: Clock;
  /** Of the child's JavaScript, MiB; what DuckDB takes is beside it. */
  readonly heapMiB?: number;
}

/** As an eraser it first lets the store catch up: what was acknowledged before the call is removed as well. */
export interface EmbeddedChild extends AsyncDisposable, Eraser {
  /** Of the destination: label of its metrics, name of its cursors. */
  readonly name: string;
  /** Answer while the child runs; otherwise calls end with Fault `unavailable` and a time to come again. */
  readonly readers: Readers;
  /** As last told by the child; while it is not there, what is known of the logs. */
  stats(): DeliveryStats;
  storeStats(): StoreStats;
  /** undefined while there is none. */
  readonly pid: number | undefined;
  /** Writes what is in the store's memory into files. */
  rollAll(): Promise<void>;
  /** Lets the child finish what is under way and close its store, and kills it at the deadline. May be called twice. */
  stop(deadlineMs: number): Promise<void>;
}

const embeddedName = 'embedded';

type State =
  | { readonly kind: 'running'; readonly child: ChildProcess; ready: boolean; readonly startedMs: number }
  | { readonly kind: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'stopped' };

/**
 * Starts the process of the embedded store. Resolves when it is ready, or after a few seconds where it still opens its
 * store or has died: receiving need not wait for it, and it is tried again and again.
 * @throws Fault where the store says that it cannot be opened.
 */
export async function startEmbeddedChild(options: EmbeddedChildOptions): Promise<EmbeddedChild> {
  const supervisor = new Supervisor(options);
  try {
    await supervisor.started;
  } catch (thrown) {
    await supervisor.stop(0);
    throw thrown;
  }
  return supervisor;
}

class Supervisor implements EmbeddedChild {
  readonly name = embeddedName;
  readonly readers: Readers;
  /** Rejects where the first child says that the store cannot be opened. */
  readonly started: Promise<void>;
  readonly #options: EmbeddedChildOptions;
  readonly #clock: Clock;
  readonly #calls: RpcClient;
  readonly #server: RpcServer;
  readonly #firstStart = Promise.withResolvers<void>();
  readonly #told = new Map<Signal, number>();
  #telling: NodeJS.Timeout | undefined;
  readonly #watching: NodeJS.Timeout;
  /** Since the last message. */
  #silentChecks = 0;
  #state: State;
  #restarts = 0;
  #stats: DeliveryStats = {};
  #storeStats: StoreStats = {};
  #downSinceUnixMs: number | undefined;
  #lastError = 'the embedded store is starting';
  #stopping: Promise<void> | undefined;

  constructor(options: EmbeddedChildOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#calls = new RpcClient((message) => this.#sendCall(message));
    const add = async (letter: NewDeadLetter) => options.deadLetters.add(letter);
    this.#server = new RpcServer(
      (message) => this.#send(message),
      new Map<string, Method>([[deadLetterMethod, add as Method]]),
      (thrown) => options.logger.error({ err: thrown }, 'a dead letter could not be written'),
    );
    const call = this.#calls.call.bind(this.#calls);
    const kept = (signal: Signal) => options.store.signals.has(signal);
    this.readers = {
      ...(kept('traces') && { traces: remoteObject<TraceReader>('traces', readerMethods.traces, call) }),
      ...(kept('metrics') && { metrics: remoteObject<MetricReader>('metrics', readerMethods.metrics, call) }),
      ...(kept('logs') && { logs: remoteObject<LogReader>('logs', readerMethods.logs, call) }),
    };
    for (const { log } of options.logs) log.onDurable(() => this.#tellSoon());
    this.#state = this.#spawn();
    this.#watching = setInterval(() => this.#watch(), silentCheckMs).unref();
    const patience = setTimeout(() => this.#firstStart.resolve(), startWaitMs);
    this.started = this.#firstStart.promise.finally(() => clearTimeout(patience));
  }

  get pid(): number | undefined {
    return this.#state.kind === 'running' ? this.#state.child.pid : undefined;
  }

  stats(): DeliveryStats {
    if (this.#state.kind === 'running' && this.#state.ready) return this.#stats;
    // Nobody delivers: the last word of the child, and what has come since.
    return Object.fromEntries(
      this.#options.logs.map(({ log }) => {
        const settledSeq = log.cursor(this.name).settledSeq;
        const pendingFrames = log.durableSeq - settledSeq;
        const mean = log.stats().sizeBytes / Math.max(1, log.durableSeq - log.stats().firstSeq + 1);
        const downMs = this.#downSinceUnixMs === undefined ? 0 : this.#clock.nowMs() - this.#downSinceUnixMs;
        const stats: DeliveryStats[Signal] = {
          state: this.#state.kind === 'stopped' ? 'stopped' : 'retrying',
          settledSeq,
          lagSeconds: pendingFrames === 0 ? 0 : Math.max(0, downMs / 1000),
          pendingFrames,
          pendingRecords: this.#stats[log.signal]?.pendingRecords ?? 0,
          pendingBytes: Math.round(pendingFrames * mean),
          batchesInFlight: 0,
          failures: this.#restarts,
          lastError: this.#lastError,
          failingSinceUnixMs: this.#downSinceUnixMs,
        };
        return [log.signal, stats];
      }),
    );
  }

  storeStats(): StoreStats {
    return this.#storeStats;
  }

  async rollAll(): Promise<void> {
    await this.#calls.call(rollMethod, []);
  }

  async eraseByResource(key: string, value: string, cancel: AbortSignal): Promise<Readonly<Record<Signal, number>>> {
    const through: Through = Object.fromEntries(this.#options.logs.map(({ log }) => [log.signal, log.durableSeq]));
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new Fault('tooSlow', 'removing takes longer than it may; what is removed stays so, the rest is left'));
    }, eraseTimeMaxMs);
    try {
      const answer = this.#calls.call(eraseMethod, [key, value, through], AbortSignal.any([cancel, late.signal]));
      return (await answer) as Readonly<Record<Signal, number>>;
    } finally {
      clearTimeout(timer);
    }
  }

  stop(deadlineMs: number): Promise<void> {
    this.#stopping ??= this.#stop(deadlineMs);
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop(10_000);
  }

  async #stop(deadlineMs: number): Promise<void> {
    const state = this.#state;
    clearTimeout(this.#telling);
    clearInterval(this.#watching);
    if (state.kind === 'waiting') clearTimeout(state.timer);
    if (state.kind !== 'running') {
      this.#state = { kind: 'stopped' };
      return;
    }
    const { child } = state;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.#send({ kind: 'stop', deadlineMs: Math.max(0, deadlineMs * 0.7) });
    const kill = setTimeout(() => {
      this.#options.logger.warn(
        {},
        'the process of the embedded store did not stop in time; what it lacks comes again from the log',
      );
      child.kill('SIGKILL');
    }, deadlineMs);
    if (child.exitCode === null && child.signalCode === null) await gone;
    clearTimeout(kill);
  }

  #spawn(): State {
    const { logs, store, heapMiB = 256 } = this.#options;
    const child = fork(entryPath(import.meta.url, './host.ts'), {
      serialization: 'advanced',
      execArgv: [
        `--max-old-space-size=${heapMiB}`,
        `--initial-heap-size=${heapInitialMiB}`,
        '--max-semi-space-size=16',
      ],
      // No secret of the parent's is there to be found in the child.
      env: {
        ...pick(process.env, ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'NODE_COMPILE_CACHE']),
        // glibc keeps what was freed in an arena for each few threads, 8 for each core: two hold less back.
        MALLOC_ARENA_MAX: '2',
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-stderrCharsMax);
    });
    child.on('message', (message: ToParent) => this.#receive(child, message));
    // Sending fails on a child that is about to exit; `exit` says what there is to say.
    child.on('error', () => {});
    child.on('exit', (code, signal) => this.#exited(child, code, signal, said));
    for (const { log } of logs) this.#told.set(log.signal, log.durableSeq);
    child.send({
      kind: 'open',
      store,
      logs: logs.map(({ log, dir }) => ({
        signal: log.signal,
        dir,
        durableSeq: log.durableSeq,
        settledSeq: log.cursor(this.name).settledSeq,
      })),
    } satisfies ToChild);
    return { kind: 'running', child, ready: false, startedMs: this.#clock.monotonicMs() };
  }

  #receive(child: ChildProcess, message: ToParent): void {
    if (this.#state.kind !== 'running' || this.#state.child !== child) return;
    const { observer, logger, logs } = this.#options;
    this.#silentChecks = 0;
    switch (message.kind) {
      case 'ready':
        this.#state.ready = true;
        this.#downSinceUnixMs = undefined;
        this.#stats = {};
        this.#firstStart.resolve();
        this.#tellSoon();
        break;
      case 'failed':
        this.#state.ready = false;
        this.#lastError = message.fault.message;
        this.#firstStart.reject(new Fault(message.fault.code, message.fault.message));
        child.kill('SIGKILL');
        break;
      case 'settle': {
        const cursor = logs.find(({ log }) => log.signal === message.signal)?.log.cursor(this.name);
        if (cursor !== undefined && message.seq > cursor.settledSeq) cursor.settle(message.seq);
        break;
      }
      case 'damage':
        void logs
          .find(({ log }) => log.signal === message.signal)
          ?.log.setAside(message.damage)
          .catch((thrown: unknown) => logger.error({ err: thrown }, 'damaged bytes of the log could not be set aside'));
        break;
      case 'report':
        this.#stats = message.stats;
        this.#storeStats = message.store;
        replay(message, observer);
        break;
      case 'log':
        logger[message.level](message.fields, message.message);
        break;
      case 'call':
      case 'cancel':
        this.#server.receive(message);
        break;
      case 'value':
      case 'fault':
        this.#calls.receive(message);
        break;
      case 'stopped':
        break;
    }
  }

  #exited(child: ChildProcess, code: number | null, signal: string | null, said: string): void {
    const state = this.#state;
    if (state.kind !== 'running' || state.child !== child) return;
    if (this.#stopping !== undefined) {
      this.#state = { kind: 'stopped' };
      this.#calls.failAll(new Fault('unavailable', 'the store is stopping', { retryAfterMs: 5_000 }));
      return;
    }
    if (this.#clock.monotonicMs() - state.startedMs > healthyMs) this.#restarts = 0;
    const delayMs = Math.min(restartMaxMs, restartBaseMs * 2 ** this.#restarts++);
    this.#downSinceUnixMs ??= this.#clock.nowMs();
    if (state.ready) this.#lastError = `the process of the embedded store ended (${signal ?? `exit code ${code}`})`;
    this.#options.logger.error(
      { code, signal, restartInMs: delayMs, said: said.trim() || undefined },
      'the process of the embedded store ended; it is started again, and nothing is lost',
    );
    this.#calls.failAll(
      new Fault('unavailable', 'the embedded store is being started again', { retryAfterMs: delayMs + 1_000 }),
    );
    const timer = setTimeout(() => {
      this.#state = this.#spawn();
    }, delayMs);
    this.#state = { kind: 'waiting', timer };
  }

  /**
   * A child that hangs is ended: `exit` starts another. While it opens its store it may take its time. Checks are counted,
   * not time: after a pause of this process there is one, not many.
   */
  #watch(): void {
    if (this.#state.kind !== 'running' || !this.#state.ready || ++this.#silentChecks < silentChecksMax) return;
    this.#options.logger.error({}, 'the process of the embedded store does not answer any more and is ended');
    this.#silentChecks = 0;
    this.#state.child.kill('SIGKILL');
  }

  /** Tells what is durable: at once after a pause, then every `durableEveryMs` while it grows. */
  #tellSoon(): void {
    if (this.#telling !== undefined) return;
    this.#tell();
    this.#telling = setTimeout(() => {
      this.#telling = undefined;
      if (this.#options.logs.some(({ log }) => log.durableSeq > (this.#told.get(log.signal) ?? 0))) this.#tellSoon();
    }, durableEveryMs);
  }

  #tell(): void {
    if (this.#state.kind !== 'running' || !this.#state.ready || this.#stopping !== undefined) return;
    for (const { log } of this.#options.logs) {
      const { signal, durableSeq } = log;
      if (durableSeq <= (this.#told.get(signal) ?? 0)) continue;
      this.#told.set(signal, durableSeq);
      this.#send({ kind: 'durable', signal, seq: durableSeq });
    }
  }

  /** Queries are answered only once the store is open. */
  #sendCall(message: RpcMessage): void {
    if (this.#state.kind !== 'running' || !this.#state.ready) throw new Error(this.#lastError);
    this.#send(message);
  }

  #send(message: ToChild): void {
    if (this.#state.kind === 'running' && this.#state.child.connected) this.#state.child.send(message);
  }
}

function pick(env: NodeJS.ProcessEnv, names: readonly string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
