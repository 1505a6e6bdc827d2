import { connect, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { compressSync } from 'snappy';
import { AddressRanges, type Signal } from '../../src/base/index.ts';
import {
  type Accept,
  type Accepted,
  Admission,
  type GrpcListener,
  type HttpListener,
  type ListenGrpcOptions,
  type ListenHttpOptions,
  listenGrpc,
  listenHttp,
  type ReceiveObserver,
  type Sender,
  UnpackPool,
} from '../../src/receive/index.ts';

/** Both receivers on free ports, with an `accept` that remembers. */
export interface Doors extends AsyncDisposable {
  readonly grpc: GrpcListener;
  readonly http: HttpListener;
  readonly admission: Admission;
  readonly pool: UnpackPool;
  readonly accepted: { signal: Signal; body: Uint8Array; sender: Sender }[];
  readonly ended: Parameters<ReceiveObserver['requestEnded']>[];
}

export interface DoorsOptions {
  readonly accept?: Accept;
  readonly admission?: Admission;
  readonly limits?: ListenGrpcOptions['limits'];
  readonly corsOrigins?: ListenHttpOptions['corsOrigins'];
  readonly tls?: ListenGrpcOptions['tls'];
  readonly trustedProxies?: readonly string[];
}

export async function openDoors(options: DoorsOptions = {}): Promise<Doors> {
  const accepted: Doors['accepted'] = [];
  const ended: Doors['ended'] = [];
  const admission = options.admission ?? new Admission();
  const pool = new UnpackPool();
  const accept: Accept = (signal, body, sender, room) => {
    accepted.push({ signal, body, sender });
    return options.accept?.(signal, body, sender, room) ?? Promise.resolve<Accepted>({ rejected: 0, message: '' });
  };
  const observer: ReceiveObserver = { requestEnded: (...what) => ended.push(what) };
  const shared = {
    host: '127.0.0.1',
    port: 0,
    accept,
    admission,
    pool,
    observer,
    limits: options.limits,
    tls: options.tls,
    trustedProxies: new AddressRanges(options.trustedProxies ?? []),
  };
  const grpcListener = await listenGrpc(shared);
  const httpListener = await listenHttp({ ...shared, corsOrigins: options.corsOrigins });
  return {
    grpc: grpcListener,
    http: httpListener,
    admission,
    pool,
    accepted,
    ended,
    async [Symbol.asyncDispose]() {
      await Promise.all([grpcListener.close(0), httpListener.close(0)]);
      await pool.close();
    },
  };
}

export const exportPath = {
  traces: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
  logs: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
} as const;

export interface GrpcAnswer {
  readonly code: number;
  readonly details: string;
  readonly message: Buffer | undefined;
  readonly metadata: grpc.Metadata;
}

/** A client as the world has it: grpc-js, handing over raw bytes. */
export class GrpcPeer implements Disposable {
  readonly client: grpc.Client;

  constructor(port: number, options: grpc.ClientOptions = {}, credentials = grpc.credentials.createInsecure()) {
    this.client = new grpc.Client(`127.0.0.1:${port}`, credentials, { 'grpc.max_send_message_length': -1, ...options });
  }

  call(
    path: string,
    body: Uint8Array,
    options: grpc.CallOptions = {},
    sent: { readonly [name: string]: string } = {},
  ): Promise<GrpcAnswer> {
    const same = (bytes: Buffer) => bytes;
    const toSend = new grpc.Metadata();
    for (const [name, value] of Object.entries(sent)) toSend.set(name, value);
    return new Promise((resolve) => {
      let metadata = new grpc.Metadata();
      const call = this.client.makeUnaryRequest(
        path,
        same,
        same,
        Buffer.from(body.buffer, body.byteOffset, body.byteLength),
        toSend,
        options,
        (error, message) => {
          resolve({
            code: error?.code ?? grpc.status.OK,
            details: error?.details ?? '',
            message,
            metadata: error?.metadata ?? metadata,
          });
        },
      );
      call.on('metadata', (received) => {
        metadata = received;
      });
    });
  }

  [Symbol.dispose](): void {
    this.client.close();
  }
}

export interface RawAnswer {
  /** HTTP status; 0 when the stream was reset or the connection closed before any answer. */
  readonly httpStatus: number;
  /** grpc-status, from the trailers or from headers that are trailers, too. */
  readonly grpcStatus: number | undefined;
  readonly grpcMessage: string;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** HTTP/2 error code of the reset, or what the socket said. */
  readonly reset: string | undefined;
}

/** A connection to a door, over TLS where a certificate to trust is given; `onReady` when bytes can be written. */
export function connectTo(
  port: number,
  trust: string | undefined,
  onReady: () => void,
  alpn: readonly string[] = [],
): Socket {
  const host = '127.0.0.1';
  if (trust === undefined) return connectSocket(port, host, onReady);
  return connectTls({ port, host, servername: 'localhost', ca: trust, ALPNProtocols: [...alpn] }, onReady);
}

/**
 * gRPC by hand, so that it can be done wrongly. One connection a call.
 * @param options.trust Certificate that is trusted, where the door speaks TLS.
 */
export async function rawGrpc(
  port: number,
  chunks: readonly Uint8Array[],
  headers: Record<string, string | string[]> = {},
  options: { end?: boolean; path?: string; trust?: string } = {},
): Promise<RawAnswer> {
  const { trust } = options;
  const session =
    trust === undefined
      ? connect(`http://127.0.0.1:${port}`)
      : connect(`https://127.0.0.1:${port}`, { ca: trust, servername: 'localhost' });
  let reset: string | undefined;
  session.on('error', (error) => {
    reset ??= error.message;
  });
  try {
    const stream = session.request(
      {
        ':method': 'POST',
        ':path': options.path ?? exportPath.traces,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      },
      { endStream: false },
    );
    let received: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const body: Buffer[] = [];
    stream.on('response', (head) => {
      received = head;
    });
    stream.on('trailers', (tail) => {
      trailers = tail;
    });
    stream.on('data', (chunk: Buffer) => body.push(chunk));
    stream.on('error', (error) => {
      reset = error.message;
    });
    for (const chunk of chunks) stream.write(chunk);
    if (options.end !== false) stream.end();
    await new Promise<void>((resolve) => {
      stream.on('close', resolve);
    });
    const status = trailers['grpc-status'] ?? received['grpc-status'];
    return {
      httpStatus: Number(received[':status'] ?? 0),
      grpcStatus: status === undefined ? undefined : Number(status),
      grpcMessage: decodeURIComponent(String(trailers['grpc-message'] ?? received['grpc-message'] ?? '')),
      headers: received,
      trailers,
      body: Buffer.concat(body),
      reset,
    };
  } finally {
    session.destroy();
  }
}

/** The message in its frame. `sizeBytes` may lie. */
export function grpcFrame(message: Uint8Array, flag = 0, sizeBytes = message.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(sizeBytes, 1);
  return Buffer.concat([prefix, message]);
}

export interface RawHttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The server closed the connection. */
  readonly closed: boolean;
}

/**
 * Writes bytes to a socket and reads one answer; status 0 when the connection closed without any.
 * Resolves when the answer is whole and, with `untilClosed`, the connection closed.
 */
export function rawHttp(
  port: number,
  bytes: string | Uint8Array | readonly (string | Uint8Array)[],
  options: { untilClosed?: boolean; trust?: string } = {},
): Promise<RawHttpAnswer> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    let closed = false;
    const socket = connectTo(port, options.trust, () => {
      for (const piece of Array.isArray(bytes) ? bytes : [bytes]) socket.write(piece as string | Uint8Array);
    });
    const settle = () => {
      const answer = parseAnswer(received);
      if (!closed && (answer === undefined || options.untilClosed === true)) return;
      resolve({ status: 0, headers: {}, body: received, ...answer, closed });
      socket.destroy();
    };
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      settle();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      closed = true;
      settle();
    });
  });
}

function parseAnswer(bytes: Buffer): Omit<RawHttpAnswer, 'closed'> | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [line = '', ...fields] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const headers: Record<string, string> = {};
  for (const field of fields)
    headers[field.slice(0, field.indexOf(':')).toLowerCase()] = field.slice(field.indexOf(':') + 2);
  const body = bytes.subarray(end + 4);
  const status = Number(line.split(' ')[1]);
  if (status === 100) return parseAnswer(body);
  return body.length < Number(headers['content-length'] ?? 0) ? undefined : { status, headers, body };
}

/** A POST as text, with a right Content-Length unless `headers` tells another. */
export function post(
  path: string,
  contentType: string | undefined,
  body: Uint8Array,
  headers: Record<string, string> = {},
): Buffer {
  const all: Record<string, string> = { Host: 'x', 'Content-Length': String(body.length), ...headers };
  if (contentType !== undefined) all['Content-Type'] = contentType;
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${head.join('')}\r\n`), body]);
}

/** A framed snappy stream, as Go's snappy.NewBufferedWriter writes it. `checksum` may be spoilt. */
export function snappyFramed(plain: Uint8Array, spoil = 0): Buffer {
  const parts: Uint8Array[] = [Buffer.from('ff060000734e61507059', 'hex')];
  for (let at = 0; at < plain.length; at += 65_536) {
    const piece = plain.subarray(at, at + 65_536);
    const data = compressSync(piece);
    const head = Buffer.alloc(8);
    head.writeUInt32LE((data.length + 4) * 256, 0);
    head.writeUInt32LE((bitwiseCrc32c(piece) ^ spoil) >>> 0, 4);
    parts.push(head, data);
  }
  return Buffer.concat(parts);
}

/** The masked CRC-32C of the framing format, from its definition: bit by bit. */
function bitwiseCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0x82f63b78 & -(crc & 1));
  }
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
