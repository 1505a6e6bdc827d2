import { type Chunk, type ColumnData, type ColumnSpec, columnTypes } from './columns.ts';
import { chunkRows } from './limits.ts';

// Some rows, or all in another order. Pure.

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
  const rows = chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
  const chunkOf = new Uint16Array(rows);
  const rowOf = new Uint16Array(rows);
  let next = 0;
  for (const [index, chunk] of chunks.entries()) {
    for (let row = 0; row < chunk.rows; row++, next++) {
      chunkOf[next] = index;
      rowOf[next] = row;
    }
  }
  const starts = wanted.map((column) =>
    specs[column]!.type === 'text' || specs[column]!.type === 'blob'
      ? chunks.map((chunk) => startsOf(chunk.columns[column]!, chunk.rows))
      : [],
  );
  const out: Chunk[] = [];
  for (let from = 0; from < order.length; from += chunkRows) {
    const part = order.subarray(from, from + chunkRows);
    const columns = wanted.map((column, index) => {
      const sources = chunks.map((chunk) => chunk.columns[column]!);
      const spec = specs[column]!;
      return spec.type === 'text' || spec.type === 'blob'
        ? texts(sources, starts[index]!, part, chunkOf, rowOf)
        : numbers(spec, sources, part, chunkOf, rowOf);
    });
    out.push({ rows: part.length, columns });
  }
  return out;
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
  order: Uint32Array,
  chunkOf: Uint16Array,
  rowOf: Uint16Array,
): ColumnData {
  const { size } = columnTypes[spec.type];
  const buffer = new ArrayBuffer(Math.ceil((order.length * size) / 8) * 8);
  const valid = validOf(sources, order, chunkOf, rowOf);
  const u32 = new Uint32Array(buffer);
  if (size === 1) {
    const bytes = new Uint8Array(buffer);
    const from = sources.map(({ u32 }) => new Uint8Array(u32.buffer));
    for (let row = 0; row < order.length; row++) bytes[row] = from[chunkOf[order[row]!]!]![rowOf[order[row]!]!]!;
  } else {
    const words = size / 4;
    for (let row = 0; row < order.length; row++) {
      const from = sources[chunkOf[order[row]!]!]!.u32;
      const at = rowOf[order[row]!]! * words;
      for (let word = 0; word < words; word++) u32[row * words + word] = from[at + word]!;
    }
  }
  return { u32, valid, heap: new Uint8Array(0), heapUsed: 0, dictionary: undefined };
}

function validOf(
  sources: readonly ColumnData[],
  order: Uint32Array,
  chunkOf: Uint16Array,
  rowOf: Uint16Array,
): Uint32Array<ArrayBuffer> {
  const valid = new Uint32Array(chunkRows / 32);
  for (let row = 0; row < order.length; row++) {
    const from = rowOf[order[row]!]!;
    const there = (sources[chunkOf[order[row]!]!]!.valid[from >>> 5]! & (1 << (from & 31))) !== 0;
    if (there) valid[row >>> 5]! |= 1 << (row & 31);
  }
  return valid;
}

/** Numbers into the dictionary where all of these rows have one, bytes where not. */
function texts(
  sources: readonly ColumnData[],
  starts: readonly Uint32Array[],
  order: Uint32Array,
  chunkOf: Uint16Array,
  rowOf: Uint16Array,
): ColumnData {
  const valid = validOf(sources, order, chunkOf, rowOf);
  const { dictionary } = sources[0]!;
  const codes = sources.map(({ u32 }) => new Uint16Array(u32.buffer));
  if (dictionary !== undefined && sources.every((source) => source.dictionary === dictionary)) {
    const u32 = new Uint32Array(Math.ceil(order.length / 2));
    const target = new Uint16Array(u32.buffer);
    for (let row = 0; row < order.length; row++) target[row] = codes[chunkOf[order[row]!]!]![rowOf[order[row]!]!]!;
    return { u32, valid, heap: new Uint8Array(0), heapUsed: 0, dictionary };
  }
  let heap = new Uint8Array(64 * 1024);
  let used = 0;
  for (let row = 0; row < order.length; row++) {
    if ((valid[row >>> 5]! & (1 << (row & 31))) === 0) continue;
    const chunk = chunkOf[order[row]!]!;
    const from = rowOf[order[row]!]!;
    const source = sources[chunk]!;
    const bytes = source.dictionary === undefined ? source.heap : source.dictionary.heap;
    const start =
      source.dictionary === undefined ? starts[chunk]![from]! : source.dictionary.starts[codes[chunk]![from]!]!;
    const size = lengthAt(bytes, start - 4) + 4;
    if (used + size > heap.length) {
      const grown = new Uint8Array(Math.max(heap.length * 2, used + size));
      grown.set(heap.subarray(0, used));
      heap = grown;
    }
    heap.set(bytes.subarray(start - 4, start - 4 + size), used);
    used += size;
  }
  return { u32: new Uint32Array(0), valid, heap, heapUsed: used, dictionary: undefined };
}
