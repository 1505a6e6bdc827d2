import { entryPath, Fault, ownBuffer, ThreadPool } from '../../base/index.ts';
import type { OperationSummary, ServiceSummary, TraceReader } from '../contract.ts';
import { compileFilter } from '../match.ts';
import type { Answer, JaegerClient, Parameters } from './client.ts';
import { inlineBytesMax, servicesMax, threadHeapMegabytesMax } from './limits.ts';
import { type Asked, type Given, searchTraces } from './search.ts';
import type { FoundTrace, SpanSearch } from './spans.ts';
import { type Done, done, type Work } from './work.ts';

/** Jaeger's `span_kind`s by OTLP's numbers. */
const kinds = ['', 'internal', 'server', 'client', 'producer', 'consumer'];

export interface JaegerReader extends AsyncDisposable {
  readonly traces: TraceReader;
}

/** Answers from Jaeger's /api/v3. Nothing is asked before the first question. */
export function jaegerReader(client: JaegerClient, clock: { monotonicMs(): number }): JaegerReader {
  const threads = new ThreadPool<Work, Done>({
    name: 'jaeger-answers',
    entry: entryPath(import.meta.url, './thread.ts'),
    heapMegabytesMax: threadHeapMegabytesMax,
    threadsMax: 1,
  });

  async function work(task: Work): Promise<Done> {
    try {
      if (task.json.length <= inlineBytesMax) return done(task);
      const json = ownBuffer(task.json);
      return await threads.run({ ...task, json }, [json.buffer]);
    } catch (thrown) {
      // What is wrong with the question is the client's; what is wrong with the answer is not.
      if (thrown instanceof Fault && (thrown.parameter !== undefined || /RE2/.test(thrown.message))) throw thrown;
      if (!(thrown instanceof Fault) || thrown.code === 'unavailable') throw thrown;
      throw new Fault('unavailable', `Jaeger's answer could not be read: ${thrown.message}`, { cause: thrown });
    }
  }

  async function names(cancel: AbortSignal): Promise<string[]> {
    const answer = await client.get('services', {}, cancel);
    const { services } = objectOf(answer, 'services') as { services?: unknown };
    return strings(services);
  }

  /** False once Jaeger's store has said that it wants a service. */
  let asksWithoutService = true;

  async function ask(asked: Asked, search: SpanSearch, cancel: AbortSignal): Promise<Given> {
    if (asked.service !== undefined || asksWithoutService) {
      const answer = await client.get('traces', parametersOf(asked), cancel);
      if (answer.kind !== 'refused') return given(answer, asked, search);
      if (asked.service !== undefined || !/service/i.test(answer.said)) throw refusal(answer);
      asksWithoutService = false;
    }
    // Some of Jaeger's stores (Cassandra, Badger) look for the spans of one service only.
    const services = await names(cancel);
    if (services.length > servicesMax) {
      throw new Fault(
        'unprocessable',
        `Jaeger's store searches by service only, and has ${services.length} of them: add a service to the query`,
        { parameter: 'service' },
      );
    }
    const found = new Map<string, FoundTrace>();
    let [sizeBytes, full] = [0, false];
    for (const service of services) {
      const answer = await client.get('traces', parametersOf({ ...asked, service }), cancel);
      if (answer.kind === 'refused') throw refusal(answer);
      const part = await given(answer, asked, search);
      if (part.kind === 'tooLarge') return part;
      for (const each of part.found) found.set(each.summary.traceId, each);
      sizeBytes += part.sizeBytes;
      full ||= part.full;
    }
    return { kind: 'traces', found: [...found.values()], sizeBytes, full };
  }

  async function given(
    answer: Exclude<Answer, { kind: 'refused' }>,
    { depth }: Asked,
    search: SpanSearch,
  ): Promise<Given> {
    if (answer.kind === 'tooLarge') return answer;
    if (answer.kind === 'none') return { kind: 'traces', found: [], sizeBytes: 0, full: false };
    const sizeBytes = answer.bytes.length;
    const found = (await work({ kind: 'find', json: answer.bytes, search })) as readonly FoundTrace[];
    return { kind: 'traces', found, sizeBytes, full: found.length >= depth };
  }

  return {
    traces: {
      // Jaeger knows names, since whenever; what is more is told by metrics (`spanmetrics/`).
      async services(_range, cancel) {
        return (await names(cancel)).map(
          (name): ServiceSummary => ({
            name,
            namespace: '',
            environment: '',
            signal: 'traces',
            records: undefined,
            errors: undefined,
            durationNanos: undefined,
            lastSeenUnixNano: undefined,
          }),
        );
      },
      async operations(service, _range, cancel) {
        const answer = await client.get('operations', { service }, cancel);
        const { operations } = objectOf(answer, 'operations') as { operations?: unknown };
        return (Array.isArray(operations) ? operations : []).map((each: { name?: unknown; spanKind?: unknown }) => {
          const summary: OperationSummary = {
            name: String(each.name ?? ''),
            kind: Math.max(0, kinds.indexOf(String(each.spanKind ?? '').toLowerCase())),
            spanCount: undefined,
            errorCount: undefined,
            durationNanos: undefined,
          };
          return summary;
        });
      },
      async search(search, cancel) {
        compileFilter(search.filter); // what is wrong with it is said before Jaeger is asked
        return searchTraces({ ask, monotonicMs: () => clock.monotonicMs() }, search, cancel);
      },
      async trace(traceId, cancel) {
        const hex = traceId.toLowerCase();
        if (!/^[0-9a-f]{32}$/.test(hex)) return undefined;
        const answer = await client.get(`traces/${hex}`, { rawTraces: 'true' }, cancel);
        if (answer.kind === 'none') return undefined;
        if (answer.kind === 'tooLarge')
          throw new Fault('unprocessable', 'the trace is too large to be read from Jaeger');
        if (answer.kind === 'refused') throw refusal(answer);
        return (await work({ kind: 'encode', json: answer.bytes })) as Uint8Array | undefined;
      },
    },
    async [Symbol.asyncDispose]() {
      client.close();
      await threads.close();
    },
  };
}

/** Raw: neither are spans moved in time for skewed clocks, nor warnings added. */
function parametersOf(asked: Asked): Parameters {
  const { service, operation, durationMinNanos, durationMaxNanos, startUnixNano, endUnixNano, depth } = asked;
  return {
    'query.serviceName': service,
    'query.operationName': operation,
    // Starts are kept in microseconds by some of Jaeger's stores. Both ends are inclusive.
    'query.startTimeMin': rfc3339(startUnixNano - (startUnixNano % 1_000n)),
    'query.startTimeMax': rfc3339(endUnixNano - 1n),
    'query.durationMin': durationMinNanos === undefined ? undefined : `${durationMinNanos}ns`,
    'query.durationMax': durationMaxNanos === undefined ? undefined : `${durationMaxNanos}ns`,
    'query.searchDepth': `${depth}`,
    'query.num_traces': `${depth}`, // before `search_depth`
    'query.rawTraces': 'true',
  };
}

function rfc3339(unixNano: bigint): string {
  const seconds = new Date(Number(unixNano / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(unixNano % 1_000_000_000n).padStart(9, '0')}Z`;
}

function refusal({ httpStatus, said }: Extract<Answer, { kind: 'refused' }>): Fault {
  const what = `Jaeger answers HTTP ${httpStatus}${said === '' ? '' : `: ${said}`}`;
  return new Fault('unavailable', what, { retryAfterMs: 5_000 });
}

function objectOf(answer: Answer, what: string): object {
  if (answer.kind === 'none') return {};
  if (answer.kind === 'refused') throw refusal(answer);
  try {
    const object: unknown = answer.kind === 'json' ? JSON.parse(Buffer.from(answer.bytes).toString('utf8')) : undefined;
    if (typeof object === 'object' && object !== null) return object;
  } catch {
    // said below
  }
  throw new Fault('unavailable', `Jaeger's list of ${what} could not be read`);
}

function strings(list: unknown): string[] {
  return Array.isArray(list) ? list.filter((each) => typeof each === 'string') : [];
}
