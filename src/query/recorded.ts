import { Fault } from '../base/index.ts';
import {
  evaluateInstant,
  evaluateRange,
  parsePromql,
  type Series,
  type SeriesReader,
  staleMarkerBits,
} from '../promql/index.ts';
import type { LabelMatcher, MetricReader, MetricSummary, SeriesSelect } from '../stores/contract.ts';
import { compileRegex } from '../stores/regex.ts';
import { recordedMinutesMax, recordedStepMsMax, recordedStepsMax, samplesMax } from './limits.ts';
import { pace } from './pace.ts';
import type { RecordingRule } from './recording-rules.ts';

/** A reader with the series of rules. */
interface RecordedReader extends MetricReader {
  /**
   * Whether PromQL is for our engine. Where the store has one, that is a question with the name of a rule while the store holds
   * nothing that such rules record: it has not loaded them.
   */
  isForUs(query: string, timeMs: number, cancel: AbortSignal): Promise<boolean>;
}

/**
 * What a store was sent, and the series that a Prometheus with these rules would have recorded beside it. Nothing is stored: a
 * rule is evaluated, at the times that a Prometheus would, when somebody asks for its name. What a Prometheus has recorded
 * itself is taken from there.
 * @param readRules Called with the first question.
 */
export function withRecordedSeries(reader: MetricReader, readRules: () => readonly RecordingRule[]): RecordedReader {
  const { promqlInstant, promqlRange } = reader;
  const known = once(() => {
    const rules = readRules();
    // A name that a receiver uses, too, answers in any case, and does not tell who recorded it.
    const own = new Set(rules.filter(({ name, sources }) => !sources.includes(name)).map(({ name }) => name));
    return { rules, own };
  });
  /** By the minute of a question's time: whether the store holds what such rules record. */
  const recordsIn = new Map<number, boolean>();
  const records = async (engine: NonNullable<typeof promqlInstant>, timeMs: number, cancel: AbortSignal) => {
    const minute = Math.floor(timeMs / 60_000);
    const answered = recordsIn.get(minute);
    if (answered !== undefined) return answered;
    // What is scraped from others under such a name has a job.
    const query = `count({__name__=~"${[...known().own].join('|')}",job=""})`;
    const { json } = await engine.call(reader, { query, timeMs }, cancel);
    const { data } = JSON.parse(Buffer.from(json).toString('utf8')) as { data: { result: readonly unknown[] } };
    const records = data.result.length > 0;
    if (recordsIn.size >= recordedMinutesMax) recordsIn.delete(recordsIn.keys().next().value!);
    recordsIn.set(minute, records);
    return records;
  };
  return {
    services: (range, cancel) => reader.services(range, cancel),
    ...(promqlInstant && { promqlInstant: (search, cancel) => promqlInstant.call(reader, search, cancel) }),
    ...(promqlRange && { promqlRange: (search, cancel) => promqlRange.call(reader, search, cancel) }),

    async isForUs(query, timeMs, cancel) {
      if (promqlInstant === undefined) return true;
      const { rules, own } = known();
      const words = new Set(query.match(/[a-zA-Z_:][\w:]*/g));
      const asked = rules.filter(({ name }) => words.has(name));
      if (asked.length === 0) return false;
      if (!asked.some(({ name }) => own.has(name)) && !isOffered(query)) return false;
      return !(await records(promqlInstant, timeMs, cancel));
    },

    latest: (select, cancel) => reader.latest(select, cancel),

    async select(select, cancel) {
      const accepts = compileMatchers(select.matchers);
      const named = select.matchers.filter(({ name }) => name === '__name__');
      const hasName = compileMatchers(named);
      const found = [...(await reader.select(select, cancel))];
      let samples = found.reduce((sum, { values }) => sum + values.length, 0);
      const asked = named.length === 0 ? [] : known().rules.filter(({ name }) => hasName({ __name__: name }));
      if (asked.length === 0) return found;
      const stored = new Set(found.map(({ labels }) => keyOf(labels)));
      // A name's rules read the same series; those of other names are let go before.
      for (const rules of Map.groupBy(asked, ({ name }) => name).values()) {
        const once = onceEach(reader);
        for (const rule of rules) {
          for (const series of await record(once, rule, select, cancel)) {
            if (!accepts(series.labels) || stored.has(keyOf(series.labels))) continue;
            samples += series.values.length;
            if (samples > select.samplesMax) {
              throw new Fault(
                'unprocessable',
                `the query selects more than ${select.samplesMax} samples; narrow its time range or its matchers`,
              );
            }
            found.push(series);
          }
        }
      }
      return found;
    },

    async metrics(search, cancel) {
      const { rules, own } = known();
      const page = await reader.metrics(search, cancel);
      const stored = new Set(page.items.map(({ name }) => name));
      const timeMs = Number((search.range.endUnixNano - 1n) / 1_000_000n);
      const surroundings = { reader: onceEach(reader), samplesMax, cancel, breathe: pace(cancel) };
      const counts = new Map<string, number>();
      for (const rule of rules) {
        if (stored.has(rule.name)) continue;
        if (!page.incomplete && !rule.sources.some((name) => stored.has(name))) continue;
        const { series } = await evaluateInstant(rule.expression, timeMs, surroundings);
        if (series.length > 0) counts.set(rule.name, (counts.get(rule.name) ?? 0) + series.length);
      }
      const items = [
        ...page.items.map((item) => (own.has(item.name) ? summary(rules, item.name, item.seriesCount) : item)),
        ...[...counts].map(([name, count]) => summary(rules, name, count)),
      ];
      if (items.length <= search.limit) return { ...page, items };
      const warning = `only the first ${search.limit} metrics are named`;
      return { ...page, items: items.slice(0, search.limit), incomplete: true, warnings: [...page.warnings, warning] };
    },
  };
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

/** Whether our engine can answer; a mistake is told by whoever is asked. */
function isOffered(query: string): boolean {
  try {
    parsePromql(query);
    return true;
  } catch (thrown) {
    if (thrown instanceof Fault) return false;
    throw thrown;
  }
}

/** Several rules read the same series; they are asked for once. */
function onceEach(reader: MetricReader): SeriesReader {
  const asked = new Map<string, ReturnType<MetricReader['select']>>();
  return {
    select(select, cancel) {
      const key = JSON.stringify(select);
      const found = asked.get(key) ?? reader.select(select, cancel);
      asked.set(key, found);
      return found;
    },
  };
}

function summary(rules: readonly RecordingRule[], name: string, seriesCount: number): MetricSummary {
  const sources = new Set(rules.filter((rule) => rule.name === name).flatMap((rule) => rule.sources));
  return {
    name,
    type: /_total$|_io_bytes$/.test(name) ? 'counter' : 'gauge',
    unit: /_bytes$/.test(name)
      ? 'By'
      : /_seconds_total$/.test(name)
        ? 's'
        : /_utilization(_ratio)?$/.test(name)
          ? '1'
          : '',
    description: `Recorded from ${[...sources].join(', ')}`,
    seriesCount,
    recorded: true,
  };
}

function keyOf(labels: Series['labels']): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * The samples of a rule in a time, at multiples of its interval. Of a long time every so many of them, yet always closer than
 * an instant vector looks back.
 */
async function record(
  reader: SeriesReader,
  { name, labels, expression, intervalMs }: RecordingRule,
  { startMs, endMs }: SeriesSelect,
  cancel: AbortSignal,
): Promise<readonly Series[]> {
  const intervals = Math.ceil((endMs - startMs) / recordedStepsMax / intervalMs);
  const stepMs = Math.min(Math.max(1, intervals) * intervalMs, recordedStepMsMax);
  const first = Math.ceil(startMs / stepMs) * stepMs;
  if (first > endMs) return [];
  const last = first + Math.floor((endMs - first) / stepMs) * stepMs;
  const surroundings = { reader, samplesMax, cancel, breathe: pace(cancel) };
  const found = await evaluateRange(expression, { startMs: first, endMs: last, stepMs }, surroundings);
  return found.map((series) => {
    const marked = withMarkers(series, stepMs, last);
    return { ...marked, labels: { ...series.labels, ...labels, __name__: name } };
  });
}

/** A step at which the rule has no value any more ends the series, as Prometheus marks it. */
function withMarkers({ labels, timestampsMs, values }: Series, stepMs: number, lastMs: number): Series {
  const times: number[] = [];
  const bits: bigint[] = [];
  const given = new BigUint64Array(values.slice().buffer);
  for (const [index, time] of timestampsMs.entries()) {
    times.push(time);
    bits.push(given[index]!);
    const next = time + stepMs;
    if (next > lastMs || timestampsMs[index + 1] === next) continue;
    times.push(next);
    bits.push(staleMarkerBits);
  }
  return { labels, timestampsMs: Float64Array.from(times), values: new Float64Array(new BigUint64Array(bits).buffer) };
}

function compileMatchers(matchers: readonly LabelMatcher[]): (labels: Series['labels']) => boolean {
  const compiled = matchers.map(({ name, op, value }) => {
    const matches = op === '=' || op === '!=' ? (text: string) => text === value : compileRegex(`^(?s:${value})$`);
    const wanted = op === '=' || op === '=~';
    return (labels: Series['labels']) => matches(labels[name] ?? '') === wanted;
  });
  return (labels) => compiled.every((holds) => holds(labels));
}
