import { closeSync, openSync, readSync } from 'node:fs';

// A small filter beside each file of records with a trace id: which files cannot have a trace. Blocks of 64 bytes with 8 bits
// a trace, about 16 bits a trace in all: fewer than one in a hundred of the files that don't have a trace are opened in vain. A question reads one block
// from the file, so nothing is held in memory, however many files there are.

const blockBytes = 64;
const bitsPerItem = 16;

export function bloomSize(items: number): number {
  return Math.max(1, Math.ceil((items * bitsPerItem) / (blockBytes * 8))) * blockBytes;
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
