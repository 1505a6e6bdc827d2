import * as dns from 'node:dns/promises';
import type { Agent } from 'node:http';
import { http } from '../base/index.ts';
import {
  addressesMax,
  answerBytesMax,
  answerWithinMs,
  askedBytesMax,
  askWithinMs,
  connectWithinMs,
  inFlightMax,
} from './limits.ts';
import {
  type Answer,
  encodeHanded,
  framesPath,
  type Handed,
  instanceHeader,
  messageOf,
  readAnswer,
} from './protocol.ts';

/** A name that stands for one replica or, as a headless Service does, for all of them. */
export interface PeerName {
  readonly host: string;
  readonly port: number;
}

/** What became of a frame that was offered. */
export type Given =
  | Answer
  | Self
  /** The token is not its own: nothing will be taken there. */
  | { readonly kind: 'stranger'; readonly reason: string };

/** What was answered to a question, in JSON. `instance`: '' where it does not say. */
type Asked = Self | { readonly kind: 'answer'; readonly instance: string; readonly answer: unknown };

/** It was this very process that was asked: a headless Service names all. */
interface Self {
  readonly kind: 'self';
}

/** One replica. */
export interface Peer {
  /** `address:port`. */
  readonly name: string;
  /** @throws where it does not answer in a way that can be understood: it may or may not have taken it. */
  give(handed: Handed, cancel: AbortSignal): Promise<Given>;
  /** GET of a REST path with its query. @throws where it does not answer, or not in JSON. */
  ask(path: string, cancel: AbortSignal): Promise<Asked>;
}

export interface Found {
  /** In a random order, without those that turned out to be this process. */
  readonly peers: readonly Peer[];
  /** Names, each with its port, of which nobody knows at present who has them, and why. */
  readonly unresolved: readonly { readonly name: string; readonly reason: string }[];
}

export interface Peers extends Disposable {
  /** All that the names stand for at present. Never rejects. */
  find(): Promise<Found>;
}

/**
 * @param token Shown to each of them.
 * @param instance What this process calls itself.
 * @param lookup All addresses of a host.
 */
export function knowPeers(
  names: readonly PeerName[],
  token: string,
  instance: string,
  lookup: (host: string) => Promise<readonly { readonly address: string }[]> = (host) =>
    dns.lookup(host, { all: true }),
): Peers {
  const agent = new http.Agent({ keepAlive: true, maxSockets: inFlightMax });
  const selves = new Set<string>();
  const nameOf = (host: string, port: number) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);
  const peerAt = (host: string, port: number): Peer => {
    const name = nameOf(host, port);
    const call = (cancel: AbortSignal, options: Omit<Call, 'agent' | 'host' | 'port' | 'token' | 'signal'>) =>
      send({ ...options, agent, host, port, token, signal: cancel });
    return {
      name,
      async give(handed, cancel) {
        const pieces = encodeHanded(handed);
        const withinMs = answerWithinMs;
        const told = await call(cancel, { path: framesPath, pieces, withinMs, bytesMax: answerBytesMax });
        if (told.instance === instance) {
          selves.add(name);
          return { kind: 'self' };
        }
        const answer = readAnswer(told.text);
        if (answer === undefined) throw new Error(`expected the answer of a replica, got status ${told.status}`);
        if (told.status !== 401) return answer;
        return { kind: 'stranger', reason: answer.kind === 'taken' ? 'status 401' : answer.reason };
      },
      async ask(path, cancel) {
        const told = await call(cancel, { path, pieces: undefined, withinMs: askWithinMs, bytesMax: askedBytesMax });
        if (told.instance === instance) {
          selves.add(name);
          return { kind: 'self' };
        }
        if (told.status === 401) throw new Error('it has another token');
        return { kind: 'answer', instance: told.instance, answer: JSON.parse(told.text) };
      },
    };
  };
  return {
    async find() {
      const unique = new Map<string, Peer>();
      const unresolved: { name: string; reason: string }[] = [];
      await Promise.all(
        names.map(async ({ host, port }) => {
          try {
            for (const { address } of await lookup(host)) unique.set(nameOf(address, port), peerAt(address, port));
          } catch (thrown) {
            // A name that nobody has stands for nobody: a Service without ready pods.
            const { code } = thrown as NodeJS.ErrnoException;
            if (code === 'ENOTFOUND' || code === 'ENODATA') return;
            unresolved.push({ name: nameOf(host, port), reason: messageOf(thrown) });
          }
        }),
      );
      const peers = [...unique.values()]
        .filter(({ name }) => !selves.has(name))
        .slice(0, addressesMax)
        .map((peer) => ({ peer, place: Math.random() }))
        .sort((a, b) => a.place - b.place)
        .map(({ peer }) => peer);
      return { peers, unresolved };
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

interface Call {
  readonly agent: Agent;
  readonly host: string;
  readonly port: number;
  readonly token: string;
  readonly path: string;
  /** Of a POST; undefined: a GET. */
  readonly pieces: readonly Uint8Array[] | undefined;
  readonly withinMs: number;
  readonly bytesMax: number;
  readonly signal: AbortSignal;
}

function send(call: Call): Promise<{ readonly status: number; readonly instance: string; readonly text: string }> {
  const { agent, host, port, path, token, pieces, bytesMax } = call;
  return new Promise((resolve, reject) => {
    const sent = http.request(
      {
        ...{ agent, host, port, path },
        method: pieces === undefined ? 'GET' : 'POST',
        signal: AbortSignal.any([call.signal, AbortSignal.timeout(call.withinMs)]),
        headers: {
          authorization: `Bearer ${token}`,
          ...(pieces !== undefined && {
            'content-type': 'application/octet-stream',
            'content-length': pieces.reduce((sum, piece) => sum + piece.byteLength, 0),
          }),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let got = 0;
        response.on('data', (chunk: Buffer) => {
          got += chunk.byteLength;
          if (got > bytesMax) response.destroy(new Error(`an answer of more than ${bytesMax} bytes`));
          else chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () => {
          const instance = response.headers[instanceHeader];
          resolve({
            status: response.statusCode ?? 0,
            instance: typeof instance === 'string' ? instance : '',
            text: Buffer.concat(chunks).toString(),
          });
        });
      },
    );
    sent.on('error', reject);
    sent.on('socket', (socket) => {
      if (!socket.connecting) return;
      const late = setTimeout(
        () => sent.destroy(new Error(`no connection within ${connectWithinMs} ms`)),
        connectWithinMs,
      );
      socket.once('connect', () => clearTimeout(late)).once('close', () => clearTimeout(late));
    });
    for (const piece of pieces ?? []) sent.write(piece);
    sent.end();
  });
}
