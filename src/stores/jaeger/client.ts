import type { Agent } from 'node:http';
import https from 'node:https';
import { Fault, http } from '../../base/index.ts';
import type { Access } from '../contract.ts';
import { answerBytesMax, connectionsMax, errorBytesMax, silenceMs } from './limits.ts';

// Jaeger's /api/v3 over HTTP. Older releases know parameters in snake_case only, newer ones announce the end of those: both are sent.
// Sources: jaeger cmd/…/apiv3/http_gateway.go (v2.13) and query_parser.go (v2.20).

export type Parameters = Readonly<Record<string, string | undefined>>;

export type Answer =
  | { readonly kind: 'json'; readonly bytes: Uint8Array }
  /** 404: no such trace, or no trace at all. */
  | { readonly kind: 'none' }
  /** More than `answerBytesMax`. */
  | { readonly kind: 'tooLarge' }
  /** Jaeger understood the question and cannot answer it; `said` is its own word. */
  | { readonly kind: 'refused'; readonly httpStatus: number; readonly said: string };

const retryAfterMs = 5_000;

export class JaegerClient {
  readonly #base: URL;
  readonly #access: Access;
  readonly #agent: Agent;
  readonly #userAgent: string;
  readonly #answerBytesMax: number;

  /** @throws Error that says what is wrong with `endpoint`. */
  constructor(options: {
    readonly endpoint: string;
    readonly access: Access;
    readonly userAgent: string;
    readonly answerBytesMax?: number;
  }) {
    this.#base = queryUrl(options.endpoint);
    this.#access = options.access;
    this.#userAgent = options.userAgent;
    this.#answerBytesMax = options.answerBytesMax ?? answerBytesMax;
    const agent = { keepAlive: true, maxSockets: connectionsMax };
    this.#agent =
      this.#base.protocol === 'https:' ? new https.Agent({ ...agent, ...options.access.tls }) : new http.Agent(agent);
  }

  /**
   * @param path       Below `/api/v3/`, encoded.
   * @param parameters Names in camelCase, with what stands in front of a dot.
   * @throws Fault `unavailable` where Jaeger cannot be reached or refuses the credentials; the signal's reason once it fires.
   */
  async get(path: string, parameters: Parameters, cancel: AbortSignal): Promise<Answer> {
    const url = new URL(`${this.#base.href}api/v3/${path}`);
    for (const [name, value] of Object.entries(parameters)) {
      if (value === undefined) continue;
      url.searchParams.set(name, value);
      const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      if (snake !== name) url.searchParams.set(snake, value);
    }
    const { status, bytes } = await this.#request(url, cancel);
    if (bytes === undefined) return { kind: 'tooLarge' };
    if (status === 200) return { kind: 'json', bytes };
    if (status === 404) return { kind: 'none' };
    if (status === 401 || status === 403) {
      throw new Fault('unavailable', `Jaeger refuses the credentials (HTTP ${status})`, { retryAfterMs });
    }
    return { kind: 'refused', httpStatus: status, said: messageOf(bytes) };
  }

  close(): void {
    this.#agent.destroy();
  }

  #request(url: URL, cancel: AbortSignal): Promise<{ status: number; bytes: Uint8Array | undefined }> {
    cancel.throwIfAborted();
    return new Promise((resolve, reject) => {
      const request = (url.protocol === 'https:' ? https : http).get(url, {
        agent: this.#agent,
        headers: { ...this.#access.headers, accept: 'application/json', 'user-agent': this.#userAgent },
        timeout: silenceMs,
        signal: cancel,
      });
      const fail = (thrown: Error & { code?: string }) => {
        const reason = thrown instanceof AggregateError ? thrown.errors[0] : thrown;
        if (cancel.aborted) reject(cancel.reason);
        else {
          reject(
            new Fault('unavailable', `Jaeger does not answer at ${url.origin}: ${reason?.code ?? reason?.message}`, {
              retryAfterMs,
              cause: thrown,
            }),
          );
        }
      };
      request.on('timeout', () => request.destroy(new Error(`nothing came for ${silenceMs / 1000} s`)));
      request.on('error', fail);
      request.on('response', (response) => {
        const status = response.statusCode ?? 0;
        const bytesMax = status === 200 ? this.#answerBytesMax : errorBytesMax;
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size <= bytesMax) chunks.push(chunk);
          else if (status === 200) {
            resolve({ status, bytes: undefined });
            request.destroy();
          }
        });
        response.on('error', fail);
        response.on('end', () => resolve({ status, bytes: Buffer.concat(chunks) }));
      });
    });
  }
}

/** Exported for its test. A path in front of `/api/v3` is kept: Jaeger's `base_path`. */
export function queryUrl(endpoint: string): URL {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(endpoint) ? endpoint : `http://${endpoint}`;
  if (!URL.canParse(withScheme)) throw new Error('the Jaeger query endpoint is not a URL such as http://jaeger:16686');
  const url = new URL(withScheme);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Error(`the Jaeger query endpoint must begin with http:// or https://, not ${url.protocol}//`);
  }
  if (url.search !== '' || url.hash !== '') throw new Error('the Jaeger query endpoint must have no parameters');
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

/** `{"error":{"httpCode":500,"message":"…"}}`; anything else says nothing. One line. */
function messageOf(bytes: Uint8Array): string {
  try {
    const { error } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { error?: { message?: unknown } };
    const message = typeof error?.message === 'string' ? error.message : '';
    return message.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').slice(0, 300);
  } catch {
    return '';
  }
}
