import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import { GrpcClient } from '../../src/stores/otlp/client.ts';
import { startAuthProxy } from './auth-proxy.ts';
import { selfSigned } from './certificate.ts';
import { closed, listening, startGrpcProxy, startHttpProxy, startTcpProxy } from './fault-proxy.ts';

// The proxies before servers of the test's own: each fault does what it says, and nothing when it is over.

/** Echoes each request's body after `echo `. */
async function echo() {
  const server = http.createServer((request, response) => {
    response.write('echo ');
    request.pipe(response);
  });
  let received = 0;
  server.on('request', () => received++);
  const port = await listening(server);
  return {
    port,
    url: `http://127.0.0.1:${port}/base`,
    get received() {
      return received;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await closed(server);
    },
  };
}

const post = (url: string, body = 'x'.repeat(1000), timeoutMs = 5000) =>
  fetch(url, { method: 'POST', body, signal: AbortSignal.timeout(timeoutMs) }).then((answer) => answer.text());

describe('TCP', () => {
  it.each([
    ['refuse', { kind: 'refuse' }, 1],
    ['blackhole', { kind: 'blackhole' }, 2],
    ['reset on the way there', { kind: 'reset', direction: 'forth', afterBytes: 100 }, 1],
    ['reset on the way back', { kind: 'reset', direction: 'back', afterBytes: 10 }, 2],
  ] as const)('%s, and passes everything afterwards', async (_, fault, received) => {
    await using backend = await echo();
    await using proxy = await startTcpProxy(backend.port);
    const url = `http://127.0.0.1:${proxy.port}`;
    proxy.set(fault);
    await expect(post(url, undefined, 500)).rejects.toThrow();
    proxy.set({ kind: 'none' });
    expect(await post(url)).toBe(`echo ${'x'.repeat(1000)}`);
    // The head of a request is not passed on, is later on, or is at once.
    expect(backend.received).toBe(received);
  });

  it('delays and throttles', async () => {
    await using backend = await echo();
    await using proxy = await startTcpProxy(backend.port);
    const url = `http://127.0.0.1:${proxy.port}`;
    proxy.set({ kind: 'delay', ms: 200 });
    const from = performance.now();
    expect(await post(url)).toContain('echo x');
    expect(performance.now() - from).toBeGreaterThan(390);
    proxy.set({ kind: 'throttle', bytesPerSecond: 10_000 });
    const slow = performance.now();
    expect(await post(url, 'x'.repeat(4000))).toHaveLength(4005);
    expect(performance.now() - slow).toBeGreaterThan(350);
  });

  it('forgets a connection without telling, and goes elsewhere', async () => {
    await using one = await echo();
    await using other = await echo();
    await using proxy = await startTcpProxy(one.port);
    const socket = net.connect(proxy.port, '127.0.0.1');
    const heard: string[] = [];
    for (const event of ['data', 'end', 'error', 'close']) socket.on(event, () => heard.push(event));
    await new Promise((resolve) => socket.once('connect', resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
    proxy.drop('silent');
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(heard).toEqual([]);
    socket.destroy();
    proxy.retarget(other.port);
    await post(`http://127.0.0.1:${proxy.port}`);
    expect([one.received, other.received]).toEqual([0, 1]);
  });
});

describe('HTTP', () => {
  it('answers so many times, then passes', async () => {
    await using backend = await echo();
    await using proxy = await startHttpProxy(backend.url);
    proxy.spoil(2, { kind: 'answer', status: 429, headers: { 'retry-after': '7' } }, ({ path }) => path === '/base/a');
    const statuses = [];
    for (const path of ['a', 'b', 'a', 'a']) {
      const answer = await fetch(`${proxy.url}/${path}`, { method: 'POST', body: path });
      statuses.push([answer.status, answer.headers.get('retry-after')]);
      await answer.text();
    }
    expect(statuses).toEqual([
      [429, '7'],
      [200, null],
      [429, '7'],
      [200, null],
    ]);
    expect(backend.received).toBe(2);
    expect(proxy.requests.map(({ path, body }) => `${path} ${body}`)).toEqual([
      '/base/a a',
      '/base/b b',
      '/base/a a',
      '/base/a a',
    ]);
  });

  it.each([
    ['reset', { kind: 'reset' }, 0],
    ['hang', { kind: 'hang' }, 0],
    ['cutAnswer', { kind: 'cutAnswer', afterBytes: 3 }, 1],
    ['cutAnswer at its beginning', { kind: 'cutAnswer', afterBytes: 0 }, 1],
  ] as const)('%s: no answer, and the backend has it or not', async (_, fault, received) => {
    await using backend = await echo();
    await using proxy = await startHttpProxy(backend.url);
    proxy.spoil(1, fault);
    await expect(post(`${proxy.url}/`, 'x', 500)).rejects.toThrow();
    expect(backend.received).toBe(received);
    expect(await post(`${proxy.url}/`, 'x')).toBe('echo x');
  });

  it('rewrites and pads what the backend answered', async () => {
    await using backend = await echo();
    await using proxy = await startHttpProxy(backend.url);
    proxy.spoil(1, { kind: 'rewrite', body: (body) => `not ${body}`, status: 503 });
    const answer = await fetch(`${proxy.url}/`, { method: 'POST', body: 'x' });
    expect([answer.status, await answer.text()]).toEqual([503, 'not echo x']);
    proxy.spoil(1, { kind: 'pad', bytes: 300_000 });
    expect((await post(`${proxy.url}/`)).length).toBeGreaterThan(300_000);
  });
});

/** Answers each call with its own message and status 0. */
async function grpcEcho() {
  const server = http2.createServer();
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': `${headers['x-who']}` }));
    stream.pipe(stream);
  });
  const port = await listening(server);
  return {
    endpoint: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      await closed(server);
    },
  };
}

const message = Buffer.from([0, 0, 0, 0, 2, 65, 66]);
const never = new AbortController().signal;
const client = (endpoint: string, tls?: { ca?: string; cert?: string; key?: string }, who = 'me') =>
  new GrpcClient({
    endpoint: new URL(endpoint),
    headers: { 'x-who': who },
    tls,
    userAgent: 'test',
    deadlineMs: 500,
    stallMs: 300,
  });

describe('gRPC', () => {
  it('answers a status with RetryInfo, hangs, loses an answer, then passes', async () => {
    await using backend = await grpcEcho();
    await using proxy = await startGrpcProxy(backend.endpoint);
    const near = client(proxy.endpoint);
    const call = () => near.call('/a.B/C', [message], false, never);
    proxy.spoil(1, { kind: 'status', code: 14, message: 'not now', retryAfterMs: 1500 });
    const refused = await call();
    expect(refused).toMatchObject({ kind: 'status', code: 14, message: 'not now' });
    expect(refused.kind === 'status' && Buffer.from(refused.details ?? []).toString('latin1')).toContain('RetryInfo');
    proxy.spoil(1, { kind: 'hang' });
    expect(await call()).toMatchObject({ kind: 'broken' });
    proxy.spoil(1, { kind: 'loseAnswer' });
    expect(await call()).toMatchObject({ kind: 'broken' });
    expect(await call()).toMatchObject({ kind: 'status', code: 0, message: 'me', body: Buffer.from('AB') });
    expect(proxy.calls.map(({ bytes }) => bytes)).toEqual([7, 7, 7, 7]);
    near.close();
  });
});

describe('TLS and credentials', () => {
  it('lets in who has what is demanded, over HTTP and gRPC', async () => {
    await using web = await echo();
    await using grpc = await grpcEcho();
    const { cert, key } = selfSigned();
    let who = 'me';
    const demands = () => ({ 'x-who': who });
    await using webProxy = await startAuthProxy({ target: web.url, cert, key, demands });
    await using grpcProxy = await startAuthProxy({ target: grpc.endpoint, cert, key, demands });
    const near = client(grpcProxy.url, { ca: cert });
    expect(await near.call('/a.B/C', [message], false, never)).toMatchObject({ kind: 'status', code: 0 });
    expect(await ask(webProxy.url, cert, 'me')).toBe('200 echo hello');
    who = 'somebody else';
    expect(await near.call('/a.B/C', [message], false, never)).toMatchObject({ kind: 'status', code: 16 });
    expect(await ask(webProxy.url, cert, 'me')).toBe('401 who are you');
    expect(webProxy.counts).toEqual({ admitted: 1, refused: 1 });
    near.close();
  });

  it('is not trusted without its certificate, nor with one that has expired; wants one itself', async () => {
    await using grpc = await grpcEcho();
    const good = selfSigned();
    const old = selfSigned(25);
    const own = selfSigned();
    const call = async (server: { cert: string; key: string }, tls: { ca?: string; cert?: string; key?: string }) => {
      const demands = () => ({});
      await using proxy = await startAuthProxy({ target: grpc.endpoint, ...server, clientCa: own.cert, demands });
      const near = client(proxy.url, tls);
      const reply = await near.call('/a.B/C', [message], false, never);
      near.close();
      return reply.kind === 'status' ? reply.code : reply;
    };
    expect(await call(good, { ca: good.cert, cert: own.cert, key: own.key })).toBe(0);
    expect(await call(good, { cert: own.cert, key: own.key })).toMatchObject({ kind: 'broken' });
    expect(await call(good, { ca: good.cert })).toMatchObject({ kind: 'broken' });
    expect(await call(old, { ca: old.cert, cert: own.cert, key: own.key })).toMatchObject({ kind: 'broken' });
  });
});

function ask(url: string, ca: string, who: string): Promise<string> {
  return new Promise((resolve, reject) => {
    import('node:https').then(({ request }) => {
      const sent = request(url, { method: 'POST', ca, headers: { 'x-who': who } }, async (answer) => {
        const chunks: Buffer[] = [];
        for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
        resolve(`${answer.statusCode} ${Buffer.concat(chunks)}`);
      });
      sent.on('error', reject);
      sent.end('hello');
    }, reject);
  });
}
