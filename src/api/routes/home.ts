import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Parts } from '../parts.ts';
import { problem } from '../problem.ts';

/** `/`: what is here, and what to paste next. */
export function homeRoutes({ version, health }: Parts): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/',
      {
        schema: {
          tags: ['process'],
          summary: 'What is here, as text',
          querystring: z.strictObject({}),
          response: {
            200: {
              description: 'Addresses and lines to paste',
              content: { 'text/plain': { schema: z.string().meta({ example: 'WatchingCat 1.0.0' }) } },
            },
            default: problem,
          },
        },
      },
      async (request, reply) =>
        // The port of this connection and not the Host header: nothing that a client sends is printed back.
        reply
          .type('text/plain; charset=utf-8')
          .send(page(version, request.socket.localPort ?? 8090, health.report().listeners)),
    );
  };
}

function page(version: string, port: number, listeners: { readonly [name: string]: string }): string {
  const url = `http://localhost:${port}`;
  const portOf = (name: string) => listeners[name]?.split(':').at(-1) ?? 'unknown';
  // Commands ask port 8090 by themselves.
  const elsewhere = port === 8090 ? '' : ` --endpoint ${url}`;
  return `WatchingCat ${version}

Send OTLP to port ${portOf('otlpGrpc')} (gRPC) or ${portOf('otlpHttp')} (HTTP).

  npx watchingcat demo${elsewhere}    a small shop that sends traces, metrics and logs
  npx watchingcat send${elsewhere}    one record of each, written and read back

  curl '${url}/api/v1/services'
  curl -G '${url}/api/v1/traces' --data-urlencode 'query=status=error'
  curl -G '${url}/api/v1/logs' --data-urlencode 'query="payment declined"'
  curl '${url}/api/v1/metrics'
  curl -G '${url}/api/v1/metrics/query_range' --data-urlencode 'query=<metric name>'

  ${url}/docs                  every route, with a page to try it
  ${url}/docs/json             the same as OpenAPI
  ${url}/api/v1/pipeline/status  what arrives, and what becomes of it
  ${url}/metrics               this process's own metrics
`;
}
