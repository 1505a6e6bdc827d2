import type { ClientRequest, Agent as HttpAgent, IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { http } from '../../base/index.ts';
import type { Access } from '../contract.ts';
import { idleSocketMs } from './limits.ts';
import type { Reply } from './verdict.ts';

// The few HTTP requests that are made of Elasticsearch or OpenSearch. Why not their own client: it takes 27 MB (its transport
// alone 14), which is more than all of this program but its database; it refuses OpenSearch; and it reads an answer however
// large it is.

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With its query, without the base's path. */
  readonly path: string;
  readonly body?: Uint8Array | object;
  /** Of the body: JSON where it is an object, lines of JSON where it is bytes. */
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}

/** `tooLong`: there was an answer, and it was longer than `answerBytesMax`. */
export type Answer = Reply | { readonly kind: 'tooLong' } | { readonly kind: 'timeout' };

export interface ClientOptions {
  readonly url: URL;
  readonly access: Access;
  readonly userAgent: string;
  /** Connections at once. */
  readonly socketsMax: number;
}

export class Client {
  readonly #options: ClientOptions;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #basePath: string;

  constructor(options: ClientOptions) {
    this.#options = options;
    const { tls } = options.access;
    const keep = { keepAlive: true, maxSockets: options.socketsMax, timeout: idleSocketMs };
    this.#agent =
      options.url.protocol === 'https:'
        ? new HttpsAgent({
            ...keep,
            ...(tls?.ca !== undefined && { ca: tls.ca }),
            ...(tls?.cert !== undefined && { cert: tls.cert }),
            ...(tls?.key !== undefined && { key: tls.key }),
          })
        : new http.Agent(keep);
    this.#basePath = options.url.pathname.replace(/\/$/, '');
  }

  /** Never rejects, except with the reason of `cancel`. */
  async call(call: Call, cancel: AbortSignal): Promise<Answer> {
    cancel.throwIfAborted();
    // A kept connection that the far side closes as it is used again has not taken the request: another is tried, once.
    const first = await this.#once(call, cancel);
    return first.stale ? (await this.#once(call, cancel)).answer : first.answer;
  }

  #once(call: Call, cancel: AbortSignal): Promise<{ answer: Answer; stale: boolean }> {
    const { url, access, userAgent } = this.#options;
    const bytes =
      call.body === undefined || call.body instanceof Uint8Array ? call.body : Buffer.from(JSON.stringify(call.body));
    const { promise, resolve, reject } = Promise.withResolvers<{ answer: Answer; stale: boolean }>();
    const options = {
      method: call.method,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port),
      path: this.#basePath + call.path,
      agent: this.#agent,
      headers: {
        'user-agent': userAgent,
        accept: 'application/json',
        ...(bytes && {
          'content-type': call.body instanceof Uint8Array ? 'application/x-ndjson' : 'application/json',
          'content-length': bytes.length,
        }),
        ...access.headers,
      },
    };
    const request: ClientRequest = url.protocol === 'https:' ? httpsRequest(options) : http.request(options);
    let timedOut = false;
    let answered = false;
    const timer = setTimeout(() => {
      timedOut = true;
      request.destroy();
      settle({ kind: 'timeout' });
    }, call.timeoutMs);
    const aborted = () => {
      request.destroy();
      finish();
      reject(cancel.reason as Error);
    };
    cancel.addEventListener('abort', aborted, { once: true });
    const finish = () => {
      clearTimeout(timer);
      cancel.removeEventListener('abort', aborted);
    };
    const settle = (answer: Answer, stale = false) => {
      finish();
      resolve({ answer, stale });
    };
    request.on('response', (response: IncomingMessage) => {
      answered = true;
      const pieces: Buffer[] = [];
      let size = 0;
      response.on('data', (piece: Buffer) => {
        size += piece.length;
        if (size > call.answerBytesMax) {
          settle({ kind: 'tooLong' });
          request.destroy();
        } else pieces.push(piece);
      });
      response.on('end', () => {
        const retryAfter = response.headers['retry-after'];
        settle({
          kind: 'answer',
          status: response.statusCode ?? 0,
          retryAfter,
          body: Buffer.concat(pieces).toString('utf8'),
        });
      });
      response.on('error', () => settle({ kind: 'broken', reason: 'the answer was cut off' }));
      response.on('aborted', () => settle({ kind: 'broken', reason: 'the answer was cut off' }));
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (timedOut) return;
      settle(
        { kind: 'broken', reason: whyOf(error) },
        request.reusedSocket && !answered && (error.code === 'ECONNRESET' || error.code === 'EPIPE'),
      );
    });
    request.end(bytes);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** An error of the network, in words that hold nothing secret. */
function whyOf(error: NodeJS.ErrnoException): string {
  const inner = error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException | undefined) : undefined;
  const code = error.code ?? inner?.code;
  if (code === undefined) return 'the connection failed';
  if (/CERT|SELF_SIGNED|ALTNAME|ISSUER|SSL|TLS/.test(code)) return `TLS: ${code}`;
  return `the connection failed: ${code}`;
}

/**
 * The base URL of a cluster.
 * @throws Error that says what is wrong with it, without what may be secret in it.
 */
export function baseUrl(text: string): URL {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(withScheme)) throw new Error('the Elasticsearch URL is not one such as http://elasticsearch:9200');
  const url = new URL(withScheme);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Error(`the Elasticsearch URL must begin with http:// or https://, not ${url.protocol}//`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new Error(
      'the Elasticsearch URL must not hold credentials: set the user name and the password by themselves',
    );
  }
  if (url.search !== '' || url.hash !== '') throw new Error('the Elasticsearch URL must end with its path');
  // The port is the scheme's where none is written, as with every URL; Elasticsearch itself listens on 9200.
  return url;
}
