import { readFileSync, statSync } from 'node:fs';
import { configFileBytesMax } from './limits.ts';

/** The text of a file, or why there is none, as the end of a sentence that begins with its path. */
export function readSmallFile(path: string): string | { why: string } {
  try {
    const { size } = statSync(path);
    if (size > configFileBytesMax) return { why: `has ${size} bytes, more than ${configFileBytesMax}` };
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return { why: 'does not exist' };
    if (code === 'EACCES') return { why: 'cannot be read: permission denied' };
    if (code === 'EISDIR') return { why: 'is a folder' };
    return { why: `cannot be read: ${String(code)}` };
  }
}
