import { hkdfSync, randomBytes } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { digestSecretBytes } from './digest.ts';

/** In the data folder: a request that comes again after a restart must get the digest that it had before. */
const secretName = 'digest.secret';

/**
 * The secret that this data folder's digests are made with; made at the first start. One of the wrong size (a damaged
 * disk) is replaced: requests that came before are then not recognised when they come again.
 * @throws The system's error where the folder cannot be read or written.
 */
export async function openDigestSecret(dataDir: string): Promise<Uint8Array> {
  const path = join(dataDir, secretName);
  const saved = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (saved?.length === digestSecretBytes) return saved;
  const secret = randomBytes(digestSecretBytes);
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(secret);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  const folder = await open(dataDir, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return secret;
}

/**
 * The secret of all replicas that have a token in common: a client that sends a request to one of them and again to another
 * means the same one, and its records get the same ids.
 */
export function sharedDigestSecret(token: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', token, '', 'watchingcat digest secret', digestSecretBytes));
}
