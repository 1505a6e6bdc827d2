// Licences of what is installed with the package: each must be on the list. Exit 1 with one line per package that is not.
import { existsSync, readFileSync } from 'node:fs';

/** Permissive licences, by SPDX identifier. */
const allowed = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Python-2.0',
  'Unlicense',
]);

interface Package {
  readonly dev?: boolean;
  readonly version?: string;
  readonly license?: string;
}
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: { [path: string]: Package } };
const production = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && dev !== true);
const problems = production.flatMap(([path, locked]) => {
  // The manifest that is installed counts; packages for other platforms are known by the lockfile alone.
  const licence = installedLicence(path) ?? locked.license ?? '';
  return isAllowed(licence) ? [] : [`${path}@${locked.version}: ${licence === '' ? 'no licence' : licence}`];
});
for (const problem of problems) console.error(`${problem} is not on the list of scripts/check-licences.ts`);
console.log(`${production.length - problems.length} of ${production.length} packages have a licence on the list`);
process.exitCode = problems.length === 0 ? 0 : 1;

function installedLicence(path: string): string | undefined {
  const manifest = `${path}/package.json`;
  if (!existsSync(manifest)) return undefined;
  const { license } = JSON.parse(readFileSync(manifest, 'utf8')) as { license?: unknown };
  return typeof license === 'string' ? license : undefined;
}

/** SPDX expressions as packages write them: one identifier, `A OR B`, `A AND B`, in parentheses or not. */
function isAllowed(expression: string): boolean {
  const inner = expression.replace(/^\((.*)\)$/, '$1');
  if (inner.includes(' OR ')) return inner.split(' OR ').some(isAllowed);
  if (inner.includes(' AND ')) return inner.split(' AND ').every(isAllowed);
  return allowed.has(inner);
}
