import { resolve } from 'node:path';
import type { Config, Origin } from './load.ts';
import type { Settings } from './schema.ts';
import { readSmallFile } from './small-file.ts';

/** The other replicas. Pushes a problem for each contradiction, never the token. */
export function resolvePeers(
  from: Settings,
  cwd: string,
  origin: (path: string) => Origin,
  problems: string[],
): Config['peers'] {
  const { peers, peersPort, peersToken, peersTokenFile } = from;
  if (peersToken !== undefined && peersTokenFile !== undefined) {
    problems.push(
      `peersTokenFile (${origin('peersTokenFile')}): expected either this or peersToken (${origin('peersToken')}), not both`,
    );
  }
  const token = peersToken ?? (peersTokenFile === undefined ? undefined : tokenIn(resolve(cwd, peersTokenFile)));
  if (peers === undefined) {
    const path = peersToken === undefined ? 'peersTokenFile' : 'peersToken';
    if (peersToken !== undefined || peersTokenFile !== undefined) {
      problems.push(`${path} (${origin(path)}): expected peers beside it`);
    }
    return undefined;
  }
  if (token === undefined) problems.push(`peers (${origin('peers')}): expected peersToken or peersTokenFile beside it`);
  return {
    port: peersPort,
    token: token ?? '',
    // Where any free port will do, nobody else's is known either.
    names: peers.map(({ host, port }) => ({ host, port: port ?? (peersPort === 0 ? 8091 : peersPort) })),
  };

  function tokenIn(path: string): string | undefined {
    const content = readSmallFile(path);
    const problem = (text: string) => problems.push(`peersTokenFile (${origin('peersTokenFile')}): ${text}`);
    if (typeof content !== 'string') {
      problem(`${path} ${content.why}`);
      return undefined;
    }
    const line = content.replace(/\r?\n$/, '');
    if (/^[\x21-\x7e]{16,4096}$/.test(line)) return line;
    problem('expected a file with one line without spaces, the token, at least 16 characters');
    return undefined;
  }
}
