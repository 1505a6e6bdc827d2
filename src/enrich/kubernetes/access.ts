import { readFile, stat } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { dirname, resolve } from 'node:path';
import { yaml } from '../../base/index.ts';
import type { ApiAccess, Credentials } from './api.ts';
import { asArray, asObject, asText } from './json.ts';
import { accessAgeMsMax, accessFileBytesMax } from './limits.ts';

export type AccessResult =
  | { readonly kind: 'access'; readonly access: ApiAccess }
  /** One sentence: what is wrong, and what to do where that is known. No secret is in it. */
  | { readonly kind: 'problem'; readonly message: string };

const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * How to reach the API server from a pod. Source: Kubernetes, "Accessing the Kubernetes API from a Pod". That the pod has no
 * token is found out at the first request, as it may be given one later.
 * @param folder Of the service account's files.
 */
export function inClusterAccess(
  env: Readonly<Record<string, string | undefined>>,
  folder: string = serviceAccountFolder,
): AccessResult {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'];
  if (!host || !port) return problem('KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod');
  const server = URL.parse(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`);
  if (server === null) return problem('KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are no host and port');
  const read = aged(async (): Promise<Credentials> => {
    const [token, ca] = await Promise.all([readAccessFile(`${folder}/token`), readAccessFile(`${folder}/ca.crt`)]);
    return { ...noCredentials, token: token.trim(), ca };
  });
  return { kind: 'access', access: { server, credentials: read } };
}

/**
 * How to reach the API server of a kubeconfig's current context. The file is read once; those that it names are read again
 * while we run. Source: Kubernetes, "kubeconfig (v1)".
 */
export async function kubeconfigAccess(path: string): Promise<AccessResult> {
  let text: string;
  try {
    text = await readAccessFile(path);
  } catch (thrown) {
    return problem((thrown as Error).message);
  }
  const { LineCounter, parseDocument } = yaml();
  const lines = new LineCounter();
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines });
  const [error] = document.errors;
  // The parser's own message may quote the line, and a secret in it.
  if (error !== undefined) return problem(`${path} is not YAML: line ${lines.linePos(error.pos[0]).line}`);
  const config = asObject(document.toJS());
  const contextName = asText(config['current-context']);
  if (contextName === undefined) return problem(`${path}: there is no current-context`);
  const context = named(config['contexts'], contextName, 'context');
  if (context === undefined) return problem(`${path}: there is no context ${contextName}`);
  const clusterName = asText(context['cluster']) ?? '';
  const cluster = named(config['clusters'], clusterName, 'cluster');
  if (cluster === undefined) return problem(`${path}: there is no cluster ${clusterName}`);
  const userName = asText(context['user']);
  // A context without a user is one that needs no credentials.
  const user = userName === undefined ? {} : named(config['users'], userName, 'user');
  if (user === undefined) return problem(`${path}: there is no user ${userName}`);
  const unsupported = whatIsUnsupported(cluster, user);
  if (unsupported !== undefined) return problem(`${path}: ${unsupported}`);
  const server = URL.parse(asText(cluster['server']) ?? '');
  if (server === null || !/^https?:$/.test(server.protocol)) {
    return problem(`${path}: the server of cluster ${clusterName} is no URL that begins with https://`);
  }
  const folder = dirname(resolve(path));
  const credentials = aged(async (): Promise<Credentials> => {
    const tokenFile = asText(user['tokenFile']);
    return {
      token:
        tokenFile === undefined ? asText(user['token']) : (await readAccessFile(resolve(folder, tokenFile))).trim(),
      ca: await pem(cluster, 'certificate-authority', folder),
      cert: await pem(user, 'client-certificate', folder),
      key: await pem(user, 'client-key', folder),
      serverName: asText(cluster['tls-server-name']),
      skipVerify: cluster['insecure-skip-tls-verify'] === true,
    };
  });
  try {
    await credentials();
  } catch (thrown) {
    return problem((thrown as Error).message);
  }
  return { kind: 'access', access: { server, credentials } };
}

/** Of a client that says nothing of itself. */
export const noCredentials: Credentials = {
  token: undefined,
  ca: undefined,
  cert: undefined,
  key: undefined,
  serverName: undefined,
  skipVerify: false,
};

function problem(message: string): AccessResult {
  return { kind: 'problem', message };
}

function named(list: unknown, name: string, field: string): Readonly<Record<string, unknown>> | undefined {
  const found = asArray(list).find((each) => asObject(each)['name'] === name);
  return found === undefined ? undefined : asObject(asObject(found)[field]);
}

const instead = 'give a token, a tokenFile or a client certificate instead (kubectl create token makes a token)';

/** What would make us somebody else than the file says, or reach somebody else, were it ignored. */
function whatIsUnsupported(
  cluster: Readonly<Record<string, unknown>>,
  user: Readonly<Record<string, unknown>>,
): string | undefined {
  if (user['exec'] !== undefined) return `credentials by a program (exec) are not supported: ${instead}`;
  if (user['auth-provider'] !== undefined) return `credentials by an auth-provider are not supported: ${instead}`;
  if (user['username'] !== undefined) return `user name and password are not supported: ${instead}`;
  if (Object.keys(user).some((key) => key === 'as' || key.startsWith('as-')))
    return 'impersonation (as) is not supported';
  if (asText(cluster['proxy-url']) !== undefined) return 'proxy-url is not supported';
  return undefined;
}

/** `NAME-data` in base64, or else the file that NAME is the path of. */
async function pem(from: Readonly<Record<string, unknown>>, name: string, folder: string): Promise<string | undefined> {
  const data = asText(from[`${name}-data`]);
  if (data !== undefined) return Buffer.from(data, 'base64').toString();
  const path = asText(from[name]);
  return path === undefined ? undefined : readAccessFile(resolve(folder, path));
}

/** @throws Error with a message that names the path. */
async function readAccessFile(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size <= accessFileBytesMax) return await readFile(path, 'utf8');
  } catch (thrown) {
    throw new Error(`${path} cannot be read: ${(thrown as NodeJS.ErrnoException).code ?? 'unknown error'}`);
  }
  throw new Error(`${path} has more than ${accessFileBytesMax} bytes`);
}

/** What was read last, or read anew when that is too old. What failed is not kept. */
function aged(read: () => Promise<Credentials>): () => Promise<Credentials> {
  let last: { readonly credentials: Promise<Credentials>; readonly atMs: number } | undefined;
  return async () => {
    if (last === undefined || performance.now() - last.atMs > accessAgeMsMax) {
      last = { credentials: read(), atMs: performance.now() };
    }
    const { credentials } = last;
    try {
      return await credentials;
    } catch (thrown) {
      if (last?.credentials === credentials) last = undefined;
      throw thrown;
    }
  };
}
