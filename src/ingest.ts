import { createHash } from 'node:crypto';
import type { Clock, Signal } from './base/index.ts';
import type { Enrichment } from './enrich/index.ts';
import { type Limits, resourceText, rewrite, spliceResources, walk } from './otlp/index.ts';
import type { Accept, Accepted } from './receive/index.ts';
import type { Log } from './wal/index.ts';

/** Hears what became of each request, resource by resource. For counters: must not throw, must be cheap. */
export interface IngestObserver {
  /** Records of one service that are durable now; '' where the resource names none. */
  received(service: string, signal: Signal, records: number): void;
  /** Records of a request that were rejected, with the reason that the client is told. */
  rejected(signal: Signal, records: number, reason: string): void;
  /** A request that came before and was not stored again. */
  repeated(signal: Signal, records: number): void;
}

/**
 * Puts door, enrichment and log together: checks the bytes, takes bad records out, names the request, adds what is known
 * of each resource and answers when the frame is on disk.
 * @param parts.enrichments Applied to each resource, in this order; the bytes that came are not decoded for it.
 */
export function createIngest(parts: {
  readonly logs: Readonly<Record<Signal, Log>>;
  readonly enrichments: readonly Enrichment[];
  readonly limits: Limits;
  readonly clock: Clock;
  readonly observer: IngestObserver;
}): Accept {
  const { logs, enrichments, limits, clock, observer } = parts;
  const tenant = ''; // no tenants yet

  return async (signal, body): Promise<Accepted> => {
    // The identity comes from the bytes that came: what is added later may differ between two tries.
    const digest = requestDigest(tenant, signal, body);
    const receivedUnixNano = clock.nowUnixNano();
    const first = walk(signal, body, limits);
    const fixed = first.clean
      ? { bytes: body, records: first.records, rejected: 0, message: '' }
      : rewrite(signal, body, limits, receivedUnixNano);
    const answer = { rejected: fixed.rejected, message: fixed.message };
    if (fixed.rejected > 0) observer.rejected(signal, fixed.rejected, fixed.message);
    if (fixed.records === 0) return answer;

    const { bytes } = fixed;
    const walked = first.clean ? first : walk(signal, bytes, limits);
    const pieces =
      enrichments.length === 0
        ? [bytes]
        : spliceResources(bytes, walked, (resource) => enrichments.flatMap((enrich) => enrich(bytes, resource)));
    const { answer: given, repeat } = await logs[signal].append({
      tenant,
      digest,
      receivedUnixNano,
      records: walked.records,
      pieces,
      answer,
      // Two equal requests without any time may both be meant.
      recognise: first.hasTimestamp,
    });
    if (repeat) observer.repeated(signal, walked.records);
    else
      for (const resource of walked.resources)
        observer.received(resourceText(bytes, resource, serviceNameKey) ?? '', signal, resource.records);
    return given;
  };
}

const serviceNameKey = 'service.name';

/** 128 bits of SHA-256: no sender can make two requests that differ and share one. */
function requestDigest(tenant: string, signal: Signal, body: Uint8Array): Uint8Array {
  return createHash('sha256').update(`${tenant}\0${signal}\0`).update(body).digest().subarray(0, 16);
}
