import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { demoAttribute, Fault } from '../../base/index.ts';
import { json } from '../answers.ts';
import { cancelOf } from '../cancel.ts';
import type { Parts } from '../parts.ts';
import { problem } from '../problem.ts';

const count = z.int().nonnegative();
const cleared = z
  .object({
    erased: z
      .object({ traces: count, metrics: count, logs: count })
      .describe('Spans, data points and log records that were removed'),
    left: z
      .array(z.object({ destination: z.string(), remove: z.string().describe('How it is removed there') }))
      .describe('Destinations that keep what the demo has sent'),
  })
  .meta({
    example: {
      erased: { traces: 48210, metrics: 26400, logs: 0 },
      left: [{ destination: 'jaeger', remove: 'Jaeger removes no single traces: they go with its retention' }],
    },
  });

/**
 * The one route that removes anything. A page of another site cannot call it: a browser asks first whether it may send
 * DELETE there, and is never told yes. Source: Fetch, "CORS-preflight fetch".
 */
export function demoRoutes({ demo: { eraser, kept } }: Parts): FastifyPluginAsyncZod {
  return async (app) => {
    // Clients that name a type for the body that they do not send are not turned away.
    app.addContentTypeParser('*', { parseAs: 'buffer' }, async () => undefined);
    app.delete(
      '/api/v1/demo',
      {
        schema: {
          tags: ['demo'],
          summary: `Removes what the demo has sent: every record whose resource has ${demoAttribute}=true`,
          description:
            'From the embedded store, for good; what other destinations have stays there, and the answer says how it is ' +
            'removed. What arrives meanwhile may stay. Asking again does no harm.',
          querystring: z.strictObject({}),
          response: { 200: json('How much was removed', cleared), default: problem },
        },
      },
      async (_, reply) => {
        if (eraser === undefined) {
          const message = 'only the embedded store can remove records, and it is off (WATCHINGCAT_EMBEDDED)';
          const elsewhere = kept.map(({ destination, remove }) => `; ${destination}: ${remove}`).join('');
          throw new Fault('notConfigured', message + elsewhere);
        }
        const { traces, metrics, logs } = await eraser.eraseByResource(demoAttribute, 'true', cancelOf(reply));
        return { erased: { traces, metrics, logs }, left: [...kept] };
      },
    );
  };
}
