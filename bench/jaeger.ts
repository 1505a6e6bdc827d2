import { startJaeger } from '../test/kit/backends.ts';
import type { DestinationBench } from './destinations.ts';

/** The sizes that the Collector's batch processor has by default, made in the queue. */
const queue =
  'enabled: true, block_on_overflow: true, num_consumers: 10, batch: {flush_timeout: 200ms, min_size: 8192, sizer: items}';

export const jaeger: DestinationBench = {
  signal: 'traces',
  goal: { against: 'Collector', cpuRatioMax: 0.8 },
  async start() {
    // Few traces are kept: what Jaeger holds is not what is measured. It counts what it has stored.
    const backend = await startJaeger({ tracesMax: 1_000 });
    const exporter = (compression: string) =>
      `{otlp_grpc: {endpoint: "${new URL(backend.otlpEndpoint).host}", tls: {insecure: true}, compression: ${compression}, timeout: 30s, sending_queue: {${queue}}, retry_on_failure: {enabled: true, max_elapsed_time: 0}}}`;
    return {
      env: { WATCHINGCAT_JAEGER_OTLP_ENDPOINT: backend.otlpEndpoint },
      peers: { 'Collector, gzip (its default)': exporter('gzip'), Collector: exporter('none') },
      // All of them: the ways take turns.
      async stored() {
        const text = await (await fetch(backend.metricsUrl)).text();
        return Number(/^otelcol_exporter_sent_spans_total\{[^}]*\} (\S+)$/m.exec(text)?.[1] ?? 0);
      },
      [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
    };
  },
};
