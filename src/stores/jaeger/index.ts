import { type Clock, systemClock } from '../../base/index.ts';
import type { Access, Store } from '../contract.ts';
import { openOtlpStore } from '../otlp/index.ts';
import { JaegerClient } from './client.ts';
import { jaegerReader } from './read.ts';

export interface JaegerOptions {
  /** OTLP over gRPC, `http://jaeger:4317`; undefined: nothing is written. */
  readonly otlpEndpoint?: string | undefined;
  /** `http://jaeger:16686`, with Jaeger's `base_path` where it has one; undefined: nothing is read. */
  readonly queryEndpoint?: string | undefined;
  readonly access: Access;
  /** Of the product, for `user-agent`. */
  readonly version: string;
  readonly clock?: Clock;
}

/**
 * Traces in Jaeger: written as OTLP, byte for byte as they came; read from /api/v3. Connects to nothing yet.
 *
 * Each span is there once for whoever asks: a batch that comes again has the same bytes, which Jaeger's stores or, for its
 * memory, its answers and ours tell apart.
 * @throws Error that says what is wrong with an endpoint.
 */
export function openJaegerStore(options: JaegerOptions): Store {
  const { access, version, clock = systemClock } = options;
  const destination =
    options.otlpEndpoint === undefined
      ? undefined
      : openOtlpStore({ name: 'jaeger', endpoint: options.otlpEndpoint, takes: ['traces'], access, version, clock });
  const reader =
    options.queryEndpoint === undefined
      ? undefined
      : jaegerReader(
          new JaegerClient({ endpoint: options.queryEndpoint, access, userAgent: `watchingcat/${version}` }),
          clock,
        );
  return {
    destination,
    readers: reader === undefined ? {} : { traces: reader.traces },
    async [Symbol.asyncDispose]() {
      await destination?.[Symbol.asyncDispose]();
      await reader?.[Symbol.asyncDispose]();
    },
  };
}
