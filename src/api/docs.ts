import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { openApp } from './app.ts';
import { docsPolicy } from './security.ts';

/**
 * `/docs`: the OpenAPI document of every route that is added after this, and a page to try them. Another app behind the first,
 * made when somebody asks for it: what it loads is a tenth of a start, and most processes are never asked.
 */
export function addDocs(app: FastifyInstance, version: string, logger: FastifyBaseLogger | undefined): void {
  const described: RouteOptions[] = [];
  let opened: Promise<FastifyInstance> | undefined;
  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    opened ??= openDocs(described, version, logger);
    const docs = await opened;
    reply.hijack();
    docs.routing(request.raw, reply.raw);
  };
  const hidden = { schema: { hide: true } };
  app.get('/docs', hidden, answer);
  app.get('/docs/*', hidden, answer);
  app.addHook('onRoute', ({ method, url, schema, handler }) => {
    if (method !== 'HEAD') described.push({ method, url, handler, ...(schema && { schema }) });
  });
  app.addHook('onClose', async () => (await opened)?.close());
}

async function openDocs(
  described: readonly RouteOptions[],
  version: string,
  logger: FastifyBaseLogger | undefined,
): Promise<FastifyInstance> {
  const [{ default: swagger }, { default: swaggerUi }, { jsonSchemaTransform }] = await Promise.all([
    import('@fastify/swagger'),
    import('@fastify/swagger-ui'),
    import('fastify-type-provider-zod'),
  ]);
  const docs = openApp(logger);
  docs.addHook('onRequest', async (_, reply) => {
    reply.header('content-security-policy', docsPolicy);
  });
  await docs.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'WatchingCat', version, description: 'Traces, metrics and logs, whatever the store.' },
    },
    transform: jsonSchemaTransform,
  });
  await docs.register(swaggerUi, {
    routePrefix: '/docs',
    uiConfig: { deepLinking: true },
    logo: { type: 'image/svg+xml', content: Buffer.from(docsLogo), href: '/', target: '_self' },
    theme: { title: 'WatchingCat API' },
  });
  // To be described: only `/docs` is ever asked of this app.
  for (const route of described) docs.route(route);
  await docs.ready();
  return docs;
}

/** The page's own has the name of the library on it. */
const docsLogo =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 40" height="40"><text x="0" y="28" fill="#fff" ' +
  'font-family="sans-serif" font-size="26" font-weight="600">WatchingCat</text></svg>';
