import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Clock ticks a second in /proc/<pid>/stat: USER_HZ, 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** A process and all its descendants that are alive, parents first. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const parent = Number.isInteger(pid) ? stat(pid)?.parent : undefined;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/** User and system time that a process, its living descendants and those that they have waited for have used. */
export function cpuSeconds(root: number): number {
  return processTree(root).reduce((sum, pid) => sum + (stat(pid)?.ticks ?? 0), 0) / ticksPerSecond;
}

/**
 * Resident memory of a process and its living descendants, in MiB: now, and at its peak since `resetPeak`. Pages that
 * several of them share, such as the program itself, count in each of them; in `proportional` once.
 */
export function memoryMebibytes(root: number): { now: number; peak: number; proportional: number } {
  let [now, peak, proportional] = [0, 0, 0];
  for (const pid of processTree(root)) {
    const text = read(`/proc/${pid}/status`);
    now += Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    peak += Number(/^VmHWM:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    proportional += Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
  }
  return { now: now / 1024, peak: peak / 1024, proportional: proportional / 1024 };
}

/** Forgets the peak of resident memory (proc(5), clear_refs, 5). */
export function resetPeak(root: number): void {
  for (const pid of processTree(root)) writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

function stat(pid: number): { parent: number; ticks: number } | undefined {
  const text = read(`/proc/${pid}/stat`);
  if (text === '') return undefined;
  // The command in parentheses may hold anything, so that fields count from the last one. Field 3 comes first.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3]);
  return { parent: field(4), ticks: field(14) + field(15) + field(16) + field(17) };
}

/** '' where the process has ended meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
