import { createHash } from 'node:crypto';
import type { Clock, Signal } from './base/index.ts';
import type { Enrichment } from './enrich/index.ts';
import { type Limits, resourceText, rewrite, spliceResources, type Walked, walk } from './otlp/index.ts';
import type { Accept, Accepted, Sender } from './receive/index.ts';
import type { Log } from './wal/index.ts';

/** Hears what became of each request, resource by resource. For counters: must not throw, must be cheap. */
export interface IngestObserver {
  /**
   * Records of one service that are durable now; '' where the resource names none.
   * @param throughSeq The log's durable end: the records' frame is at or before it.
   */
  received(service: string, signal: Signal, records: number, throughSeq: number, protocol: Sender['protocol']): void;
  /** Records that were rejected for one reason; `first` is where the first of them stood in its request. */
  rejected(signal: Signal, records: number, reason: string, first: string): void;
  /** Records of one service that the log could not take now; the client was told to come again. */
  refused(service: string, signal: Signal, records: number): void;
  /** Records of a request that came before and was not stored again. */
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

  return async (signal, body, sender): Promise<Accepted> => {
    const log = logs[signal];
    // The identity comes from the bytes that came: what is added later may differ between two tries.
    const digest = requestDigest(tenant, signal, body);
    const receivedUnixNano = clock.nowUnixNano();
    const first = walk(signal, body, limits, receivedUnixNano);
    const fixed = first.clean
      ? { bytes: body, records: first.records, rejected: 0, message: '', rejections: [] }
      : rewrite(signal, body, limits, receivedUnixNano);
    for (const { reason, count, first } of fixed.rejections) observer.rejected(signal, count, reason, first);
    const answer = { rejected: fixed.rejected, message: fixed.message };
    if (fixed.records === 0) return answer;

    const { bytes } = fixed;
    const walked = first.clean ? first : walk(signal, bytes, limits, receivedUnixNano);
    const pieces =
      enrichments.length === 0
        ? [bytes]
        : spliceResources(bytes, walked, (resource) => enrichments.flatMap((enrich) => enrich(bytes, resource)));
    try {
      const appended = await log.append({
        tenant,
        digest,
        receivedUnixNano,
        records: walked.records,
        pieces,
        answer,
        // Two equal requests without any time may both be meant.
        recognise: first.hasTimestamp,
      });
      if (appended.repeat) observer.repeated(signal, walked.records);
      else
        eachService(bytes, walked, (service, records) =>
          observer.received(service, signal, records, log.durableSeq, sender.protocol),
        );
      return appended.answer;
    } catch (thrown) {
      eachService(bytes, walked, (service, records) => observer.refused(service, signal, records));
      throw thrown;
    }
  };
}

function eachService(bytes: Uint8Array, walked: Walked, tell: (service: string, records: number) => void): void {
  for (const resource of walked.resources) {
    if (resource.records > 0) tell(resourceText(bytes, resource, 'service.name') ?? '', resource.records);
  }
}

/** 128 bits of SHA-256: no sender can make two requests that differ and share one. */
function requestDigest(tenant: string, signal: Signal, body: Uint8Array): Uint8Array {
  return createHash('sha256').update(`${tenant}\0${signal}\0`).update(body).digest().subarray(0, 16);
}
