import { type Clock, entryPath, Fault, ownBuffer, type Signal, ThreadPool } from '../base/index.ts';
import { type Enriched, type Enrichment, inSlices } from '../enrich/index.ts';
import { type Limits, type ResourceAt, spliceResources, type Walked } from '../otlp/index.ts';
import type { Accept, Accepted, Room, Sender } from '../receive/index.ts';
import type { Log } from '../wal/index.ts';
import { inlineBytesMax, workerHeapMegabytesMax } from './limits.ts';
import { type Preparation, type Prepared, prepareQuickly } from './prepare.ts';

/** Hears what became of each request. For counters: must not throw, must be cheap. */
export interface IngestObserver {
  /**
   * Records of one service that are durable now; '' where the resource names none.
   * @param throughSeq The log's durable end: the records' frame is at or before it.
   */
  received(service: string, signal: Signal, records: number, throughSeq: number, protocol: Sender['protocol']): void;
  /** Records that were rejected for one reason; `first` is where the first of them stood in its request. */
  rejected(signal: Signal, records: number, reason: string, first: string): void;
  /** Records of one service that could not be taken now; the client was told to come again. */
  refused(service: string, signal: Signal, records: number): void;
  /** Records of a request that came before and was not stored again. */
  repeated(signal: Signal, records: number): void;
}

export interface Ingest extends AsyncDisposable {
  readonly accept: Accept;
}

/**
 * Puts door, enrichment and log together: checks the bytes, takes bad records out, names the request, adds what is known
 * of each resource and answers when the frame is on disk.
 * @param parts.enrichment What is added to the resources; the bytes that came are not decoded for it.
 */
export function createIngest(parts: {
  readonly logs: Readonly<Record<Signal, Log>>;
  /** undefined: nothing is added. */
  readonly enrichment: Enrichment | undefined;
  readonly limits: Limits;
  /** See `openDigestSecret`. */
  readonly digestSecret: Uint8Array;
  readonly clock: Clock;
  readonly observer: IngestObserver;
}): Ingest {
  const { logs, enrichment, limits, digestSecret, clock, observer } = parts;
  const tenant = ''; // no tenants yet
  const threads = new ThreadPool<Preparation, Prepared>({
    name: 'ingest',
    entry: entryPath(import.meta.url, './worker.ts'),
    heapMegabytesMax: workerHeapMegabytesMax,
  });

  const accept: Accept = async (signal, body, sender, room): Promise<Accepted> => {
    const log = logs[signal];
    const receivedUnixNano = clock.nowUnixNano();
    const task: Preparation = { signal, tenant, digestSecret, body, limits, receivedUnixNano };
    const prepared = (body.length <= inlineBytesMax ? prepareQuickly(task) : undefined) ?? (await inThread(task));
    const { bytes, walked } = prepared;
    for (const { reason, count, first } of prepared.rejections) observer.rejected(signal, count, reason, first);
    const answer = { rejected: prepared.rejected, message: prepared.message };
    if (walked.records === 0) return answer;

    let pieces: readonly Uint8Array[] = [bytes];
    let services = prepared.services;
    try {
      if (enrichment !== undefined) {
        const { resources } = walked;
        const answered = enrichment({ signal, bytes, resources, senderAddress: sender.address });
        const enriched = answered instanceof Promise ? await answered : answered;
        reserve(room, enriched);
        const spliced = splice(bytes, walked, enriched);
        pieces = spliced instanceof Promise ? await spliced : spliced;
        services = servicesAfter(services, resources, enriched);
      }
      const appended = await log.append({
        tenant,
        digest: prepared.digest,
        receivedUnixNano,
        records: walked.records,
        pieces,
        answer,
        recognise: prepared.recognise,
      });
      if (appended.repeat) observer.repeated(signal, walked.records);
      else
        for (const { name, records } of services)
          observer.received(name, signal, records, log.durableSeq, sender.protocol);
      return appended.answer;
    } catch (thrown) {
      for (const { name, records } of services) observer.refused(name, signal, records);
      throw thrown;
    }
  };

  function inThread(task: Preparation): Promise<Prepared> {
    const body = ownBuffer(task.body);
    return threads.run(
      { ...task, body },
      [body.buffer],
      () => new Fault('tooLarge', 'the request needs more memory than one request may'),
    );
  }

  return { accept, [Symbol.asyncDispose]: () => threads.close() };
}

/**
 * A small request may name thousands of pods, and grow a hundredfold.
 * @throws Fault `unavailable`.
 */
function reserve(room: Room | undefined, enriched: readonly Enriched[]): void {
  let addedBytes = 0;
  for (const { fields } of enriched) for (const field of fields) addedBytes += field.length;
  const full = room?.reserve(addedBytes);
  if (full !== undefined) throw full;
}

/** The request with what was added to its resources. */
function splice(
  bytes: Uint8Array,
  walked: Walked,
  enriched: readonly Enriched[],
): Uint8Array[] | Promise<Uint8Array[]> {
  const { length } = walked.resources;
  const spliced: Uint8Array[] = [];
  const done = inSlices(length, (from, to) => {
    const pieces = spliceResources(bytes, walked, (_, index) => enriched[index]?.fields ?? [], { from, to });
    // Where there are many, one piece a slice is less for the log to handle than a handful for each resource.
    if (to - from < length) spliced.push(Buffer.concat(pieces));
    else spliced.push(...pieces);
  });
  return done === undefined ? spliced : done.then(() => spliced);
}

/** The same services, with the names that enrichment gave to those that had none. */
function servicesAfter(
  services: Prepared['services'],
  resources: readonly ResourceAt[],
  enriched: readonly Enriched[],
): Prepared['services'] {
  if (enriched.every(({ serviceName }) => serviceName === undefined)) return services;
  const named = enriched.filter((_, index) => (resources[index]?.records ?? 0) > 0);
  return services.map((service, index) => {
    const name = named[index]?.serviceName;
    return name === undefined ? service : { name, records: service.records };
  });
}
