import type { LogRow } from '../contract.ts';
import type { CursorPlace } from './cursor.ts';
import { scanPageRows } from './limits.ts';
import { logRow, type Source } from './rows.ts';
import { dateNanosMax, isoNanos, termFields } from './schema.ts';
import type { Asking } from './search.ts';

// Rows in order, page by page.

export interface Scan {
  readonly query: object;
  readonly order: 'asc' | 'desc';
  readonly after: CursorPlace | undefined;
  /** Fields of the documents that are needed; all but the terms where not given. */
  readonly fields?: readonly string[];
}

/** Thousands of rows may be small or huge: as many at once as fit into one answer. */
export async function* rowsOf(asking: Asking, scan: Scan, firstRows: number): AsyncGenerator<LogRow[]> {
  let after = scan.after;
  let size = Math.min(firstRows, scanPageRows);
  for (;;) {
    const found = await asking.search(
      {
        query: scan.query,
        size,
        sort: [
          // Without a format, which OpenSearch does not know here: the field's own understands what `timeKey` gives.
          { '@timestamp': { order: scan.order, unmapped_type: 'date_nanos' } },
          { request: { order: scan.order, unmapped_type: 'keyword' } },
          { record: { order: scan.order, unmapped_type: 'integer' } },
        ],
        ...(after !== undefined && { search_after: [timeKey(after.timeUnixNano), after.request, after.record] }),
        _source: scan.fields ?? { excludes: termFields },
        track_total_hits: false,
      },
      size === 1,
    );
    if (found === undefined) {
      if (size === 1) throw new Error('a record is larger than an answer may be');
      size = Math.max(1, size >> 3);
      continue;
    }
    const last = found.hits.at(-1)?._source;
    if (last === undefined) return;
    yield found.hits.map(({ _source }) => logRow(_source));
    if (found.hits.length < size) return;
    after = placeOf(last);
    size = Math.min(scanPageRows, size * 2);
  }
}

function placeOf(source: Source): CursorPlace {
  const { timeUnixNano } = logRow(source);
  return { timeUnixNano, request: source.request, record: source.record };
}

/** What a row is sorted by. */
function timeKey(unixNano: bigint): string {
  return isoNanos(unixNano > dateNanosMax ? dateNanosMax : unixNano);
}
