import { Fault, type Signal } from '../base/index.ts';
import {
  type Delivery,
  type DeliverySource,
  type DeliveryStats,
  type DurableFeed,
  type Replay,
  type Replayed,
  startDelivery,
} from '../deliver/index.ts';
import type { Destination, Readers } from '../stores/contract.ts';
import { openLogReader } from '../wal/index.ts';
import { ownBytes } from './bytes.ts';
import { aliveEveryMs, reportEveryMs } from './limits.ts';
import {
  deadLetterMethod,
  emitMethod,
  type HostedLog,
  type HostedStore,
  type LogLevel,
  metricMethods,
  readerMethods,
  replayMethod,
  type StoreStats,
  type Through,
  type ToChild,
  type ToParent,
} from './protocol.ts';
import { ReportBuffer } from './report.ts';
import { type Method, methodsOf, RpcClient, RpcServer } from './rpc.ts';

/** A store that is open. */
export interface OpenStore extends AsyncDisposable {
  readonly destination: Destination | undefined;
  readonly readers: Readers;
  /** Beside those of its readers. */
  readonly methods?: Iterable<readonly [string, Method]>;
  stats?(): StoreStats;
}

/** What differs between a process and a thread. */
export interface HostPlace {
  /** Throws where the parent is gone or the message cannot be cloned. */
  readonly send: (message: ToParent) => void;
  /** Called first. @returns what must be let go of after the store. */
  readonly prepare?: (store: HostedStore) => Promise<AsyncDisposable>;
  /** True: the store is opened with its first record or question. */
  readonly isAtRest?: (store: HostedStore) => Promise<boolean>;
  readonly open: (store: HostedStore, tools: HostTools) => Promise<OpenStore>;
  /** The last thing that happens after a stop; what was sent must get on its way. */
  readonly end: () => void;
}

export interface HostTools {
  readonly log: (level: LogLevel, fields: object, message: string) => void;
  readonly deliveryStats: () => DeliveryStats | undefined;
  /** Last sequence number of each log when the host was started. */
  readonly startedThrough: Through;
  /** Takes an ExportMetricsServiceRequest; resolves when it is durable. @throws Fault as the log does. */
  readonly emit: (request: Uint8Array) => Promise<unknown>;
}

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

/**
 * The far side of `Supervisor`: a store, the loops that feed it from the logs, and its readers, in a process or a thread.
 * It owns nothing that outlives it but the store's folder: logs, cursors and dead letters belong to the parent.
 */
export class StoreHost {
  readonly #place: HostPlace;
  readonly #feeds = new Map<Signal, Feed>();
  readonly #parent: RpcClient;
  readonly #report: ReportBuffer;
  #server: RpcServer | undefined;
  #held: AsyncDisposable | undefined;
  #begun: Opening | undefined;
  /** Since the first record or question; `#store` and `#delivery` are there when it has ended well. */
  #opening: Promise<void> | undefined;
  #store: OpenStore | undefined;
  #delivery: Delivery | undefined;
  #isOpen = false;
  #stopping = false;
  #wasPending = true;
  #reportedMs = 0;

  constructor(place: HostPlace) {
    this.#place = place;
    this.#parent = new RpcClient((message) => place.send(message));
    this.#report = new ReportBuffer((thrown, reason) => this.#log('error', { err: thrown }, reason));
  }

  async receive(message: ToChild): Promise<void> {
    switch (message.kind) {
      case 'open':
        return this.#begin(message);
      case 'durable':
        this.#feeds.get(message.signal)?.grow(message.seq);
        return this.#openOnce();
      case 'stop':
        return this.#stop(message.deadlineMs);
      case 'call':
        await this.#openOnce();
        return this.#server?.receive(message);
      case 'cancel':
        return this.#server?.receive(message);
      case 'value':
      case 'fault':
        return this.#parent.receive(message);
    }
  }

  async #begin(message: Opening): Promise<void> {
    try {
      this.#begun = message;
      for (const { signal, durableSeq } of message.logs) this.#feeds.set(signal, new Feed(durableSeq));
      this.#held = await this.#place.prepare?.(message.store);
      const isBehind = message.logs.some(({ durableSeq, settledSeq }) => durableSeq > settledSeq);
      if (isBehind || !(await this.#place.isAtRest?.(message.store))) await this.#openOnce();
      if (this.#stopping || (this.#opening !== undefined && !this.#isOpen)) return;
      this.#place.send({ kind: 'ready' });
      setInterval(() => this.#sendReport(), reportEveryMs);
    } catch (thrown) {
      this.#tellFailed(thrown);
    }
  }

  /** Never rejects: what prevents it is told to the parent, which starts another host. */
  async #openOnce(): Promise<void> {
    if (this.#begun === undefined || this.#stopping) return;
    this.#opening ??= this.#open(this.#begun).catch((thrown: unknown) => this.#tellFailed(thrown));
    await this.#opening;
  }

  async #open({ logs, store: hosted }: Opening): Promise<void> {
    const store = await this.#place.open(hosted, {
      log: (level, fields, message) => this.#log(level, fields, message),
      deliveryStats: () => this.#delivery?.stats(),
      startedThrough: Object.fromEntries(logs.map(({ signal, durableSeq }) => [signal, durableSeq])),
      emit: (request) => this.#parent.call(emitMethod, [Uint8Array.from(request)]),
    });
    this.#store = store;
    const { readers } = store;
    this.#server = new RpcServer(
      (message) => this.#place.send(message),
      new Map([
        ...methodsOf('traces', readers.traces ?? {}, readerMethods.traces),
        ...methodsOf('metrics', readers.metrics ?? {}, metricMethods(hosted.kind)),
        ...methodsOf('logs', readers.logs ?? {}, readerMethods.logs),
        ...(store.methods ?? []),
        [replayMethod, ((letter: Replay, cancel: AbortSignal) => this.#replay(letter, cancel)) as Method],
      ]),
      (thrown, method) => this.#log('error', { err: thrown, method }, 'a query failed'),
    );
    if (store.destination !== undefined) {
      this.#delivery = startDelivery({
        destination: store.destination,
        sources: await Promise.all(logs.map((log) => this.#sourceOf(log))),
        deadLetters: {
          add: async (letter) => (await this.#parent.call(deadLetterMethod, [ownBytes(letter)])) === true,
        },
        observer: this.#report,
      });
    }
    this.#isOpen = true;
  }

  async #replay(letter: Replay, cancel: AbortSignal): Promise<Replayed> {
    if (this.#delivery === undefined) return { kind: 'failed', reason: 'this store is not written to' };
    return this.#delivery.replay(letter, cancel);
  }

  #tellFailed(thrown: unknown): void {
    const message = thrown instanceof Error ? thrown.message : 'the store could not be opened';
    const fault = thrown instanceof Fault ? thrown : new Fault('unavailable', message);
    this.#place.send({
      kind: 'failed',
      fault: { code: fault.code, message: fault.message, retryAfterMs: undefined, parameter: undefined },
    });
  }

  async #sourceOf({ signal, dir, durableSeq, settledSeq, handedSeq }: HostedLog): Promise<DeliverySource> {
    const { send } = this.#place;
    const cursor = {
      settledSeq,
      handedSeq,
      settle(seq: number) {
        cursor.settledSeq = seq;
        send({ kind: 'settle', signal, seq });
      },
    };
    return {
      signal,
      reader: await openLogReader({ dir }),
      feed: this.#feeds.get(signal) ?? new Feed(durableSeq),
      cursor,
      onDamage: (damage) => send({ kind: 'damage', signal, damage }),
    };
  }

  /** While there is something to tell, or something waits and so its age grows; else now and then, as a sign of life. */
  #sendReport(): void {
    const stats = this.#delivery?.stats() ?? this.#restingStats();
    const pending = Object.values(stats).some((each) => each.pendingFrames > 0 || each.failures > 0);
    const nowMs = performance.now();
    if (this.#report.empty && !pending && !this.#wasPending && nowMs - this.#reportedMs < aliveEveryMs) return;
    this.#reportedMs = nowMs;
    this.#wasPending = pending;
    this.#place.send({ kind: 'report', ...this.#report.take(stats, this.#store?.stats?.() ?? {}) });
  }

  /** Of a store that was not needed yet. */
  #restingStats(): DeliveryStats {
    return Object.fromEntries(
      [...this.#feeds].map(([signal, { durableSeq }]) => [
        signal,
        {
          state: this.#opening === undefined ? 'idle' : 'delivering',
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

  async #stop(deadlineMs: number): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    await this.#opening;
    this.#server?.abortAll(new Fault('unavailable', 'the store is stopping', { retryAfterMs: 5_000 }));
    try {
      await this.#delivery?.stop(deadlineMs);
      this.#sendReport();
      await this.#store?.[Symbol.asyncDispose]();
      await this.#held?.[Symbol.asyncDispose]();
    } catch (thrown) {
      this.#log('error', { err: thrown }, 'a store did not close well; what it lacks comes again from the log');
    }
    this.#place.end();
  }

  #log(level: LogLevel, fields: object, message: string): void {
    this.#place.send({ kind: 'log', level, fields, message });
  }
}
