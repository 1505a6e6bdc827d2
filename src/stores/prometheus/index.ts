import { type Clock, systemClock } from '../../base/index.ts';
import type { TranslationStrategy } from '../../otlp/index.ts';
import type { Access, Store } from '../contract.ts';
import { defaultNaming } from './labels.ts';
import { prometheusReader } from './read.ts';
import { KnownFile } from './state.ts';
import { PrometheusDestination } from './write.ts';

export interface PrometheusOptions {
  /** `http://prometheus:9090/api/v1/write`; undefined: nothing is written. */
  readonly remoteWriteUrl?: string | undefined;
  /** `http://prometheus:9090`; undefined: nothing is read. */
  readonly queryUrl?: string | undefined;
  readonly access: Access;
  /** Of the product, for `user-agent`. */
  readonly version: string;
  /** Where the store keeps what it must know after a restart. Its own; made where it is missing. */
  readonly folder: string;
  /** How names are made; as `otlp.translation_strategy` of Prometheus. */
  readonly translationStrategy?: TranslationStrategy | undefined;
  /** Resource attributes that become labels of every series; the 17 that Prometheus recommends. */
  readonly promoteResourceAttributes?: readonly string[] | undefined;
  readonly keepIdentifyingResourceAttributes?: boolean | undefined;
  /** The scope as labels `otel_scope_…`. */
  readonly promoteScopeMetadata?: boolean | undefined;
  /** Explicit histograms as native ones with custom buckets. */
  readonly convertHistogramsToNhcb?: boolean | undefined;
  /** Sum up points of delta temporality; only right where one process at a time writes a series. Without: refused. */
  readonly deltaToCumulative?: boolean | undefined;
  /** Label `watchingcat_replica` of the series that are summed up here, where more than one process does. */
  readonly replica?: string | undefined;
  /** Series of a tenant with a sample in the last hour; further ones are refused. 0: no limit. */
  readonly seriesMax?: number | undefined;
  /** Requests at once; the samples of a series always go through the same. */
  readonly shards?: number | undefined;
  /** 'auto': 2.0, and 1.0 where the far side does not know it. */
  readonly protocol?: 'auto' | '1.0' | '2.0' | undefined;
  readonly clock?: Clock;
}

/**
 * Metrics in Prometheus, or in what speaks its protocols: written by remote write, read over its HTTP API. Connects to
 * nothing yet.
 *
 * Each sample is there once: a batch that comes again gives the same samples, which Prometheus recognises. For what comes
 * late it must be configured with a window (`storage.tsdb.out_of_order_time_window`); what it refuses all the same is
 * refused here, record by record.
 * @throws Error that says what is wrong with a URL, and the system's for a folder that cannot be written.
 */
export function openPrometheusStore(options: PrometheusOptions): Store {
  const { access, version, clock = systemClock, remoteWriteUrl, queryUrl, folder } = options;
  const known = new KnownFile(folder);
  const destination =
    remoteWriteUrl === undefined
      ? undefined
      : new PrometheusDestination({
          url: httpUrl(remoteWriteUrl, 'the remote write URL', 'http://prometheus:9090/api/v1/write'),
          access,
          version,
          clock,
          known,
          folder,
          naming: {
            strategy: options.translationStrategy ?? defaultNaming.strategy,
            promotedResourceAttributes: options.promoteResourceAttributes ?? defaultNaming.promotedResourceAttributes,
            keepIdentifyingResourceAttributes: options.keepIdentifyingResourceAttributes ?? false,
            promoteScopeMetadata: options.promoteScopeMetadata ?? false,
          },
          customBuckets: options.convertHistogramsToNhcb ?? false,
          deltaToCumulative: options.deltaToCumulative ?? true,
          replica: options.replica,
          seriesMax: options.seriesMax ?? 0,
          shards: options.shards ?? 4,
          protocol: options.protocol ?? 'auto',
        });
  const reader =
    queryUrl === undefined
      ? undefined
      : prometheusReader({
          url: httpUrl(queryUrl, 'the query URL', 'http://prometheus:9090'),
          access,
          version,
          clock,
          known,
        });
  return {
    destination,
    readers: reader === undefined ? {} : { metrics: reader },
    async [Symbol.asyncDispose]() {
      await destination?.[Symbol.asyncDispose]();
      await reader?.[Symbol.asyncDispose]();
      known.save();
    },
  };
}

function httpUrl(text: string, what: string, example: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw new Error(`${what} is not a URL such as ${example}`);
  return url;
}
