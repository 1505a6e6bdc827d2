import type { Signal } from '../base/index.ts';
import type { PipelineLedger } from './ledger.ts';
import type { MetricSource, OwnMetric } from './metrics.ts';

interface HandOverCounts {
  readonly handedOver: { requests: number; records: number };
  readonly takenOver: { requests: number; records: number };
}

/**
 * Hears of everything on its way, from the receivers, the ingest and the destinations, and keeps plain numbers: the hot
 * path makes no label object and no string.
 */
export class PipelineCounters {
  readonly #ledger: PipelineLedger;
  readonly #counts = new Map<
    OwnMetric,
    Map<string, { readonly labels: { readonly [name: string]: string }; value: number }>
  >();
  readonly #accepted: Record<Signal, Map<string, number>> = { traces: new Map(), metrics: new Map(), logs: new Map() };

  readonly #handOver: Record<Signal, HandOverCounts> = {
    traces: { handedOver: { requests: 0, records: 0 }, takenOver: { requests: 0, records: 0 } },
    metrics: { handedOver: { requests: 0, records: 0 }, takenOver: { requests: 0, records: 0 } },
    logs: { handedOver: { requests: 0, records: 0 }, takenOver: { requests: 0, records: 0 } },
  };
  readonly #requests = new Map<
    string,
    { signal: Signal; protocol: string; code: string; count: number; bytes: number }
  >();

  constructor(ledger: PipelineLedger) {
    this.#ledger = ledger;
  }

  received(service: string, signal: Signal, records: number, throughSeq: number, protocol: string): void {
    const byProtocol = this.#accepted[signal];
    byProtocol.set(protocol, (byProtocol.get(protocol) ?? 0) + records);
    this.#ledger.received(service, signal, records, throughSeq);
  }

  rejected(signal: Signal, records: number, reason: string, first: string): void {
    this.#add('watchingcat_receiver_rejected_total', records, { signal });
    this.#ledger.rejected(signal, records, reason, first);
  }

  refused(service: string, signal: Signal, records: number): void {
    this.#add('watchingcat_receiver_refused_total', records, { signal });
    this.#ledger.refused(service, signal, records);
  }

  repeated(signal: Signal, records: number): void {
    this.#add('watchingcat_receiver_repeated_total', records, { signal });
  }

  /** A request that a destination had not got is on another replica's disk. */
  handedOver(signal: Signal, records: number): void {
    this.#add('watchingcat_handed_over_total', records, { signal });
    this.#handOver[signal].handedOver.requests += 1;
    this.#handOver[signal].handedOver.records += records;
  }

  /** The same from the other side. */
  takenOver(signal: Signal, records: number): void {
    this.#add('watchingcat_taken_over_total', records, { signal });
    this.#handOver[signal].takenOver.requests += 1;
    this.#handOver[signal].takenOver.records += records;
  }

  /** What was handed over and taken over since the start. */
  handOver(): Readonly<Record<Signal, HandOverCounts>> {
    return this.#handOver;
  }

  /** @param code Why the request was refused; 'ok' where all or a part of it was accepted, 'cancelled' where the client left. */
  requestEnded(signal: Signal, protocol: string, code: string, receivedBytes: number): void {
    // Looked up by key, so that no label object is made for a request.
    const key = `${signal} ${protocol} ${code}`;
    let request = this.#requests.get(key);
    if (request === undefined) {
      request = { signal, protocol, code, count: 0, bytes: 0 };
      this.#requests.set(key, request);
    }
    request.count += 1;
    request.bytes += receivedBytes;
    if (code === 'ok' || code === 'cancelled' || code === 'unavailable') return;
    // How many records it held nobody can say: counted as one request.
    this.#ledger.dropped(signal, 'receive', `a whole request was refused: ${code}`, 1, { protocol });
  }

  /** What one destination tells; its name is a label. */
  destination(destination: string): {
    sent(signal: Signal, records: number, sizeBytes: number): void;
    failed(signal: Signal, records: number, reason: string): void;
    refused(signal: Signal, records: number, reason: string): void;
    skipped(signal: Signal, frames: number): void;
  } {
    return {
      sent: (signal, records) => this.#add('watchingcat_destination_sent_total', records, { destination, signal }),
      failed: (signal, records) =>
        this.#add('watchingcat_destination_send_failed_total', records, { destination, signal }),
      refused: (signal, records, reason) => {
        this.#add('watchingcat_destination_refused_total', records, { destination, signal });
        this.#ledger.dropped(signal, `deliver/${destination}`, reason, records, {});
      },
      skipped: (signal, frames) =>
        this.#ledger.dropped(
          signal,
          `deliver/${destination}`,
          'damage in the log made requests unreadable',
          frames,
          {},
        ),
    };
  }

  /** For `OwnMetrics.register`. */
  readonly source: MetricSource = () => {
    const accepted = Object.entries(this.#accepted).flatMap(([signal, byProtocol]) =>
      [...byProtocol].map(([protocol, value]) => ({ labels: { signal, protocol }, value })),
    );
    const requests = [...this.#requests.values()];
    return [
      ['watchingcat_receiver_accepted_total', accepted],
      [
        'watchingcat_receiver_requests_total',
        requests.map(({ signal, protocol, code, count }) => ({ labels: { signal, protocol, code }, value: count })),
      ],
      // Samples of one series add up.
      [
        'watchingcat_receiver_bytes_total',
        requests.map(({ signal, protocol, bytes }) => ({ labels: { signal, protocol }, value: bytes })),
      ],
      ...[...this.#counts].map(([name, series]) => [name, [...series.values()]] as const),
    ];
  };

  #add(metric: OwnMetric, value: number, labels: { readonly [name: string]: string }): void {
    let series = this.#counts.get(metric);
    if (series === undefined) {
      series = new Map();
      this.#counts.set(metric, series);
    }
    const key = Object.values(labels).join('\n');
    const held = series.get(key);
    if (held === undefined) series.set(key, { labels, value });
    else held.value += value;
  }
}
