import { type Clock, Fault } from '../../base/index.ts';
import type {
  FieldSummary,
  FieldValue,
  LogHistogram,
  LogReader,
  LogRow,
  LogSearch,
  Page,
  ServiceSummary,
  TimeRange,
} from '../contract.ts';
import type { Filter } from '../filter.ts';
import { compileFilter, type Matches } from '../match.ts';
import { compileRegex } from '../regex.ts';
import type { Client } from './client.ts';
import { allOf, type Condition, compile, type Dsl, isExact } from './compile.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import { readFields, readFieldValues } from './fields.ts';
import { readHistogram } from './histogram.ts';
import { pageRowsMax, scanRowsMax } from './limits.ts';
import { matched } from './rows.ts';
import { rowsOf } from './scan.ts';
import { dateNanosMax, timeQuery } from './schema.ts';
import { Asking, QueryRefused } from './search.ts';
import type { Selection } from './select.ts';
import { readServices } from './services.ts';
import { severityNames } from './severity.ts';

export interface ReadOptions {
  readonly client: Client;
  readonly clock: Clock;
  /** Milliseconds for one question. */
  readonly timeMs?: number | undefined;
}

export function logReader(options: ReadOptions): LogReader {
  /** Asks; where Elasticsearch refuses an expression as too large, again without giving it any. */
  async function select<T>(
    range: TimeRange,
    filter: Filter,
    cancel: AbortSignal,
    read: (selection: Selection) => Promise<T>,
  ): Promise<T> {
    const matches = compileFilter(asNames(filter)); // throws for an expression that is none
    const asking = new Asking(options.client, options.clock, cancel, options.timeMs);
    const selected = (expressions: boolean) =>
      read({
        asking,
        range,
        condition: inRange(range, compile(filter, { expressions })),
        holds: holdsIn(range, matches),
      });
    try {
      return await selected(true);
    } catch (thrown) {
      if (!(thrown instanceof QueryRefused)) throw thrown;
    }
    try {
      return await selected(false);
    } catch (thrown) {
      if (!(thrown instanceof QueryRefused)) throw thrown;
      throw new Fault('unprocessable', `Elasticsearch refuses this query: ${thrown.message}`, { cause: thrown });
    }
  }

  return {
    async services(range, cancel): Promise<readonly ServiceSummary[]> {
      return select(range, { kind: 'all' }, cancel, readServices);
    },
    async search(search, cancel): Promise<Page<LogRow>> {
      const after = search.cursor === undefined ? undefined : decodeCursor(search.cursor);
      return select(search.range, search.filter, cancel, (selection) => readPage(selection, search, after));
    },
    async histogram({ range, filter, intervalNanos }, cancel): Promise<LogHistogram> {
      return select(range, filter, cancel, (selection) => readHistogram(selection, intervalNanos));
    },
    async fields({ range, filter, limit }, cancel): Promise<Page<FieldSummary>> {
      return select(range, filter, cancel, (selection) => readFields(selection, limit));
    },
    async fieldValues({ field, range, filter, limit }, cancel): Promise<Page<FieldValue>> {
      return select(range, filter, cancel, (selection) => readFieldValues(selection, field, limit));
    },
  };
}

async function readPage(
  { asking, condition, holds }: Selection,
  search: LogSearch,
  after: ReturnType<typeof decodeCursor> | undefined,
): Promise<Page<LogRow>> {
  const limit = Math.min(Math.max(1, search.limit), pageRowsMax);
  const items: LogRow[] = [];
  let looked: LogRow | undefined;
  let seen = 0;
  let more = false;
  for await (const rows of rowsOf(asking, { query: condition.may, order: search.order, after }, limit + 1)) {
    for (const row of rows) {
      if (items.length === limit) {
        // One more that matches, or one that nobody has looked at: there may be another page.
        more = isExact(condition) || holds(row);
        if (more) break;
      } else if (isExact(condition) || holds(row)) items.push(row);
      looked = row;
      seen++;
    }
    if (more) break;
    if (!isExact(condition) && seen >= scanRowsMax) {
      more = true;
      asking.warn(
        `${seen} records were looked through; narrow the time range or the conditions, or go on with the next page`,
      );
      break;
    }
    if (asking.isOver) {
      more = true;
      asking.warn(
        'the time for one query was used up; narrow the time range or the conditions, or go on with the next page',
      );
      break;
    }
  }
  return {
    items,
    next: more && looked !== undefined ? encodeCursor(placeOf(looked)) : undefined,
    incomplete: asking.warnings.length > 0,
    warnings: asking.warnings,
  };
}

function placeOf(row: LogRow) {
  const [request = '', record = ''] = row.id.split('-');
  return { timeUnixNano: row.timeUnixNano, request, record: Number(record) };
}

/**
 * The filter with its expressions on severity answered: an expression is matched against its name, which the evaluation of
 * single records does not know.
 */
function asNames(filter: Filter): Filter {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return { kind: filter.kind, of: filter.of.map(asNames) };
    case 'not':
      return { kind: 'not', of: asNames(filter.of) };
    case 'regex': {
      const { field } = filter;
      if (field.scope !== 'intrinsic' || field.name !== 'severity') return filter;
      const names = [...severityNames.keys(), 'unset'].filter(compileRegex(filter.pattern));
      return {
        kind: 'in',
        field,
        values: names.map((text) => ({ text, number: undefined, durationNanos: undefined })),
      };
    }
    default:
      return filter;
  }
}

function inRange(range: TimeRange, condition: Condition): Condition {
  const time = timeQuery(range) as Dsl;
  const may = allOf([time, condition.may]);
  // Times past the end of Elasticsearch's dates are all the same to it.
  const isCut =
    range.endUnixNano > dateNanosMax &&
    (range.startUnixNano > dateNanosMax || range.endUnixNano <= 0xffffffffffffffffn);
  if (isCut) {
    const before = {
      range: { '@timestamp': { lt: '2262-04-11T23:47:16.854775807Z', format: 'strict_date_optional_time_nanos' } },
    };
    return { may, sure: allOf([time, before, condition.sure]) };
  }
  return isExact(condition) ? { may, sure: may } : { may, sure: allOf([time, condition.sure]) };
}

function holdsIn(range: TimeRange, matches: Matches): (row: LogRow) => boolean {
  return (row) =>
    row.timeUnixNano >= range.startUnixNano && row.timeUnixNano < range.endUnixNano && matches(matched(row));
}
