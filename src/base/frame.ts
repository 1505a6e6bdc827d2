import type { Signal } from './signal.ts';

/**
 * One export request as the write-ahead log holds it and as destinations get it.
 * Made once, before the log; nothing in it changes afterwards, so that a replay is byte for byte the same.
 */
export interface Frame {
  /** Place in its signal's log; counts from 1 without gaps, and begins again with each new log id. */
  readonly seq: number;
  /** '' where there are no tenants. */
  readonly tenant: string;
  /** 16 bytes: names the request, made of tenant, signal and the uncompressed body as it was received. */
  readonly digest: Uint8Array;
  /** When the request was received. The time of a record that brought none. */
  readonly receivedUnixNano: bigint;
  /** Spans, data points or log records in `body`. */
  readonly records: number;
  /** Export…ServiceRequest in protobuf, uncompressed, enriched; export requests concatenate to one. */
  readonly body: Uint8Array;
  /** Destinations that are still owed it, as `joinOwed` has them; '' or absent: all. Set where another replica gave it over. */
  readonly outstanding?: string;
}

/** Whether a destination is still to get a frame. */
export function isOwed({ outstanding }: Pick<Frame, 'outstanding'>, destination: string): boolean {
  return owedNames(outstanding)?.includes(destination) ?? true;
}

/** Names of destinations, one a line. @param names At least one. */
export function joinOwed(names: readonly string[]): string {
  return names.join('\n');
}

/** What `joinOwed` joined; undefined for '' and where there is nothing: all, by whatever names. */
export function owedNames(outstanding: string | undefined): readonly string[] | undefined {
  return outstanding === undefined || outstanding === '' ? undefined : outstanding.split('\n');
}

/** Frames of one log in log order, read together. */
export interface Batch {
  readonly signal: Signal;
  /** 32 hex digits; sequence numbers mean something only together with it. */
  readonly logId: string;
  readonly frames: readonly Frame[];
  readonly records: number;
  readonly sizeBytes: number;
}
