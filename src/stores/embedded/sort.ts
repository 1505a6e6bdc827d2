import type { Rows } from './columns.ts';

// Rows by id and time. Ids are few: they are sorted, and rows are counted into their places, in which most are in order.

/**
 * Puts rows into the order of two columns of 64-bit numbers: an id's, then a time's.
 * @param order the rows, counted over all chunks; those of one id and time stay as they are.
 */
export function sorted(rows: Rows, order: Uint32Array, [idName, timeName]: readonly [string, string]): Uint32Array {
  const ids = wordsOf(rows, idName);
  const times = wordsOf(rows, timeName);
  const { numberOf, firsts, counts } = numbered(ids, order);
  const ranks = firsts.map((_, number) => number);
  ranks.sort((a, b) => {
    const [one, other] = [firsts[a]! * 2, firsts[b]! * 2];
    return ids[one + 1]! - ids[other + 1]! || ids[one]! - ids[other]!;
  });
  /** Where the next row of each id goes. */
  const places = new Uint32Array(counts.length);
  let place = 0;
  for (let rank = 0; rank < ranks.length; rank++) {
    const number = ranks[rank]!;
    places[number] = place;
    place += counts[number]!;
  }
  const out = new Uint32Array(order.length);
  for (let at = 0; at < order.length; at++) out[places[numberOf[at]!]!++] = order[at]!;
  for (let number = 0; number < counts.length; number++) {
    byTime(out, times, places[number]! - counts[number]!, places[number]!);
  }
  return out;
}

/** Numbers the ids of these rows as they are met: each row's number, and for each number a row that has it and how many have. */
function numbered(
  ids: Uint32Array,
  order: Uint32Array,
): { numberOf: Uint32Array; firsts: Uint32Array; counts: Uint32Array } {
  const mask = 2 ** Math.ceil(Math.log2(order.length * 2 + 2)) - 1;
  /** Number + 1, by hash; 0: free. Ids are parts of a SHA-256, so that their own bits are spread. */
  const table = new Uint32Array(mask + 1);
  const numberOf = new Uint32Array(order.length);
  const firsts = new Uint32Array(order.length);
  const counts = new Uint32Array(order.length);
  let numbers = 0;
  for (let at = 0; at < order.length; at++) {
    const row = order[at]!;
    const low = ids[row * 2]!;
    const high = ids[row * 2 + 1]!;
    let place = low & mask;
    let number = table[place]!;
    while (number !== 0 && (ids[firsts[number - 1]! * 2] !== low || ids[firsts[number - 1]! * 2 + 1] !== high)) {
      place = (place + 1) & mask;
      number = table[place]!;
    }
    if (number === 0) {
      firsts[numbers++] = row;
      number = numbers;
      table[place] = number;
    }
    counts[number - 1]!++;
    numberOf[at] = number - 1;
  }
  return { numberOf, firsts: firsts.subarray(0, numbers), counts: counts.subarray(0, numbers) };
}

/** Up to here rows are put into order one by one: an id's rows are few, and nearly in order. */
const insertedMax = 32;

/** Puts the rows from `start` to `end` into the order of their times; those of one time stay as they are. */
function byTime(rows: Uint32Array, times: Uint32Array, start: number, end: number): void {
  const before = (a: number, b: number) => times[a * 2 + 1]! - times[b * 2 + 1]! || times[a * 2]! - times[b * 2]!;
  for (let at = start + 1; at < end; at++) {
    const row = rows[at]!;
    if (before(rows[at - 1]!, row) <= 0) continue;
    if (end - start > insertedMax) {
      rows.subarray(start, end).sort(before);
      return;
    }
    let to = at;
    for (; to > start && before(rows[to - 1]!, row) > 0; to--) rows[to] = rows[to - 1]!;
    rows[to] = row;
  }
}

/** A column of 64-bit numbers over all chunks, as pairs of halves. */
export function wordsOf(rows: Rows, name: string): Uint32Array {
  const at = rows.specs.findIndex((spec) => spec.name === name);
  const out = new Uint32Array(rows.count * 2);
  let next = 0;
  for (const chunk of rows.chunks()) {
    out.set(chunk.columns[at]!.u32.subarray(0, chunk.rows * 2), next);
    next += chunk.rows * 2;
  }
  return out;
}
