import type { Signal } from '../../base/index.ts';
import type { ColumnSpec, Rows } from './columns.ts';
import type { Decoder } from './decode.ts';
import type { KeyTable, Promoted } from './keys.ts';

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
  /** ORDER BY of a file's rows, '' where they are as they came. */
  readonly order: string;
  /** Selects the roll-up of facts: one row for each minute and what is told apart. */
  rollup(facts: string, dictionary: string): string;
  /** Selects one roll-up from the union of several. */
  mergeRollups(rollups: string): string;
  decoder(target: {
    rows: Rows;
    dictionary: Rows;
    keys: KeyTable;
    promoted: readonly Promoted[];
    retentionMs: number;
  }): GenerationDecoder;
}

export interface GenerationDecoder extends Decoder {
  /** Keys of the resources met, for the manifest; undefined: any. */
  resourceKeys(): readonly string[] | undefined;
}
