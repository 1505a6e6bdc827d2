import type { FastifyReply } from 'fastify';
import type { FastifyPluginAsyncZod, ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Fault } from '../../base/index.ts';
import { durationNanos, parseRange, parseTime } from '../../query/index.ts';
import { bounded, boundedOf, json } from '../answers.ts';
import { cancelOf } from '../cancel.ts';
import { limit, range } from '../parameters.ts';
import type { Parts } from '../parts.ts';
import { faultOf, logFault, problem, retryHeaders } from '../problem.ts';
import {
  matrix,
  prometheusError,
  prometheusErrorOf,
  sendPrometheus,
  sendSuccess,
  vectorOrMatrix,
} from '../prometheus.ts';

const list = z
  .object({
    metrics: z.array(
      z.object({
        name: z.string(),
        type: z.enum(['gauge', 'counter', 'histogram', 'summary', 'unknown']),
        unit: z.string(),
        description: z.string(),
        seriesCount: z.int(),
        recorded: z.boolean().describe('Computed from other metrics by a recording rule'),
      }),
    ),
    ...bounded,
  })
  .meta({
    example: {
      metrics: [
        {
          name: 'http_requests_total',
          type: 'counter',
          unit: '1',
          description: 'Requests',
          seriesCount: 2,
          recorded: false,
        },
      ],
    },
  });

const expression = z.string().optional().meta({
  description:
    'PromQL. All of it where Prometheus answers; on the embedded store selectors with matchers, `rate(selector[5m])`, `label_join`, arithmetic, comparison and set operators, and `sum`, `avg`, `max` with `by` or `without`. Required, here or in a form.',
});
const timeout = z.string().optional().meta({ description: 'At most this long; `30s` or seconds.' });
const instant = z.strictObject({
  query: expression,
  time: z.string().optional().meta({ description: 'Now when left out.' }),
  timeout,
});
const ranged = z.strictObject({
  query: expression,
  ...range,
  step: z.string().optional().meta({
    description: 'Duration or seconds between two points; about 250 points when left out. Such as `15s`.',
  }),
  timeout,
});

/** Points that a range query without a step aims at. */
const pointsDefault = 250n;

/** Prometheus' parameters may come in the URL, in a form, or in both; the form wins. */
type Both<T> = { readonly query: T; readonly body?: T | null | undefined };

export function metricsRoutes({ queries, clock }: Parts): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/api/v1/metrics',
      {
        schema: {
          tags: ['metrics'],
          summary: 'Metrics by name, as Prometheus spells them',
          querystring: z.strictObject({ ...range, ...limit }),
          response: { 200: json('By name', list), default: problem },
        },
      },
      async ({ query }, reply) => {
        const search = { range: parseRange(query, clock.nowUnixNano()), limit: query.limit };
        const page = await queries.metrics(search, cancelOf(reply));
        return {
          metrics: page.items.map((metric) => ({ ...metric, recorded: metric.recorded ?? false })),
          ...boundedOf(page),
        };
      },
    );

    await app.register(async (prometheus) => {
      const promql = prometheus.withTypeProvider<ZodTypeProvider>();
      promql.addContentTypeParser(
        'application/x-www-form-urlencoded',
        { parseAs: 'string' },
        async (_: unknown, body: string) => formOf(body),
      );
      promql.setErrorHandler((thrown, request, reply) => {
        const fault = faultOf(thrown);
        logFault(fault, request);
        const { status, body } = prometheusErrorOf(fault);
        return reply.headers(retryHeaders(fault)).code(status).type('application/json; charset=utf-8').send(body);
      });

      async function instantAnswer({ query, body }: Both<z.infer<typeof instant>>, reply: FastifyReply) {
        const asked = { ...query, ...body };
        const now = clock.nowUnixNano();
        const answer = await queries.metricsInstant(
          {
            query: required(asked.query),
            timeMs: millis(asked.time === undefined ? now : parseTime(asked.time, now, 'time')),
            budgetMs: timeoutMs(asked.timeout),
          },
          cancelOf(reply),
        );
        if ('json' in answer) sendPrometheus(reply, answer.json);
        else sendSuccess(reply, answer.type, answer.series);
      }

      async function rangeAnswer({ query, body }: Both<z.infer<typeof ranged>>, reply: FastifyReply) {
        const asked = { ...query, ...body };
        const { startUnixNano, endUnixNano } = prometheusRange(asked, clock.nowUnixNano());
        const span = endUnixNano - startUnixNano;
        const stepMs = asked.step === undefined ? defaultStepMs(span) : millis(stepNanos(asked.step, 'step'));
        if (stepMs < 1) throw new Fault('malformed', 'expected a step of at least 1 ms', { parameter: 'step' });
        const answer = await queries.metricsRange(
          {
            query: required(asked.query),
            steps: { startMs: millis(startUnixNano), endMs: millis(endUnixNano), stepMs },
            budgetMs: timeoutMs(asked.timeout),
          },
          cancelOf(reply),
        );
        if ('json' in answer) sendPrometheus(reply, answer.json);
        else sendSuccess(reply, 'matrix', answer);
      }

      const tags = ['metrics'];
      const consumes = ['application/x-www-form-urlencoded'];
      const instantSchema = {
        tags,
        summary: "PromQL at one time, in Prometheus' shapes",
        querystring: instant,
        response: {
          200: json('A vector; a matrix for a range vector', vectorOrMatrix),
          default: json("Prometheus' shape of errors", prometheusError),
        },
      };
      const rangeSchema = {
        tags,
        summary: "PromQL over a time, in Prometheus' shapes",
        querystring: ranged,
        response: { 200: json('A matrix', matrix), default: json("Prometheus' shape of errors", prometheusError) },
      };
      promql.get('/api/v1/metrics/query', { schema: instantSchema }, async (request, reply) => {
        await instantAnswer({ query: request.query }, reply);
        return reply;
      });
      promql.post(
        '/api/v1/metrics/query',
        { schema: { ...instantSchema, consumes, body: instant.nullish() } },
        async (request, reply) => {
          await instantAnswer(request, reply);
          return reply;
        },
      );
      promql.get('/api/v1/metrics/query_range', { schema: rangeSchema }, async (request, reply) => {
        await rangeAnswer({ query: request.query }, reply);
        return reply;
      });
      promql.post(
        '/api/v1/metrics/query_range',
        { schema: { ...rangeSchema, consumes, body: ranged.nullish() } },
        async (request, reply) => {
          await rangeAnswer(request, reply);
          return reply;
        },
      );
    });
  };
}

/** Both ends belong to a range query, so that they may be equal. */
function prometheusRange(asked: { start?: string | undefined; end?: string | undefined }, now: bigint) {
  if (asked.start !== undefined && asked.end !== undefined) {
    const startUnixNano = parseTime(asked.start, now, 'start');
    const endUnixNano = parseTime(asked.end, now, 'end');
    if (startUnixNano === endUnixNano) return { startUnixNano, endUnixNano };
  }
  return parseRange(asked, now);
}

function required(query: string | undefined): string {
  if (query === undefined || query.trim() === '') {
    throw new Fault('malformed', 'expected a PromQL expression', { parameter: 'query' });
  }
  return query;
}

/** A duration, or seconds as Prometheus also takes them. */
function stepNanos(text: string, parameter: string): bigint {
  const seconds = /^\d{1,10}(\.\d{1,9})?$/.test(text) ? `${text}s` : text;
  const nanos = durationNanos(seconds);
  if (nanos === undefined) throw new Fault('malformed', 'expected a duration such as 15s, or seconds', { parameter });
  return nanos;
}

function timeoutMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Math.max(1, millis(stepNanos(text, 'timeout')));
}

/** A whole number of seconds, at least one. */
function defaultStepMs(span: bigint): number {
  return Math.max(1, Math.ceil(millis(span / pointsDefault) / 1000)) * 1000;
}

function millis(nanos: bigint): number {
  return Number(nanos / 1_000_000n);
}

/** A form's fields; a field that comes twice is a list, which no parameter is. */
function formOf(body: string): Record<string, string | string[]> {
  const form: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of new URLSearchParams(body)) {
    const earlier = form[name];
    form[name] = earlier === undefined ? value : [earlier, value].flat();
  }
  return form;
}
