import { type Clock, Fault, type Signal, systemClock } from '../base/index.ts';
import type { DeadLetterSink, DeliveryObserver, DeliveryStats, Replay, Replayed } from '../deliver/index.ts';
import type { LogReader, MetricReader, Readers, TraceReader } from '../stores/contract.ts';
import type { NewDeadLetter, OwnedLog } from '../wal/index.ts';
import { ownBytes } from './bytes.ts';
import type { Carrier, End, Launch } from './carrier.ts';
import {
  durableEveryMs,
  healthyMs,
  replaceWithinMs,
  restartBaseMs,
  restartMaxMs,
  silentCheckMs,
  silentChecksMax,
  startWaitMs,
} from './limits.ts';
import {
  deadLetterMethod,
  emitMethod,
  type HostedStore,
  metricMethods,
  readerMethods,
  replayMethod,
  type StoreStats,
  type ToChild,
  type ToParent,
} from './protocol.ts';
import { replay } from './report.ts';
import { type Method, RpcClient, type RpcMessage, RpcServer, remoteObject } from './rpc.ts';

// This process's side of a store that is hosted elsewhere: starts its host, starts it again when it dies, tells it what is
// durable, and passes queries on.

/** The part of pino's logger that is used here. */
interface HostLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What every hosted store is given. */
export interface HostingOptions {
  /** The logs that the store is fed from. Their cursor of the store's name is moved here. */
  readonly logs: readonly { readonly log: OwnedLog; readonly dir: string }[];
  readonly deadLetters: DeadLetterSink;
  readonly observer: DeliveryObserver;
  readonly logger: HostLogger;
  readonly clock?: Clock;
  /** Takes metrics that are made there. */
  readonly emit?: (request: Uint8Array) => Promise<unknown>;
}

export interface SupervisorOptions extends HostingOptions {
  /** Of the destination: label of its metrics, name of its cursors. */
  readonly name: string;
  /** For messages: `the process of the embedded store`. */
  readonly title: string;
  readonly launch: Launch;
  readonly store: HostedStore;
  /** Signals that the store can be asked for. */
  readonly answers: ReadonlySet<Signal>;
}

type State =
  | { readonly kind: 'running'; readonly carrier: Carrier; ready: boolean; readonly startedMs: number }
  | { readonly kind: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'stopped' };

export class Supervisor implements AsyncDisposable {
  readonly name: string;
  /** Answer while the host runs; otherwise calls end with Fault `unavailable` and a time to come again. */
  readonly readers: Readers;
  /** Resolves when the first host is ready, or after a few seconds; rejects where it says that the store cannot be opened. */
  readonly started: Promise<void>;
  readonly #options: SupervisorOptions;
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
  #lastError: string;
  #stopping: Promise<void> | undefined;
  #gone: (() => void) | undefined;
  #store: HostedStore;
  #replacing = false;

  constructor(options: SupervisorOptions) {
    this.name = options.name;
    this.#store = options.store;
    this.#lastError = `the ${options.name} store is starting`;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#calls = new RpcClient((message) => this.#sendCall(message));
    const add = async (letter: NewDeadLetter) => options.deadLetters.add(letter);
    this.#server = new RpcServer(
      (message) => this.#send(message),
      new Map<string, Method>([
        [deadLetterMethod, add as Method],
        ...(options.emit === undefined ? [] : [[emitMethod, options.emit as Method] as const]),
      ]),
      (thrown, method) => options.logger.error({ err: thrown, method }, 'what a store asked for failed'),
    );
    const call = this.#calls.call.bind(this.#calls);
    const kept = (signal: Signal) => options.answers.has(signal);
    this.readers = {
      ...(kept('traces') && { traces: remoteObject<TraceReader>('traces', readerMethods.traces, call) }),
      ...(kept('metrics') && {
        metrics: remoteObject<MetricReader>('metrics', metricMethods(options.store.kind), call),
      }),
      ...(kept('logs') && { logs: remoteObject<LogReader>('logs', readerMethods.logs, call) }),
    };
    for (const { log } of options.logs) log.onDurable(() => this.#tellSoon());
    this.#state = this.#spawn();
    this.#watching = setInterval(() => this.#watch(), silentCheckMs).unref();
    const patience = setTimeout(() => this.#firstStart.resolve(), startWaitMs);
    this.started = this.#firstStart.promise.finally(() => clearTimeout(patience));
  }

  get pid(): number | undefined {
    return this.#state.kind === 'running' ? this.#state.carrier.pid : undefined;
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

  /** A method of the store's own. @throws Fault as the store did; `unavailable` while it does not run. */
  call(method: string, args: readonly unknown[], cancel?: AbortSignal): Promise<unknown> {
    return this.#calls.call(method, args, cancel);
  }

  /** As `Delivery.replay`. @throws Fault `unavailable` while the host does not run. */
  async replay(letter: Replay, cancel: AbortSignal): Promise<Replayed> {
    const { signal, logId, records } = letter;
    return (await this.call(
      replayMethod,
      [ownBytes({ signal, logId, records, frame: letter.frame })],
      cancel,
    )) as Replayed;
  }

  /** Goes on with other options, such as new credentials: what is under way is finished or comes again. */
  replace(store: HostedStore): void {
    this.#store = store;
    const state = this.#state;
    if (state.kind !== 'running' || this.#stopping !== undefined) return;
    this.#replacing = true;
    this.#send({ kind: 'stop', deadlineMs: replaceWithinMs * 0.7 });
    setTimeout(() => state.carrier.kill(), replaceWithinMs).unref();
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
    const { carrier } = state;
    const gone = new Promise<void>((resolve) => {
      this.#gone = resolve;
    });
    this.#send({ kind: 'stop', deadlineMs: Math.max(0, deadlineMs * 0.7) });
    const kill = setTimeout(() => {
      this.#options.logger.warn(
        {},
        `${this.#options.title} did not stop in time; what it lacks comes again from the log`,
      );
      carrier.kill();
    }, deadlineMs);
    await gone;
    clearTimeout(kill);
  }

  #spawn(): State {
    const { logs, launch } = this.#options;
    const carrier = launch({
      message: (from, message) => this.#receive(from, message),
      end: (of, end) => this.#ended(of, end),
    });
    for (const { log } of logs) this.#told.set(log.signal, log.durableSeq);
    carrier.send({
      kind: 'open',
      store: this.#store,
      logs: logs.map(({ log, dir }) => ({
        signal: log.signal,
        dir,
        durableSeq: log.durableSeq,
        settledSeq: log.cursor(this.name).settledSeq,
        handedSeq: log.cursor(this.name).handedSeq,
      })),
    });
    return { kind: 'running', carrier, ready: false, startedMs: this.#clock.monotonicMs() };
  }

  #receive(carrier: Carrier, message: ToParent): void {
    if (this.#state.kind !== 'running' || this.#state.carrier !== carrier) return;
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
        carrier.kill();
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

  #ended(carrier: Carrier, { how, said }: End): void {
    const state = this.#state;
    if (state.kind !== 'running' || state.carrier !== carrier) return;
    const { title, name, logger } = this.#options;
    if (this.#stopping !== undefined) {
      this.#state = { kind: 'stopped' };
      this.#calls.failAll(new Fault('unavailable', 'the store is stopping', { retryAfterMs: 5_000 }));
      this.#gone?.();
      return;
    }
    if (this.#replacing) {
      this.#replacing = false;
      this.#calls.failAll(
        new Fault('unavailable', `the ${name} store is being started again`, { retryAfterMs: 1_000 }),
      );
      this.#state = this.#spawn();
      return;
    }
    if (this.#clock.monotonicMs() - state.startedMs > healthyMs) this.#restarts = 0;
    const delayMs = Math.min(restartMaxMs, restartBaseMs * 2 ** this.#restarts++);
    this.#downSinceUnixMs ??= this.#clock.nowMs();
    if (state.ready) this.#lastError = `${title} ended (${how})`;
    logger.error({ how, restartInMs: delayMs, said }, `${title} ended; it is started again, and nothing is lost`);
    this.#calls.failAll(
      new Fault('unavailable', `the ${name} store is being started again`, { retryAfterMs: delayMs + 1_000 }),
    );
    const timer = setTimeout(() => {
      this.#state = this.#spawn();
    }, delayMs);
    this.#state = { kind: 'waiting', timer };
  }

  /**
   * A host that hangs is ended: `exit` starts another. While it opens its store it may take its time. Checks are counted,
   * not time: after a pause of this process there is one, not many.
   */
  #watch(): void {
    if (this.#state.kind !== 'running' || !this.#state.ready || ++this.#silentChecks < silentChecksMax) return;
    this.#options.logger.error({}, `${this.#options.title} does not answer any more and is ended`);
    this.#silentChecks = 0;
    this.#state.carrier.kill();
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
    if (this.#state.kind === 'running') this.#state.carrier.send(message);
  }
}
