import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Clock, demoAttribute, demoCluster, type Signal, signals } from './base/index.ts';
import { type HostedChild, type HostedStore, startEmbeddedChild, startStoreThread } from './child/index.ts';
import type { Config } from './config/index.ts';
import {
  type Delivery,
  type DeliveryObserver,
  type DeliveryStats,
  type DurableFeed,
  startDelivery,
} from './deliver/index.ts';
import { type PipelineCounters, RefusalAlarm } from './self/index.ts';
import type { Destination, Eraser, Readers } from './stores/contract.ts';
import { type DeadLetters, type OwnedLog, openLogReader } from './wal/index.ts';

/** A destination that runs. */
interface Running {
  readonly name: string;
  /** Empty for a store that is only asked. */
  readonly takes: ReadonlySet<Signal>;
  stats(): DeliveryStats;
  replay: Delivery['replay'];
  stop(deadlineMs: number): Promise<void>;
}

interface Destinations {
  /** In the order in which they are listed below. */
  readonly running: readonly Running[];
  /** By signal, of the store that the configuration names. */
  readonly readers: Readers;
  /** Who removes what the demo has sent, and who keeps it. */
  readonly demo: {
    readonly eraser: Eraser | undefined;
    readonly kept: readonly { readonly destination: string; readonly remove: string }[];
  };
  /** Takes over credentials, certificates and headers of what is configured; its addresses stay. @returns the names of what was told. */
  reload(config: Config): readonly string[];
}

interface DestinationParts {
  readonly version: string;
  readonly clock: Clock;
  readonly logs: Readonly<Record<Signal, OwnedLog>>;
  readonly logDir: (signal: Signal) => string;
  readonly deadLetters: DeadLetters;
  readonly counters: PipelineCounters;
  readonly logger: Parameters<typeof startStoreThread>[0]['logger'];
  /** Takes an ExportMetricsServiceRequest into the log of metrics. */
  readonly emitMetrics: (request: Uint8Array) => Promise<unknown>;
}

/** A store in a thread of its own: what it is opened with, and for which signals. */
interface Listed {
  readonly name: Exclude<Config['read'][Signal], 'embedded' | 'none'>;
  readonly writes: readonly Signal[];
  readonly answers: readonly Signal[];
  readonly store: Exclude<HostedStore, { kind: 'embedded' }>;
}

/**
 * How what the demo has sent is removed from a store that is not ours alone: it may be shared, and rights to delete are not asked
 * for.
 */
const removedElsewhere: { readonly [destination: string]: string } = {
  jaeger: 'Jaeger removes no single traces: they go with its retention',
  prometheus:
    `curl -X POST -g '<Prometheus>/api/v1/admin/tsdb/delete_series?match[]={k8s_cluster_name="${demoCluster}"}', where its ` +
    `admin API is on; else they go with its retention`,
  elasticsearch:
    `curl -X POST '<Elasticsearch>/watchingcat-logs-*/_delete_by_query' -H 'content-type: application/json' ` +
    `-d '{"query":{"term":{"resource_attrs":"b:${demoAttribute}=true"}}}'`,
  otlp: 'removed where it was forwarded to',
} satisfies Record<Listed['name'] | 'otlp', string>;

/** The external stores that are configured: a new one is an entry here and a line in `child/thread.ts`. */
function listed(config: Config, version: string): readonly Listed[] {
  const { jaeger, prometheus, elasticsearch } = config;
  const stores: Listed[] = [];
  if (jaeger?.queryEndpoint !== undefined) {
    stores.push({
      name: 'jaeger',
      writes: [], // `startForwarding`
      answers: ['traces'],
      store: { kind: 'jaeger', options: { ...jaeger, otlpEndpoint: undefined, version } },
    });
  }
  if (prometheus !== undefined) {
    const { remoteWriteProtocol, ...options } = prometheus;
    stores.push({
      name: 'prometheus',
      writes: prometheus.remoteWriteUrl === undefined ? [] : ['metrics'],
      answers: prometheus.queryUrl === undefined ? [] : ['metrics'],
      store: {
        kind: 'prometheus',
        options: { ...options, protocol: remoteWriteProtocol, version, folder: join(config.dataDir, 'prometheus') },
      },
    });
  }
  if (elasticsearch !== undefined) {
    stores.push({
      name: 'elasticsearch',
      writes: ['logs'],
      answers: ['logs'],
      store: {
        kind: 'elasticsearch',
        options: { ...elasticsearch, version, retentionMs: config.retentionMs.logs },
      },
    });
  }
  return stores;
}

/**
 * Starts everything that the log is delivered to, and what is asked.
 * @throws Fault where a store says that it cannot be opened. What was started before is stopped then.
 */
export async function startDestinations(config: Config, parts: DestinationParts): Promise<Destinations> {
  const { logs, logDir, deadLetters, counters, logger, clock, version } = parts;
  const running: Running[] = [];
  const readers: Record<string, Readers> = {};
  const reloads: { readonly name: string; readonly tell: (config: Config) => boolean }[] = [];
  const alarm = new RefusalAlarm(clock, (fields, message) => logger.warn(fields, message));
  const observerOf = (name: string): DeliveryObserver => {
    const observer = counters.destination(name);
    return {
      ...observer,
      refused(signal, records, reason) {
        observer.refused(signal, records, reason);
        alarm.refused(name, signal, records, reason);
      },
    };
  };
  const shared = (name: string, taken: Iterable<Signal>) => ({
    logs: [...taken].map((signal) => ({ log: logs[signal], dir: logDir(signal) })),
    deadLetters,
    observer: observerOf(name),
    logger,
    clock,
  });
  const add = (child: HostedChild, takes: Iterable<Signal>): void => {
    readers[child.name] = child.readers;
    running.push({
      name: child.name,
      takes: new Set(takes),
      stats: () => child.stats(),
      replay: (letter, cancel) => child.replay(letter, cancel),
      stop: (deadlineMs) => child.stop(deadlineMs),
    });
  };
  try {
    let eraser: Eraser | undefined;
    if (config.embedded.size > 0) {
      const child = await startEmbeddedChild({
        ...shared('embedded', config.embedded),
        store: { folder: join(config.dataDir, 'embedded'), signals: config.embedded, retentionMs: config.retentionMs },
      });
      eraser = child;
      add(child, config.embedded);
    }
    if (config.jaeger?.otlpEndpoint !== undefined) {
      const { openJaegerStore } = await import('./stores/jaeger/index.ts');
      await addForwarding('jaeger', ['traces'], config.jaeger, {
        of: (next) => next.jaeger,
        open: (given) => openJaegerStore({ ...given, queryEndpoint: undefined, version, clock }).destination,
      });
    }
    for (const { name, writes, answers, store } of listed(config, version)) {
      const child = await startStoreThread({
        ...shared(name, writes),
        name,
        store,
        answers: new Set(answers),
      });
      add(child, writes);
      let current = store;
      reloads.push({
        name,
        tell(next) {
          const other = listed(next, version).find((each) => each.name === name)?.store;
          if (other === undefined || isDeepStrictEqual(other, current)) return false;
          current = other;
          child.replace(other);
          return true;
        },
      });
    }
    if (config.spanMetrics) {
      const child = await startStoreThread({
        ...shared('spanmetrics', ['traces']),
        name: 'spanmetrics',
        store: { kind: 'spanmetrics', options: { folder: join(config.dataDir, 'spanmetrics') } },
        answers: new Set(),
        emit: parts.emitMetrics,
      });
      add(child, ['traces']);
    }
    if (config.forward !== undefined) {
      const { openOtlpStore } = await import('./stores/otlp/index.ts');
      await addForwarding('otlp', signals, config.forward, {
        of: (next) => next.forward,
        open: ({ endpoint, access }) => openOtlpStore({ name: 'otlp', endpoint, access, version, clock }),
      });
    }
    return {
      running,
      readers: {
        ...(await tracesReader()),
        ...readersOf('metrics'),
        ...readersOf('logs'),
      },
      demo: {
        eraser,
        kept: running.flatMap(({ name, takes }) => {
          const remove = takes.size > 0 ? removedElsewhere[name] : undefined;
          return remove === undefined ? [] : [{ destination: name, remove }];
        }),
      },
      reload: (next) => [...new Set(reloads.filter(({ tell }) => tell(next)).map(({ name }) => name))],
    };
  } catch (thrown) {
    await Promise.all(running.map(({ stop }) => stop(1_000)));
    throw thrown;
  }

  /** @param from what of a configuration it is opened with. */
  async function addForwarding<Given>(
    name: string,
    takes: readonly Signal[],
    given: Given,
    { of, open }: { of: (config: Config) => Given | undefined; open: (given: Given) => Destination | undefined },
  ): Promise<void> {
    let current = given;
    const forwarding = await startForwarding(name, takes, () => open(current), {
      ...parts,
      observer: observerOf(name),
    });
    running.push(forwarding);
    reloads.push({
      name,
      tell(next) {
        const other = of(next);
        if (other === undefined || isDeepStrictEqual(other, current)) return false;
        current = other;
        forwarding.reopen();
        return true;
      },
    });
  }

  /** Jaeger counts nothing: what its spans were counted to is in the store of metrics. */
  async function tracesReader(): Promise<Readers> {
    const { traces } = readersOf('traces');
    const { metrics } = readersOf('metrics');
    if (traces === undefined || metrics === undefined || config.read.traces !== 'jaeger')
      return { ...(traces && { traces }) };
    const { withSpanMetrics } = await import('./spanmetrics/index.ts');
    return { traces: withSpanMetrics(traces, metrics) };
  }

  function readersOf(signal: Signal): Readers {
    const reader = readers[config.read[signal]]?.[signal];
    return reader === undefined ? {} : { [signal]: reader };
  }
}

/**
 * In this thread: bytes pass through as they are, so that a thread of its own would only add itself, and what this process
 * wrote to the log a moment ago is neither read nor checked again.
 * @param open the destination, each time that its configuration has changed; undefined where that takes nothing.
 */
async function startForwarding(
  name: string,
  takes: readonly Signal[],
  open: () => Destination | undefined,
  {
    logs,
    logDir,
    deadLetters,
    observer,
    logger,
    clock,
  }: Omit<DestinationParts, 'counters'> & { readonly observer: DeliveryObserver },
): Promise<Running & { reopen(): void }> {
  const sources = await Promise.all(
    takes.map(async (signal) => ({
      signal,
      reader: await openLogReader({
        dir: logDir(signal),
        trustedAfterSeq: logs[signal].durableSeq,
        tail: logs[signal].tail(),
      }),
      feed: replaceable(logs[signal]),
      cursor: logs[signal].cursor(name),
      onDamage: (damage: Parameters<OwnedLog['setAside']>[0]) => void logs[signal].setAside(damage),
    })),
  );
  const opened = () => {
    const destination = open();
    if (destination === undefined) throw new Error(`${name} takes nothing`);
    return destination;
  };
  const begin = (destination: Destination) => {
    const delivery = startDelivery({
      destination,
      sources,
      deadLetters,
      observer: {
        ...observer,
        failed(signal, records, reason, thrown) {
          observer.failed(signal, records, reason);
          if (thrown !== undefined) logger.error({ err: thrown, signal }, 'a destination threw');
        },
      },
      clock,
    });
    return {
      delivery,
      async close(deadlineMs: number) {
        await delivery.stop(deadlineMs);
        await destination[Symbol.asyncDispose]();
      },
    };
  };
  let current = begin(opened());
  let replacing: Promise<void> = Promise.resolve();
  let stopped = false;
  return {
    name,
    takes: new Set(takes),
    stats: () => current.delivery.stats(),
    replay: (letter, cancel) => current.delivery.replay(letter, cancel),
    reopen() {
      let next: Destination;
      try {
        next = opened();
      } catch (thrown) {
        logger.error({ err: thrown, destination: name }, 'it goes on as it was: its new configuration is wrong');
        return;
      }
      replacing = replacing.then(async () => {
        await current.close(1_000);
        if (stopped) await next[Symbol.asyncDispose]();
        else current = begin(next);
      });
    },
    async stop(deadlineMs) {
      stopped = true;
      await Promise.all([replacing, current.close(deadlineMs)]);
      await Promise.all(sources.map(({ reader }) => reader[Symbol.asyncDispose]()));
    },
  };
}

/** A feed whose listener is the last one: a log keeps every listener that it ever got. */
function replaceable(log: DurableFeed): DurableFeed {
  let listener: ((seq: number) => void) | undefined;
  log.onDurable((seq) => listener?.(seq));
  return {
    get durableSeq() {
      return log.durableSeq;
    },
    onDurable(next) {
      listener = next;
    },
  };
}
