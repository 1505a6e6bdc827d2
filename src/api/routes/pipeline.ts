import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { signals } from '../../base/index.ts';
import { formatTime } from '../../query/index.ts';
import { json } from '../answers.ts';
import type { Parts } from '../parts.ts';
import { askedPeers, peersIn, scope } from '../peers.ts';
import { problem } from '../problem.ts';
import type { PipelineFlow, StageCount } from '../sources.ts';

const stageCount = z.object({ count: z.int(), lastSeen: z.string().nullable().describe('RFC 3339; null: never') });
const destination = z.object({
  destination: z.string(),
  signal: z.enum(signals),
  state: z.enum(['idle', 'delivering', 'retrying', 'stopped']),
  lagSeconds: z.number().describe('Age of the oldest request that it has not got yet; 0 when it has all'),
  pendingRequests: z.int(),
  pendingRecords: z.int().describe('Estimated, where they have not been read yet'),
  pendingBytes: z.int(),
  batchesInFlight: z.int(),
  failures: z.int().describe('Attempts in a row that failed'),
  lastError: z.string().nullable().describe('null since it works'),
  failingSince: z.string().nullable().describe('RFC 3339'),
  deadLetters: z
    .int()
    .describe('Requests that it refused, in whole or in part; /api/v1/pipeline/dead-letters lists them'),
});
const handOverCount = z.object({ requests: z.int(), records: z.int() });
const ownStatus = z.object({
  handOver: z
    .array(z.object({ signal: z.enum(signals), handedOver: handOverCount, takenOver: handOverCount }))
    .describe('Since the start: what this replica has handed over to others while it stops, and taken over from them'),
  destinations: z.array(destination).describe('How far each destination is with each signal that it takes'),
  flows: z.array(
    z.object({
      service: z.string().describe("'' where a request could not be attributed to one"),
      signal: z.enum(signals),
      stages: z.object({
        received: stageCount,
        rejected: stageCount,
        refused: stageCount,
        stored: z.record(z.string(), stageCount).describe('By destination'),
      }),
    }),
  ),
});
const status = ownStatus.extend({ peers: peersIn(ownStatus) }).meta({
  example: {
    handOver: [
      {
        signal: 'traces',
        handedOver: { requests: 0, records: 0 },
        takenOver: { requests: 12, records: 1200 },
      },
    ],
    destinations: [
      {
        destination: 'jaeger',
        signal: 'traces',
        state: 'retrying',
        lagSeconds: 12.5,
        pendingRequests: 40,
        pendingRecords: 4000,
        pendingBytes: 1640000,
        batchesInFlight: 0,
        failures: 3,
        lastError: 'connect ECONNREFUSED 10.0.0.7:4317',
        failingSince: '2026-01-31T08:00:00.000000000Z',
        deadLetters: 0,
      },
    ],
    flows: [
      {
        service: 'checkout',
        signal: 'traces',
        stages: {
          received: { count: 1200, lastSeen: '2026-01-31T08:00:00.000000000Z' },
          rejected: { count: 0, lastSeen: null },
          refused: { count: 0, lastSeen: null },
          stored: { embedded: { count: 1200, lastSeen: '2026-01-31T08:00:00.000000000Z' } },
        },
      },
    ],
  },
});
const drops = z
  .object({
    drops: z.array(
      z.object({
        signal: z.enum(signals),
        stage: z.string(),
        reason: z.string(),
        count: z.int(),
        lastSeen: z.string(),
        sample: z.record(z.string(), z.string()).describe('One of them by its names; no values'),
      }),
    ),
  })
  .meta({
    example: {
      drops: [
        {
          signal: 'traces',
          stage: 'receive',
          reason: 'a trace id of all zeros',
          count: 3,
          lastSeen: '2026-01-31T08:00:00.000000000Z',
          sample: { service: 'checkout', span: 'POST /pay' },
        },
      ],
    },
  });
const none = z.strictObject({});

export function pipelineRoutes({ pipeline, peers }: Parts): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/api/v1/pipeline/status',
      {
        schema: {
          tags: ['pipeline'],
          summary: 'Destinations, and records by service, signal and stage, counted since the start of this process',
          querystring: z.strictObject({ scope }),
          response: { 200: json('By service and signal', status), default: problem },
        },
      },
      async (request, reply) => ({
        destinations: pipeline.destinations().map(({ lastError, failingSinceUnixMs, ...progress }) => ({
          ...progress,
          lastError: lastError ?? null,
          failingSince:
            failingSinceUnixMs === undefined ? null : formatTime(BigInt(Math.round(failingSinceUnixMs)) * 1_000_000n),
        })),
        handOver: signals.map((signal) => {
          const { handedOver, takenOver } = pipeline.handOver()[signal];
          return { signal, handedOver: { ...handedOver }, takenOver: { ...takenOver } };
        }),
        flows: pipeline.status().toSorted(byService).map(flowOf),
        ...(request.query.scope === 'all' && { peers: await askedPeers(peers, request, reply, ownStatus) }),
      }),
    );
    app.get(
      '/api/v1/pipeline/drops',
      {
        schema: {
          tags: ['pipeline'],
          summary: 'Records that were refused or dropped, by reason, the latest first',
          querystring: none,
          response: { 200: json('Groups', drops), default: problem },
        },
      },
      async () => ({
        drops: pipeline
          .drops()
          .toSorted(
            (a, b) => Number(b.lastSeenUnixNano > a.lastSeenUnixNano) - Number(b.lastSeenUnixNano < a.lastSeenUnixNano),
          )
          .map(({ lastSeenUnixNano, sample, ...drop }) => ({
            ...drop,
            lastSeen: formatTime(lastSeenUnixNano),
            sample: { ...sample },
          })),
      }),
    );
  };
}

function flowOf({ service, signal, received, rejected, refused, stored }: PipelineFlow) {
  return {
    service,
    signal,
    stages: {
      received: countOf(received),
      rejected: countOf(rejected),
      refused: countOf(refused),
      stored: Object.fromEntries(Object.entries(stored).map(([destination, stage]) => [destination, countOf(stage)])),
    },
  };
}

function countOf({ count, lastSeenUnixNano }: StageCount): z.infer<typeof stageCount> {
  return { count, lastSeen: lastSeenUnixNano === undefined ? null : formatTime(lastSeenUnixNano) };
}

function byService(a: PipelineFlow, b: PipelineFlow): number {
  if (a.service !== b.service) return a.service < b.service ? -1 : 1;
  return signals.indexOf(a.signal) - signals.indexOf(b.signal);
}
