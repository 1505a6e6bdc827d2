import type { LogHistogram } from '../contract.ts';
import { none } from './compile.ts';
import { bucketsMax } from './limits.ts';
import type { Bucket } from './search.ts';
import { eachDoubtful, type Selection } from './select.ts';
import { severityName, severityNames } from './severity.ts';

const nanosPerMs = 1_000_000n;
type Counts = { [level: string]: number };

/** Counts by time and severity. Elasticsearch counts what it is sure of; what it doubts is looked at. */
export async function readHistogram(selection: Selection, intervalNanos: bigint): Promise<LogHistogram> {
  const { asking, range } = selection;
  const counts = new Map<bigint, Counts>();
  const add = (bucket: bigint, level: string, count: number) => {
    const ofBucket = counts.get(bucket) ?? noCounts();
    ofBucket[level] = (ofBucket[level] ?? 0) + count;
    counts.set(bucket, ofBucket);
  };
  // Its buckets are whole milliseconds wide.
  const isNative = intervalNanos % nanosPerMs === 0n;
  if (isNative) {
    const ranges = [...severityNames].map(([key, first]) => ({ key, from: first, to: first + 4 }));
    const found = await asking.search({
      query: selection.condition.sure,
      size: 0,
      track_total_hits: false,
      aggs: {
        times: {
          date_histogram: {
            field: '@timestamp',
            fixed_interval: `${intervalNanos / nanosPerMs}ms`,
            min_doc_count: 1,
          },
          aggs: { levels: { range: { field: 'severity_number', ranges } } },
        },
      },
    });
    for (const bucket of (found?.aggregations['times']?.buckets ?? []) as readonly (Bucket & {
      levels: { buckets: Bucket[] };
    })[]) {
      const at = (BigInt(bucket.key) * nanosPerMs) / intervalNanos;
      let named = 0;
      for (const level of bucket.levels.buckets) {
        if (level.doc_count > 0) add(at, String(level.key), level.doc_count);
        named += level.doc_count;
      }
      if (bucket.doc_count > named) add(at, 'unset', bucket.doc_count - named);
    }
  }
  const doubtful = isNative ? selection : { ...selection, condition: { may: selection.condition.may, sure: none } };
  await eachDoubtful(doubtful, (row) => add(row.timeUnixNano / intervalNanos, severityName(row.severityNumber), 1));

  const buckets: { startUnixNano: bigint; bySeverity: Counts }[] = [];
  if (range.endUnixNano > range.startUnixNano) {
    const last = (range.endUnixNano - 1n) / intervalNanos;
    for (let bucket = range.startUnixNano / intervalNanos; bucket <= last; bucket++) {
      if (buckets.length >= bucketsMax) {
        asking.warn(`more than ${bucketsMax} buckets; widen the interval`);
        break;
      }
      buckets.push({ startUnixNano: bucket * intervalNanos, bySeverity: counts.get(bucket) ?? noCounts() });
    }
  }
  return { intervalNanos, buckets, incomplete: asking.warnings.length > 0, warnings: asking.warnings };
}

function noCounts(): Counts {
  const counts: Counts = {};
  for (const name of severityNames.keys()) counts[name] = 0;
  counts['unset'] = 0;
  return counts;
}
