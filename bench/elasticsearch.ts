import { startElasticsearch } from '../test/kit/backends.ts';
import type { DestinationBench } from './destinations.ts';

/** Collector: its default mapping into a data stream, the queue's batches as they are by default but sent without delay. */
const queue =
  'enabled: true, block_on_overflow: true, batch: {flush_timeout: 200ms, min_size: 1000000, max_size: 5000000, sizer: bytes}';
const peerIndices = {
  'Collector, gzip (its default)': 'logs-peer.gzip-default',
  Collector: 'logs-peer.plain-default',
} as const;

export const elasticsearch: DestinationBench = {
  signal: 'logs',
  goal: { against: 'Collector', cpuRatioMax: 1.5 },
  async start() {
    const backend = await startElasticsearch({ heap: '1g' });
    const { url } = backend;
    // In place of the built-in templates, which this distribution lacks.
    const dynamic_templates = [
      { text: { match_mapping_type: 'string', mapping: { type: 'keyword', ignore_above: 1024 } } },
    ];
    const properties = { '@timestamp': { type: 'date_nanos' }, body: { properties: { text: { type: 'text' } } } };
    await fetch(`${url}/_index_template/logs-peer`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        index_patterns: ['logs-peer.*'],
        data_stream: {},
        priority: 500,
        template: { settings: { number_of_replicas: 0 }, mappings: { dynamic_templates, properties } },
      }),
    });
    const exporter = (index: string, compression: string) =>
      `{elasticsearch: {endpoint: "${url}", logs_index: ${index}, compression: ${compression}, retry: {enabled: true, max_retries: 1000}, sending_queue: {${queue}}}}`;
    const indexOf = (by: string) =>
      by in peerIndices ? peerIndices[by as keyof typeof peerIndices] : 'watchingcat-logs-*';
    return {
      env: { WATCHINGCAT_ELASTICSEARCH_URL: url },
      peers: Object.fromEntries(
        Object.entries(peerIndices).map(([by, index]) => [
          by,
          exporter(index, index.includes('gzip') ? 'gzip' : 'none'),
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
