import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { signals } from '../../base/index.ts';
import { formatTime, parseRange } from '../../query/index.ts';
import { bounded, boundedOf, json, quantiles, quantilesOf } from '../answers.ts';
import { cancelOf } from '../cancel.ts';
import { spanKindOf, spanKinds } from '../kinds.ts';
import { range } from '../parameters.ts';
import type { Parts } from '../parts.ts';
import { problem } from '../problem.ts';

const counted = z.int().nullable().describe('null where the store of the spans knows names only; `warnings` says so');
const service = z.object({
  name: z.string(),
  namespace: z.string(),
  environment: z.string(),
  signals: z.array(z.enum(signals)),
  spanCount: counted,
  errorCount: counted,
  durationNanos: quantiles.nullable().describe('Of its spans; null where there are none, or their store does not tell'),
  lastSeen: z.string().nullable().describe('RFC 3339; null where no store tells'),
});
const list = z.object({ services: z.array(service), ...bounded }).meta({
  example: {
    services: [
      {
        name: 'checkout',
        namespace: 'shop',
        environment: 'production',
        signals: ['traces', 'logs'],
        spanCount: 1200,
        errorCount: 3,
        durationNanos: { p50: '12000000', p95: '48000000', p99: '210000000' },
        lastSeen: '2026-01-31T08:00:00.000000000Z',
      },
    ],
  },
});
const operations = z
  .object({
    operations: z.array(
      z.object({
        name: z.string(),
        kind: z.enum(spanKinds),
        spanCount: counted,
        errorCount: counted,
        durationNanos: quantiles.nullable(),
      }),
    ),
    ...bounded,
  })
  .meta({
    example: {
      operations: [
        {
          name: 'POST /pay',
          kind: 'server',
          spanCount: 400,
          errorCount: 3,
          durationNanos: { p50: '12000000', p95: '48000000', p99: '210000000' },
        },
      ],
    },
  });

export function servicesRoutes({ queries, clock }: Parts): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/api/v1/services',
      {
        schema: {
          tags: ['services'],
          summary: 'Services that sent anything in a time',
          querystring: z.strictObject(range),
          response: { 200: json('By name, namespace and environment', list), default: problem },
        },
      },
      async ({ query }, reply) => {
        const page = await queries.services(parseRange(query, clock.nowUnixNano()), cancelOf(reply));
        return {
          services: page.items.map(({ name, namespace, environment, spanCount, errorCount, ...service }) => ({
            name,
            namespace,
            environment,
            signals: [...service.signals],
            spanCount: spanCount ?? null,
            errorCount: errorCount ?? null,
            durationNanos: service.durationNanos === undefined ? null : quantilesOf(service.durationNanos),
            lastSeen: service.lastSeenUnixNano === undefined ? null : formatTime(service.lastSeenUnixNano),
          })),
          ...boundedOf(page),
        };
      },
    );
    app.get(
      '/api/v1/services/:name/operations',
      {
        schema: {
          tags: ['services'],
          summary: 'Operations (span names) of a service; an empty list for one without spans',
          params: z.object({
            name: z.string().meta({ description: '`service.name`, URL-encoded', example: 'checkout' }),
          }),
          querystring: z.strictObject(range),
          response: { 200: json('By name', operations), default: problem },
        },
      },
      async ({ params, query }, reply) => {
        const range = parseRange(query, clock.nowUnixNano());
        const page = await queries.operations(params.name, range, cancelOf(reply));
        return {
          operations: page.items.map(({ name, kind, spanCount, errorCount, durationNanos }) => ({
            name,
            kind: spanKindOf(kind),
            spanCount: spanCount ?? null,
            errorCount: errorCount ?? null,
            durationNanos: durationNanos === undefined ? null : quantilesOf(durationNanos),
          })),
          ...boundedOf(page),
        };
      },
    );
  };
}
