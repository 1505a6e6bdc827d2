import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { createApi } from './api/index.ts';
import { AddressRanges, boundYoung, collectAtRest, Fault, type Signal, signals, systemClock } from './base/index.ts';
import type { Config } from './config/index.ts';
import { deadLetterDesk } from './dead-letters.ts';
import { startDestinations } from './destinations.ts';
import { startEnrichment } from './enrichment.ts';
import { createIngest, openDigestSecret, sharedDigestSecret } from './ingest/index.ts';
import { observeParts } from './observe.ts';
import { defaultLimits } from './otlp/index.ts';
import { type Accept, Admission, listenGrpc, listenHttp, UnpackPool } from './receive/index.ts';
import { watchFiles } from './reload.ts';
import { createLogger, createMetrics, PipelineCounters, PipelineLedger } from './self/index.ts';
import { stopRequested } from './stop.ts';
import { lockFolder, type OwnedLog, openDeadLetters, openLog, reserveIn, systemFiles } from './wal/index.ts';

/** After readiness went off, a Service needs this long to send elsewhere. Nobody balances load over a loopback. */
const drainMs = 5_000;
/** Requests under way get this long to be answered before the doors close. With all that follows: exit within 25 s. */
const doorsGraceMs = 8_000;
/** Destinations get this long to finish what is under way; what is not settled stays in the log. */
const deliveryGraceMs = 6_000;
/**
 * The heap may grow to four times what lives in it before all of it is marked. What lives is 25 MB, and V8 counts the bodies
 * that pass through, all of them dead a moment later, against a limit made for that: eleven markings for a thousand requests of
 * 40 kB, now one, and half the CPU for a span (12 s per million before, 6.4 now), for the same resident memory.
 */
const heapGrowingPercent = 300;

export interface ServerOptions {
  readonly version: string;
  /** Called once, when all three listeners accept. `host:port`, as a client writes it. */
  readonly onListening?: (addresses: { otlpGrpc: string; otlpHttp: string; http: string }) => void;
  /** Reads the configuration again, for SIGHUP. @throws Fault as at the start; then all stays as it is. */
  readonly reload?: () => Config;
}

/**
 * The whole process: builds the parts inside out, so that the door opens last, and stops them outside in.
 * @returns The exit code, when it was asked to stop: 0, or 1 where the log can no longer be written.
 * @throws Fault or the system's error for a start that the world prevented: folder in use, port taken, …
 */
export async function runServer(config: Config, options: ServerOptions): Promise<number> {
  setFlagsFromString(`--heap-growing-percent=${heapGrowingPercent}`);
  const clock = systemClock;
  const onTerminal = process.stderr.isTTY === true;
  const logger = await createLogger({ level: config.logLevel, readable: onTerminal });
  let files = config.files;
  const stop = stopRequested(logger, { onTerminal, reload });
  await using parts = new AsyncDisposableStack();
  parts.defer(() => stop.dispose());
  for (const warning of config.warnings) logger.warn(warning);

  parts.use(await lockFolder(config.dataDir));
  const reserve = reserveIn(config.dataDir, systemFiles);
  const deadLetters = parts.use(
    await openDeadLetters({
      dir: join(config.dataDir, 'dead-letters'),
      maxBytes: config.deadLettersMaxBytes,
      clock,
      logger,
    }),
  );
  const logDir = (signal: Signal) => join(config.dataDir, 'wal', signal);
  const openSignal = async (signal: Signal) =>
    parts.use(
      await openLog({
        dir: logDir(signal),
        signal,
        maxBytes: config.walMaxBytes,
        clock,
        logger,
        reserve,
        onFailure: (error) => stop.fail(error, `the write-ahead log of ${signal} cannot be written`),
      }),
    );
  const logs: Record<Signal, OwnedLog> = {
    traces: await openSignal('traces'),
    metrics: await openSignal('metrics'),
    logs: await openSignal('logs'),
  };

  const ledger = new PipelineLedger(clock);
  const counters = new PipelineCounters(ledger);
  const metrics = createMetrics();
  parts.defer(() => metrics.close());

  // The doors and what comes from within are taken in the same way, once there is a way.
  let takeIn: Accept = async () => {
    throw new Fault('unavailable', 'the process is starting', { retryAfterMs: 1_000 });
  };
  const {
    running,
    readers,
    demo,
    reload: reloadDestinations,
  } = await startDestinations(config, {
    version: options.version,
    clock,
    logs,
    logDir,
    deadLetters,
    counters,
    logger,
    emitMetrics: async (request) => takeIn('metrics', request, { address: '', protocol: 'internal' }),
  });
  const destinations = running.filter(({ takes }) => takes.size > 0);
  let stopped: Promise<unknown> | undefined;
  const stopDestinations = async () => {
    stopped ??= Promise.all(running.map((destination) => destination.stop(deliveryGraceMs)));
    await stopped;
  };
  parts.defer(stopDestinations);
  for (const signal of signals) {
    const names = destinations.filter(({ takes }) => takes.has(signal)).map(({ name }) => name);
    for (const name of names) ledger.deliversTo(name, signal);
    // A destination that is no longer configured must not hold the log back for ever.
    for (const name of logs[signal].cursorNames()) {
      if (names.includes(name)) continue;
      logger.warn({ signal, destination: name }, 'no longer configured: what it has not got yet, it will not get');
      await logs[signal].forgetCursor(name);
    }
  }

  const enrichment = parts.use(await startEnrichment(config, { clock, logger }));
  const ingest = parts.use(
    createIngest({
      logs,
      enrichment: enrichment.enrich,
      limits: defaultLimits,
      digestSecret:
        config.peers === undefined ? await openDigestSecret(config.dataDir) : sharedDigestSecret(config.peers.token),
      clock,
      observer: counters,
    }),
  );
  const accept: Accept = async (signal, body, sender, room) => {
    if (!destinations.some(({ takes }) => takes.has(signal))) {
      throw new Fault('notConfigured', `nothing here takes ${signal}: set WATCHINGCAT_EMBEDDED, or a destination`);
    }
    return ingest.accept(signal, body, sender, room);
  };
  takeIn = accept;

  const { peers } = config;
  // What replicas ask each other is answered by REST, once it is there.
  let answerPeer: (path: string) => Promise<{ status: number; text: string }> = async () => ({
    status: 503,
    text: '{}',
  });
  const replicas =
    peers &&
    parts.use(
      await (await import('./replicas.ts')).joinReplicas(
        { ...config, peers },
        { logs, logDir, destinations, counters, clock, logger, answer: (path) => answerPeer(path) },
      ),
    );

  const admission = new Admission();
  const pool = new UnpackPool({ logger });
  parts.defer(() => pool.close());
  const observed = observeParts({
    clock,
    logs,
    destinations,
    deadLetters,
    admission,
    kubernetes: enrichment.kubernetes,
    ledger,
    counters,
    metrics,
    logger,
  });
  parts.defer(() => observed.close());

  const api = await createApi({
    readers,
    demo,
    version: options.version,
    health: observed.health,
    pipeline: observed.pipeline,
    deadLetters: deadLetterDesk(deadLetters, destinations),
    ...(replicas && { peers: replicas }),
    metricsText: () => metrics.text(),
    clock,
    logger: logger.child({}, { level: config.logLevel === 'info' ? 'warn' : config.logLevel }),
  });
  answerPeer = async (path) => {
    const { statusCode, payload } = await api.inject(path);
    return { status: statusCode, text: payload };
  };
  const restUrl = await api.listen({ host: config.host, port: config.ports.http });
  parts.defer(() => api.close());
  const trustedProxies = new AddressRanges(config.trustedProxies);
  const door = { host: config.host, accept, admission, pool, trustedProxies, logger, observer: counters };
  const grpc = await listenGrpc({ ...door, port: config.ports.otlpGrpc });
  parts.defer(() => grpc.close(doorsGraceMs));
  const http = await listenHttp({ ...door, port: config.ports.otlpHttp });
  parts.defer(() => http.close(doorsGraceMs));

  const addresses = {
    otlpGrpc: clientAddress(config.host, grpc.port),
    otlpHttp: clientAddress(config.host, http.port),
    http: clientAddress(config.host, Number(new URL(restUrl).port)),
    ...(replicas && { peers: clientAddress(config.host, replicas.port) }),
  };
  observed.listening(addresses, { grpc, http });
  // Whoever wants to be called shows it himself.
  logger[options.onListening === undefined ? 'info' : 'debug'](
    { version: options.version, listeners: addresses, dataDir: config.dataDir },
    'listening',
  );
  options.onListening?.(addresses);
  parts.use(boundYoung());
  parts.use(collectAtRest());

  if (files.length > 0) parts.use(watchFiles(() => files, reload));
  const reason = await stop.requested;
  observed.draining();
  enrichment.kubernetes?.stop();
  await replicas?.drain();
  logger.info({ reason: reason.text }, 'stopping: what was acknowledged is on disk');
  if (reason.kind === 'terminated' && !isLoopback(config.host)) await stop.sleep(drainMs);
  // Both doors at once, then the queries. What follows is disposed of in reverse: destinations, logs, lock.
  await Promise.all([grpc.close(doorsGraceMs), http.close(doorsGraceMs)]);
  // A person who presses Ctrl-C starts it again on the same disk; a log that cannot be written is read at the next start.
  if (replicas !== undefined && reason.kind === 'terminated') {
    await replicas.deliverHeld();
    await stopDestinations();
    await replicas.handOver();
  }
  return reason.kind === 'failed' ? 1 : 0;

  function reload(): void {
    try {
      const next = options.reload?.() ?? config;
      files = next.files;
      logger.level = next.logLevel;
      const reloaded = reloadDestinations(next);
      logger.info(
        { logLevel: next.logLevel, destinations: reloaded },
        'configuration read again: the level of the log and what destinations let us in with are taken over, all else at the next start',
      );
    } catch (thrown) {
      logger.error({ problem: Fault.from(thrown).message }, 'the configuration is not usable, so all stays as it is');
    }
  }
}

/** An address that listens everywhere is written as one that a client on this machine can use. */
function clientAddress(host: string, port: number): string {
  const reachable = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return reachable.includes(':') ? `[${reachable}]:${port}` : `${reachable}:${port}`;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}
