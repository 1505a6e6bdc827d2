import { Fault } from '../../base/index.ts';
import type { LabelMatcher, MetricReader, MetricSummary, MetricType, Page, Series, SeriesSelect } from '../contract.ts';
import { Params, type Session } from './database.ts';
import { staleNan } from './decode-metrics.ts';
import { type Labels, seriesLabels } from './labels.ts';
import { latestSamples } from './latest.ts';
import { deltaTemporality, labelOf, matches, nanos } from './matchers.ts';
import type { Part } from './parts.ts';
import {
  atAllBounds,
  exponentialPoint,
  type HistogramPoint,
  histogramPoint,
  labelNumber,
  type SummaryPoint,
  summaryPoint,
  sumOf,
} from './points.ts';
import { filesAtOnce, overParts, type ReadOptions, reading, readServices, timeCondition, within } from './reading.ts';
import { Collected, keyOf, type Samples } from './samples.ts';
import type { SeriesType } from './series.ts';

/**
 * Metrics under Prometheus' names. Notes on what it makes of OTLP:
 * - histograms: `_bucket` with `le`, `_sum`, `_count`; exponential ones too, with powers of two as bounds (points.ts);
 * - summaries: the name with `quantile`, `_sum`, `_count`;
 * - counters and histograms of delta temporality are given as running totals, as Prometheus has them where something before
 *   it adds them up (samples.ts; `SeriesSelect.deltasFrom`);
 * - a point with the flag "no recorded value" is a StaleNaN.
 */
export function metricReader(options: ReadOptions): MetricReader {
  return {
    services: (range, cancel) => readServices(options, 'metrics', range, cancel),

    metrics: (search, cancel) =>
      reading(options, cancel, async (session, parts): Promise<Page<MetricSummary>> => {
        const found = new Map<string, { type: SeriesType; unit: string; description: string; series: Set<bigint> }>();
        const scan = await overParts(
          options,
          options.shelf.grouped(within(parts, search.range), filesAtOnce),
          async (part) => {
            const params = new Params();
            const rows = await session.rows(
              `SELECT name, type, unit, description, list(id) FROM ${part.dictionary}
             WHERE id IN (SELECT series FROM ${part.facts} WHERE ${timeCondition(search.range, params)}) GROUP BY ALL`,
              params,
            );
            for (const [name, type, unit, description, ids] of rows) {
              let metric = found.get(String(name));
              if (metric === undefined) {
                metric = {
                  type: String(type) as SeriesType,
                  unit: String(unit),
                  description: String(description),
                  series: new Set(),
                };
                found.set(String(name), metric);
              }
              for (const id of (ids as { items: bigint[] }).items) metric.series.add(id);
            }
          },
        );
        const items = [...found]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, { series, type, ...rest }]) => ({
            name,
            type: summaryType(type),
            ...rest,
            seriesCount: series.size,
          }));
        const cut = items.length > search.limit;
        const warnings = cut ? [...scan.warnings, `only the first ${search.limit} metrics are named`] : scan.warnings;
        return { items: items.slice(0, search.limit), next: undefined, incomplete: scan.incomplete || cut, warnings };
      }),

    latest: (select, cancel) => latestSamples(options, select, cancel),

    select: (select, cancel) =>
      reading(options, cancel, async (session, parts): Promise<readonly Series[]> => {
        const range = {
          startUnixNano: nanos(select.startMs),
          endUnixNano: nanos(select.endMs) + 1_000_000n,
        };
        const into: Selection = {
          collected: new Collected(select.samplesMax),
          test: await LabelTest.prepare(session, select.matchers),
          exponentials: new Map(),
          deltas: false,
          before: false,
        };
        for (const part of options.shelf.grouped(within(parts, range), filesAtOnce)) {
          await options.shelf.readPart(part, (each) => selectPart(session, each, select, range, into));
        }
        const relative = select.deltasFrom === 'range';
        const summing: Selection = { ...into, before: true };
        if (into.deltas && !relative) {
          const before = { startUnixNano: 0n, endUnixNano: range.startUnixNano };
          for (const part of options.shelf.grouped(within(parts, before), filesAtOnce))
            await options.shelf.readPart(part, (each) => selectPart(session, each, select, before, summing));
        }
        for (const { known, timesMs, points, before } of into.exponentials.values()) {
          // Which bounds it has is known when all of its points are.
          const all = atAllBounds(before === undefined ? points : [...points, before]);
          for (const [index, timeMs] of timesMs.entries()) await expandHistogram(known, timeMs, all[index]!, into);
          if (before !== undefined) await expandHistogram(known, 0, all.at(-1)!, summing);
        }
        return into.collected.series(relative);
      }),
  };
}

function summaryType(type: SeriesType): MetricType {
  return type === 'exponential' ? 'histogram' : type;
}

const suffixes = ['', '_bucket', '_sum', '_count'] as const;
type Suffix = (typeof suffixes)[number];

/** What a series of each type becomes. */
const expansions: { readonly [type in SeriesType]: readonly Suffix[] } = {
  gauge: [''],
  counter: [''],
  histogram: ['_bucket', '_sum', '_count'],
  exponential: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
};

/** Matchers on labels that only arise when a point is taken apart: `le` of buckets, `quantile` of summaries. */
class LabelTest {
  readonly #session: Session;
  readonly #matchers: readonly LabelMatcher[];
  readonly #known = new Map<string, boolean>();

  private constructor(session: Session, matchers: readonly LabelMatcher[]) {
    this.#session = session;
    this.#matchers = matchers.filter(({ name }) => name === 'le' || name === 'quantile');
  }

  /** @throws Fault `malformed` for a regular expression that is none. */
  static async prepare(session: Session, matchers: readonly LabelMatcher[]): Promise<LabelTest> {
    for (const matcher of matchers) {
      if (matcher.op !== '=~' && matcher.op !== '!~') continue;
      const params = new Params();
      try {
        await session.rows(`SELECT ${matches(matcher, "''", params)}`, params);
      } catch (error) {
        if (error instanceof Fault || !(error instanceof Error) || !error.message.startsWith('Invalid Input Error'))
          throw error;
        throw new Fault('malformed', `not a regular expression (RE2) for the label ${matcher.name}`, {
          parameter: 'query',
        });
      }
    }
    return new LabelTest(session, matchers);
  }

  /** Whether these values of a derived label pass; asked once for each value. */
  async learn(name: 'le' | 'quantile', values: Iterable<string>): Promise<void> {
    const own = this.#matchers.filter((matcher) => matcher.name === name);
    for (const value of values) {
      const key = `${name}\0${value}`;
      if (this.#known.has(key)) continue;
      let holds = true;
      for (const matcher of own) {
        const params = new Params();
        const [row] = await this.#session.rows(`SELECT ${matches(matcher, params.text(value), params)}`, params);
        holds &&= row![0] === true;
      }
      this.#known.set(key, holds);
    }
  }

  passes(name: 'le' | 'quantile', value: string): boolean {
    return this.#known.get(`${name}\0${value}`) ?? false;
  }
}

interface KnownSeries {
  readonly name: string;
  readonly type: SeriesType;
  readonly labels: Labels;
  /** Each point tells what came since the one before. */
  readonly delta: boolean;
  /** The expansions whose names match. */
  readonly wanted: ReadonlySet<Suffix>;
  /** Where the samples of each go that is made of it; undefined: there are none, and what came before is not asked for. */
  readonly made: Map<string, Samples | undefined>;
}

/** What the parts are read into. */
interface Selection {
  readonly collected: Collected;
  readonly test: LabelTest;
  /** By what names the series. */
  readonly exponentials: Map<string, Exponential>;
  /** Whether any series whose points are deltas was met. */
  deltas: boolean;
  /** Only what deltas come to is taken, for series that have samples already. */
  readonly before: boolean;
}

interface Exponential {
  readonly known: KnownSeries;
  readonly timesMs: number[];
  readonly points: HistogramPoint[];
  /** What those before the range come to. */
  before: HistogramPoint | undefined;
}

async function selectPart(
  session: Session,
  part: Part,
  select: SeriesSelect,
  range: { startUnixNano: bigint; endUnixNano: bigint },
  into: Selection,
): Promise<void> {
  const params = new Params();
  const conditions: string[] = [];
  const named: LabelMatcher[] = [];
  for (const matcher of select.matchers) {
    if (matcher.name === '__name__') named.push(matcher);
    else {
      const condition = matches(matcher, labelOf(matcher.name, params), params);
      if (matcher.name === 'le') conditions.push(`(type IN ('histogram', 'exponential') OR ${condition})`);
      else if (matcher.name === 'quantile') conditions.push(`(type = 'summary' OR ${condition})`);
      else conditions.push(condition);
    }
  }
  const nameTests = suffixes.map((suffix) => {
    const tests = named.map((matcher) => matches(matcher, `(name || '${suffix}')`, params));
    return tests.length === 0 ? 'TRUE' : `(${tests.join(' AND ')})`;
  });
  conditions.push(`(${nameTests.join(' OR ')})`);
  if (into.before) conditions.push(`temporality = ${deltaTemporality} AND type <> 'gauge'`);
  const chosen = `FROM ${part.dictionary} WHERE ${conditions.join(' AND ')}`;
  const series = new Map<bigint, KnownSeries>();
  const parsed = new Map<string, Labels>();
  const labelsIn = (text: unknown): Labels => {
    const json = String(text);
    let labels = parsed.get(json);
    if (labels === undefined) {
      labels = JSON.parse(json) as Labels;
      parsed.set(json, labels);
    }
    return labels;
  };
  for (const [id, name, type, ofPoint, ofResource, temporality, ...byName] of await session.rows(
    `SELECT id, name, type, labels, resource_labels, temporality, ${nameTests.join(', ')} ${chosen}`,
    params,
  )) {
    const kind = String(type) as SeriesType;
    const wanted = new Set(expansions[kind].filter((suffix) => byName[suffixes.indexOf(suffix)] === true));
    if (wanted.size === 0) continue;
    // A sum that may fall as well is shown as a gauge, and its points are what they are.
    const delta = Number(temporality) === deltaTemporality && kind !== 'gauge';
    into.deltas ||= delta;
    const labels = seriesLabels(labelsIn(ofPoint), labelsIn(ofResource));
    series.set(id as bigint, { name: String(name), type: kind, labels, delta, wanted, made: new Map() });
  }
  if (series.size === 0) return;
  const where = `${timeCondition(range, params)} AND series IN (SELECT id ${chosen})`;
  if (into.before) {
    for (const [id, sum] of await session.rows(
      `SELECT series, sum(value) FROM ${part.facts} JOIN (SELECT id, type ${chosen}) ON id = series
       WHERE ${where} AND type = 'counter' AND NOT isnan(value) GROUP BY series`,
      params,
    )) {
      const known = series.get(id as bigint)!;
      into.collected.deltasOf({ __name__: known.name, ...known.labels })?.addBefore(Number(sum));
    }
  }
  const [counted] = await session.rows(`SELECT count(*) FROM ${part.facts} WHERE ${where}`, params);
  if (!into.before && Number(counted![0]) > select.samplesMax) {
    throw new Fault(
      'unprocessable',
      `the query selects more than ${select.samplesMax} samples; narrow its time range or its matchers`,
    );
  }
  const samples = new Map<bigint, Samples>();
  await session.chunks(
    `SELECT series, time_unix_nano // 1000000, value, CASE WHEN type NOT IN ('gauge', 'counter') THEN record END
     FROM ${part.facts} JOIN (SELECT id, type ${chosen}) ON id = series
     WHERE ${where} ORDER BY series, time_unix_nano`,
    params,
    async (columns, rows) => {
      const ids = columns.u64(0);
      const times = columns.u64(1);
      const bits = columns.u64(2);
      for (let row = 0; row < rows; row++) {
        const known = series.get(ids[row]!);
        if (known === undefined) continue;
        const timeMs = Number(times[row]!);
        if (known.type === 'gauge' || known.type === 'counter') {
          if (columns.isNull(2, row) || into.before) continue;
          let list = samples.get(ids[row]!);
          if (list === undefined) {
            list = into.collected.of({ __name__: known.name, ...known.labels }, known.delta);
            samples.set(ids[row]!, list);
          }
          list.add(timeMs, bits[row]!);
          continue;
        }
        const record = columns.blob(3, row);
        if (record === undefined) continue;
        if (known.type === 'summary') await expandSummary(known, timeMs, summaryPoint(record), into);
        else if (known.type === 'histogram') await expandHistogram(known, timeMs, histogramPoint(record), into);
        else takeExponential(known, timeMs, exponentialPoint(record), into);
      }
    },
  );
}

function takeExponential(known: KnownSeries, timeMs: number, point: HistogramPoint, into: Selection): void {
  const key = keyOf({ __name__: known.name, ...known.labels });
  let found = into.exponentials.get(key);
  if (into.before) {
    if (found !== undefined && !point.stale) found.before = found.before ? sumOf(found.before, point) : point;
    return;
  }
  into.collected.counted();
  if (found === undefined) {
    found = { known, timesMs: [], points: [], before: undefined };
    into.exponentials.set(key, found);
  }
  found.timesMs.push(timeMs);
  found.points.push(point);
}

const scratch = new DataView(new ArrayBuffer(8));
function bitsOf(value: number): bigint {
  scratch.setFloat64(0, value);
  return scratch.getBigUint64(0);
}

/** Takes a summary apart into the series that Prometheus would have. */
async function expandSummary(known: KnownSeries, timeMs: number, point: SummaryPoint, into: Selection): Promise<void> {
  const { test } = into;
  if (known.wanted.has('_sum')) add(into, known, timeMs, '_sum', {}, point.sum, point.stale);
  if (known.wanted.has('_count')) add(into, known, timeMs, '_count', {}, point.count, point.stale);
  if (!known.wanted.has('')) return;
  const texts = point.quantiles.map(([quantile]) => labelNumber(quantile));
  await test.learn('quantile', texts);
  for (const [index, [, value]] of point.quantiles.entries()) {
    const quantile = texts[index]!;
    if (test.passes('quantile', quantile)) add(into, known, timeMs, '', { quantile }, value, point.stale);
  }
}

/** The same with a histogram. */
async function expandHistogram(
  known: KnownSeries,
  timeMs: number,
  point: HistogramPoint,
  into: Selection,
): Promise<void> {
  const { test } = into;
  const { stale } = point;
  if (known.wanted.has('_sum') && (point.sum !== undefined || stale))
    add(into, known, timeMs, '_sum', {}, point.sum ?? 0, stale);
  if (known.wanted.has('_count')) add(into, known, timeMs, '_count', {}, point.count, stale);
  if (!known.wanted.has('_bucket')) return;
  const bounds = point.cumulative.map(([le]) => labelNumber(le));
  await test.learn('le', [...bounds, '+Inf']);
  for (const [index, [, count]] of point.cumulative.entries()) {
    const le = bounds[index]!;
    if (le !== '+Inf' && test.passes('le', le)) add(into, known, timeMs, '_bucket', { le }, count, stale);
  }
  if (test.passes('le', '+Inf')) add(into, known, timeMs, '_bucket', { le: '+Inf' }, point.count, stale);
}

function add(
  into: Selection,
  known: KnownSeries,
  timeMs: number,
  suffix: Suffix,
  extra: { readonly le?: string; readonly quantile?: string },
  value: number,
  stale: boolean,
): void {
  const key = `${suffix}\0${extra.le ?? extra.quantile ?? ''}`;
  let list = known.made.get(key);
  if (list === undefined && !known.made.has(key)) {
    const labels = { __name__: known.name + suffix, ...known.labels, ...extra };
    list = into.before ? into.collected.deltasOf(labels) : into.collected.of(labels, known.delta);
    known.made.set(key, list);
  }
  if (!into.before) list!.add(timeMs, stale ? staleNan : bitsOf(value));
  else if (!stale) list?.addBefore(value);
}
