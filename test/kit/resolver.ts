import { writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

/** A resolver whose answers can be changed while the process that asks it runs. */
export interface Resolver {
  /** For `startProcess`: names below `domain` are asked here, all others where the system asks. */
  readonly nodeFlags: readonly string[];
  /** Addresses by name; a name that is not there does not exist. From the next question on: nothing is kept. */
  set(names: Readonly<Record<string, readonly string[]>>): Promise<void>;
}

/** @param file Where the names lie; made here. */
export async function startResolver(file: string): Promise<Resolver> {
  const set: Resolver['set'] = (names) => writeFile(file, JSON.stringify(names));
  await set({});
  const preload = new URL('./resolver-preload.ts', import.meta.url);
  preload.searchParams.set('names', pathToFileURL(file).href);
  return { nodeFlags: ['--import', preload.href], set };
}
