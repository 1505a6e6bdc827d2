import { setTimeout as sleep } from 'node:timers/promises';
import type { Signal } from '../../base/index.ts';
import { CommandFailure } from '../failure.ts';
import { exportBudgetMs, exportRetriesMax } from '../limits.ts';
import type { Requests } from './json.ts';
import { decodeResponse, encodeRequest, exportMethod, readPartialSuccess } from './messages.ts';

/** An OTLP exporter: one request, one answer. */
export interface Sender extends Disposable {
  readonly protocol: 'grpc' | 'http/protobuf' | 'http/json';
  /**
   * Sends one export request; repeats it where the receiver says that it shall come again.
   * @throws CommandFailure `unreachable` where nobody answers, `problem` where the request is refused.
   */
  send<S extends Signal>(signal: S, request: Requests[S]): Promise<{ rejected: number; message: string }>;
}

/** OTLP over HTTP. @param base URL without the path of a signal. */
export function httpSender(base: string, protocol: 'http/protobuf' | 'http/json'): Sender {
  return {
    protocol,
    send: (signal, request) =>
      retried(`${base}/v1/${signal}`, async () => {
        const isJson = protocol === 'http/json';
        const answer = await fetch(`${base}/v1/${signal}`, {
          method: 'POST',
          headers: { 'content-type': isJson ? 'application/json' : 'application/x-protobuf' },
          body: isJson ? JSON.stringify(request) : Buffer.from(encodeRequest(signal, request)),
          signal: AbortSignal.timeout(exportBudgetMs),
        });
        const body = Buffer.from(await answer.arrayBuffer());
        if (answer.ok) {
          if (!isJson) return { kind: 'answered', answer: decodeResponse(signal, body) };
          const parsed = JSON.parse(body.toString() || '{}') as { partialSuccess?: { [field: string]: unknown } };
          return { kind: 'answered', answer: readPartialSuccess(parsed.partialSuccess) };
        }
        const reason = `HTTP ${answer.status}`;
        if (![429, 502, 503, 504].includes(answer.status)) return { kind: 'refused', reason };
        const seconds = Number(answer.headers.get('retry-after'));
        return { kind: 'later', reason, afterMs: seconds > 0 ? seconds * 1000 : undefined };
      }),
    [Symbol.dispose]() {},
  };
}

/** OTLP over gRPC, without TLS. @param address `host:port`. */
export async function grpcSender(address: string): Promise<Sender> {
  const grpc = await import('@grpc/grpc-js');
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const retryable: readonly number[] = [
    grpc.status.UNAVAILABLE,
    grpc.status.RESOURCE_EXHAUSTED,
    grpc.status.DEADLINE_EXCEEDED,
    grpc.status.ABORTED,
  ];
  return {
    protocol: 'grpc',
    send: (signal, request) =>
      retried(
        address,
        () =>
          new Promise<Attempt>((resolve) => {
            client.makeUnaryRequest(
              exportMethod(signal),
              (bytes: Buffer) => bytes,
              (bytes) => bytes,
              Buffer.from(encodeRequest(signal, request)),
              { deadline: Date.now() + exportBudgetMs },
              (error, response) => {
                if (error === null)
                  resolve({ kind: 'answered', answer: decodeResponse(signal, response ?? new Uint8Array()) });
                else if (/ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ETIMEDOUT/.test(error.details))
                  resolve({ kind: 'unreachable' });
                else if (retryable.includes(error.code))
                  resolve({ kind: 'later', reason: reasonOf(error), afterMs: undefined });
                else resolve({ kind: 'refused', reason: reasonOf(error) });
              },
            );
          }),
      ),
    [Symbol.dispose]: () => client.close(),
  };
  function reasonOf(error: { code: number; details: string }): string {
    return `${grpc.status[error.code] ?? error.code}: ${error.details}`;
  }
}

type Attempt =
  | { kind: 'answered'; answer: { rejected: number; message: string } }
  | { kind: 'later'; reason: string; afterMs: number | undefined }
  | { kind: 'refused'; reason: string }
  | { kind: 'unreachable' };

async function retried(where: string, attempt: () => Promise<Attempt>): Promise<{ rejected: number; message: string }> {
  for (let failures = 0; ; failures++) {
    const result = await attempt().catch((error: unknown): Attempt => {
      // fetch rejects for connections and for its time budget only; the rest is a mistake of ours.
      if (error instanceof Error && (error.name === 'TimeoutError' || error.message === 'fetch failed'))
        return { kind: 'unreachable' };
      throw error;
    });
    if (result.kind === 'answered') return result.answer;
    if (result.kind === 'unreachable')
      throw new CommandFailure('unreachable', `${where} does not answer: is WatchingCat running there?`);
    if (result.kind === 'refused')
      throw new CommandFailure('problem', `${where} refused the request: ${result.reason}`);
    if (failures >= exportRetriesMax)
      throw new CommandFailure('problem', `${where} has no room after ${failures} repeats: ${result.reason}`);
    await sleep(Math.min(10_000, result.afterMs ?? 200 * 2 ** failures) * (0.75 + Math.random() / 2));
  }
}
