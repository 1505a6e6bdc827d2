import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { json } from '../answers.ts';
import type { Parts } from '../parts.ts';
import { askedPeers, peersIn, scope } from '../peers.ts';
import { problem } from '../problem.ts';

const status = z.enum(['ok', 'degraded', 'unavailable']);
const ownReport = z.object({
  status: status.describe(
    '`unavailable`: data cannot be accepted; `degraded`: accepted, but somebody should look. With `scope=all` also `degraded` where another replica is not `ok` or does not answer',
  ),
  version: z.string(),
  uptimeSeconds: z.number(),
  listeners: z.record(z.string(), z.string()).describe('Address by name, with the ports that were chosen'),
  destinations: z.record(
    z.string(),
    z.object({ status, lagSeconds: z.number(), pendingBytes: z.number(), lastError: z.string().nullable() }),
  ),
  enrichment: z
    .object({
      status: z
        .enum(['off', 'starting', 'synced', 'stale', 'denied'])
        .describe(
          '`starting`: the first list is under way; `stale`: the API does not answer, what was known last is used; `denied`: pods may not be read',
        ),
      pods: z.number(),
      ageSeconds: z.number().describe('Since the Kubernetes API was last heard of'),
      lastError: z.string().nullable(),
    })
    .describe('What is known of the Kubernetes cluster that telemetry comes from; changes nothing of `status`'),
});
const report = ownReport.extend({ peers: peersIn(ownReport) }).meta({
  example: {
    status: 'ok',
    version: '1.0.0',
    uptimeSeconds: 12.5,
    listeners: { otlpGrpc: '127.0.0.1:4317', otlpHttp: '127.0.0.1:4318', http: '127.0.0.1:8090' },
    destinations: { embedded: { status: 'ok', lagSeconds: 0, pendingBytes: 0, lastError: null } },
    enrichment: { status: 'synced', pods: 120, ageSeconds: 3, lastError: null },
  },
});
const probe = z.object({ status: z.enum(['ok', 'unavailable']) }).meta({ example: { status: 'ok' } });
const none = z.strictObject({});

/** `/health` for people and dashboards; `/health/live` and `/health/ready` for probes. */
export function healthRoutes({ health, version, peers }: Parts): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/health',
      {
        schema: {
          tags: ['process'],
          summary: 'Whether data is accepted and delivered',
          querystring: z.strictObject({ scope }),
          response: {
            200: json('Data is accepted', report),
            503: json('Data cannot be accepted', report),
            default: problem,
          },
        },
      },
      async (request, reply) => {
        const { status: own, uptimeSeconds, listeners, destinations, enrichment } = health.report();
        const others = request.query.scope === 'all' ? await askedPeers(peers, request, reply, ownReport) : undefined;
        const allWell = (others ?? []).every(({ answer }) => answer?.status === 'ok');
        return reply.code(own === 'unavailable' ? 503 : 200).send({
          status: own === 'ok' && !allWell ? 'degraded' : own,
          version,
          uptimeSeconds,
          listeners: { ...listeners },
          destinations: { ...destinations },
          enrichment,
          ...(others && { peers: others }),
        });
      },
    );
    app.get(
      '/health/live',
      {
        schema: {
          tags: ['process'],
          summary: 'Liveness probe: this process answers',
          querystring: none,
          response: { 200: json('It does', probe), default: problem },
        },
      },
      async () => ({ status: 'ok' as const }),
    );
    app.get(
      '/health/ready',
      {
        schema: {
          tags: ['process'],
          summary: 'Readiness probe: 503 while starting and while stopping; a full log does not fail it',
          querystring: none,
          response: { 200: json('Ready', probe), 503: json('Not ready', probe), default: problem },
        },
      },
      async (_, reply) =>
        health.ready() ? reply.code(200).send({ status: 'ok' }) : reply.code(503).send({ status: 'unavailable' }),
    );
  };
}
