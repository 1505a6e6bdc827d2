import type { FastifyReply } from 'fastify';

/**
 * Fires when the client goes away before it has its answer.
 * On the reply and not on the request: that one closes as soon as a body has been read.
 */
export function cancelOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new Error('the client went away'));
  });
  return controller.signal;
}
