// Import directions between the rooms of src/. Exit 1 with one line per violation that says what may be imported instead.
// Why not a library: those that know TypeScript's import syntax need its compiler API, which TypeScript 7 does not have yet.
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** Room → rooms that it may import. Files directly in src/ put rooms together and may import all, as `cli` and `child` may. */
const rooms: Record<string, readonly string[] | 'all'> = {
  base: [],
  config: ['base'],
  otlp: ['base'],
  auth: ['config', 'base'],
  receive: ['otlp', 'auth', 'base'],
  enrich: ['otlp', 'base'],
  wal: ['base'],
  ingest: ['receive', 'otlp', 'enrich', 'wal', 'base'],
  peers: ['wal', 'base'],
  deliver: ['wal', 'stores', 'otlp', 'base'],
  promql: ['base'],
  spanmetrics: ['stores', 'otlp', 'base'],
  query: ['stores', 'promql', 'otlp', 'base'],
  api: ['query', 'stores', 'otlp', 'auth', 'base'],
  self: ['config', 'base'],
  stores: ['otlp', 'base'],
  child: 'all',
  cli: 'all',
};
/** What other rooms know of `stores/`: the contract, and how its regular expressions match; never a store. */
const storeContract = /^src\/stores\/(contract|filter|regex)\.ts$/;
/** What the stores share; and the store that another one writes by. */
const storeShared = /^src\/stores\/(contract|filter|match|regex)\.ts$/;
const storeOfStore: Readonly<Record<string, string>> = { jaeger: 'src/stores/otlp/index.ts' };
const isTest = /\.(test|bench)\.ts$/;
const importLine =
  /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s+'([^']+)'|import\('([^']+)'\)|(?:^|\n)import\s+'([^']+)'/g;

const violations: string[] = [];
for (const file of globSync('src/**/*.ts').sort()) {
  if (isTest.test(file)) continue;
  const [room, store] = roomOf(file);
  const allowed = room === undefined ? 'all' : rooms[room];
  if (allowed === undefined) {
    violations.push(`${file}: the room ${room}/ is not in the table of scripts/check-rooms.ts`);
    continue;
  }
  for (const match of readFileSync(file, 'utf8').matchAll(importLine)) {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    if (!specifier.startsWith('.')) continue;
    const target = normalize(join(dirname(file), specifier));
    const [targetRoom, targetStore] = roomOf(target);
    if (targetRoom === room && targetStore === store) continue;
    if (room === 'stores' && targetRoom === 'stores' && storeShared.test(target)) continue;
    if (room === 'stores' && store !== undefined && storeOfStore[store] === target) continue;
    // `main.ts` and `cli/` are one place: the command starts what main puts together.
    if (room === 'cli' && target === 'src/main.ts') continue;
    if (room !== undefined && targetRoom === undefined) {
      violations.push(`${file}: imports ${target}; what puts the rooms together is above them`);
    } else if (allowed !== 'all' && targetRoom !== room && !allowed.includes(targetRoom ?? '')) {
      violations.push(`${file}: imports ${target}; ${room}/ may import ${allowed.join(', ') || 'no other room'}`);
    } else if (allowed !== 'all' && targetRoom === 'stores' && !storeContract.test(target)) {
      violations.push(`${file}: imports ${target}; of stores/ import contract.ts, filter.ts or regex.ts`);
    } else if (isTest.test(target)) {
      violations.push(`${file}: imports the test ${target}`);
    } else if (!/\/index\.ts$/.test(target) && !storeContract.test(target)) {
      violations.push(`${file}: imports ${target}; a room's surface is its index.ts`);
    }
  }
}
for (const violation of violations) console.error(violation);
process.exitCode = violations.length === 0 ? 0 : 1;

/** Room and, in `stores/<name>/`, the store; both undefined for a file directly in src/. */
function roomOf(path: string): [string | undefined, string | undefined] {
  const parts = path.split('/');
  if (parts[0] !== 'src' || parts.length < 3) return [undefined, undefined];
  return [parts[1], parts[1] === 'stores' && parts.length > 3 ? parts[2] : undefined];
}
