import http from 'node:http';
import http2 from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { called, closed, listening } from './fault-proxy.ts';

// TLS and credentials in front of a backend that has neither, over HTTP/1.1 and over HTTP/2 (gRPC). The certificates are made
// in the test (certificate.ts).

export interface AuthProxyOptions {
  /** Base URL of the backend, without TLS. */
  readonly target: string;
  readonly cert: string;
  readonly key: string;
  /** Clients must show a certificate that this one (PEM) signs or is; undefined: no client certificate. */
  readonly clientCa?: string;
  /** Headers that a request must have, names in lower case; others are answered 401, UNAUTHENTICATED. May be changed. */
  readonly demands: () => Readonly<Record<string, string>>;
}

export interface AuthProxy extends AsyncDisposable {
  /** `https://localhost:port` */
  readonly url: string;
  /** Requests that were let through, and that were not. */
  readonly counts: { readonly admitted: number; readonly refused: number };
}

export async function startAuthProxy(options: AuthProxyOptions): Promise<AuthProxy> {
  const target = new URL(options.target);
  const counts = { admitted: 0, refused: 0 };
  const sockets = new Set<TLSSocket>();
  let backend: http2.ClientHttp2Session | undefined;
  const server = http2.createSecureServer({
    allowHTTP1: true,
    cert: options.cert,
    key: options.key,
    ...(options.clientCa === undefined ? {} : { ca: options.clientCa, requestCert: true, rejectUnauthorized: true }),
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  });
  server.on('sessionError', () => {});
  const isAdmitted = (headers: http.IncomingHttpHeaders): boolean => {
    const admitted = Object.entries(options.demands()).every(([name, value]) => headers[name] === value);
    counts[admitted ? 'admitted' : 'refused']++;
    return admitted;
  };

  const grpc = async (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch {
      return; // the client has left
    }
    if (!isAdmitted(request.headers)) {
      response.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': '16', 'grpc-message': 'no' });
      response.end();
      return;
    }
    if (backend === undefined || backend.closed || backend.destroyed) {
      backend = http2.connect(target);
      backend.on('error', () => {});
    }
    const answer = await called(backend, request.headers, Buffer.concat(chunks));
    if (answer === undefined) {
      response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
      return;
    }
    const { ':status': status, ...headers } = answer.headers;
    response.writeHead(Number(status), headers);
    response.addTrailers(answer.trailers ?? {});
    response.end(answer.body);
  };
  server.on('request', (request, response) => {
    if (request.httpVersionMajor === 2) {
      void grpc(request, response);
      return;
    }
    if (!isAdmitted(request.headers)) {
      response.writeHead(401, { 'www-authenticate': 'Basic', 'content-type': 'text/plain' });
      request.resume();
      response.end('who are you');
      return;
    }
    const { host: _, ...headers } = request.headers;
    const forward = http.request(
      { host: target.hostname, port: target.port, method: request.method, path: request.url, headers },
      (answer) => {
        const { 'transfer-encoding': __, connection: ___, ...kept } = answer.headers;
        response.writeHead(answer.statusCode ?? 502, kept);
        answer.pipe(response as unknown as NodeJS.WritableStream);
      },
    );
    forward.on('error', () => request.socket.destroy());
    request.pipe(forward);
  });
  const port = await listening(server);
  return {
    url: `https://localhost:${port}`,
    counts,
    async [Symbol.asyncDispose]() {
      backend?.destroy();
      for (const socket of sockets) socket.destroy();
      await closed(server);
    },
  };
}
