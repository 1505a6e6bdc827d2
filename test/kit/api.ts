import { createApi } from '../../src/api/create.ts';
import type { ApiOptions, DeadLetterSource, HealthReport, PipelineSource } from '../../src/api/index.ts';
import { shop, shopNow } from './shop.ts';

// REST over the shop's records, without a listener.

export const health: HealthReport = {
  status: 'ok',
  uptimeSeconds: 1.5,
  listeners: { http: '127.0.0.1:8090' },
  destinations: { embedded: { status: 'ok', lagSeconds: 0, pendingBytes: 0, lastError: null } },
  enrichment: { status: 'stale', pods: 7, ageSeconds: 90, lastError: 'pods: connection refused' },
};
export const clock = { nowMs: () => Number(shopNow / 1_000_000n), nowUnixNano: () => shopNow, monotonicMs: () => 0 };

const letter = {
  id: 17,
  destination: 'prometheus',
  signal: 'metrics' as const,
  reason: 'out of bounds',
  addedUnixNano: shopNow,
  receivedUnixNano: shopNow - 5n,
  refusedRecords: 3,
  sizeBytes: 400,
};
const deadLetters: DeadLetterSource = {
  list: ({ destination }) => (destination === undefined || destination === 'prometheus' ? [letter] : []),
  stats: () => ({ letters: 1, sizeBytes: 400, maxBytes: 1000, droppedLetters: 2 }),
  replay: async ({ id }) => ({
    replayed: 1,
    left: [{ id: id ?? 0, destination: 'prometheus', reason: 'out of bounds', refused: true }],
    remaining: 0,
  }),
};

const none = { requests: 0, records: 0 };
export const handOver = {
  traces: { handedOver: none, takenOver: { requests: 2, records: 300 } },
  metrics: { handedOver: none, takenOver: none },
  logs: { handedOver: none, takenOver: none },
};

const emptyPipeline: PipelineSource = {
  destinations: () => [],
  status: () => [],
  drops: () => [],
  handOver: () => handOver,
};

export function api(options: Partial<ApiOptions> = {}) {
  return createApi({
    readers: shop(),
    version: '1.2.3',
    clock,
    health: { report: () => health, ready: () => true },
    pipeline: emptyPipeline,
    deadLetters,
    metricsText: async () => ({ contentType: 'text/plain; version=0.0.4', text: 'watchingcat_up 1\n' }),
    ...options,
  });
}

/** Asks it without a socket. */
export function asking(app: () => Awaited<ReturnType<typeof api>>) {
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const reply = await app().inject({ url: path, headers });
    return { status: reply.statusCode, headers: reply.headers, body: reply.json() };
  };
  const search = (path: string, query: string) => get(`${path}?query=${encodeURIComponent(query)}`);
  return { get, search };
}
