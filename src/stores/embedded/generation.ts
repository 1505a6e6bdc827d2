import { Rows } from './columns.ts';
import type { HotTables } from './hot.ts';
import type { KeyTable, KeyUse, Promoted } from './keys.ts';
import type { DecoderTarget, GenerationDecoder, ShelfKind } from './kind.ts';
import { fileKeysMax } from './limits.ts';
import type { Part } from './parts.ts';
import { RollUp } from './rollup.ts';
import { promotedSpecs } from './schema.ts';

const maxU64 = 0xffffffffffffffffn;

/** Hot rows that become files together: first open, then sealed, then dropped. */
export class Generation {
  readonly promoted: readonly Promoted[];
  readonly rows: Rows;
  readonly dictionaryRows: Rows;
  readonly rollUp: RollUp;
  readonly decoder: GenerationDecoder;
  /** Last sequence number of each log whose records are in it. */
  readonly through = new Map<string, number>();
  readonly begunMs: number;
  /** Counts attributes while it is open. */
  readonly #counting: KeyTable;
  readonly #hot: HotTables;
  /** As FROM takes them. */
  readonly #table: string;
  readonly #dictionary: string;
  /** The roll-up as a table, as it was when it was last asked for; and those that it replaced, while queries may read them. */
  #counted: { readonly table: string; readonly records: number } | undefined;
  readonly #replaced: string[] = [];
  #known:
    | { readonly keys: readonly KeyUse[] | undefined; readonly resourceKeys: readonly string[] | undefined }
    | undefined;
  #pins = 0;
  #dropped = false;

  constructor(
    kind: ShelfKind,
    hot: HotTables,
    keys: KeyTable,
    {
      promoted,
      retentionMs,
      nowMs,
      decoder,
    }: {
      promoted: readonly Promoted[];
      retentionMs: number;
      nowMs: number;
      decoder: (target: DecoderTarget) => GenerationDecoder;
    },
  ) {
    keys.begin(promoted);
    this.promoted = promoted;
    this.begunMs = nowMs;
    this.#counting = keys;
    this.#hot = hot;
    this.rollUp = new RollUp(kind.rollUpColumns);
    this.rows = new Rows([...kind.columns, ...promotedSpecs(promoted)], new Map([['name', this.rollUp.names]]));
    this.dictionaryRows = new Rows(kind.dictionaryColumns);
    this.#table = hot.add(this.rows);
    this.#dictionary = hot.add(this.dictionaryRows);
    const { rows, dictionaryRows: dictionary, rollUp } = this;
    this.decoder = decoder({ rows, dictionary, keys, promoted, rollUp, retentionMs });
  }

  get sizeBytes(): number {
    return this.rows.sizeBytes + this.dictionaryRows.sizeBytes;
  }

  /** What is known of its attributes. */
  get known(): Pick<Part, 'promoted' | 'keys' | 'resourceKeys'> {
    const { keys, resourceKeys } = this.#known ?? {
      keys: this.#counting.uses(),
      resourceKeys: this.decoder.resourceKeys(),
    };
    return { promoted: this.promoted, keys, resourceKeys };
  }

  /** No row comes any more, and `keys` counts for another one. */
  seal(): void {
    const { keys, resourceKeys } = this.known;
    this.#known = { keys: keys !== undefined && keys.length > fileKeysMax ? undefined : keys, resourceKeys };
  }

  /** A query begins that reads it, until `unpin`. */
  pin(): Part {
    this.#pins++;
    const counts = () => this.#counts();
    return {
      facts: this.#table,
      dictionary: this.#dictionary,
      get rollup() {
        return counts();
      },
      ...this.known,
      minTimeUnixNano: 0n,
      maxTimeUnixNano: maxU64,
      rows: this.rows.count,
      files: [],
    };
  }

  unpin(): void {
    this.#pins--;
    this.#letGo();
  }

  /** Its records are in files: its memory goes when no query reads it. */
  drop(): void {
    this.#dropped = true;
    this.#letGo();
  }

  #letGo(): void {
    if (this.#pins > 0) return;
    for (const table of this.#replaced.splice(0)) this.#hot.remove(table);
    if (!this.#dropped) return;
    if (this.#counted !== undefined) this.#hot.remove(this.#counted.table);
    this.#hot.remove(this.#table);
    this.#hot.remove(this.#dictionary);
    this.rows.release();
    this.dictionaryRows.release();
  }

  /** The roll-up as a table: made when records have come since it was last asked for. */
  #counts(): string {
    const { records } = this.rollUp;
    if (this.#counted?.records === records) return this.#counted.table;
    if (this.#counted !== undefined) this.#replaced.push(this.#counted.table);
    const table = this.#hot.add(this.rollUp.rows());
    this.#counted = { table, records };
    return table;
  }
}
