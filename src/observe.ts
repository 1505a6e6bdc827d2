import type { HealthReport, HealthSource, PipelineSource } from './api/index.ts';
import { type Clock, type Signal, signals } from './base/index.ts';
import type { DeliveryStats } from './deliver/index.ts';
import type { KubernetesEnrichment } from './enrich/index.ts';
import { enrichmentMetrics } from './enrichment.ts';
import type { Admission, Listener } from './receive/index.ts';
import { assessHealth, type OwnMetrics, type PipelineCounters, type PipelineLedger } from './self/index.ts';
import type { DeadLetters, OwnedLog } from './wal/index.ts';

/** How often the ledger looks how far the destinations are. */
const advanceMs = 1_000;

/** Ties what `/health`, `/metrics` and `/api/v1/pipeline` show to the parts that know it. */
export function observeParts(parts: {
  readonly clock: Clock;
  readonly logs: Readonly<Record<Signal, OwnedLog>>;
  readonly destinations: readonly { readonly name: string; stats(): DeliveryStats }[];
  readonly deadLetters: DeadLetters;
  readonly admission: Admission;
  readonly kubernetes: KubernetesEnrichment | undefined;
  readonly ledger: PipelineLedger;
  readonly counters: PipelineCounters;
  readonly metrics: OwnMetrics;
  readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}): {
  readonly health: HealthSource;
  readonly pipeline: PipelineSource;
  listening(addresses: { readonly [name: string]: string }, listeners: { readonly [name: string]: Listener }): void;
  draining(): void;
  close(): void;
} {
  const { clock, logs, destinations, deadLetters, admission, kubernetes, ledger, counters, metrics, logger } = parts;
  const startedMs = clock.monotonicMs();
  let addresses: { readonly [name: string]: string } = {};
  let listeners: { readonly [name: string]: Listener } = {};
  let ready = false;

  const advance = () => {
    const stats = new Map(destinations.map((destination) => [destination.name, destination.stats()]));
    ledger.advance((name, signal) => stats.get(name)?.[signal]?.settledSeq ?? 0);
  };
  const failing = new Set<string>();
  /** One line when a destination begins to fail and one when it works again: what an operator looks for in the log. */
  const watch = () => {
    for (const destination of destinations) {
      for (const [signal, loop] of Object.entries(destination.stats())) {
        const key = `${destination.name} ${signal}`;
        const fields = { destination: destination.name, signal, pendingBytes: loop.pendingBytes };
        if (loop.lastError !== undefined && !failing.has(key)) {
          failing.add(key);
          logger.warn(
            { ...fields, reason: loop.lastError },
            'delivery fails and is tried again; the log keeps what waits',
          );
        } else if (loop.lastError === undefined && failing.delete(key)) {
          logger.info(fields, 'delivery works again');
        }
      }
    }
  };
  const advancing = setInterval(() => {
    advance();
    watch();
  }, advanceMs).unref();

  metrics.register(counters.source);
  if (kubernetes !== undefined) metrics.register(enrichmentMetrics(kubernetes));
  metrics.register(function* () {
    const bySignal = (value: (log: OwnedLog) => number) =>
      signals.map((signal) => ({ labels: { signal }, value: value(logs[signal]) }));
    yield ['watchingcat_wal_size_bytes', bySignal((log) => log.stats().sizeBytes)];
    yield ['watchingcat_wal_max_bytes', bySignal((log) => log.stats().maxBytes)];
    yield ['watchingcat_wal_refusing', bySignal((log) => (log.stats().refusing === undefined ? 0 : 1))];
    yield ['watchingcat_wal_durable_seq', bySignal((log) => log.durableSeq)];
    yield ['watchingcat_wal_corrupt_frames_total', bySignal((log) => log.stats().corruptFrames)];
    yield ['watchingcat_wal_quarantined_bytes_total', bySignal((log) => log.stats().quarantinedBytes)];
    const loops = destinations.flatMap((destination) =>
      Object.entries(destination.stats()).map(([signal, loop]) => ({
        labels: { destination: destination.name, signal },
        loop,
      })),
    );
    yield [
      'watchingcat_destination_queue_size',
      loops.map(({ labels, loop }) => ({ labels, value: loop.pendingFrames })),
    ];
    yield [
      'watchingcat_destination_queue_bytes',
      loops.map(({ labels, loop }) => ({ labels, value: loop.pendingBytes })),
    ];
    yield [
      'watchingcat_destination_lag_seconds',
      loops.map(({ labels, loop }) => ({ labels, value: loop.lagSeconds })),
    ];
    const letters = deadLetters.stats();
    yield ['watchingcat_dead_letters', [{ labels: {}, value: letters.letters }]];
    yield ['watchingcat_dead_letters_bytes', [{ labels: {}, value: letters.sizeBytes }]];
    yield ['watchingcat_dead_letters_dropped_total', [{ labels: {}, value: letters.droppedLetters }]];
    yield ['watchingcat_receiver_held_bytes', [{ labels: {}, value: admission.heldBytes }]];
    const doors = Object.entries(listeners).map(([listener, door]) => ({ labels: { listener }, stats: door.stats() }));
    yield [
      'watchingcat_receiver_connections',
      doors.map(({ labels, stats }) => ({ labels, value: stats.connections })),
    ];
    yield [
      'watchingcat_receiver_connections_refused_total',
      doors.map(({ labels, stats }) => ({ labels, value: stats.connectionsRefusedTotal })),
    ];
    yield [
      'watchingcat_receiver_connections_failed_total',
      doors.map(({ labels, stats }) => ({ labels, value: stats.connectionsFailedTotal })),
    ];
  });

  return {
    health: {
      ready: () => ready,
      report() {
        const { status, destinations: reports } = assessHealth({
          refusing: signals.some((signal) => logs[signal].stats().refusing !== undefined),
          concerns: deadLetters.stats().droppedLetters > 0,
          destinations: destinations.map((destination) => ({
            name: destination.name,
            trouble: undefined,
            loops: destination.stats(),
          })),
          nowMs: clock.nowMs(),
        });
        const uptimeSeconds = Math.floor((clock.monotonicMs() - startedMs) / 1000);
        return { status, uptimeSeconds, listeners: addresses, destinations: reports, enrichment: enrichment() };
      },
    },
    pipeline: {
      status() {
        advance();
        return ledger.status();
      },
      drops: () => ledger.drops(),
      handOver: () => counters.handOver(),
      destinations() {
        const letters = Map.groupBy(deadLetters.list(), ({ destination, signal }) => `${destination} ${signal}`);
        return destinations.flatMap((each) =>
          Object.entries(each.stats()).map(([signal, loop]) => ({
            destination: each.name,
            signal: signal as Signal,
            state: loop.state,
            lagSeconds: loop.lagSeconds,
            pendingRequests: loop.pendingFrames,
            pendingRecords: loop.pendingRecords,
            pendingBytes: loop.pendingBytes,
            batchesInFlight: loop.batchesInFlight,
            failures: loop.failures,
            lastError: loop.lastError,
            failingSinceUnixMs: loop.failingSinceUnixMs,
            deadLetters: letters.get(`${each.name} ${signal}`)?.length ?? 0,
          })),
        );
      },
    },
    listening(bound, doors) {
      addresses = bound;
      listeners = doors;
      ready = true;
    },
    draining() {
      ready = false;
    },
    close: () => clearInterval(advancing),
  };

  /** Never makes the process degraded: telemetry is taken and delivered all the same. */
  function enrichment(): HealthReport['enrichment'] {
    if (kubernetes === undefined) return { status: 'off', pods: 0, ageSeconds: 0, lastError: null };
    const { status, pods, ageSeconds, lastError } = kubernetes.state();
    return { status, pods, ageSeconds, lastError: lastError ?? null };
  }
}
