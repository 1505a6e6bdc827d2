import { describe, expect, it } from 'vitest';
import { Writer } from '../../otlp/index.ts';
import { AttributeWriter } from './attributes.ts';
import { type Chunk, Rows } from './columns.ts';
import { KeyTable } from './keys.ts';
import { keyValues } from './kit.ts';

const specs = [
  { name: 'attr.k', type: 'text' },
  { name: 'attributes', type: 'text' },
] as const;

/** The two columns of one record that has these KeyValue messages. */
function written(pairs: readonly Uint8Array[]): (string | undefined)[] {
  const rows = new Rows(specs);
  const keys = new KeyTable();
  keys.begin([{ key: 'k', kind: 'text' }]);
  const writer = new AttributeWriter({ buffer: rows, keys, promoted: [rows.column('attr.k')] });
  writer.begin(0);
  const body = Buffer.concat(pairs);
  let at = 0;
  for (const pair of pairs) {
    writer.add(body, at, at + pair.length);
    at += pair.length;
  }
  writer.finish(body, rows.column('attributes'));
  rows.endRow();
  const [chunk] = rows.chunks() as [Chunk];
  return chunk.columns.map(({ heap, heapUsed }) =>
    heapUsed === 0 ? undefined : Buffer.from(heap.subarray(4, heapUsed)).toString(),
  );
}

/** One KeyValue, as encoders write it. */
function usual(key: string, value: string | bigint): Uint8Array {
  const writer = new Writer();
  keyValues(writer, 1, { [key]: value });
  const bytes = writer.finish();
  // Without the tag and the length of the field that holds it.
  return bytes.subarray(bytes[1]! < 0x80 ? 2 : bytes[2]! < 0x80 ? 3 : 4);
}

/** With fields in another order, and one that nobody knows. */
function odd(key: string, value: string): Uint8Array {
  const writer = new Writer();
  const at = writer.begin(2);
  writer.string(1, value);
  writer.end(at);
  writer.uint32(9, 300);
  writer.string(1, key);
  return writer.finish();
}

describe('an attribute', () => {
  it('is read whatever the lengths of its key and its value', () => {
    for (let size = 0; size < 420; size++) {
      const text = 'v'.repeat(size);
      expect(written([usual('k', text)])[0] ?? '').toBe(text);
      expect(written([odd('k', text)])[0] ?? '').toBe(text);
      expect(JSON.parse(written([usual('other', text)])[1]!)).toEqual({ other: text });
      const key = 'n'.repeat(size);
      expect(JSON.parse(written([usual(key, text), usual('k', 'v')])[1]!)).toEqual({ [key]: text });
      expect(JSON.parse(written([usual(key, BigInt(size) ** 5n)])[1]!)).toEqual({ [key]: size ** 5 });
    }
  });

  it('counts as its last one where it comes twice', () => {
    expect(written([usual('k', 'a'), usual('x', 'b'), odd('k', 'c'), odd('x', 'd')])).toEqual(['c', '{"x":"d"}']);
  });
});
