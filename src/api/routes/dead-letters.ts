import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Fault, signals } from '../../base/index.ts';
import { formatTime } from '../../query/index.ts';
import { json } from '../answers.ts';
import { cancelOf } from '../cancel.ts';
import type { Parts } from '../parts.ts';
import { askedPeers, peersIn, scope } from '../peers.ts';
import { problem } from '../problem.ts';

const filter = {
  destination: z.string().optional().describe('Name of a destination, as in `/health`'),
  signal: z.enum(signals).optional(),
  reason: z.string().optional().describe('A part of the reason, whatever its case'),
  id: z.coerce.number().int().nonnegative().optional(),
};
const count = z.int().nonnegative();
const ownList = z.object({
  deadLetters: z.array(
    z.object({
      id: count,
      destination: z.string(),
      signal: z.enum(signals),
      reason: z.string().describe('What the destination said first'),
      records: count.describe('How many it refused of the request'),
      sizeBytes: count.describe('Of the whole request'),
      added: z.string().describe('When it was refused; RFC 3339'),
      received: z.string().describe('When the request came; RFC 3339'),
    }),
  ),
  total: count.describe('Letters that the filter finds, of which the oldest are listed'),
  sizeBytes: count.describe('Of all letters on disk'),
  maxBytes: count,
  dropped: count.describe('Letters that came when there was no room; they are gone. Since the start of this process'),
});
const list = ownList.extend({ peers: peersIn(ownList) }).meta({
  example: {
    deadLetters: [
      {
        id: 17,
        destination: 'prometheus',
        signal: 'metrics',
        reason: 'out of bounds',
        records: 3,
        sizeBytes: 40210,
        added: '2026-01-31T08:00:00.000000000Z',
        received: '2026-01-31T07:59:58.000000000Z',
      },
    ],
    total: 1,
    sizeBytes: 41000,
    maxBytes: 1073741824,
    dropped: 0,
  },
});
const replayed = z
  .object({
    replayed: count.describe('Letters that were taken, and are removed'),
    left: z
      .array(z.object({ id: count, destination: z.string(), reason: z.string(), refused: z.boolean() }))
      .describe('Letters that stay; `refused`: for good, as before; otherwise the destination fails at present'),
    remaining: count.describe('Letters that were not tried in the time that one call has: call again'),
  })
  .meta({
    example: {
      replayed: 16,
      left: [{ id: 17, destination: 'prometheus', reason: 'out of bounds', refused: true }],
      remaining: 0,
    },
  });

export function deadLetterRoutes({ deadLetters, peers }: Parts): FastifyPluginAsyncZod {
  return async (app) => {
    app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async () => undefined);
    app.get(
      '/api/v1/pipeline/dead-letters',
      {
        schema: {
          tags: ['pipeline'],
          summary: 'What destinations refused for good, the oldest first',
          querystring: z.strictObject({
            ...filter,
            limit: z.coerce.number().int().min(1).max(10_000).default(1_000),
            scope,
          }),
          response: { 200: json('Letters', list), default: problem },
        },
      },
      async (request, reply) => {
        const { limit, scope: asked, ...wanted } = request.query;
        const letters = deadLetters.list(wanted);
        const { sizeBytes, maxBytes, droppedLetters } = deadLetters.stats();
        return {
          deadLetters: letters.slice(0, limit).map((letter) => ({
            id: letter.id,
            destination: letter.destination,
            signal: letter.signal,
            reason: letter.reason,
            records: letter.refusedRecords,
            sizeBytes: letter.sizeBytes,
            added: formatTime(letter.addedUnixNano),
            received: formatTime(letter.receivedUnixNano),
          })),
          total: letters.length,
          sizeBytes,
          maxBytes,
          dropped: droppedLetters,
          ...(asked === 'all' && { peers: await askedPeers(peers, request, reply, ownList) }),
        };
      },
    );
    app.post(
      '/api/v1/pipeline/dead-letters/replay',
      {
        schema: {
          tags: ['pipeline'],
          summary: 'Gives dead letters to their destinations again',
          description:
            'One attempt for each. What a destination takes is there once, however often this is called, and its letter is ' +
            'removed; what it refuses stays. The body is not read, but must be called JSON, which a page of another site ' +
            'cannot do.',
          querystring: z.strictObject(filter),
          response: { 200: json('What came of it', replayed), default: problem },
        },
      },
      async (request, reply) => {
        // Fetch, "CORS-safelisted request-header": without it a browser would not ask first.
        if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) {
          throw new Fault('unsupportedType', 'expected content-type: application/json');
        }
        const { replayed: taken, left, remaining } = await deadLetters.replay(request.query, cancelOf(reply));
        return { replayed: taken, left: left.map((each) => ({ ...each })), remaining };
      },
    );
  };
}
