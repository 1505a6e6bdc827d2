import { type Batch, type Clock, type Frame, isOwed, systemClock } from '../base/index.ts';
import type { Refusal, WriteResult } from '../stores/contract.ts';
import type { LogRead } from '../wal/index.ts';
import { planLetters } from './dead-letter.ts';
import { ageSeconds, bytesOf, countOf, type Flight, newFlight, recordsOf, stillPending } from './flight.ts';
import { learnedBatches, learnedBytesMin, readBytesMin } from './limits.ts';
import type { LoopOptions, LoopStats } from './loop-contract.ts';
import { bisect, planBackoff, planBatches } from './plan.ts';

// Carries the frames of one log to one destination: the only file of this room that waits.
//
// - Order: batches are cut and started in log order; with `inFlightMax` 1 they are also written in it.
// - The place in the log moves over a contiguous prefix of settled batches only, so a restart repeats at most those that
//   were under way.
// - Whatever can be retried is retried for ever. After a failure one attempt at a time is made; each round of failures
//   doubles the wait.
// - Bounded: one read of the log, and `inFlightMax` batches, are in memory.

export class DeliveryLoop {
  readonly #options: LoopOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #flights: Flight[] = [];
  readonly #abort = new AbortController();
  #changed = Promise.withResolvers<void>();
  /** Through here the log has been read. */
  #readSeq: number;
  #settledSeq: number;
  /** What was read and is not settled lies in these, oldest first. */
  readonly #lent: { throughSeq: number; buffers: readonly Buffer[] }[] = [];
  /** Full batches that have been read and not started, then the frames that do not make a full one yet. */
  #ready: Frame[][] = [];
  #rest: Frame[] = [];
  /** Monotonic; when the oldest frame that belongs to no batch yet was noticed. */
  #lingerFromMs: number | undefined;
  #meanBytes = 0;
  #meanRecords = 0;
  /** How many attempts may be under way: halved by a failure, one more after each success. */
  #window: number;
  #attempts = 0;
  /** Those that wait for a place. */
  #offers = 0;
  #failures = 0;
  /** Attempts that started before the last failure do not make the wait longer. */
  #round = 0;
  #holdUntilMs = 0;
  #lastError: string | undefined;
  #failingSinceUnixMs: number | undefined;
  #batchBytesMax: number;
  #batchesSinceSplit = 0;
  #state: 'running' | 'stopping' | 'stopped' = 'running';
  readonly #pumping: Promise<void>;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#readSeq = options.from;
    this.#settledSeq = options.from;
    this.#window = options.destination.limits.inFlightMax;
    this.#batchBytesMax = options.destination.limits.batchBytesMax;
    options.feed.onDurable(() => this.#notify());
    this.#pumping = this.#pump();
  }

  stats(): LoopStats {
    const unread = Math.max(0, this.#options.feed.durableSeq - this.#readSeq);
    const held = [...this.#flights.flatMap((flight) => flight.parts.flat()), ...this.#ready.flat(), ...this.#rest];
    const oldest = held[0];
    return {
      state: this.#statsState(unread > 0 || held.length > 0),
      settledSeq: this.#settledSeq,
      lagSeconds: oldest === undefined ? 0 : ageSeconds(oldest, this.#clock),
      pendingFrames: held.length + unread,
      pendingRecords: recordsOf(held) + Math.round(unread * this.#meanRecords),
      pendingBytes: bytesOf(held) + Math.round(unread * this.#meanBytes),
      batchesInFlight: this.#attempts,
      failures: this.#failures,
      lastError: this.#lastError,
      failingSinceUnixMs: this.#failingSinceUnixMs,
    };
  }

  /**
   * One attempt at a frame beside the log's, such as a dead letter: it waits for a place among the attempts, moves no cursor
   * and becomes no dead letter. While the destination fails, it is not tried at all.
   * @param logId Of the log that the frame came from.
   */
  async offer(frame: Frame, logId: string, cancel: AbortSignal): Promise<WriteResult> {
    const { destination, signal, observer } = this.#options;
    const again = (reason: string): WriteResult => ({
      kind: 'retry',
      pending: 'all',
      refused: [],
      afterMs: undefined,
      reason,
    });
    this.#offers++;
    try {
      while (this.#failures === 0 && this.#attempts >= Math.min(this.#window, destination.limits.inFlightMax)) {
        if (this.#state !== 'running' || cancel.aborted) return again('there was no room for it in time');
        await this.#change(1_000);
      }
    } finally {
      this.#offers--;
      this.#notify();
    }
    if (this.#state !== 'running') return again('stopping');
    if (this.#failures > 0) return again(this.#lastError ?? 'the destination fails');
    this.#attempts++;
    const { records } = frame;
    const sizeBytes = frame.body.byteLength;
    try {
      const stop = AbortSignal.any([cancel, this.#abort.signal]);
      const batch = { signal, logId, frames: [frame], records, sizeBytes };
      const result = await (destination.replay?.(batch, stop) ?? destination.write(batch, stop));
      if (result.kind === 'settled') observer.sent(signal, Math.max(0, records - countOf(result.refused)), sizeBytes);
      return result;
    } catch (thrown) {
      observer.failed(signal, records, 'internal error', thrown);
      return again('internal error');
    } finally {
      this.#attempts--;
      this.#notify();
    }
  }

  #statsState(pending: boolean): LoopStats['state'] {
    if (this.#state !== 'running') return 'stopped';
    if (this.#failures > 0) return 'retrying';
    return pending ? 'delivering' : 'idle';
  }

  /**
   * Starts nothing new, waits for the attempts that are under way up to the deadline, then cancels them. What is not
   * settled then stays in the log. May be called twice.
   */
  async stop(deadlineMs: number): Promise<void> {
    if (this.#state === 'running') this.#state = 'stopping';
    this.#notify();
    const endMs = this.#clock.monotonicMs() + deadlineMs;
    while (this.#attempts > 0 && this.#clock.monotonicMs() < endMs) {
      await this.#change(endMs - this.#clock.monotonicMs());
    }
    this.#state = 'stopped';
    this.#abort.abort();
    this.#notify();
    await this.#pumping;
  }

  async #pump(): Promise<void> {
    while (this.#state === 'running') {
      if (this.#flights.length >= this.#window) {
        await this.#change();
        continue;
      }
      const batch = this.#ready.shift();
      if (batch !== undefined) {
        this.#launch(batch);
        continue;
      }
      const unread = this.#options.feed.durableSeq - this.#readSeq;
      if (unread <= 0 && this.#rest.length === 0) {
        this.#lingerFromMs = undefined;
        await this.#change();
        continue;
      }
      this.#lingerFromMs ??= this.#clock.monotonicMs();
      const lingerMs = this.#lingerFromMs + this.#options.destination.limits.lingerMs - this.#clock.monotonicMs();
      if (unread > 0 && (lingerMs <= 0 || this.#wouldFill(unread))) await this.#read();
      else if (lingerMs <= 0) this.#launch(this.#rest.splice(0));
      else await this.#change(lingerMs);
    }
  }

  /** Whether a batch would be full with what is on disk, by the mean size so far. Reading little by little costs a file operation a frame. */
  #wouldFill(unread: number): boolean {
    if (this.#meanBytes === 0) return true; // nothing has been read yet
    const bytes = bytesOf(this.#rest) + unread * this.#meanBytes;
    const records = recordsOf(this.#rest) + unread * this.#meanRecords;
    return bytes >= this.#batchBytesMax || records >= this.#options.destination.limits.batchRecordsMax;
  }

  async #read(): Promise<void> {
    const { reader, feed, observer, signal, destination } = this.#options;
    const after = this.#readSeq;
    const through = feed.durableSeq;
    let found: LogRead;
    try {
      found = await reader.read(after, through, {
        bytesMax: Math.max(readBytesMin, this.#batchBytesMax),
        recordsMax: Math.max(100_000, destination.limits.batchRecordsMax),
      });
    } catch (thrown) {
      this.#fail(this.#round, 'the log could not be read', undefined);
      observer.failed(signal, 0, 'the log could not be read', thrown);
      await this.#hold();
      return;
    }
    if (found.damage !== undefined && found.damage.length > 0) {
      this.#options.onDamage(found.damage);
      observer.skipped(
        signal,
        found.damage.reduce((frames, damage) => frames + damage.frames, 0),
      );
    }
    const last = found.frames.at(-1);
    if (last === undefined) {
      if (found.skippedThrough <= after) {
        // The owner says that there is something, the files do not show it yet: look again, not at once.
        await this.#change(50);
        return;
      }
      this.#readSeq = found.skippedThrough;
      this.#pass();
      return;
    }
    this.#readSeq = Math.max(last.seq, found.skippedThrough);
    const weight = this.#meanBytes === 0 ? 1 : 0.2;
    this.#meanBytes += weight * (bytesOf(found.frames) / found.frames.length - this.#meanBytes);
    this.#meanRecords += weight * (recordsOf(found.frames) / found.frames.length - this.#meanRecords);
    // Another replica gave them over and has delivered them here itself.
    const owed = found.frames.filter((frame) => isOwed(frame, destination.name));
    if (owed.length === 0) {
      if (found.buffers !== undefined) reader.recycle?.(found.buffers);
      this.#pass();
      return;
    }
    if (found.buffers !== undefined) this.#lent.push({ throughSeq: last.seq, buffers: found.buffers });
    const batches = planBatches([...this.#rest, ...owed], {
      bytesMax: this.#batchBytesMax,
      recordsMax: destination.limits.batchRecordsMax,
    });
    // The last one waits for more, unless its time is up: then the pump starts it as it is.
    this.#rest = batches.pop() ?? [];
    this.#ready = batches;
  }

  /** Of what was read last nothing is to be written: it is settled with what came before it, which does not wait for more. */
  #pass(): void {
    this.#lingerFromMs = undefined;
    const before = this.#flights.at(-1);
    if (this.#rest.length > 0) this.#launch(this.#rest.splice(0));
    else if (before !== undefined) before.throughSeq = this.#readSeq;
    else this.#settle(this.#readSeq);
  }

  #launch(frames: Frame[]): void {
    if (this.#rest.length === 0 && this.#ready.length === 0) this.#lingerFromMs = undefined;
    // Up to the frame that comes next, or all that was read: between them lies only what is owed to others, or lost.
    const next = this.#ready[0]?.[0] ?? this.#rest[0];
    const flight = newFlight(next === undefined ? this.#readSeq : next.seq - 1, frames);
    this.#flights.push(flight);
    void this.#fly(flight);
  }

  /** Writes one batch until nothing is left of it. Never rejects. */
  async #fly(flight: Flight): Promise<void> {
    while (await this.#admitted(flight)) {
      try {
        await this.#step(flight);
      } finally {
        // Only now: `stop` waits for what an attempt leads to, not just for its answer.
        this.#attempts--;
        this.#notify();
      }
      if (flight.parts.length === 0) return;
    }
  }

  /** One attempt at the first part of a batch, and what its answer means. */
  async #step(flight: Flight): Promise<void> {
    const part = flight.parts[0] ?? [];
    const result = await this.#attempt(part);
    if (this.#state === 'stopped') return;
    switch (result.kind) {
      case 'settled':
        if (!(await this.#refuse(part, result.refused))) return;
        flight.parts.shift();
        flight.largestBytes = Math.max(flight.largestBytes, bytesOf(part));
        break;
      case 'retry': {
        if (!(await this.#refuse(part, result.refused))) return;
        const left = stillPending(part, result.pending);
        flight.parts.splice(0, 1, ...(left.length === 0 ? [] : [left]));
        break;
      }
      case 'split': {
        flight.split = true;
        if (part.length > 1) {
          flight.parts.splice(0, 1, ...bisect(part));
          break;
        }
        flight.refused = true;
        if (
          !(await this.#refuse(part, [{ frame: 0, record: undefined, count: recordsOf(part), reason: result.reason }]))
        )
          return;
        flight.parts.shift();
        break;
      }
    }
    if (flight.parts.length > 0) return;
    this.#learn(flight.split && !flight.refused ? flight.largestBytes : undefined);
    this.#land();
  }

  /** One call of the destination. Counts, and plans the wait after a failure. */
  async #attempt(part: Frame[]): Promise<WriteResult> {
    const { destination, reader, signal, observer } = this.#options;
    const records = recordsOf(part);
    const sizeBytes = bytesOf(part);
    const batch: Batch = { signal, logId: reader.logId, frames: part, records, sizeBytes };
    const round = this.#round;
    let result: WriteResult;
    let thrown: unknown;
    try {
      result = await destination.write(batch, this.#abort.signal);
    } catch (caught) {
      thrown = caught;
      result = { kind: 'retry', pending: 'all', refused: [], afterMs: undefined, reason: 'internal error' };
    }
    if (this.#state === 'stopped') return result;
    if (result.kind === 'retry') {
      const left = stillPending(part, result.pending);
      const leftRecords = recordsOf(left);
      const refusedRecords = countOf(result.refused);
      if (left.length < part.length) {
        const leftBytes = bytesOf(left);
        observer.sent(signal, Math.max(0, records - leftRecords - refusedRecords), sizeBytes - leftBytes);
      }
      observer.failed(signal, leftRecords, result.reason, thrown);
      this.#fail(round, result.reason, result.afterMs);
    } else {
      if (result.kind === 'settled') {
        observer.sent(signal, Math.max(0, records - countOf(result.refused)), sizeBytes);
      }
      this.#succeed();
    }
    return result;
  }

  #fail(round: number, reason: string, afterMs: number | undefined): void {
    this.#lastError = reason;
    this.#failingSinceUnixMs ??= this.#clock.nowMs();
    if (round === this.#round) {
      this.#round++;
      this.#failures++;
      this.#window = Math.max(1, this.#window >> 1);
    }
    const waitMs = planBackoff(this.#failures, afterMs, this.#random());
    this.#holdUntilMs = Math.max(this.#holdUntilMs, this.#clock.monotonicMs() + waitMs);
  }

  #succeed(): void {
    this.#failures = 0;
    this.#holdUntilMs = 0;
    this.#lastError = undefined;
    this.#failingSinceUnixMs = undefined;
    this.#window = Math.min(this.#options.destination.limits.inFlightMax, this.#window + 1);
  }

  /** Waits for a place among the attempts, older batches first. False: stopping. */
  async #admitted(flight: Flight): Promise<boolean> {
    flight.waiting = true;
    while (this.#state === 'running') {
      const holdMs = this.#holdUntilMs - this.#clock.monotonicMs();
      const first = this.#flights.find((each) => each.waiting) === flight;
      // An offer goes first: there is one now and then, and batches all the time.
      if (holdMs <= 0 && first && this.#offers === 0 && this.#attempts < this.#window) {
        flight.waiting = false;
        this.#attempts++;
        this.#notify();
        return true;
      }
      await this.#change(holdMs > 0 ? holdMs : undefined);
    }
    return false;
  }

  /** Hands refused records to the dead letters, however long that takes. False: stopping before it was done. */
  async #refuse(part: readonly Frame[], refusals: readonly Refusal[]): Promise<boolean> {
    if (refusals.length === 0) return true;
    const { deadLetters, destination, signal, observer, reader } = this.#options;
    for (const letter of planLetters(refusals, part)) {
      for (;;) {
        try {
          await deadLetters.add({ ...letter, destination: destination.name, signal, logId: reader.logId });
          break;
        } catch (thrown) {
          observer.failed(signal, letter.frame.records, 'a dead letter could not be written', thrown);
          this.#fail(this.#round, 'a dead letter could not be written', undefined);
          if (!(await this.#hold())) return false;
        }
      }
    }
    for (const refusal of refusals) observer.refused(signal, refusal.count, refusal.reason);
    return this.#state !== 'stopped';
  }

  /**
   * A split after which every frame was taken was about size: later batches are cut to what went through, and after a
   * while larger again, as the far side's limit may have been raised.
   */
  #learn(fittedBytes: number | undefined): void {
    if (fittedBytes !== undefined) {
      this.#batchBytesMax = Math.max(learnedBytesMin, fittedBytes);
      this.#batchesSinceSplit = 0;
    } else if (++this.#batchesSinceSplit >= learnedBatches) {
      this.#batchBytesMax = Math.min(this.#options.destination.limits.batchBytesMax, this.#batchBytesMax * 2);
      this.#batchesSinceSplit = 0;
    }
  }

  /** Moves the place in the log over all that is settled without a gap. */
  #land(): void {
    let through: number | undefined;
    for (let head = this.#flights[0]; head !== undefined && head.parts.length === 0; head = this.#flights[0]) {
      through = head.throughSeq;
      this.#flights.shift();
    }
    if (through !== undefined) this.#settle(through);
    this.#notify();
  }

  #settle(through: number): void {
    this.#settledSeq = through;
    this.#giveBack(through);
    this.#options.onSettled(through);
  }

  /** Destinations keep no batch: what it lay in can take the next one. */
  #giveBack(throughSeq: number): void {
    const { reader } = this.#options;
    for (let read = this.#lent[0]; read !== undefined && read.throughSeq <= throughSeq; read = this.#lent[0]) {
      this.#lent.shift();
      reader.recycle?.(read.buffers);
    }
  }

  /** Waits out the backoff. False: stopping. */
  async #hold(): Promise<boolean> {
    while (this.#state === 'running') {
      const holdMs = this.#holdUntilMs - this.#clock.monotonicMs();
      if (holdMs <= 0) return true;
      await this.#change(holdMs);
    }
    return false;
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Resolves at the next change, or after so many milliseconds. */
  async #change(ms?: number): Promise<void> {
    const changed = this.#changed.promise;
    if (ms === undefined) return changed;
    let timer: NodeJS.Timeout | undefined;
    const timeUp = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([changed, timeUp]);
    clearTimeout(timer);
  }
}
