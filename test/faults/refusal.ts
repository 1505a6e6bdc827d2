import type { Signal } from '../../src/base/index.ts';
import type { Running } from '../kit/process.ts';
import { exportPath, GrpcPeer } from '../kit/receivers.ts';

/** How a request is answered over both protocols, in what matters to a client that may try again. */
export interface Answers {
  readonly http: { readonly status: number; readonly retryAfter: string | null };
  readonly grpc: { readonly code: number; readonly retryInfo: boolean };
}

/** Sends two requests, one over each protocol. */
export async function answersTo(
  running: Running,
  signal: Signal,
  bodies: { http: Uint8Array; grpc: Uint8Array },
): Promise<Answers> {
  const answer = await fetch(`${running.otlpHttp}/v1/${signal}`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-protobuf' },
    body: Buffer.from(bodies.http),
  });
  await answer.arrayBuffer();
  using peer = new GrpcPeer(Number(running.otlpGrpc.split(':').at(-1)));
  const call = await peer.call(exportPath[signal], bodies.grpc, { deadline: Date.now() + 10_000 });
  // google.rpc.Status with google.rpc.RetryInfo among its details, by the type's name in the bytes of the trailer.
  const [details] = call.metadata.get('grpc-status-details-bin');
  return {
    http: { status: answer.status, retryAfter: answer.headers.get('retry-after') },
    grpc: { code: call.code, retryInfo: Buffer.from(details ?? '').includes('google.rpc.RetryInfo') },
  };
}

/** What OTLP 1.11.0 asks of a server that is full for now. */
export function isRetryable({ http, grpc }: Answers): boolean {
  return http.status === 503 && /^[1-9]\d*$/.test(http.retryAfter ?? '') && grpc.code === 14 && grpc.retryInfo;
}

export function isAccepted({ http, grpc }: Answers): boolean {
  return http.status === 200 && grpc.code === 0;
}
