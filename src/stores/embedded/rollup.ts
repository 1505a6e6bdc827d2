import { type Column, type ColumnSpec, Rows } from './columns.ts';
import { Dictionary } from './dictionary.ts';

// Records of one generation counted by minute, while they come in: what `/services` asks for is there at any time, and a
// roll writes it beside the records without looking at them again. What is told apart depends on the signal (kinds.ts).

/** Buckets of durations: eight for each doubling, so a quantile is at most 9 % off. −1: no duration. */
export const bucketsPerOctave = 8;

/** Words of a group: what it is about, then its counts. */
const keyWords = 6;
const groupWords = 10;
const [whoAt, nameAt, detailAt, hourAt, minuteAt, bucketAt, recordsAt, errorsAt, lowAt, highAt] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
];

export class RollUp {
  readonly #specs: readonly ColumnSpec[];
  /** Names of spans. */
  readonly names = new Dictionary();
  readonly #services = new Dictionary();
  readonly #namespaces = new Dictionary();
  readonly #environments = new Dictionary();
  /** Numbers in the three dictionaries. */
  readonly #whos: (readonly [service: number, namespace: number, environment: number])[] = [];
  readonly #whoByName = new Map<string, number>();
  #groups = new Int32Array(64 * groupWords);
  #count = 0;
  /** Number of a group + 1; 0: free. */
  #table = new Int32Array(256);
  readonly #key = new Int32Array(keyWords);
  /** Records in all: when it has not changed, nothing has. */
  records = 0;

  /** @param specs some of the columns that `rows` sets. */
  constructor(specs: readonly ColumnSpec[]) {
    this.#specs = specs;
  }

  /** The number of a name in `names`; what is not UTF-8 in it becomes U+FFFD. */
  text(source: Uint8Array, start: number, end: number): number {
    const code = this.names.text(source, start, end);
    if (code >= 0) return code;
    return codeOf(this.names, Buffer.from(source.buffer, source.byteOffset + start, end - start).toString('utf8'));
  }

  /** The number of a service, for `add`. */
  who(service: string, namespace: string, environment: string): number {
    const name = JSON.stringify([service, namespace, environment]);
    let who = this.#whoByName.get(name);
    if (who === undefined) {
      who = this.#whos.length;
      this.#whoByName.set(name, who);
      this.#whos.push([
        codeOf(this.#services, service),
        codeOf(this.#namespaces, namespace),
        codeOf(this.#environments, environment),
      ]);
    }
    return who;
  }

  /**
   * Counts one record.
   * @param name    of `names`; 0 where records have none.
   * @param detail  a span's kind, a log record's severity.
   * @param low     lower half of the record's time; `high` the upper one.
   * @param bucket  of its duration, from `bucketOf`.
   * @param errors  1 where it is one.
   */
  add(
    who: number,
    name: number,
    detail: number,
    hour: number,
    low: number,
    high: number,
    bucket: number,
    errors: number,
  ): void {
    this.records++;
    const key = this.#key;
    key[whoAt!] = who;
    key[nameAt!] = name;
    key[detailAt!] = detail;
    key[hourAt!] = hour;
    key[minuteAt!] = minuteOf(low, high);
    key[bucketAt!] = bucket;
    let hash = 0;
    for (let i = 0; i < keyWords; i++) {
      hash = Math.imul(hash ^ key[i]!, 0x85ebca6b);
      hash ^= hash >>> 13;
    }
    const mask = this.#table.length - 1;
    let place = hash & mask;
    for (; ; place = (place + 1) & mask) {
      const group = this.#table[place]! - 1;
      if (group < 0) break;
      if (this.#isOf(group * groupWords)) {
        this.#count1(group * groupWords, low, high, errors);
        return;
      }
    }
    const group = this.#count++;
    const at = group * groupWords;
    if (at === this.#groups.length) {
      const grown = new Int32Array(at * 2);
      grown.set(this.#groups);
      this.#groups = grown;
    }
    this.#groups.set(key, at);
    this.#count1(at, low, high, errors);
    this.#table[place] = group + 1;
    if (this.#count * 2 > this.#table.length) this.#rehash();
  }

  #isOf(at: number): boolean {
    const key = this.#key;
    for (let i = 0; i < keyWords; i++) if (this.#groups[at + i] !== key[i]) return false;
    return true;
  }

  #count1(at: number, low: number, high: number, errors: number): void {
    const groups = this.#groups;
    groups[at + recordsAt!]!++;
    groups[at + errorsAt!]! += errors;
    const lastHigh = groups[at + highAt!]! >>> 0;
    if (high >>> 0 > lastHigh || (high >>> 0 === lastHigh && low >>> 0 > groups[at + lowAt!]! >>> 0)) {
      groups[at + lowAt!] = low;
      groups[at + highAt!] = high;
    }
  }

  #rehash(): void {
    this.#table = new Int32Array(this.#table.length * 4);
    const mask = this.#table.length - 1;
    for (let group = 0; group < this.#count; group++) {
      let hash = 0;
      for (let i = 0; i < keyWords; i++) {
        hash = Math.imul(hash ^ this.#groups[group * groupWords + i]!, 0x85ebca6b);
        hash ^= hash >>> 13;
      }
      let place = hash & mask;
      while (this.#table[place] !== 0) place = (place + 1) & mask;
      this.#table[place] = group + 1;
    }
  }

  /** The groups as rows: of one hour, or of all. */
  rows(hour?: number): Rows {
    const dictionaries = {
      service: this.#services,
      namespace: this.#namespaces,
      environment: this.#environments,
      name: this.names,
    };
    const rows = new Rows(this.#specs, new Map(Object.entries(dictionaries)));
    const column = (name: string): Column | undefined =>
      this.#specs.some((spec) => spec.name === name) ? rows.column(name) : undefined;
    const [service, namespace, environment] = [column('service')!, column('namespace')!, column('environment')!];
    const name = column('name');
    const detail = column('kind') ?? column('severity');
    const bucket = column('bucket');
    const errors = column('errors');
    const [minute, records, lastSeen] = [column('minute')!, column('records')!, column('last_seen')!];
    const groups = this.#groups;
    for (let group = 0; group < this.#count; group++) {
      const at = group * groupWords;
      if (hour !== undefined && groups[at + hourAt!] !== hour) continue;
      const { row } = rows;
      const who = this.#whos[groups[at + whoAt!]!]!;
      service.setFrom(row, this.#services, who[0]);
      namespace.setFrom(row, this.#namespaces, who[1]);
      environment.setFrom(row, this.#environments, who[2]);
      name?.setFrom(row, this.names, groups[at + nameAt!]!);
      detail?.set32(row, groups[at + detailAt!]!);
      minute.set64(row, groups[at + minuteAt!]!, 0);
      bucket?.set32(row, groups[at + bucketAt!]!);
      records.set64(row, groups[at + recordsAt!]!, 0);
      errors?.set64(row, groups[at + errorsAt!]!, 0);
      lastSeen.set64(row, groups[at + lowAt!]!, groups[at + highAt!]!);
      rows.endRow();
    }
    return rows;
  }
}

function codeOf(dictionary: Dictionary, text: string): number {
  const bytes = Buffer.from(text);
  return dictionary.text(bytes, 0, bytes.length);
}

/** Minutes since 1970, exactly: 60·10⁹ ns are 58,593,750 times 1,024 ns, of which 2⁶⁴ ns have fewer than 2⁵⁴. */
export function minuteOf(low: number, high: number): number {
  return Math.floor(((high >>> 0) * 4194304 + (low >>> 10)) / 58_593_750);
}

/** @param nanos a duration, negative where it was. */
export function bucketOf(nanos: number): number {
  return nanos > 0 ? Math.floor(Math.log2(nanos) * bucketsPerOctave) : -1;
}
