import { startElasticsearch } from '../test/kit/backends.ts';
import type { DestinationBench } from './destinations.ts';

/** Collector: its `otel` mapping, an index by its name, the queue's batches as they are by default but sent without delay. */
const queue =
  'enabled: true, block_on_overflow: true, batch: {flush_timeout: 200ms, min_size: 1000000, max_size: 5000000, sizer: bytes}';
const peerIndices = { 'Collector, gzip (its default)': 'peer-gzip', Collector: 'peer-plain' } as const;

export const elasticsearch: DestinationBench = {
  signal: 'logs',
  goal: { against: 'Collector', cpuRatioMax: 1.5 },
  async start() {
    const backend = await startElasticsearch({ heap: '1g' });
    const { url } = backend;
    const exporter = (index: string, compression: string) =>
      `{elasticsearch: {endpoint: "${url}", logs_index: ${index}, compression: ${compression}, retry: {enabled: true, max_retries: 1000}, sending_queue: {${queue}}}}`;
    const indexOf = (by: string) =>
      by in peerIndices ? peerIndices[by as keyof typeof peerIndices] : 'watchingcat-logs-*';
    return {
      env: { WATCHINGCAT_ELASTICSEARCH_URL: url },
      peers: Object.fromEntries(
        Object.entries(peerIndices).map(([by, index]) => [
          by,
          exporter(index, index === 'peer-gzip' ? 'gzip' : 'none'),
        ]),
      ),
      async stored(by) {
        const index = indexOf(by);
        await fetch(`${url}/${index}/_refresh`, { method: 'POST' });
        const response = await fetch(`${url}/${index}/_count?ignore_unavailable=true`);
        return ((await response.json()) as { count?: number }).count ?? 0;
      },
      [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
    };
  },
};
