import { type Batch, type Clock, type Signal, signals, systemClock } from '../../base/index.ts';
import type { Destination, WriteResult } from '../contract.ts';
import { type ClientTls, GrpcClient } from './client.ts';
import { type Compression, encodeGzipMessage, encodeMessage, exportPath } from './encode.ts';
import { batchBytesMax, batchRecordsMax, doubtfulBatchesMax, inFlightMax, lingerMs } from './limits.ts';
import { isDoubtful, verdict } from './verdict.ts';

export interface OtlpStoreOptions {
  /** Label of its metrics and name of its cursor: never change it. */
  readonly name: string;
  /** `http://host:4317`, `https://host:4317`; without a scheme as with http. 4317 where no port is given. */
  readonly endpoint: string;
  /** Sent with each export, as `OTEL_EXPORTER_OTLP_HEADERS` gives them. */
  readonly headers?: Readonly<Record<string, string>>;
  /** All three where not given. */
  readonly takes?: readonly Signal[];
  readonly compression?: Compression;
  /** Beside the system's certificates; for `https://` only. */
  readonly tls?: ClientTls;
  /** Of the product, for `user-agent`. */
  readonly version?: string;
  readonly clock?: Clock;
  /** Milliseconds; for tests. */
  readonly deadlineMs?: number;
  readonly stallMs?: number;
}

/**
 * Forwards frames to another OTLP endpoint over gRPC, as they are. Connects at the first batch, not here.
 * @throws Error that says what is wrong with `endpoint`.
 */
export function openOtlpStore(options: OtlpStoreOptions): Destination {
  const clock = options.clock ?? systemClock;
  const gzip = options.compression === 'gzip';
  const client = new GrpcClient({
    endpoint: endpointUrl(options.endpoint),
    headers: lowerCased(options.headers ?? {}),
    tls: options.tls,
    userAgent: `watchingcat/${options.version ?? '0'}`,
    ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
    ...(options.stallMs === undefined ? {} : { stallMs: options.stallMs }),
  });
  /** Doubtful answers so far, by batch. */
  const doubts = new Map<string, number>();
  return {
    name: options.name,
    takes: new Set(options.takes ?? signals),
    limits: { batchBytesMax, batchRecordsMax, lingerMs, inFlightMax },
    async write(batch: Batch, cancel: AbortSignal): Promise<WriteResult> {
      const pieces = gzip ? await encodeGzipMessage(batch) : encodeMessage(batch);
      const reply = await client.call(exportPath[batch.signal], pieces, gzip, cancel);
      const key = `${batch.signal} ${batch.logId} ${batch.frames[0]?.seq} ${batch.frames.at(-1)?.seq}`;
      const attempts = doubts.get(key) ?? 0;
      const result = verdict(reply, clock.nowMs(), attempts);
      if (isDoubtful(reply) && result.kind === 'retry') {
        doubts.set(key, attempts + 1);
        const oldest = doubts.keys().next();
        if (doubts.size > doubtfulBatchesMax && !oldest.done) doubts.delete(oldest.value);
      } else if (attempts > 0) {
        doubts.delete(key);
      }
      return result;
    },
    async [Symbol.asyncDispose]() {
      client.close();
    },
  };
}

/** Exported for its test. A path is refused: gRPC has its own, and it hints at an OTLP/HTTP address. */
export function endpointUrl(endpoint: string): URL {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(endpoint) ? endpoint : `http://${endpoint}`;
  if (!URL.canParse(withScheme)) throw new Error('the OTLP endpoint is not a URL such as http://collector:4317');
  const url = new URL(withScheme);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Error(`the OTLP endpoint must begin with http:// or https://, not ${url.protocol}//`);
  }
  if (url.pathname !== '/' || url.search !== '') {
    throw new Error('the OTLP endpoint must have no path: it is a gRPC endpoint, such as http://collector:4317');
  }
  // WHATWG drops a port that is the scheme's default: port 80 or 443 must be kept where it was written.
  if (url.port === '' && !/:(80|443)\/?$/.test(withScheme)) url.port = '4317';
  return url;
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
