import type { Signal } from '../base/index.ts';
import type { DeliveryObserver, DeliveryStats } from '../deliver/index.ts';
import type { ReasonCount, Report, StoreStats } from './protocol.ts';

/** Reasons that are kept apart between two reports; further ones are counted as one. */
const reasonsMax = 100;

/** Gathers what delivery tells, until it is sent. */
export class ReportBuffer implements DeliveryObserver {
  readonly #sent = new Map<Signal, { records: number; sizeBytes: number }>();
  readonly #skipped = new Map<Signal, number>();
  readonly #failed = new Map<string, ReasonCount>();
  readonly #refused = new Map<string, ReasonCount>();
  readonly #onThrown: (thrown: unknown, reason: string) => void;

  /** @param onThrown Hears of bugs: an error does not cross with the report. */
  constructor(onThrown: (thrown: unknown, reason: string) => void) {
    this.#onThrown = onThrown;
  }

  sent(signal: Signal, records: number, sizeBytes: number): void {
    const before = this.#sent.get(signal);
    this.#sent.set(signal, {
      records: (before?.records ?? 0) + records,
      sizeBytes: (before?.sizeBytes ?? 0) + sizeBytes,
    });
  }

  failed(signal: Signal, records: number, reason: string, thrown?: unknown): void {
    count(this.#failed, signal, records, reason);
    if (thrown !== undefined) this.#onThrown(thrown, reason);
  }

  refused(signal: Signal, records: number, reason: string): void {
    count(this.#refused, signal, records, reason);
  }

  skipped(signal: Signal, frames: number): void {
    this.#skipped.set(signal, (this.#skipped.get(signal) ?? 0) + frames);
  }

  get empty(): boolean {
    return this.#sent.size + this.#skipped.size + this.#failed.size + this.#refused.size === 0;
  }

  take(stats: DeliveryStats, store: StoreStats): Report {
    const report: Report = {
      stats,
      store,
      sent: [...this.#sent].map(([signal, sum]) => ({ signal, ...sum })),
      skipped: [...this.#skipped].map(([signal, frames]) => ({ signal, frames })),
      failed: [...this.#failed.values()],
      refused: [...this.#refused.values()],
    };
    for (const gathered of [this.#sent, this.#skipped, this.#failed, this.#refused]) gathered.clear();
    return report;
  }
}

/** Tells an observer what a report holds. */
export function replay(report: Report, observer: DeliveryObserver): void {
  for (const { signal, records, sizeBytes } of report.sent) observer.sent(signal, records, sizeBytes);
  for (const { signal, frames } of report.skipped) observer.skipped(signal, frames);
  for (const { signal, records, reason } of report.failed) observer.failed(signal, records, reason);
  for (const { signal, records, reason } of report.refused) observer.refused(signal, records, reason);
}

function count(counts: Map<string, ReasonCount>, signal: Signal, records: number, reason: string): void {
  const told = counts.size < reasonsMax || counts.has(`${signal} ${reason}`) ? reason : 'other reasons';
  const key = `${signal} ${told}`;
  counts.set(key, { signal, reason: told, records: (counts.get(key)?.records ?? 0) + records });
}
