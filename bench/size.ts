import { cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../test/kit/median.ts';
import { startProcess } from '../test/kit/process.ts';
import { runProgram } from '../test/kit/program.ts';
import { cpuSeconds, memoryMebibytes, processTree } from '../test/kit/usage.ts';
import { table } from './table.ts';

const root = join(import.meta.dirname, '..');

/** Size of the installation, memory and CPU at rest, time of `--help`; each beside its budget. */
export async function size(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'watchingcat-size-'));
  try {
    const install = await installedBytes(join(folder, 'install'));
    const idle = await atRest(join(folder, 'data-idle'), {});
    const durable = await atRest(join(folder, 'data-durable'), {
      WATCHINGCAT_FORWARD_OTLP_ENDPOINT: 'http://127.0.0.1:9',
      WATCHINGCAT_EMBEDDED: 'off',
    });
    const help = await helpMs([join(root, 'bin', 'watchingcat.js'), '--help']);
    const bare = await helpMs(['-e', '0']);
    console.log(
      table(
        ['what', 'is', 'budget'],
        [
          ['install without dev dependencies and without Node, MB', (install.total / 1e6).toFixed(1), '≤ 130'],
          ...install.largest.map(([name, bytes]) => [`  of it ${name}`, (bytes / 1e6).toFixed(1), '']),
          [`idle RSS of all processes, embedded store (${idle.processes}), MiB`, idle.now.toFixed(0), '≤ 180'],
          ['  of it, pages that both share counted once (PSS)', idle.proportional.toFixed(0), ''],
          [`idle RSS of all processes, forwarding only (${durable.processes}), MiB`, durable.now.toFixed(0), '≤ 110'],
          ['idle CPU of all processes, embedded store, %', idle.cpuPercent.toFixed(1), '≤ 1'],
          ['watchingcat --help, ms (median of 11)', help.toFixed(0), '≤ 150'],
          ['  of it Node itself', bare.toFixed(0), ''],
        ],
      ),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Installs what a user of the package gets, from the lock file, and adds up the bytes of its files. */
async function installedBytes(folder: string): Promise<{ total: number; largest: [string, number][] }> {
  mkdirSync(folder, { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) cpSync(join(root, file), join(folder, file));
  await runProgram('npm', ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder });
  const modules = join(folder, 'node_modules');
  const sizes = new Map<string, number>();
  for (const name of readdirSync(modules)) {
    if (/^node(-linux-|$)/.test(name) || name.startsWith('.')) continue; // Node itself
    sizes.set(name, bytesIn(join(modules, name)));
  }
  for (const name of ['bin', 'dist', 'src', 'proto']) {
    // The package ships dist; the repository runs src. Either is counted, not both.
    if (name === 'src' && existsSync(join(root, 'dist'))) continue;
    if (existsSync(join(root, name))) sizes.set(name, bytesIn(join(root, name)));
  }
  const sorted = [...sizes].sort((left, right) => right[1] - left[1]);
  return { total: sorted.reduce((sum, [, bytes]) => sum + bytes, 0), largest: sorted.slice(0, 6) };
}

function bytesIn(path: string): number {
  const status = lstatSync(path);
  if (!status.isDirectory()) return status.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesIn(join(path, name)), 0);
}

async function atRest(dataDir: string, env: Record<string, string>) {
  const running = await startProcess({ dataDir, env });
  try {
    await sleep(5000); // what start-up needed is given back
    const before = cpuSeconds(running.pid);
    await sleep(5000);
    return {
      ...memoryMebibytes(running.pid),
      processes: processTree(running.pid).length === 1 ? '1 process' : `${processTree(running.pid).length} processes`,
      cpuPercent: ((cpuSeconds(running.pid) - before) / 5) * 100,
    };
  } finally {
    await running.stop();
  }
}

async function helpMs(args: string[]): Promise<number> {
  const times: number[] = [];
  for (let turn = 0; turn < 11; turn += 1) {
    const from = performance.now();
    await runProgram(process.execPath, args);
    times.push(performance.now() - from);
  }
  return median(times);
}
