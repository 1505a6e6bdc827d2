import { closeSync, openSync, readSync } from 'node:fs';
import type { ColumnData } from './columns.ts';

// A small filter beside each file of records with a trace id: which files cannot have a trace. Blocks of 64 bytes with 8 bits
// a trace, about 16 bits a trace in all: fewer than one in a hundred of the files that don't have a trace are opened in vain. A question reads one block
// from the file, so nothing is held in memory, however many files there are.

const blockBytes = 64;
const bitsPerItem = 16;

export function bloomSize(items: number): number {
  return Math.max(1, Math.ceil((items * bitsPerItem) / (blockBytes * 8))) * blockBytes;
}

/** The filter of the trace ids of these rows. @param chunks their ids, sixteen bytes each, most significant first. */
export function filterOf(
  chunks: readonly { readonly rows: number; readonly ids: Pick<ColumnData, 'u32' | 'valid'> }[],
): Uint8Array {
  const rows = chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
  // Distinct ones, by 64 bits, since the filter's length depends on their number.
  const mask = 2 ** Math.ceil(Math.log2(rows * 2 + 2)) - 1;
  const table = new Uint32Array((mask + 1) * 2);
  let count = 0;
  let zeros = false;
  for (const { rows, ids } of chunks) {
    for (let row = 0; row < rows; row++) {
      if ((ids.valid[row >>> 5]! & (1 << (row & 31))) === 0) continue;
      const a = swapped(ids.u32[row * 4 + 3]!);
      const b = swapped(ids.u32[row * 4 + 2]!);
      if (a === 0 && b === 0) {
        zeros = true; // what marks a free place
        continue;
      }
      let place = mix(a ^ b) & mask;
      while (
        (table[place * 2] !== 0 || table[place * 2 + 1] !== 0) &&
        (table[place * 2] !== a || table[place * 2 + 1] !== b)
      )
        place = (place + 1) & mask;
      if (table[place * 2] === a && table[place * 2 + 1] === b) continue;
      table[place * 2] = a;
      table[place * 2 + 1] = b;
      count++;
    }
  }
  const filter = new Uint8Array(bloomSize(count + (zeros ? 1 : 0)));
  if (zeros) bloomAdd(filter, 0, 0);
  for (let place = 0; place <= mask; place++) {
    const [a, b] = [table[place * 2]!, table[place * 2 + 1]!];
    if (a !== 0 || b !== 0) bloomAdd(filter, a, b);
  }
  return filter;
}

function swapped(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}

/** Two halves of a hash of the id's low 64 bits as two 32-bit numbers: W3C trace ids are random there. */
export function bloomAdd(filter: Uint8Array, a: number, b: number): void {
  const h1 = mix(a ^ 0x9e3779b9) ^ b;
  let h2 = mix(h1 + b);
  const block = ((mix(h1) >>> 0) % (filter.length / blockBytes)) * blockBytes;
  for (let i = 0; i < 8; i++) {
    const bit = h2 & 511;
    filter[block + (bit >>> 3)]! |= 1 << (bit & 7);
    h2 = i === 2 || i === 5 ? mix(h2 ^ h1) : h2 >>> 9;
  }
}

export function bloomHas(path: string, sizeBytes: number, a: number, b: number): boolean {
  const h1 = mix(a ^ 0x9e3779b9) ^ b;
  let h2 = mix(h1 + b);
  const at = ((mix(h1) >>> 0) % (sizeBytes / blockBytes)) * blockBytes;
  const block = new Uint8Array(blockBytes);
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return true; // A filter that is gone costs time, not data.
  }
  try {
    if (readSync(file, block, 0, blockBytes, at) !== blockBytes) return true;
  } finally {
    closeSync(file);
  }
  for (let i = 0; i < 8; i++) {
    const bit = h2 & 511;
    if ((block[bit >>> 3]! & (1 << (bit & 7))) === 0) return false;
    h2 = i === 2 || i === 5 ? mix(h2 ^ h1) : h2 >>> 9;
  }
  return true;
}

/** The finaliser of MurmurHash3. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
