import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Parts } from '../parts.ts';
import { problem } from '../problem.ts';

/** `/metrics`: this process's own, for a Prometheus to scrape. */
export function ownMetricsRoutes({ metricsText }: Parts): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/metrics',
      {
        schema: {
          tags: ['process'],
          summary: "This process's own metrics, in Prometheus' exposition format",
          querystring: z.strictObject({}),
          response: {
            200: {
              description: 'Metrics named `watchingcat_…`',
              content: {
                'text/plain': {
                  schema: z.string().meta({ example: 'watchingcat_receiver_accepted_total{signal="traces"} 12' }),
                },
              },
            },
            default: problem,
          },
        },
      },
      async (_, reply) => {
        const { contentType, text } = await metricsText();
        return reply.type(contentType).send(text);
      },
    );
  };
}
