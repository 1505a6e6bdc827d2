import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Fault, type FaultCode } from '../base/index.ts';
import { securityHeaders } from './security.ts';

const problemType = 'application/problem+json; charset=utf-8';

const problemSchema = z
  .object({
    type: z.string().describe('Names the kind of problem; the same for each of its kind.'),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('What was expected, and where.'),
    parameter: z.string().optional().describe('The parameter that is to blame, where there is one.'),
  })
  .meta({
    example: {
      type: 'urn:watchingcat:problem:malformed',
      title: 'Malformed request',
      status: 400,
      detail: 'expected a closing " at position 9 for the one at position 1',
      parameter: 'query',
    },
  });
type Problem = z.infer<typeof problemSchema>;

/** Response of every route that is not Prometheus'. */
export const problem = {
  description: 'What went wrong (RFC 9457)',
  content: { 'application/problem+json': { schema: problemSchema } },
};

const titles: Record<FaultCode, string> = {
  malformed: 'Malformed request',
  badFrame: 'Malformed frame',
  unauthenticated: 'Who are you?',
  forbidden: 'Not allowed',
  notFound: 'Not found',
  wrongMethod: 'Method not allowed',
  timeout: 'Request came too slowly',
  tooLarge: 'Request too large',
  unsupportedType: 'Unsupported content type',
  unprocessable: 'Understood, but not offered',
  overQuota: 'Over quota',
  internal: 'Internal error',
  notConfigured: 'Not configured',
  unavailable: 'Temporarily unavailable',
  tooSlow: 'Query took too long',
};

/** Codes of Fastify's own errors. Those that are missing here are ours to answer for. */
const frameworkCodes: Record<string, FaultCode> = {
  FST_ERR_BAD_URL: 'malformed',
  FST_ERR_MAX_PARAM_LENGTH: 'malformed',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'malformed',
  FST_ERR_CTP_EMPTY_TYPE: 'unsupportedType',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupportedType',
  FST_ERR_CTP_BODY_TOO_LARGE: 'tooLarge',
  FST_ERR_ROUTE_METHOD_NOT_SUPPORTED: 'wrongMethod',
};

/** What a thrown value means to the client. The text of what is not a Fault stays inside. */
export function faultOf(thrown: unknown): Fault {
  const code = thrown instanceof Error && 'code' in thrown ? frameworkCodes[String(thrown.code)] : undefined;
  if (code === undefined || thrown instanceof Fault) return Fault.from(thrown);
  return new Fault(code, frameworkDetails[code] ?? titles[code], { cause: thrown });
}

const frameworkDetails: Partial<Record<FaultCode, string>> = {
  malformed: 'expected a well-formed URL with shorter parameters, and a body of the length that was announced',
  unsupportedType: 'expected application/x-www-form-urlencoded',
  tooLarge: 'expected a smaller body',
};

function problemOf(fault: Fault): Problem {
  return {
    type: `urn:watchingcat:problem:${fault.code}`,
    title: titles[fault.code],
    status: fault.status.http,
    detail: fault.message,
    ...(fault.parameter === undefined ? {} : { parameter: fault.parameter }),
  };
}

/** Answers with a problem; logs the cause of what is our own bug. */
export function sendFault(fault: Fault, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  logFault(fault, request);
  return reply
    .headers(retryHeaders(fault))
    .code(fault.status.http)
    .type(problemType)
    .send(JSON.stringify(problemOf(fault)));
}

/** The cause of an `internal` Fault is ours to mend, and is told to the log alone. */
export function logFault(fault: Fault, request: FastifyRequest): void {
  if (fault.code === 'internal')
    request.log.error({ err: fault.cause ?? fault, route: request.routeOptions.url }, 'request failed');
}

export function retryHeaders(fault: Fault): Record<string, string> {
  return fault.retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(fault.retryAfterMs / 1000)) };
}

/** Answers what is not HTTP enough to become a request, on the bare socket. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const title = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' }[status];
  const body = JSON.stringify({ type: 'about:blank', title, status, detail: 'the request could not be read' });
  const headers = {
    ...securityHeaders,
    'content-type': problemType,
    'content-length': body.length,
    connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${title}\r\n${lines.join('')}\r\n${body}`);
}
