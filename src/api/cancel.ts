import type { FastifyReply } from 'fastify';
import { Fault } from '../base/index.ts';

/**
 * Fires when the client goes away before it has its answer.
 * On the reply and not on the request: that one closes as soon as a body has been read.
 */
export function cancelOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    // A Fault, so that it is not logged as a bug of ours; nobody is there to read its status.
    if (!reply.raw.writableFinished) controller.abort(new Fault('unavailable', 'the client went away'));
  });
  return controller.signal;
}
