import { type Clock, systemClock } from '../../base/index.ts';
import type { Access, Store } from '../contract.ts';
import { baseUrl, Client } from './client.ts';
import { inFlightMax, readSocketsMax } from './limits.ts';
import { logReader } from './read.ts';
import { writer } from './write.ts';

export interface ElasticsearchStoreOptions {
  /** `http://elasticsearch:9200`; a path is kept. Of Elasticsearch 8 or 9, or OpenSearch. */
  readonly url: string;
  readonly access: Access;
  /** Of the product, for `user-agent`. */
  readonly version: string;
  /** Indices are deleted when all of their records are older. */
  readonly retentionMs: number;
  /** Told of indices that were deleted, and of what keeps others from it. */
  readonly onUpkeep?: (event: { readonly deleted: readonly string[]; readonly failed: string | undefined }) => void;
  readonly clock?: Clock;
  /** Milliseconds for one write, and for one question; for tests. */
  readonly timeoutMs?: number;
  readonly queryTimeMs?: number;
}

/** Logs and Kubernetes events in Elasticsearch. Nothing connects here. @throws Error that says what is wrong with `url`. */
export function openElasticsearchStore(options: ElasticsearchStoreOptions): Store {
  const clock = options.clock ?? systemClock;
  const connection = {
    url: baseUrl(options.url),
    access: options.access,
    userAgent: `watchingcat/${options.version}`,
  };
  const writing = new Client({ ...connection, socketsMax: inFlightMax + 2 });
  const destination = writer({
    client: writing,
    clock,
    retentionMs: options.retentionMs,
    onUpkeep: options.onUpkeep ?? (() => {}),
    ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
  });
  // Connections of their own: questions do not wait for writes, nor writes for questions.
  const reading = new Client({ ...connection, socketsMax: readSocketsMax });
  return {
    destination,
    readers: { logs: logReader({ client: reading, clock, timeMs: options.queryTimeMs }) },
    async [Symbol.asyncDispose]() {
      await destination[Symbol.asyncDispose]();
      writing.close();
      reading.close();
    },
  };
}
