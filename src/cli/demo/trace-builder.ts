import { attributes, type LogRecord, type Span, spanKinds } from '../otlp/json.ts';
import type { Random } from './random.ts';
import type { Pod } from './shop.ts';

type Values = { [key: string]: string | number | boolean };
const severities = { INFO: 9, WARN: 13, ERROR: 17 } as const;

/** One trace with the logs that belong to it, by the pod that made each. */
export interface Journey {
  readonly spans: readonly { readonly pod: Pod; readonly span: Span }[];
  readonly logs: readonly { readonly pod: Pod; readonly record: LogRecord }[];
  /** The spans that a service answered with. */
  readonly answers: readonly Answer[];
  readonly endUnixNano: bigint;
}
export interface Answer {
  readonly pod: Pod;
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
  readonly endUnixNano: bigint;
  readonly traceId: string;
  readonly spanId: string;
}

/** What a step of a journey may do while its span is open. Time passes only by `spend` and by inner steps. */
export interface Step {
  /** '' outside of any span. */
  readonly spanId: string;
  spend(ms: number): void;
  set(values: Values): void;
  log(severity: keyof typeof severities, body: string, values?: Values): void;
  /** Ends the span with an error; `exception` leaves an event with its type and message. */
  fail(message: string, exception?: string): void;
  /** A step inside of this one. @returns What `work` returns. */
  step<T>(what: { pod?: Pod; name: string; kind: keyof typeof spanKinds; values?: Values }, work: (step: Step) => T): T;
  /** A call of another service over HTTP: a client span here, a server span there. */
  call(to: Pod, method: string, route: string, path: string, work: (step: Step) => number): number;
  /** A request from outside: a server span. `work` returns the HTTP status. */
  serve(method: string, route: string, path: string, values: Values, work: (step: Step) => number): number;
}

/** Builds a journey; `startUnixNano` is when its first span begins. */
export function buildJourney(random: Random, startUnixNano: bigint, first: Pod, work: (step: Step) => void): Journey {
  const traceId = random.hex(16);
  const spans: { pod: Pod; span: Span }[] = [];
  const logs: { pod: Pod; record: LogRecord }[] = [];
  const answers: Answer[] = [];
  let now = startUnixNano;

  const stepIn = (pod: Pod, span: Span | undefined): Step => {
    const step: Step = {
      spanId: span?.spanId ?? '',
      spend(ms) {
        now += BigInt(Math.round(ms * 1e6));
      },
      set(values) {
        span?.attributes.push(...attributes(values));
      },
      log(severity, body, values = {}) {
        now += 1000n; // so that two lines of one step keep their order
        const record: LogRecord = {
          timeUnixNano: String(now),
          observedTimeUnixNano: String(now),
          severityNumber: severities[severity],
          severityText: severity,
          body: { stringValue: body },
          attributes: attributes(values),
          ...(span === undefined ? {} : { traceId, spanId: span.spanId }),
        };
        logs.push({ pod, record });
      },
      fail(message, exception) {
        if (span === undefined) return;
        span.status ??= { code: 2, message };
        if (exception === undefined) return;
        const values = { 'exception.type': exception, 'exception.message': message };
        span.events = [{ timeUnixNano: String(now), name: 'exception', attributes: attributes(values) }];
      },
      step(what, inner) {
        const at = what.pod ?? pod;
        const child: Span = {
          traceId,
          spanId: random.hex(8),
          ...(span === undefined ? {} : { parentSpanId: span.spanId }),
          name: what.name,
          kind: spanKinds[what.kind],
          startTimeUnixNano: String(now),
          endTimeUnixNano: '0',
          attributes: attributes(what.values ?? {}),
        };
        const result = inner(stepIn(at, child));
        child.endTimeUnixNano = String(now);
        spans.push({ pod: at, span: child });
        return result;
      },
      call(to, method, route, path, inner) {
        const values = {
          'http.request.method': method,
          'url.template': route,
          'url.full': `http://${to.service}:8080${path}`,
          'server.address': to.service,
          'server.port': 8080,
        };
        return step.step({ name: `${method} ${route}`, kind: 'client', values }, (client) => {
          client.spend(random.latencyMs(0.4));
          const status = client.step({ pod: to, name: `${method} ${route}`, kind: 'server' }, (server) =>
            answer(to, server, method, route, path, {}, inner),
          );
          client.spend(random.latencyMs(0.3));
          client.set({ 'http.response.status_code': status });
          // A client's span fails from 400 on, a server's from 500 on: semantic conventions, "HTTP Span Status".
          if (status >= 400) {
            client.set({ 'error.type': String(status) });
            client.fail('');
          }
          return status;
        });
      },
      serve(method, route, path, values, inner) {
        return step.step({ name: `${method} ${route}`, kind: 'server' }, (server) =>
          answer(pod, server, method, route, path, values, inner),
        );
      },
    };
    return step;
  };

  const answer = (
    pod: Pod,
    server: Step,
    method: string,
    route: string,
    path: string,
    values: Values,
    inner: (step: Step) => number,
  ): number => {
    const startedUnixNano = now;
    server.set({
      'http.request.method': method,
      'http.route': route,
      'url.path': path,
      'url.scheme': 'http',
      ...values,
    });
    server.spend(random.latencyMs(0.6));
    const status = inner(server);
    server.spend(random.latencyMs(0.4));
    server.set({ 'http.response.status_code': status });
    if (status >= 500) {
      server.set({ 'error.type': String(status) });
      server.fail('');
    }
    answers.push({
      pod,
      method,
      route,
      status,
      seconds: Number(now - startedUnixNano) / 1e9,
      endUnixNano: now,
      traceId,
      spanId: server.spanId,
    });
    return status;
  };

  work(stepIn(first, undefined));
  return { spans, logs, answers, endUnixNano: now };
}
