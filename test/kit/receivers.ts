import * as grpc from '@grpc/grpc-js';
import type { Signal } from '../../src/base/index.ts';
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
}

export async function openDoors(options: DoorsOptions = {}): Promise<Doors> {
  const accepted: Doors['accepted'] = [];
  const ended: Doors['ended'] = [];
  const admission = options.admission ?? new Admission();
  const pool = new UnpackPool();
  const accept: Accept = (signal, body, sender) => {
    accepted.push({ signal, body, sender });
    return options.accept?.(signal, body, sender) ?? Promise.resolve<Accepted>({ rejected: 0, message: '' });
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

  call(path: string, body: Uint8Array, options: grpc.CallOptions = {}): Promise<GrpcAnswer> {
    const same = (bytes: Buffer) => bytes;
    return new Promise((resolve) => {
      let metadata = new grpc.Metadata();
      const call = this.client.makeUnaryRequest(
        path,
        same,
        same,
        Buffer.from(body.buffer, body.byteOffset, body.byteLength),
        new grpc.Metadata(),
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
