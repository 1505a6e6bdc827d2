import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { decodeCursor, encodeCursor, parseDuration, parseQuery, parseRange } from '../../query/index.ts';
import { bounded, boundedOf, json, nanos, nextCursor, pageEnd, unixNano } from '../answers.ts';
import { cancelOf } from '../cancel.ts';
import { logPage, logRowOf } from '../log-row.ts';
import { cursor, limit, pageOf, query, range } from '../parameters.ts';
import type { Parts } from '../parts.ts';
import { problem } from '../problem.ts';

const summary = z.object({
  traceId: z.string(),
  rootService: z.string().describe("'' while the root span has not arrived"),
  rootName: z.string(),
  startTimeUnixNano: unixNano,
  durationNanos: nanos,
  spanCount: z.int(),
  errorCount: z.int(),
  services: z.array(z.string()),
});
const list = z.object({ traces: z.array(summary), nextCursor, ...bounded }).meta({
  example: {
    traces: [
      {
        traceId: '5b8efff798038103d269b633813fc60c',
        rootService: 'frontend',
        rootName: 'GET /cart',
        startTimeUnixNano: '1769846400000000000',
        durationNanos: '48000000',
        spanCount: 9,
        errorCount: 1,
        services: ['cart', 'frontend'],
      },
    ],
    nextCursor: null,
  },
});
const traceId = z.object({
  traceId: z
    .string()
    .regex(/^[0-9a-fA-F]{32}$/, 'expected a trace id of 32 hex digits')
    .meta({ example: '5b8efff798038103d269b633813fc60c' }),
});
const duration = (what: string) =>
  z
    .string()
    .optional()
    .meta({ description: `${what} of the span that matches, such as \`250ms\`.` });

export function tracesRoutes({ queries, clock, traceJson }: Parts): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/api/v1/traces',
      {
        schema: {
          tags: ['traces'],
          summary: 'Traces with a span that matches, newest first; no parameter is required',
          querystring: z.strictObject({
            ...query,
            service: z.string().optional().meta({ description: '`service.name` of the span.' }),
            operation: z.string().optional().meta({ description: 'Name of the span.' }),
            minDuration: duration('Least duration'),
            maxDuration: duration('Greatest duration'),
            ...range,
            ...limit,
            ...cursor,
          }),
          response: { 200: json('A page of traces', list), default: problem },
        },
      },
      async ({ query }, reply) => {
        const page = pageOf(query, clock.nowUnixNano());
        const found = await queries.traces(
          {
            ...page,
            limit: query.limit,
            service: query.service,
            operation: query.operation,
            filter: parseQuery(query.query),
            minDurationNanos: durationOf(query.minDuration, 'minDuration'),
            maxDurationNanos: durationOf(query.maxDuration, 'maxDuration'),
          },
          cancelOf(reply),
        );
        return {
          traces: found.items.map((trace) => ({
            traceId: trace.traceId,
            rootService: trace.rootService,
            rootName: trace.rootName,
            startTimeUnixNano: String(trace.startTimeUnixNano),
            durationNanos: String(trace.durationNanos),
            spanCount: trace.spanCount,
            errorCount: trace.errorCount,
            services: trace.services.toSorted(),
          })),
          ...pageEnd(found, page.range),
        };
      },
    );
    app.get(
      '/api/v1/traces/:traceId',
      {
        schema: {
          tags: ['traces'],
          summary: 'A trace as OTLP: JSON, or protobuf by `Accept: application/x-protobuf`',
          params: traceId,
          querystring: z.strictObject({}),
          response: {
            200: {
              description: 'TracesData',
              content: {
                'application/json': {
                  schema: z
                    .object({ resourceSpans: z.array(z.unknown()) })
                    .meta({ example: { resourceSpans: [{ resource: { attributes: [] }, scopeSpans: [] }] } }),
                },
                'application/x-protobuf': { schema: z.unknown().describe('opentelemetry.proto.trace.v1.TracesData') },
              },
            },
            default: problem,
          },
        },
      },
      async ({ params, headers }, reply) => {
        const trace = await queries.trace(params.traceId.toLowerCase(), cancelOf(reply));
        reply.header('vary', 'accept');
        if (wantsProtobuf(headers.accept)) return reply.type('application/x-protobuf').send(Buffer.from(trace));
        return reply.type('application/json').send(await traceJson.encode(trace));
      },
    );
    app.get(
      '/api/v1/traces/:traceId/logs',
      {
        schema: {
          tags: ['traces', 'logs'],
          summary: "Logs of a trace, in order of time; without `start` and `end` around the trace's own time",
          params: traceId,
          querystring: z.strictObject({ ...range, ...limit, ...cursor }),
          response: { 200: json('A page of log records', logPage), default: problem },
        },
      },
      async ({ params, query }, reply) => {
        const now = clock.nowUnixNano();
        const earlier = query.cursor === undefined ? undefined : decodeCursor(query.cursor);
        const asked = query.start === undefined && query.end === undefined ? undefined : parseRange(query, now);
        const search = {
          traceId: params.traceId.toLowerCase(),
          range: earlier?.range ?? asked,
          cursor: earlier?.next,
          limit: query.limit,
          order: 'asc' as const,
        };
        const page = await queries.traceLogs(search, now, cancelOf(reply));
        return {
          logs: page.items.map(logRowOf),
          nextCursor: encodeCursor(page.next, page.range),
          ...boundedOf(page),
        };
      },
    );
  };
}

function durationOf(text: string | undefined, parameter: string): bigint | undefined {
  return text === undefined ? undefined : parseDuration(text, parameter);
}

/** JSON unless protobuf is asked for by name: browsers and curl send a wildcard. */
function wantsProtobuf(accept: string | undefined): boolean {
  return /\bapplication\/(x-)?protobuf\b/i.test(accept ?? '') && !/\bapplication\/json\b/i.test(accept ?? '');
}
