import { type Clock, Fault } from '../../base/index.ts';
import { watchedMetricPrefixes } from '../../otlp/index.ts';
import type {
  Access,
  LabelMatcher,
  LatestSample,
  LatestSelect,
  MetricReader,
  MetricSummary,
  Page,
  PromqlAnswer,
  Series,
  SeriesSelect,
  ServiceSummary,
  TimeRange,
} from '../contract.ts';
import { Client } from './client.ts';
import { queryAnswerBytesMax, queryDeadlineMs, servicesMax } from './limits.ts';
import { foldNames } from './names.ts';
import type { Known, KnownFile } from './state.ts';
import { printable } from './verdict.ts';

export interface ReadOptions {
  /** `http://prometheus:9090`, with its path prefix where it has one. */
  readonly url: URL;
  readonly access: Access;
  readonly version: string;
  readonly clock: Clock;
  /** What the writer knows of metrics; Prometheus itself keeps no metadata of what was written to it. */
  readonly known: KnownFile;
}

/**
 * Metrics over Prometheus' HTTP API. PromQL is answered by Prometheus itself. Notes on `select`, which asks for a range
 * vector: staleness markers and native histograms are not in its answers.
 */
export function prometheusReader(options: ReadOptions): MetricReader & AsyncDisposable {
  const client = new Client({ tls: options.access.tls, connectionsMax: 8 });
  const api = new Api(options, client);
  return {
    services: (range, cancel) => services(api, range, cancel),
    metrics: (search, cancel) => metrics(api, options.known.families, search, cancel),
    select: (select, cancel) => selectSeries(api, select, cancel),
    latest: (select, cancel) => latest(api, select, cancel),
    promqlInstant: ({ query, timeMs }, cancel) => api.raw('query', { query, time: seconds(timeMs) }, cancel),
    promqlRange: ({ query, startMs, endMs, stepMs }, cancel) =>
      api.raw('query_range', { query, start: seconds(startMs), end: seconds(endMs), step: seconds(stepMs) }, cancel),
    async [Symbol.asyncDispose]() {
      client.close();
    },
  };
}

/** A member of a vector or a matrix; those of native histograms have other members. */
interface Result {
  readonly metric: { readonly [name: string]: string };
  readonly value?: readonly [seconds: number, value: string];
  readonly values?: readonly (readonly [seconds: number, value: string])[];
}

class Api {
  readonly #options: ReadOptions;
  readonly #client: Client;
  readonly #base: string;

  constructor(options: ReadOptions, client: Client) {
    this.#options = options;
    this.#client = client;
    this.#base = options.url.href.replace(/\/+$/, '');
  }

  async results(path: 'query' | 'query_range', form: Form, cancel: AbortSignal): Promise<readonly Result[]> {
    const data = parsed((await this.raw(path, form, cancel)).json) as { result?: readonly Result[] } | undefined;
    return data?.result ?? [];
  }

  async names(label: string, form: Form, cancel: AbortSignal): Promise<readonly string[]> {
    const query = new URLSearchParams(form);
    const answer = await this.#call('GET', `label/${label}/values?${query}`, undefined, cancel);
    return (parsed(answer) as readonly string[] | undefined) ?? [];
  }

  async raw(path: 'query' | 'query_range', form: Form, cancel: AbortSignal): Promise<PromqlAnswer> {
    return { json: await this.#call('POST', path, Buffer.from(`${new URLSearchParams(form)}`), cancel) };
  }

  async #call(method: 'GET' | 'POST', path: string, body: Buffer | undefined, cancel: AbortSignal): Promise<Buffer> {
    const { access, version } = this.#options;
    const reply = await this.#client.call(
      {
        method,
        url: new URL(`${this.#base}/api/v1/${path}`),
        headers: {
          ...access.headers,
          accept: 'application/json',
          'user-agent': `watchingcat/${version}`,
          ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        },
        ...(body && { body }),
        deadlineMs: queryDeadlineMs,
        keepBytesMax: queryAnswerBytesMax,
      },
      cancel,
    );
    cancel.throwIfAborted();
    if (reply.kind === 'broken')
      throw new Fault(
        'unavailable',
        `Prometheus does not answer at ${new URL(this.#base).origin}: ${printable(reply.reason)}`,
      );
    if (reply.cut) {
      throw new Fault('unprocessable', `the answer is larger than ${queryAnswerBytesMax >> 20} MiB; ask for less`);
    }
    if (reply.status !== 200) throw faultOf(reply.status, reply.body);
    if (!/^application\/json\b/.test(reply.headers['content-type'] ?? '')) {
      throw new Fault('unavailable', 'what answers under the query URL is not the HTTP API of Prometheus');
    }
    return reply.body;
  }
}

type Form = Record<string, string>;

function parsed(json: Uint8Array): unknown {
  try {
    return (JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.length).toString('utf8')) as { data?: unknown })
      .data;
  } catch (cause) {
    throw new Fault('unavailable', 'Prometheus answered with something else than JSON', { cause });
  }
}

/** Prometheus' errorType and status as our Fault. Source: web/api/v1 of Prometheus. */
function faultOf(status: number, body: Buffer): Fault {
  // The name of the parameter is said by whoever answers our client.
  const said = errorOf(body)?.replace(/^invalid parameter "query": /, '');
  switch (status) {
    case 400:
      return new Fault('malformed', said ?? 'Prometheus takes it for no PromQL', { parameter: 'query' });
    case 413:
    case 422:
      return new Fault('unprocessable', said ?? 'Prometheus cannot evaluate the query');
    case 401:
    case 403:
      return new Fault('unavailable', `Prometheus refuses the credentials that are configured for it (HTTP ${status})`);
    case 503:
    case 504:
      return /timed? ?out|timeout/i.test(said ?? '')
        ? new Fault('tooSlow', said ?? 'the query timed out in Prometheus')
        : new Fault('unavailable', `Prometheus cannot answer now${said === undefined ? '' : `: ${said}`}`);
    default:
      return new Fault('unavailable', `Prometheus answered HTTP ${status}${said === undefined ? '' : `: ${said}`}`);
  }
}

/** What was wrong with the caller's own query is told in full. */
function errorOf(body: Buffer): string | undefined {
  try {
    const { error } = JSON.parse(body.toString('utf8')) as { error?: unknown };
    return typeof error === 'string' ? error.slice(0, 2_000) : undefined;
  } catch {
    return undefined; // a proxy's page
  }
}

// ------------------------------------------------------------------------------------------ series

async function selectSeries(api: Api, select: SeriesSelect, cancel: AbortSignal): Promise<readonly Series[]> {
  const { startMs, endMs, samplesMax } = select;
  if (endMs < startMs) return [];
  // Since Prometheus 3 a range is open on the left; before, one sample too many may come.
  const query = `${selector(select.matchers)}[${endMs - startMs + 1}ms]`;
  const results = await api.results('query', { query, time: seconds(endMs) }, cancel);
  let count = 0;
  const series: Series[] = [];
  for (const { metric, values = [] } of results) {
    const inside = values.filter(([at]) => Math.round(at * 1000) >= startMs);
    count += inside.length;
    if (count > samplesMax) {
      throw new Fault(
        'unprocessable',
        `the query selects more than ${samplesMax} samples; narrow its time range or its matchers`,
      );
    }
    if (inside.length === 0) continue;
    series.push({
      labels: metric,
      timestampsMs: Float64Array.from(inside, ([at]) => Math.round(at * 1000)),
      values: Float64Array.from(inside, ([, value]) => numberOf(value)),
    });
  }
  return series;
}

/**
 * By instant queries, so that a series that ended has none, and no sample but the last is transferred. Values first, then the
 * times: `timestamp()` drops the name, so that it is asked for each name by itself.
 */
async function latest(
  api: Api,
  { matchers, startMs, endMs, seriesMax, nonZero }: LatestSelect,
  cancel: AbortSignal,
): Promise<readonly LatestSample[]> {
  if (endMs < startMs) return [];
  const at = { time: seconds(endMs), lookback_delta: seconds(endMs - startMs + 1) };
  const wanted = nonZero ? `${selector(matchers)} != 0` : selector(matchers);
  const found = (await api.results('query', { query: wanted, ...at }, cancel)).flatMap(({ metric, value }) =>
    value === undefined ? [] : [{ labels: metric, value: numberOf(value[1]) }],
  );
  if (found.length > seriesMax) {
    throw new Fault('unprocessable', `there are more than ${seriesMax} series; narrow the matchers`);
  }
  const samples = await Promise.all(
    [...Map.groupBy(found, ({ labels }) => labels['__name__'] ?? '')].map(async ([name, members]) => {
      const of = selector([...matchers, { name: '__name__', op: '=', value: name }]);
      const query = nonZero ? `timestamp(${of}) and (${of} != 0)` : `timestamp(${of})`;
      const times = new Map<string, number>();
      for (const { metric, value } of await api.results('query', { query, ...at }, cancel)) {
        if (value !== undefined) times.set(unnamed(metric), Math.round(numberOf(value[1]) * 1000));
      }
      return members.flatMap(({ labels, value }) => {
        // What ended between the two questions has no time.
        const timeMs = times.get(unnamed(labels));
        return timeMs === undefined || timeMs < startMs ? [] : [{ labels, timeMs, value }];
      });
    }),
  );
  return samples.flat();
}

/** A key of all labels but the name. */
function unnamed({ __name__, ...labels }: Result['metric']): string {
  return JSON.stringify(Object.entries(labels).sort());
}

/** A selector; what it compares is quoted, so that it is a value whatever it holds. */
function selector(matchers: readonly LabelMatcher[]): string {
  const written = matchers.map(({ name, op, value }) => `${labelOf(name)}${op}${JSON.stringify(value)}`);
  // Prometheus wants one that an empty value does not fulfil.
  return `{${[...written, '__name__=~".+"'].join(',')}}`;
}

function labelOf(name: string): string {
  return /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) ? name : JSON.stringify(name);
}

function numberOf(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  if (text === '-Inf') return Number.NEGATIVE_INFINITY;
  return Number(text); // "NaN" is one
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}

// ------------------------------------------------------------------------------------------ metrics

async function metrics(
  api: Api,
  known: ReadonlyMap<string, Known>,
  { range, limit }: { range: TimeRange; limit: number },
  cancel: AbortSignal,
): Promise<Page<MetricSummary>> {
  const names = await api.names('__name__', window(range), cancel);
  const folded = foldNames(names, known);
  const shown = folded.slice(0, limit);
  const warnings: string[] = [];
  if (shown.length < folded.length) warnings.push(`only the first ${limit} metrics are named`);
  const counts = await seriesCounts(
    api,
    shown.map(({ counted }) => counted),
    range,
    warnings,
    cancel,
  );
  return {
    items: shown.map(({ name, type, unit, description, counted }) => ({
      name,
      type,
      unit,
      description,
      seriesCount: counts.get(counted) ?? 0,
    })),
    next: undefined,
    incomplete: warnings.length > 0,
    warnings,
  };
}

/** Series of these names that have a sample in the range; only those of the last minutes where that is too much to ask. */
async function seriesCounts(
  api: Api,
  names: readonly string[],
  range: TimeRange,
  warnings: string[],
  cancel: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  if (names.length === 0) return new Map();
  const alternatives = names.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|');
  const of = `{__name__=~${JSON.stringify(alternatives)}}`;
  const time = seconds(Math.ceil(Number(range.endUnixNano / 1_000_000n)));
  const lastingMs = Number((range.endUnixNano - range.startUnixNano) / 1_000_000n);
  const count = async (vector: string) =>
    new Map(
      (await api.results('query', { query: `count by (__name__) (${vector})`, time }, cancel)).map(
        ({ metric, value }) => [metric['__name__'] ?? '', Number(value?.[1] ?? 0)],
      ),
    );
  try {
    // Without its name a series could not be counted by it: `last_over_time` is one of the functions that keep it.
    return await count(`last_over_time(${of}[${Math.max(1, lastingMs)}ms])`);
  } catch (thrown) {
    if (!(thrown instanceof Fault) || (thrown.code !== 'unprocessable' && thrown.code !== 'tooSlow')) throw thrown;
    warnings.push('the series are counted at the end of the time only: all of it is too much for Prometheus');
    return count(of);
  }
}

/** @returns parameters of the listing routes, which take whole seconds and include both. */
function window(range: TimeRange): { start: string; end: string } {
  return {
    start: seconds(Number(range.startUnixNano / 1_000_000n)),
    end: seconds(Number((range.endUnixNano - 1n) / 1_000_000n)),
  };
}

// ------------------------------------------------------------------------------------------ services

/** Neither what spans were counted to nor what was measured of pods: such metrics are about services, and were sent by none. */
const watchedNames = `(${watchedMetricPrefixes.map((prefix) => prefix.replace('.', '[._]')).join('|')}).+`;
const watchedMetrics = `{service_name!="",__name__=~"${watchedNames}"}`;
const ownMetrics = `{service_name!="",__name__!~"traces_spanmetrics_.+|${watchedNames}"}`;

/**
 * Services by the label `service_name`; namespace, environment and last sight by `target_info`, of which there is one series
 * a resource, so that no other is read. A service without it was seen, and nobody knows when: at the end of the range.
 */
async function services(api: Api, range: TimeRange, cancel: AbortSignal): Promise<readonly ServiceSummary[]> {
  const startMs = Number(range.startUnixNano / 1_000_000n);
  const endMs = Number((range.endUnixNano - 1n) / 1_000_000n);
  const stepMs = Math.max(15_000, Math.ceil((endMs - startMs) / 60));
  const namesOf = (metrics: string) =>
    api.names('service_name', { ...window(range), limit: String(servicesMax), 'match[]': metrics }, cancel);
  const [names, watched, infos] = await Promise.all([
    namesOf(ownMetrics),
    namesOf(watchedMetrics),
    api.results(
      'query_range',
      {
        query: `count by (job, deployment_environment_name, deployment_environment, environment) (target_info)`,
        start: seconds(startMs),
        end: seconds(endMs),
        step: seconds(stepMs),
      },
      cancel,
    ),
  ]);
  const own = new Set(names);
  const known = new Set([...names, ...watched]);
  const covered = new Set<string>();
  const found = new Map<string, ServiceSummary>();
  for (const { metric, values = [] } of infos) {
    const last = values.at(-1);
    if (last === undefined) continue;
    const [namespace, name] = serviceOfJob(metric['job'] ?? '', known);
    if (name === '' || (known.has(name) && !own.has(name))) continue;
    covered.add(name);
    const environment =
      metric['deployment_environment_name'] ?? metric['deployment_environment'] ?? metric['environment'] ?? '';
    const key = JSON.stringify([namespace, name, environment]);
    const seen = BigInt(Math.round(last[0] * 1000)) * 1_000_000n;
    const before = found.get(key);
    if ((before?.lastSeenUnixNano ?? 0n) >= seen) continue;
    found.set(key, summary(name, namespace, environment, Number(last[1]), seen));
  }
  for (const name of names) {
    if (!covered.has(name)) found.set(JSON.stringify(['', name, '']), summary(name, '', '', 1, range.endUnixNano - 1n));
  }
  return [...found.values()];
}

function summary(name: string, namespace: string, environment: string, records: number, seen: bigint): ServiceSummary {
  return {
    name,
    namespace,
    environment,
    signal: 'metrics',
    records,
    errors: 0,
    durationNanos: undefined,
    lastSeenUnixNano: seen,
  };
}

/** `namespace/name`, where either may have a '/' itself: the name is one that is known. */
function serviceOfJob(job: string, names: ReadonlySet<string>): [namespace: string, name: string] {
  if (names.has(job)) return ['', job];
  for (let slash = job.indexOf('/'); slash >= 0; slash = job.indexOf('/', slash + 1)) {
    const name = job.slice(slash + 1);
    if (names.has(name)) return [job.slice(0, slash), name];
  }
  const slash = job.indexOf('/');
  return slash < 0 ? ['', job] : [job.slice(0, slash), job.slice(slash + 1)];
}
