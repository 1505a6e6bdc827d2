import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';

// Stands between us and a real backend, and spoils what passes: a TCP proxy for what happens to connections, an HTTP/1.1
// proxy and a gRPC proxy for what happens to single requests. On loopback, on a free port.

/** What happens to connections, those that are open as well as new ones. */
type TcpFault =
  | { readonly kind: 'none' }
  /** New connections are reset at once, as by a port on which nobody listens; open ones, too. */
  | { readonly kind: 'refuse' }
  /** Each piece, in both directions, comes so much later. */
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'throttle'; readonly bytesPerSecond: number }
  /** Half-open: takes bytes and acknowledges them, passes nothing on, answers nothing, closes nothing. */
  | { readonly kind: 'blackhole' }
  /** Reset, without a FIN, once so many bytes of a connection have been passed on towards the backend, or back from it. */
  | { readonly kind: 'reset'; readonly direction: 'forth' | 'back'; readonly afterBytes: number };

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Takes effect at once. */
  set(fault: TcpFault): void;
  /** Closes what is open, as a NAT does that forgets: with a reset, or so that neither side hears of it. */
  drop(how: 'reset' | 'silent'): void;
  /** Connections so far. */
  readonly connections: number;
  /** Sends new connections elsewhere: the backend's address has changed. */
  retarget(port: number): void;
}

/**
 * @param targetPort On 127.0.0.1.
 * @param at         Where it listens itself; an address of its own stands for a host of its own.
 */
export async function startTcpProxy(
  targetPort: number,
  at: { readonly port: number; readonly address: string } = { port: 0, address: '127.0.0.1' },
): Promise<TcpProxy> {
  let target = targetPort;
  let fault: TcpFault = { kind: 'none' };
  let connections = 0;
  const pairs = new Set<Pair>();
  const server = net.createServer((client) => {
    connections++;
    if (fault.kind === 'refuse') return void client.resetAndDestroy();
    const pair = new Pair(client, net.connect(target, '127.0.0.1'), () => fault);
    pairs.add(pair);
    client.on('close', () => pairs.delete(pair));
  });
  const port = await listening(server, at);
  return {
    port,
    set(next) {
      fault = next;
      if (next.kind === 'refuse') for (const pair of pairs) pair.reset();
      for (const pair of pairs) pair.wake();
    },
    drop(how) {
      for (const pair of pairs) {
        if (how === 'reset') pair.reset();
        else pair.forget();
      }
    },
    get connections() {
      return connections;
    },
    retarget(next) {
      target = next;
    },
    async [Symbol.asyncDispose]() {
      for (const pair of pairs) pair.reset();
      await closed(server);
    },
  };
}

/** A client's connection and ours to the backend. */
class Pair {
  readonly #client: net.Socket;
  readonly #backend: net.Socket;
  readonly #fault: () => TcpFault;
  #forgotten = false;
  readonly #passed = { forth: 0, back: 0 };
  /** Pieces that wait for the end of a black hole. */
  #wake: (() => void)[] = [];

  constructor(client: net.Socket, backend: net.Socket, fault: () => TcpFault) {
    this.#client = client;
    this.#backend = backend;
    this.#fault = fault;
    client.setNoDelay();
    backend.setNoDelay();
    void this.#pump(client, backend, 'forth');
    void this.#pump(backend, client, 'back');
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#backend.resetAndDestroy();
    this.wake();
  }

  /** Neither side is told: each waits for the other. */
  forget(): void {
    this.#forgotten = true;
    this.#backend.destroy();
  }

  wake(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  async #pump(from: net.Socket, to: net.Socket, direction: 'forth' | 'back'): Promise<void> {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        await this.#pass(chunk, to, direction);
      }
      if (!this.#forgotten) to.end();
    } catch {
      if (this.#forgotten) return;
      // Whichever side was cut off, the other is, too.
      this.#client.resetAndDestroy();
      this.#backend.destroy();
    }
  }

  async #pass(chunk: Buffer, to: net.Socket, direction: 'forth' | 'back'): Promise<void> {
    while (this.#fault().kind === 'blackhole') {
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
    if (this.#forgotten) return;
    const fault = this.#fault();
    if (fault.kind === 'delay') await sleep(fault.ms);
    if (fault.kind === 'throttle') return this.#trickle(chunk, to, fault.bytesPerSecond);
    if (fault.kind === 'reset' && fault.direction === direction) {
      const left = fault.afterBytes - this.#passed[direction];
      if (chunk.length >= left) {
        if (left > 0) to.write(chunk.subarray(0, left));
        await sleep(20); // what was passed on arrives before the reset, which would overtake it
        return this.reset();
      }
    }
    this.#passed[direction] += chunk.length;
    if (!to.write(chunk)) await once(to, 'drain');
  }

  async #trickle(chunk: Buffer, to: net.Socket, bytesPerSecond: number): Promise<void> {
    const piece = Math.max(1, Math.ceil(bytesPerSecond / 20));
    for (let at = 0; at < chunk.length && !to.destroyed; at += piece) {
      to.write(chunk.subarray(at, at + piece));
      await sleep(50);
    }
  }
}

/** What happens to one request. */
type HttpFault =
  /** Answered here; the backend never sees it. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | Buffer;
    }
  /** Answered so much later. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Never answered; the connection stays open. */
  | { readonly kind: 'hang' }
  /** Reset before the backend gets it. */
  | { readonly kind: 'reset' }
  /** The backend has done it, and the connection is reset after so many bytes of the answer's body. */
  | { readonly kind: 'cutAnswer'; readonly afterBytes: number }
  /** The backend has done it, and the answer is another. */
  | {
      readonly kind: 'rewrite';
      readonly body: (body: Buffer, status: number) => string | Buffer;
      readonly status?: number;
    }
  /** The backend has done it, and the answer's body goes on for so long. */
  | { readonly kind: 'pad'; readonly bytes: number };

interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** By `performance.now()`. */
  readonly atMs: number;
}

export interface HttpProxy extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Every request, in order, with those that the backend did not see. */
  readonly requests: readonly SeenRequest[];
  /** Decides for each request; undefined: it passes. One decision at a time: the last one counts. */
  decide(decision: (request: SeenRequest) => HttpFault | undefined): void;
  /** The next so many requests that match; `Number.POSITIVE_INFINITY`: until further notice. The others pass. */
  spoil(times: number, fault: HttpFault, matches?: (request: SeenRequest) => boolean): void;
  /** Nothing is spoilt any more. */
  heal(): void;
}

/** @param target Base URL of an HTTP/1.1 backend; its path is kept. */
export async function startHttpProxy(target: string): Promise<HttpProxy> {
  const base = new URL(target);
  const requests: SeenRequest[] = [];
  let decide: (request: SeenRequest) => HttpFault | undefined = () => undefined;
  const agent = new http.Agent({ keepAlive: true });

  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch {
      return; // the client has left
    }
    const seen: SeenRequest = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(chunks),
      atMs: performance.now(),
    };
    requests.push(seen);
    const fault = decide(seen);
    if (fault?.kind === 'answer') {
      response.writeHead(fault.status, fault.headers);
      return void response.end(fault.body ?? '');
    }
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') return void request.socket.resetAndDestroy();
    if (fault?.kind === 'delay') await sleep(fault.ms);
    try {
      // What is to be rewritten must be readable.
      const { 'accept-encoding': _, ...plain } = seen.headers;
      const answer = await forwarded(base, fault?.kind === 'rewrite' ? { ...seen, headers: plain } : seen, agent);
      spoilt(answer, fault, response);
    } catch {
      request.socket.resetAndDestroy(); // the backend is away
    }
  });
  server.on('connection', (socket) => socket.on('error', () => {}));
  const port = await listening(server);
  return {
    port,
    url: `http://127.0.0.1:${port}${base.pathname.replace(/\/$/, '')}`,
    requests,
    decide(decision) {
      decide = decision;
    },
    spoil(times, fault, matches = () => true) {
      let left = times;
      decide = (request) => (left > 0 && matches(request) && left-- > 0 ? fault : undefined);
    },
    heal() {
      decide = () => undefined;
    },
    async [Symbol.asyncDispose]() {
      agent.destroy();
      server.closeAllConnections();
      await closed(server);
    },
  };
}

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

function forwarded(base: URL, seen: SeenRequest, agent: http.Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { host: _, ...headers } = seen.headers;
    const request = http.request(
      { host: base.hostname, port: base.port, method: seen.method, path: seen.path, headers, agent },
      async (answer) => {
        try {
          const chunks: Buffer[] = [];
          for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) });
        } catch (thrown) {
          reject(thrown);
        }
      },
    );
    request.on('error', reject);
    request.end(seen.body);
  });
}

function spoilt(answer: Answer, fault: HttpFault | undefined, response: http.ServerResponse): void {
  const { 'transfer-encoding': _, 'content-length': __, connection: ___, ...headers } = answer.headers;
  const send = (status: number, body: string | Buffer) => {
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
    response.end(body);
  };
  switch (fault?.kind) {
    case 'cutAnswer':
      response.writeHead(answer.status, { ...headers, 'content-length': answer.body.length + 1 });
      response.flushHeaders();
      if (fault.afterBytes > 0) response.write(answer.body.subarray(0, fault.afterBytes));
      // What was written arrives before the reset, which would overtake it.
      setTimeout(() => response.socket?.resetAndDestroy(), 20);
      return;
    case 'rewrite': {
      const body = fault.body(answer.body, answer.status);
      response.writeHead(fault.status ?? answer.status, { ...headers, 'content-length': Buffer.byteLength(body) });
      return void response.end(body);
    }
    case 'pad': {
      response.writeHead(answer.status, headers);
      response.write(answer.body);
      const block = Buffer.alloc(64 << 10, 0x20);
      let left = fault.bytes;
      const more = (): void => {
        while (left > 0 && !response.destroyed) {
          left -= block.length;
          if (!response.write(block)) return void response.once('drain', more);
        }
        response.end();
      };
      more();
      return;
    }
    default:
      send(answer.status, answer.body);
  }
}

/** What happens to one gRPC call. */
type GrpcFault =
  /** Answered here; the backend never sees it. `retryAfterMs`: with google.rpc.RetryInfo. */
  | { readonly kind: 'status'; readonly code: number; readonly message?: string; readonly retryAfterMs?: number }
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'hang' }
  /** The backend has done it, and the answer is lost. */
  | { readonly kind: 'loseAnswer' };

export interface GrpcProxy extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  /** Of each call, in order: its bytes, and when it came. */
  readonly calls: readonly { readonly path: string; readonly bytes: number; readonly atMs: number }[];
  spoil(times: number, fault: GrpcFault): void;
  heal(): void;
}

/** @param target `http://host:port` of a gRPC backend without TLS. Unary calls. */
export async function startGrpcProxy(target: string): Promise<GrpcProxy> {
  const calls: { path: string; bytes: number; atMs: number }[] = [];
  let left = 0;
  let fault: GrpcFault | undefined;
  let backend: http2.ClientHttp2Session | undefined;
  const sessions = new Set<http2.ServerHttp2Session>();
  const connected = () => {
    if (backend === undefined || backend.closed || backend.destroyed) {
      backend = http2.connect(target);
      backend.on('error', () => {});
    }
    return backend;
  };
  const server = http2.createServer();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session)).on('error', () => {});
  });
  server.on('stream', async (stream, headers) => {
    stream.on('error', () => {});
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch {
      return;
    }
    const body = Buffer.concat(chunks);
    calls.push({ path: headers[':path'] ?? '', bytes: body.length, atMs: performance.now() });
    const spoil = left > 0 ? fault : undefined;
    if (spoil !== undefined) left--;
    if (spoil?.kind === 'status') return answerStatus(stream, spoil);
    if (spoil?.kind === 'hang') return;
    if (spoil?.kind === 'delay') await sleep(spoil.ms);
    const answer = await called(connected(), headers, body);
    if (stream.destroyed) return;
    if (answer === undefined || spoil?.kind === 'loseAnswer')
      return stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    stream.respond(answer.headers, { waitForTrailers: answer.trailers !== undefined, endStream: false });
    stream.on('wantTrailers', () => stream.sendTrailers(answer.trailers ?? {}));
    stream.end(answer.body);
  });
  const port = await listening(server);
  return {
    endpoint: `http://127.0.0.1:${port}`,
    calls,
    spoil(times, next) {
      left = times;
      fault = next;
    },
    heal() {
      left = 0;
    },
    async [Symbol.asyncDispose]() {
      backend?.destroy();
      for (const session of sessions) session.destroy();
      await closed(server);
    },
  };
}

interface GrpcAnswer {
  readonly headers: http2.OutgoingHttpHeaders;
  readonly trailers: http2.OutgoingHttpHeaders | undefined;
  readonly body: Buffer;
}

/** undefined: the backend is away. Also used by auth-proxy.ts. */
export function called(
  session: http2.ClientHttp2Session,
  headers: http2.IncomingHttpHeaders,
  body: Buffer,
): Promise<GrpcAnswer | undefined> {
  return new Promise((resolve) => {
    const { ':authority': _, ':scheme': __, ...kept } = headers;
    const call = session.request(kept);
    let head: http2.OutgoingHttpHeaders = {};
    let trailers: http2.OutgoingHttpHeaders | undefined;
    const chunks: Buffer[] = [];
    call.on('response', (received) => {
      head = received;
    });
    call.on('trailers', (received) => {
      trailers = received;
    });
    call.on('data', (chunk: Buffer) => chunks.push(chunk));
    call.on('error', () => resolve(undefined));
    call.on('close', () =>
      resolve(head[':status'] === undefined ? undefined : { headers: head, trailers, body: Buffer.concat(chunks) }),
    );
    call.end(body);
  });
}

function answerStatus(
  stream: http2.ServerHttp2Stream,
  { code, message, retryAfterMs }: Extract<GrpcFault, { kind: 'status' }>,
): void {
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': `${code}`,
      'grpc-message': encodeURIComponent(message ?? ''),
      ...(retryAfterMs === undefined ? {} : { 'grpc-status-details-bin': retryInfo(code, retryAfterMs) }),
    },
    { endStream: true },
  );
}

/** A google.rpc.Status with a RetryInfo, in base64. */
function retryInfo(code: number, retryAfterMs: number): string {
  const field = (number: number, bytes: Uint8Array) =>
    Buffer.concat([Buffer.of((number << 3) | 2, bytes.length), bytes]);
  const duration = Buffer.concat([
    Buffer.of(0x08),
    varint(Math.floor(retryAfterMs / 1000)),
    Buffer.of(0x10),
    varint((retryAfterMs % 1000) * 1e6),
  ]);
  const any = Buffer.concat([
    field(1, Buffer.from('type.googleapis.com/google.rpc.RetryInfo')),
    field(2, field(1, duration)),
  ]);
  return Buffer.concat([Buffer.of(0x08, code), field(3, any)]).toString('base64');
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 127; left = Math.floor(left / 128)) bytes.push((left % 128) | 128);
  return Buffer.from([...bytes, left]);
}

/** Listens, on a free port where none is given. */
export async function listening(
  server: net.Server,
  { port, address } = { port: 0, address: '127.0.0.1' },
): Promise<number> {
  server.listen(port, address);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

export async function closed(server: net.Server): Promise<void> {
  if (!server.listening) return;
  await new Promise((resolve) => server.close(resolve));
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
