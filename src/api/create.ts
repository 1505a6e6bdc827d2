import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import type { ZodType } from 'zod';
import { type Clock, Fault, systemClock } from '../base/index.ts';
import { createQueries, type GateLimits } from '../query/index.ts';
import type { Readers } from '../stores/contract.ts';
import { formBytesMax, headerBytesMax, pathParameterCharsMax, requestTimeoutMs } from './limits.ts';
import type { MetricsText, Parts } from './parts.ts';
import { faultOf, refuseConnection, sendFault } from './problem.ts';
import { deadLetterRoutes } from './routes/dead-letters.ts';
import { demoRoutes } from './routes/demo.ts';
import { healthRoutes } from './routes/health.ts';
import { homeRoutes } from './routes/home.ts';
import { kubernetesRoutes } from './routes/kubernetes.ts';
import { logsRoutes } from './routes/logs.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { ownMetricsRoutes } from './routes/own-metrics.ts';
import { pipelineRoutes } from './routes/pipeline.ts';
import { servicesRoutes } from './routes/services.ts';
import { tracesRoutes } from './routes/traces.ts';
import { docsPolicy, securityHeaders } from './security.ts';
import type { DeadLetterSource, DemoSource, HealthSource, PeerSource, PipelineSource } from './sources.ts';
import { createTraceJson } from './trace-json.ts';

export interface ApiOptions {
  /** Stores that answer; for a signal that is absent its routes answer 501 with what to set. */
  readonly readers: Readers;
  readonly version: string;
  readonly health: HealthSource;
  readonly pipeline: PipelineSource;
  readonly deadLetters: DeadLetterSource;
  /** Absent: nothing of it is removed. */
  readonly demo?: DemoSource;
  /** Absent: this process has no other replicas. */
  readonly peers?: PeerSource;
  readonly metricsText: () => Promise<MetricsText>;
  readonly clock?: Clock;
  /** Gets the cause of each answer 500. Requests are not logged. */
  readonly logger?: FastifyBaseLogger;
  readonly queryLimits?: Partial<GateLimits>;
}

/**
 * The REST layer: every route of it, its OpenAPI document, and one shape of errors (RFC 9457). Not listening yet.
 * Contract, section 3.
 */
export async function createApi(options: ApiOptions): Promise<FastifyInstance> {
  const app = Fastify({
    ...(options.logger === undefined ? {} : { loggerInstance: options.logger }),
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

  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'WatchingCat',
        version: options.version,
        description: 'Traces, metrics and logs, whatever the store.',
      },
    },
    transform: jsonSchemaTransform,
  });
  await app.register(async (docs) => {
    docs.addHook('onRequest', async (_, reply) => {
      reply.header('content-security-policy', docsPolicy);
    });
    await docs.register(swaggerUi, {
      routePrefix: '/docs',
      uiConfig: { deepLinking: true },
      logo: { type: 'image/svg+xml', content: Buffer.from(docsLogo), href: '/', target: '_self' },
      theme: { title: 'WatchingCat API' },
    });
  });

  const traceJson = createTraceJson();
  app.addHook('onClose', () => traceJson[Symbol.asyncDispose]());
  const parts: Parts = {
    traceJson,
    version: options.version,
    clock: options.clock ?? systemClock,
    queries: await createQueries(options.readers, options.queryLimits),
    health: options.health,
    pipeline: options.pipeline,
    deadLetters: options.deadLetters,
    demo: options.demo ?? { eraser: undefined, kept: [] },
    peers: options.peers,
    metricsText: options.metricsText,
  };
  app.removeAllContentTypeParsers();
  for (const routes of [
    homeRoutes,
    healthRoutes,
    ownMetricsRoutes,
    servicesRoutes,
    tracesRoutes,
    logsRoutes,
    metricsRoutes,
    kubernetesRoutes,
    pipelineRoutes,
    deadLetterRoutes,
    demoRoutes,
  ]) {
    await app.register(routes(parts));
  }
  return app;
}

/** The page's own has the name of the library on it. */
const docsLogo =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 40" height="40"><text x="0" y="28" fill="#fff" ' +
  'font-family="sans-serif" font-size="26" font-weight="600">WatchingCat</text></svg>';

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
