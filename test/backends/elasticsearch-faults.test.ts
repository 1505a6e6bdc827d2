import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WriteResult } from '../../src/stores/contract.ts';
import { startAuthProxy } from '../kit/auth-proxy.ts';
import { type Elasticsearch, startElasticsearch } from '../kit/backends.ts';
import { selfSigned } from '../kit/certificate.ts';
import { cluster, frameOf, never, nowNano, openStore, write, writeAll } from '../kit/elasticsearch.ts';
import { type HttpProxy, startHttpProxy } from '../kit/fault-proxy.ts';

// Rows A10 to A19 of what must hold, as far as Elasticsearch is concerned: by its own knobs, and by a proxy before it.
// After each, every record is there once.

let elasticsearch: Elasticsearch;
let api: ReturnType<typeof cluster>;
let proxy: HttpProxy;
/** Requests that had come when what is looked at began. */
let seen = 0;
beforeAll(async () => {
  elasticsearch = await startElasticsearch({
    settings: ['http.max_content_length: 2mb', 'indexing_pressure.memory.limit: 3mb'],
  });
  api = cluster(elasticsearch.url);
  proxy = await startHttpProxy(elasticsearch.url);
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await elasticsearch?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await api.clear();
  proxy.heal();
  seen = proxy.requests.length;
});

const day = 86_400_000_000_000n;
type Seen = HttpProxy['requests'][number];
type Fault = Parameters<HttpProxy['spoil']>[1];
/** Each has its own name for it. */
const notThatNumber: string = expect.stringMatching(
  /^HTTP 400 (document|mapper)_parsing_exception in field severity_number$/,
);
const isBulk = ({ path }: Pick<Seen, 'path'>) => path.startsWith('/_bulk');
const itemsIn = ({ body }: Seen) => body.toString().split('\n').length >> 1;
const bodies = async () => (await api.hits()).map(({ _source }) => String(_source['body'])).sort();
const lines = (count: number, size = 0) =>
  frameOf(
    Array.from({ length: count }, (_, n) => ({ body: `line ${String(n).padStart(6, '0')}${' x'.repeat(size / 2)}` })),
  );
const linesOf = (count: number) => Array.from({ length: count }, (_, n) => `line ${String(n).padStart(6, '0')}`);

/** The first `times` writes go wrong. */
function once(fault: Fault, times = 1): void {
  proxy.spoil(times, fault, isBulk);
}

/** The writes that came since. */
function writes(): Seen[] {
  return proxy.requests.slice(seen).filter(isBulk);
}

function reasonOf(result: WriteResult): string {
  expect(result.kind).toBe('retry');
  return result.kind === 'retry' ? result.reason : '';
}

describe('an answer that is none, or a refusal for now', () => {
  it.each<[string, Fault, RegExp]>([
    ['A13 503', { kind: 'answer', status: 503, body: 'no backend' }, /^HTTP 503$/],
    ['A13 500', { kind: 'answer', status: 500 }, /^HTTP 500$/],
    ['A13 a proxy’s 400', { kind: 'answer', status: 400, body: '<html>' }, /^HTTP 400$/],
    ['A13 reset before it arrives', { kind: 'reset' }, /ECONNRESET|the connection failed/],
    ['A13 reset after it is stored', { kind: 'cutAnswer', afterBytes: 0 }, /ECONNRESET|the connection failed/],
    ['A13 an answer that is cut off', { kind: 'cutAnswer', afterBytes: 20 }, /cut off|connection failed/],
    ['A13 an empty answer', { kind: 'answer', status: 200 }, /without a result for each record/],
    ['A13 an answer of 100 MiB', { kind: 'pad', bytes: 100 << 20 }, /longer than any/],
    ['A13 another program’s answer', { kind: 'answer', status: 200, body: '{"items":[{}]}' }, /without a result/],
    ['A19 404 of a wrong path', { kind: 'answer', status: 404 }, /^HTTP 404$/],
  ])('%s', async (_, fault, reason) => {
    await using store = openStore(proxy.url);
    const frame = lines(20);
    once(fault, fault.kind === 'reset' || fault.kind === 'cutAnswer' ? 2 : 1);
    expect(reasonOf(await write(store.destination!, [frame]))).toMatch(reason);
    expect(await writeAll(store.destination!, [frame])).toEqual([]);
    expect(await bodies()).toEqual(linesOf(20));
  });

  it.each<[string, () => string, (afterMs: number | undefined) => void]>([
    ['seconds', () => '7', (afterMs) => expect(afterMs).toBe(7_000)],
    [
      'a date',
      () => new Date(Date.now() + 3_600_000).toUTCString(),
      (afterMs) => expect(afterMs).toBeGreaterThan(3_500_000),
    ],
    ['nonsense', () => 'soon', (afterMs) => expect(afterMs).toBeUndefined()],
  ])('A12 429 with Retry-After, %s', async (_, header, check) => {
    await using store = openStore(proxy.url);
    once({ kind: 'answer', status: 429, headers: { 'retry-after': header() } });
    const result = await write(store.destination!, [lines(1)]);
    expect(result.kind).toBe('retry');
    check(result.kind === 'retry' ? result.afterMs : undefined);
  });

  it('A11, A14 nobody answers: it is given up in time, and sent again', async () => {
    await using store = openStore(proxy.url, { timeoutMs: 500 });
    const frame = lines(5);
    once({ kind: 'hang' });
    expect(reasonOf(await write(store.destination!, [frame]))).toBe('no answer in time');
    await writeAll(store.destination!, [frame]);
    expect(await bodies()).toEqual(linesOf(5));
  });

  it('a write ends when delivery stops', async () => {
    await using store = openStore(proxy.url);
    await writeAll(store.destination!, [lines(1)]);
    once({ kind: 'hang' });
    const stop = new AbortController();
    const frame = lines(5);
    const batch = { signal: 'logs', logId: 'x', frames: [frame], records: 5, sizeBytes: frame.body.length } as const;
    const written = store.destination!.write(batch, stop.signal);
    await sleep(100);
    stop.abort(new Error('stopped'));
    await expect(written).rejects.toThrow('stopped');
  });
});

describe('A10, A14 the cluster itself', () => {
  it('stands still, and goes on', async () => {
    await using store = openStore(elasticsearch.url, { timeoutMs: 1_000 });
    await writeAll(store.destination!, [lines(3)]);
    const frame = lines(20);
    elasticsearch.signal('SIGSTOP');
    try {
      // On a busy machine it goes on for a moment.
      await vi.waitUntil(() => readFileSync(`/proc/${elasticsearch.pid}/stat`, 'utf8').includes(') T '), 10_000);
      expect(reasonOf(await write(store.destination!, [frame]))).toMatch(/no answer in time/);
    } finally {
      elasticsearch.signal('SIGCONT');
    }
    await using patient = openStore(elasticsearch.url);
    await writeAll(patient.destination!, [frame]);
    expect(await bodies()).toEqual([...linesOf(3), ...linesOf(20)].sort());
  });

  it('crashes in the middle, and comes back', async () => {
    await using store = openStore(elasticsearch.url);
    const frames = Array.from({ length: 30 }, (_, n) =>
      frameOf(Array.from({ length: 50 }, (_, r) => ({ body: `frame ${n} record ${r}` }))),
    );
    const writing = writeAllPatiently(store.destination!, frames);
    await sleep(150);
    elasticsearch.signal('SIGKILL');
    await sleep(500);
    await elasticsearch.start();
    await writing;
    expect(new Set(await bodies()).size).toBe(1_500);
    expect(await bodies()).toHaveLength(1_500);
  });

  async function writeAllPatiently(destination: Parameters<typeof write>[0], frames: Parameters<typeof write>[1]) {
    for (const frame of frames) {
      for (;;) {
        const result = await write(destination, [frame]);
        expect(result.kind).not.toBe('split');
        expect(result.kind === 'split' ? [] : result.refused).toEqual([]);
        if (result.kind === 'settled') break;
        await sleep(200);
      }
    }
  }
});

describe('A16 one request, and each record its own result', () => {
  it('only what was refused for now is sent again; what is refused for good is told; what is there is good', async () => {
    await using store = openStore(proxy.url);
    const now = nowNano();
    const name = (at: bigint) =>
      `watchingcat-logs-${new Date(Number(at / 1_000_000n)).toISOString().slice(0, 10).replaceAll('-', '.')}`;
    await writeAll(store.destination!, [lines(1)]); // installs the template
    await api.clear();
    // Yesterday's index takes no severity over 127: somebody has changed its mapping. The one of the day before is in flood stage.
    await api.ask('PUT', `/${name(now - day)}`, { mappings: { properties: { severity_number: { type: 'byte' } } } });
    await api.ask('PUT', `/${name(now - 2n * day)}`, { settings: { 'index.blocks.read_only_allow_delete': true } });
    const there = frameOf([{ at: now, body: 'there' }]);
    await writeAll(store.destination!, [there]);
    const mixed = frameOf([
      { at: now, body: 'a' },
      { at: now - day, body: 'bad', severity: 1_000 },
      { at: now - 2n * day, body: 'blocked' },
      { at: now - day, body: 'b' },
    ]);
    const other = frameOf([{ at: now, body: 'c' }]);
    seen = proxy.requests.length;

    const first = await write(store.destination!, [there, mixed, other]);
    expect(first).toMatchObject({
      kind: 'retry',
      pending: [1],
      refused: [{ frame: 1, record: 1, count: 1, reason: notThatNumber }],
    });
    expect(reasonOf(first)).toMatch(/HTTP 429 cluster_block_exception.*flood-stage watermark/);
    expect(writes().map(itemsIn)).toEqual([6]);

    seen = proxy.requests.length;
    expect(await write(store.destination!, [mixed])).toMatchObject({ kind: 'retry', pending: [0], refused: [] });
    expect(writes().map(itemsIn)).toEqual([1]);

    await api.ask('PUT', `/${name(now - 2n * day)}/_settings`, { 'index.blocks.read_only_allow_delete': null });
    expect(await write(store.destination!, [mixed])).toEqual({ kind: 'settled', refused: [] });
    expect(await bodies()).toEqual(['a', 'b', 'blocked', 'c', 'there']);
  });

  it('A10 an index that is read-only holds its records until it is not', async () => {
    await using store = openStore(elasticsearch.url);
    await writeAll(store.destination!, [lines(1)]);
    await api.ask('PUT', '/watchingcat-logs-*/_settings', { 'index.blocks.write': true });
    const frame = frameOf([{ body: 'held' }]);
    const result = await write(store.destination!, [frame]);
    expect(result).toMatchObject({ kind: 'retry', pending: [0], refused: [] });
    expect(reasonOf(result)).toMatch(/HTTP 403 cluster_block_exception.*index write/);
    await api.ask('PUT', '/watchingcat-logs-*/_settings', { 'index.blocks.write': false });
    await writeAll(store.destination!, [frame]);
    expect(await bodies()).toEqual(['held', 'line 000000']);
  });

  it('A12 too many at once for the cluster’s memory: all of them arrive', async () => {
    await using store = openStore(proxy.url);
    const frames = Array.from({ length: 12 }, (_, n) =>
      frameOf(Array.from({ length: 8 }, (_, r) => ({ body: `${n} ${r} ${'x '.repeat(50_000)}` }))),
    );
    const statuses: number[] = [];
    proxy.decide(() => ({
      kind: 'rewrite',
      body(answer, status) {
        statuses.push(status);
        return answer;
      },
    }));
    const refused = await Promise.all(frames.map((frame) => writeAll(store.destination!, [frame])));
    expect(refused.flat()).toEqual([]);
    expect(statuses).toContain(429);
    expect(await bodies()).toHaveLength(96);
  });
});

describe('A17 a poison record', () => {
  it('is told by its frame and index, and the other 9,999 are stored, with no request more', async () => {
    await using store = openStore(proxy.url);
    await writeAll(store.destination!, [lines(1)]);
    await api.clear();
    const now = nowNano();
    const index = `watchingcat-logs-${new Date(Number(now / 1_000_000n)).toISOString().slice(0, 10).replaceAll('-', '.')}`;
    await api.ask('PUT', `/${index}`, { mappings: { properties: { severity_number: { type: 'byte' } } } });
    const frames = Array.from({ length: 10 }, (_, f) =>
      frameOf(
        Array.from({ length: 1_000 }, (_, r) => ({
          at: now,
          body: `${f} ${r}`,
          severity: f === 7 && r === 123 ? 9_999 : 9,
        })),
      ),
    );
    seen = proxy.requests.length;
    expect(await writeAll(store.destination!, frames)).toEqual([
      { frame: 7, record: 123, count: 1, reason: notThatNumber },
    ]);
    const sent = writes();
    expect(sent.map(itemsIn).reduce((a, b) => a + b)).toBe(
      10_000 +
        sent
          .filter(({ body }) => body.length > 2 << 20)
          .map(itemsIn)
          .reduce((a, b) => a + b, 0),
    );
    await api.ask('POST', '/watchingcat-logs-*/_refresh');
    const { body } = await api.ask('GET', '/watchingcat-logs-*/_count');
    expect(body).toMatchObject({ count: 9_999 });
  });
});

describe('A18 a request that is too large for the cluster', () => {
  it('goes in halves, and later ones are smaller from the beginning', async () => {
    await using store = openStore(proxy.url);
    const frame = lines(3_000, 1_000);
    expect(await writeAll(store.destination!, [frame])).toEqual([]);
    expect((await api.hits()).length).toBe(3_000);
    const tooLarge = writes().filter(({ body }) => body.length > 2 << 20).length;
    expect(tooLarge).toBeGreaterThan(0);
    seen = proxy.requests.length;
    expect(await writeAll(store.destination!, [lines(1_000, 1_002)])).toEqual([]);
    expect(writes().every(({ body }) => body.length <= 2 << 20)).toBe(true);
  });

  it('is one record: that one is refused, and no other', async () => {
    await using store = openStore(proxy.url);
    const frame = frameOf([{ body: 'before' }, { body: 'x '.repeat(1_500_000) }, { body: 'after' }]);
    expect(await writeAll(store.destination!, [frame])).toEqual([
      { frame: 0, record: 1, count: 1, reason: expect.stringMatching(/^HTTP 413/) },
    ]);
    expect(await bodies()).toEqual(['after', 'before']);
  });
});

describe('A19 credentials and TLS', () => {
  const certificate = selfSigned();
  const basic = (password: string) => `Basic ${Buffer.from(`elastic:${password}`).toString('base64')}`;

  it('wrong credentials hold everything back, and tell so; right ones let it go', async () => {
    let password = 'new';
    await using secure = await startAuthProxy({
      target: elasticsearch.url,
      ...certificate,
      demands: () => ({ authorization: basic(password) }),
    });
    const access = { headers: { authorization: basic('old') }, tls: { ca: certificate.cert } };
    await using store = openStore(secure.url, { access });
    const frame = lines(3);
    const reason = reasonOf(await write(store.destination!, [frame]));
    expect(reason).toMatch(/HTTP 401/);
    expect(reason).not.toContain('old');
    expect(await api.indices()).toEqual([]);
    password = 'old';
    expect(await writeAll(store.destination!, [frame])).toEqual([]);
    password = 'new';
    expect(reasonOf(await write(store.destination!, [lines(1)]))).toMatch(/HTTP 401/);
    await expect(store.readers.logs!.services({ startUnixNano: 0n, endUnixNano: 1n }, never)).rejects.toMatchObject({
      code: 'unavailable',
    });
    expect(await bodies()).toEqual(linesOf(3));
  });

  it.each([
    ['a certificate that nobody vouches for', certificate, undefined, /^.*TLS: DEPTH_ZERO_SELF_SIGNED_CERT$/],
    ['an expired certificate', selfSigned(25), 'own', /^.*TLS: CERT_HAS_EXPIRED$/],
  ])('%s', async (_, served, trusted, reason) => {
    await using secure = await startAuthProxy({ target: elasticsearch.url, ...served, demands: () => ({}) });
    const tls = trusted === undefined ? undefined : { ca: served.cert };
    await using store = openStore(secure.url, { access: { headers: {}, tls } });
    expect(reasonOf(await write(store.destination!, [lines(1)]))).toMatch(reason);
  });

  it('a client certificate of ours', async () => {
    const ours = selfSigned();
    await using secure = await startAuthProxy({
      target: elasticsearch.url,
      ...certificate,
      clientCa: ours.cert,
      demands: () => ({}),
    });
    const without = { headers: {}, tls: { ca: certificate.cert } };
    await using stranger = openStore(secure.url, { access: without });
    expect(reasonOf(await write(stranger.destination!, [lines(1)]))).toMatch(/TLS|connection failed/);
    await using store = openStore(secure.url, { access: { ...without, tls: { ...without.tls, ...ours } } });
    expect(await writeAll(store.destination!, [lines(2)])).toEqual([]);
  });

  it('an API key is sent as it is, and other headers with it', async () => {
    const headers = { authorization: 'ApiKey abc', 'x-tenant': 't1', 'user-agent': 'watchingcat/test' };
    await using checked = await startAuthProxy({ target: elasticsearch.url, ...certificate, demands: () => headers });
    const { 'user-agent': _, ...sent } = headers;
    await using store = openStore(checked.url, { access: { headers: sent, tls: { ca: certificate.cert } } });
    expect(await writeAll(store.destination!, [lines(1)])).toEqual([]);
    expect(checked.counts.refused).toBe(0);
  });
});

it('A10 nothing is written before the template is there: an index of its own making would map every attribute', async () => {
  await using store = openStore(proxy.url);
  proxy.decide(({ path }) =>
    path.startsWith('/_index_template')
      ? {
          kind: 'answer',
          status: 403,
          body: '{"error":{"type":"security_exception","reason":"action is unauthorized"}}',
        }
      : undefined,
  );
  const frame = lines(1);
  expect(reasonOf(await write(store.destination!, [frame]))).toMatch(
    /index template cannot be .*HTTP 403 security_exception: action is unauthorized/,
  );
  expect(await api.indices()).toEqual([]);
  proxy.heal();
  await writeAll(store.destination!, [frame]);
  expect(await bodies()).toEqual(linesOf(1));
});

it('A10 who may not give older indices the alias of the events is told so, and written to', async () => {
  await using before = openStore(proxy.url);
  await writeAll(before.destination!, [lines(1)]);
  await api.ask('DELETE', '/_index_template/watchingcat-logs');
  const body = '{"error":{"type":"security_exception","reason":"action is unauthorized"}}';
  proxy.decide(({ path }) => (path === '/_aliases' ? { kind: 'answer', status: 403, body } : undefined));
  const told: (string | undefined)[] = [];
  await using store = openStore(proxy.url, { onUpkeep: ({ failed }) => told.push(failed) });
  expect(await writeAll(store.destination!, [lines(2)])).toEqual([]);
  expect(told).toEqual([
    'the alias watchingcat-events cannot be given to older indices: HTTP 403 security_exception: action is unauthorized',
  ]);
});
