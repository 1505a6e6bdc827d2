import { type Clock, type Signal, signals } from '../base/index.ts';
import { chunksMax, dropGroupsMax, framesPerChunk, servicesMax } from './limits.ts';

interface Count {
  readonly count: number;
  /** undefined: never. */
  readonly lastSeenUnixNano: bigint | undefined;
}

/** One signal of one service on its way, in records. */
export interface Flow {
  readonly service: string;
  readonly signal: Signal;
  readonly received: Count;
  readonly rejected: Count;
  readonly refused: Count;
  readonly stored: { readonly [destination: string]: Count };
}

export interface Drop {
  readonly signal: Signal;
  readonly stage: string;
  readonly reason: string;
  readonly count: number;
  readonly lastSeenUnixNano: bigint;
  readonly sample: { readonly [name: string]: string };
}

/** How far a destination is in a signal's log. */
export type SettledThrough = (destination: string, signal: Signal) => number;

/**
 * What arrived, what did not and how far the rest is, by service and signal, since the process started.
 *
 * What a destination has stored is told by its place in the log: records are counted in chunks of frames when they are
 * received, and a chunk counts as stored when the place has passed it. So nothing is decoded for it, and the
 * destinations need not know of services. Frames of an earlier run are not counted.
 */
export class PipelineLedger {
  readonly #clock: Clock;
  readonly #flows: Record<Signal, Map<string, MutableFlow>>;
  readonly #chunks: Record<Signal, Chunk[]>;
  readonly #drops = new Map<
    string,
    { signal: Signal; stage: string; reason: string } & Tally & { sample: Drop['sample'] }
  >();
  /** Destinations by signal. */
  readonly #destinations: Record<Signal, Set<string>>;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#flows = { traces: new Map(), metrics: new Map(), logs: new Map() };
    this.#chunks = { traces: [], metrics: [], logs: [] };
    this.#destinations = { traces: new Set(), metrics: new Set(), logs: new Set() };
  }

  /** Names a destination before the first record is received. */
  deliversTo(destination: string, signal: Signal): void {
    this.#destinations[signal].add(destination);
  }

  /** @param throughSeq The log's durable end: the records' frame is at or before it. */
  received(service: string, signal: Signal, records: number, throughSeq: number): void {
    const flow = this.#flow(service, signal);
    add(flow.received, records, this.#clock.nowMs());
    if (this.#destinations[signal].size === 0) return;
    const chunks = this.#chunks[signal];
    let last = chunks.at(-1);
    // What a destination has passed takes nothing more: it would not be counted for it.
    const passed = last !== undefined && last.due.size < this.#destinations[signal].size;
    if (last === undefined || passed || throughSeq - last.firstSeq >= framesPerChunk) {
      last = {
        firstSeq: throughSeq,
        lastSeq: throughSeq,
        records: new Map(),
        due: new Set(this.#destinations[signal]),
      };
      chunks.push(last);
      if (chunks.length > chunksMax) joinOldest(chunks);
    }
    last.lastSeq = throughSeq;
    last.records.set(flow, (last.records.get(flow) ?? 0) + records);
  }

  rejected(signal: Signal, records: number, reason: string, first: string): void {
    add(this.#flow('', signal).rejected, records, this.#clock.nowMs());
    this.dropped(signal, 'receive', reason, records, first === '' ? {} : { first });
  }

  refused(service: string, signal: Signal, records: number): void {
    add(this.#flow(service, signal).refused, records, this.#clock.nowMs());
  }

  /**
   * Records, or where nobody can count them a request, that will not be stored.
   * @param reason One sentence, the same for all of a group.
   * @param sample Names only, never a value.
   */
  dropped(signal: Signal, stage: string, reason: string, count: number, sample: Drop['sample']): void {
    const key = `${signal} ${stage} ${reason}`;
    const group = this.#drops.get(key) ?? { signal, stage, reason, count: 0, lastSeenMs: 0, sample };
    // Last in the map is seen last.
    this.#drops.delete(key);
    this.#drops.set(key, group);
    add(group, count, this.#clock.nowMs());
    const oldest = this.#drops.keys().next();
    if (this.#drops.size > dropGroupsMax && !oldest.done) this.#drops.delete(oldest.value);
  }

  /** Counts as stored what the destinations have passed. Cheap; to be called now and then, and before `status`. */
  advance(settledThrough: SettledThrough): void {
    for (const signal of signals) {
      const chunks = this.#chunks[signal];
      const nowMs = this.#clock.nowMs();
      for (const destination of this.#destinations[signal]) {
        const through = settledThrough(destination, signal);
        for (const chunk of chunks) {
          if (chunk.lastSeq > through) break;
          if (!chunk.due.delete(destination)) continue;
          for (const [flow, records] of chunk.records) add(storedOf(flow, destination), records, nowMs);
        }
      }
      let done = 0;
      // The last one may still grow.
      while (done < chunks.length && chunks[done]!.due.size === 0) done += 1;
      chunks.splice(0, done);
    }
  }

  status(): readonly Flow[] {
    return signals
      .flatMap((signal) => [...this.#flows[signal].values()])
      .map((flow) => ({
        service: flow.service,
        signal: flow.signal,
        received: count(flow.received),
        rejected: count(flow.rejected),
        refused: count(flow.refused),
        stored: Object.fromEntries([...flow.stored].map(([destination, tally]) => [destination, count(tally)])),
      }))
      .sort((a, b) => (a.service < b.service ? -1 : a.service > b.service ? 1 : a.signal < b.signal ? -1 : 1));
  }

  drops(): readonly Drop[] {
    return [...this.#drops.values()].reverse().map(({ signal, stage, reason, count, lastSeenMs, sample }) => ({
      signal,
      stage,
      reason,
      count,
      lastSeenUnixNano: BigInt(lastSeenMs) * 1_000_000n,
      sample,
    }));
  }

  #flow(service: string, signal: Signal): MutableFlow {
    const flows = this.#flows[signal];
    const known = flows.get(service) ?? (flows.size < servicesMax ? undefined : flows.get(''));
    if (known !== undefined) return known;
    const name = flows.size < servicesMax ? service : '';
    const flow: MutableFlow = {
      service: name,
      signal,
      received: { count: 0, lastSeenMs: 0 },
      rejected: { count: 0, lastSeenMs: 0 },
      refused: { count: 0, lastSeenMs: 0 },
      stored: new Map(),
    };
    flows.set(name, flow);
    return flow;
  }
}

interface Tally {
  count: number;
  /** Wall clock; 0: never. */
  lastSeenMs: number;
}

interface MutableFlow {
  readonly service: string;
  readonly signal: Signal;
  readonly received: Tally;
  readonly rejected: Tally;
  readonly refused: Tally;
  readonly stored: Map<string, Tally>;
}

/** Records of neighbouring frames. */
interface Chunk {
  readonly firstSeq: number;
  lastSeq: number;
  readonly records: Map<MutableFlow, number>;
  /** Destinations that have not passed it. */
  readonly due: Set<string>;
}

function add(tally: Tally, records: number, nowMs: number): void {
  tally.count += records;
  tally.lastSeenMs = nowMs;
}

function count(tally: Tally): Count {
  return {
    count: tally.count,
    lastSeenUnixNano: tally.lastSeenMs === 0 ? undefined : BigInt(tally.lastSeenMs) * 1_000_000n,
  };
}

function storedOf(flow: MutableFlow, destination: string): Tally {
  let tally = flow.stored.get(destination);
  if (tally === undefined) {
    tally = { count: 0, lastSeenMs: 0 };
    flow.stored.set(destination, tally);
  }
  return tally;
}

/** The second takes the first into it. One that is stored in part already is left out: it is nearly done. */
function joinOldest(chunks: Chunk[]): void {
  const [first, second] = chunks;
  if (first === undefined || second === undefined || first.due.size !== second.due.size) return;
  for (const [flow, records] of first.records) second.records.set(flow, (second.records.get(flow) ?? 0) + records);
  chunks.shift();
}
