import { Fault } from '../base/index.ts';
import { type Config, settings } from '../config/index.ts';
import { portOwner } from './port-owner.ts';

/**
 * One sentence for a start that the world prevented: what, and what to do.
 * @returns undefined for what is a bug of ours, and deserves a stack.
 */
export function startFailure(thrown: unknown, config: Config): string | undefined {
  const system = systemError(thrown);
  if (system?.syscall === 'listen' || system?.syscall === 'bind') return listenFailure(system, config);
  if (!(thrown instanceof Fault) || thrown.code === 'internal') return undefined;
  return `${thrown.message.charAt(0).toUpperCase()}${thrown.message.slice(1)}.`;
}

function listenFailure(error: NodeJS.ErrnoException & { port?: number; address?: string }, config: Config): string {
  const { port } = error;
  const setting = settings.find(
    ({ path }) =>
      port !== undefined &&
      ((path === 'otlp.grpcPort' && config.ports.otlpGrpc === port) ||
        (path === 'otlp.httpPort' && config.ports.otlpHttp === port) ||
        (path === 'http.port' && config.ports.http === port)),
  );
  const another = `another port with ${setting?.flag ?? '--http-port'} or ${setting?.env ?? 'WATCHINGCAT_HTTP_PORT'} (0 = any free port)`;
  if (error.code === 'EADDRINUSE') {
    const owner = port === undefined ? undefined : portOwner(port);
    return `Port ${port} on ${config.host} is taken${owner === undefined ? '' : ` by ${owner}`}: stop that process, or choose ${another}.`;
  }
  if (error.code === 'EACCES') return `Port ${port} needs a right that this user does not have: choose ${another}.`;
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN') {
    return `${config.host} is not an address of this machine: set --host or WATCHINGCAT_HOST.`;
  }
  return `Listening on ${config.host}:${port} failed with ${error.code}: choose ${another}.`;
}

/** The operating system's own error, which may stand behind ours. */
function systemError(thrown: unknown): (NodeJS.ErrnoException & { port?: number }) | undefined {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 8; error = error.cause, depth++) {
    if ('code' in error && 'syscall' in error) return error as NodeJS.ErrnoException;
  }
  return undefined;
}
