import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { ZodType } from 'zod';
import { Fault } from '../base/index.ts';
import { formBytesMax, headerBytesMax, pathParameterCharsMax, requestTimeoutMs } from './limits.ts';
import { faultOf, refuseConnection, sendFault } from './problem.ts';
import { securityHeaders } from './security.ts';

/** Fastify without any route: its bounds, Zod's schemas, headers of every answer, one shape of errors (RFC 9457). */
export function openApp(logger: FastifyBaseLogger | undefined): FastifyInstance {
  const app = Fastify({
    ...(logger === undefined ? {} : { loggerInstance: logger }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: formBytesMax,
    requestTimeout: requestTimeoutMs,
    http: { maxHeaderSize: headerBytesMax },
    routerOptions: { maxParamLength: pathParameterCharsMax },
    clientErrorHandler: refuseConnection,
    // Schemas are Zod's: Fastify's own compilers, Ajv and fast-json-stringify, are not even loaded.
    schemaController: { compilersFactory: { buildValidator: notFastifysOwn, buildSerializer: notFastifysOwn } },
    frameworkErrors: (error, request, reply) => {
      for (const [name, value] of Object.entries(securityHeaders)) reply.header(name, value);
      sendFault(faultOf(error), request, reply);
    },
  });
  app.setValidatorCompiler<ZodType>(({ schema }) => (data) => {
    const read = schema.safeParse(data);
    return read.success ? { value: read.data } : { error: parameterFault(read.error.issues[0]) };
  });
  // Types hold what handlers return to the schemas, and tests hold the answers to them: no second check at run time.
  app.setSerializerCompiler(() => JSON.stringify);
  app.addHook('onRequest', async (_, reply) => {
    reply.headers(securityHeaders);
  });
  app.setErrorHandler((thrown, request, reply) => sendFault(faultOf(thrown), request, reply));
  app.setNotFoundHandler((request, reply) => {
    const allowed = app.supportedMethods.filter(
      (method) => app.findRoute({ url: request.url.split('?', 1)[0] ?? '/', method }) !== null,
    );
    // A route of this method that found nothing (a file of the docs) comes here too.
    const isWrongMethod = allowed.length > 0 && !allowed.includes(request.method);
    if (isWrongMethod) reply.header('allow', allowed.join(', '));
    const fault = isWrongMethod
      ? new Fault('wrongMethod', `expected ${allowed.join(' or ')}`)
      : new Fault('notFound', 'no such route; /docs lists them all');
    return sendFault(fault, request, reply);
  });
  return app;
}

function notFastifysOwn(): never {
  throw new Error('a route was added before the compilers were set');
}

/** The first thing that a schema did not like, as the client should read it. */
function parameterFault(
  issue:
    | ({ readonly code?: string; readonly path: readonly PropertyKey[]; readonly message: string } & {
        readonly keys?: readonly string[];
      })
    | undefined,
): Fault {
  const unknown = issue?.keys?.[0];
  if (unknown !== undefined) {
    return new Fault('malformed', 'no such parameter; /docs lists what this route takes', { parameter: unknown });
  }
  const parameter = issue?.path.map(String).join('.');
  if (issue?.message.endsWith('received array')) {
    return new Fault('malformed', 'expected this parameter once', { parameter: parameter ?? '' });
  }
  return new Fault('malformed', issue?.message ?? 'not understood', parameter === undefined ? {} : { parameter });
}
