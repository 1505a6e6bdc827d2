import { type FileHandle, open } from 'node:fs/promises';
import { joinRowsMin } from './limits.ts';
import { columnOfNulls, footer } from './parquet.ts';
import {
  decodeThrift,
  encodeThrift,
  fieldOf,
  i64,
  itemsOf,
  list,
  numberOf,
  type Thrift,
  withFields,
} from './thrift.ts';

// Several Parquet files as one, by copying: pages are never decoded, only the places in the metadata change. A merge then
// costs what reading and writing the bytes costs, a fortieth of having DuckDB write the records anew.
// Source: apache/parquet-format, parquet.thrift, FileMetaData, RowGroup, ColumnChunk.

interface Source {
  readonly path: string;
  /** Bytes before the footer, with the magic. */
  readonly dataBytes: number;
  readonly columns: readonly Thrift[];
  readonly rowGroups: readonly Thrift[];
  readonly rows: number;
}

const magicBytes = 4;
const tailBytes = 8;
const pieceBytes = 1024 * 1024;

/**
 * Reads the metadata of the files.
 * @returns undefined where they cannot be joined, as a column of one name is not the same in all, or should not be, as
 *          their row groups are so small that they are better written anew.
 */
export async function planJoin(paths: readonly string[]): Promise<JoinPlan | undefined> {
  const sources: Source[] = [];
  const columns = new Map<string, { element: Thrift; encoded: Buffer }>();
  for (const path of paths) {
    const source = await readMetadata(path);
    for (const element of source.columns) {
      const name = nameOf(element);
      const encoded = encodeThrift(element);
      const known = columns.get(name);
      if (known === undefined) columns.set(name, { element, encoded });
      else if (!known.encoded.equals(encoded)) return undefined;
    }
    sources.push(source);
  }
  const rows = sources.reduce((sum, source) => sum + source.rows, 0);
  const groups = sources.reduce((sum, source) => sum + source.rowGroups.length, 0);
  if (rows < groups * joinRowsMin) return undefined;
  return { sources, columns: [...columns.values()].map(({ element }) => element), rows };
}

export interface JoinPlan {
  readonly sources: readonly Source[];
  readonly columns: readonly Thrift[];
  readonly rows: number;
}

/** Writes the joined file, not synced. */
export async function writeJoined(plan: JoinPlan, path: string): Promise<void> {
  const out = new Output(await open(path, 'w'));
  try {
    await out.write(Buffer.from('PAR1'));
    const rowGroups: Thrift[] = [];
    for (const source of plan.sources) {
      const moved = out.sizeBytes - magicBytes;
      await copyData(source, out);
      for (const group of source.rowGroups) rowGroups.push(await movedGroup(group, moved, plan.columns, out));
    }
    await out.write(footer(plan.columns, rowGroups, plan.rows));
  } finally {
    await out.file.close();
  }
}

class Output {
  readonly file: FileHandle;
  sizeBytes = 0;

  constructor(file: FileHandle) {
    this.file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.file.writeFile(bytes); // all of it, after what was written before
    this.sizeBytes += bytes.length;
  }
}

/** Appends all that lies between magic and footer. */
async function copyData(source: Source, out: Output): Promise<void> {
  const file = await open(source.path, 'r');
  try {
    const piece = Buffer.alloc(pieceBytes);
    for (let at = magicBytes; at < source.dataBytes; ) {
      const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, source.dataBytes - at), at);
      if (bytesRead === 0) throw new Error(`${source.path} has become shorter`);
      await out.write(piece.subarray(0, bytesRead));
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** The row group at its new place, with all columns; those that it does not have are written, NULL in each row. */
async function movedGroup(group: Thrift, moved: number, columns: readonly Thrift[], out: Output): Promise<Thrift> {
  const rows = numberOf(fieldOf(group, 3));
  const chunks = new Map(itemsOf(fieldOf(group, 1)).map((chunk) => [pathOf(chunk), chunk]));
  const next: Thrift[] = [];
  for (const element of columns) {
    const name = nameOf(element);
    const chunk = chunks.get(name);
    if (chunk !== undefined) {
      next.push(movedChunk(chunk, moved));
      continue;
    }
    const { page, chunk: nulls } = columnOfNulls(element, name, rows, out.sizeBytes);
    await out.write(page);
    next.push(nulls);
  }
  const began = fieldOf(group, 5);
  return withFields(group, {
    1: list('struct', next),
    ...(began === undefined ? {} : { 5: i64(numberOf(began) + moved) }),
  });
}

/** Page indexes, of which neither DuckDB nor this room writes any, would have to be moved as well: they are left out. */
function movedChunk(chunk: Thrift, moved: number): Thrift {
  const metadata = fieldOf(chunk, 3)!;
  const places: Record<number, Thrift> = {};
  for (const id of [9, 10, 11, 14]) {
    const place = fieldOf(metadata, id);
    if (place !== undefined) places[id] = i64(numberOf(place) + moved);
  }
  return {
    type: 'struct',
    value: new Map([
      [2, i64(0)],
      [3, withFields(metadata, places)],
    ]),
  };
}

async function readMetadata(path: string): Promise<Source> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const tail = Buffer.alloc(tailBytes);
    await file.read(tail, 0, tailBytes, size - tailBytes);
    const length = tail.readUInt32LE(0);
    if (tail.toString('latin1', 4) !== 'PAR1' || length + tailBytes + magicBytes > size)
      throw new Error(`${path} is not Parquet`);
    const bytes = Buffer.alloc(length);
    await file.read(bytes, 0, length, size - tailBytes - length);
    const metadata = decodeThrift(bytes);
    return {
      path,
      dataBytes: size - tailBytes - length,
      columns: itemsOf(fieldOf(metadata, 2)).slice(1),
      rowGroups: itemsOf(fieldOf(metadata, 4)),
      rows: numberOf(fieldOf(metadata, 3)),
    };
  } finally {
    await file.close();
  }
}

function nameOf(element: Thrift): string {
  const name = fieldOf(element, 4);
  return name?.type === 'binary' ? Buffer.from(name.value).toString('utf8') : '';
}

function pathOf(chunk: Thrift): string {
  const [name] = itemsOf(fieldOf(fieldOf(chunk, 3), 3));
  return name?.type === 'binary' ? Buffer.from(name.value).toString('utf8') : '';
}
