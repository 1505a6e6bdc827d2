import { Fault, type Signal } from '../base/index.ts';
import type { DeliveryStats, Replay, Replayed } from '../deliver/index.ts';
import type { Eraser, Readers } from '../stores/contract.ts';
import { launchProcess, launchThread } from './carrier.ts';
import { eraseTimeMaxMs, threadHeapMiB } from './limits.ts';
import { eraseMethod, type HostedStore, rollMethod, type StoreStats, type Through } from './protocol.ts';
import { type HostingOptions, Supervisor } from './supervisor.ts';

/** A store that runs elsewhere than in this thread. */
export interface HostedChild extends AsyncDisposable {
  /** Of the destination: label of its metrics, name of its cursors. */
  readonly name: string;
  /** Answer while the store runs; otherwise calls end with Fault `unavailable` and a time to come again. */
  readonly readers: Readers;
  /** As last told by the host; while it is not there, what is known of the logs. */
  stats(): DeliveryStats;
  /** As `Delivery.replay`. @throws Fault `unavailable` while the store does not run. */
  replay(letter: Replay, cancel: AbortSignal): Promise<Replayed>;
  /** Goes on with other options, such as new credentials. */
  replace(store: HostedStore): void;
  /** Lets it finish what is under way and close, and ends it at the deadline. May be called twice. */
  stop(deadlineMs: number): Promise<void>;
}

/** As an eraser it first lets the store catch up: what was acknowledged before the call is removed as well. */
export interface EmbeddedChild extends HostedChild, Eraser {
  storeStats(): StoreStats;
  /** undefined while there is none. */
  readonly pid: number | undefined;
  /** Writes what is in the store's memory into files. */
  rollAll(): Promise<void>;
}

export interface EmbeddedChildOptions extends HostingOptions {
  readonly store: Extract<HostedStore, { kind: 'embedded' }>['options'];
  /** Of the child's JavaScript, MiB; what DuckDB takes is beside it. */
  readonly heapMiB?: number;
}

/**
 * Starts the process of the embedded store. Resolves when it is ready, or after a few seconds where it still opens its
 * store or has died: receiving need not wait for it, and it is tried again and again.
 * @throws Fault where the store says that it cannot be opened.
 */
export async function startEmbeddedChild(options: EmbeddedChildOptions): Promise<EmbeddedChild> {
  const { heapMiB = 256, ...hosting } = options;
  const supervisor = new Supervisor({
    ...hosting,
    name: 'embedded',
    title: 'the process of the embedded store',
    launch: launchProcess(heapMiB),
    store: { kind: 'embedded', options: options.store },
    answers: options.store.signals,
  });
  await begun(supervisor);
  return Object.assign(supervisor, {
    async rollAll() {
      await supervisor.call(rollMethod, []);
    },
    async eraseByResource(key: string, value: string, cancel: AbortSignal) {
      const through: Through = Object.fromEntries(options.logs.map(({ log }) => [log.signal, log.durableSeq]));
      const late = new AbortController();
      const timer = setTimeout(() => {
        late.abort(
          new Fault('tooSlow', 'removing takes longer than it may; what is removed stays so, the rest is left'),
        );
      }, eraseTimeMaxMs);
      try {
        const answer = supervisor.call(eraseMethod, [key, value, through], AbortSignal.any([cancel, late.signal]));
        return (await answer) as Readonly<Record<Signal, number>>;
      } finally {
        clearTimeout(timer);
      }
    },
  });
}

export interface ThreadOptions extends HostingOptions {
  readonly name: string;
  readonly store: Exclude<HostedStore, { kind: 'embedded' }>;
  /** Signals that the store can be asked for. */
  readonly answers: ReadonlySet<Signal>;
  /** MiB; past it the thread ends, and another is started. */
  readonly heapMiB?: number;
}

/**
 * Starts a store in a thread of its own. Resolves as `startEmbeddedChild` does.
 * @throws Fault where the store says that it cannot be opened.
 */
export async function startStoreThread(options: ThreadOptions): Promise<HostedChild> {
  const { name } = options;
  const supervisor = new Supervisor({
    ...options,
    title: `the thread of the ${name} store`,
    launch: launchThread(name, options.heapMiB ?? threadHeapMiB),
  });
  await begun(supervisor);
  return supervisor;
}

async function begun(supervisor: Supervisor): Promise<void> {
  try {
    await supervisor.started;
  } catch (thrown) {
    await supervisor.stop(0);
    throw thrown;
  }
}
