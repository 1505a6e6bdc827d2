import type { Agent as HttpAgent, IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { http } from '../../base/index.ts';
import { answerBytesMax } from './limits.ts';

/** What came back, or why nothing did. */
export type Reply =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers: { readonly [name: string]: string | undefined };
      readonly body: Buffer;
      /** The body was longer than was kept. */
      readonly cut: boolean;
    }
  /** `sent`: the far side may have read the request, or a part. */
  | { readonly kind: 'broken'; readonly reason: string; readonly sent: boolean };

export interface Call {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly deadlineMs: number;
  /** Bytes of the answer that are kept. */
  readonly keepBytesMax?: number;
}

export interface ClientOptions {
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string } | undefined;
  readonly connectionsMax: number;
}

/** HTTP/1.1 on connections that stay. Redirects are not followed: credentials would go along. */
export class Client {
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor({ tls, connectionsMax }: ClientOptions) {
    const agent = { keepAlive: true, maxSockets: connectionsMax };
    this.#http = new http.Agent(agent);
    this.#https = new HttpsAgent({ ...agent, ...tls });
  }

  /** Resolves always: with an answer once it is read, or with what broke. */
  call(call: Call, cancel: AbortSignal): Promise<Reply> {
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const secure = call.url.protocol === 'https:';
    const start = secure ? httpsRequest : http.request;
    let isSent = false;
    const request = start(call.url, {
      method: call.method,
      headers: {
        ...call.headers,
        ...(call.body === undefined ? {} : { 'content-length': String(call.body.byteLength) }),
      },
      agent: secure ? this.#https : this.#http,
    });
    const broken = (reason: string) => {
      resolve({ kind: 'broken', reason, sent: isSent });
      request.destroy();
    };
    const timer = setTimeout(() => broken(`no answer within ${call.deadlineMs / 1000} s`), call.deadlineMs);
    const cancelled = () => broken('cancelled');
    cancel.addEventListener('abort', cancelled, { once: true });
    if (cancel.aborted) cancelled();
    void promise.then(() => {
      clearTimeout(timer);
      cancel.removeEventListener('abort', cancelled);
    });
    request.once('socket', (socket) => {
      const connected = () => {
        isSent = true;
      };
      if (socket.connecting) socket.once(secure ? 'secureConnect' : 'connect', connected);
      else connected();
    });
    request.on('error', (error) => broken(reasonOf(error)));
    request.once('response', (response) => {
      collect(response, call.keepBytesMax ?? answerBytesMax).then(
        ({ body, cut }) =>
          resolve({ kind: 'answer', status: response.statusCode ?? 0, headers: flat(response), body, cut }),
        (error: unknown) => broken(reasonOf(error)),
      );
    });
    request.end(call.body);
    return promise;
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

async function collect(response: IncomingMessage, keepBytesMax: number): Promise<{ body: Buffer; cut: boolean }> {
  const pieces: Buffer[] = [];
  let kept = 0;
  let cut = false;
  for await (const piece of response as AsyncIterable<Buffer>) {
    const room = keepBytesMax - kept;
    if (room >= piece.length) pieces.push(piece);
    else {
      cut = true;
      if (room > 0) pieces.push(piece.subarray(0, room));
    }
    kept += Math.min(room, piece.length);
  }
  return { body: Buffer.concat(pieces), cut };
}

function flat(response: IncomingMessage): { [name: string]: string | undefined } {
  return Object.fromEntries(
    Object.entries(response.headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
  );
}

/** The system's words; they hold addresses, and nothing that was sent. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return error.errors[0].message;
  return error instanceof Error ? error.message : 'the connection broke';
}
