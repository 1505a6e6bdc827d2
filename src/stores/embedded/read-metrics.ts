import { Fault } from '../../base/index.ts';
import type { LabelMatcher, MetricReader, MetricSummary, MetricType, Page, Series, SeriesSelect } from '../contract.ts';
import { Params, type Session } from './database.ts';
import { type SeriesType, staleNanHigh, staleNanLow } from './decode-metrics.ts';
import type { Part } from './parts.ts';
import { exponentialPoint, type HistogramPoint, histogramPoint, labelNumber, summaryPoint } from './points.ts';
import { filesAtOnce, overParts, type ReadOptions, reading, readServices, timeCondition, within } from './reading.ts';
import { member } from './sql.ts';

/**
 * Metrics under Prometheus' names. Notes on what it makes of OTLP:
 * - histograms: `_bucket` with `le`, `_sum`, `_count`; exponential ones too, with powers of two as bounds (points.ts);
 * - summaries: the name with `quantile`, `_sum`, `_count`;
 * - points of delta temporality are given as they are, not summed up;
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

    select: (select, cancel) =>
      reading(options, cancel, async (session, parts): Promise<readonly Series[]> => {
        const range = {
          startUnixNano: nanos(select.startMs),
          endUnixNano: nanos(select.endMs) + 1_000_000n,
        };
        const collected = new Collected(select, await LabelTest.prepare(session, select.matchers));
        for (const part of options.shelf.grouped(within(parts, range), filesAtOnce)) {
          await options.shelf.readPart(part, (each) => selectPart(session, each, select, range, collected));
        }
        return collected.series();
      }),
  };
}

function nanos(ms: number): bigint {
  return BigInt(Math.max(0, Math.trunc(ms))) * 1_000_000n;
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

/** A matcher as a condition on text, which may be NULL for an absent label. */
function matches(matcher: LabelMatcher, text: string, params: Params): string {
  const value = params.text(matcher.value);
  switch (matcher.op) {
    case '=':
      return `coalesce(${text}, '') = ${value}`;
    case '!=':
      return `coalesce(${text}, '') <> ${value}`;
    case '=~':
      return `regexp_full_match(coalesce(${text}, ''), ${value}, 's')`;
    case '!~':
      return `NOT regexp_full_match(coalesce(${text}, ''), ${value}, 's')`;
  }
}

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

/** Samples by series, with the bound on how many there may be. */
class Collected {
  readonly select: SeriesSelect;
  readonly test: LabelTest;
  readonly #series = new Map<string, { labels: { readonly [name: string]: string }; samples: Samples }>();
  #count = 0;

  constructor(select: SeriesSelect, test: LabelTest) {
    this.select = select;
    this.test = test;
  }

  of(labels: { readonly [name: string]: string }): Samples {
    const key = JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
    let found = this.#series.get(key);
    if (found === undefined) {
      found = { labels, samples: new Samples(this) };
      this.#series.set(key, found);
    }
    return found.samples;
  }

  counted(): void {
    if (++this.#count > this.select.samplesMax) {
      throw new Fault(
        'unprocessable',
        `the query selects more than ${this.select.samplesMax} samples; narrow its time range or its matchers`,
      );
    }
  }

  series(): Series[] {
    const series: Series[] = [];
    for (const { labels, samples } of this.#series.values()) {
      if (samples.length > 0) series.push({ labels, ...samples.sorted() });
    }
    return series;
  }
}

class Samples {
  readonly #owner: Collected;
  #times = new Float64Array(16);
  /** As bits, so that each NaN stays what it is. */
  #bits = new BigUint64Array(16);
  length = 0;

  constructor(owner: Collected) {
    this.#owner = owner;
  }

  add(timeMs: number, bits: bigint): void {
    this.#owner.counted();
    if (this.length === this.#times.length) {
      const times = new Float64Array(this.length * 2);
      const bitsGrown = new BigUint64Array(this.length * 2);
      times.set(this.#times);
      bitsGrown.set(this.#bits);
      this.#times = times;
      this.#bits = bitsGrown;
    }
    this.#times[this.length] = timeMs;
    this.#bits[this.length++] = bits;
  }

  /** In time order; of samples with the same time the last one that came. */
  sorted(): { timestampsMs: Float64Array; values: Float64Array } {
    const order = Array.from({ length: this.length }, (_, index) => index);
    order.sort((a, b) => this.#times[a]! - this.#times[b]! || a - b);
    const kept = order.filter(
      (index, at) => at + 1 === order.length || this.#times[order[at + 1]!] !== this.#times[index],
    );
    const timestampsMs = new Float64Array(kept.length);
    const bits = new BigUint64Array(kept.length);
    for (const [at, index] of kept.entries()) {
      timestampsMs[at] = this.#times[index]!;
      bits[at] = this.#bits[index]!;
    }
    return { timestampsMs, values: new Float64Array(bits.buffer) };
  }
}

interface KnownSeries {
  readonly name: string;
  readonly type: SeriesType;
  readonly labels: { readonly [name: string]: string };
  /** The expansions whose names match. */
  readonly wanted: ReadonlySet<Suffix>;
  readonly made: Map<string, Samples>;
}

async function selectPart(
  session: Session,
  part: Part,
  select: SeriesSelect,
  range: { startUnixNano: bigint; endUnixNano: bigint },
  collected: Collected,
): Promise<void> {
  const params = new Params();
  const conditions: string[] = [];
  const named: LabelMatcher[] = [];
  for (const matcher of select.matchers) {
    if (matcher.name === '__name__') named.push(matcher);
    else {
      const condition = matches(matcher, `json_extract_string(${member('labels', matcher.name, params)}, '$')`, params);
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
  const chosen = `FROM ${part.dictionary} WHERE ${conditions.join(' AND ')}`;
  const series = new Map<bigint, KnownSeries>();
  for (const [id, name, type, labels, ...byName] of await session.rows(
    `SELECT id, name, type, labels, ${nameTests.join(', ')} ${chosen}`,
    params,
  )) {
    const kind = String(type) as SeriesType;
    const wanted = new Set(expansions[kind].filter((suffix) => byName[suffixes.indexOf(suffix)] === true));
    if (wanted.size === 0) continue;
    series.set(id as bigint, {
      name: String(name),
      type: kind,
      labels: JSON.parse(String(labels)) as { [name: string]: string },
      wanted,
      made: new Map(),
    });
  }
  if (series.size === 0) return;
  const where = `${timeCondition(range, params)} AND series IN (SELECT id ${chosen})`;
  const [counted] = await session.rows(`SELECT count(*) FROM ${part.facts} WHERE ${where}`, params);
  if (Number(counted![0]) > select.samplesMax) {
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
          if (columns.isNull(2, row)) continue;
          let list = samples.get(ids[row]!);
          if (list === undefined) {
            list = collected.of({ __name__: known.name, ...known.labels });
            samples.set(ids[row]!, list);
          }
          list.add(timeMs, bits[row]!);
        } else await expand(known, timeMs, columns.blob(3, row), collected);
      }
    },
  );
}

const staleBits = (BigInt(staleNanHigh) << 32n) | BigInt(staleNanLow);
const scratch = new DataView(new ArrayBuffer(8));
function bitsOf(value: number): bigint {
  scratch.setFloat64(0, value);
  return scratch.getBigUint64(0);
}

/** Takes a point apart into the series that Prometheus would have. */
async function expand(
  known: KnownSeries,
  timeMs: number,
  record: Uint8Array | undefined,
  collected: Collected,
): Promise<void> {
  if (record === undefined) return;
  const add = (suffix: Suffix, extra: { readonly [name: string]: string }, value: number, stale: boolean) => {
    const key = `${suffix}\0${extra['le'] ?? extra['quantile'] ?? ''}`;
    let list = known.made.get(key);
    if (list === undefined) {
      list = collected.of({ __name__: known.name + suffix, ...known.labels, ...extra });
      known.made.set(key, list);
    }
    list.add(timeMs, stale ? staleBits : bitsOf(value));
  };
  if (known.type === 'summary') {
    const point = summaryPoint(record);
    if (known.wanted.has('_sum')) add('_sum', {}, point.sum, point.stale);
    if (known.wanted.has('_count')) add('_count', {}, point.count, point.stale);
    if (!known.wanted.has('')) return;
    const texts = point.quantiles.map(([quantile]) => labelNumber(quantile));
    await collected.test.learn('quantile', texts);
    for (const [index, [, value]] of point.quantiles.entries()) {
      const quantile = texts[index]!;
      if (collected.test.passes('quantile', quantile)) add('', { quantile }, value, point.stale);
    }
    return;
  }
  const point: HistogramPoint = known.type === 'histogram' ? histogramPoint(record) : exponentialPoint(record);
  if (known.wanted.has('_sum') && (point.sum !== undefined || point.stale))
    add('_sum', {}, point.sum ?? 0, point.stale);
  if (known.wanted.has('_count')) add('_count', {}, point.count, point.stale);
  if (!known.wanted.has('_bucket')) return;
  const bounds = point.cumulative.map(([le]) => labelNumber(le));
  await collected.test.learn('le', [...bounds, '+Inf']);
  for (const [index, [, count]] of point.cumulative.entries()) {
    const le = bounds[index]!;
    if (le !== '+Inf' && collected.test.passes('le', le)) add('_bucket', { le }, count, point.stale);
  }
  if (collected.test.passes('le', '+Inf')) add('_bucket', { le: '+Inf' }, point.count, point.stale);
}
