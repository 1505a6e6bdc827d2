import { type Chunk, type ColumnData, type ColumnSpec, columnTypes } from './columns.ts';
import { chunkRows } from './limits.ts';
import { copyBytes } from './views.ts';

// Some rows, or all in another order. Pure.

/** Rows of one chunk of the result: each one's chunk and its row in that. */
interface Part {
  readonly rows: number;
  readonly chunkOf: Uint16Array;
  readonly rowOf: Uint16Array;
}

/**
 * @param order numbers of rows, counted over all chunks; none twice.
 * @param wanted indexes of the columns that the result has.
 */
export function gather(
  specs: readonly ColumnSpec[],
  chunks: readonly Chunk[],
  order: Uint32Array,
  wanted: readonly number[],
): Chunk[] {
  const parts = partsOf(chunks, order);
  const out: { rows: number; columns: ColumnData[] }[] = parts.map(({ rows }) => ({ rows, columns: [] }));
  for (const column of wanted) {
    const spec = specs[column]!;
    const sources = chunks.map((chunk) => chunk.columns[column]!);
    const full = chunks.every((chunk, index) => isFull(sources[index]!, chunk.rows));
    const isText = spec.type === 'text' || spec.type === 'blob';
    const starts = isText ? chunks.map((chunk, index) => startsOf(sources[index]!, chunk.rows)) : [];
    for (const [index, part] of parts.entries()) {
      const valid = full ? allOf(part.rows) : validOf(sources, part);
      const gathered = isText ? texts(sources, starts, part, valid) : numbers(spec, sources, part, valid);
      out[index]!.columns.push(gathered);
    }
  }
  return out;
}

function partsOf(chunks: readonly Chunk[], order: Uint32Array): Part[] {
  const rows = chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
  const chunkOf = new Uint16Array(rows);
  const rowOf = new Uint16Array(rows);
  let next = 0;
  for (const [index, chunk] of chunks.entries()) {
    chunkOf.fill(index, next, next + chunk.rows);
    for (let row = 0; row < chunk.rows; row++) rowOf[next++] = row;
  }
  const parts: Part[] = [];
  for (let from = 0; from < order.length; from += chunkRows) {
    const rows = Math.min(chunkRows, order.length - from);
    const part = { rows, chunkOf: new Uint16Array(rows), rowOf: new Uint16Array(rows) };
    for (let row = 0; row < rows; row++) {
      const at = order[from + row]!;
      part.chunkOf[row] = chunkOf[at]!;
      part.rowOf[row] = rowOf[at]!;
    }
    parts.push(part);
  }
  return parts;
}

/** Whether no row is NULL. */
function isFull({ valid }: ColumnData, rows: number): boolean {
  for (let word = 0; word < rows >>> 5; word++) if (valid[word] !== 0xffffffff) return false;
  const rest = rows & 31;
  return rest === 0 || (valid[rows >>> 5]! & (2 ** rest - 1)) >>> 0 === 2 ** rest - 1;
}

function allOf(rows: number): Uint32Array<ArrayBuffer> {
  const valid = new Uint32Array(chunkRows / 32).fill(0xffffffff, 0, rows >>> 5);
  if ((rows & 31) !== 0) valid[rows >>> 5] = 2 ** (rows & 31) - 1;
  return valid;
}

/** Where in the heap each row's bytes begin, after their length. */
function startsOf(data: ColumnData, rows: number): Uint32Array {
  const starts = new Uint32Array(data.dictionary === undefined ? rows : 0);
  if (data.dictionary !== undefined) return starts;
  const { heap, valid } = data;
  for (let row = 0, at = 0; row < rows; row++) {
    if ((valid[row >>> 5]! & (1 << (row & 31))) === 0) continue;
    starts[row] = at + 4;
    at += 4 + lengthAt(heap, at);
  }
  return starts;
}

function lengthAt(heap: Uint8Array, at: number): number {
  return heap[at]! | (heap[at + 1]! << 8) | (heap[at + 2]! << 16) | (heap[at + 3]! << 24);
}

function numbers(
  spec: ColumnSpec,
  sources: readonly ColumnData[],
  { rows, chunkOf, rowOf }: Part,
  valid: Uint32Array<ArrayBuffer>,
): ColumnData {
  const { size } = columnTypes[spec.type];
  const buffer = new ArrayBuffer(Math.ceil((rows * size) / 8) * 8);
  const u32 = new Uint32Array(buffer);
  const from = sources.map((source) => source.u32);
  if (size === 8) {
    for (let row = 0; row < rows; row++) {
      const source = from[chunkOf[row]!]!;
      const at = rowOf[row]! * 2;
      u32[row * 2] = source[at]!;
      u32[row * 2 + 1] = source[at + 1]!;
    }
  } else if (size === 1) {
    const bytes = new Uint8Array(buffer);
    const fromBytes = from.map((source) => new Uint8Array(source.buffer));
    for (let row = 0; row < rows; row++) bytes[row] = fromBytes[chunkOf[row]!]![rowOf[row]!]!;
  } else {
    const words = size / 4;
    for (let row = 0; row < rows; row++) {
      const source = from[chunkOf[row]!]!;
      const at = rowOf[row]! * words;
      for (let word = 0; word < words; word++) u32[row * words + word] = source[at + word]!;
    }
  }
  return { u32, valid, heap: new Uint8Array(0), heapUsed: 0, dictionary: undefined };
}

function validOf(sources: readonly ColumnData[], { rows, chunkOf, rowOf }: Part): Uint32Array<ArrayBuffer> {
  const valid = new Uint32Array(chunkRows / 32);
  const from = sources.map((source) => source.valid);
  for (let row = 0; row < rows; row++) {
    const at = rowOf[row]!;
    const there = (from[chunkOf[row]!]![at >>> 5]! & (1 << (at & 31))) !== 0;
    if (there) valid[row >>> 5]! |= 1 << (row & 31);
  }
  return valid;
}

/** Numbers into the dictionary where all of these rows have one, bytes where not. */
function texts(
  sources: readonly ColumnData[],
  starts: readonly Uint32Array[],
  { rows, chunkOf, rowOf }: Part,
  valid: Uint32Array<ArrayBuffer>,
): ColumnData {
  const { dictionary } = sources[0]!;
  const codes = sources.map(({ u32 }) => new Uint16Array(u32.buffer));
  if (dictionary !== undefined && sources.every((source) => source.dictionary === dictionary)) {
    const u32 = new Uint32Array(Math.ceil(rows / 2));
    const target = new Uint16Array(u32.buffer);
    for (let row = 0; row < rows; row++) target[row] = codes[chunkOf[row]!]![rowOf[row]!]!;
    return { u32, valid, heap: new Uint8Array(0), heapUsed: 0, dictionary };
  }
  let heap = new Uint8Array(64 * 1024);
  let view = new DataView(heap.buffer);
  let used = 0;
  for (let row = 0; row < rows; row++) {
    if ((valid[row >>> 5]! & (1 << (row & 31))) === 0) continue;
    const chunk = chunkOf[row]!;
    const from = rowOf[row]!;
    const source = sources[chunk]!;
    const bytes = source.dictionary === undefined ? source.heap : source.dictionary.heap;
    const start =
      source.dictionary === undefined ? starts[chunk]![from]! : source.dictionary.starts[codes[chunk]![from]!]!;
    const size = lengthAt(bytes, start - 4) + 4;
    if (used + size > heap.length) {
      const grown = new Uint8Array(Math.max(heap.length * 2, used + size));
      grown.set(heap.subarray(0, used));
      heap = grown;
      view = new DataView(heap.buffer);
    }
    copyBytes(heap, view, used, bytes, start - 4, start - 4 + size);
    used += size;
  }
  return { u32: new Uint32Array(0), valid, heap, heapUsed: used, dictionary: undefined };
}
