import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault, http } from '../base/index.ts';
import {
  connectionsMax,
  headTimeoutMs,
  heldBytesMax,
  messageBytesMax,
  requestTimeoutMs,
  retryAfterMs,
  strangerLogMs,
} from './limits.ts';
import {
  type Answer,
  askedPaths,
  decodeHanded,
  framesPath,
  type Handed,
  instanceHeader,
  isAuthorised,
} from './protocol.ts';

/** Writes a frame to the log. @returns when it is on disk. @throws Fault `unavailable` where the log takes nothing now. */
type Take = (handed: Handed) => Promise<Answer>;

export interface PeerListener {
  readonly port: number;
  /** From now on nothing is taken; resolves when what was being taken is on disk. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

export interface PeerListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly token: string;
  /** Random, of this process. */
  readonly instance: string;
  readonly take: Take;
  /** Answers a GET of one of the paths that replicas ask each other, as REST does; `path` with its query. */
  readonly answer: (path: string) => Promise<{ readonly status: number; readonly text: string }>;
  readonly logger: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
}

/** Takes frames that other replicas hand over, and answers what they ask. @throws the system's error where the port is taken. */
export async function listenPeers(options: PeerListenerOptions): Promise<PeerListener> {
  const { take, token, logger } = options;
  const taking = new Set<Promise<unknown>>();
  let heldBytes = 0;
  let draining = false;
  let strangersLoggedMs = Number.NEGATIVE_INFINITY;

  async function takeFrom(request: IncomingMessage, sizeBytes: number): Promise<Answer> {
    const message = await bodyOf(request, sizeBytes);
    // Again: it may have come slowly.
    if (draining) return later('this replica is stopping');
    const taken = take(decodeHanded(message));
    taking.add(taken);
    try {
      return await taken;
    } finally {
      taking.delete(taken);
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Before a byte of the body is read.
    if (!isAuthorised(request.headers.authorization, token)) {
      if (performance.now() > strangersLoggedMs + strangerLogMs) {
        strangersLoggedMs = performance.now();
        logger.warn({ from: request.socket.remoteAddress }, 'a peer without the token was refused');
      }
      return refuse(request, response, 401, never('expected the token that this replica has'));
    }
    if (request.method === 'GET' && isAsked(request.url ?? '')) {
      const { status, text } = await options.answer(request.url ?? '');
      return sendText(response, status, text);
    }
    if (request.method !== 'POST' || request.url !== framesPath) {
      return refuse(request, response, 404, never(`expected POST ${framesPath}`));
    }
    const sizeBytes = Number(request.headers['content-length'] ?? Number.NaN);
    if (!Number.isSafeInteger(sizeBytes)) {
      return refuse(request, response, 411, never('expected a content-length'));
    }
    if (sizeBytes > messageBytesMax) {
      return refuse(request, response, 413, never(`more than ${messageBytesMax} bytes`));
    }
    if (draining) return refuse(request, response, 503, later('this replica is stopping'));
    if (heldBytes > 0 && heldBytes + sizeBytes > heldBytesMax) {
      return refuse(request, response, 503, later('this replica is taking others'));
    }
    heldBytes += sizeBytes;
    try {
      const answer = await takeFrom(request, sizeBytes);
      send(response, answer.kind === 'taken' ? 200 : answer.kind === 'later' ? 503 : 422, answer);
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code === 'unavailable') send(response, 503, later(fault.message));
      else if (fault.code === 'malformed' || fault.code === 'tooLarge') {
        send(response, 400, never(fault.message));
      } else {
        logger.error({ err: thrown }, 'a frame of another replica could not be taken over');
        send(response, 503, later('internal error'));
      }
    } finally {
      heldBytes -= sizeBytes;
    }
  }

  const server = http.createServer(
    { requestTimeout: requestTimeoutMs, headersTimeout: headTimeoutMs },
    (request, response) => {
      response.setHeader(instanceHeader, options.instance);
      void serve(request, response).catch((thrown: unknown) => {
        // The connection broke under it; the giver asks again, and a frame that is here by then is recognised.
        logger.warn({ err: thrown }, 'a peer was not answered');
        response.destroy();
      });
    },
  );
  server.maxConnections = connectionsMax;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: options.host, port: options.port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    async drain() {
      draining = true;
      await Promise.allSettled(taking);
    },
    async close() {
      draining = true;
      await Promise.allSettled(taking);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Nobody asks this replica to ask others: that would go round in circles. */
function isAsked(url: string): boolean {
  const [path = '', query = ''] = url.split('?', 2);
  return askedPaths.includes(path) && !new URLSearchParams(query).has('scope');
}

function later(reason: string): Answer {
  return { kind: 'later', reason };
}

function never(reason: string): Answer {
  return { kind: 'never', reason, without: [] };
}

/** Answers without reading the body; the connection is of no further use then. */
function refuse(request: IncomingMessage, response: ServerResponse, status: number, answer: Answer): void {
  response.setHeader('connection', 'close');
  send(response, status, answer);
  request.resume();
}

function send(response: ServerResponse, status: number, answer: Answer): void {
  sendText(response, status, JSON.stringify(answer));
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...(status === 503 && { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }),
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
  });
  response.end(text);
}

async function bodyOf(request: IncomingMessage, sizeBytes: number): Promise<Buffer> {
  const body = Buffer.allocUnsafeSlow(sizeBytes);
  let got = 0;
  // Node's parser hands out no more than the content-length says.
  for await (const chunk of request) got += (chunk as Buffer).copy(body, got);
  if (got !== sizeBytes) throw new Fault('malformed', `expected ${sizeBytes} bytes, got ${got}`);
  return body;
}
