import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/**
 * The process that listens on a TCP port, as far as /proc tells: on Linux, for processes of the same user.
 * @returns Such as `node server.js (pid 4711)`.
 */
export function portOwner(port: number): string | undefined {
  const inodes = listeningInodes(port);
  if (inodes.size === 0) return undefined;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        if (inode !== undefined && inodes.has(inode)) {
          return `${programName(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))} (pid ${pid})`;
        }
      }
    } catch {
      // Another user's process, or one that has just ended: look at the next.
    }
  }
  return undefined;
}

/** The program, and the script that it runs; no further argument, as one could be a secret. */
function programName(commandLine: string): string {
  const [program = '', script = ''] = commandLine.split('\0');
  return /^[^-].*\.\w+$/.test(script) ? `${basename(program)} ${basename(script)}` : basename(program);
}

/** @see proc_pid_net(5): columns are sl, local_address, rem_address, st, …, inode in the tenth; state 0A is LISTEN. */
function listeningInodes(port: number): ReadonlySet<string> {
  const inodes = new Set<string>();
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    let lines: string[];
    try {
      lines = readFileSync(table, 'utf8').split('\n');
    } catch {
      continue; // no /proc here, or no IPv6
    }
    for (const line of lines) {
      const columns = line.trim().split(/\s+/);
      if (columns[1]?.endsWith(`:${hexPort}`) && columns[3] === '0A' && columns[9] !== undefined)
        inodes.add(columns[9]);
    }
  }
  return inodes;
}
