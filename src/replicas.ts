import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, type Signal, signals } from './base/index.ts';
import type { Config } from './config/index.ts';
import type { DeliveryStats } from './deliver/index.ts';
import { askPeers, type Handed, handOver, knowPeers, listenPeers, type PeerReply, takeOver } from './peers/index.ts';
import type { PipelineCounters } from './self/index.ts';
import { type OwnedLog, openLogReader } from './wal/index.ts';

// What this replica does with others: takes over what they could not deliver, and hands over what it could not.

/**
 * With replicas to hand over to, a stop has the 120 seconds of the grace period: 5 until nobody sends here, 8 for requests
 * under way, then these.
 */
const deliverWithinMs = 30_000;
const handOverWithinMs = 60_000;
/** A destination that has failed for so long is away: nothing is gained by waiting for it. */
const awayAfterMs = 3_000;
const lookMs = 100;
/** The one replica that has it keeps it on its own disk. */
const embedded = 'embedded';

const whatIsLeft =
  'it is in the log of this replica alone: a start on the same volume delivers it, and without the volume it is lost';

interface ReplicaParts {
  readonly logs: Readonly<Record<Signal, OwnedLog>>;
  readonly logDir: (signal: Signal) => string;
  readonly destinations: readonly {
    readonly name: string;
    readonly takes: ReadonlySet<Signal>;
    stats(): DeliveryStats;
  }[];
  readonly counters: Pick<PipelineCounters, 'takenOver' | 'handedOver'>;
  readonly clock: Clock;
  /** GET of a REST path with its query, answered here. */
  readonly answer: (path: string) => Promise<{ readonly status: number; readonly text: string }>;
  readonly logger: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
}

export interface Replicas extends AsyncDisposable {
  readonly port: number;
  /** GET of a REST path, of all others. */
  ask(path: string, cancel: AbortSignal): Promise<readonly PeerReply[]>;
  /** Takes nothing over any more. */
  drain(): Promise<void>;
  /** Waits until the destinations that others deliver to as well have all that is held, those that are away left aside. */
  deliverHeld(): Promise<void>;
  /** Hands over what is left. The destinations have been stopped, nothing is received any more. */
  handOver(): Promise<void>;
}

/** @throws the system's error where the port is taken. */
export async function joinReplicas(
  config: Pick<Config, 'host'> & { readonly peers: NonNullable<Config['peers']> },
  { logs, logDir, destinations, counters, clock, answer, logger }: ReplicaParts,
): Promise<Replicas> {
  const { peers, host } = config;
  const shared = destinations.filter(({ name }) => name !== embedded);
  const namesOf = (signal: Signal) => shared.filter(({ takes }) => takes.has(signal)).map(({ name }) => name);

  const take = (handed: Handed) =>
    takeOver(handed, logs[handed.signal], namesOf(handed.signal), (signal, records) =>
      counters.takenOver(signal, records),
    );

  async function handOverOne(signal: Signal, cancel: AbortSignal): Promise<void> {
    const names = namesOf(signal);
    if (names.length === 0) return;
    await using reader = await openLogReader({ dir: logDir(signal) });
    const source = { log: logs[signal], reader, destinations: names };
    const over = await handOver(source, known, cancel, (records) => counters.handedOver(signal, records));
    const { requests, records, left } = over;
    if (requests > 0) logger.info({ signal, requests, records }, 'handed over to other replicas');
    if (left !== undefined) {
      logger.error({ signal, ...left }, `not delivered and not handed over; ${whatIsLeft}`);
    }
  }

  const instance = randomUUID();
  const { port, token } = peers;
  const listener = await listenPeers({ host, port, token, instance, take, answer, logger });
  const known = knowPeers(peers.names, token, instance);
  return {
    port: listener.port,
    ask: (path, cancel) => askPeers(known, path, cancel),
    drain: () => listener.drain(),

    async deliverHeld() {
      const endMs = clock.monotonicMs() + deliverWithinMs;
      const isWorthWaiting = () =>
        shared.some((destination) =>
          Object.entries(destination.stats()).some(
            ([signal, { settledSeq, failingSinceUnixMs }]) =>
              settledSeq < logs[signal as Signal].durableSeq &&
              !(failingSinceUnixMs !== undefined && clock.nowMs() - failingSinceUnixMs > awayAfterMs),
          ),
        );
      while (clock.monotonicMs() < endMs && isWorthWaiting()) await sleep(lookMs);
    },

    async handOver() {
      const cancel = AbortSignal.timeout(handOverWithinMs);
      await Promise.all(
        signals.map(async (signal) => {
          try {
            await handOverOne(signal, cancel);
          } catch (thrown) {
            logger.error({ signal, err: thrown }, `the hand-over broke off; ${whatIsLeft}`);
          }
        }),
      );
    },

    async [Symbol.asyncDispose]() {
      known[Symbol.dispose]();
      await listener.close();
    },
  };
}
