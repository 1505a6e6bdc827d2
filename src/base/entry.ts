import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Path of the module that a thread or a child process starts with. TypeScript does not rewrite `.ts` inside
 * `new URL(…)`, so the compiled package needs this: it looks for the source first, then for what it was compiled to.
 * @param url      `import.meta.url` of the caller.
 * @param relative Path of the entry point as the source has it, such as './child.ts'.
 */
export function entryPath(url: string, relative: string): string {
  const source = fileURLToPath(new URL(relative, url));
  return existsSync(source) ? source : source.replace(/\.ts$/, '.js');
}
