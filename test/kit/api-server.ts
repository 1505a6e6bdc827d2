import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';

// What the API server does for those who list and watch, over real connections, and what goes wrong with it on demand.
// Source: Kubernetes API concepts.

interface KubernetesObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly namespace?: string;
    resourceVersion?: string;
    readonly [more: string]: unknown;
  };
  readonly [more: string]: unknown;
}

export interface SeenRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly authorization: string | undefined;
  /** Subject of the client certificate. */
  readonly client: string | undefined;
}

interface Watcher {
  readonly path: string;
  readonly response: http.ServerResponse;
}

/** A request that is answered otherwise. @returns Whether it was. */
export type Interception = (seen: SeenRequest, response: http.ServerResponse) => boolean;

export class ApiServer {
  readonly seen: SeenRequest[] = [];
  /** Paths that may not be read. */
  readonly denied = new Set<string>();
  /** Asked first about each request. */
  intercept: Interception | undefined;
  readonly #server: http.Server;
  #url = new URL('http://127.0.0.1');
  readonly #objects = new Map<string, Map<string, KubernetesObject>>();
  readonly #history: { version: number; path: string; line: string }[] = [];
  #watchers = new Set<Watcher>();
  #version = 1000;
  /** Versions before this one are forgotten. */
  #oldest = 0;

  private constructor(tls: https.ServerOptions | undefined) {
    const listener = (request: http.IncomingMessage, response: http.ServerResponse) => this.#answer(request, response);
    this.#server = tls === undefined ? http.createServer(listener) : https.createServer(tls, listener);
  }

  /** @param port 0: any. */
  static async start(options: { tls?: https.ServerOptions; port?: number } = {}): Promise<ApiServer> {
    const api = new ApiServer(options.tls);
    await new Promise<void>((resolve) => api.#server.listen(options.port ?? 0, '127.0.0.1', resolve));
    const { port } = api.#server.address() as AddressInfo;
    api.#url = new URL(`${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`);
    return api;
  }

  get url(): URL {
    return this.#url;
  }

  get version(): string {
    return String(this.#version);
  }

  lists(path: string): SeenRequest[] {
    return this.seen.filter((seen) => seen.path === path && !seen.query.has('watch'));
  }

  watches(path: string): SeenRequest[] {
    return this.seen.filter((seen) => seen.path === path && seen.query.has('watch'));
  }

  put(path: string, object: KubernetesObject): void {
    const objects = this.#of(path);
    const type = objects.has(object.metadata.uid) ? 'MODIFIED' : 'ADDED';
    this.#change(path, type, object);
    objects.set(object.metadata.uid, object);
  }

  delete(path: string, uid: string): void {
    const object = this.#of(path).get(uid);
    if (object === undefined) throw new Error(`no object ${uid}`);
    this.#of(path).delete(uid);
    this.#change(path, 'DELETED', object);
  }

  /** Tells the watchers which version they are at. */
  bookmark(path: string): void {
    const object = { metadata: { resourceVersion: String(++this.#version) } };
    this.send(path, `${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  /** To those who watch now. */
  send(path: string, text: string | Buffer): void {
    for (const each of this.#watchers) if (each.path === path) each.response.write(text);
  }

  /** Ends the watches: `end` as the API server does after a while, `reset` as a broken network does. */
  cut(path: string, how: 'end' | 'reset'): void {
    for (const each of this.#watchers) {
      if (each.path !== path) continue;
      this.#watchers.delete(each);
      if (how === 'end') each.response.end();
      else each.response.socket?.resetAndDestroy();
    }
  }

  /** Forgets all changes until now, as etcd does when it is compacted. */
  compact(): void {
    this.#version++;
    this.#oldest = this.#version;
  }

  watching(path: string): number {
    return [...this.#watchers].filter((each) => each.path === path).length;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#watchers = new Set();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** A Status, as the API server answers what it does not do. */
  static refuse(response: http.ServerResponse, code: number, message: string, headers: http.OutgoingHttpHeaders = {}) {
    response.writeHead(code, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code }));
  }

  #of(path: string): Map<string, KubernetesObject> {
    const known = this.#objects.get(path);
    if (known !== undefined) return known;
    const made = new Map<string, KubernetesObject>();
    this.#objects.set(path, made);
    return made;
  }

  #change(path: string, type: string, object: KubernetesObject): void {
    const version = ++this.#version;
    object.metadata.resourceVersion = String(version);
    const line = `${JSON.stringify({ type, object })}\n`;
    this.#history.push({ version, path, line });
    this.send(path, line);
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { pathname: path, searchParams: query } = new URL(request.url ?? '', 'http://api');
    const socket = request.socket as Partial<import('node:tls').TLSSocket>;
    const seen: SeenRequest = {
      path,
      query,
      accept: request.headers.accept ?? '',
      authorization: request.headers.authorization,
      client: socket.getPeerCertificate?.()?.subject?.CN as string | undefined,
    };
    this.seen.push(seen);
    if (this.intercept?.(seen, response) === true) return;
    if (this.denied.has(path)) {
      ApiServer.refuse(response, 403, `${path} is forbidden: User "test" cannot list resource`);
    } else if (query.has('watch')) this.#watch(seen, response);
    else this.#list(seen, response);
  }

  #list({ path, query }: SeenRequest, response: http.ServerResponse): void {
    const limit = Number(query.get('limit'));
    const from = Number(query.get('continue') ?? 0);
    const items = [...this.#of(path).values()];
    const more = limit > 0 && from + limit < items.length;
    const metadata = { resourceVersion: this.version, ...(more ? { continue: String(from + limit) } : {}) };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({ kind: 'List', metadata, items: items.slice(from, limit > 0 ? from + limit : undefined) }),
    );
  }

  #watch({ path, query }: SeenRequest, response: http.ServerResponse): void {
    const from = Number(query.get('resourceVersion'));
    if (from < this.#oldest) {
      ApiServer.refuse(response, 410, `too old resource version: ${from} (${this.#oldest})`);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const { version, path: of, line } of this.#history) if (of === path && version > from) response.write(line);
    const watcher = { path, response };
    this.#watchers.add(watcher);
    response.on('close', () => this.#watchers.delete(watcher));
  }
}
