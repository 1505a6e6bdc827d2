import { createRequire } from 'node:module';

/** The library, loaded where there is YAML to read: seventy files, which most starts do not need. */
export function yaml(): typeof import('yaml') {
  return createRequire(import.meta.url)('yaml');
}
