import type { Clock } from '../../base/index.ts';
import {
  firstListLookMs,
  heldBytesMax,
  heldRequestsMax,
  missesRememberedMax,
  missRememberedMs,
  vainWaitsMax,
} from '../limits.ts';
import { addressKey, configHashAnnotation, uidKey } from './associate.ts';
import type { ClusterView } from './contract.ts';

/** Why a request goes on although a pod that it names is not known. */
export type MissReason =
  | 'waited'
  | 'waited_before'
  | 'sender_waited_before'
  | 'no_room'
  | 'no_view'
  | 'stopping'
  | 'off';

interface Waiter {
  readonly keys: Set<string>;
  readonly sizeBytes: number;
  readonly sender: string;
  readonly sinceMs: number;
  readonly timer: NodeJS.Timeout;
  readonly go: () => void;
}

/**
 * Requests that wait for pods which the view does not know yet: a pod's first records are often faster than the news of it.
 * Each waits by itself, for its own pods, for `waitMs` at most.
 */
export class HoldBack {
  readonly #view: ClusterView;
  readonly #waitMs: number;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #waiters = new Set<Waiter>();
  /** The same by what they wait for. */
  readonly #byKey = new Map<string, Set<Waiter>>();
  /** What was waited for in vain, and until when that is remembered; oldest first. */
  readonly #misses = new Map<string, number>();
  /** Senders whose last requests waited in vain, and when the last of these gave up; oldest first. */
  readonly #vain = new Map<string, { readonly waits: number; readonly atMs: number }>();
  readonly #unsubscribe: () => void;
  #heldBytes = 0;
  #heldTotal = 0;
  #stopping = false;
  #looking: NodeJS.Timeout | undefined;

  constructor(view: ClusterView, options: { readonly waitMs: number; readonly clock: Pick<Clock, 'monotonicMs'> }) {
    this.#view = view;
    this.#waitMs = options.waitMs;
    this.#clock = options.clock;
    this.#unsubscribe = view.onPod(({ uid, annotations }, addresses) => {
      this.#arrived(uidKey(uid));
      const configHash = annotations[configHashAnnotation];
      if (configHash !== undefined) this.#arrived(uidKey(configHash));
      for (const address of addresses) this.#arrived(addressKey(address));
    });
  }

  get stats(): { readonly requests: number; readonly sizeBytes: number; readonly heldTotal: number } {
    return { requests: this.#waiters.size, sizeBytes: this.#heldBytes, heldTotal: this.#heldTotal };
  }

  /**
   * Waits until all of these are known, or for as long as may be. Otherwise why not.
   * @param keys   As `uidKey` and `addressKey` make them. An address is one of a pod, as far as anybody can tell.
   * @param sender Its address.
   */
  wait(keys: readonly string[], sizeBytes: number, sender: string): Promise<void> | MissReason {
    if (this.#waitMs === 0) return 'off';
    if (this.#stopping) return 'stopping';
    if (!this.#expectsNews()) return 'no_view';
    const nowMs = this.#clock.monotonicMs();
    const vain = this.#vain.get(sender);
    if (vain !== undefined && vain.waits >= vainWaitsMax && vain.atMs + missRememberedMs > nowMs)
      return 'sender_waited_before';
    const wanted = new Set(keys.filter((key) => !this.#isMiss(key, nowMs)));
    if (wanted.size === 0) return 'waited_before';
    if (this.#heldBytes + sizeBytes > heldBytesMax || this.#waiters.size >= heldRequestsMax) return 'no_room';
    return new Promise((resolve) => {
      const waiter: Waiter = {
        keys: wanted,
        sizeBytes,
        sender,
        sinceMs: nowMs,
        timer: setTimeout(() => this.#timedOut(waiter), this.#waitMs),
        go: resolve,
      };
      this.#waiters.add(waiter);
      this.#heldBytes += sizeBytes;
      this.#heldTotal += 1;
      for (const key of wanted) {
        const same = this.#byKey.get(key);
        if (same === undefined) this.#byKey.set(key, new Set([waiter]));
        else same.add(waiter);
      }
      if (this.#view.state().status === 'starting') this.#look();
    });
  }

  /** Why a request that was let go may still lack a pod. */
  get reason(): MissReason {
    return this.#stopping ? 'stopping' : 'waited';
  }

  /** All that wait go on, and nothing waits any more. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#unsubscribe();
    clearTimeout(this.#looking);
    for (const waiter of [...this.#waiters]) this.#release(waiter);
  }

  /** Without a view that is up to date no pod will appear in it. Before its first list a failure says the same. */
  #expectsNews(): boolean {
    const { status, lastError } = this.#view.state();
    return status === 'synced' || (status === 'starting' && lastError === undefined);
  }

  #isMiss(key: string, nowMs: number): boolean {
    const untilMs = this.#misses.get(key);
    if (untilMs === undefined) return false;
    if (untilMs > nowMs) return true;
    this.#misses.delete(key);
    return false;
  }

  #arrived(key: string): void {
    this.#misses.delete(key);
    for (const waiter of this.#byKey.get(key) ?? []) this.#noLonger(waiter, key);
  }

  #noLonger(waiter: Waiter, key: string): void {
    this.#forget(waiter, key);
    if (waiter.keys.size > 0) return;
    this.#vain.delete(waiter.sender);
    this.#release(waiter);
  }

  #forget(waiter: Waiter, key: string): void {
    waiter.keys.delete(key);
    const same = this.#byKey.get(key);
    same?.delete(waiter);
    if (same?.size === 0) this.#byKey.delete(key);
  }

  #timedOut(waiter: Waiter): void {
    const atMs = this.#clock.monotonicMs();
    for (const key of waiter.keys) remember(this.#misses, key, atMs + missRememberedMs);
    const before = this.#vain.get(waiter.sender);
    // A Collector sends ten requests at once, perhaps all of one pod: those that waited at the same time count once.
    if (before === undefined || waiter.sinceMs >= before.atMs)
      remember(this.#vain, waiter.sender, { waits: (before?.waits ?? 0) + 1, atMs });
    this.#release(waiter);
  }

  #release(waiter: Waiter): void {
    if (!this.#waiters.delete(waiter)) return;
    clearTimeout(waiter.timer);
    this.#heldBytes -= waiter.sizeBytes;
    for (const key of [...waiter.keys]) this.#forget(waiter, key);
    waiter.go();
  }

  /** The first list tells where the pods' addresses are: those that turn out to be none are not waited for. */
  #look(): void {
    this.#looking ??= setTimeout(() => {
      this.#looking = undefined;
      if (this.#waiters.size === 0) return;
      if (!this.#expectsNews()) for (const waiter of [...this.#waiters]) this.#release(waiter);
      else if (this.#view.state().status === 'starting') this.#look();
      else this.#dropStrangers();
    }, firstListLookMs);
  }

  #dropStrangers(): void {
    for (const [key, waiters] of [...this.#byKey]) {
      const address = key.startsWith(addressKey('')) ? key.slice(addressKey('').length) : undefined;
      if (address === undefined || this.#view.isPodAddress(address)) continue;
      for (const waiter of [...waiters]) this.#noLonger(waiter, key);
    }
  }
}

/** As the latest; the oldest goes where there are too many. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next();
  if (map.size > missesRememberedMax && !oldest.done) map.delete(oldest.value);
}
