import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { parseDuration, parseQuery, parseRange } from '../../query/index.ts';
import { fieldName, fieldNamed } from '../../stores/filter.ts';
import { bounded, boundedOf, json, nanos, pageEnd, unixNano } from '../answers.ts';
import { cancelOf } from '../cancel.ts';
import { logPage, logRowOf } from '../log-row.ts';
import { cursor, limit, pageOf, query, range } from '../parameters.ts';
import type { Parts } from '../parts.ts';
import { problem } from '../problem.ts';

const histogram = z
  .object({
    intervalNanos: nanos,
    buckets: z.array(z.object({ startUnixNano: unixNano, count: z.int(), bySeverity: z.record(z.string(), z.int()) })),
    ...bounded,
  })
  .meta({
    example: {
      intervalNanos: '60000000000',
      buckets: [{ startUnixNano: '1769846400000000000', count: 41, bySeverity: { info: 40, error: 1 } }],
    },
  });
const fields = z
  .object({
    fields: z.array(
      z.object({ name: z.string(), type: z.enum(['string', 'number', 'boolean', 'mixed']), count: z.int() }),
    ),
    ...bounded,
  })
  .meta({ example: { fields: [{ name: 'resource.k8s.pod.name', type: 'string', count: 41 }] } });
const values = z
  .object({ field: z.string(), values: z.array(z.object({ value: z.unknown(), count: z.int() })), ...bounded })
  .meta({ example: { field: 'severity', values: [{ value: 'error', count: 3 }] } });

export function logsRoutes({ queries, clock }: Parts): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/api/v1/logs',
      {
        schema: {
          tags: ['logs'],
          summary: 'Log records that match',
          querystring: z.strictObject({
            ...query,
            order: z
              .enum(['asc', 'desc'], 'expected asc or desc, once')
              .default('desc')
              .describe('By time: `desc` has the newest first.'),
            ...range,
            ...limit,
            ...cursor,
          }),
          response: { 200: json('A page of log records', logPage), default: problem },
        },
      },
      async ({ query }, reply) => {
        const page = pageOf(query, clock.nowUnixNano());
        const found = await queries.logs(
          { ...page, limit: query.limit, order: query.order, filter: parseQuery(query.query) },
          cancelOf(reply),
        );
        return { logs: found.items.map(logRowOf), ...pageEnd(found, page.range) };
      },
    );
    app.get(
      '/api/v1/logs/histogram',
      {
        schema: {
          tags: ['logs'],
          summary: 'Log records that match, counted by time and severity',
          querystring: z.strictObject({
            ...query,
            interval: z.string().optional().meta({
              description: 'Width of a bucket; a round one that gives about 60 buckets when left out. Such as `1m`.',
            }),
            ...range,
          }),
          response: { 200: json('Every bucket of the time, empty ones too', histogram), default: problem },
        },
      },
      async ({ query }, reply) => {
        const found = await queries.logHistogram(
          {
            range: parseRange(query, clock.nowUnixNano()),
            filter: parseQuery(query.query),
            intervalNanos: query.interval === undefined ? undefined : parseDuration(query.interval, 'interval'),
          },
          cancelOf(reply),
        );
        return {
          intervalNanos: String(found.intervalNanos),
          buckets: found.buckets.map(({ startUnixNano, bySeverity }) => ({
            startUnixNano: String(startUnixNano),
            count: Object.values(bySeverity).reduce((sum, count) => sum + count, 0),
            bySeverity: { ...bySeverity },
          })),
          ...boundedOf(found),
        };
      },
    );
    app.get(
      '/api/v1/logs/fields',
      {
        schema: {
          tags: ['logs'],
          summary: 'Fields of the records that match, the most frequent first',
          querystring: z.strictObject({ ...query, ...range, ...limit }),
          response: { 200: json('Fields', fields), default: problem },
        },
      },
      async ({ query }, reply) => {
        const page = await queries.logFields(
          { range: parseRange(query, clock.nowUnixNano()), filter: parseQuery(query.query), limit: query.limit },
          cancelOf(reply),
        );
        return { fields: [...page.items], ...boundedOf(page) };
      },
    );
    app.get(
      '/api/v1/logs/fields/:name/values',
      {
        schema: {
          tags: ['logs'],
          summary: 'Values of a field in the records that match, the most frequent first',
          params: z.object({
            name: z
              .string()
              .meta({ description: 'As the query language names it, URL-encoded', example: 'resource.service.name' }),
          }),
          querystring: z.strictObject({ ...query, ...range, ...limit }),
          response: { 200: json('Values', values), default: problem },
        },
      },
      async ({ params, query }, reply) => {
        const field = fieldNamed(params.name);
        const page = await queries.logFieldValues(
          { field, range: parseRange(query, clock.nowUnixNano()), filter: parseQuery(query.query), limit: query.limit },
          cancelOf(reply),
        );
        return { field: fieldName(field), values: [...page.items], ...boundedOf(page) };
      },
    );
  };
}
