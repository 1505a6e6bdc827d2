import { Fault } from '../../base/index.ts';
import type { LatestSample, LatestSelect } from '../contract.ts';
import { Params } from './database.ts';
import { staleNan } from './decode-metrics.ts';
import { type Labels, seriesLabels } from './labels.ts';
import { deltaTemporality, labelOf, matches, nanos } from './matchers.ts';
import type { Part } from './parts.ts';
import { filesAtOnce, type ReadOptions, reading, timeCondition, within } from './reading.ts';

/**
 * The last sample of each series. First numbers alone, of every part; then the labels of what is wanted, from the part that has
 * them first: of many series it is their labels that cost.
 */
export function latestSamples(
  options: ReadOptions,
  select: LatestSelect,
  cancel: AbortSignal,
): Promise<readonly LatestSample[]> {
  return reading(options, cancel, async (session, all) => {
    const range = { startUnixNano: nanos(select.startMs), endUnixNano: nanos(select.endMs) + 1_000_000n };
    const parts = options.shelf.grouped(within(all, range), filesAtOnce);
    const newest = new Map<bigint, { timeMs: number; value: number; ended: boolean }>();
    for (const part of parts) {
      await options.shelf.readPart(part, async (each) => {
        const params = new Params();
        const where = `${timeCondition(range, params)} AND series IN (SELECT id ${chosen(each, select, params)})`;
        // By a signed time: by an unsigned one DuckDB gives another NaN than it has, and the one that ends a series is told by its bits.
        await session.chunks(
          `SELECT series, max(time_unix_nano) // 1000000, arg_max(value, time_unix_nano::BIGINT)
           FROM ${each.facts} WHERE ${where} AND value IS NOT NULL GROUP BY series`,
          params,
          async (columns, rows) => {
            const [ids, times, bits] = [columns.u64(0), columns.u64(1), columns.u64(2)];
            const values = new Float64Array(bits.buffer, bits.byteOffset, bits.length);
            for (let row = 0; row < rows; row++) {
              const sample = { timeMs: Number(times[row]!), value: values[row]!, ended: bits[row] === staleNan };
              const before = newest.get(ids[row]!);
              if (before === undefined) newest.set(ids[row]!, sample);
              else if (before.timeMs <= sample.timeMs) Object.assign(before, sample);
            }
          },
        );
      });
    }
    for (const [id, { value, ended }] of newest) {
      if (ended || (select.nonZero && value === 0)) newest.delete(id);
    }
    if (newest.size > select.seriesMax) {
      throw new Fault('unprocessable', `there are more than ${select.seriesMax} series; narrow the matchers`);
    }
    const samples: LatestSample[] = [];
    const labelsIn = remembered((json): Labels => JSON.parse(json));
    for (const part of parts) {
      if (newest.size === 0) break;
      await options.shelf.readPart(part, async (each) => {
        const params = new Params();
        const where = `${timeCondition(range, params)}${select.nonZero ? ' AND value <> 0' : ''}`;
        const rows = await session.rows(
          `SELECT id, name, labels, resource_labels ${chosen(each, select, params)}
           AND id IN (SELECT series FROM ${each.facts} WHERE ${where})`,
          params,
        );
        for (const [id, name, ofPoint, ofResource] of rows) {
          const sample = newest.get(id as bigint);
          if (sample === undefined) continue;
          newest.delete(id as bigint);
          const { timeMs, value } = sample;
          const labels = seriesLabels(labelsIn(String(ofPoint)), labelsIn(String(ofResource)));
          samples.push({ labels: { __name__: String(name), ...labels }, timeMs, value });
        }
      });
    }
    return samples;
  });
}

/** Series that match and have such samples. */
function chosen(part: Part, { matchers }: LatestSelect, params: Params): string {
  const conditions = matchers.map((matcher) =>
    matches(matcher, matcher.name === '__name__' ? 'name' : labelOf(matcher.name, params), params),
  );
  const kinds = `(type = 'gauge' OR type = 'counter' AND temporality <> ${deltaTemporality})`;
  return `FROM ${part.dictionary} WHERE ${[kinds, ...conditions].join(' AND ')}`;
}

/** Resources have many series, and many series the same attributes. */
function remembered<T>(make: (text: string) => T): (text: string) => T {
  const made = new Map<string, T>();
  return (text) => {
    let found = made.get(text);
    if (found === undefined) {
      found = make(text);
      made.set(text, found);
    }
    return found;
  };
}
