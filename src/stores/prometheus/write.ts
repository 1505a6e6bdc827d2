import { compressSync } from 'snappy';
import type { Batch, Clock, Signal } from '../../base/index.ts';
import type { Access, BatchLimits, Destination, Keeper, Refusal, WriteResult } from '../contract.ts';
import { Client, type Reply } from './client.ts';
import { type Collected, Collector } from './collect.ts';
import { contentTypes, Encoder, type Version } from './encode.ts';
import type { Naming } from './labels.ts';
import {
  batchBytesMax,
  batchRecordsMax,
  deadlineMs,
  deltaForgetMs,
  deltaSeriesMax,
  lingerMs,
  metadataAgainMs,
  seriesCachedMax,
  seriesGenerationMs,
} from './limits.ts';
import { Probe } from './probe.ts';
import { type Family, type Series, SeriesLimit } from './series.ts';
import { Shard } from './shard.ts';
import { AttemptNote, type KnownFile, TotalsFile } from './state.ts';
import { SumKeeper } from './sum-keeper.ts';
import { type Verdict, verdict } from './verdict.ts';

// Batches to Prometheus by remote write, 2.0 where the far side knows it.
//
// - Order: one batch at a time; in it the samples of a series go through one shard, in order of time.
// - Repeats: a batch that has to wait goes on where it stopped. One whose answer was lost, or that comes again after a
//   crash, gives the same samples: those Prometheus takes for the same, or calls out of order where a newer one of the
//   series is there and it has no window for late ones. Such a refusal of what was sent before means "already there".
// - Sums of deltas move on with the log: what a batch adds counts once it is settled.

export interface WriteOptions {
  readonly url: URL;
  readonly access: Access;
  readonly version: string;
  readonly folder: string;
  readonly naming: Naming;
  readonly customBuckets: boolean;
  readonly deltaToCumulative: boolean;
  readonly replica: string | undefined;
  readonly seriesMax: number;
  readonly shards: number;
  /** 'auto': 2.0, and 1.0 once the far side turns out not to know it. */
  readonly protocol: 'auto' | Version;
  readonly clock: Clock;
  readonly known: KnownFile;
}

/** A batch that is not settled. */
interface Open {
  readonly batch: {
    readonly logId: string;
    readonly firstSeq: number;
    readonly lastSeq: number;
    readonly frames: number;
  };
  readonly seqs: readonly number[];
  readonly collector: Collector;
  /** The part that is being sent, and what was refused of those before. */
  collected: Collected;
  shards: readonly Shard[];
  readonly refused: Refusal[];
}
type Wait = Extract<Verdict, { kind: 'retry' }>;

export class PrometheusDestination implements Destination {
  readonly name = 'prometheus';
  readonly takes: ReadonlySet<Signal> = new Set(['metrics'] as const);
  readonly limits: BatchLimits = { batchBytesMax, batchRecordsMax, lingerMs, inFlightMax: 1 };
  readonly keeper?: Keeper;
  readonly #options: WriteOptions;
  readonly #client: Client;
  readonly #collector: Collector;
  readonly #limit: SeriesLimit;
  readonly #note: AttemptNote;
  readonly #sums: SumKeeper | undefined;
  /** One a shard: what an encoder returns holds until its next call. */
  readonly #encoders: readonly Encoder[];
  readonly #probe = new Probe();
  readonly #metadataSentMs = new Map<string, number>();
  #learntMs = Number.NEGATIVE_INFINITY;
  #protocol: Version;
  #open: Open | undefined;
  /** Frames through this one may have been stored without our having been told. */
  #doubtful: { logId: string; seq: number };

  constructor(options: WriteOptions) {
    this.#options = options;
    this.#note = new AttemptNote(options.folder);
    this.#doubtful = { logId: this.#note.logId, seq: this.#note.seq };
    this.#protocol = options.protocol === '1.0' ? '1.0' : '2.0';
    this.#client = new Client({ tls: options.access.tls, connectionsMax: options.shards });
    this.#limit = new SeriesLimit(options.seriesMax, seriesGenerationMs);
    this.#encoders = Array.from({ length: options.shards }, () => new Encoder());
    if (options.deltaToCumulative) {
      this.#sums = new SumKeeper(
        new TotalsFile(options.folder, { seriesMax: deltaSeriesMax, forgetMs: deltaForgetMs }),
        options.clock,
      );
      this.keeper = this.#sums;
    }
    this.#collector = this.#collecting(this.#sums?.totals);
  }

  #collecting(totals: SumKeeper['totals'] | undefined): Collector {
    return new Collector({
      naming: this.#options.naming,
      customBuckets: this.#options.customBuckets,
      totals,
      replica: this.#options.replica,
      limit: this.#limit,
      seriesCachedMax,
    });
  }

  /**
   * Neither notes its place nor touches the sums: a delta that was refused is in its sum already, and is refused again. What
   * Prometheus calls too old or out of order is not taken for something that it has.
   */
  async replay(batch: Batch, cancel: AbortSignal): Promise<WriteResult> {
    const unplaced = { ...batch, logId: '' };
    const open = this.#openedWith(this.#collecting(undefined), unplaced);
    const wait = await this.#deliver(open, unplaced, cancel);
    if (wait === undefined) return { kind: 'settled', refused: open.refused };
    return { kind: 'retry', pending: 'all', refused: [], afterMs: wait.afterMs, reason: wait.reason };
  }

  async write(batch: Batch, cancel: AbortSignal): Promise<WriteResult> {
    const open = await this.#opened(batch);
    this.#note.write(batch.logId, open.batch.lastSeq);
    const wait = await this.#deliver(open, batch, cancel);
    if (wait !== undefined) {
      if (wait.doubtful) this.#doubtful = { logId: batch.logId, seq: open.batch.lastSeq };
      return { kind: 'retry', pending: 'all', refused: [], afterMs: wait.afterMs, reason: wait.reason };
    }
    const { refused } = open;
    this.#open = undefined;
    const nowMs = this.#options.clock.monotonicMs();
    this.#learn(nowMs);
    this.#sums?.counted(batch.logId, open.batch.lastSeq, refused.length > 0);
    return { kind: 'settled', refused };
  }

  /** Sends part after part. @returns what has to be waited for; then the next call goes on there. */
  async #deliver(open: Open, batch: Batch, cancel: AbortSignal): Promise<Wait | undefined> {
    for (;;) {
      for (const shard of open.shards) shard.begin();
      const all = await Promise.all(open.shards.map((shard, index) => this.#send(shard, index, open, cancel)));
      const waits = all.filter((wait) => wait !== undefined);
      const [first] = waits;
      if (first !== undefined) {
        const asked = waits.map(({ afterMs }) => afterMs).filter((afterMs) => afterMs !== undefined);
        return {
          ...first,
          afterMs: asked.length === 0 ? undefined : Math.max(...asked),
          doubtful: waits.some(({ doubtful }) => doubtful),
        };
      }
      open.refused.push(...this.#refusals(open));
      const { next } = open.collected;
      if (next === undefined) return undefined;
      open.collected = open.collector.collect(batch, next);
      open.shards = this.#sharded(open.collected);
    }
  }

  #learn(nowMs: number): void {
    const { known } = this.#options;
    known.learn(this.#collector.newFamilies());
    if (nowMs - this.#learntMs < metadataAgainMs) return;
    this.#learntMs = nowMs;
    known.save();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    await this.#sums?.close(this.#open !== undefined);
    this.#note.close();
  }

  /** The batch as samples: where it stopped if it comes again. */
  async #opened(batch: Batch): Promise<Open> {
    const first = batch.frames[0]!;
    const last = batch.frames.at(-1)!;
    const known = this.#open?.batch;
    if (
      this.#open !== undefined &&
      known?.logId === batch.logId &&
      known.firstSeq === first.seq &&
      known.lastSeq === last.seq &&
      known.frames === batch.frames.length
    ) {
      return this.#open;
    }
    await this.#sums?.begin(this.#open !== undefined);
    this.#limit.turn(this.#options.clock.monotonicMs());
    this.#open = this.#openedWith(this.#collector, batch);
    return this.#open;
  }

  #openedWith(collector: Collector, batch: Batch): Open {
    const collected = collector.collect(batch);
    const [first, last] = [batch.frames[0]!, batch.frames.at(-1)!];
    return {
      batch: { logId: batch.logId, firstSeq: first.seq, lastSeq: last.seq, frames: batch.frames.length },
      seqs: batch.frames.map((frame) => frame.seq),
      collector,
      collected,
      shards: this.#sharded(collected),
      refused: [],
    };
  }

  #sharded({ samples }: Collected): Shard[] {
    const count = this.#options.shards;
    const orders: number[][] = Array.from({ length: count }, () => []);
    for (const series of samples.touched) {
      const order = orders[series.fingerprint % count]!;
      for (let at = series.first; at >= 0; at = samples.next[at]!) order.push(at);
    }
    return orders.map((order) => new Shard(samples, order));
  }

  /** Sends what a shard has, until it is settled or has to wait. */
  async #send(
    shard: Shard,
    index: number,
    { collector, collected }: Open,
    cancel: AbortSignal,
  ): Promise<Wait | undefined> {
    const { clock } = this.#options;
    for (let step = shard.step; step !== undefined; step = shard.step) {
      const version = this.#protocol;
      const families = version === '1.0' ? this.#familiesToTell(collected.samples.touched, clock.monotonicMs()) : [];
      const encoded = this.#encoders[index]!.encode(version, collected.samples, step.order, collector.table, families);
      const reply = await this.#post(version, compressSync(encoded.body), cancel);
      const found = verdict(reply, version, encoded, clock.nowMs());
      if (found.kind === 'retry') {
        if (!found.failed) return found;
        const nowMs = clock.monotonicMs();
        if (shard.isSuspect) shard.blame(await this.#takesSamples(version, cancel), nowMs, found.reason);
        if (shard.step === step && !shard.failed(nowMs)) return found;
        continue;
      }
      if (found.kind !== 'older') shard.settle(found);
      else if (this.#options.protocol === 'auto') this.#protocol = '1.0';
      else return { kind: 'retry', reason: found.reason, afterMs: undefined, doubtful: false, failed: false };
    }
    return undefined;
  }

  #post(version: Version, body: Uint8Array, cancel: AbortSignal): Promise<Reply> {
    return this.#client.call(
      {
        method: 'POST',
        url: this.#options.url,
        headers: {
          ...this.#options.access.headers,
          'content-type': contentTypes[version],
          'content-encoding': 'snappy',
          'x-prometheus-remote-write-version': version === '2.0' ? '2.0.0' : '0.1.0',
          'user-agent': `watchingcat/${this.#options.version}`,
        },
        body,
        deadlineMs,
      },
      cancel,
    );
  }

  /** Whether the far side stores a sample right now. */
  async #takesSamples(version: Version, cancel: AbortSignal): Promise<boolean> {
    const nowMs = this.#options.clock.nowMs();
    const encoded = this.#probe.encode(version, nowMs);
    const reply = await this.#post(version, compressSync(encoded.body), cancel);
    return verdict(reply, version, encoded, nowMs).kind === 'stored';
  }

  /** Of 1.0, which tells metadata apart from the samples: those not told of late, so many at a time. */
  #familiesToTell(touched: readonly Series[], nowMs: number): Family[] {
    const told: Family[] = [];
    for (const { family } of touched) {
      const sentMs = this.#metadataSentMs.get(family.name);
      if (sentMs !== undefined && nowMs - sentMs < metadataAgainMs) continue;
      this.#metadataSentMs.set(family.name, nowMs);
      told.push(family);
    }
    if (this.#metadataSentMs.size > seriesCachedMax) this.#metadataSentMs.clear();
    return told;
  }

  #refusals({ batch, seqs, collected, shards }: Open): Refusal[] {
    const { samples } = collected;
    const refused = [...collected.refused];
    const seen = new Set(refused.map(({ frame, record }) => `${frame} ${record}`));
    for (const { sample, reason, alreadyThere } of shards.flatMap((shard) => shard.refused)) {
      const frame = samples.frames[sample]!;
      const record = samples.records[sample]!;
      if (frame < 0) continue; // target_info: derived, and made again with the next batch
      if (alreadyThere && batch.logId === this.#doubtful.logId && seqs[frame]! <= this.#doubtful.seq) continue;
      const key = `${frame} ${record}`;
      if (seen.has(key)) continue;
      seen.add(key);
      refused.push({ frame, record, count: 1, reason });
    }
    return refused;
  }
}
