import { keyChainMax, keysTrackedMax, promotedMax, promotedShareMin } from './limits.ts';
import { sameIn, viewOf } from './views.ts';

// Attribute keys of one signal: recognised by their bytes, counted, and the most frequent given a column of their own.

export type PromotedKind = 'text' | 'int' | 'double' | 'bool';

/** An attribute that has a column. Values of another type than the column's stay in the overflow. */
export interface Promoted {
  readonly key: string;
  readonly kind: PromotedKind;
}

/** Name of a promoted attribute's column, in the hot table and in Parquet. */
export function promotedColumn(key: string): string {
  return `attr.${key}`;
}

export class Key {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly text: string;
  /** `"key":` as JSON. */
  readonly json: Uint8Array;
  /** Index into the promoted columns of this generation; -1 without. */
  slot = -1;
  kind: PromotedKind | undefined;
  /** Records of this generation that have it, by type of value, and those of them whose value lies in the overflow. */
  texts = 0;
  ints = 0;
  doubles = 0;
  bools = 0;
  others = 0;
  overflowed = 0;
  /** The key that came after it last: instrumentation writes the same keys in the same order, so it is looked at first. */
  next: Key | undefined;
  /** Stamp of the record that had it last: tells a key that comes twice in one record. */
  record = -1;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = viewOf(bytes);
    this.text = Buffer.from(bytes).toString('utf8');
    this.json = Buffer.from(`${JSON.stringify(this.text)}:`);
  }

  get count(): number {
    return this.texts + this.ints + this.doubles + this.bools + this.others;
  }
}

/** What a generation or a file knows of a key; `overflow`: some records have it in the overflow JSON. */
export interface KeyUse {
  readonly key: string;
  readonly overflow: boolean;
}

export class KeyTable {
  readonly #byHash = new Map<number, Key[]>();
  #tracked = 0;
  /** Keys that were met and are not tracked: what is counted is then not all there is. */
  untracked = false;

  /** The key with these bytes, made where it is new; undefined where no more are tracked. */
  find(bytes: Uint8Array, start: number, end: number): Key | undefined {
    let hash = 0x811c9dc5; // FNV-1a
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
    const chain = this.#byHash.get(hash);
    if (chain !== undefined) {
      for (const key of chain) if (sameBytes(key, bytes, start, end)) return key;
      if (chain.length >= keyChainMax) {
        this.untracked = true;
        return undefined;
      }
    }
    if (this.#tracked >= keysTrackedMax || end - start > 1024) {
      this.untracked = true;
      return undefined;
    }
    this.#tracked++;
    const key = new Key(bytes.slice(start, end));
    if (chain === undefined) this.#byHash.set(hash, [key]);
    else chain.push(key);
    return key;
  }

  *all(): Iterable<Key> {
    for (const chain of this.#byHash.values()) yield* chain;
  }

  /** Begins a generation with these columns: counts are 0 again, and keys that nobody used in the last one are forgotten. */
  begin(promoted: readonly Promoted[]): void {
    this.untracked = false;
    const slots = new Map(promoted.map((column, slot) => [column.key, slot]));
    for (const [hash, chain] of this.#byHash) {
      const kept = chain.filter((key) => key.count > 0 || slots.has(key.text));
      this.#tracked -= chain.length - kept.length;
      if (kept.length === 0) this.#byHash.delete(hash);
      else this.#byHash.set(hash, kept);
    }
    for (const { key } of promoted) {
      const bytes = Buffer.from(key);
      this.find(bytes, 0, bytes.length);
    }
    for (const key of this.all()) {
      key.texts = key.ints = key.doubles = key.bools = key.others = key.overflowed = 0;
      key.record = -1;
      key.next = undefined;
      key.slot = slots.get(key.text) ?? -1;
      key.kind = key.slot < 0 ? undefined : promoted[key.slot]!.kind;
    }
  }

  /** The keys that this generation's records have; undefined where they are not all known. */
  uses(): KeyUse[] | undefined {
    if (this.untracked) return undefined;
    const uses: KeyUse[] = [];
    for (const key of this.all()) if (key.count > 0) uses.push({ key: key.text, overflow: key.overflowed > 0 });
    return uses;
  }
}

export function sameBytes(key: Key, bytes: Uint8Array, start: number, end: number): boolean {
  return key.bytes.length === end - start && sameIn(key.view, 0, bytes, start, end - start);
}

/**
 * The columns of the next generation: those of the last one that are still in use, and the most frequent other keys.
 * It changes seldom, so that files can be merged column by column: a column goes only when another key wants its place
 * and is twice as frequent.
 */
export function planPromoted(current: readonly Promoted[], keys: Iterable<Key>, rows: number): readonly Promoted[] {
  if (rows === 0) return current;
  const counts = new Map<string, number>();
  const candidates: { column: Promoted; count: number }[] = [];
  const taken = new Set(current.map(({ key }) => key.toLowerCase()));
  for (const key of keys) {
    counts.set(key.text, key.count);
    if (key.count < rows * promotedShareMin || taken.has(key.text.toLowerCase())) continue;
    const kind = mainKind(key);
    if (kind !== undefined && canBeColumn(key.text))
      candidates.push({ column: { key: key.text, kind }, count: key.count });
  }
  candidates.sort((a, b) => b.count - a.count || (a.column.key < b.column.key ? -1 : 1));
  const next: Promoted[] = [...current];
  const names = new Set(taken);
  for (const { column, count } of candidates) {
    const name = column.key.toLowerCase(); // DuckDB's column names know no case
    if (names.has(name)) continue;
    if (next.length >= promotedMax) {
      let least = 0;
      for (let i = 1; i < next.length; i++) {
        if ((counts.get(next[i]!.key) ?? 0) < (counts.get(next[least]!.key) ?? 0)) least = i;
      }
      if ((counts.get(next[least]!.key) ?? 0) * 2 >= count) break;
      names.delete(next[least]!.key.toLowerCase());
      next.splice(least, 1);
    }
    names.add(name);
    next.push(column);
  }
  return next;
}

function mainKind(key: Key): PromotedKind | undefined {
  const most = Math.max(key.texts, key.ints, key.doubles, key.bools);
  if (most * 2 < key.count) return undefined;
  if (most === key.texts) return 'text';
  if (most === key.ints) return 'int';
  return most === key.doubles ? 'double' : 'bool';
}

function canBeColumn(key: string): boolean {
  return /^[\x20-\x7e]{1,128}$/.test(key);
}
