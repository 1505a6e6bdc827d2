import type { Signal } from '../base/index.ts';
import type { DeliveryStats } from '../deliver/index.ts';
import type { LogReader, MetricReader, TraceReader } from '../stores/contract.ts';
import type { EmbeddedOptions, ShelfStats } from '../stores/embedded/index.ts';
import type { Damage } from '../wal/index.ts';
import type { FaultClone, RpcMessage } from './rpc.ts';

// What process and child say to each other. Structured clones, so bytes, bigints and typed arrays cross as they are.

/** Where a log lies and how far it and its reader are. */
export interface HostedLog {
  readonly signal: Signal;
  readonly dir: string;
  readonly durableSeq: number;
  readonly settledSeq: number;
}

/** Those options of the store that can be sent to another process. */
export type HostedStoreOptions = Pick<
  EmbeddedOptions,
  'folder' | 'signals' | 'retentionMs' | 'hotBytesMax' | 'hotAgeMaxMs' | 'queryTimeMs'
>;

export type ToChild =
  | { readonly kind: 'open'; readonly logs: readonly HostedLog[]; readonly store: HostedStoreOptions }
  | { readonly kind: 'durable'; readonly signal: Signal; readonly seq: number }
  | { readonly kind: 'stop'; readonly deadlineMs: number }
  | RpcMessage;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type ToParent =
  | { readonly kind: 'ready'; readonly answers: readonly Signal[] }
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
/** Writes what is in the store's memory into files. */
export const rollMethod = 'store.rollAll';
/** An `Eraser`'s method with one more argument: how far each log must be in the store before (`Through`). */
export const eraseMethod = 'store.eraseByResource';

/** Sequence numbers in the logs. */
export type Through = Readonly<Partial<Record<Signal, number>>>;

/** The methods of the readers, by signal. */
export const readerMethods = {
  traces: ['services', 'operations', 'search', 'trace'],
  metrics: ['services', 'metrics', 'select'],
  logs: ['services', 'search', 'histogram', 'fields', 'fieldValues'],
} as const satisfies {
  traces: readonly (keyof TraceReader)[];
  metrics: readonly (keyof MetricReader)[];
  logs: readonly (keyof LogReader)[];
};
