import type { ServiceSummary } from '../contract.ts';
import { distinctMax } from './limits.ts';
import { identitySeparator } from './origin.ts';
import { nanosOf } from './schema.ts';
import type { Aggregation, Bucket } from './search.ts';
import type { Selection } from './select.ts';

/** Who has logged in a range, how much and when last. */
export async function readServices({ asking, condition }: Selection): Promise<readonly ServiceSummary[]> {
  const found = await asking.search({
    query: condition.may,
    size: 0,
    track_total_hits: false,
    aggs: {
      services: {
        terms: { field: 'service_identity', size: distinctMax },
        // A maximum would be told in milliseconds.
        aggs: { last: { top_hits: { size: 1, sort: [{ '@timestamp': 'desc' }], _source: ['@timestamp', 'time'] } } },
      },
    },
  });
  return ((found?.aggregations['services']?.buckets ?? []) as readonly (Bucket & { last: Aggregation })[])
    .map((bucket): ServiceSummary => {
      const [name = '', namespace = '', environment = ''] = String(bucket.key).split(identitySeparator);
      const last = bucket.last.hits?.hits[0]?._source;
      return {
        name,
        namespace,
        environment,
        signal: 'logs',
        records: bucket.doc_count,
        errors: 0,
        durationNanos: undefined,
        lastSeenUnixNano: last === undefined ? 0n : nanosOf(last.time ?? last['@timestamp']),
      };
    })
    .sort((a, b) => compare(a.name, b.name) || compare(a.namespace, b.namespace));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
