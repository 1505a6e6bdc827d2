import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { backendsHome, runProgram } from '../kit/program.ts';

// The clients' own dependencies, at the versions of their lock files, in folders outside the tree: what the product is
// tested with is not what it is built on. Installed once per content of a lock file.

/** Installs the OpenTelemetry SDK for JavaScript; answers the path of the program that sends with it. */
export async function javaScriptClient(): Promise<string> {
  const source = join(import.meta.dirname, 'js');
  const folder = await installed('js', join(source, 'package-lock.json'), async (target) => {
    for (const file of ['package.json', 'package-lock.json']) cpSync(join(source, file), join(target, file));
    await runProgram('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: target, timeoutMs: 300_000 });
  });
  cpSync(join(source, 'send.mjs'), join(folder, 'send.mjs'));
  return join(folder, 'send.mjs');
}

/** Installs the OpenTelemetry SDK for Python; answers the interpreter that has it and the program that sends with it. */
export async function pythonClient(): Promise<{ interpreter: string; program: string }> {
  const source = join(import.meta.dirname, 'python');
  const folder = await installed('python', join(source, 'requirements.txt'), async (target) => {
    await runProgram('python3', ['-m', 'venv', join(target, 'venv')], { timeoutMs: 300_000 });
    const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps'];
    const requirements = join(source, 'requirements.txt');
    await runProgram(join(target, 'venv/bin/python'), [...install, '-r', requirements], { timeoutMs: 300_000 });
  });
  return { interpreter: join(folder, 'venv/bin/python'), program: join(source, 'send.py') };
}

/** Installs the OpenTelemetry SDK for Java; answers the class path that has it and the program that sends with it. */
export async function javaClient(): Promise<string> {
  const source = join(import.meta.dirname, 'java');
  const folder = await installed('java', join(source, 'pom.xml'), async (target) => {
    cpSync(join(source, 'pom.xml'), join(target, 'pom.xml'));
    const copy = ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${join(target, 'lib')}`];
    await runProgram('mvn', copy, { cwd: target, timeoutMs: 300_000 });
  });
  const libraries = join(folder, 'lib', '*');
  await runProgram('javac', ['-encoding', 'UTF-8', '-cp', libraries, '-d', folder, join(source, 'Send.java')]);
  return `${folder}:${libraries}`;
}

/** Compiles the client on gRPC's C++ library; answers its path. Needs g++ and libgrpc++-dev, which `.ci/run` installs. */
export async function cppClient(): Promise<string> {
  const source = join(import.meta.dirname, 'cpp', 'send.cc');
  const folder = await installed('cpp', source, async (target) => {
    const libraries = ['-Wl,--copy-dt-needed-entries', '-lgrpc++', '-lgrpc', '-lgpr'];
    await runProgram('g++', ['-std=c++17', '-O1', source, '-o', join(target, 'send'), ...libraries]);
  });
  return join(folder, 'send');
}

/** A folder named after the content of `lockFile`, filled by `fill` unless it was before. */
async function installed(name: string, lockFile: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const content = createHash('sha256').update(readFileSync(lockFile)).digest('hex').slice(0, 12);
  const folder = join(backendsHome(), 'clients', `${name}-${content}`);
  const stamp = join(folder, 'installed');
  if (existsSync(stamp)) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await fill(folder);
  writeFileSync(stamp, '');
  return folder;
}
