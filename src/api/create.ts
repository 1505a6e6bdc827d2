import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { type Clock, systemClock } from '../base/index.ts';
import { createQueries, type GateLimits } from '../query/index.ts';
import type { Readers } from '../stores/contract.ts';
import { openApp } from './app.ts';
import { addDocs } from './docs.ts';
import type { MetricsText, Parts } from './parts.ts';
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
  const app = openApp(options.logger);
  addDocs(app, options.version, options.logger);

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
