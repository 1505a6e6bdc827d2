import { type Command, Option } from 'commander';
import type { Outcome } from '../program.ts';
import { addReaderOptions, reading, sayWarnings } from '../reader-options.ts';
import { type Column, printRows } from '../table.ts';

/** Prometheus' answer. A native histogram, which only Prometheus itself gives, stands in a member of its own. */
export interface Answer {
  readonly data:
    | {
        readonly resultType: 'matrix';
        readonly result: readonly {
          readonly metric: Labels;
          readonly values?: readonly Sample[];
          readonly histograms?: readonly HistogramSample[];
        }[];
      }
    | {
        readonly resultType: 'vector';
        readonly result: readonly {
          readonly metric: Labels;
          readonly value?: Sample;
          readonly histogram?: HistogramSample;
        }[];
      }
    | { readonly resultType: 'scalar' | 'string'; readonly result: Sample };
  readonly warnings?: readonly string[];
}
type Labels = { readonly [name: string]: string };
/** Unix seconds and the value as text. */
type Sample = readonly [number, string];
type HistogramSample = readonly [number, { readonly count: string; readonly sum: string }];
interface Row {
  readonly series: string;
  readonly time: number;
  readonly value: string;
  /** Numbers of all samples, for the table of a range. */
  readonly values: readonly number[];
}

export function register(command: Command, outcome: Outcome): void {
  command.argument('<promql>', 'a PromQL expression');
  addReaderOptions(command, ['range']);
  command.addOption(new Option('--step <duration>', 'distance of the points of a range (default: about 250 points)'));
  command.option('--at <time>', 'evaluate at one time: RFC 3339, Unix time or now-15m');
  command.addHelpText(
    'after',
    `
With --since, --start, --end or --step the expression is evaluated over a range, else at one time.

Examples:
  watchingcat query 'sum by (service_name) (rate(http_server_request_duration_seconds_count[5m]))'
  watchingcat query 'http_server_active_requests' --since 30m --step 30s -o csv`,
  );
  command.action(async (expression: string) => {
    const { rest, terminal, format, options, range } = reading(command, outcome);
    const { step, at } = command.opts<{ step?: string; at?: string }>();
    const isRange = [options.since, options.start, options.end, step].some((value) => value !== undefined);
    if (isRange && at !== undefined)
      command.error('error: --at asks for one time, --since, --start, --end and --step for a range');
    const answer = isRange
      ? await rest.get<Answer>('/api/v1/metrics/query_range', { query: expression, ...range, step })
      : await rest.get<Answer>('/api/v1/metrics/query', { query: expression, time: at });
    const rows = rowsOf(answer);
    const matrix = answer.data.resultType === 'matrix';
    if (matrix && format === 'table') printRows(terminal, format, rangeColumns, rows, answer);
    else printRows(terminal, format, sampleColumns, matrix ? samplesOf(answer) : rows, answer);
    sayWarnings(terminal, answer);
    if (rows.length === 0) terminal.say('No series matches in this time.');
  });
}

/** Exported for its test. */
export function rowsOf({ data }: Answer): Row[] {
  switch (data.resultType) {
    case 'vector':
      return data.result.map(({ metric, value, histogram }) => {
        const [time, text] = value ?? shown(histogram);
        return { series: showSeries(metric), time, value: text, values: [] };
      });
    case 'matrix':
      return data.result.map((series) => {
        const samples = samplesIn(series);
        const [time, value] = samples.at(-1) ?? [0, ''];
        return { series: showSeries(series.metric), time, value, values: samples.map(([, sample]) => Number(sample)) };
      });
    default:
      return [{ series: '', time: data.result[0], value: data.result[1], values: [] }];
  }
}

function samplesOf({ data }: Answer): Row[] {
  if (data.resultType !== 'matrix') return [];
  return data.result.flatMap((series) =>
    samplesIn(series).map(([time, value]) => ({ series: showSeries(series.metric), time, value, values: [] })),
  );
}

function samplesIn({
  values = [],
  histograms = [],
}: {
  values?: readonly Sample[];
  histograms?: readonly HistogramSample[];
}) {
  return values.length > 0 ? values : histograms.map(shown);
}

/** What there is to see of a native histogram in a line. */
function shown(histogram: HistogramSample | undefined): Sample {
  if (histogram === undefined) return [0, ''];
  const [time, { count, sum }] = histogram;
  return [time, `count ${count}, sum ${sum}`];
}

/** As PromQL writes it: `name{label="value"}`. */
function showSeries(labels: Labels): string {
  const pairs = Object.entries(labels)
    .filter(([name]) => name !== '__name__')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `${labels['__name__'] ?? ''}${pairs.length === 0 && labels['__name__'] ? '' : `{${pairs.join(', ')}}`}`;
}

/** A string or a native histogram as it is. */
function showValue(value: string): string {
  return /^(?:[+-]?[\d.]|NaN|[+-]?Inf)/.test(value) ? showNumber(Number(value.replace('Inf', 'Infinity'))) : value;
}

function showNumber(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(6))) : String(value);
}

const sampleColumns: readonly Column<Row>[] = [
  { title: 'TIME', show: ({ time }) => new Date(time * 1000).toISOString() },
  { title: 'VALUE', align: 'right', show: ({ value }) => showValue(value), exact: ({ value }) => value },
  { title: 'SERIES', show: ({ series }) => series },
];
const rangeColumns: readonly Column<Row>[] = [
  { title: 'LAST', align: 'right', show: ({ value }) => showValue(value) },
  { title: 'MIN', align: 'right', show: ({ values }) => showNumber(values.reduce((a, b) => Math.min(a, b), Infinity)) },
  {
    title: 'MAX',
    align: 'right',
    show: ({ values }) => showNumber(values.reduce((a, b) => Math.max(a, b), -Infinity)),
  },
  { title: 'POINTS', align: 'right', show: ({ values }) => String(values.length) },
  { title: 'SHAPE', show: ({ values }) => sparkline(values, 30) },
  { title: 'SERIES', show: ({ series }) => series },
];

/** The course of a series in a few characters, from its smallest to its largest value. */
function sparkline(values: readonly number[], columns: number): string {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return '';
  const low = finite.reduce((a, b) => Math.min(a, b));
  const span = finite.reduce((a, b) => Math.max(a, b)) - low;
  const count = Math.min(columns, values.length);
  return Array.from({ length: count }, (_, index) => {
    const value = values[Math.floor((index * values.length) / count)] ?? Number.NaN;
    if (!Number.isFinite(value)) return ' ';
    return '▁▂▃▄▅▆▇█'[span === 0 ? 0 : Math.round(((value - low) / span) * 7)];
  }).join('');
}
