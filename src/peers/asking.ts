import { setTimeout as sleep } from 'node:timers/promises';
import type { Found, Given, Peer, Peers } from './client.ts';
import { aloneMs, roundPauseMs } from './limits.ts';
import { type Handed, messageOf } from './protocol.ts';

const nobody: Found = { peers: [], unresolved: [] };

/**
 * Offers frames to replicas in turn, the one that took the last frame first. Who is stopping or full is asked again in the
 * next round; who has another token is not.
 */
export class Asking {
  readonly #peers: Peers;
  readonly #cancel: AbortSignal;
  /** Nobody, once the time is over. */
  readonly #cancelled: Promise<Found>;
  readonly #startedMs = performance.now();
  readonly #strangers = new Set<string>();
  /** Those that did not answer the last time: they are asked after the others. */
  readonly #silent = new Set<string>();
  /** Destinations that no replica delivers to. */
  readonly #unknown = new Set<string>();
  #found: Promise<Found> = Promise.resolve(nobody);
  #foundMs = Number.NEGATIVE_INFINITY;
  /** Somebody has answered, so that it is worth waiting for others. */
  #met = false;
  #preferred: string | undefined;
  #nobody = false;
  /** Why the last frame that was not taken was not. */
  reason = 'no other replica was found';

  constructor(peers: Peers, cancel: AbortSignal) {
    this.#peers = peers;
    this.#cancel = cancel;
    this.#cancelled = new Promise((resolve) => {
      if (cancel.aborted) resolve(nobody);
      else cancel.addEventListener('abort', () => resolve(nobody), { once: true });
    });
  }

  /** Nothing more will be taken: the time is over, or nobody is there who could. */
  get over(): boolean {
    return this.#nobody || this.#cancel.aborted;
  }

  /**
   * Resolves when each of the destinations that are owed the frame is taken care of by another replica, or nobody will.
   * @returns The destinations that nobody took it for.
   */
  async give(handed: Handed): Promise<readonly string[]> {
    let owed = handed.outstanding.filter((name) => !this.#unknown.has(name));
    const hopeless = handed.outstanding.filter((name) => this.#unknown.has(name));
    while (owed.length > 0 && !this.over) {
      const { peers, strangers, isWhole } = await this.#askable();
      let answered = strangers;
      /** Not all have said what they will. */
      let mayYet = !isWhole;
      let without: ReadonlySet<string> | undefined;
      for (const peer of peers) {
        const given = await this.#offer(peer, { ...handed, outstanding: owed });
        if (given?.kind === 'self') continue;
        answered++;
        if (given !== undefined) this.#met = true;
        if (given === undefined || given.kind === 'later') mayYet = true;
        else if (given.kind === 'stranger') this.#strangers.add(peer.name);
        else without = new Set(given.without.filter((name) => without?.has(name) ?? owed.includes(name)));
        if (given?.kind === 'taken') {
          this.#preferred = peer.name;
          owed = owed.filter((name) => given.without.includes(name));
          if (given.without.length > 0) this.reason = `${peer.name}: does not deliver to ${given.without.join(', ')}`;
        }
        if (owed.length === 0 || this.over) return [...owed, ...hopeless];
      }
      if (answered > 0 && !mayYet) {
        // All of them say that they never will: for this frame, or strangers all, for none.
        if (without === undefined) this.#nobody = true;
        for (const name of without ?? []) this.#unknown.add(name);
        break;
      }
      if (isWhole && !this.#met && performance.now() > this.#startedMs + aloneMs) this.#nobody = true;
      // Those that refuse for now may be gone soon, and others come: a rollout is under way.
      await sleep(roundPauseMs, undefined, { signal: this.#cancel }).catch(() => undefined);
    }
    return [...owed, ...hopeless];
  }

  /** In order. `strangers` were found and are not worth asking; not `isWhole`: there may be others. */
  async #askable(): Promise<{ peers: readonly Peer[]; strangers: number; isWhole: boolean }> {
    const nowMs = performance.now();
    if (nowMs > this.#foundMs + roundPauseMs) {
      this.#foundMs = nowMs;
      this.#found = this.#peers.find();
    }
    // A resolver that hangs must not hold the stop.
    const { peers, unresolved } = await Promise.race([this.#found, this.#cancelled]);
    for (const { name, reason } of unresolved) this.reason = `${name}: ${reason}`;
    const known = peers.filter(({ name }) => !this.#strangers.has(name));
    const place = ({ name }: Peer) => (this.#silent.has(name) ? 2 : name === this.#preferred ? 0 : 1);
    const inOrder = known.toSorted((a, b) => place(a) - place(b));
    return { peers: inOrder, strangers: peers.length - known.length, isWhole: unresolved.length === 0 };
  }

  /** undefined: no answer. */
  async #offer(peer: Peer, handed: Handed): Promise<Given | undefined> {
    // Who did not answer may have taken it: asked again it says so, while the next one would take it a second time.
    for (let attempt = 0; attempt < 2 && !this.#cancel.aborted; attempt++) {
      try {
        const given = await peer.give(handed, this.#cancel);
        this.#silent.delete(peer.name);
        if (given.kind !== 'taken' && given.kind !== 'self') this.reason = `${peer.name}: ${given.reason}`;
        return given;
      } catch (thrown) {
        if (this.#cancel.aborted) return undefined;
        this.reason = `${peer.name}: ${messageOf(thrown)}`;
      }
    }
    this.#silent.add(peer.name);
    return undefined;
  }
}
