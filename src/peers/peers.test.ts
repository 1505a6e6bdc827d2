import { createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Fault } from '../base/index.ts';
import { askPeers } from './ask.ts';
import { knowPeers, type Peer } from './client.ts';
import type { Answer, Handed } from './protocol.ts';
import { listenPeers, type PeerListenerOptions } from './server.ts';

const token = 'a-token-of-replicas';
const frame: Handed = {
  signal: 'logs',
  tenant: '',
  digest: new Uint8Array(16).fill(7),
  receivedUnixNano: 1n,
  records: 3,
  rejected: 0,
  message: '',
  outstanding: ['elasticsearch'],
  body: new TextEncoder().encode('body'),
};
const taken: Answer = { kind: 'taken', repeat: false, without: [] };
const silent = new AbortController().signal;

async function replica(options: Partial<PeerListenerOptions> = {}) {
  const took: Handed[] = [];
  const warnings: string[] = [];
  const listener = await listenPeers({
    host: '127.0.0.1',
    port: 0,
    token,
    instance: `replica ${Math.random()}`,
    take: async (handed) => {
      took.push(handed);
      return taken;
    },
    answer: async (path) => ({ status: 200, text: JSON.stringify({ path }) }),
    logger: { warn: (_, message) => warnings.push(message), error: (_, message) => warnings.push(message) },
    ...options,
  });
  onTestFinished(() => listener.close());
  return { listener, took, warnings, port: listener.port };
}

type Lookup = Parameters<typeof knowPeers>[3];

function peersAt(ports: readonly number[], instance = 'the giver', shown = token, lookup?: Lookup) {
  const names = ports.map((port) => ({ host: '127.0.0.1', port }));
  const peers = knowPeers(names, shown, instance, lookup);
  onTestFinished(() => peers[Symbol.dispose]());
  return peers;
}

async function peerAt(port: number, shown = token): Promise<Peer> {
  const [peer] = (await peersAt([port], 'the giver', shown).find()).peers;
  return peer!;
}

/** One request as anybody could send it: only the head, unless there is a body. */
function raw(port: number, method: string, path: string, headers: Record<string, string>, body?: string) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const sent = send({ host: '127.0.0.1', port, method, path, headers }, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() });
      sent.destroy();
    });
    sent.on('error', reject);
    if (body === undefined) sent.flushHeaders();
    else sent.end(body);
  });
}

const bearer = { authorization: `Bearer ${token}` };

describe('a replica that is asked to take a frame', () => {
  it('takes it as it was', async () => {
    const { took, port } = await replica();
    const peer = await peerAt(port);
    expect(await peer.give(frame, silent)).toEqual(taken);
    expect(took).toEqual([frame]);
  });

  it('refuses who has another token before it has read the body, and shows nothing of the token', async () => {
    const { took, port, warnings } = await replica();
    const peer = await peerAt(port, 'another-token-of-others');
    expect(await peer.give(frame, silent)).toMatchObject({ kind: 'stranger' });
    await expect(peer.ask('/health', silent)).rejects.toThrow('token');
    const announced = { 'content-length': '1000' };
    expect(await raw(port, 'POST', '/v1/frames', announced)).toMatchObject({ status: 401 });
    expect(await raw(port, 'GET', '/health', {})).toMatchObject({ status: 401 });
    expect(took).toEqual([]);
    expect(warnings).toEqual(['a peer without the token was refused']); // one line, however often they come
  });

  it.each<[string, number, string, string, Record<string, string>, string?]>([
    ['a message larger than any', 413, 'POST', '/v1/frames', { 'content-length': `${2 ** 30}` }],
    ['one without a size', 411, 'POST', '/v1/frames', { 'transfer-encoding': 'chunked' }],
    ['what is no frame', 400, 'POST', '/v1/frames', { 'content-length': '4' }, 'what'],
    ['a path that is none of replicas', 404, 'GET', '/api/v1/logs', {}],
    ['a question that would go round in circles', 404, 'GET', '/health?scope=all', {}],
  ])('refuses %s', async (_, status, method, path, headers, body) => {
    const { took, port } = await replica();
    expect((await raw(port, method, path, { ...bearer, ...headers }, body)).status).toBe(status);
    expect(took).toEqual([]);
  });

  it('that is stopping refuses for now, and has written what it was taking before it says that it has drained', async () => {
    const writing = Promise.withResolvers<Answer>();
    const { listener, port } = await replica({ take: () => writing.promise });
    const peer = await peerAt(port);
    const given = peer.give(frame, silent);
    await sleep(100);
    let drained = false;
    const draining = listener.drain().then(() => {
      drained = true;
    });
    expect(await peer.give(frame, silent)).toMatchObject({ kind: 'later', reason: 'this replica is stopping' });
    expect(drained).toBe(false);
    writing.resolve(taken);
    await draining;
    expect(await given).toEqual(taken);
  });

  it('whose log is full says so, and another fault is logged and not told', async () => {
    const thrown: unknown[] = [new Fault('unavailable', 'the log is full'), new Error('secret of the inside')];
    const { port, warnings } = await replica({ take: async () => Promise.reject(thrown.shift()) });
    const peer = await peerAt(port);
    expect(await peer.give(frame, silent)).toEqual({ kind: 'later', reason: 'the log is full' });
    expect(await peer.give(frame, silent)).toEqual({ kind: 'later', reason: 'internal error' });
    expect(warnings).toHaveLength(1);
  });

  it('holds no more messages at once than it has memory for', async () => {
    const writing = Promise.withResolvers<Answer>();
    const { port } = await replica({ take: () => writing.promise });
    const peer = await peerAt(port);
    const large = { ...frame, body: Buffer.alloc(100 * 2 ** 20) };
    const first = peer.give(large, silent);
    await sleep(300);
    expect(await peer.give(large, silent)).toMatchObject({ kind: 'later' });
    writing.resolve(taken);
    expect(await first).toEqual(taken);
  });
});

describe('who the names stand for', () => {
  it('is each address once, without this process itself', async () => {
    const [own, other] = [await replica({ instance: 'myself' }), await replica()];
    const peers = peersAt([own.port, other.port, other.port], 'myself');
    const { peers: both } = await peers.find();
    expect(both).toHaveLength(2);
    const answers = await Promise.all(both.map((peer) => peer.give(frame, silent)));
    expect(answers.map(({ kind }) => kind).sort()).toEqual(['self', 'taken']);
    expect((await peers.find()).peers.map(({ name }) => name)).toEqual([`127.0.0.1:${other.port}`]);
  });

  it.each(['ENOTFOUND', 'ENODATA'])('is nobody for a name that nobody has: %s', async (code) => {
    const peers = peersAt([1], 'the giver', token, () => Promise.reject(Object.assign(new Error(code), { code })));
    expect(await peers.find()).toEqual({ peers: [], unresolved: [] });
  });

  it('is not known where the resolver fails; that is told, and the others are there', async () => {
    const failed = Object.assign(new Error('getaddrinfo EAI_AGAIN'), { code: 'EAI_AGAIN' });
    const { port } = await replica();
    let calls = 0;
    const peers = peersAt([1, port], 'the giver', token, async (host) => {
      if (calls++ % 2 === 0) throw failed;
      return [{ address: host }];
    });
    const found = await peers.find();
    expect(found.peers.map(({ name }) => name)).toEqual([`127.0.0.1:${port}`]);
    expect(found.unresolved).toEqual([{ name: '127.0.0.1:1', reason: 'getaddrinfo EAI_AGAIN' }]);
    const replies = await askPeers(peers, '/health', silent);
    expect(replies.map(({ name, error }) => [name, error])).toEqual([
      ['127.0.0.1:1', 'getaddrinfo EAI_AGAIN'],
      [`127.0.0.1:${port}`, undefined],
    ]);
    expect(calls).toBe(4); // a question asks for the addresses once
  });
});

it('what answers in another way than a replica has not taken it', async () => {
  const stranger = createServer((request, response) => {
    request.resume();
    response.end('<html>welcome</html>');
  });
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', () => resolve()));
  onTestFinished(() => void stranger.close());
  const peer = await peerAt((stranger.address() as AddressInfo).port);
  await expect(peer.give(frame, silent)).rejects.toThrow('expected the answer of a replica, got status 200');
});

it('all others are asked, each once, and those that do not answer are named', async () => {
  const [own, one, two] = [await replica({ instance: 'myself' }), await replica(), await replica()];
  const gone = await replica();
  await gone.listener.close();
  const peers = peersAt([own.port, two.port, one.port, gone.port], 'myself');
  const path = '/api/v1/pipeline/dead-letters?signal=logs';
  const replies = await askPeers(peers, path, silent);
  const names = [one.port, two.port, gone.port].map((port) => `127.0.0.1:${port}`).sort();
  expect(replies.map(({ name }) => name)).toEqual(names);
  for (const { name, answer, error } of replies) {
    if (name.endsWith(`:${gone.port}`)) expect(error).toContain('ECONNREFUSED');
    else expect({ answer, error }).toEqual({ answer: { path }, error: undefined });
  }
});
