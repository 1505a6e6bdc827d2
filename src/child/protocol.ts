import type { Signal } from '../base/index.ts';
import type { DeliveryStats } from '../deliver/index.ts';
import type { SpanMetricsOptions } from '../spanmetrics/index.ts';
import type { LogReader, MetricReader, TraceReader } from '../stores/contract.ts';
import type { ElasticsearchStoreOptions } from '../stores/elasticsearch/index.ts';
import type { EmbeddedOptions, ShelfStats } from '../stores/embedded/index.ts';
import type { JaegerOptions } from '../stores/jaeger/index.ts';
import type { PrometheusOptions } from '../stores/prometheus/index.ts';
import type { Damage } from '../wal/index.ts';
import type { FaultClone, RpcMessage } from './rpc.ts';

// What this process says to those that host a store, a child process or a thread, and what they answer. Structured clones, so bytes, bigints and typed arrays cross as they are.

/** Where a log lies and how far it and its reader are. */
export interface HostedLog {
  readonly signal: Signal;
  readonly dir: string;
  readonly durableSeq: number;
  readonly settledSeq: number;
  readonly handedSeq: number;
}

/** A store with those of its options that can be sent to another process or thread. Credentials go to threads only. */
export type HostedStore =
  | {
      readonly kind: 'embedded';
      readonly options: Pick<
        EmbeddedOptions,
        'folder' | 'signals' | 'retentionMs' | 'hotBytesMax' | 'hotAgeMaxMs' | 'queryTimeMs'
      >;
    }
  | { readonly kind: 'jaeger'; readonly options: Sendable<JaegerOptions> }
  | { readonly kind: 'prometheus'; readonly options: Sendable<PrometheusOptions> }
  | { readonly kind: 'elasticsearch'; readonly options: Sendable<ElasticsearchStoreOptions> }
  /** No store: the log of traces is counted, and the counts come back as metrics. */
  | { readonly kind: 'spanmetrics'; readonly options: Pick<SpanMetricsOptions, 'folder' | 'flushMs'> };

/** Functions cannot be sent: the other side has its own. */
type Sendable<Options> = Omit<Options, 'clock' | 'onUpkeep'>;

export type ToChild =
  | { readonly kind: 'open'; readonly logs: readonly HostedLog[]; readonly store: HostedStore }
  | { readonly kind: 'durable'; readonly signal: Signal; readonly seq: number }
  | { readonly kind: 'stop'; readonly deadlineMs: number }
  | RpcMessage;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type ToParent =
  | { readonly kind: 'ready' }
  /** The store cannot be opened, and trying again would not help. */
  | { readonly kind: 'failed'; readonly fault: FaultClone }
  | { readonly kind: 'settle'; readonly signal: Signal; readonly seq: number }
  | { readonly kind: 'damage'; readonly signal: Signal; readonly damage: readonly Damage[] }
  | ({ readonly kind: 'report' } & Report)
  | { readonly kind: 'log'; readonly level: LogLevel; readonly fields: object; readonly message: string }
  | { readonly kind: 'stopped' }
  | RpcMessage;

export type StoreStats = Readonly<Partial<Record<Signal, ShelfStats>>>;

/** What was delivered since the last report. */
export interface Report {
  readonly stats: DeliveryStats;
  readonly store: StoreStats;
  readonly sent: readonly { readonly signal: Signal; readonly records: number; readonly sizeBytes: number }[];
  readonly skipped: readonly { readonly signal: Signal; readonly frames: number }[];
  readonly failed: readonly ReasonCount[];
  readonly refused: readonly ReasonCount[];
}

export interface ReasonCount {
  readonly signal: Signal;
  readonly reason: string;
  readonly records: number;
}

export const deadLetterMethod = 'deadLetters.add';
/** Takes an ExportMetricsServiceRequest into the log of metrics. */
export const emitMethod = 'metrics.emit';
/** `Delivery.replay`. */
export const replayMethod = 'delivery.replay';
/** Writes what is in the store's memory into files. */
export const rollMethod = 'store.rollAll';
/** An `Eraser`'s method with one more argument: how far each log must be in the store before (`Through`). */
export const eraseMethod = 'store.eraseByResource';

/** Sequence numbers in the logs. */
export type Through = Readonly<Partial<Record<Signal, number>>>;

/** Those of a store that answers PromQL itself, beside the others. */
const promqlMethods = ['promqlInstant', 'promqlRange'] as const satisfies readonly (keyof MetricReader)[];

/** The methods of a store's reader of metrics. */
export function metricMethods(kind: HostedStore['kind']): readonly (keyof MetricReader)[] {
  return kind === 'prometheus' ? [...readerMethods.metrics, ...promqlMethods] : readerMethods.metrics;
}

/** The methods of the readers that every store has, by signal. */
export const readerMethods = {
  traces: ['services', 'operations', 'search', 'trace'],
  metrics: ['services', 'metrics', 'select', 'latest'],
  logs: ['services', 'search', 'histogram', 'fields', 'fieldValues'],
} as const satisfies {
  traces: readonly (keyof TraceReader)[];
  metrics: readonly (keyof MetricReader)[];
  logs: readonly (keyof LogReader)[];
};
