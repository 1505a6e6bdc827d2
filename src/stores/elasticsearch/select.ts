import type { LogRow, TimeRange } from '../contract.ts';
import { allOf, type Condition, isExact, noneOf } from './compile.ts';
import { scanPageRows, scanRowsMax } from './limits.ts';
import { rowsOf } from './scan.ts';
import type { Asking } from './search.ts';

/** What a question is about: the records of a range that match a filter. */
export interface Selection {
  readonly asking: Asking;
  readonly range: TimeRange;
  /** With the time. */
  readonly condition: Condition;
  /** Whether a row is one of them; asked of those that Elasticsearch is in doubt of. */
  readonly holds: (row: LogRow) => boolean;
}

/**
 * Those that Elasticsearch is in doubt of, looked at one by one: what a question adds to the answer that `condition.sure` gives.
 * A bounded number; past it the answer is incomplete.
 */
export async function eachDoubtful(
  { asking, condition, holds }: Selection,
  visit: (row: LogRow) => void,
): Promise<void> {
  if (isExact(condition)) return;
  const query = allOf([condition.may, noneOf(condition.sure)]);
  let seen = 0;
  for await (const rows of rowsOf(asking, { query, order: 'desc', after: undefined }, scanPageRows)) {
    for (const row of rows) if (holds(row)) visit(row);
    seen += rows.length;
    if (rows.length > 0 && (seen >= scanRowsMax || asking.isOver)) {
      asking.warn(`the newest ${seen} records were looked through; narrow the time range or the conditions`);
      return;
    }
  }
}
