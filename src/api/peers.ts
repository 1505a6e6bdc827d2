import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { cancelOf } from './cancel.ts';
import type { PeerSource } from './sources.ts';

// Routes that tell of this process can be asked for all replicas: then they carry what the others answer.

/** Parameter of such a route. */
export const scope = z
  .enum(['replica', 'all'])
  .default('replica')
  .describe('`all`: the other replicas are asked as well, and their answers are in `peers`');

/** What the others answered, each in the shape of this route; absent with the scope `replica`. */
export function peersIn<T extends z.ZodType>(answer: T) {
  return z
    .array(
      z.object({
        name: z.string().describe('`address:port` of the replica, or of the name where that cannot be resolved'),
        error: z.string().nullable().describe('Why it did not answer'),
        answer: answer.nullable(),
      }),
    )
    .optional();
}

/** Asks the other replicas what this one was asked. An answer that has not the route's shape counts as none. */
export async function askedPeers<T extends z.ZodType>(
  peers: PeerSource | undefined,
  request: FastifyRequest,
  reply: FastifyReply,
  shape: T,
): Promise<{ name: string; error: string | null; answer: z.infer<T> | null }[]> {
  if (peers === undefined) return [];
  const url = new URL(request.url, 'http://replica');
  url.searchParams.delete('scope');
  const replies = await peers.ask(`${url.pathname}${url.search}`, cancelOf(reply));
  return replies.map(({ name, answer, error }) => {
    if (error !== undefined) return { name, error, answer: null };
    const read = shape.safeParse(answer);
    if (read.success) return { name, error: null, answer: read.data };
    return { name, error: 'it answered in another shape: is it of another version?', answer: null };
  });
}
