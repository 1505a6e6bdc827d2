import { hash } from 'node:crypto';
import { join } from 'node:path';
import type { DuckDBBlobValue, DuckDBConnection } from '@duckdb/node-api';
import { plainAttributes } from '../../otlp/index.ts';
import { literal } from './database.ts';
import type { EntrySources } from './entry.ts';
import type { ShelfKind } from './kind.ts';
import type { FileEntry } from './manifest.ts';

// A file without the records of some resources: what is to go, and what its successor is made of.

interface Place {
  readonly connection: DuckDBConnection;
  readonly kind: ShelfKind;
  readonly folder: string;
}

/** What is to go of one file. */
export interface Erasure {
  /** Records; 0 where only the dictionary names such a resource. */
  readonly rows: number;
  /** Condition on a row of the dictionary that goes. */
  readonly goes: string;
  /** Keys of the resources that stay; undefined: any. */
  readonly resourceKeys: readonly string[] | undefined;
}

/** @returns undefined where no resource of the file has the attribute. */
export async function planErasure(
  { connection, kind, folder }: Place,
  file: FileEntry,
  key: string,
  value: string,
): Promise<Erasure | undefined> {
  const { facts, dictionary } = sourcesOf(folder, file);
  const goes: string[] = [];
  const keys = new Set<string>();
  for (const [resource] of await (await connection.run(`SELECT DISTINCT resource FROM ${dictionary}`)).getRows()) {
    const { bytes } = resource as DuckDBBlobValue;
    const attributes = plainAttributes(bytes, 0, bytes.length, 1);
    if (hasText(attributes, key, value)) goes.push(literal(hash('sha256', bytes)));
    else for (const name of Object.keys(attributes)) keys.add(name);
  }
  if (goes.length === 0) return undefined;
  const condition = `sha256(resource) IN (${goes.join(', ')})`;
  const [row] = await (
    await connection.run(
      `SELECT count(*) FROM ${facts} WHERE ${kind.dictionaryId} IN (SELECT id FROM ${dictionary} WHERE ${condition})`,
    )
  ).getRows();
  return {
    rows: Number(row![0]),
    goes: condition,
    resourceKeys: file.resourceKeys === undefined ? undefined : [...keys],
  };
}

/** What the file's successor is made of. Its roll-up is counted anew: that of the file cannot tell what to take off. */
export function remainder({ kind, folder }: Place, file: FileEntry, erasure: Erasure): EntrySources {
  const all = sourcesOf(folder, file);
  const facts = `(SELECT f.* FROM ${all.facts} f ANTI JOIN (SELECT id FROM ${all.dictionary} WHERE ${erasure.goes}) d ON f.${kind.dictionaryId} = d.id)`;
  const dictionary = `(SELECT * FROM ${all.dictionary} WHERE (${erasure.goes}) IS NOT TRUE)`;
  return {
    hour: file.hour,
    level: file.level,
    facts,
    dictionary,
    rollup: kind.rollup(facts, dictionary),
    // Attributes that no record has any more may stay among the keys: they say where a search has to look, not what there is.
    known: { promoted: file.promoted, keys: file.keys, resourceKeys: erasure.resourceKeys },
  };
}

function sourcesOf(folder: string, { base }: FileEntry): { facts: string; dictionary: string } {
  const from = (name: string) => `read_parquet(${literal(join(folder, base + name))})`;
  return { facts: from('.parquet'), dictionary: from('.origins.parquet') };
}

function hasText(attributes: ReturnType<typeof plainAttributes>, key: string, text: string): boolean {
  if (!Object.hasOwn(attributes, key)) return false;
  const value = attributes[key];
  return value !== null && typeof value !== 'object' && String(value) === text;
}
