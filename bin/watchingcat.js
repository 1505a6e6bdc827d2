#!/usr/bin/env node
// The command. Runs on Node 20 and later, only to find the Node that WatchingCat needs: this one, or the one that the
// optional dependencies bring. Plain JavaScript, because no older Node understands the source.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const nodeMajorMin = 24;
const signalsToForward = ['SIGTERM', 'SIGHUP', 'SIGUSR2'];

if (Number(process.versions.node.split('.')[0]) >= nodeMajorMin) await runHere();
else runInNewerNode();

async function runHere() {
  // Whoever started us over a channel (the launcher below) and dies without a word takes us along.
  if (process.connected) {
    process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
    process.channel?.unref();
  }
  // Keeps what was stripped and compiled: half the time to `--help`, and a third less memory when the source runs.
  // Not in the system's temporary folder, where others could put something in its place. Where it can't be written, none.
  if (
    module.enableCompileCache(fileURLToPath(new URL('../.cache/compiled', import.meta.url))).directory !== undefined
  ) {
    process.env['NODE_COMPILE_CACHE'] ??= module.getCompileCacheDir(); // for the processes that this one starts
  }
  const source = new URL('../src/cli/index.ts', import.meta.url);
  const compiled = new URL('../dist/cli/index.js', import.meta.url);
  // Node strips no types under node_modules, so that an installed package runs what was compiled.
  const isSource = existsSync(source) && !/[\\/]node_modules[\\/]/.test(fileURLToPath(source));
  const { main } = await import((isSource ? source : compiled).href);
  await main(process.argv.slice(2));
}

function runInNewerNode() {
  const node = bundledNode();
  if (node === undefined) {
    complain();
    return;
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  child.once('error', complain);
  child.channel?.unref();
  for (const signal of signalsToForward) process.on(signal, () => child.kill(signal));
  // A terminal sends Ctrl-C to the whole group: the child has it already.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  child.once('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** Node 24 from the optional dependency for this platform; it needs no install script. */
function bundledNode() {
  try {
    const manifest = createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/package.json`);
    const node = join(dirname(manifest), 'bin', 'node');
    return existsSync(node) ? node : undefined;
  } catch {
    return undefined;
  }
}

function complain() {
  console.error(
    `WatchingCat needs Node ${nodeMajorMin} or later, and this is ${process.version}: install it from https://nodejs.org, ` +
      'or install WatchingCat again on Linux (x64 or arm64, glibc) with optional dependencies, which bring it along.',
  );
  process.exitCode = 1;
}
