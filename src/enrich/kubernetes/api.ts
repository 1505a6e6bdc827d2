import type { Agent, IncomingMessage } from 'node:http';
import https from 'node:https';
import { http } from '../../base/index.ts';
import { messageOf } from './json.ts';
import { errorBytesMax, messageCharsMax } from './limits.ts';

// A client for what is needed of the API server: GET, as a stream. Why not @kubernetes/client-node: it takes 83 MB of
// memory and 1.1 s of start.

/** Where the API server is and how to speak to it. */
export interface ApiAccess {
  /** `https://host:port`, possibly with a path in front of the API's. */
  readonly server: URL;
  /** What is presented now. Asked before each request, as tokens and certificates are replaced while we run. Rejects where a file cannot be read. */
  readonly credentials: () => Promise<Credentials>;
}

/** PEM where not said otherwise. */
export interface Credentials {
  readonly token: string | undefined;
  /** undefined: the certificate authorities that Node knows. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** The name that the API server's certificate must have, where it is not the one of the URL. */
  readonly serverName: string | undefined;
  /** `insecure-skip-tls-verify` of a kubeconfig. */
  readonly skipVerify: boolean;
}

/** What came of a request. Never a rejection. */
export type ApiAnswer =
  | { readonly kind: 'ok'; readonly body: IncomingMessage }
  /** The API server answered with another status; `message` is its own. `retryAfterMs` where it said. */
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly message: string;
      readonly retryAfterMs: number | undefined;
    }
  /** No answer. */
  | { readonly kind: 'broken'; readonly message: string };

export class ApiClient {
  readonly #access: ApiAccess;
  #agent: Agent | undefined;
  #agentOf: Credentials | undefined;

  constructor(access: ApiAccess) {
    this.#access = access;
  }

  /**
   * @param path      With the query, as `/api/v1/pods?limit=100`.
   * @param silenceMs The connection is given up when nothing comes for so long: before the answer and while it comes.
   * @returns         For `ok` the body, which the caller reads to its end or destroys.
   */
  async get(path: string, accept: string, silenceMs: number, cancel: AbortSignal): Promise<ApiAnswer> {
    try {
      const credentials = await this.#access.credentials();
      const answer = await this.#open(path, accept, credentials, silenceMs, cancel);
      if (answer.statusCode === 200) return { kind: 'ok', body: answer };
      const message = messageOf(await readSome(answer)) ?? http.STATUS_CODES[answer.statusCode ?? 0] ?? '';
      return {
        kind: 'refused',
        status: answer.statusCode ?? 0,
        message: `${answer.statusCode} ${message}`.slice(0, messageCharsMax),
        retryAfterMs: readRetryAfterMs(answer.headers['retry-after']),
      };
    } catch (thrown) {
      return { kind: 'broken', message: reasonOf(thrown) };
    }
  }

  close(): void {
    this.#agent?.destroy();
  }

  #open(path: string, accept: string, credentials: Credentials, silenceMs: number, cancel: AbortSignal) {
    const { server } = this.#access;
    return new Promise<IncomingMessage>((resolve, reject) => {
      const request = (server.protocol === 'https:' ? https : http).request(
        {
          protocol: server.protocol,
          // A URL writes an IPv6 address in brackets.
          hostname: server.hostname.replace(/^\[|\]$/g, ''),
          port: server.port,
          path: server.pathname.replace(/\/$/, '') + path,
          agent: this.#agentFor(credentials),
          headers: {
            accept,
            'user-agent': 'watchingcat',
            ...(credentials.token === undefined ? {} : { authorization: `Bearer ${credentials.token}` }),
          },
          timeout: silenceMs,
          signal: cancel,
        },
        resolve,
      );
      request.on('socket', (socket) => socket.setKeepAlive(true, 15_000));
      request.on('timeout', () => request.destroy(new Error('the API server has fallen silent')));
      request.on('error', reject);
      request.end();
    });
  }

  /** Connections are kept as long as certificates stay the same; the token is a header. */
  #agentFor(credentials: Credentials): Agent {
    const before = this.#agentOf;
    if (
      this.#agent !== undefined &&
      before?.ca === credentials.ca &&
      before?.cert === credentials.cert &&
      before?.key === credentials.key
    ) {
      return this.#agent;
    }
    // The old one's watches go on until they end.
    this.#agentOf = credentials;
    this.#agent =
      this.#access.server.protocol === 'https:'
        ? new https.Agent({
            keepAlive: true,
            ca: credentials.ca,
            cert: credentials.cert,
            key: credentials.key,
            rejectUnauthorized: !credentials.skipVerify,
            ...(credentials.serverName === undefined ? {} : { servername: credentials.serverName }),
          })
        : new http.Agent({ keepAlive: true });
    return this.#agent;
  }
}

/** What went wrong, in one line; libuv and OpenSSL say it in their codes. */
export function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { code } = thrown as NodeJS.ErrnoException;
  const text = thrown.message !== '' ? thrown.message : (code ?? thrown.name);
  return (code === undefined || text.includes(code) ? text : `${text} (${code})`).slice(0, messageCharsMax);
}

async function readSome(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > errorBytesMax) break;
  }
  return Buffer.concat(chunks).toString();
}

/** Seconds, as the API server writes it. */
function readRetryAfterMs(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}
