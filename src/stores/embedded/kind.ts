import type { Signal } from '../../base/index.ts';
import type { ColumnSpec, Rows } from './columns.ts';
import type { Decoder } from './decode.ts';
import type { KeyTable, Promoted } from './keys.ts';
import type { RollUp } from './rollup.ts';

/** What a signal's shelf needs to know of it. */
export interface ShelfKind {
  readonly signal: Signal;
  readonly columns: readonly ColumnSpec[];
  /** Rows that facts refer to by id: origins, or series. */
  readonly dictionaryColumns: readonly ColumnSpec[];
  /** The column of facts that has that id. */
  readonly dictionaryId: 'origin' | 'series';
  /** Whether facts have a trace id that files are asked for. */
  readonly traceIds: boolean;
  /** Whether records have attributes, the most frequent of which get columns. */
  readonly promotes: boolean;
  /** Columns that a file's rows are sorted by, an id and a time; undefined where they are as they came. */
  readonly sortBy: readonly [string, string] | undefined;
  /** Of the roll-up: one row for each minute and what is told apart. */
  readonly rollUpColumns: readonly ColumnSpec[];
  /** Selects the roll-up of facts that are in a file. */
  rollup(facts: string, dictionary: string): string;
  /** Selects one roll-up from the union of several. */
  mergeRollups(rollups: string): string;
  /** Makes the decoder of each generation, one after the other; what it remembers from one to the next is one shelf's. */
  decoders(): (target: DecoderTarget) => GenerationDecoder;
}

export interface DecoderTarget {
  readonly rows: Rows;
  readonly dictionary: Rows;
  readonly keys: KeyTable;
  readonly promoted: readonly Promoted[];
  readonly rollUp: RollUp;
  readonly retentionMs: number;
}

export interface GenerationDecoder extends Decoder {
  /** Keys of the resources met, for the manifest; undefined: any. */
  resourceKeys(): readonly string[] | undefined;
}
