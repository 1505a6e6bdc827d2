import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import type { Batch, Frame } from '../../base/index.ts';
import { jsonToProtobuf } from '../../otlp/index.ts';
import { endpointUrl, type OtlpStoreOptions, openOtlpStore } from './write.ts';

// Against grpc-js's server: another implementation of the protocol.

const closing: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Answer = (request: Buffer, metadata: grpc.Metadata) => Promise<Buffer | Partial<grpc.StatusObject>>;

async function farSide(answer: Answer): Promise<{ endpoint: string; server: grpc.Server }> {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': 4 << 20 });
  const raw = (bytes: Buffer) => bytes;
  const export_ = (path: string) => ({
    path,
    requestStream: false,
    responseStream: false,
    requestDeserialize: raw,
    requestSerialize: raw,
    responseDeserialize: raw,
    responseSerialize: raw,
  });
  const handler: grpc.handleUnaryCall<Buffer, Buffer> = (call, callback) => {
    void answer(call.request, call.metadata).then((reply) =>
      Buffer.isBuffer(reply) ? callback(null, reply) : callback(reply),
    );
  };
  for (const [signal, name] of [
    ['trace', 'TraceService'],
    ['metrics', 'MetricsService'],
    ['logs', 'LogsService'],
  ]) {
    server.addService(
      { Export: export_(`/opentelemetry.proto.collector.${signal}.v1.${name}/Export`) },
      { Export: handler },
    );
  }
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  closing.push(() => server.forceShutdown());
  return { endpoint: `http://127.0.0.1:${port}`, server };
}

function open(endpoint: string, options: Partial<OtlpStoreOptions> = {}) {
  const store = openOtlpStore({ name: 'far', endpoint, ...options });
  closing.push(() => store[Symbol.asyncDispose]());
  return store;
}

function batch(...bodies: Uint8Array[]): Batch {
  const frames: Frame[] = bodies.map((body, index) => ({
    seq: index + 1,
    tenant: '',
    digest: new Uint8Array(16),
    receivedUnixNano: 0n,
    records: 1,
    body,
  }));
  const sizeBytes = bodies.reduce((sum, body) => sum + body.byteLength, 0);
  return { signal: 'traces', logId: '00', frames, records: frames.length, sizeBytes };
}
const never = new AbortController().signal;
const bytes = (length: number, value: number) => Buffer.alloc(length, value);

describe('forwarding over gRPC', () => {
  it.each([
    { name: 'one small frame', sizes: [10] },
    { name: 'small and large frames mixed', sizes: [10, 20_000, 5, 7, 40_000, 40_000, 1] },
    { name: 'an empty frame', sizes: [0] },
    { name: 'a thousand small ones', sizes: Array.from({ length: 1000 }, (_, index) => index % 50) },
    { name: 'more than the flow control window', sizes: [1_000_000, 1_000_000] },
  ])('$name: concatenated, byte for byte', async ({ sizes }) => {
    for (const compression of ['none', 'gzip'] as const) {
      let got: Buffer | undefined;
      const { endpoint } = await farSide(async (request) => {
        got = request;
        return Buffer.alloc(0);
      });
      const bodies = sizes.map((size, index) => bytes(size, index));
      const result = await open(endpoint, { compression }).write(batch(...bodies), never);
      expect(result).toEqual({ kind: 'settled', refused: [] });
      expect(got?.equals(Buffer.concat(bodies))).toBe(true);
    }
  });

  it('sends the headers that it was given, and its name', async () => {
    let got: grpc.Metadata | undefined;
    const { endpoint } = await farSide(async (_, metadata) => {
      got = metadata;
      return Buffer.alloc(0);
    });
    const headers = { authorization: 'Bearer abc', 'x-scope-orgid': 'team' };
    await open(endpoint, { access: { headers, tls: undefined }, version: '1.2.3' }).write(batch(bytes(1, 1)), never);
    expect(got?.get('authorization')).toEqual(['Bearer abc']);
    expect(got?.get('x-scope-orgid')).toEqual(['team']);
    expect(got?.get('user-agent').join()).toContain('watchingcat/1.2.3');
  });

  it.each([
    { code: grpc.status.UNAVAILABLE, kind: 'retry', reason: 'UNAVAILABLE: mañana' },
    { code: grpc.status.INVALID_ARGUMENT, kind: 'split', reason: 'INVALID_ARGUMENT: mañana' },
    { code: grpc.status.UNAUTHENTICATED, kind: 'retry', reason: 'UNAUTHENTICATED: mañana' },
  ])('answers $kind to status $code', async ({ code, kind, reason }) => {
    const { endpoint } = await farSide(async () => ({ code, details: 'mañana' }));
    expect(await open(endpoint).write(batch(bytes(50_000, 1)), never)).toMatchObject({ kind, reason });
  });

  it('honours RetryInfo in the trailers', async () => {
    const { endpoint } = await farSide(async () => {
      const metadata = new grpc.Metadata();
      // google.rpc.Status { 8, 'slow down', [RetryInfo { 2 s }] }.
      const details = 'CAgSCXNsb3cgZG93bhowCih0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5ycGMuUmV0cnlJbmZvEgQKAggC';
      metadata.set('grpc-status-details-bin', Buffer.from(details, 'base64'));
      return { code: grpc.status.RESOURCE_EXHAUSTED, details: 'slow down', metadata };
    });
    expect(await open(endpoint).write(batch(bytes(1, 1)), never)).toMatchObject({ kind: 'retry', afterMs: 2000 });
  });

  it('asks for a split of what is over the far side’s message size', async () => {
    const { endpoint } = await farSide(async () => Buffer.alloc(0));
    const store = open(endpoint);
    expect(await store.write(batch(bytes(5 << 20, 1)), never)).toMatchObject({ kind: 'split' });
    expect(await store.write(batch(bytes(1 << 20, 1)), never)).toMatchObject({ kind: 'settled' });
  });

  it('reports partial success and does not ask for more', async () => {
    // partial_success { rejected 5, 'too old' }
    const { endpoint } = await farSide(async () => Buffer.from('0a0b08051207746f6f206f6c64', 'hex'));
    expect(await open(endpoint).write(batch(bytes(1, 1)), never)).toEqual({
      kind: 'settled',
      refused: [{ frame: undefined, record: undefined, count: 5, reason: 'too old' }],
    });
  });

  it('believes that INTERNAL means the records only after it was said again and again', async () => {
    const { endpoint } = await farSide(async () => ({ code: grpc.status.INTERNAL, details: 'no' }));
    const store = open(endpoint);
    const kinds: string[] = [];
    for (let attempt = 0; attempt < 5; attempt++) kinds.push((await store.write(batch(bytes(1, 1)), never)).kind);
    expect(kinds).toEqual(['retry', 'retry', 'retry', 'split', 'retry']);
  });
});

describe('a request that is refused', () => {
  const logs = (bodies: readonly string[]): Batch => {
    const logRecords = bodies.map((body) => ({ timeUnixNano: '1', body: { stringValue: body } }));
    const request = { resourceLogs: [{ scopeLogs: [{ logRecords }] }] };
    const whole = batch(jsonToProtobuf('logs', Buffer.from(JSON.stringify(request))));
    const frames = whole.frames.map((frame) => ({ ...frame, records: bodies.length }));
    return { ...whole, signal: 'logs', frames, records: bodies.length };
  };
  const invalid = { code: grpc.status.INVALID_ARGUMENT, details: 'bad record' };
  const words = (count: number, bad: number) =>
    Array.from({ length: count }, (_, index) => (index === bad ? 'bad' : `good${index};`));

  it('for one record: that one is refused, by its index, all others arrive once', async () => {
    let requests = 0;
    const got: string[] = [];
    const { endpoint } = await farSide(async (request) => {
      requests++;
      const found = request.toString('latin1');
      if (found.includes('bad')) return invalid;
      got.push(...(found.match(/good\d+;/g) ?? []));
      return Buffer.alloc(0);
    });
    const result = await open(endpoint).write(logs(words(100, 41)), never);
    expect(result).toEqual({
      kind: 'settled',
      refused: [{ frame: 0, record: 41, count: 1, reason: 'INVALID_ARGUMENT: bad record' }],
    });
    expect(got).toEqual(words(100, 41).filter((word) => word !== 'bad'));
    expect(requests).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(100)) + 1);
  });

  it('as too large: arrives in pieces', async () => {
    let got = 0;
    const { endpoint } = await farSide(async (request) => {
      got += request.toString('latin1').match(/big/g)?.length ?? 0;
      return Buffer.alloc(0);
    });
    const result = await open(endpoint).write(
      logs(Array.from({ length: 10 }, () => `big${'x'.repeat(1_000_000)}`)),
      never,
    );
    expect(result).toEqual({ kind: 'settled', refused: [] });
    expect(got).toBe(10);
  });

  it('whatever is in it: the search ends, and every record is refused', async () => {
    let requests = 0;
    const { endpoint } = await farSide(async () => {
      requests++;
      return invalid;
    });
    const result = await open(endpoint).write(logs(words(1000, -1)), never);
    const records = result.kind === 'settled' ? result.refused.map((refusal) => refusal.record) : [];
    expect([...records].sort((a = 0, b = 0) => a - b)).toEqual(Array.from({ length: 1000 }, (_, index) => index));
    expect(requests).toBeLessThan(100);
  });

  it('after a pause it goes on where it was', async () => {
    const got: string[] = [];
    let requests = 0;
    const { endpoint } = await farSide(async (request) => {
      const found = request.toString('latin1');
      if (++requests === 4) return { code: grpc.status.UNAVAILABLE, details: 'later' };
      if (found.includes('bad')) return invalid;
      got.push(...(found.match(/good\d+;/g) ?? []));
      return Buffer.alloc(0);
    });
    const store = open(endpoint);
    expect(await store.write(logs(words(8, 7)), never)).toMatchObject({ kind: 'retry', pending: 'all' });
    expect(await store.write(logs(words(8, 7)), never)).toMatchObject({ kind: 'settled', refused: [{ record: 7 }] });
    expect(got).toEqual(words(7, -1));
  });

  it('is split by the caller while there are others with it', async () => {
    const { endpoint } = await farSide(async () => invalid);
    const one = logs(['bad']);
    const two = { ...one, frames: [...one.frames, ...one.frames], records: 2, sizeBytes: one.sizeBytes * 2 };
    expect(await open(endpoint).write(two, never)).toMatchObject({ kind: 'split' });
  });
});

describe('when the far side is not well', () => {
  it('nobody there: retry; there again: settled, over the same store', async () => {
    const port = await new Promise<number>((resolve) => {
      const server = net.createServer().listen(0, '127.0.0.1', () => {
        const { port } = server.address() as net.AddressInfo;
        server.close(() => resolve(port));
      });
    });
    const store = open(`127.0.0.1:${port}`);
    expect(await store.write(batch(bytes(1, 1)), never)).toMatchObject({
      kind: 'retry',
      reason: expect.stringMatching(/^connect ECONNREFUSED 127/),
    });
    const server = http2.createServer().listen(port, '127.0.0.1');
    closing.push(() => server.close());
    server.on('stream', (stream) => {
      stream.resume();
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' }, { endStream: true });
    });
    expect(await store.write(batch(bytes(1, 1)), never)).toMatchObject({ kind: 'settled' });
  });

  it('a name that does not exist: retry', async () => {
    expect(await open('http://nowhere.invalid:4317').write(batch(bytes(1, 1)), never)).toMatchObject({ kind: 'retry' });
  });

  it('not an HTTP/2 server: retry', async () => {
    const server = http.createServer((_, response) => response.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => server.close());
    const { port } = server.address() as net.AddressInfo;
    expect(await open(`127.0.0.1:${port}`).write(batch(bytes(1, 1)), never)).toMatchObject({ kind: 'retry' });
  });

  it.each([
    { name: 'a proxy’s 503 page', status: 503, kind: 'retry', afterMs: 3000 },
    { name: 'a proxy’s 413 page', status: 413, kind: 'split', afterMs: undefined },
    { name: 'a web server', status: 404, kind: 'retry', afterMs: 3000 },
  ])('$name: $kind', async ({ status, kind, afterMs }) => {
    const endpoint = await http2Server((stream) => {
      stream.respond({ ':status': status, 'content-type': 'text/html', 'retry-after': '3' });
      stream.end('<h1>sorry</h1>');
    });
    expect(await open(endpoint).write(batch(bytes(1_000_000, 1)), never)).toMatchObject({
      kind,
      ...(kind === 'retry' ? { afterMs } : {}),
    });
  });

  it('an early answer followed by a reset is the answer', async () => {
    const endpoint = await http2Server((stream) => {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '3', 'grpc-message': 'no' },
        { endStream: true },
      );
      stream.close(http2.constants.NGHTTP2_NO_ERROR);
    });
    expect(await open(endpoint).write(batch(bytes(3_000_000, 1)), never)).toMatchObject({ kind: 'split' });
  });

  it('an answer of 100 MiB is read, not kept', async () => {
    const endpoint = await http2Server((stream) => {
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      let left = 100;
      const more = () => {
        while (left-- > 0) if (!stream.write(bytes(1 << 20, 0))) return stream.once('drain', more);
        return stream.end();
      };
      more();
    });
    expect(await open(endpoint).write(batch(bytes(1, 1)), never)).toEqual({ kind: 'settled', refused: [] });
  });

  it('a connection cut in the middle: retry, and the next one is new', async () => {
    let calls = 0;
    const endpoint = await http2Server((stream) => {
      if (++calls === 1) stream.session?.socket.destroy();
      else
        stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' }, { endStream: true });
    });
    const store = open(endpoint);
    expect(await store.write(batch(bytes(1_000_000, 1)), never)).toMatchObject({ kind: 'retry' });
    expect(await store.write(batch(bytes(1, 1)), never)).toMatchObject({ kind: 'settled' });
  });

  it('GOAWAY: later calls take a new connection, those under way end well', async () => {
    const sessions = new Set<unknown>();
    const endpoint = await http2Server((stream) => {
      sessions.add(stream.session);
      stream.session?.goaway(http2.constants.NGHTTP2_NO_ERROR);
      setTimeout(() => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' }, { endStream: true });
      }, 20);
    });
    const store = open(endpoint);
    expect(await store.write(batch(bytes(1, 1)), never)).toMatchObject({ kind: 'settled' });
    expect(await store.write(batch(bytes(1, 1)), never)).toMatchObject({ kind: 'settled' });
    expect(sessions.size).toBe(2);
  });

  it('slow but alive: only the late call is given up, the connection stays', async () => {
    const sessions = new Set<unknown>();
    let pings = 0;
    const endpoint = await http2Server((stream) => {
      if (!sessions.has(stream.session)) stream.session?.on('ping', () => pings++);
      sessions.add(stream.session);
    });
    const store = open(endpoint, { deadlineMs: 200, stallMs: 50 });
    const results = await Promise.all(Array.from({ length: 20 }, () => store.write(batch(bytes(1, 1)), never)));
    for (const result of results) expect(result).toMatchObject({ kind: 'retry', reason: 'no answer within 0.2 s' });
    await store.write(batch(bytes(1, 1)), never);
    expect(sessions.size).toBe(1);
    // One for those that wait at a time, which on a busy machine are not all of the twenty; and one for the last call.
    expect(pings).toBeGreaterThanOrEqual(2);
    expect(pings).toBeLessThan(10);
  });

  it('half-open: the connection is given up, the next call opens another', async () => {
    const { endpoint } = await farSide(async () => Buffer.alloc(0));
    const proxy = await proxyTo(Number(new URL(endpoint).port));
    const store = open(proxy.endpoint, { deadlineMs: 300, stallMs: 100 });
    expect(await store.write(batch(bytes(1, 1)), never)).toMatchObject({ kind: 'settled' });
    proxy.blackhole();
    expect(await store.write(batch(bytes(1, 1)), never)).toMatchObject({ kind: 'retry' });
    expect(await store.write(batch(bytes(1, 1)), never)).toMatchObject({ kind: 'settled' });
    expect(proxy.connections()).toBe(2);
  });

  it('can be cancelled', async () => {
    const { endpoint } = await farSide(() => new Promise(() => {}));
    const cancel = new AbortController();
    const writing = open(endpoint).write(batch(bytes(1, 1)), cancel.signal);
    setTimeout(() => cancel.abort(), 20);
    expect(await writing).toMatchObject({ kind: 'retry', reason: 'cancelled' });
  });
});

async function http2Server(answer: (stream: http2.ServerHttp2Stream) => void): Promise<string> {
  const server = http2.createServer();
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.resume();
    answer(stream);
  });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

/** A TCP proxy whose present connections can stop passing bytes on, without closing: what a lost NAT entry looks like. */
async function proxyTo(port: number) {
  const passing: { open: boolean }[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((near) => {
    const state = { open: true };
    passing.push(state);
    const far = net.connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => state.open && to.write(chunk));
      from.on('close', () => to.destroy());
      from.on('error', () => {});
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    endpoint: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    blackhole: () => {
      for (const state of passing) state.open = false;
    },
    connections: () => passing.length,
  };
}

describe('endpointUrl', () => {
  it.each([
    ['http://collector:4317', 'http://collector:4317/'],
    ['collector:4317', 'http://collector:4317/'],
    ['collector', 'http://collector:4317/'],
    ['https://collector', 'https://collector:4317/'],
    ['https://collector:443', 'https://collector/'],
    ['http://[::1]:4317/', 'http://[::1]:4317/'],
  ])('%s → %s', (endpoint, url) => expect(endpointUrl(endpoint).href).toBe(url));
  it.each([
    ['grpc://collector:4317', /http:\/\/ or https:\/\//],
    ['http://collector:4318/v1/traces', /no path/],
    ['http://', /not a URL/],
  ])('%s is refused', (endpoint, message) => expect(() => endpointUrl(endpoint)).toThrow(message));
});
