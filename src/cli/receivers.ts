import { CommandFailure } from './failure.ts';
import { connect, type Rest } from './rest.ts';

/** Where an instance receives, as a client writes it. */
export interface Receivers {
  readonly rest: Rest;
  /** `host:port`. */
  readonly grpc: string;
  /** Base URL. */
  readonly http: string;
}

/**
 * Asks an instance where its receivers are. One on another machine names addresses of its own; it is reached where its REST API is.
 * @param overrides Addresses that were given by hand, for an instance behind a Service or a forwarded port.
 */
export async function findReceivers(
  endpoint: string | undefined,
  env: NodeJS.ProcessEnv,
  overrides: { grpc?: string | undefined; http?: string | undefined },
): Promise<Receivers> {
  const rest = connect(endpoint, env);
  const { listeners } = await rest.get<{ listeners: { [name: string]: string } }>('/health');
  const { hostname } = new URL(rest.endpoint);
  const address = (name: string): string => {
    const listener = listeners[name];
    if (listener === undefined)
      throw new CommandFailure('problem', `${rest.endpoint} does not say where it receives ${name}.`);
    const at = listener.lastIndexOf(':');
    // What is local there is not local here, where the endpoint is another machine's.
    return isLocal(listener.slice(0, at)) && !isLocal(hostname) ? `${hostname}${listener.slice(at)}` : listener;
  };
  return {
    rest,
    grpc: overrides.grpc?.replace(/^http:\/\//, '') ?? address('otlpGrpc'),
    http: (overrides.http ?? `http://${address('otlpHttp')}`).replace(/\/+$/, ''),
  };
}

function isLocal(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.');
}
