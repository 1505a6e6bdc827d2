import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Registry } from 'prom-client';

/** One series of a metric at this moment. */
export interface Sample {
  readonly labels: { readonly [name: string]: string };
  readonly value: number;
}

/** A metric of ours. Every name that leaves the process is written here, once; the reference in the docs reads it. */
export const ownMetrics = {
  watchingcat_receiver_accepted_total: {
    type: 'counter',
    labels: ['signal', 'protocol'],
    help: 'Records that were acknowledged: spans, data points, log records.',
  },
  watchingcat_receiver_rejected_total: {
    type: 'counter',
    labels: ['signal'],
    help: 'Records that were rejected in a partial success.',
  },
  watchingcat_receiver_refused_total: {
    type: 'counter',
    labels: ['signal'],
    help: 'Records of requests that shall come again: full log, full disk, stopping.',
  },
  watchingcat_receiver_repeated_total: {
    type: 'counter',
    labels: ['signal'],
    help: 'Records of requests that had come before and were not stored again.',
  },
  watchingcat_receiver_requests_total: {
    type: 'counter',
    labels: ['signal', 'protocol', 'code'],
    help: 'Export requests that ended, by what they were answered.',
  },
  watchingcat_receiver_bytes_total: {
    type: 'counter',
    labels: ['signal', 'protocol'],
    help: 'Bytes of export requests as they came over the wire.',
  },
  watchingcat_receiver_connections: { type: 'gauge', labels: ['listener'], help: 'Connections that are open.' },
  watchingcat_receiver_connections_refused_total: {
    type: 'counter',
    labels: ['listener'],
    help: 'Connections that were closed at once because too many were open.',
  },
  watchingcat_receiver_connections_failed_total: {
    type: 'counter',
    labels: ['listener'],
    help: 'Connections that broke the protocol, were too slow or flooded us, headers of proxies among them.',
  },
  watchingcat_receiver_held_bytes: {
    type: 'gauge',
    labels: [],
    help: 'Bytes of requests that are being received or processed.',
  },
  watchingcat_enrichment_matched_total: {
    type: 'counter',
    labels: ['signal', 'source'],
    help: 'Records whose pod is known, by what told of it: pod_ip, pod_uid, pod_name, connection.',
  },
  watchingcat_enrichment_missed_total: {
    type: 'counter',
    labels: ['signal', 'reason'],
    help: 'Records of a pod that is not known, which went on without its attributes; by why it was not waited for, or that it was.',
  },
  watchingcat_enrichment_held_requests: {
    type: 'gauge',
    labels: [],
    help: 'Requests that wait for the Kubernetes API to tell of their pod.',
  },
  watchingcat_enrichment_held_bytes: { type: 'gauge', labels: [], help: 'The same in bytes.' },
  watchingcat_enrichment_held_total: { type: 'counter', labels: [], help: 'Requests that have waited so.' },
  watchingcat_enrichment_synced: {
    type: 'gauge',
    labels: [],
    help: '1 while what the Kubernetes API tells is up to date.',
  },
  watchingcat_enrichment_pods: {
    type: 'gauge',
    labels: [],
    help: 'Pods that are known, those lately gone among them.',
  },
  watchingcat_enrichment_age_seconds: {
    type: 'gauge',
    labels: [],
    help: 'Time since the Kubernetes API was last heard of.',
  },
  watchingcat_enrichment_relists_total: {
    type: 'counter',
    labels: [],
    help: 'Lists that had to be read anew from the Kubernetes API.',
  },
  watchingcat_kubernetes_node_unschedulable: {
    type: 'gauge',
    labels: ['node'],
    help: '1 for a node of this cluster that takes no new pods (`spec.unschedulable`), 0 for the others.',
  },
  watchingcat_destination_sent_total: {
    type: 'counter',
    labels: ['destination', 'signal'],
    help: 'Records that the destination has taken.',
  },
  watchingcat_destination_send_failed_total: {
    type: 'counter',
    labels: ['destination', 'signal'],
    help: 'Records in attempts that failed and are repeated.',
  },
  watchingcat_destination_refused_total: {
    type: 'counter',
    labels: ['destination', 'signal'],
    help: 'Records that the destination will never take.',
  },
  watchingcat_destination_queue_size: {
    type: 'gauge',
    labels: ['destination', 'signal'],
    help: 'Requests in the log that the destination has not taken yet.',
  },
  watchingcat_destination_queue_bytes: { type: 'gauge', labels: ['destination', 'signal'], help: 'The same in bytes.' },
  watchingcat_destination_lag_seconds: {
    type: 'gauge',
    labels: ['destination', 'signal'],
    help: 'Age of the oldest request that the destination has not taken yet.',
  },
  watchingcat_handed_over_total: {
    type: 'counter',
    labels: ['signal'],
    help: 'Records that another replica has taken over while this one stops.',
  },
  watchingcat_taken_over_total: {
    type: 'counter',
    labels: ['signal'],
    help: 'Records that were taken over from replicas that stopped.',
  },
  watchingcat_dead_letters: { type: 'gauge', labels: [], help: 'Dead letters that are kept.' },
  watchingcat_dead_letters_bytes: { type: 'gauge', labels: [], help: 'The same in bytes.' },
  watchingcat_dead_letters_dropped_total: {
    type: 'counter',
    labels: [],
    help: 'Dead letters that found no room and are gone.',
  },
  watchingcat_wal_size_bytes: { type: 'gauge', labels: ['signal'], help: 'Size of the write-ahead log on disk.' },
  watchingcat_wal_max_bytes: {
    type: 'gauge',
    labels: ['signal'],
    help: 'Its bound; at the bound requests are refused.',
  },
  watchingcat_wal_refusing: {
    type: 'gauge',
    labels: ['signal'],
    help: '1 while the log refuses: at its bound, disk full, or failed.',
  },
  watchingcat_wal_durable_seq: {
    type: 'gauge',
    labels: ['signal'],
    help: 'Sequence number of the last request that is on disk.',
  },
  watchingcat_wal_corrupt_frames_total: {
    type: 'counter',
    labels: ['signal'],
    help: 'Requests in the log that damage made unreadable.',
  },
  watchingcat_wal_quarantined_bytes_total: {
    type: 'counter',
    labels: ['signal'],
    help: 'Damaged bytes of the log that were set aside.',
  },
  process_cpu_seconds_total: {
    type: 'counter',
    labels: [],
    help: 'CPU time of the main process, in user and system mode.',
  },
  process_resident_memory_bytes: { type: 'gauge', labels: [], help: 'Resident memory of the main process.' },
  process_start_time_seconds: { type: 'gauge', labels: [], help: 'When the main process started, Unix seconds.' },
  nodejs_eventloop_lag_p99_seconds: {
    type: 'gauge',
    labels: [],
    help: 'Delay of the main event loop since the last scrape, 99th percentile.',
  },
} as const satisfies Record<string, { type: 'counter' | 'gauge'; labels: readonly string[]; help: string }>;
export type OwnMetric = keyof typeof ownMetrics;

/** Reads every metric of a room at this moment; hot counters stay plain numbers until somebody asks. */
export type MetricSource = () => Iterable<readonly [OwnMetric, readonly Sample[]]>;

export interface OwnMetrics {
  /** Adds what a room tells. Two sources may tell different series of one metric. */
  register(source: MetricSource): void;
  /** The exposition text, with its content type. */
  text(): Promise<{ contentType: string; text: string }>;
  close(): void;
}

export function createMetrics(): OwnMetrics {
  const registry = new Registry();
  const sources: MetricSource[] = [];
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const held = new Map(
    Object.entries(ownMetrics).map(([name, { type, labels, help }]) => {
      const configuration = { name, help, labelNames: [...labels] as string[], registers: [registry] };
      return [name as OwnMetric, type === 'counter' ? new Counter(configuration) : new Gauge(configuration)];
    }),
  );
  sources.push(function* processMetrics() {
    const { user, system } = process.cpuUsage();
    yield ['process_cpu_seconds_total', [{ labels: {}, value: (user + system) / 1e6 }]];
    yield ['process_resident_memory_bytes', [{ labels: {}, value: process.memoryUsage.rss() }]];
    yield ['process_start_time_seconds', [{ labels: {}, value: performance.timeOrigin / 1e3 }]];
    const p99 = delay.percentile(99) / 1e9;
    delay.reset();
    yield ['nodejs_eventloop_lag_p99_seconds', [{ labels: {}, value: Number.isFinite(p99) ? p99 : 0 }]];
  });
  return {
    register: (source) => {
      sources.push(source);
    },
    async text() {
      for (const metric of held.values()) metric.reset();
      for (const source of sources) {
        for (const [name, samples] of source()) {
          const metric = held.get(name);
          for (const { labels, value } of samples) metric?.inc(labels, value);
        }
      }
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
    close: () => {
      delay.disable();
    },
  };
}
