import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runs } from '../../../test/kit/runs.ts';
import { type ColumnSpec, quoted, Rows } from './columns.ts';
import { literal } from './database.ts';
import { gather } from './gather.ts';
import { HotTables } from './hot.ts';
import { planJoin, writeJoined } from './join.ts';
import { encodeParquet } from './parquet.ts';

// What is written is read back by two other implementations, DuckDB and hyparquet, and by DuckDB from memory as well.

let connection: DuckDBConnection;
const hot = new HotTables();
const folder = mkdtempSync(join(tmpdir(), 'watchingcat-parquet-'));
beforeAll(async () => {
  connection = await (await DuckDBInstance.create(':memory:')).connect();
  hot.register(connection);
});
afterAll(() => {
  connection.closeSync();
  rmSync(folder, { recursive: true, force: true });
});

const specs: readonly ColumnSpec[] = [
  { name: 'id', type: 'uuid' },
  { name: 'big', type: 'u64' },
  { name: 'random', type: 'u64', random: true },
  { name: 'signed', type: 'i64' },
  { name: 'small', type: 'i32' },
  { name: 'double', type: 'f64' },
  { name: 'yes', type: 'bool' },
  { name: 'text', type: 'text' },
  { name: 'coded "text"', type: 'text', coded: true },
  { name: 'bytes', type: 'blob' },
];

/** Undefined: NULL. */
interface Given {
  readonly id: Uint8Array | undefined;
  readonly big: bigint | undefined;
  readonly signed: bigint | undefined;
  readonly small: number | undefined;
  readonly double: number | undefined;
  readonly yes: boolean | undefined;
  readonly text: string | undefined;
  readonly coded: string | undefined;
  readonly bytes: Uint8Array | undefined;
}

const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined, freq: 4 });
const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ minLength: 100, maxLength: 300 }), fc.constant(''));
const given: fc.Arbitrary<Given> = fc.record({
  id: maybe(fc.uint8Array({ minLength: 16, maxLength: 16 })),
  big: maybe(fc.bigInt({ min: 0n, max: 0xffffffffffffffffn })),
  signed: maybe(fc.bigInt({ min: -0x8000000000000000n, max: 0x7fffffffffffffffn })),
  small: maybe(fc.integer()),
  double: maybe(fc.double()),
  yes: maybe(fc.boolean()),
  text: maybe(text),
  coded: maybe(fc.oneof(fc.constantFrom('GET', 'POST', 'a name that is longer than twelve bytes'), text)),
  bytes: maybe(fc.uint8Array({ maxLength: 40 })),
});

function fill(rows: Rows, { id, big, signed, small, double, yes, text, coded, bytes }: Given): void {
  const { row } = rows;
  const halves = (value: bigint): [number, number] => [
    Number(value & 0xffffffffn),
    Number(BigInt.asUintN(64, value) >> 32n),
  ];
  const set = (name: string) => rows.column(name);
  if (id !== undefined) set('id').setUuid(row, id, 0);
  if (big !== undefined) set('big').set64(row, ...halves(big));
  if (big !== undefined) set('random').set64(row, ...halves(big));
  if (signed !== undefined) set('signed').set64(row, ...halves(signed));
  if (small !== undefined) set('small').set32(row, small);
  if (double !== undefined) set('double').setDouble(row, double);
  if (yes !== undefined) set('yes').setBool(row, yes);
  if (text !== undefined) set('text').setString(row, text);
  if (coded !== undefined) set('coded "text"').setString(row, coded);
  if (bytes !== undefined) set('bytes').setBytes(row, bytes, 0, bytes.length);
  rows.endRow();
}

/** As one text, the same for what was given and what is read. */
function shown(row: Given): string {
  const hex = (bytes: Uint8Array | undefined) => (bytes === undefined ? null : Buffer.from(bytes).toString('hex'));
  const double = row.double === undefined ? null : Object.is(row.double, -0) ? '-0' : String(row.double);
  const { big, signed, small = null, yes = null, text = null, coded = null } = row;
  const wide = (value: bigint | undefined) => (value === undefined ? null : String(value));
  return JSON.stringify([
    hex(row.id),
    wide(big),
    wide(big),
    wide(signed),
    small,
    double,
    yes,
    text,
    coded,
    hex(row.bytes),
  ]);
}

async function inDuckdb(from: string): Promise<string[]> {
  const columns = specs.map(({ name, type }) =>
    type === 'blob'
      ? `lower(hex(${quoted(name)}))`
      : type === 'uuid'
        ? `replace(CAST(${quoted(name)} AS VARCHAR), '-', '')`
        : type === 'u64' || type === 'i64'
          ? `CAST(${quoted(name)} AS VARCHAR)`
          : quoted(name),
  );
  const rows = await (await connection.run(`SELECT ${columns.join(', ')} FROM ${from}`)).getRows();
  return rows.map((row) =>
    JSON.stringify(
      row.map((value, index) =>
        specs[index]!.type === 'f64' && value !== null ? (Object.is(value, -0) ? '-0' : String(value)) : value,
      ),
    ),
  );
}

const never = async () => undefined;
const reads = (path: string) => `read_parquet(${literal(path)})`;

let written = 0;
async function write(name: string, rows: Rows): Promise<string> {
  // As in the store no name comes twice: DuckDB remembers what it has read of a file.
  const path = join(folder, `${written++}-${name}`);
  writeFileSync(path, Buffer.concat((await encodeParquet(rows.specs, rows.chunks(), never)).pieces));
  return path;
}

function arrayBuffer(path: string): ArrayBuffer {
  return new Uint8Array(readFileSync(path)).buffer;
}

const metadataOf = (path: string) => parquetMetadata(arrayBuffer(path));
const objectsOf = (path: string) => parquetReadObjects({ file: arrayBuffer(path), compressors });

describe('hot rows', () => {
  it('are the same in memory, in DuckDB and in a file, whatever they hold', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(given, { minLength: 1, maxLength: 100 }), async (all) => {
        const rows = new Rows(specs);
        for (const row of all) fill(rows, row);
        const expected = all.map(shown);
        const table = hot.add(rows);
        expect(await inDuckdb(table)).toEqual(expected);
        hot.remove(table);
        const path = await write('property.parquet', rows);
        expect(await inDuckdb(reads(path))).toEqual(expected);
        expect((await objectsOf(path)).map((row) => row['text'] ?? undefined)).toEqual(all.map((row) => row.text));
      }),
      { numRuns: runs(60) },
    );
  });

  it('have many chunks and row groups, columns that begin with a dictionary and go on without, and columns of NULL', async () => {
    const rows = new Rows(specs);
    const all: Given[] = [];
    for (let i = 0; i < 70_000; i++) {
      const row: Given = {
        id: undefined,
        big: BigInt(i),
        signed: i % 3 === 0 ? undefined : BigInt(-i),
        small: i % 7,
        double: i < 50_000 ? undefined : i / 8,
        yes: i % 5 === 0 ? undefined : i % 2 === 0,
        text: `line ${i}`,
        coded: i < 3000 ? `value ${i % 10}` : i % 4 === 0 ? undefined : `other ${i}`,
        bytes: i % 11 === 0 ? Buffer.from([i & 255]) : undefined,
      };
      all.push(row);
      fill(rows, row);
    }
    const path = await write('large.parquet', rows);
    const expected = all.map(shown);
    expect(await inDuckdb(reads(path))).toEqual(expected);
    expect(await inDuckdb(hot.add(rows))).toEqual(expected);
    const { row_groups: groups, num_rows: count } = metadataOf(path);
    expect([groups.length, Number(count)]).toEqual([3, 70_000]);
    // Statistics and dictionaries leave out what cannot match, and nothing else.
    const counts = async (where: string) =>
      Number((await (await connection.run(`SELECT count(*) FROM ${reads(path)} WHERE ${where}`)).getRows())[0]![0]);
    expect(await counts('big = 69999')).toBe(1);
    expect(await counts('signed < -69990')).toBe(6);
    expect(await counts('double >= 8749')).toBe(8);
    expect(await counts('small = 6')).toBe(10_000);
    expect(await counts(`"coded ""text""" = 'value 3'`)).toBe(300);
    expect(await counts(`"coded ""text""" = 'other 69999'`)).toBe(1);
    expect(await counts(`"coded ""text""" IS NULL`)).toBe(16_750);
    expect(await counts('id IS NULL')).toBe(70_000);
    // In another order, and not all.
    const order = Uint32Array.from({ length: 5000 }, (_, index) => 69_999 - index * 13);
    const indexes = specs.map((_, index) => index);
    const picked = join(folder, 'picked.parquet');
    const { pieces } = await encodeParquet(specs, gather(specs, rows.chunks(), order, indexes), never);
    writeFileSync(picked, Buffer.concat(pieces));
    expect(await inDuckdb(reads(picked))).toEqual([...order].map((row) => expected[row]));
  });

  it('have the schema that DuckDB gives them, so that files of both can be joined', async () => {
    const rows = new Rows(specs);
    fill(rows, {
      id: new Uint8Array(16),
      big: 1n,
      signed: 1n,
      small: 1,
      double: 1,
      yes: true,
      text: 'a',
      coded: 'b',
      bytes: new Uint8Array(1),
    });
    const ours = await write('ours.parquet', rows);
    const theirs = join(folder, 'theirs.parquet');
    await connection.run(`COPY (SELECT * FROM ${reads(ours)}) TO ${literal(theirs)} (FORMAT parquet)`);
    expect(metadataOf(ours).schema.slice(1)).toEqual(metadataOf(theirs).schema.slice(1));
  });
});

describe('joining', () => {
  const some = (from: number, count: number, names: readonly string[]): Rows => {
    const rows = new Rows([
      { name: 'n', type: 'i64' },
      ...names.map((name): ColumnSpec => ({ name, type: 'text', coded: true })),
    ]);
    for (let i = from; i < from + count; i++) {
      const { row } = rows;
      rows.column('n').set64(row, i, 0);
      for (const name of names) rows.column(name).setString(row, `${name} ${i % 100}`);
      rows.endRow();
    }
    return rows;
  };
  const all = async (from: string) => (await connection.run(`SELECT n, a, b FROM ${from}`)).getRows();

  it('gives the rows of all files in order, NULL where a file lacks the column', async () => {
    const first = await write('first.parquet', some(0, 40_000, ['a']));
    const second = await write('second.parquet', some(40_000, 10_000, ['b', 'a']));
    const third = join(folder, 'third.parquet');
    await connection.run(
      `COPY (SELECT n + 10000 AS n, a FROM ${reads(second)}) TO ${literal(third)} (FORMAT parquet, COMPRESSION snappy)`,
    );
    const plan = await planJoin([first, second, third]);
    const joined = join(folder, 'joined.parquet');
    await writeJoined(plan!, joined);
    const one = `read_parquet([${[first, second, third].map(literal).join(', ')}], union_by_name = true)`;
    expect(await all(reads(joined))).toEqual(await all(one));
    // And once more, what was joined.
    const again = join(folder, 'again.parquet');
    await writeJoined((await planJoin([joined, second]))!, again);
    expect((await all(reads(again))).length).toBe(70_000);
    expect((await objectsOf(again)).map(({ n }) => Number(n))).toEqual(
      (await all(reads(again))).map(([n]) => Number(n)),
    );
  });

  it('is not for crumbs, nor for columns that differ', async () => {
    const crumbs = await write('crumbs.parquet', some(0, 100, ['a']));
    expect(await planJoin([crumbs, crumbs])).toBeUndefined();
    const numbers = new Rows([{ name: 'a', type: 'i64' }]);
    for (let i = 0; i < 20_000; i++) {
      numbers.column('a').set64(numbers.row, i, 0);
      numbers.endRow();
    }
    expect(
      await planJoin([await write('texts.parquet', some(0, 20_000, ['a'])), await write('numbers.parquet', numbers)]),
    ).toBeUndefined();
  });
});
